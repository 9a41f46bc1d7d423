"""Events, rates, tables and prices: what the pricing core promises before any chip is in it."""

import ast
import math
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cost_bridge
from aimc.counts import Counts
from cost_bridge import EVENTS, EVIDENCE, Price, Rate, load, monte_carlo, price, tornado
from cost_bridge.events import BOUNDARIES, check
from cost_bridge.price import larger
from cost_bridge.rates import read
from cost_bridge.uncertainty import Z_95, quantiles, samples, shares, weakest

PACKAGE = Path(cost_bridge.__file__).parent
OUTSIDE_THE_CORE = {"workloads.py", "measure.py", "__main__.py"}
LAZILY = {
    "draws.py": {"numpy"},
    "table.py": {"rich"},
    "framework.py": {"rich"},
    "report.py": {"plotly"},
    "figures.py": {"plotly"},
    "pictures/project.py": {"plotly"},
    "pictures/cluster.py": {"plotly"},
}


def core_files() -> list[Path]:
    return [path for path in PACKAGE.rglob("*.py") if path.name not in OUTSIDE_THE_CORE]


def imported(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names


def test_the_core_imports_only_the_standard_library_and_what_is_loaded_later_is_named() -> None:
    assert len(core_files()) > 10
    for path in core_files():
        tree = ast.parse(path.read_text())
        top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        at_import = imported(ast.Module(top, []))
        assert at_import <= sys.stdlib_module_names, path
        lazily = imported(tree) - set(sys.stdlib_module_names)
        assert lazily <= LAZILY.get(path.relative_to(PACKAGE).as_posix(), set()), path


def test_a_comparison_runs_with_jax_and_numpy_blocked() -> None:
    code = """
import sys
for name in ("jax", "numpy", "scipy", "flax", "plotly", "rich", "xarray", "aimc", "ebm", "hnn_sat"):
    sys.modules[name] = None
from cost_bridge import AnalogWork, Op, Workload, compare
work = Workload(
    name="x", unit="y", batch=1, ops=lambda batch: [Op("product", 10**9 * batch, 10**6)],
    analog={"reram": AnalogWork(counts={"analog_macs": 1000, "array_cycles": 1}, tiles=1)},
)
print(len(compare(work, draws=20)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "9"  # GPU at its batch, GPU saturated, one chip; three boundaries each


def test_every_event_that_the_simulators_count_is_in_the_vocabulary() -> None:
    assert {field.name for field in fields(Counts)} <= set(EVENTS)
    for event in EVENTS.values():
        assert event.meaning
        assert event.unit
        assert event.boundary in BOUNDARIES[:2]


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"adc_sample": 1}, "unknown events adc_sample"),
        ({"adc_samples": -1}, "adc_samples"),
        ({"adc_samples": 1.5}, "1.5"),
    ],
)
def test_wrong_counts_are_refused_in_one_sentence_that_names_them(counts: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check(counts)


def test_a_price_is_the_sum_of_its_items() -> None:
    rates = {"analog_macs": Price(2e-13, 0.0), "array_cycles": Price(0.0, 1e-6), "cell_writes": Price(1e-10, 1e-8)}
    cost = price({"analog_macs": 7, "array_cycles": 3, "cell_writes": 5, "adc_samples": 0}, rates)
    assert cost.energy_j == pytest.approx(7 * 2e-13 + 5 * 1e-10, rel=1e-15)
    assert cost.time_s == pytest.approx(3e-6 + 5e-8, rel=1e-15)
    assert math.fsum(cost.items.values()) == pytest.approx(cost.energy_j, rel=1e-12)


def test_an_event_without_a_price_is_named_together_with_the_priced_ones() -> None:
    with pytest.raises(ValueError, match="no price for adc_samples; priced events are analog_macs"):
        price({"adc_samples": 1, "analog_macs": 1}, {"analog_macs": Price(1.0)})


def test_arrays_pass_through_a_price_unchanged_in_kind() -> None:
    energies = [1e-12, 2e-12, 4e-12]
    for kind, make in ((np.ndarray, np.array), (jax.Array, jnp.array)):
        cost = price({"analog_macs": 10}, {"analog_macs": Price(make(energies), make(energies))})
        assert isinstance(cost.energy_j, kind)
        np.testing.assert_allclose(np.asarray(cost.energy_j), 10 * np.array(energies), rtol=1e-6)
    slope = jax.grad(lambda e: price({"analog_macs": 10}, {"analog_macs": Price(e)}).energy_j)(1e-3)
    assert float(slope) == 10.0


def test_the_larger_of_two_numbers_is_max_for_floats_and_arrays() -> None:
    a, b = np.array([1.0, 5.0, 3.0]), np.array([2.0, 4.0, 3.0])
    np.testing.assert_array_equal(larger(a, b), np.maximum(a, b))
    assert larger(2.0, 1.0) == 2.0


def test_a_rate_has_the_stated_median_variance_and_tails() -> None:
    """20,000 draws. z-bound 4 on mean and variance of the logarithm and on the share beyond each stated quantile."""
    n, rate = 20_000, Rate(3.0, 2.0, "assumption", "test")
    logs = np.log(samples("a", rate, draws=n, seed=1))
    sigma = math.log(2.0) / Z_95
    assert abs(logs.mean() - math.log(3.0)) < 4 * sigma / math.sqrt(n)
    assert abs(logs.var() / sigma**2 - 1) < 4 * math.sqrt(2 / n)
    beyond = 4 * math.sqrt(0.05 * 0.95 / n)
    assert abs((logs < math.log(1.5)).mean() - 0.05) < beyond
    assert abs((logs > math.log(6.0)).mean() - 0.05) < beyond


def test_two_rates_are_drawn_independently_and_a_rate_does_not_depend_on_its_company() -> None:
    n, rate = 20_000, Rate(1.0, 2.0, "assumption", "test")
    a, b = (np.log(samples(name, rate, draws=n, seed=1)) for name in "ab")
    assert abs(np.corrcoef(a, b)[0, 1]) < 4 / math.sqrt(n)
    alone = monte_carlo(lambda v: {"a": v["a"]}, {"a": rate}, draws=500, seed=3)
    together = monte_carlo(lambda v: {"a": v["a"]}, {"b": rate, "a": rate}, draws=500, seed=3)
    assert alone == together
    assert alone != monte_carlo(lambda v: {"a": v["a"]}, {"a": rate}, draws=500, seed=4)


def test_products_and_ratios_of_lognormals_have_their_closed_form_quantiles() -> None:
    """A quantile's logarithm has standard error sqrt(p (1 - p) / n) / pdf * sigma; z-bound 4."""
    n = 20_000
    rates = {"a": Rate(2.0, 1.5, "assumption", "t"), "b": Rate(5.0, 3.0, "assumption", "t")}
    found = monte_carlo(lambda v: {"product": v["a"] * v["b"], "ratio": v["a"] / v["b"]}, rates, draws=n)
    log_factor = math.hypot(math.log(1.5), math.log(3.0))
    sigma = log_factor / Z_95
    tail, middle = 2.114 * sigma / math.sqrt(n), 1.2533 * sigma / math.sqrt(n)
    for key, median in (("product", 10.0), ("ratio", 0.4)):
        assert abs(math.log(found[key].median / median)) < 4 * middle
        assert abs(math.log(found[key].low / median) + log_factor) < 4 * tail
        assert abs(math.log(found[key].high / median) - log_factor) < 4 * tail


def test_the_ratio_of_a_thing_with_itself_is_exactly_one_and_shared_rates_cancel() -> None:
    rates = {"shared": Rate(7.0, 5.0, "assumption", "t"), "own": Rate(2.0, 1.1, "assumption", "t")}
    found = monte_carlo(
        lambda v: {
            "self": (v["shared"] * v["own"]) / (v["shared"] * v["own"]),
            "own": v["shared"] * v["own"] / v["shared"],
        },
        rates,
        draws=2000,
    )
    assert found["self"] == (1.0, 1.0, 1.0)
    assert found["own"].high / found["own"].low == pytest.approx(1.21, rel=0.02)  # not 25


def test_an_exact_rate_does_not_vary() -> None:
    assert samples("x", Rate(3.0, 1.0, "datasheet", "t"), draws=50, seed=0) == 3.0


def test_quantiles_of_a_known_list() -> None:
    assert quantiles([float(i) for i in range(101)]) == (5.0, 50.0, 95.0)


def test_a_tornado_lists_the_widest_swing_first_and_leaves_out_what_does_not_matter() -> None:
    rates = {
        "small": Rate(1.0, 1.1, "assumption", "t"),
        "big": Rate(1.0, 4.0, "assumption", "t"),
        "idle": Rate(1.0, 9.0, "assumption", "t"),
    }
    swings = tornado(lambda v: 6 * v["big"] / v["small"], rates)
    assert [swing.rate for swing in swings] == ["big", "small"]
    assert swings[0].low == pytest.approx(1.5)
    assert swings[0].high == pytest.approx(24.0)
    assert swings[1].low == pytest.approx(6.6)


def test_the_share_of_a_rate_in_a_sum_is_its_part_of_the_sum() -> None:
    rates = {name: Rate(1.0, 2.0, "assumption", "t") for name in "abc"}
    found = shares(lambda v: {"sum": 8 * v["a"] + v["b"] / v["c"]}, rates)["sum"]
    assert found == pytest.approx({"a": 8 / 9, "b": 1 / 9, "c": 1 / 9}, rel=1e-3)


def test_the_weakest_evidence_follows_the_stated_order() -> None:
    assert weakest(["silicon", "projection", "datasheet"]) == "projection"
    assert weakest(EVIDENCE) == "assumption"
    assert weakest([]) == "measured"


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        (Rate(0.0, 2.0, "silicon", "s"), "value"),
        (Rate(math.nan, 2.0, "silicon", "s"), "value"),
        (Rate(1.0, 0.9, "silicon", "s"), "factor"),
        (Rate(1.0, math.inf, "silicon", "s"), "factor"),
        (Rate(1.0, 2.0, "rumour", "s"), "rumour"),
        (Rate(1.0, 2.0, "silicon", " "), "source"),
    ],
)
def test_a_rate_that_is_no_belief_is_refused(rate: Rate, said: str) -> None:
    with pytest.raises(ValueError, match=f"x: .*{said}"):
        monte_carlo(lambda v: {"x": v["x"]}, {"x": rate})


def test_too_few_draws_are_refused() -> None:
    with pytest.raises(ValueError, match="draws must be at least 20"):
        monte_carlo(lambda v: {"x": 1.0}, {}, draws=5)


def test_every_shipped_rate_has_a_source_with_a_year_or_says_that_it_is_an_estimate() -> None:
    rates = load()
    assert len(rates) > 90
    for name, rate in rates.items():
        has_year = any(str(year) in rate.source for year in range(1990, 2030))
        own = rate.source.startswith(("engineering estimate", "our reading"))
        assert has_year or own or rate.source.startswith(("NVIDIA", "Google Cloud", "DGX-1", "a roofline")), name
        if own:
            assert rate.evidence == "assumption", name
            assert rate.factor > 1.1, name
    with pytest.raises(TypeError):
        rates["x"] = None  # ty: ignore[invalid-assignment]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('a = { value = 1.0, factor = 1.0, evidence = "silicon" }', "bad.toml: bad.a needs exactly value, factor"),
        ('a = { value = 1.0, factor = 1.0, evidence = "hope", source = "s" }', "bad.toml: bad.a: evidence"),
        ('[t]\na = { value = 1.0, factor = 0.5, evidence = "silicon", source = "s" }', "bad.toml: bad.t.a: factor"),
        ('a = { value = inf, factor = 1.0, evidence = "silicon", source = "s" }', "bad.toml: bad.a: value"),
        ('a = { value = "1", factor = 1.0, evidence = "silicon", source = "s" }', "bad.toml: bad.a: value"),
        ("a = 1.0", "bad.toml: bad.a must be a table"),
        ("a = ", "bad.toml is not a TOML table"),
    ],
)
def test_a_broken_table_is_refused_with_its_file_and_entry(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        read(path)


def test_importing_the_package_takes_less_than_a_tenth_of_a_second() -> None:
    """CPU time of the import statement in a fresh interpreter, best of five."""
    code = "import time; start = time.process_time(); import cost_bridge; print(time.process_time() - start)"
    seconds = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(5)
    ]
    assert min(seconds) < 0.1, seconds
