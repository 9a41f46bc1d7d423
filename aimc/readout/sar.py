"""A successive-approximation converter whose capacitors do not match."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from aimc.counts import Counts
from aimc.devices.base import Level, static
from aimc.noise import normal
from aimc.readout.adc import quantize
from aimc.readout.base import PerColumn, Readout, check_bits, straight_through


class SARErrors(NamedTuple):
    """What one converter a column was built with, in LSB."""

    weights: Array  # (..., bits): what each bit adds to the threshold, least significant first
    offset: Array | None  # (...): of the comparator


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class SARADC(Readout):
    """Binary search against a capacitive DAC: `bits` comparisons, from the largest capacitor down.

    Capacitor n is 2**n + 2**(n/2) σ_C ξ_n units (mismatch grows with the root of the area; Spear et al. 2023), a unit
    capacitor closes the divider, so a trial code stands for 2**bits Σ b_n C_n / (Σ C_n + C_unit) LSB, divided by
    1 + 1/A where a buffer of gain A follows. A bit stays if the sum is not below the trial. Codes are those of
    `UniformADC` with 2**bits − 1 levels (the last one is unused), and so is the result without errors, which is
    computed as such; ties then go to the even code, in the search to the upper one.

    Frozen, a column: `capacitor_mismatch` σ_C (of a unit capacitor), `offset_std` of the comparator (units of full
    scale). Not random: `amplifier_gain` A. Each is None or a level. Fresh: nothing but `noise`. Gradient:
    straight-through, 1 inside the range. Charge-redistribution topology; Spear's own DAC divides by a feedback
    capacitor instead, whose mismatch is a gain error.
    """

    bits: int = static(8)
    capacitor_mismatch: Level | None = None
    offset_std: Level | None = None
    amplifier_gain: Level | None = None
    source: str = static("Spear et al. 2023, capacitor statistics; charge redistribution as in the textbooks")

    def __post_init__(self) -> None:
        check_bits("SARADC.bits", self.bits)

    def fabricate(self, key: Key[Array, ""], shape: tuple[int, int]) -> SARErrors | None:
        """Capacitors and comparator of every column; None without errors. Random: both, frozen."""
        if self.capacitor_mismatch is None and self.offset_std is None and self.amplifier_gain is None:
            return None
        capacitor_key, offset_key = jax.random.split(key)
        nominal = np.append(2.0 ** np.arange(self.bits), 1.0).astype(np.float32)
        capacitors = jnp.broadcast_to(nominal, (*shape, self.bits + 1))
        if self.capacitor_mismatch is not None:
            capacitors = capacitors + self.capacitor_mismatch * np.sqrt(nominal) * normal(
                capacitor_key, capacitors.shape
            )
        weights = 2.0**self.bits * capacitors[..., :-1] / jnp.sum(capacitors, axis=-1, keepdims=True)
        if self.amplifier_gain is not None:
            weights = weights / (1.0 + 1.0 / self.amplifier_gain)
        offset = None if self.offset_std is None else self._half * self.offset_std * normal(offset_key, shape)
        return SARErrors(weights, offset)

    @property
    def _half(self) -> float:
        return 2.0 ** (self.bits - 1) - 1.0

    def _search(self, u: Array, errors: SARErrors) -> Array:
        """Signed codes as floats."""
        v = jnp.clip(u, -1.0, 1.0) * self._half + (self._half + 0.5)
        if errors.offset is not None:
            v = v + errors.offset
        threshold, code = jnp.zeros_like(v), jnp.zeros_like(v)
        for bit in reversed(range(self.bits)):
            trial = threshold + errors.weights[..., bit]
            stays = v >= trial
            threshold = jnp.where(stays, trial, threshold)
            code = jnp.where(stays, code + 2.0**bit, code)
        return jnp.minimum(code, 2.0 * self._half) - self._half

    def read(
        self, key: Key[Array, ""], u: Float[Array, "*batch n_columns"], errors: Any, unit: Float[Array, "..."]
    ) -> Float[Array, "*batch n_columns"]:
        """The code's level times `unit`. Not random: key is not used."""
        if errors is None:
            return quantize(u, 2.0**self.bits - 1.0, unit)
        level = self._search(jax.lax.stop_gradient(u), errors) / self._half
        return straight_through(level, jnp.clip(u, -1.0, 1.0)) * unit

    def codes(
        self, key: Key[Array, ""], u: Float[Array, "*batch n_columns"], errors: Any, unit: PerColumn = 1.0
    ) -> Int[Array, "*batch n_columns"]:
        """Signed codes, ±(2**(bits − 1) − 1) at most."""
        return jnp.round(self.read(key, u, errors, jnp.float32(1.0)) * self._half).astype(jnp.int32)

    def counts(self, n: int) -> Counts:
        """A conversion a column; its `bits` comparisons are part of it and not counted again."""
        return Counts(adc_samples=n)
