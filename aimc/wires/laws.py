"""What current a cell carries at a voltage: laws that are elementwise, differentiable, and monotone in the voltage.

A law is a function `law(voltage, g, *parameters) -> current` in volt, siemens and ampere; g is the small-signal
conductance at 0 V and 0 is an open cell. Any function of this form can be handed to the solver.
"""

from collections.abc import Callable
from typing import TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, Float

Law: TypeAlias = Callable[..., Array]


def ohmic(voltage: Float[Array, "*cells"], g: Float[Array, "*cells"]) -> Float[Array, "*cells"]:
    """I = G V."""
    return g * voltage


def sinh(voltage: Float[Array, "*cells"], g: Float[Array, "*cells"], v0: Float[Array, ""]) -> Float[Array, "*cells"]:
    """I = G v0 sinh(V / v0), v0 in volt: tunnelling through a barrier at low bias."""
    return g * v0 * jnp.sinh(voltage / v0)


def oxram_milo(voltage: Float[Array, "*cells"], g: Float[Array, "*cells"]) -> Float[Array, "*cells"]:
    """I = G V + a V² + b V³, a and b polynomials in log10 G: HfO2 OxRAM, |V| ≤ 0.5 V, 50 to 225 µS.

    Coefficients: fit of the arrays of Milo et al. (IRPS 2021) in CrossSim, devices/custom/RRAM_Milo.py.
    """
    is_open = g <= 0
    x = jnp.log10(jnp.where(is_open, 1e-4, g))
    square = ((1.388e-4 * x + 1.541e-3) * x + 5.711e-3) * x + 7.063e-3
    cube = (8.871e-5 * x + 6.7919e-4) * x + 1.2968e-3
    return jnp.where(is_open, 0.0, ((cube * voltage + square) * voltage + g) * voltage)
