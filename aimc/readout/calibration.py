"""Where a converter's range should end: from measured sums, or in closed form for Gaussian ones."""

from math import ceil, erfc, exp, log2, pi, sqrt

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from aimc.readout.adc import quantize
from aimc.readout.base import check_choice

METHODS = ("mse", "percentile")


def calibrate(
    sums: Float[Array, "*batch n_columns"],
    *,
    method: str = "mse",
    n_levels: float | int = 255,
    percentile: float = 99.9,
    per_column: bool = False,
) -> Float[Array, "..."]:
    """A `full_scale` for these sums (in fully-on cells, as the array gave them): a scalar, or one a column.

    "percentile" takes that percentile of |sum|; "mse" the clip, of 64 fractions of the largest |sum|, at which a
    uniform converter of `n_levels` codes makes the least mean squared error on them. A column that was always zero
    gets 1. Not random. Raises ValueError for another method, a percentile outside (0, 100], fewer than 3 levels or no
    sums.
    """
    check_choice("method", method, METHODS)
    if not 0.0 < percentile <= 100.0:
        raise ValueError(f"percentile must lie in (0, 100], got {percentile!r}")
    if not n_levels >= 3:
        raise ValueError(f"n_levels must be at least 3, got {n_levels!r}")
    if sums.size == 0:
        raise ValueError(f"sums must hold at least one sum, got shape {sums.shape}")
    flat = sums.reshape(-1, sums.shape[-1]) if per_column else sums.reshape(-1, 1)
    size = jnp.abs(flat)
    if method == "percentile":
        chosen = jnp.percentile(size, percentile, axis=0)
    else:
        largest = jnp.max(size, axis=0)
        scale = jnp.where(largest > 0, largest, 1.0)
        fractions = np.linspace(1.0, 0.0, 64, endpoint=False, dtype=np.float32)
        errors = [jnp.mean((quantize(flat / (f * scale), n_levels) * f * scale - flat) ** 2, axis=0) for f in fractions]
        chosen = largest * fractions[jnp.argmin(jnp.stack(errors), axis=0)]
    chosen = jnp.where(chosen > 0, chosen, 1.0)
    return chosen if per_column else chosen[0]


def clipped_mse(clip: float, n_codes: float | int) -> float:
    """Mean squared error of `n_codes` equidistant codes on ±`clip` for a standard normal input:

    D²/12 (1 − 2Q(A)) + 2[(1 + A²) Q(A) − A φ(A)], D = 2A/(n_codes − 1), A = clip (Bennett 1948 for the first term,
    which takes the error inside the range as uniform; the second, clipping, is exact).
    Raises ValueError unless clip > 0 and n_codes ≥ 2.
    """
    if not clip > 0 or not n_codes >= 2:
        raise ValueError(f"clip must be above 0 and n_codes at least 2, got {clip!r} and {n_codes!r}")
    tail, density = 0.5 * erfc(clip / sqrt(2.0)), exp(-0.5 * clip**2) / sqrt(2.0 * pi)
    step = 2.0 * clip / (n_codes - 1.0)
    return step**2 / 12.0 * (1.0 - 2.0 * tail) + 2.0 * ((1.0 + clip**2) * tail - clip * density)


def optimal_clip(n_codes: float | int) -> float:
    """The clip, in standard deviations of Gaussian sums, of least `clipped_mse`: times their standard deviation, a
    `full_scale`. By golden section, to 1e-6. Raises ValueError unless n_codes ≥ 2."""
    ratio = 0.5 * (sqrt(5.0) - 1.0)
    low, high = 0.1, 10.0
    while high - low > 1e-6:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if clipped_mse(left, n_codes) < clipped_mse(right, n_codes):
            high = right
        else:
            low = left
    return 0.5 * (low + high)


def lossless_bits(input_bits: int, weight_bits: int, n_rows: int) -> int:
    """Bits of a signed converter that loses nothing of a sum of `n_rows` products of signed integers:
    input_bits + weight_bits + log2(n_rows) − 1, rounded up. Raises ValueError for numbers that cannot be."""
    for name, value, least in (("input_bits", input_bits, 2), ("weight_bits", weight_bits, 2), ("n_rows", n_rows, 1)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value!r}")
    return input_bits + weight_bits + ceil(log2(n_rows)) - 1
