"""Phase-change memory: programming error, drift with an exponent per cell, accumulated 1/f noise."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from aimc.devices import flicker
from aimc.devices.base import Device, Level, polynomial, static
from aimc.noise import normal

SMALLEST = 1e-7
"""The logarithms of the published laws are cut here, in units of g_max."""


class PhaseChangeCells(NamedTuple):
    """A programmed cell: G_P and the target it came from, its drift exponent, its noise once it has been aged."""

    programmed: Float[Array, "*shape"]
    target: Float[Array, "*shape"]
    exponent: Float[Array, "*shape"]
    noise: Float[Array, "*shape 15"] | None


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class PCM(Device):
    """Phase-change cells after Nandakumar et al., ICECS 2019, and Joshi et al., Nat. Commun. 11, 2473 (2020).

    With g = G_target/g_max and ξ standard normal, drawn anew for each use:
    programming  G_P = max(G_T + σ_P(g) ξ, 0), σ_P a polynomial in g (`programming_std`, in units of g_max);
    drift  G_D(t) = G_P ((t + t₀)/t₀)^−ν, ν = |µ_ν(g) + σ_ν(g) ξ|, drawn at writing and kept;
    accumulated 1/f noise  G = max(G_D (1 + Q_s(g) X), 0), Var X = ln((t + t₀ + t_read)/(2 t_read)), see `flicker`;
    short-term read noise, fresh at each read: variance `read_noise`² G/g_max (Rasch et al., Nat. Commun. 2023).

    Time t counts from the end of programming, whose own clock starts t₀ earlier: drift is 1 at t = 0, and the 1/f noise
    has by then accumulated for t₀. Q_s follows the target, as published, not the programmed conductance. The 1/f noise
    exists from the first `age` on (also one of 0 s); cells never aged read G_P exactly and store no noise.
    `drift_scale` and `noise_scale` multiply ν and Q_s, for sweeps.
    """

    programming_std: tuple[Level, ...] = tuple(c / 25.0 for c in (0.26348, 1.9650, -1.1731))
    t0_s: Level = 20.0
    read_s: Level = 250e-9
    read_noise: Level = 0.0175
    drift_scale: Level = 1.0
    noise_scale: Level = 1.0
    evidence: str = static("silicon")
    source: str = static("Nandakumar et al., ICECS 2019; Joshi et al., Nat. Commun. 2020; coefficients of IBM aihwkit")

    def drift_moments(self, g: Float[Array, "*shape"]) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
        """µ_ν = clip(−0.0155 ln g + 0.0244, 0.049, 0.1) and σ_ν = clip(−0.0125 ln g − 0.0059, 0.008, 0.045)."""
        log_g = jnp.log(jnp.maximum(g, SMALLEST))
        return jnp.clip(-0.0155 * log_g + 0.0244, 0.049, 0.1), jnp.clip(-0.0125 * log_g - 0.0059, 0.008, 0.045)

    def noise_amplitude(self, g: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Q_s = min(0.0088/g^0.65, 0.2)."""
        return jnp.minimum(0.0088 / jnp.maximum(g, SMALLEST) ** 0.65, 0.2)

    def write(self, key: Key[Array, ""], target: Float[Array, "*shape"]) -> PhaseChangeCells:
        error_key, exponent_key = jax.random.split(key)
        error = polynomial(self.programming_std, target) * normal(error_key, target.shape)
        mean, std = self.drift_moments(target)
        exponent = self.drift_scale * jnp.abs(mean + std * normal(exponent_key, target.shape))
        return PhaseChangeCells(jnp.maximum(target + error, 0.0), target, exponent, None)

    def age(self, key: Key[Array, ""], cells: PhaseChangeCells, elapsed: Level, seconds: Level) -> PhaseChangeCells:
        noise = flicker.step(key, cells.noise, cells.target.shape, self.t0_s + elapsed, seconds, self.read_s)
        return cells._replace(noise=noise)

    def conductance(self, cells: PhaseChangeCells, elapsed: Level) -> Float[Array, "*shape"]:
        # One logarithm for all cells: a power of each costs a CPU several times as much.
        drifted = cells.programmed * jnp.exp(-cells.exponent * jnp.log((elapsed + self.t0_s) / self.t0_s))
        if cells.noise is None:
            return drifted
        relative = self.noise_scale * self.noise_amplitude(cells.target) * flicker.total(cells.noise)
        return jnp.maximum(drifted * (1.0 + relative), 0.0)

    def read_variance(self, g: Float[Array, "*shape"], elapsed: Level) -> Float[Array, "*shape"]:
        return self.read_noise**2 * g


def pcm() -> PCM:
    """Phase-change memory, one device, 25 µS: σ_P(µS) = 0.26348 + 1.9650 g − 1.1731 g², t₀ = 20 s, drift exponents
    0.049 to 0.1, 1/f noise Q_s = min(0.0088/g^0.65, 0.2) from t_read = 250 ns, read noise 1.75 % at full scale.

    Silicon (a million doped-GST cells, 90 nm), as fitted in IBM aihwkit `PCMLikeNoiseModel`.
    """
    return PCM(g_max=25e-6)


def pcm_refit() -> PCM:
    """The same phase-change cell with Sandia's independent fit of the programming error, to see how far a digitised
    figure can be trusted: σ_P(µS) = 0.28638599 + 0.07585724 G − 0.00178767 G², G in µS.

    CrossSim `PCMJoshi`, fitted to Joshi et al. 2020, Fig. 3b; drift and noise are those of `pcm`. Silicon, digitised.
    """
    coefficients = (0.28638599 / 25.0, 0.07585724, -0.00178767 * 25.0)
    return PCM(g_max=25e-6, programming_std=coefficients, source="CrossSim PCMJoshi, fit to Joshi et al. 2020, Fig. 3b")
