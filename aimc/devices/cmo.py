"""Filamentary CMO/HfOx cells: a conductive-metal-oxide layer on HfOx, one device a weight."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from aimc.devices import flicker, relaxation
from aimc.devices.base import Device, Level, polynomial, static
from aimc.noise import normal

G_MAX_US = 88.2
PROGRAMMING_US = {0.2: (0.00081107, 0.00106879), 2.0: (0.0112185391, 0.01129027418)}
"""Acceptance range of write-verify in percent → σ in µS as a polynomial of G in µS."""


class CMOCells(NamedTuple):
    """A programmed cell; relaxation (in standard deviations) and 1/f noise exist once it has been aged."""

    programmed: Float[Array, "*shape"]
    z: Float[Array, "*shape"] | None
    noise: Float[Array, "*shape 15"] | None


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class CMO(Device):
    """CMO/HfOx cells after Falcone et al. (IBM Zurich), G in µS, t in seconds since programming, ξ standard normal.

    programming  G_P = max(G_T + σ_P(G_T) ξ, 0), σ_P linear in G, by the acceptance range of write-verify;
    relaxation  G_R = G_P − 0.08900 ln t + (0.04201 ln t + 0.41183) Z(t), the same for every G, Z as in `relaxation`;
    accumulated 1/f noise  G = max(G_R + 0.02773 log10(G_R) X, 0), Var X = ln((t + 1 µs)/(2 µs)), see `flicker`.

    The measured law begins at 1 s. Before, the mean is left where it is, and the spread follows the same line down to
    zero at 55 µs. Nothing fresh at a read. Conductances are not cut at the ends of the range.
    """

    programming_std: tuple[Level, ...] = tuple(c * G_MAX_US**k / G_MAX_US for k, c in enumerate(PROGRAMMING_US[0.2]))
    mean_shift: Level = -0.08900206 / G_MAX_US
    relaxed_std: tuple[Level, Level] = (0.41183342 / G_MAX_US, 0.04201137 / G_MAX_US)
    noise_per_decade: Level = 0.0277316483 / G_MAX_US
    read_s: Level = 1e-6
    evidence: str = static("silicon")
    source: str = static("Falcone et al. (IBM Research Zurich); coefficients of IBM aihwkit ReRamCMONoiseModel")

    def relaxed(self, seconds: Level) -> Float[Array, ""]:
        """Spread of the relaxation after `seconds`, in units of g_max."""
        constant, slope = self.relaxed_std
        return jnp.maximum(constant + slope * jnp.log(jnp.maximum(seconds, 1e-9)), 0.0)

    def write(self, key: Key[Array, ""], target: Float[Array, "*shape"]) -> CMOCells:
        error = polynomial(self.programming_std, target) * normal(key, target.shape)
        return CMOCells(jnp.maximum(target + error, 0.0), None, None)

    def age(self, key: Key[Array, ""], cells: CMOCells, elapsed: Level, seconds: Level) -> CMOCells:
        relax_key, noise_key = jax.random.split(key)
        shape = cells.programmed.shape
        rho = relaxation.shrink(self.relaxed(elapsed), self.relaxed(elapsed + seconds))
        z = normal(relax_key, shape) if cells.z is None else relaxation.step(relax_key, cells.z, rho)
        return CMOCells(cells.programmed, z, flicker.step(noise_key, cells.noise, shape, elapsed, seconds, self.read_s))

    def conductance(self, cells: CMOCells, elapsed: Level) -> Float[Array, "*shape"]:
        relaxed = cells.programmed + self.mean_shift * jnp.log(jnp.maximum(elapsed, 1.0))
        if cells.z is not None:
            relaxed = relaxed + self.relaxed(elapsed) * cells.z
        if cells.noise is None:
            return jnp.maximum(relaxed, 0.0)
        decades = jnp.log10(jnp.maximum(relaxed * self.g_max * 1e6, 1.0))
        return jnp.maximum(relaxed + self.noise_per_decade * decades * flicker.total(cells.noise), 0.0)


def cmo(acceptance_percent: float = 0.2) -> CMO:
    """CMO/HfOx filamentary cell, 9 to 88.2 µS, one device a weight, written to within 0.2 % or 2 % of the target, with
    relaxation (mean and spread linear in ln t) and accumulated 1/f noise.

    σ_P(µS) = 0.00081107 + 0.00106879 G (0.2 %) or 0.0112185 + 0.01129027 G (2 %). Silicon, as fitted in IBM aihwkit
    `ReRamCMONoiseModel` (Falcone et al.). Raises ValueError for another acceptance range: there are no data.
    """
    if acceptance_percent not in PROGRAMMING_US:
        raise ValueError(f"acceptance_percent must be 0.2 or 2, the two measured, in percent, got {acceptance_percent}")
    coefficients = PROGRAMMING_US[acceptance_percent]
    return CMO(
        g_max=G_MAX_US * 1e-6,
        g_min=9.0 / G_MAX_US,
        programming_std=tuple(c * G_MAX_US**k / G_MAX_US for k, c in enumerate(coefficients)),
    )


def cmo_2_percent() -> CMO:
    """The CMO/HfOx cell written to within 2 % of the target: ten times the programming error, fewer pulses.

    See `cmo`. Silicon, as fitted in IBM aihwkit `ReRamCMONoiseModel` (Falcone et al.).
    """
    return cmo(acceptance_percent=2.0)
