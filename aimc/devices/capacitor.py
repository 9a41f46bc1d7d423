"""Volatile memory: a charge on a capacitor drives a transistor, and leaks away."""

from dataclasses import dataclass
from math import inf, sqrt
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from aimc.devices.base import Device, Level, static
from aimc.noise import normal

BOLTZMANN_J_PER_K = 1.380649e-23
TEMPERATURE_K = 300.0


class CapacitorCells(NamedTuple):
    """The voltage when writing ended, as a fraction of the swing, and the cell's gain."""

    voltage: Float[Array, "*shape"]
    gain: Float[Array, "*shape"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Capacitor(Device):
    """A capacitor cell with a linear transistor: g(t) = max(gain v(t), 0), v(t) = r + (v(0) − r) exp(−t/τ).

    Writing leaves v(0) = target + `thermal_std` ξ, the thermal noise √(kT/C) over the swing; the gain 1 + `mismatch` ξ
    stays until the next write. Both are independent, so their variances add: σ² = thermal² + (mismatch g)² to second
    order. v leaks towards `rest` with the time constant `tau_s`. Nothing is fresh at a read (an assumption). A write
    refreshes; it also draws the gain anew, though a real transistor keeps its own.
    """

    thermal_std: Level = 0.0
    mismatch: Level = 0.0
    tau_s: Level = inf
    rest: Level = 0.0
    source: str = static("Johnson–Nyquist noise and exponential leak; sizes assumed, swing of Leroux et al. 2025")

    def write(self, key: Key[Array, ""], target: Float[Array, "*shape"]) -> CapacitorCells:
        thermal_key, gain_key = jax.random.split(key)
        voltage = target + self.thermal_std * normal(thermal_key, target.shape)
        return CapacitorCells(voltage, 1.0 + self.mismatch * normal(gain_key, target.shape))

    def conductance(self, cells: CapacitorCells, elapsed: Level) -> Float[Array, "*shape"]:
        left = self.rest + (cells.voltage - self.rest) * jnp.exp(-elapsed / self.tau_s)
        return jnp.maximum(cells.gain * left, 0.0)


def thermal_std(capacitance_f: float, swing_v: float) -> float:
    """√(kT/C) over the swing at 300 K: 0.64 mV at 10 fF."""
    return sqrt(BOLTZMANN_J_PER_K * TEMPERATURE_K / capacitance_f) / swing_v


def check_sizes(capacitance_f: float, swing_v: float, mismatch: float, tau_s: float) -> None:
    """Raise ValueError for a size that cannot exist."""
    for name, value in (("capacitance_f", capacitance_f), ("swing_v", swing_v), ("tau_s", tau_s)):
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value}")
    if not mismatch >= 0:
        raise ValueError(f"mismatch must be at least 0, got {mismatch}")


def capacitor(
    capacitance_f: float = 10e-15,
    swing_v: float = 0.9,
    mismatch: float = 0.01,
    tau_s: float = 5e-3,
    rest: float = 0.0,
) -> Capacitor:
    """Capacitor cell with a linear transistor: thermal noise √(kT/C) of each write, 1 % gain mismatch between cells,
    leak exp(−t/5 ms) towards zero.

    Swing 0.9 V (Leroux et al., Nat. Comput. Sci. 2025), retention 5 ms as reported for silicon gain cells; the
    capacitance of 10 fF and the mismatch are assumptions. `rest` is the level it leaks to, as a fraction of the swing.
    Raises ValueError for a size that cannot exist.
    """
    check_sizes(capacitance_f, swing_v, mismatch, tau_s)
    if not 0 <= rest <= 1:
        raise ValueError(f"rest must be a fraction of the swing between 0 and 1, got {rest}")
    return Capacitor(thermal_std=thermal_std(capacitance_f, swing_v), mismatch=mismatch, tau_s=tau_s, rest=rest)
