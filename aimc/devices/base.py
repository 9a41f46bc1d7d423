"""What every cell technology states about itself: its range, its programming error, its read noise."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

Level = float | Float[Array, ""]
"""A physical level: a plain number or a scalar array, so that it can be swept without recompiling."""


class Device(NamedTuple):
    """Statistics of one cell, as polynomials in g = G / g_max (coefficients from the constant term up).

    `programming_std` and `slow_std` are standard deviations and `read_variance` is a variance, in units of g_max
    and g_max². An empty polynomial means that the noise does not exist, and costs nothing at run time.

    * programming: drawn once when a cell is written, independent between cells, frozen until the next write.
    * slow: drawn once per call of `mvm`, the same for every input vector of that call (noise slower than a batch).
    * read: drawn anew for every cell at every read, independent between cells and reads.
    """

    g_max: Level
    programming_std: tuple[Level, ...] = ()
    read_variance: tuple[Level, ...] = ()
    slow_std: tuple[Level, ...] = ()


def ideal(g_max: Level = 25e-6) -> Device:
    """A cell that stores and conducts exactly what it is told. `g_max` in siemens."""
    return Device(g_max)


def polynomial(coefficients: tuple[Level, ...], g: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Evaluate c0 + c1 g + c2 g² + ... by Horner's rule; the empty polynomial is 0."""
    value = jnp.zeros_like(g)
    for coefficient in reversed(coefficients):
        value = value * g + coefficient
    return value
