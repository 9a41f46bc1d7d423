"""Charge to pulse: a column's charge becomes a pulse width, which a clocked counter may digitise."""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from aimc.counts import Counts
from aimc.devices.base import Level, static
from aimc.noise import normal
from aimc.readout.base import PerColumn, Readout, straight_through

BOLTZMANN = 1.380649e-23
"""J/K, exact by the definition of the kelvin (SI 2019)."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class ChargeToPulse(Readout):
    """T = T_max clip(S/S_sat, 0, 1) (Leroux et al. 2025, eq. 3); S_sat is `full_scale`, T is given in units of T_max.

    Unipolar by default: a negative sum gives no pulse, so this is a rectifier and tiles cannot be added. `signed` is
    the two-line variant, a positive or a negative pulse, T = clip(S/S_sat, −1, 1). A counter on each line rounds T to
    `n_levels` codes, 0 to n_levels − 1 (round: the clock's phase is reset half a period before the pulse), so that
    signed codes are ±(n_levels − 1); None is no counter, the pulse itself drives the next array.

    Frozen: nothing. Fresh: `jitter` of the pulse's end, Gaussian in units of T_max, only where there is a pulse; charge
    noise is `noise`, for which `kt_c_noise` gives kT/C. Gradient: straight-through, 1 inside the range. Counts: at most
    n_levels − 1 clock ticks a column, as `pulses`, or one pulse without a counter.
    """

    n_levels: Level | None = 16.0
    signed: bool = static(False)
    jitter: Level | None = None
    source: str = static("Leroux et al. 2025, eq. 3 (SPICE, T_max 15 ns, 16 levels)")

    def __post_init__(self) -> None:
        if not isinstance(self.signed, bool):
            raise ValueError(f"ChargeToPulse.signed must be True or False, got {self.signed!r}")

    @property
    def is_linear(self) -> bool:
        """Only the signed variant; the other forgets negative sums."""
        return self.signed

    def _top(self) -> Any:
        assert self.n_levels is not None
        return self.n_levels - 1.0

    def _width(self, key: Array, u: Array) -> Array:
        least = -1.0 if self.signed else 0.0
        width = jnp.clip(u, least, 1.0)
        if self.jitter is not None:
            width = jnp.where(width == 0.0, width, width + self.jitter * normal(key, u.shape))
            # An early end leaves no pulse, not one on the other line; the counter stops at its last code.
            width = jnp.where(u > 0, jnp.clip(width, 0.0, 1.0), jnp.clip(width, least, 0.0))
        return width

    def read(
        self, key: Key[Array, ""], u: Float[Array, "*batch n_columns"], errors: Any, unit: Float[Array, "..."]
    ) -> Float[Array, "*batch n_columns"]:
        """The (counted) width times `unit`. Random: jitter."""
        width = self._width(key, jax.lax.stop_gradient(u))
        smooth = jnp.clip(u, -1.0 if self.signed else 0.0, 1.0)
        if self.n_levels is None:
            return straight_through(width, smooth) * unit
        top = self._top()
        return straight_through(jnp.round(width * top), smooth * top) * (unit / top)

    def codes(
        self, key: Key[Array, ""], u: Float[Array, "*batch n_columns"], errors: Any, unit: PerColumn = 1.0
    ) -> Int[Array, "*batch n_columns"]:
        """Clock ticks counted, negative on the negative line. Raises ValueError without a counter."""
        if self.n_levels is None:
            raise ValueError("ChargeToPulse with n_levels=None gives a pulse and no code; state n_levels")
        return jnp.round(self._width(key, u) * self._top()).astype(jnp.int32)

    def counts(self, n: int) -> Counts:
        """An upper bound: every pulse as long as T_max."""
        return Counts(pulses=n if self.n_levels is None else n * int(self._top()))


def kt_c_noise(capacitance: float, full_scale_volts: float, temperature: float = 300.0) -> float:
    """√(kT/C) of a capacitor (farad, kelvin) as a fraction of full scale; times `full_scale` it is a `noise`.

    Raises ValueError unless all three are positive.
    """
    for name, value in (
        ("capacitance", capacitance), ("full_scale_volts", full_scale_volts), ("temperature", temperature)
    ):  # fmt: skip
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value!r}")
    return sqrt(BOLTZMANN * temperature / capacitance) / full_scale_volts
