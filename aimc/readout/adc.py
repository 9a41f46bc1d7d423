"""A uniform converter with clipping; it serves as DAC as well."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from aimc.devices.base import Level


@jax.custom_jvp
def quantize(x: Float[Array, "*shape"], n_levels: Level) -> Float[Array, "*shape"]:
    """Round to `n_levels` equidistant codes on [−1, 1], zero among them, and clip beyond.

    Straight-through: the derivative is 1 inside the range and 0 outside (Bengio et al. 2013). `n_levels` is 2**bits
    − 1 and may be traced; it gets no gradient.
    """
    half = 0.5 * (n_levels - 1.0)
    return jnp.round(jnp.clip(x, -1.0, 1.0) * half) / half


@quantize.defjvp
def _quantize_jvp(primals, tangents):
    x, n_levels = primals
    return quantize(x, n_levels), jnp.where(jnp.abs(x) <= 1.0, tangents[0], 0.0)
