"""Weights to conductances: differential pairs, cut into the row tiles an array has."""

from math import ceil

import jax.numpy as jnp
from jaxtyping import Array, Float


def row_tiles(n_in: int, rows: int) -> tuple[int, int]:
    """Number of row tiles that `n_in` inputs need, and how many inputs each then takes: an even cut wastes least."""
    n_tiles = ceil(n_in / rows)
    return n_tiles, ceil(n_in / n_tiles)


def to_tiles(w: Float[Array, "n_in n_out"], rows: int) -> Float[Array, "n_tiles n_row n_out"]:
    """Stack the row tiles; the last one is filled up with zero weights, which are never driven.

    Columns are independent of each other here, so column tiles need no axis: they only count in `aimc.counts`.
    """
    n_tiles, n_row = row_tiles(w.shape[0], rows)
    return jnp.pad(w, ((0, n_tiles * n_row - w.shape[0]), (0, 0))).reshape(n_tiles, n_row, w.shape[1])


def differential(
    w: Float[Array, "*shape"],
) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"], Float[Array, ""]]:
    """Split weights into target conductances of a pair, (g_plus, g_minus, scale), w = scale (g_plus − g_minus).

    Conductances are in units of g_max; one of the two is zero (Joshi et al., Nat. Commun. 2020). `scale` is the largest
    weight; weights that are all zero map to zero conductance.
    """
    largest = jnp.max(jnp.abs(w))
    scale = jnp.where(largest > 0, largest, 1.0)
    g = w / scale
    return jnp.maximum(g, 0.0), jnp.maximum(-g, 0.0), scale
