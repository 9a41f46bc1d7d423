"""TaOx cells with one transistor and random telegraph noise: parametric, for want of published coefficients."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from aimc.devices import telegraph
from aimc.devices.base import Device, Level, polynomial, static
from aimc.noise import normal, uniform


class TrapCells(NamedTuple):
    """A programmed cell, the relative step ΔG/G of its trap, and whether the trap is full."""

    programmed: Float[Array, "*shape"]
    step: Float[Array, "*shape"]
    full: Bool[Array, "*shape"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class TaOx(Device):
    """Cells with one two-state trap each: G = G_P (1 − a (s − p)), s = 1 while the trap is full, p its mean occupancy.

    G_P = max(G_T + σ_P(g) ξ, 0), σ_P polynomial in g (`programming_std`); the relative step a = min(ã g^−`exponent`
    exp(`log_std` ξ), 1), with ã = `step` its median at full scale: log-normal, larger at low conductance. Write-verify
    is taken to set the time average, so that the trap does not bias it. The trap captures after `capture_s` and emits
    after `emission_s` on average; `start` is the chance that it is full when programming ends, None for its mean
    occupancy (stationary).
    """

    programming_std: tuple[Level, ...] = (0.01,)
    step: Level = 0.01
    exponent: Level = 0.5
    log_std: Level = 0.8
    capture_s: Level = 1.0
    emission_s: Level = 1.0
    start: Level | None = None
    source: str = static(
        "parametric; orders of magnitude from Li et al., Nat. Electron. 2018, and Rao et al., Nature 2023"
    )

    def write(self, key: Key[Array, ""], target: Float[Array, "*shape"]) -> TrapCells:
        error_key, step_key, trap_key = jax.random.split(key, 3)
        error = polynomial(self.programming_std, target) * normal(error_key, target.shape)
        median = self.step * jnp.maximum(target, 1e-3) ** -self.exponent
        step = jnp.minimum(median * jnp.exp(self.log_std * normal(step_key, target.shape)), 1.0)
        chance = telegraph.occupancy(self.capture_s, self.emission_s) if self.start is None else self.start
        return TrapCells(jnp.maximum(target + error, 0.0), step, uniform(trap_key, target.shape) < chance)

    def age(self, key: Key[Array, ""], cells: TrapCells, elapsed: Level, seconds: Level) -> TrapCells:
        return cells._replace(full=telegraph.step(key, cells.full, seconds, self.capture_s, self.emission_s))

    def conductance(self, cells: TrapCells, elapsed: Level) -> Float[Array, "*shape"]:
        excess = cells.full.astype(jnp.float32) - telegraph.occupancy(self.capture_s, self.emission_s)
        return cells.programmed * (1.0 - cells.step * excess)


def taox(
    g_max: float = 150e-6,
    g_min: float = 1e-6,
    programming_std: tuple[float, ...] = (0.01,),
    step: float = 0.01,
    exponent: float = 0.5,
    log_std: float = 0.8,
    capture_s: float = 1.0,
    emission_s: float = 1.0,
    start: float | None = None,
) -> TaOx:
    """TaOx cell with one transistor, 1 to 150 µS: write-verify to 1 % of the range, and a telegraph trap of 1 % at full
    scale, more at low conductance.

    An assumption in every number: programming to better than 1 % of the range and 1–150 µS or 100–900 µS are reported
    (Li et al. 2018, Rao et al. 2023), but no coefficients. `g_max`, `g_min` in siemens; the rest as in `TaOx`. Raises
    ValueError for a value that cannot exist.
    """
    for name, value in (("g_max", g_max), ("capture_s", capture_s), ("emission_s", emission_s)):
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value}")
    if not 0 <= g_min < g_max:
        raise ValueError(f"g_min must be at least 0 and below g_max = {g_max}, got {g_min}")
    for name, value in (("step", step), ("exponent", exponent), ("log_std", log_std)):
        if not value >= 0:
            raise ValueError(f"{name} must be at least 0, got {value}")
    if start is not None and not 0 <= start <= 1:
        raise ValueError(f"start must be a probability between 0 and 1, or None for stationary traps, got {start}")
    return TaOx(
        g_max=g_max,
        g_min=g_min / g_max,
        programming_std=programming_std,
        step=step,
        exponent=exponent,
        log_std=log_std,
        capture_s=capture_s,
        emission_s=emission_s,
        start=start,
    )
