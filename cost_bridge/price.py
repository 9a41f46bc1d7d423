"""Counts times prices: joules, seconds, and the list of what they were spent on.

No branch depends on a price, so floats, numpy arrays and jax arrays (traced or not) pass through unchanged.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from .events import EVENTS, check

Number = Any  # a float, a numpy array or a jax array


class Price(NamedTuple):
    """What one event costs: joules, and the seconds during which the next event of its kind cannot start."""

    energy_j: Number = 0.0
    time_s: Number = 0.0


class Cost(NamedTuple):
    """Joules and seconds of a workload, and its joules by item; the items sum to the total."""

    energy_j: Number
    time_s: Number
    items: dict[str, Number]


def price(counts: Mapping[str, int], rates: Mapping[str, Price]) -> Cost:
    """Joules and seconds of `counts`, one item per event that occurs.

    Times add: a step reads, then writes, then computes beside the array, because each needs the result of the one
    before; overlap, where a chip has it, belongs in the counts (`array_cycles` counts only reads that must follow
    each other). Raises ValueError for an event without a name or without a price.
    """
    check(counts)
    occurring = {name: count for name, count in counts.items() if count}
    missing = sorted(set(occurring) - set(rates))
    if missing:
        raise ValueError(f"no price for {', '.join(missing)}; priced events are {', '.join(sorted(rates))}")
    # as floats: a count may not fit the integers of a traced price
    items = {name: float(count) * rates[name].energy_j for name, count in occurring.items()}
    time_s = sum(float(count) * rates[name].time_s for name, count in occurring.items())
    return total(items, time_s)


def total(items: Mapping[str, Number], time_s: Number) -> Cost:
    """The cost whose energy is the sum of `items`."""
    return Cost(sum(items.values()), time_s, dict(items))


def times(cost: Cost, factor: Number) -> Cost:
    """`cost` repeated `factor` times."""
    return total({name: energy * factor for name, energy in cost.items.items()}, cost.time_s * factor)


def larger(a: Number, b: Number) -> Number:
    """The larger of two numbers, written so that arrays and traced values pass too."""
    return (a + b + abs(a - b)) / 2


def smaller(a: Number, b: Number) -> Number:
    """The smaller of two finite numbers, exactly, written so that arrays and traced values pass too."""
    is_less = a < b
    return is_less * a + (1 - is_less) * b


def inside(boundary: str, prices: Mapping[str, Price]) -> dict[str, Price]:
    """`prices` as a boundary sees them: at the array, what belongs to the chip takes its time but no joules."""
    if boundary != "array":
        return dict(prices)
    return {name: one if EVENTS[name].boundary == "array" else Price(0.0, one.time_s) for name, one in prices.items()}
