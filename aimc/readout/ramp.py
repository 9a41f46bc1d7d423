"""A ramp converter: one ramp for many columns of a tile, a comparator and a latch for each."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from aimc.counts import Counts
from aimc.devices.base import Level, static
from aimc.noise import normal
from aimc.readout.adc import ConverterErrors, distort, inl_coefficients, quantize
from aimc.readout.base import PerColumn, Readout, check_bits


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class RampADC(Readout):
    """A counter runs while a ramp climbs from −1 to +1 in 2**`bits` clocks; each column latches it when passed.

    code = round(clip(v) (2**bits − 2)/2), v = u + offset + INL(u). Frozen: the ramp's INL (`inl_rms`, the law of
    `inl_coefficients`) is one draw for every `columns_per_ramp` neighbouring columns of a row tile, so its errors do
    not average out between those; the comparators' offsets (`offset_std`, in full scales) are one a column. Each is
    None or a level. Fresh: nothing but `noise`. Gradient: straight-through. Counts: a conversion a column, and 2**bits
    clock ticks that its latch sees, as `pulses`; a conversion lasts that many clocks. Source: architecture as in Spear
    et al. 2023; the smooth INL is ours, of class assumption. Raises ValueError for impossible bits or
    `columns_per_ramp` < 1.
    """

    bits: int = static(8)
    columns_per_ramp: int = static(256)
    offset_std: Level | None = None
    inl_rms: Level | None = None
    source: str = static("Spear et al. 2023 for the architecture; smooth INL assumed")

    def __post_init__(self) -> None:
        check_bits("RampADC.bits", self.bits)
        shared = self.columns_per_ramp
        if isinstance(shared, bool) or not isinstance(shared, int) or shared < 1:
            raise ValueError(f"RampADC.columns_per_ramp must be a whole number of at least 1, got {shared!r}")

    def fabricate(self, key: Key[Array, ""], shape: tuple[int, int]) -> ConverterErrors | None:
        """Ramps of the tiles and offsets of the columns; None without errors. Random: all of it, frozen."""
        if self.offset_std is None and self.inl_rms is None:
            return None
        ramp_key, offset_key = jax.random.split(key)
        n_tiles, n_columns = shape
        inl = None
        if self.inl_rms is not None:
            ramps = inl_coefficients(ramp_key, (n_tiles, -(-n_columns // self.columns_per_ramp)), self.inl_rms)
            inl = jnp.repeat(ramps, self.columns_per_ramp, axis=1)[:, :n_columns]
        offset = None if self.offset_std is None else self.offset_std * normal(offset_key, shape)
        return ConverterErrors(offset=offset, inl=inl)

    def read(
        self, key: Key[Array, ""], u: Float[Array, "*batch n_columns"], errors: Any, unit: Float[Array, "..."]
    ) -> Float[Array, "*batch n_columns"]:
        """The latched level times `unit`. Not random: key is not used."""
        return quantize(distort(u, errors), 2.0**self.bits - 1.0, unit)

    def codes(
        self, key: Key[Array, ""], u: Float[Array, "*batch n_columns"], errors: Any, unit: PerColumn = 1.0
    ) -> Int[Array, "*batch n_columns"]:
        """Signed codes, ±(2**(bits − 1) − 1) at most."""
        level = quantize(distort(u, errors), 2.0**self.bits - 1.0)
        return jnp.round(level * (2.0 ** (self.bits - 1) - 1.0)).astype(jnp.int32)

    def counts(self, n: int) -> Counts:
        """A conversion a column and the clock ticks of its ramp."""
        return Counts(adc_samples=n, pulses=n * 2**self.bits)
