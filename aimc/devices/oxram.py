"""OxRAM after Milo et al., IRPS 2021: the error of write-verify, and a current that is not linear in the voltage."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from aimc.devices.base import polynomial
from aimc.devices.gaussian import Gaussian

G_MAX_US = 225.0


class Cubic(NamedTuple):
    """I = linear V + square V² + cube V³, in A/V, A/V² and A/V³."""

    linear: Float[Array, "*shape"]
    square: Float[Array, "*shape"]
    cube: Float[Array, "*shape"]


def oxram_milo() -> Gaussian:
    """OxRAM, 50 to 225 µS, just after write-verify: σ(µS) = max(4.782321 − 0.009107 G, 0), G in µS.

    Milo et al., IRPS 2021, Fig. 4 (algorithm IGVVA-100), linear fit of CrossSim `RRAMMilo`. Silicon, digitised. Neither
    drift nor read noise is published with it, and none is invented here. The current's cubic: `iv_coefficients`.
    """
    return Gaussian(
        g_max=G_MAX_US * 1e-6,
        g_min=50.0 / G_MAX_US,
        programming_std=(4.782321 / G_MAX_US, -0.009107),
        evidence="silicon",
        source="Milo et al., IRPS 2021, Fig. 4 (IGVVA-100); linear fit of CrossSim RRAMMilo",
    )


def iv_coefficients(g: Float[Array, "*shape"]) -> Cubic:
    """The current of an OxRAM cell of conductance `g` (siemens, 50 to 225 µS) as a cubic of the voltage, |V| ≤ 0.5 V.

    With L = log10 g: square = 1.388e-4 L³ + 1.541e-3 L² + 5.711e-3 L + 7.063e-3, cube = 8.871e-5 L² + 6.7919e-4 L +
    1.2968e-3 (CrossSim, fit to Milo et al. 2021). The printed digits leave ±1e-5 A/V² of the square undetermined,
    as much as its value from 100 µS on; below that it is 4e-5 A/V² at 50 µS. Evaluated about L = −4, where the terms do
    not cancel in float32.
    """
    x = jnp.log10(g) + 4.0
    # The published polynomials, expanded about L = −4.
    square = (
        7.063e-3 - 4 * 5.711e-3 + 16 * 1.541e-3 - 64 * 1.388e-4,
        5.711e-3 - 8 * 1.541e-3 + 48 * 1.388e-4,
        1.541e-3 - 12 * 1.388e-4,
        1.388e-4,
    )
    cube = (1.2968e-3 - 4 * 6.7919e-4 + 16 * 8.871e-5, 6.7919e-4 - 8 * 8.871e-5, 8.871e-5)
    return Cubic(g, polynomial(square, x), polynomial(cube, x))
