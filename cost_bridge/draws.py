"""Columns of random numbers and their statistics: numpy arrays where numpy is there, lists of floats where it is not.

Both come from the same bits: the stream of a name is SplitMix64 (Steele 2014) started at a hash of the name, 53 bits a
number, through the inverse of the normal distribution, so results agree to the last digits with and without numpy.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from statistics import NormalDist
from typing import Any

Column = Any
"""A numpy array or a list, one entry a draw, or a float where nothing varies."""


@cache
def _numpy() -> Any:
    try:
        import numpy
    except ImportError:
        return None
    return numpy


def is_vectorised() -> bool:
    """Whether columns are numpy arrays."""
    return _numpy() is not None


def normals(stream: str, draws: int) -> Column:
    """Standard normal deviates: the same for the same stream, whatever else is drawn; more draws begin with fewer."""
    from hashlib import sha256

    start = int.from_bytes(sha256(stream.encode()).digest()[:8], "little")
    numpy = _numpy()
    if numpy is None:
        inverse = NormalDist().inv_cdf
        return [inverse(((_word(start, i) >> 11) + 0.5) * 2.0**-53) for i in range(1, draws + 1)]
    deviates = numpy.empty(draws)
    for begin in range(0, draws, _CHUNK):
        z = numpy.arange(begin + 1, min(begin + _CHUNK, draws) + 1, dtype=numpy.uint64)
        z *= numpy.uint64(_STEP)
        z += numpy.uint64(start)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(_MIX[0])
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(_MIX[1])
        z ^= z >> numpy.uint64(31)
        uniform = ((z >> numpy.uint64(11)).astype(float) + 0.5) * 2.0**-53
        deviates[begin : begin + _CHUNK] = _inverse_normal(uniform)
    return deviates


_CHUNK = 1 << 14  # what the caches hold
_STEP, _MIX, _MASK = 0x9E3779B97F4A7C15, (0xBF58476D1CE4E5B9, 0x94D049BB133111EB), (1 << 64) - 1


def _word(start: int, i: int) -> int:
    """Number i of SplitMix64."""
    z = (start + i * _STEP) & _MASK
    z = ((z ^ (z >> 30)) * _MIX[0]) & _MASK
    z = ((z ^ (z >> 27)) * _MIX[1]) & _MASK
    return z ^ (z >> 31)


def lognormal(median: float, sigma: float, deviates: Column) -> Column:
    """median e^(sigma z)."""
    numpy = _numpy()
    if numpy is None or isinstance(deviates, list):
        return [median * math.exp(sigma * z) for z in deviates]
    return median * numpy.exp(sigma * deviates)


def mixed(weights: Sequence[float], columns: Sequence[Column]) -> Column:
    """The weighted sum of columns."""
    if isinstance(columns[0], list):
        return [sum(w * z for w, z in zip(weights, row, strict=True)) for row in zip(*columns, strict=True)]
    return sum(w * z for w, z in zip(weights, columns, strict=True))


def quantiles(values: Column, fractions: Sequence[float]) -> list[float]:
    """Quantiles by linear interpolation between order statistics."""
    if isinstance(values, int | float):
        return [float(values)] * len(fractions)
    numpy = _numpy()
    if numpy is not None and not isinstance(values, list):
        return [float(one) for one in numpy.quantile(values, fractions)]
    ordered = sorted(values)

    def at(fraction: float) -> float:
        position = fraction * (len(ordered) - 1)
        below = math.floor(position)
        above = min(below + 1, len(ordered) - 1)
        return ordered[below] + (position - below) * (ordered[above] - ordered[below])

    return [at(fraction) for fraction in fractions]


def share_above(values: Column, limit: float) -> float:
    """The fraction of a column that is above `limit`."""
    if isinstance(values, int | float):
        return float(values > limit)
    if isinstance(values, list):
        return sum(value > limit for value in values) / len(values)
    return float((values > limit).mean())


def first_order(values: Column, inputs: Mapping[str, Column], *, bins: int = 64) -> dict[str, float]:
    """First-order Sobol indices Var(E[y | x]) / Var(y), from the sample itself.

    Draws are put into equally full bins of x; the spread of the bins' means, less what chance gives them (the adjusted
    correlation ratio, Kelley 1935), is the index. Standard error about sqrt(2 bins) / draws for an x without influence;
    the width of the bins hides about 1 % of the index of a normal x. Inputs that do not vary have index 0.
    """
    if isinstance(values, int | float):
        return dict.fromkeys(inputs, 0.0)
    n = len(values)
    bins = max(2, min(bins, n // 20))
    found = {}
    for name, column in inputs.items():
        if isinstance(column, int | float):
            found[name] = 0.0
            continue
        numpy = _numpy()
        edges = [n * i // bins for i in range(bins)]
        sizes = [end - start for start, end in zip(edges, [*edges[1:], n], strict=True)]
        if numpy is None or isinstance(values, list):
            ordered = [y for _, y in sorted(zip(column, values, strict=True))]
            mean = math.fsum(values) / n
            whole = math.fsum((y - mean) ** 2 for y in values)
            sums = [math.fsum(ordered[start : start + size]) for start, size in zip(edges, sizes, strict=True)]
        else:
            mean = float(values.mean())
            whole = float(((values - mean) ** 2).sum())
            sums = numpy.add.reduceat(values[numpy.argsort(column)], edges).tolist()
        between = math.fsum(size * (part / size - mean) ** 2 for part, size in zip(sums, sizes, strict=True))
        found[name] = 1 - (1 - between / whole) * (n - 1) / (n - bins) if whole > 0 else 0.0
    return found


_NEAR = (
    (2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
     1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080e0),
    (5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
     5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0),
)  # fmt: skip
_MIDDLE = (
    (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258e0,
     3.64784832476320460504e0, 5.76949722146069140550e0, 4.63033784615654529590e0, 1.42343711074968357734e0),
    (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
     6.89767334985100004550e-1, 1.67638483018380384940e0, 2.05319162663775882187e0, 1.0),
)  # fmt: skip
_FAR = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2,
     2.96560571828504891230e-1, 1.78482653991729133580e0, 5.46378491116411436990e0, 6.65790464350110377720e0),
    (2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
     1.48753612908506148525e-2, 1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0),
)  # fmt: skip


def _inverse_normal(p: Any) -> Any:
    """Wichura 1988, AS 241 (PPND16), on arrays: what `statistics.NormalDist.inv_cdf` computes one by one."""
    numpy = _numpy()

    def ratio(coefficients: Any, r: Any) -> Any:
        above, below = (numpy.zeros_like(r) for _ in range(2))
        for a, b in zip(*coefficients, strict=True):
            above *= r
            above += a
            below *= r
            below += b
        return above / below

    q = p - 0.5
    z = q * ratio(_NEAR, 0.180625 - q * q)
    outer = numpy.flatnonzero(numpy.abs(q) > 0.425)
    tail = numpy.sqrt(-numpy.log(numpy.minimum(p[outer], 1 - p[outer])))
    size = numpy.where(tail <= 5.0, ratio(_MIDDLE, tail - 1.6), ratio(_FAR, tail - 5.0))
    z[outer] = numpy.copysign(size, q[outer])
    return z
