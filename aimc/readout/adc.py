"""A uniform converter with clipping."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from aimc.counts import Counts
from aimc.devices.base import Level
from aimc.readout.base import Readout


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class UniformADC(Readout):
    """`n_levels` equidistant signed codes (2**bits − 1, so that zero is one) over ±`full_scale`; sums beyond clip."""

    n_levels: Level = 255.0

    def read(
        self, key: Key[Array, ""], u: Float[Array, "*batch n_columns"], errors: Any, unit: Float[Array, "..."]
    ) -> Float[Array, "*batch n_columns"]:
        return quantize(u, self.n_levels) * unit

    def codes(
        self, key: Key[Array, ""], u: Float[Array, "*batch n_columns"], errors: Any
    ) -> Int[Array, "*batch n_columns"]:
        return jnp.round(quantize(u, self.n_levels) * 0.5 * (self.n_levels - 1.0)).astype(jnp.int32)

    def counts(self, n: int) -> Counts:
        return Counts(adc_samples=n)


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
