"""The tables: every row with its unit and source and somebody who reads it, and a user's own values checked."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cost_bridge import load, outlook, seeds
from cost_bridge.analog import components
from cost_bridge.digital import levers, published
from cost_bridge.overrides import parse, read
from cost_bridge.rates import tables
from cost_bridge.uncertainty import EVIDENCE, Rate, check, medians
from cost_bridge.units import UNITS, unit

RATES = load()


@pytest.mark.parametrize("table", sorted({name.rpartition(".")[0] for name in RATES}))
def test_every_row_of_a_table_has_a_unit_a_source_a_class_and_a_range(table: str) -> None:
    rows = {name: rate for name, rate in RATES.items() if name.rpartition(".")[0] == table}
    for name, rate in rows.items():
        assert unit(name)
        check(name, rate)
        assert len(rate.source) > 8, name
        assert rate.evidence in EVIDENCE
        if rate.evidence == "assumption" and rate.source.startswith("engineering"):
            assert rate.factor > 1.1, name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gpu.h100.tdp_w", "W"),
        ("economics.electricity_usd_per_kwh", "$/kWh"),
        ("gpu.h100.memory_tb_per_s", "TB/s"),
        ("reram.word_line_fj_per_op", "fJ/operation"),
        ("economics.silicon_usd_per_mm2", "$/mm²"),
        ("report.cluster.link_gb_per_s_per_gpu", "GB/(s GPU)"),
        ("gpu.h100.training_mfu", "1"),
        ("model_form.analog", "1"),
        ("models.gpt3.layers", "layers"),
    ],
)
def test_a_unit_is_read_from_the_end_of_a_name(name: str, expected: str) -> None:
    assert unit(name) == expected


@pytest.mark.parametrize("name", ["gpu.h100.tdp", "x", "gpu.h100.price", "a.b_per_c", "models.gpt3.w"])
def test_a_name_without_a_unit_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="does not end in a unit"):
        unit(name)


def test_every_unit_is_of_some_rate() -> None:
    words = {word for name in RATES for word in name.rpartition(".")[2].split("_")}
    assert set(UNITS) - words == set()


class Read(dict):
    """A table that remembers which of its entries were asked for."""

    def __init__(self, table: dict) -> None:
        super().__init__(table)
        self.asked: set[str] = set()

    def __getitem__(self, key):
        self.asked.add(key)
        return super().__getitem__(key)

    def get(self, key, default=None):
        self.asked.add(key)
        return super().get(key, default)


def test_every_number_of_the_seed_documents_and_of_the_models_is_read_by_something() -> None:
    found = {name: Read(table) for name, table in tables(medians(RATES)).items()}
    for one in seeds.rows():
        if one.compute is not None:
            one.compute(found)
    outlook.costs(found)
    outlook.growth(found)
    outlook.machine(found)
    outlook.price_performance(found)
    published.checks(found)
    published.implied_tflops(found)
    levers.compose(levers.LEVERS, found)
    unread = {
        f"{name}.{key}"
        for name, table in found.items()
        for key in table
        if name.startswith(("paper.", "report.", "world.", "levers.", "models.")) and key not in table.asked
    }
    assert unread <= KEPT_FOR_READERS, unread - KEPT_FOR_READERS


KEPT_FOR_READERS = {
    *(f"models.gpt3.{key}" for key in ("layers", "width", "heads", "feed_forward", "vocabulary", "context",
                                       "batch_tokens")),
    "models.bloom.idle_energy_mwh",
    *(f"models.{name}.release_year" for name in ("palm", "gpt3", "gpt4_leaked", "llama1_65b", "llama2_70b",
                                                 "llama3_405b", "bloom", "opt175b", "deepseek_v3")),
}  # fmt: skip
"""The shape of GPT-3 is what `workloads.gpt3_step` prices; release years stand in a picture."""


def test_accelerators_have_every_figure_the_comparison_needs_and_sparse_figures_are_halved() -> None:
    found = tables(medians(RATES))
    needed = {"memory_gb", "memory_tb_per_s", "tdp_w", "price_usd", "idle_power_w", "launch_us", "compute_fraction",
              "bandwidth_fraction", "memory_pj_per_byte", "training_mfu", "peak_vector_tflops",
              "price_year"}  # fmt: skip
    names = [name for name in found if name.startswith("gpu.")]
    assert len(names) == 11
    for name in names:
        assert needed <= set(found[name]), name
        assert {"peak_bf16_tflops", "peak_fp16_tflops"} & set(found[name]), name
    assert found["gpu.h100"]["peak_bf16_tflops"] < 1000 < found["gpu.h100"]["peak_fp8_tflops"] < 2000
    assert found["gpu.rtx4090"]["peak_bf16_tflops"] == 165.2


# ---------------------------------------------------------------- a user's own values


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


def test_a_users_file_replaces_values_by_number_or_by_whole_rate(tmp_path: Path) -> None:
    text = """
# my lab
[gpu.h100]
idle_power_w = 74
price_usd = { value = 28000, factor = 1.1, evidence = "datasheet", source = "our quote of 2025" }

[paper]
best_guess.experts_per_year = 0
"""
    found = read(written(tmp_path, text), RATES)
    assert found == {
        "gpu.h100.idle_power_w": Rate(74, 1.0, "assumption", "set in mine.toml"),
        "gpu.h100.price_usd": Rate(28000, 1.1, "datasheet", "our quote of 2025"),
        "paper.best_guess.experts_per_year": Rate(0, 1.0, "assumption", "set in mine.toml"),
    }
    assert parse(["gpu.h100.tdp_w=650"], RATES) == {
        "gpu.h100.tdp_w": Rate(650.0, 1.0, "assumption", "set on the command line")
    }


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("[gpu.h100]\ntdp_w = 7\ntdpw_w = 3", 3, "gpu.h100.tdpw_w: there is no such rate; nearest are gpu.h100.tdp_w"),
        ("[gpu.h100]\n\ntdp = 7", 3, "its name does not end in a unit, as every rate's does; nearest are gpu.h100"),
        ("[gpu.h100]\ntdp_w = -1", 2, "value must be a finite number above 0, got -1"),
        ("gpu.h100.tdp_w = 0", 1, "value must be a finite number above 0, got 0"),
        ("[gpu.h100]\ntdp_w = nan", 2, "value must be a finite number in W, got nan"),
        ("[gpu.h100]\ntdp_w = inf", 2, "value must be a finite number in W, got inf"),
        ("[gpu.h100]\ntdp_w = true", 2, "value must be a finite number in W, got True"),
        ("[gpu.h100]\ntdp_w = '700 W'", 2, "value must be a finite number in W, got '700 W'"),
        ("[gpu.h100]\ntdp_w = { value = 1, colour = 2 }", 2, "needs value, and may have factor, evidence and source"),
        ("[gpu.h100]\ntdp_w = { factor = 2.0 }", 2, "needs value"),
        ("[gpu.h100]\ntdp_w = { value = 9, factor = 0.5 }", 2, "factor must be a finite number, at least 1"),
        ("[gpu.h100]\ntdp_w = { value = 9, evidence = 'hope' }", 2, "evidence must be one of measured"),
        ("\n\n[nonsense]\nthing_w = 1", 4, "nonsense.thing_w: there is no such rate"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_with_file_line_and_the_nearest_names(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        read(written(tmp_path, text), RATES)
    assert str(caught.value).startswith(f"mine.toml, line {line}: ")


def test_a_broken_file_and_a_broken_word_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"mine\.toml is not a TOML table: Invalid value"):
        read(written(tmp_path, "a = "), RATES)
    for word, said in (("gpu.h100.tdp_w", "must be name=value"), ("gpu.h100.tdp_w=much", "a number, got 'much'"),
                       ("gpu.h100.tdp_w=-2", "above 0"),
                       ("gpu.h10.tdp_w=2", "nearest are gpu.h100.tdp_w")):  # fmt: skip
        with pytest.raises(ValueError, match=re.escape(said)):
            parse([word], RATES)


def command(*words: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "cost_bridge", *words], capture_output=True, text=True, **options)


def test_commands_take_a_file_and_words_and_words_win(tmp_path: Path) -> None:
    mine = written(tmp_path, "[paper.cluster]\ngpu_mtbf_hours = 500e3\nrestart_hours = 1.0\n")
    shown = command("rates", "--rates", str(mine), "--set", "paper.cluster.restart_hours=3", "--json")
    assert shown.returncode == 0, shown.stderr
    rates = json.loads(shown.stdout)
    assert rates["paper.cluster.gpu_mtbf_hours"]["value"] == 500e3
    assert rates["paper.cluster.restart_hours"]["value"] == 3.0
    assert rates["paper.cluster.restart_hours"]["unit"] == "h"
    both = command("cluster", "--json", "--set", "paper.cluster.gpu_mtbf_hours=500e3", "--set",
                   "paper.cluster.size_gpus=64000")  # fmt: skip
    assert json.loads(both.stdout)["at_size"]["gpus"] == 64000
    wrong = command("project", "--rates", str(written(tmp_path, "[paper.growth]\ngpu_speed = 2")))
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("cost-bridge: mine.toml, line 2: paper.growth.gpu_speed: its name does not end in")
    assert len(wrong.stderr.strip().splitlines()) == 1


# ---------------------------------------------------------------- components of analog chips


def test_the_adc_regression_is_its_table_at_the_corners_and_monotone_between() -> None:
    found = tables(medians(RATES))
    assert components.nodes(found) == [7, 14, 32, 65, 130]
    assert components.adc_pj(found, 8, 14) == pytest.approx(0.362)
    assert components.adc_um2(found, 4, 130) == pytest.approx(28984)
    assert components.adc_pj(found, 7, 32) == pytest.approx((1.07 * 1.71) ** 0.5)
    assert components.adc_pj(found, 8, (14 * 32) ** 0.5) == pytest.approx((0.362 * 1.71) ** 0.5)
    energies = [components.adc_pj(found, bits / 2, 28) for bits in range(8, 21)]
    assert energies == sorted(energies)
    for bits, node in ((3.9, 14), (10.1, 14), (8, 6), (8, 131)):
        with pytest.raises(ValueError, match="must be between"):
            components.adc_pj(found, bits, node)


def test_a_real_converter_stands_above_the_envelope_and_the_envelope_above_the_noise() -> None:
    """Murmann's envelope: 0.28 pJ at 8 bits, 0.42 at 10, 2.7 at 12; 12 k T 4^b is 3.3 fJ at 8 bits and 300 K."""
    found = tables(medians(RATES))
    for bits, pj in ((8, 0.28), (10, 0.42), (12, 2.7)):
        assert components.adc_envelope_pj(found, bits) == pytest.approx(pj, rel=0.02)
        assert components.noise_floor_j(bits) < 1e-12 * components.adc_envelope_pj(found, bits)
    assert components.noise_floor_j(8) == pytest.approx(3.26e-15, rel=0.01)
    assert components.adc_pj(found, 8, 14) * 1e-12 / components.noise_floor_j(8) == pytest.approx(111, rel=0.01)


def test_isaacs_tile_is_the_sum_of_its_published_components() -> None:
    """Shafiee 2016, Table I: IMA 16 + 4 + 0.01 + 2.4 + 0.2 + 1.24 + 0.23 mW; tile 12 of them and 40.9 mW."""
    own = tables(medians(RATES))["components.isaac"]
    assert own["ima_power_mw"] == pytest.approx(16 + 4 + 0.01 + 2.4 + 0.2 + 1.24 + 0.23)
    assert own["tile_power_mw"] == pytest.approx(12 * own["ima_power_mw"] + 40.9, rel=1e-3)
    assert own["chip_power_w"] == pytest.approx((168 * own["tile_power_mw"] * 1e-3) + 10.4, rel=2e-3)
    assert own["adc_8_bit_pj"] == pytest.approx(16e-3 * 100e-9 / 1024 * 1e12)
