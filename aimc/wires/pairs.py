"""Signed weights in one array: the rows of G⁺ and G⁻ interleaved, driven with +v and −v."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def interleave(
    g_plus: Float[Array, "*tiles m n"], g_minus: Float[Array, "*tiles m n"]
) -> Float[Array, "*tiles double_m n"]:
    """One array of 2m rows: row 2i is row i of g_plus, row 2i + 1 that of g_minus. Raises ValueError if they differ in
    shape."""
    if g_plus.shape != g_minus.shape:
        raise ValueError(f"g_plus and g_minus must have the same shape, got {g_plus.shape} and {g_minus.shape}")
    *tiles, m, n = g_plus.shape
    return jnp.stack([g_plus, g_minus], axis=-2).reshape(*tiles, 2 * m, n)


def pair_voltages(v: Float[Array, "*batch m"]) -> Float[Array, "*batch double_m"]:
    """+v on the rows of G⁺, −v on those of G⁻."""
    return jnp.stack([v, -v], axis=-1).reshape(*v.shape[:-1], 2 * v.shape[-1])


def pair_inputs(m: int) -> Float[Array, "m double_m"]:
    """The same as a matrix: `pair_voltages(v)` is `v @ pair_inputs(m)`."""
    return pair_voltages(jnp.eye(m))


def fold_pairs(h: Float[Array, "*tiles double_m n"]) -> Float[Array, "*tiles m n"]:
    """The signed H of interleaved pairs: `v @ fold_pairs(h)` is `pair_voltages(v) @ h`."""
    if h.shape[-2] % 2:
        raise ValueError(f"h of interleaved pairs has an even number of rows, got {h.shape[-2]}")
    return h[..., 0::2, :] - h[..., 1::2, :]
