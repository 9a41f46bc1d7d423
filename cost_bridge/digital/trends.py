"""Growth rates, doubling times and where two exponentials meet. Years are decimal, growth is a factor per year.

Functions with a logarithm take floats; the others pass arrays through.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..price import Number


class Series(NamedTuple):
    """An amount that grows exponentially: its level in a year and its factor per year."""

    level: Number
    year: Number
    growth: Number

    def at(self, year: Number) -> Number:
        """The amount in `year`."""
        return self.level * self.growth ** (year - self.year)


def growth_of_doubling(years: Number) -> Number:
    """Factor per year of something that doubles every `years`."""
    return 2.0 ** (1.0 / years)


def doubling_years(growth: float) -> float:
    """Years to double at a factor `growth` per year. Raises ValueError where it does not grow."""
    if not growth > 1:
        raise ValueError(f"growth must be above 1 per year to double, got {growth}")
    return math.log(2.0) / math.log(growth)


def growth_between(first: Number, last: Number, years: Number) -> Number:
    """Factor per year from `first` to `last`."""
    return (last / first) ** (1.0 / years)


def meeting_year(one: Series, other: Series) -> float:
    """When two exponentials are equal; infinity where they never are. It may lie in the past."""
    a, b = math.log(one.growth), math.log(other.growth)
    if a == b:
        return math.inf
    return (math.log(other.level / one.level) + a * one.year - b * other.year) / (a - b)


def first_crossing(
    cost: Callable[[float], float], limit: Callable[[float], float], *, start: float, stop: float, step: float = 0.05
) -> float:
    """The first year in [start, stop] at which `cost` reaches `limit`, by bisection; infinity where it does not."""
    below, year = start, start
    if cost(start) >= limit(start):
        return start
    while year < stop:
        year = min(year + step, stop)
        if cost(year) >= limit(year):
            above = year
            for _ in range(60):
                middle = (below + above) / 2
                below, above = (below, middle) if cost(middle) >= limit(middle) else (middle, above)
            return above
        below = year
    return math.inf


class Fit(NamedTuple):
    """A log-linear least-squares line: factor per year with an interval, and the level in a reference year."""

    growth: float
    low: float
    high: float
    level: float
    year: float
    n: int

    def at(self, year: float) -> float:
        """The line in `year`."""
        return self.level * self.growth ** (year - self.year)


def fit_growth(years: Sequence[float], values: Sequence[float], *, confidence: float = 0.95) -> Fit:
    """Ordinary least squares of log value on year, with the Student interval of the slope.

    Raises ValueError for fewer than three points or a value that is not above 0.
    """
    n = len(years)
    if n < 3 or len(values) != n or min(values) <= 0:
        raise ValueError(f"a growth fit needs at least 3 points above 0, got {n} years and {len(values)} values")
    logs = [math.log(value) for value in values]
    mean_x, mean_y = math.fsum(years) / n, math.fsum(logs) / n
    sxx = math.fsum((x - mean_x) ** 2 for x in years)
    slope = math.fsum((x - mean_x) * (y - mean_y) for x, y in zip(years, logs, strict=True)) / sxx
    residual = math.fsum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in zip(years, logs, strict=True))
    error = math.sqrt(residual / (n - 2) / sxx)
    half = student_quantile((1 + confidence) / 2, n - 2) * error
    return Fit(math.exp(slope), math.exp(slope - half), math.exp(slope + half), math.exp(mean_y), mean_x, n)


def student_quantile(probability: float, degrees: int) -> float:
    """Quantile of Student's t: bisection of its distribution, integrated by Simpson's rule (error below 1e-7)."""
    scale = math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)) / math.sqrt(degrees * math.pi)

    def area(t: float, n: int = 400) -> float:
        h = t / n
        heights = [(1 + (i * h) ** 2 / degrees) ** (-(degrees + 1) / 2) for i in range(n + 1)]
        return scale * h / 3 * (heights[0] + heights[-1] + 4 * sum(heights[1:-1:2]) + 2 * sum(heights[2:-1:2]))

    low, high = 0.0, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if 0.5 + area(middle) < probability else (low, middle)
    return (low + high) / 2
