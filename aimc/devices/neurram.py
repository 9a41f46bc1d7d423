"""The HfOx cells of the NeuRRAM chip."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from aimc.devices import relaxation
from aimc.devices.base import Device, Level, polynomial, static
from aimc.devices.gaussian import Gaussian
from aimc.noise import normal

TIMES_S = (1.0, 86400.0, 2 * 86400.0)


class Relaxing(NamedTuple):
    """A cell that wanders about its target: deviation z in standard deviations."""

    target: Float[Array, "*shape"]
    z: Float[Array, "*shape"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class NeuRRAM(Device):
    """HfOx cells that relax after write-verify: G(t) = max(G_T + σ(g, t) Z(t), 0), see `relaxation` for Z.

    σ(µS) at g_max = 40 µS is the quartic of IBM aihwkit `ReRamWan2022NoiseModel`, read off Wan et al., Nature 2022:
    1 s: 0.348 + 16.030 g − 43.853 g² + 45.393 g³ − 16.815 g⁴; 1 day: 0.701 + 22.086 g − 50.773 g² + 47.095 g³ −
    16.458 g⁴; 2 days: 0.782 + 20.274 g − 43.507 g² + 37.062 g³ − 11.934 g⁴. It is interpolated linearly in ln t and
    constant before 1 s and after 2 days, both of which are ours: no such data are published. An independent
    digitisation differs by 7 to 50 % (`neurram_refit`). Read noise, fresh at each read: `read_noise` times G.
    """

    spread: tuple[tuple[Level, ...], ...] = (
        tuple(c / 40.0 for c in (0.348, 16.030, -43.853, 45.393, -16.815)),
        tuple(c / 40.0 for c in (0.701, 22.086, -50.773, 47.095, -16.458)),
        tuple(c / 40.0 for c in (0.782, 20.274, -43.507, 37.062, -11.934)),
    )
    read_noise: Level = 0.01
    evidence: str = static("silicon")
    source: str = static("Wan et al., Nature 2022, digitised; quartics of IBM aihwkit ReRamWan2022NoiseModel")

    def stds(self, target: Float[Array, "*shape"]) -> tuple[Float[Array, "*shape"], ...]:
        """Spread at `TIMES_S`, in units of g_max."""
        return tuple(jnp.maximum(polynomial(coefficients, target), 0.0) for coefficients in self.spread)

    def write(self, key: Key[Array, ""], target: Float[Array, "*shape"]) -> Relaxing:
        return Relaxing(target, normal(key, target.shape))

    def age(self, key: Key[Array, ""], cells: Relaxing, elapsed: Level, seconds: Level) -> Relaxing:
        before, after = relaxation.passed(TIMES_S, elapsed), relaxation.passed(TIMES_S, elapsed + seconds)
        rho = relaxation.correlation(self.stds(cells.target), before, after)
        return cells._replace(z=relaxation.step(key, cells.z, rho))

    def conductance(self, cells: Relaxing, elapsed: Level) -> Float[Array, "*shape"]:
        std = relaxation.interpolate(self.stds(cells.target), relaxation.passed(TIMES_S, elapsed))
        return jnp.maximum(cells.target + std * cells.z, 0.0)

    def read_variance(self, g: Float[Array, "*shape"], elapsed: Level) -> Float[Array, "*shape"]:
        return (self.read_noise * g) ** 2


def neurram() -> NeuRRAM:
    """The NeuRRAM chip's HfOx cell, 130 nm, 40 µS: the spread about the target grows from 1 s to 1 day and 2 days
    (quartics in g, linear in ln t between, constant outside), read noise 1 % of the conductance.

    Silicon, digitised by IBM aihwkit from Wan et al., Nature 2022; trust it to 7–50 %. The read noise is an assumption
    (a comment in the same file).
    """
    return NeuRRAM(g_max=40e-6)


def neurram_refit() -> Gaussian:
    """The NeuRRAM cell one second after write-verify, as Sandia digitised it: σ(µS) = 1.053 + 0.2374 G − 0.01167 G² +
    1.536e-4 G³, G in µS up to 39.26.

    CrossSim `RRAMWan`, fitted to Wan et al., Nature 2022, Extended Data Fig. 3. No time dependence. Silicon, digitised.
    """
    return Gaussian(
        g_max=39.26e-6,
        programming_std=(1.053 / 39.26, 0.2374, -0.01167 * 39.26, 1.536e-4 * 39.26**2),
        read_variance_of_g=(0.0, 0.0, 0.01**2),
        evidence="silicon",
        source="CrossSim RRAMWan, fit to Wan et al., Nature 2022, Extended Data Fig. 3",
    )
