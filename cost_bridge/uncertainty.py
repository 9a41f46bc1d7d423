"""A number with its doubt: rates as lognormal beliefs, and what they imply for any function of them.

All randomness is here. Every rate has its own stream, named by the seed and the rate, so a rate takes the same
values in every calculation with the same seed: two results that share a rate move together.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from statistics import NormalDist
from typing import NamedTuple, TypeVar

EVIDENCE = ("measured", "silicon", "datasheet", "simulation", "projection", "assumption")
"""Classes of evidence, strong to weak: measured in this run; measured on a chip by its authors; printed by the
maker; computed by a circuit simulator or a component model; extrapolated by its authors; our own estimate."""

MAY_BE_ZERO = ("experts_per_year", "tolerated_groups", "sequential_fraction")
"""Ends of the names of rates that may be exactly nothing."""

Z_95 = NormalDist().inv_cdf(0.95)
Key = TypeVar("Key", bound=Hashable)


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


def samples(name: str, rate: Rate, *, draws: int, seed: int) -> list[float]:
    """`draws` values of one rate, the same for the same seed and name whatever else is drawn."""
    if rate.factor == 1:
        return [rate.value] * draws
    sigma = math.log(rate.factor) / Z_95
    deviates = NormalDist().samples(draws, seed=f"{seed}/{name}")
    return [rate.value * math.exp(sigma * z) for z in deviates]


def quantiles(values: Sequence[float]) -> Quantiles:
    """The 5 %, 50 % and 95 % points by linear interpolation between order statistics."""
    ordered = sorted(values)

    def at(fraction: float) -> float:
        position = fraction * (len(ordered) - 1)
        below = math.floor(position)
        above = min(below + 1, len(ordered) - 1)
        return ordered[below] + (position - below) * (ordered[above] - ordered[below])

    return Quantiles(at(0.05), at(0.50), at(0.95))


def medians(rates: Mapping[str, Rate]) -> dict[str, float]:
    """Every rate at its median."""
    return {name: rate.value for name, rate in rates.items()}


def monte_carlo(
    function: Callable[[Mapping[str, float]], Mapping[Key, float]],
    rates: Mapping[str, Rate],
    *,
    draws: int = 4000,
    seed: int = 0,
) -> dict[Key, Quantiles]:
    """Quantiles of every output of `function(values)` when the rates are drawn from their beliefs.

    One draw gives one value to every rate and evaluates all outputs from it, so a shared input (electricity,
    energy per FLOP) moves them together and a ratio is taken within a draw. The standard error of the 5 % and
    95 % points is about 2.1 sigma / sqrt(draws) of the output's logarithm, of the median 1.25 sigma / sqrt(draws).
    """
    if draws < 20:
        raise ValueError(f"draws must be at least 20 to have a 5 % quantile, got {draws}")
    for name, rate in rates.items():
        check(name, rate)
    columns = {name: samples(name, rate, draws=draws, seed=seed) for name, rate in rates.items()}
    outputs = [function(dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)] or [
        function({})
    ]
    return {key: quantiles([output[key] for output in outputs]) for key in outputs[0]}


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
