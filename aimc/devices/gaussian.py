"""A cell described by polynomials: the plainest noisy cell, and the one that sweeps vary."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from aimc.devices.base import Device, Level, polynomial
from aimc.noise import normal


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Gaussian(Device):
    """Gaussian statistics as polynomials in g = G / g_max (coefficients from the constant term up), constant in time.

    `programming_std` and `slow_std` are standard deviations and `read_variance` is a variance, in units of g_max
    and g_max². An empty polynomial means that the noise does not exist, and costs nothing at run time. A conductance
    stops at zero when it is written.
    """

    programming_std: tuple[Level, ...] = ()
    read_variance_of_g: tuple[Level, ...] = ()
    slow_std_of_g: tuple[Level, ...] = ()

    def write(self, key: Key[Array, ""], target: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        if not self.programming_std:
            return target
        return jnp.maximum(target + polynomial(self.programming_std, target) * normal(key, target.shape), 0.0)

    def read_variance(self, g: Float[Array, "*shape"], elapsed: Level) -> Float[Array, "..."] | None:
        if not self.read_variance_of_g:
            return None
        if len(self.read_variance_of_g) == 1:
            return jnp.asarray(self.read_variance_of_g[0], jnp.float32)
        # A published polynomial may dip below zero between its points; a variance may not.
        return jnp.maximum(polynomial(self.read_variance_of_g, g), 0.0)

    def slow_std(self, g: Float[Array, "*shape"], elapsed: Level) -> Float[Array, "..."] | None:
        return polynomial(self.slow_std_of_g, g) if self.slow_std_of_g else None
