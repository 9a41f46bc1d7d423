"""The uncertainty engine against closed forms: lognormals, shared factors, probabilities, Sobol indices."""

import math
from statistics import NormalDist

import numpy as np
import pytest

from cost_bridge import (
    AnalogWork,
    Op,
    Rate,
    Workload,
    draws,
    evaluate,
    monte_carlo,
    probability_above,
    propagate,
    sobol,
)
from cost_bridge.uncertainty import Z_95, quantiles, samples

N = 100_000
DOUBT = {name: Rate(median, factor, "assumption", "t") for name, median, factor in
         (("a", 2.0, 1.5), ("b", 5.0, 3.0), ("c", 1.0, 1.2))}  # fmt: skip


def sigma(*factors: float) -> float:
    return math.hypot(*(math.log(factor) for factor in factors)) / Z_95


def test_words_are_those_of_splitmix64() -> None:
    """Steele 2014; the first five numbers of seed 1234567 are the usual test vector."""
    words = [draws._word(1234567, i) for i in range(1, 6)]
    assert words == [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431,
                     16408922859458223821]  # fmt: skip


def test_deviates_agree_with_and_without_numpy_and_begin_the_same_whatever_their_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fast = draws.normals("x", 20_000)
    assert isinstance(fast, np.ndarray)
    assert draws.normals("x", 100).tolist() == fast[:100].tolist()
    monkeypatch.setattr(draws, "_numpy", lambda: None)
    slow = draws.normals("x", 20_000)
    assert isinstance(slow, list)
    np.testing.assert_allclose(fast, slow, rtol=1e-13, atol=1e-15)


def test_deviates_are_standard_normal() -> None:
    """Mean, variance, skewness, kurtosis of 100,000 within 4 standard errors, and Kolmogorov's bound at 1e-4."""
    z = draws.normals("test of normality", N)
    moments = [z.mean(), (z**2).mean() - 1, (z**3).mean(), (z**4).mean() - 3]
    for moment, variance in zip(moments, (1, 2, 15, 96), strict=True):
        assert abs(moment) < 4 * math.sqrt(variance / N)
    uniform = np.sort([NormalDist().cdf(value) for value in z])
    grid = np.arange(1, N + 1) / N
    assert np.abs(uniform - grid + 0.5 / N).max() < 2.23 / math.sqrt(N)
    assert abs(np.corrcoef(z[1:], z[:-1])[0, 1]) < 4 / math.sqrt(N)


@pytest.mark.parametrize(
    ("function", "median", "factors"),
    [
        (lambda v: v["a"] * v["b"], 10.0, (1.5, 3.0)),
        (lambda v: v["a"] / v["b"], 0.4, (1.5, 3.0)),
        (lambda v: v["a"] * v["c"] / (v["b"] * v["c"]), 0.4, (1.5, 3.0)),
        (lambda v: v["b"] ** 0.5 * v["a"] ** -2, math.sqrt(5) / 4, (math.sqrt(3.0), 2.25)),
    ],
)
def test_intervals_are_those_of_closed_lognormals(function, median: float, factors: tuple) -> None:
    """z-bound 4; a quantile's logarithm has standard error 2.11 sigma / sqrt(n) at 5 % and 1.25 in the middle."""
    found = monte_carlo(lambda v: {"y": function(v)}, DOUBT, draws=N)["y"]
    s = sigma(*factors)
    for value, centre, error in zip(found, (-Z_95 * s, 0.0, Z_95 * s), (2.114, 1.2533, 2.114), strict=True):
        assert abs(math.log(value / median) - centre) < 4 * error * s / math.sqrt(N)


def test_the_probability_of_a_ratio_above_one_is_the_normal_integral() -> None:
    """P(a/b > 1/3) for lognormals; z-bound 4."""
    found = propagate(lambda v: {"ratio": v["a"] / v["b"]}, DOUBT, draws=N)
    exact = NormalDist().cdf(math.log(0.4 * 3) / sigma(1.5, 3.0))
    assert abs(probability_above(found.outputs["ratio"], 1 / 3) - exact) < 4 * math.sqrt(exact * (1 - exact) / N)


@pytest.mark.parametrize("loading", [0.0, 0.6, 1.0, -0.8])
def test_a_shared_factor_correlates_rates_and_leaves_each_as_it_was(loading: float) -> None:
    """Correlation of the logarithms is the product of the loadings; z-bound 4 on Fisher's z and on the variance."""
    shared = {"common": {"a": 0.9, "b": loading}}
    logs = {n: np.log(samples(n, DOUBT[n], draws=N, seed=0, shared=shared) / DOUBT[n].value) for n in "ab"}
    for name in "ab":
        s = math.log(DOUBT[name].factor) / Z_95
        assert abs(logs[name].var() / s**2 - 1) < 4 * math.sqrt(2 / N)
    seen = np.corrcoef(logs["a"], logs["b"])[0, 1]
    assert abs(math.atanh(seen) - math.atanh(0.9 * loading)) < 4 / math.sqrt(N)


def test_a_rate_fully_on_a_factor_cancels_against_its_twin() -> None:
    twins = {name: Rate(3.0, 2.0, "assumption", "t") for name in ("x", "y")}
    found = monte_carlo(lambda v: {"ratio": v["x"] / v["y"]}, twins, draws=1000, shared={"one": {"x": 1.0, "y": 1.0}})
    assert found["ratio"] == pytest.approx((1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="x: squares of its loadings on shared factors must sum to at most 1"):
        monte_carlo(lambda v: v, twins, shared={"one": {"x": 0.9}, "two": {"x": 0.9}})


def test_sobol_indices_of_a_sum_of_logarithms_are_its_shares_of_variance() -> None:
    found = propagate(lambda v: {"y": v["a"] * v["b"] ** 0.5 * v["c"]}, DOUBT, draws=N)
    indices = sobol(np.log(found.outputs["y"]), found.inputs)
    parts = {"a": math.log(1.5) ** 2, "b": (0.5 * math.log(3.0)) ** 2, "c": math.log(1.2) ** 2}
    for name, part in parts.items():
        assert indices[name] == pytest.approx(part / sum(parts.values()), abs=0.015)


def test_sobol_indices_of_ishigamis_function_are_the_known_ones() -> None:
    """Ishigami 1990 with a = 7, b = 0.1: 0.3139, 0.4424, 0. Uniform inputs made of the lognormal ones."""
    rates = {name: Rate(1.0, 2.0, "assumption", "t") for name in ("x", "y", "z")}
    deviates = propagate(lambda v: v, rates, draws=N).inputs
    scale = math.log(2.0) / Z_95
    x, y, z = (
        np.pi * (2 * np.array([NormalDist().cdf(d) for d in np.log(deviates[name]) / scale]) - 1) for name in "xyz"
    )
    value = np.sin(x) + 7 * np.sin(y) ** 2 + 0.1 * z**4 * np.sin(x)
    indices = sobol(value, deviates)
    assert indices["x"] == pytest.approx(0.3139, abs=0.01)
    assert indices["y"] == pytest.approx(0.4424, abs=0.01)
    assert indices["z"] == pytest.approx(0.0, abs=0.01)


def test_an_input_that_does_not_vary_or_does_not_matter_has_no_index() -> None:
    rates = DOUBT | {"exact": Rate(4.0, 1.0, "datasheet", "t")}
    found = propagate(lambda v: {"y": v["a"] * v["exact"]}, rates, draws=N)
    indices = sobol(found.outputs["y"], found.inputs)
    assert indices["exact"] == 0.0
    assert abs(indices["b"]) < 5 * math.sqrt(2 * 64) / N
    assert sobol(1.0, found.inputs) == dict.fromkeys(rates, 0.0)


def test_arrays_and_one_draw_after_the_other_give_the_same_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Workload(
        name="x", unit="y", batch=4, ops=lambda batch: [Op("product", 10**9 * batch, 10**6, 5)],
        analog={"reram": AnalogWork(counts={"analog_macs": 10**6, "array_cycles": 9, "digital_ops": 10**5}, tiles=3)},
    )  # fmt: skip
    fast = evaluate(work, draws=300)
    monkeypatch.setattr(draws, "_numpy", lambda: None)
    slow = evaluate(work, draws=300)
    for one, other in zip(fast.rows, slow.rows, strict=True):
        for key in ("joules", "seconds", "ratio"):
            assert one[key] == pytest.approx(other[key], rel=1e-10)
        assert one["interval_90"] == pytest.approx(other["interval_90"], rel=1e-10)
    for one, other in zip(fast.details, slow.details, strict=True):
        assert one["probability_above_1"] == pytest.approx(other["probability_above_1"])
        assert [entry["index"] for entry in one["sobol"]] == pytest.approx([entry["index"] for entry in other["sobol"]])


def test_a_whole_comparison_takes_arrays_of_either_kind_and_is_traced_by_jax() -> None:
    import jax
    import jax.numpy as jnp

    from cost_bridge import load
    from cost_bridge.compare import _outputs
    from cost_bridge.machines import machines, own_rates
    from cost_bridge.rates import tables
    from cost_bridge.uncertainty import medians

    work = Workload(
        name="x", unit="y", batch=4, ops=lambda batch: [Op("product", 10**9 * batch, 10**6, 5)],
        analog={"capacitor": AnalogWork(counts={"analog_macs": 10**6, "digital_ops": 10**5}, tiles=3, cells=100)},
    )  # fmt: skip
    base = medians({**load(), **own_rates(work)})
    columns = machines(work, tables(base), gpu="h100", number_format="bf16")
    plain = _outputs(columns, base)
    name = next(cell for cell in plain if cell[0].startswith("CMOS") and cell[1:] == ("wall plug", "ratio"))
    for make, kind in ((np.array, np.ndarray), (jnp.array, jax.Array)):
        found = _outputs(columns, base | {"gpu.h100.idle_power_w": make([90.0, 110.0, 130.0])})[name]
        assert isinstance(found, kind)
        assert float(found[1]) == pytest.approx(plain[name], rel=1e-5)
    slope = jax.grad(lambda w: _outputs(columns, base | {"gpu.h100.idle_power_w": w})[name])(110.0)
    ends = [_outputs(columns, base | {"gpu.h100.idle_power_w": w})[name] for w in (109.0, 111.0)]
    assert float(slope) == pytest.approx((ends[1] - ends[0]) / 2, rel=1e-2)


def test_the_best_digital_machine_is_chosen_in_each_draw() -> None:
    """Two machines of equal medians and independent doubt: neither is the baseline always, and no ratio is above 1."""
    from cost_bridge import Measured

    timed = [Measured(hardware=name, seconds=Rate(1.0, 2.0, "measured", "t"), joules=Rate(7.0, 2.0, "measured", "t"))
             for name in ("one", "two")]  # fmt: skip
    work = Workload(name="x", unit="y", measured=tuple(timed), analog={"reram": AnalogWork(
        counts={"analog_macs": 10**12}, tiles=1)})  # fmt: skip
    found = evaluate(work, draws=4000)
    digital = [row for row in found.rows if row["hardware"] in ("one", "two") and row["boundary"] == "chip"]
    for row in digital:
        low, high = row["interval_90"]
        assert low < 0.5 < row["ratio"] <= high == 1.0
    # E[min] of the two is below either median: the analog ratio divides by it.
    (analog,) = [row for row in found.rows if row["hardware"].startswith("ReRAM") and row["boundary"] == "chip"]
    assert analog["ratio"] * analog["joules"] < 0.9 * 7.0


def test_shares_of_evidence_sum_to_one_and_hold_the_class_that_is_printed() -> None:
    work = Workload(name="x", unit="y", ops=lambda batch: [Op("p", 10**12 * batch, 10**6)])
    for detail, row in zip(*(lambda e: (e.details, e.rows))(evaluate(work, draws=20)), strict=True):
        assert sum(part["share"] for part in detail["evidence_shares"]) == pytest.approx(1.0)
        assert row["evidence"] in {part["evidence"] for part in detail["evidence_shares"]}


def test_quantiles_of_arrays_lists_and_constants_agree() -> None:
    values = [float(i) for i in range(101)]
    assert quantiles(values) == quantiles(np.array(values)) == (5.0, 50.0, 95.0)
    assert quantiles(3.0) == (3.0, 3.0, 3.0)
