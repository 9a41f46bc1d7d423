"""The phase-change cells of IBM's HERMES chip."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from aimc.devices.base import Level, polynomial, static
from aimc.devices.pcm import PCM, SMALLEST


def _law(
    g: Float[Array, "*shape"],
    logarithm: tuple[float, float],
    bounds: tuple[float, float],
    threshold: float,
    coefficients: tuple[float, ...],
) -> Float[Array, "*shape"]:
    """clip(slope ln g + offset, bounds) below the threshold, a polynomial from it on."""
    slope, offset = logarithm
    low = jnp.clip(slope * jnp.log(jnp.maximum(g, SMALLEST)) + offset, *bounds)
    return jnp.where(g < threshold, low, polynomial(coefficients, g))


UNSET = float("nan")
"""A default that stands for the value of the chosen number of devices; recognised by identity."""


class Constants(NamedTuple):
    """What else differs between one and two devices: full scale in µS, σ_P in µS, t₀ in seconds."""

    g_max_us: float
    programming_us: tuple[float, ...]
    t0_s: float


BY_DEVICES = {
    1: Constants(10.35, (0.15781817, 2.32443916, -2.16310839, 0.68841818), 200.0),
    2: Constants(20.7, (0.16603222, 4.71806468, -8.48101252, 4.68961419), 300.0),
}


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Hermes(PCM):
    """The cell of the HERMES chip, 14 nm, with one or two phase-change devices a side: `PCM` with the chip's own laws.

    `g_max`, `programming_std` and `t0_s` are those of `n_devices` unless stated. Coefficients of `HermesNoiseModel` in
    IBM aihwkit; chip: Khaddam-Aljameh et al., JSSC 2022, and Le Gallo et al., Nat. Electron. 2023. Two devices are
    programmed as Vasilopoulos et al., TED 2023, and here are one cell. Raises ValueError for another number of devices.
    """

    n_devices: int = static(2)
    g_max: Level = UNSET
    programming_std: tuple[Level, ...] = (UNSET,)
    t0_s: Level = UNSET
    read_s: Level = 512e-9
    source: str = static("Le Gallo et al., Nat. Electron. 2023; coefficients of IBM aihwkit HermesNoiseModel")

    def __post_init__(self) -> None:
        if isinstance(self.n_devices, bool) or self.n_devices not in BY_DEVICES:
            raise ValueError(f"n_devices must be 1 or 2, got {self.n_devices!r}")
        chosen = BY_DEVICES[self.n_devices]
        for name, value in (
            ("g_max", chosen.g_max_us * 1e-6),
            ("programming_std", tuple(c / chosen.g_max_us for c in chosen.programming_us)),
            ("t0_s", chosen.t0_s),
        ):
            given = getattr(self, name)
            if given is UNSET or (isinstance(given, tuple) and len(given) == 1 and given[0] is UNSET):
                object.__setattr__(self, name, value)

    def drift_moments(self, g: Float[Array, "*shape"]) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
        """Mean and spread of the drift exponent, of which the mean is the same for one device and for two."""
        mean = _law(g, (-0.0387, -0.0182), (0.072, 0.13), 0.0945, (0.0736, -0.0126, -0.0436))
        if self.n_devices == 1:
            return mean, _law(g, (-0.0120, -0.0023), (0.0124, 0.04), 0.3039, (0.0104, 0.0116, -0.0165))
        return mean, _law(g, (-0.0117, -0.0057), (0.0091, 0.04), 0.3055, (0.0073, 0.0093, -0.0118))

    def noise_amplitude(self, g: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Q_s, by number of devices."""
        if self.n_devices == 1:
            return _law(g, (-0.0078, 0.0038), (0.0179, 0.04), 0.1591, (0.0088, 0.0768, -0.1352, 0.0664))
        return _law(g, (-0.0117, -0.0069), (0.015, 0.04), 0.16, (0.0123, 0.0211, -0.0280, 0.0069))


def hermes(n_devices: int = 2) -> Hermes:
    """The HERMES chip's phase-change cell, 14 nm, two devices a side (20.7 µS) or one (10.35 µS), with programming
    error, drift, accumulated 1/f noise (from 512 ns; t₀ = 300 s or 200 s) and read noise of 1.75 % at full scale.

    σ_P(µS) = 0.16603222 + 4.71806468 g − 8.48101252 g² + 4.68961419 g³ for two devices, 0.15781817 + 2.32443916 g −
    2.16310839 g² + 0.68841818 g³ for one. Silicon, as fitted in IBM aihwkit `HermesNoiseModel`. Raises ValueError for
    another number of devices.
    """
    return Hermes(n_devices=n_devices)


def hermes_one() -> Hermes:
    """The HERMES chip's phase-change cell with one device a side, 10.35 µS: less precise, drifting more unevenly.

    See `hermes`. Silicon, as fitted in IBM aihwkit `HermesNoiseModel`.
    """
    return hermes(n_devices=1)
