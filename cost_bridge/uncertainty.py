"""A number with its doubt: rates as lognormal beliefs, and what they imply for any function of them.

Every rate has its own stream of random numbers (`draws.py`), named by the seed and the rate, so a rate takes the same
values in every calculation with the same seed: two results that share a rate move together. Rates whose doubts have
a cause in common follow shared factors.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from statistics import NormalDist
from typing import Any, NamedTuple, TypeVar

from . import draws as random_numbers
from .draws import Column

EVIDENCE = ("measured", "silicon", "datasheet", "simulation", "projection", "assumption")
"""Classes of evidence, strong to weak: measured in this run; measured on a chip by its authors; printed by the
maker; computed by a circuit simulator or a component model; extrapolated by its authors; our own estimate."""

MAY_BE_ZERO = ("experts_per_year", "tolerated_groups", "sequential_fraction")
"""Ends of the names of rates that may be exactly nothing."""

Z_95 = NormalDist().inv_cdf(0.95)
Key = TypeVar("Key", bound=Hashable)
Shared = Mapping[str, Mapping[str, float]]
"""Shared factors by name: the loadings, from -1 to 1, of the rates that follow each."""


class Rate(NamedTuple):
    """A positive number and how far to trust it.

    The belief is lognormal with median `value`, 5 % quantile value / factor and 95 % quantile value * factor;
    factor 1 is exact. `source` names author, year and place.
    """

    value: float
    factor: float
    evidence: str
    source: str


class Quantiles(NamedTuple):
    """The 5 %, 50 % and 95 % points of a result."""

    low: float
    median: float
    high: float


class Swing(NamedTuple):
    """A result when one rate stands at its 5 % and at its 95 % point and all the others at their medians."""

    rate: str
    low: float
    high: float


def check(name: str, rate: Rate) -> None:
    """Raise ValueError, in one sentence naming `name`, when `rate` cannot be a belief about a positive number."""
    may_be_zero = rate.factor == 1 and name.endswith(MAY_BE_ZERO)
    is_number = isinstance(rate.value, int | float) and math.isfinite(rate.value)
    if not is_number or not (rate.value > 0 or (may_be_zero and rate.value == 0)):
        raise ValueError(f"{name}: value must be a finite number above 0, got {rate.value!r}")
    if not (isinstance(rate.factor, int | float) and math.isfinite(rate.factor) and rate.factor >= 1):
        raise ValueError(f"{name}: factor must be a finite number, at least 1 (1 means exact), got {rate.factor!r}")
    if rate.evidence not in EVIDENCE:
        raise ValueError(f"{name}: evidence must be one of {', '.join(EVIDENCE)}, got {rate.evidence!r}")
    if not (isinstance(rate.source, str) and rate.source.strip()):
        raise ValueError(f"{name}: source must name author, year and place, got {rate.source!r}")


def weakest(classes: Iterable[str]) -> str:
    """The weakest class of evidence among `classes`; 'measured' for none."""
    return max(classes, key=EVIDENCE.index, default=EVIDENCE[0])


def samples(name: str, rate: Rate, *, draws: int, seed: int, shared: Shared | None = None) -> Column:
    """`draws` values of one rate, the same for the same seed and name whatever else is drawn; a float if it is exact.

    shared: factors that several rates follow, each with the rate's loading on it, from -1 to 1. The deviate of a rate
    is the sum of its loadings times the factors' deviates, and its own for the rest of the variance.
    """
    if rate.factor == 1:
        return rate.value
    loadings = {factor: rates[name] for factor, rates in (shared or {}).items() if name in rates}
    own = 1 - math.fsum(loading**2 for loading in loadings.values())
    if own < -1e-9:
        raise ValueError(f"{name}: squares of its loadings on shared factors must sum to at most 1, got {1 - own:.3g}")
    weights = [*loadings.values(), math.sqrt(max(own, 0.0))]
    streams = [*(f"{seed}/shared factor/{factor}" for factor in loadings), f"{seed}/{name}"]
    chosen = [(weight, stream) for weight, stream in zip(weights, streams, strict=True) if weight]
    deviates = random_numbers.mixed(
        [weight for weight, _ in chosen], [random_numbers.normals(stream, draws) for _, stream in chosen]
    )
    return random_numbers.lognormal(rate.value, math.log(rate.factor) / Z_95, deviates)


def quantiles(values: Column) -> Quantiles:
    """The 5 %, 50 % and 95 % points by linear interpolation between order statistics."""
    return Quantiles(*random_numbers.quantiles(values, (0.05, 0.50, 0.95)))


def probability_above(values: Column, limit: float = 1.0) -> float:
    """The share of draws above `limit`."""
    return random_numbers.share_above(values, limit)


def sobol(values: Column, inputs: Mapping[str, Column]) -> dict[str, float]:
    """First-order Sobol indices of one output of `propagate`, for some of its inputs: the share of the output's
    variance that is gone once an input is known. Estimated from the draws themselves; `draws.first_order` says how.
    """
    return random_numbers.first_order(values, inputs)


def medians(rates: Mapping[str, Rate]) -> dict[str, float]:
    """Every rate at its median."""
    return {name: rate.value for name, rate in rates.items()}


class Propagated(NamedTuple):
    """Inputs and outputs, draw by draw; what does not vary is a float."""

    inputs: dict[str, Column]
    outputs: dict[Any, Column]


def propagate(
    function: Callable[[Mapping[str, Any]], Mapping[Key, Any]],
    rates: Mapping[str, Rate],
    *,
    draws: int = 4000,
    seed: int = 0,
    shared: Shared | None = None,
) -> Propagated:
    """Draw every rate from its belief and evaluate `function(values)`.

    One draw gives one value to every rate and evaluates all outputs from it, so a shared input (electricity,
    energy per FLOP) moves them together and a ratio is taken within a draw. Where numpy is installed `function` is
    called once, with arrays, so it has to be arithmetic (+ - * / ** abs, comparisons as factors); else once a draw.
    Raises ValueError for fewer than 20 draws, for a rate that is no belief, and for loadings that cannot be.
    """
    if draws < 20:
        raise ValueError(f"draws must be at least 20 to have a 5 % quantile, got {draws}")
    for name, rate in rates.items():
        check(name, rate)
    columns = {name: samples(name, rate, draws=draws, seed=seed, shared=shared) for name, rate in rates.items()}
    varying = {name: column for name, column in columns.items() if isinstance(column, list)}
    if not varying:
        return Propagated(columns, dict(function(columns)))
    rows = [function(columns | dict(zip(varying, row, strict=True))) for row in zip(*varying.values(), strict=True)]
    return Propagated(columns, {key: [row[key] for row in rows] for key in rows[0]})


def monte_carlo(
    function: Callable[[Mapping[str, Any]], Mapping[Key, Any]],
    rates: Mapping[str, Rate],
    *,
    draws: int = 4000,
    seed: int = 0,
    shared: Shared | None = None,
) -> dict[Key, Quantiles]:
    """Quantiles of every output of `propagate`. The standard error of the 5 % and 95 % points is about
    2.1 sigma / sqrt(draws) of the output's logarithm, of the median 1.25 sigma / sqrt(draws)."""
    found = propagate(function, rates, draws=draws, seed=seed, shared=shared)
    return {key: quantiles(values) for key, values in found.outputs.items()}


def tornado(function: Callable[[Mapping[str, float]], float], rates: Mapping[str, Rate]) -> list[Swing]:
    """How far each rate alone moves `function(values)`, widest first; rates that do not move it are left out."""
    base = medians(rates)
    swings = []
    for name, rate in rates.items():
        low = function(base | {name: rate.value / rate.factor})
        high = function(base | {name: rate.value * rate.factor})
        if low != high:
            swings.append(Swing(name, low, high))
    return sorted(swings, key=lambda swing: abs(math.log(swing.high / swing.low)), reverse=True)


def shares(
    function: Callable[[Mapping[str, float]], Mapping[Key, float]], rates: Mapping[str, Rate]
) -> dict[Key, dict[str, float]]:
    """For every output, the size of its elasticity to each rate: |d log output / d log rate| at the medians.

    For a sum of products, that is the share of the output that the rate multiplies (or divides).
    """
    base = medians(rates)
    step = 1e-4
    before = function(base)
    elasticity: dict[Key, dict[str, float]] = {key: {} for key in before}
    for name, rate in rates.items():
        after = function(base | {name: rate.value * (1 + step)})
        for key, value in before.items():
            elasticity[key][name] = abs(after[key] / value - 1) / step if value else 0.0
    return elasticity
