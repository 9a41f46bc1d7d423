"""Writing weights into an array: drawn once, frozen until the next write."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Key

from aimc.devices.base import Level, polynomial
from aimc.mapping import differential, to_tiles
from aimc.noise import normal
from aimc.spec import CrossbarSpec


class State(NamedTuple):
    """A programmed array. Conductances are in units of g_max; `w` and `read_variance` in units of the weights.

    `w` is what a noiseless read multiplies by; gradients pass through it to the weights that were programmed.
    `read_variance`, the variance of one weight in one read, is cached for the output path with the shape of `w` (in
    bfloat16 where there is one tile: an error of at most 2⁻⁷ in an output's variance, far less on average). It is one
    number a tile, (n_tiles, 1, 1), where the noise does not depend on the conductance, and absent where there is none.
    """

    w: Float[Array, "n_tiles n_row n_out"]
    g_plus: Float[Array, "n_tiles n_row n_out"]
    g_minus: Float[Array, "n_tiles n_row n_out"]
    scale: Float[Array, ""]
    read_variance: Float[Array, "n_tiles _ _"] | None
    extent: Float[Array, "n_in 0"]
    """Empty: its shape remembers how many of the rows are inputs, the rest being filled up."""
    spec: CrossbarSpec


def program(key: Key[Array, ""], w: Float[Array, "n_in n_out"], spec: CrossbarSpec) -> State:
    """Write the weights into differential pairs, with the device's programming error on each of the two cells.

    The error is Gaussian and conductances stop at zero, so a cell meant to be at zero is above it on average, as on
    a chip. Any size: weights longer than `spec.rows` are cut into row tiles. key is consumed. Gradients pass
    straight through to `w`. Raises ValueError for weights that are not a matrix with entries, or, outside jit, not
    finite.
    """
    if w.ndim != 2 or 0 in w.shape:
        raise ValueError(f"w must be a matrix of n_in rows and n_out columns, both at least 1, got shape {w.shape}")
    if not isinstance(w, Tracer) and not (finite := np.isfinite(np.asarray(w))).all():
        raise ValueError(f"w must be finite to be programmed, got {int((~finite).sum())} entries that are not")
    tiles = to_tiles(w, spec.rows)
    target = jax.lax.stop_gradient(tiles)
    g_plus, g_minus, scale = differential(target)
    if spec.device.programming_std:
        plus_key, minus_key = jax.random.split(key)
        g_plus = _write(plus_key, g_plus, spec.device.programming_std)
        g_minus = _write(minus_key, g_minus, spec.device.programming_std)
        # Straight through: the error is a constant to the gradient.
        tiles = tiles + (scale * (g_plus - g_minus) - target)
    return State(
        tiles, g_plus, g_minus, scale, _pair_variance(g_plus, g_minus, scale, spec), jnp.zeros((w.shape[0], 0)), spec
    )


def _write(
    key: Key[Array, ""], g: Float[Array, "*shape"], std_coefficients: tuple[Level, ...]
) -> Float[Array, "*shape"]:
    # Cells that are filled up beside the weights are written too; they are never driven.
    error = polynomial(std_coefficients, g) * normal(key, g.shape)
    return jnp.maximum(g + error, 0.0)


def _pair_variance(g_plus: Array, g_minus: Array, scale: Array, spec: CrossbarSpec) -> Array | None:
    coefficients = spec.device.read_variance
    if not coefficients or spec.read_path == "device":
        return None
    if len(coefficients) == 1:  # the same for every cell: the product with x² collapses to a sum
        return jnp.full((g_plus.shape[0], 1, 1), 2.0 * coefficients[0] * scale**2)
    # A published polynomial may dip below zero between its points; a variance may not.
    pair = jnp.maximum(polynomial(coefficients, g_plus), 0.0) + jnp.maximum(polynomial(coefficients, g_minus), 0.0)
    # A bfloat16 product is faster, but inside the scan over tiles XLA would first turn the whole array back to float32.
    return (pair * scale**2).astype(jnp.bfloat16 if g_plus.shape[0] == 1 else jnp.float32)
