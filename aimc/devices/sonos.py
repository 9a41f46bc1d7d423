"""SONOS charge-trap cells, read below threshold: their current stands for a conductance."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from aimc.devices import relaxation
from aimc.devices.base import Device, Level, polynomial, static
from aimc.devices.neurram import Relaxing
from aimc.noise import normal

CURRENT_MAX_NA = 1600.0
DRIFT_END = 1400.0 / CURRENT_MAX_NA
"""The drift polynomials swing by 200 nA between here and full scale: an artefact of their tenth degree."""
DAY_S = 86400.0
TIMES_S = tuple(k * DAY_S for k in range(6))

SPREAD_NA = (
    (19.88665, 176.3115),
    (25.59102, 186.85544),
    (28.72753, 193.56834),
    (31.04318, 198.90332),
    (33.76214, 204.77023),
    (34.57909, 207.34309),
)
"""(A, B) of σ_I = A (1 − exp(−I/B)), 0 to 5 days after programming."""

DRIFT_NA = (
    (0.0,),
    (
        *(6.83650e-01, 6.51250e-03, -4.03163e-04, 3.37944e-06, -1.87435e-08, 5.88902e-11),
        *(-1.07685e-13, 1.17751e-16, -7.60016e-20, 2.67255e-23, -3.94954e-27),
    ),
    (
        *(6.60925e-01, 8.60627e-03, -1.72936e-04, 7.44096e-07, -5.94866e-09, 2.36734e-11),
        *(-4.83740e-14, 5.56072e-17, -3.65397e-20, 1.28405e-23, -1.87450e-27),
    ),
    (
        *(1.15821e00, 1.96116e-02, -4.70807e-04, 3.67510e-06, -2.08786e-08, 6.59752e-11),
        *(-1.19499e-13, 1.28435e-16, -8.11574e-20, 2.78802e-23, -4.02057e-27),
    ),
    (
        *(8.72216e-01, 1.70926e-02, -2.23370e-04, 1.57526e-06, -1.32779e-08, 5.08256e-11),
        *(-1.01251e-13, 1.14633e-16, -7.46124e-20, 2.60559e-23, -3.78724e-27),
    ),
    (
        *(1.15294e00, 1.03149e-02, -6.05199e-05, 1.76086e-08, -6.46690e-09, 3.39044e-11),
        *(-7.53872e-14, 8.98185e-17, -6.00346e-20, 2.12615e-23, -3.11099e-27),
    ),
)
"""Mean drift of the current in nA, polynomial of the current in nA from the constant up, 0 to 5 days."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class SONOS(Device):
    """SONOS cells, 40 nm, after Agrawal et al., IEDM 2022: I(t) = max(I_T + d(I_T, t) + σ(I_T, t) Z(t), 0).

    d is the mean drift (Fig. 10b, polynomials of the tenth degree, held beyond 1400 nA), σ = A (1 − exp(−I/B)) at the
    drifted current the spread (Fig. 10a), both at 0, 1, … 5 days, fitted in CrossSim `SONOS` and interpolated linearly
    in time, constant afterwards; Z as in `relaxation`. Fresh at each read: σ = 12.58037 (1 − exp(−I/215.36557)) nA
    (Fig. 11b). `drift_scale` multiplies d.
    """

    spread: tuple[tuple[Level, Level], ...] = tuple((a / CURRENT_MAX_NA, b / CURRENT_MAX_NA) for a, b in SPREAD_NA)
    drift: tuple[tuple[Level, ...], ...] = tuple(
        tuple(c * CURRENT_MAX_NA ** (k - 1) for k, c in enumerate(coefficients)) for coefficients in DRIFT_NA
    )
    read_noise: tuple[Level, Level] = (12.58037 / CURRENT_MAX_NA, 215.36557 / CURRENT_MAX_NA)
    drift_scale: Level = 1.0
    evidence: str = static("silicon")
    source: str = static("Agrawal et al., IEDM 2022, Figs 10 and 11, digitised; fits of CrossSim SONOS")

    def means(self, target: Float[Array, "*shape"]) -> tuple[Float[Array, "*shape"], ...]:
        """Mean current at `TIMES_S`, in units of the largest."""
        held = jnp.minimum(target, DRIFT_END)
        return tuple(
            jnp.maximum(target + self.drift_scale * polynomial(coefficients, held), 0.0) for coefficients in self.drift
        )

    def stds(self, means: tuple[Float[Array, "*shape"], ...]) -> tuple[Float[Array, "*shape"], ...]:
        """Spread at `TIMES_S`, in units of the largest current."""
        return tuple(_saturating(law, mean) for law, mean in zip(self.spread, means, strict=True))

    def write(self, key: Key[Array, ""], target: Float[Array, "*shape"]) -> Relaxing:
        return Relaxing(target, normal(key, target.shape))

    def age(self, key: Key[Array, ""], cells: Relaxing, elapsed: Level, seconds: Level) -> Relaxing:
        before = relaxation.passed(TIMES_S, elapsed, logarithmic=False)
        after = relaxation.passed(TIMES_S, elapsed + seconds, logarithmic=False)
        rho = relaxation.correlation(self.stds(self.means(cells.target)), before, after)
        return cells._replace(z=relaxation.step(key, cells.z, rho))

    def conductance(self, cells: Relaxing, elapsed: Level) -> Float[Array, "*shape"]:
        at = relaxation.passed(TIMES_S, elapsed, logarithmic=False)
        means = self.means(cells.target)
        mean, std = relaxation.interpolate(means, at), relaxation.interpolate(self.stds(means), at)
        return jnp.maximum(mean + std * cells.z, 0.0)

    def read_variance(self, g: Float[Array, "*shape"], elapsed: Level) -> Float[Array, "*shape"]:
        return _saturating(self.read_noise, g) ** 2


def _saturating(law: tuple[Level, Level], g: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    scale, knee = law
    return -scale * jnp.expm1(-g / knee)


def sonos() -> SONOS:
    """SONOS charge-trap cell, 40 nm, 0 to 1600 nA below threshold (16 µS at 0.1 V), whose mean falls and whose spread
    grows over 5 days; read noise saturating at 12.6 nA.

    Silicon (128 000 cells, Agrawal et al., IEDM 2022), digitised and fitted by CrossSim. How deviations at two times
    are correlated is not published: ours (see `relaxation`).
    """
    return SONOS(g_max=16e-6)
