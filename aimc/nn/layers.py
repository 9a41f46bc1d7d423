"""Layers: thin, no physics."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from aimc.aging import age
from aimc.devices.base import Level
from aimc.matmul import analog_matmul, mvm
from aimc.program import program
from aimc.spec import CrossbarSpec


class Chip(nnx.Variable):
    """A programmed array (`aimc.State`) that a layer keeps: not a parameter, so no optimiser touches it."""


class AnalogLinear(nnx.Module):
    """y = x @ kernel + bias, the product on a crossbar array and the bias digital.

    Undeployed, as in training, every call programs the array anew: write noise and read noise are both fresh, and
    gradients reach the kernel straight through. After `deploy` the array is frozen as written, and only what is
    fresh in a read varies. Draws from the `noise` stream at every call.
    """

    def __init__(self, n_in: int, n_out: int, spec: CrossbarSpec, *, rngs: nnx.Rngs, use_bias: bool = True) -> None:
        self.kernel = nnx.Param(nnx.initializers.lecun_normal()(rngs.params(), (n_in, n_out), jnp.float32))
        self.bias = nnx.Param(jnp.zeros(n_out)) if use_bias else None
        self.spec = nnx.data(jax.tree.map(jnp.asarray, spec))  # arrays: another noise level does not retrace
        self.noise = rngs.noise.fork()
        self.chip = nnx.data(None)

    def deploy(self, key: Key[Array, ""]) -> None:
        """Write the kernel into an array once and read that array from now on."""
        self.chip = Chip(program(key, self.kernel[...], self.spec))

    def age(self, key: Key[Array, ""], seconds: Level) -> None:
        """Let the deployed array grow older by `seconds`. Raises ValueError if there is none yet."""
        if self.chip is None:
            raise ValueError("this layer has no array yet that could age; deploy it first")
        self.chip = Chip(age(key, self.chip.get_value(), seconds))

    def __call__(self, x: Float[Array, "*batch n_in"]) -> Float[Array, "*batch n_out"]:
        if self.chip is None:
            y = analog_matmul(self.noise(), x, self.kernel[...], self.spec)
        else:
            y = mvm(self.noise(), x, self.chip.get_value())
        return y if self.bias is None else y + jnp.broadcast_to(self.bias[...], y.shape)
