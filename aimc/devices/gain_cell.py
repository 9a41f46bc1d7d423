"""The gain cell of analog attention: a stored voltage whose current is a cubic of it."""

from dataclasses import dataclass
from math import inf

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from aimc.devices.base import Device, Level, polynomial, static
from aimc.devices.capacitor import CapacitorCells, check_sizes, thermal_std
from aimc.noise import normal

SWING_V = 0.9
CUBIC = (0.52136, 13.61226, -2.62045, 46.05484)
"""f(y): summed charge against y = V − 0.45 V, at full input, from the constant up (Leroux et al. 2025, eq. 4)."""
HALF = SWING_V / 2
LOWEST = sum(c * (-HALF) ** k for k, c in enumerate(CUBIC))
HIGHEST = sum(c * HALF**k for k, c in enumerate(CUBIC))


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class GainCell(Device):
    """A gain cell that stores V in [0, 0.9] V: g(t) = (gain f(y(t)) − f(−0.45))/(f(0.45) − f(−0.45)).

    f(y) = 0.52136 + 13.61226 y − 2.62045 y² + 46.05484 y³, y = V − 0.45 V, rises from −10.33 to 10.31: a signed weight
    from one cell, with zero near the middle of the range. g = 0 is full negative current, not none, so nothing stops
    there: noise carries cells below it as it carries others above 1. y leaks to zero, y(t) = y(0) exp(−t/τ), so that
    the cell goes to f(0), not to no current. Writing leaves the thermal noise √(kT/C) on V; the gain 1 + `mismatch` ξ
    of the current stays until the next write. `predistorted`: V is chosen so that the fresh cell conducts its target;
    otherwise V is linear in the target, as in the paper, and the fresh cell is off by up to 10 % of the range.
    """

    thermal_v: Level = 0.0
    mismatch: Level = 0.0
    tau_s: Level = inf
    predistorted: bool = static(True)
    evidence: str = static("SPICE")
    source: str = static("Leroux et al., Nat. Comput. Sci. 2025, eq. 4; capacitance and mismatch assumed")

    def write(self, key: Key[Array, ""], target: Float[Array, "*shape"]) -> CapacitorCells:
        thermal_key, gain_key = jax.random.split(key)
        y = invert(target) if self.predistorted else SWING_V * target - HALF
        y = y + self.thermal_v * normal(thermal_key, target.shape)
        return CapacitorCells(y, 1.0 + self.mismatch * normal(gain_key, target.shape))

    def conductance(self, cells: CapacitorCells, elapsed: Level) -> Float[Array, "*shape"]:
        charge = cells.gain * polynomial(CUBIC, cells.voltage * jnp.exp(-elapsed / self.tau_s))
        return (charge - LOWEST) / (HIGHEST - LOWEST)


def invert(g: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The y, in volts, at which the normalised cubic is `g`. Newton's method: the cubic rises everywhere."""
    slope = tuple(k * c for k, c in enumerate(CUBIC))[1:]
    charge = LOWEST + (HIGHEST - LOWEST) * g
    y = SWING_V * g - HALF
    for _ in range(5):
        y = y - (polynomial(CUBIC, y) - charge) / polynomial(slope, y)
    return y


def gain_cell(
    capacitance_f: float = 10e-15, mismatch: float = 0.01, tau_s: float = 5e-3, predistorted: bool = True
) -> GainCell:
    """CMOS gain cell, stored voltage 0 to 0.9 V, cubic transistor law, leak exp(−t/5 ms) towards the middle, thermal
    noise √(kT/C) of each write, 1 % mismatch of the current.

    Cubic and leak: Leroux et al., Nat. Comput. Sci. 2025 (SPICE); 5 ms is 6250 tokens of 0.8 µs. Capacitance and
    mismatch are assumptions. Raises ValueError for a size that cannot exist.
    """
    check_sizes(capacitance_f, SWING_V, mismatch, tau_s)
    return GainCell(
        thermal_v=thermal_std(capacitance_f, 1.0), mismatch=mismatch, tau_s=tau_s, predistorted=predistorted
    )
