"""The table: what its rows promise, what a ratio is, and how far an interval reaches."""

import json
import math
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cost_bridge import AnalogWork, Measured, Op, Rate, Workload, compare, evaluate, labels, load, results
from cost_bridge.report import Section, page, write_page
from cost_bridge.table import render
from cost_bridge.uncertainty import Z_95

DRAWS = 400


def small(**changes: object) -> Workload:
    settings: dict = {
        "name": "MLP",
        "unit": "one step",
        "batch": 8,
        "ops": lambda batch: [Op("product", 10**7 * batch, 10**5 * batch + 10**6, launches=20)],
        "analog": {
            "reram": AnalogWork(
                counts={"analog_macs": 4 * 10**7, "adc_samples": 10**5, "array_cycles": 100, "digital_flops": 10**6},
                tiles=4,
            ),
            "capacitor": AnalogWork(counts={"analog_macs": 4 * 10**7, "array_cycles": 100}, tiles=20, cells=10**5),
        },
        "measured": (Measured(hardware="CPU", seconds=Rate(1e-3, 1.2, "measured", "timed in this run")),),
    }
    return Workload(**(settings | changes))


@pytest.fixture(scope="module")
def found() -> list[dict]:
    return compare(small(), draws=DRAWS)


@pytest.fixture(scope="module")
def whole() -> dict:
    return results.assemble([evaluate(small(), draws=DRAWS)], {"command": "test", "seed": 0})


def only(rows: list[dict], start: str, boundary: str = "wall plug") -> dict:
    (row,) = [row for row in rows if row["hardware"].startswith(start) and row["boundary"] == boundary]
    return row


def test_rows_have_exactly_the_promised_keys_and_one_row_per_machine_and_boundary(found: list[dict]) -> None:
    expected = [
        "workload",
        "unit",
        "hardware",
        "joules",
        "seconds",
        "dollars",
        "ratio",
        "interval_90",
        "boundary",
        "evidence",
        "source",
    ]
    assert all(list(row) == expected for row in found)
    cells = {(row["hardware"], row["boundary"]) for row in found}
    assert len(cells) == len(found) == 4 * 3 + 2  # two GPU columns, two chips; the CPU has no array boundary
    assert ("CPU", "array") not in cells


def test_the_baseline_is_the_digital_machine_with_the_fewest_joules_and_its_ratio_is_exactly_one(
    found: list[dict],
) -> None:
    wall = [row for row in found if row["boundary"] == "wall plug"]
    digital = [row for row in wall if isinstance(row["dollars"], float)]
    best = min(digital, key=lambda row: row["joules"])
    assert len(digital) == 3
    assert "saturated" in best["hardware"]
    for row in found:
        if row["hardware"] == best["hardware"]:
            assert (row["ratio"], row["interval_90"]) == (1.0, [1.0, 1.0])
        else:
            assert row["interval_90"][0] <= row["ratio"] <= row["interval_90"][1]
    assert all(row["ratio"] < 1 for row in digital if row is not best)


def test_analog_dollars_are_a_range_and_never_enter_the_ratio(found: list[dict]) -> None:
    row = only(found, "ReRAM")
    low, high = row["dollars"]
    assert 0 < low < high
    dear = compare(
        small(),
        draws=DRAWS,
        overrides={"economics.silicon_usd_per_mm2": Rate(1000.0, 3.0, "assumption", "dear silicon")},
    )
    assert only(dear, "ReRAM")["dollars"][0] > 100 * high
    assert only(dear, "ReRAM")["ratio"] == row["ratio"]


def test_a_boundary_further_out_never_costs_less(found: list[dict]) -> None:
    joules = {(row["hardware"], row["boundary"]): row["joules"] for row in found}
    for hardware, boundary in joules:
        if boundary != "wall plug":
            assert joules[hardware, boundary] < joules[hardware, "wall plug"]
        if boundary == "array":
            assert joules[hardware, "array"] < joules[hardware, "chip"]


def test_the_same_seed_gives_the_same_table_and_another_seed_another(found: list[dict]) -> None:
    assert compare(small(), draws=DRAWS) == found
    assert compare(small(), draws=DRAWS, seed=1) != found


def test_an_interval_is_at_least_as_wide_as_the_model_error_that_it_rests_on() -> None:
    """A chip alone, only analog products, at the array: joules and ratio carry the scatter of chips (z-bound 4)."""
    work = small(analog={"reram": AnalogWork(counts={"analog_macs": 10**9}, tiles=1)}, measured=())
    detail = next(
        one
        for one in evaluate(work, draws=4000).details
        if one["hardware"].startswith("ReRAM") and one["boundary"] == "array"
    )
    low, high = detail["joules_90"]
    sigma = math.log(load()["model_form.analog"].factor) / Z_95
    expected = 2 * Z_95 * math.hypot(sigma, math.log(1.12) / Z_95)
    assert abs(math.log(high / low) - expected) < 4 * math.sqrt(2) * 2.114 * sigma / math.sqrt(4000)
    row = only(compare(work, draws=4000), "ReRAM", "array")
    assert row["interval_90"][1] / row["interval_90"][0] > load()["model_form.analog"].factor ** 2


def test_work_left_to_a_gpu_bounds_the_gain_and_keeps_an_interval_of_its_own() -> None:
    """A third of the operations stay digital: the ratio at the array is near 3 (Amdahl), known as well as a model."""
    work = small(
        ops=lambda batch: [Op("products", 3 * 10**15 * batch, 0, launches=0)],
        batch=1,
        measured=(),
        analog={"capacitor": AnalogWork(counts={"analog_macs": 10**6, "digital_flops": 10**15}, tiles=1)},
    )
    row = only(compare(work, draws=2000), "CMOS", "array")
    assert row["ratio"] == pytest.approx(3.0, rel=0.1)
    low, high = row["interval_90"]
    assert math.sqrt(high / low) > load()["model_form.gpu_one_device"].factor


def test_repeats_multiply_gpu_and_chips_but_not_what_was_timed_whole(found: list[dict]) -> None:
    many = compare(small(repeats=Rate(1000.0, 1.0, "measured", "counted")), draws=DRAWS)
    for start, factor in (("ReRAM", 1000.0), ("CMOS", 1000.0), ("CPU", 1.0)):
        assert only(many, start)["joules"] == pytest.approx(factor * only(found, start)["joules"], rel=1e-9)
        assert only(many, start)["seconds"] == pytest.approx(factor * only(found, start)["seconds"], rel=1e-9)
    analog = dict(small().analog)
    analog["reram"] = AnalogWork(
        counts=analog["reram"].counts, tiles=4, repeats=Rate(3.0, 1.0, "measured", "extra steps for the same loss")
    )
    more = compare(small(analog=analog), draws=DRAWS)
    assert only(more, "ReRAM")["joules"] == pytest.approx(3 * only(found, "ReRAM")["joules"], rel=1e-9)
    assert only(more, "CMOS")["joules"] == only(found, "CMOS")["joules"]


def test_evidence_is_the_weakest_class_that_moves_the_joules() -> None:
    def row(counts: dict) -> dict:
        work = small(analog={"reram": AnalogWork(counts=counts, tiles=1)})
        return only(compare(work, draws=20), "ReRAM", "array")

    silicon = row({"analog_macs": 10**9, "random_bits": 1})
    assert silicon["evidence"] == "silicon"
    assert "Wan 2022" in silicon["source"]
    assumed = row({"analog_macs": 10**9, "random_bits": 10**9})
    assert assumed["evidence"] == "assumption"
    assert "engineering estimate" in assumed["source"]


def test_measured_joules_replace_the_assumed_watts() -> None:
    program = Measured(
        hardware="CPU",
        seconds=Rate(1.0, 1.0, "measured", "timed"),
        joules=Rate(33.0, 1.0, "measured", "energy counter"),
    )
    row = only(compare(small(measured=(program,)), draws=20), "CPU", "chip")
    assert (row["joules"], row["evidence"], row["source"]) == (33.0, "measured", "energy counter")


def test_a_workload_without_a_gpu_has_no_ratio_where_no_digital_machine_stands() -> None:
    rows = compare(small(ops=None), draws=DRAWS)
    assert only(rows, "ReRAM", "array")["ratio"] is None
    assert only(rows, "ReRAM", "chip")["ratio"] > 0
    assert only(rows, "CPU")["ratio"] == 1.0


def test_a_tornado_ends_where_the_ratio_goes() -> None:
    found = evaluate(small(), draws=20)
    detail = next(
        one for one in found.details if one["hardware"].startswith("ReRAM") and one["boundary"] == "wall plug"
    )
    widest = detail["tornado"][0]
    assert min(widest["low"], widest["high"]) < detail["ratio_at_medians"] < max(widest["low"], widest["high"])
    names = [swing["rate"] for swing in detail["tornado"]]
    assert "model_form.analog" in names
    assert not any("silicon_usd" in name or "electricity" in name for name in names)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: compare(small(), gpu="tpu", draws=20), "there is no table 'gpu.tpu'"),
        (lambda: compare(small(), number_format="int4", draws=20), "number_format"),
        (lambda: compare(small(), overrides={"gpu.h100.colour": Rate(1, 1, "silicon", "s")}), "unknown rates"),
        (lambda: compare(small(), overrides={"gpu.h100.tdp_w": Rate(-1, 1, "silicon", "s")}), "gpu.h100.tdp_w: value"),
        (lambda: small(batch=0), "batch >= 1"),
        (lambda: small(ops=None, measured=()), "no digital baseline"),
        (lambda: small(analog={"diamond": small().analog["reram"]}), "known chips are reram, capacitor"),
        (lambda: small(measured=small().measured * 2), "two programs of one name"),
        (lambda: Measured(hardware="x", seconds=Rate(1, 1, "measured", "s"), cores=0), "cores"),
    ],
)
def test_a_wrong_request_is_refused_in_one_sentence(make, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


# ---------------------------------------------------------------- the results file


def test_results_survive_the_file(whole: dict, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    results.write(whole, path)
    assert results.read(path) == json.loads(json.dumps(whole))
    with pytest.raises(ValueError, match="exists already"):
        results.write(whole, path)
    results.write(whole, path, replace=True)
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(
    whole: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "results.json"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        results.write(whole, path, replace=True)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r.update(schema="x"), "results.schema must be"),
        (lambda r: r.update(provenance={}), "results.provenance"),
        (lambda r: r.update(rows=[]), "results.rows"),
        (lambda r: r["rows"][0].pop("unit"), r"results.rows\[0\] must have exactly"),
        (lambda r: r["rows"][0].update(joules=-1.0), r"results.rows\[0\].joules"),
        (lambda r: r["rows"][1].update(seconds=math.nan), r"results.rows\[1\].seconds"),
        (lambda r: r["rows"][0].update(dollars=[2.0, 1.0]), "dollars"),
        (lambda r: r["rows"][0].update(ratio=9.0, interval_90=[1.0, 2.0]), "outside its interval_90"),
        (lambda r: r["rows"][0].update(ratio=None), "must be null"),
        (lambda r: r["rows"][0].update(boundary="rack"), "boundary must be one of array, chip, wall plug"),
        (lambda r: r["rows"][0].update(evidence="hope"), "evidence must be one of"),
        (lambda r: r["rows"].append(dict(r["rows"][0])), "may occur once"),
        (lambda r: r["details"][0].update(hardware="ghost"), "has no row"),
    ],
)
def test_broken_results_are_refused_with_the_place(whole: dict, change, said: str) -> None:
    broken = json.loads(json.dumps(whole))
    change(broken)
    with pytest.raises(ValueError, match=said):
        results.validate(broken)


def test_a_file_that_is_not_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("{")
    with pytest.raises(ValueError, match="is not JSON"):
        results.read(path)


# ---------------------------------------------------------------- the page and the terminal

HOSTILE = '</script><script>alert(1)</script><b>"bold"&[red]'


class Links(HTMLParser):
    """What a page would fetch, and the text of its scripts' tags."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.scripts = 0
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.scripts += tag == "script"
        self.fetched += [value for key, value in attrs if key in {"src", "href", "data", "action"} and value]


@pytest.fixture(scope="module")
def hostile_page() -> str:
    import plotly.graph_objects as go

    found = evaluate(small(name=HOSTILE, unit=HOSTILE), draws=20)
    provenance = {HOSTILE: HOSTILE}
    figure = go.Figure(go.Scatter(x=[1], y=[2], name=HOSTILE))
    return page(
        results.assemble([found], provenance), sections=[Section(HOSTILE, f"{HOSTILE}\n\ntwo", figure)], title=HOSTILE
    )


def test_a_page_fetches_nothing_and_carries_plotly_once(hostile_page: str) -> None:
    from plotly.offline import get_plotlyjs

    links = Links()
    links.feed(hostile_page)
    assert [one for one in links.fetched if not one.startswith(("data:", "#"))] == []
    assert hostile_page.count(get_plotlyjs()) == 1
    assert "@import" not in hostile_page.replace(get_plotlyjs(), "")
    assert "url(" not in hostile_page.replace(get_plotlyjs(), "")


def test_names_from_files_never_become_markup(hostile_page: str) -> None:
    assert "<script>alert(1)" not in hostile_page
    assert '<b>"bold"' not in hostile_page
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in hostile_page


def test_a_page_shows_every_machine_at_every_boundary_with_its_numbers(whole: dict, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_page(whole, path, sections=[Section("Would it still learn?", "Yes, at 3 % noise.")])
    text = path.read_text()
    for row in whole["rows"]:
        assert labels.si(row["joules"], "J") in text
        assert labels.duration(row["seconds"]) in text
    shown = re.findall(r'<tr class="(\w+)" data-boundary="([\w ]+)"( hidden)?>', text)
    assert len(shown) == len(whole["rows"])
    assert {boundary for _, boundary, hidden in shown if not hidden} == {"wall plug"}
    assert {kind for kind, _, _ in shown} == {"analog", "digital"}
    assert "Would it still learn?" in text
    assert "Yes, at 3 % noise." in text
    with pytest.raises(ValueError, match="exists already"):
        write_page(whole, path)


def test_a_page_needs_only_the_rows(whole: dict) -> None:
    bare = {key: whole[key] for key in ("schema", "provenance", "rows")}
    assert "Joules at each boundary" in page(bare)


def test_the_terminal_table_has_the_same_numbers_and_reads_no_markup() -> None:
    from rich.console import Console

    found = results.assemble([evaluate(small(name="[red]net[/red]"), draws=20)], {"command": "test"})
    console = Console(width=200, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    with console.file:
        console.print(render(found))
        text = console.export_text()
    assert "[red]net[/red]: one step" in text
    for row in found["rows"]:
        assert (labels.si(row["joules"], "J") in text) or row["boundary"] != "wall plug"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (labels.si(0.0151, "J"), "15.1 mJ"),
        (labels.si(999.7, "J"), "1.00 kJ"),
        (labels.si(3.1e-13, "J"), "310 fJ"),
        (labels.si(7.64e6, "J"), "7.64 MJ"),
        (labels.duration(250.0), "4.17 min"),
        (labels.duration(3e6), "34.7 days"),
        (labels.duration(6.9e-5), "69.0 µs"),
        (labels.money(3.8), "$3.80"),
        (labels.money([2.5e-11, 1e-9]), "$2.5·10⁻¹¹ to $1.0·10⁻⁹"),
        (labels.times(4.76), "4.8×"),
        (labels.times(0.0491), "0.049×"),
        (labels.interval([0.38, 12.3]), "0.38 to 12"),
        (labels.rate_text("gpu.h100.idle_power_w"), "H100: idle power (W)"),
        (labels.rate_text("gpu.h100.memory_pj_per_byte"), "H100: memory (pJ per byte)"),
        (labels.rate_text("reram.standing_mw_per_mm2"), "ReRAM: standing (mW per mm²)"),
        (labels.rate_text("cpu.watts_per_core"), "CPU: power (W per core)"),
        (labels.rate_text("workload.a.b.cnf.repeats"), "a.b.cnf: repeats"),
    ],
)
def test_numbers_and_names_are_said_as_a_person_would(said: str, expected: str) -> None:
    assert said == expected
