"""Layers: thin, no physics."""

from dataclasses import replace

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from aimc.aging import age
from aimc.devices.base import Level
from aimc.matmul import analog_matmul, mvm
from aimc.program import State, program
from aimc.spec import CrossbarSpec


class Chip(nnx.Variable):
    """A programmed array (`aimc.State`) that a layer keeps: not a parameter, so no optimiser touches it."""


class Carried(nnx.Variable):
    """What the wires changed when their circuit was last solved, and the number of calls so far."""


class AnalogLinear(nnx.Module):
    """y = x @ kernel + bias, the product on a crossbar array and the bias digital.

    Undeployed, as in training, every call programs the array anew: write noise and read noise are both fresh, and
    gradients reach the kernel straight through; where the spec has wires they are solved at every `refold_every`-th
    call (see `aimc.Wiring`). After `deploy` the array is frozen as written, and only what is fresh in a read varies.
    Draws from the `noise` stream at every call.
    """

    def __init__(self, n_in: int, n_out: int, spec: CrossbarSpec, *, rngs: nnx.Rngs, use_bias: bool = True) -> None:
        if use_bias and not spec.readout.is_linear:
            raise ValueError(
                f"readout={type(spec.readout).__name__} gives a function of the sum, in front of which the bias would "
                "have to be added; use use_bias=False"
            )
        self.kernel = nnx.Param(nnx.initializers.lecun_normal()(rngs.params(), (n_in, n_out), jnp.float32))
        self.bias = nnx.Param(jnp.zeros(n_out)) if use_bias else None
        self.spec = nnx.data(jax.tree.map(jnp.asarray, spec))  # arrays: another noise level does not retrace
        self.noise = rngs.noise.fork()
        self.chip = nnx.data(None)
        self.carried = nnx.data(None)
        if spec.wiring is not None and spec.wiring.refold_every > 1:
            blank = jax.eval_shape(lambda: _folded(jax.random.key(0), jnp.zeros((n_in, n_out)), self.spec)[1])
            zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), blank)
            self.carried = Carried((jnp.zeros((), jnp.int32), zeros))

    def deploy(self, key: Key[Array, ""]) -> None:
        """Write the kernel into an array once and read that array from now on."""
        self.chip = Chip(program(key, self.kernel[...], self.spec))

    def age(self, key: Key[Array, ""], seconds: Level) -> None:
        """Let the deployed array grow older by `seconds`. Raises ValueError if there is none yet."""
        if self.chip is None:
            raise ValueError("this layer has no array yet that could age; deploy it first")
        self.chip = Chip(age(key, self.chip.get_value(), seconds))

    def __call__(self, x: Float[Array, "*batch n_in"]) -> Float[Array, "*batch n_out"]:
        if self.chip is None and self.carried is not None:
            write_key, read_key = jax.random.split(self.noise())
            y = mvm(read_key, x, self._carry_over(write_key))
        elif self.chip is None:
            y = analog_matmul(self.noise(), x, self.kernel[...], self.spec)
        else:
            y = mvm(self.noise(), x, self.chip.get_value())
        return y if self.bias is None else y + jnp.broadcast_to(self.bias[...], y.shape)

    def _carry_over(self, key: Key[Array, ""]) -> State:
        """A freshly programmed array, its circuit solved if it is time to, else with what its wires last changed."""
        assert self.carried is not None
        count, last = self.carried.get_value()
        kernel, spec = self.kernel[...], self.spec
        bare = program(key, kernel, replace(spec, wiring=None))

        def again(last: tuple) -> tuple[Array, tuple]:
            return _folded(key, kernel, spec)

        def kept(last: tuple) -> tuple[Array, tuple]:
            return bare.g + last[0], last

        is_due = count % spec.wiring.refold_every == 0
        g, now = jax.lax.cond(is_due, again, kept, last)
        self.carried.set_value((count + 1, jax.lax.stop_gradient(now)))
        _, read_variance, shared_variance, correlated = now
        return bare._replace(
            g=g, read_variance=read_variance, shared_variance=shared_variance, correlated=correlated, spec=spec
        )


def _folded(key: Key[Array, ""], kernel: Float[Array, "n_in n_out"], spec: CrossbarSpec) -> tuple[Array, tuple]:
    """What an array with wires multiplies by; and how that differs from one without, with the noise of its reads."""
    state = program(key, kernel, spec)
    bare = program(key, kernel, replace(spec, wiring=None))
    change = jax.lax.stop_gradient(state.g - bare.g)
    return state.g, (change, state.read_variance, state.shared_variance, state.correlated)
