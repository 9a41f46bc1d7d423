"""What all layers on arrays share: weights as matrices, chips that are written, aged and read, ranges, factors."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from aimc.aging import age
from aimc.devices.base import Level
from aimc.inputs import drive
from aimc.matmul import column_sums, mvm
from aimc.nn import monitor
from aimc.nn.modifiers import modified as as_trained
from aimc.program import State, program
from aimc.spec import CrossbarSpec


class Chip(nnx.Variable):
    """A programmed array (`aimc.State`) that a layer keeps: not a parameter, so no optimiser touches it."""


class Carried(nnx.Variable):
    """What the wires changed when their circuit was last solved, and the number of calls so far."""


class Range(nnx.Param):
    """A learned range: of inputs (in their own units) or of the converters (in fully-on cells)."""


class Passed(nnx.Variable):
    """The vectors that drove a layer's arrays and what came back, an entry a call."""


class Delta(nnx.Variable):
    """Zeros that are added to what the arrays return, so that their gradient is the error δ there."""


class AnalogLayer(nnx.Module):
    """Base of all layers on arrays; a subclass says how its kernel becomes matrices and its inputs become vectors.

    Noise means the same in training and evaluation. Undeployed, every call programs the arrays anew: write noise and
    read noise are both fresh, and gradients reach the kernel straight through; where the spec has wires they are
    solved at every `refold_every`-th call (see `aimc.Wiring`). After `deploy` the arrays are frozen as written, and
    only what is fresh in a read varies; `deploy` inside a loss function is one write a training step, whatever the
    number of reads, and gradients still reach the kernel. Draws from the `noise` stream at every call.

    `modifier` is None or a `Modifier`: what training does to the weights that an undeployed call writes.
    `input_range` and `output_range` are None, for what the spec says, or a `Range` that trains with the weights.
    """

    kernel: nnx.Param
    bias: nnx.Param | None

    def _set_up(
        self, kernel: Array, bias: Array | None, spec: CrossbarSpec, rngs: nnx.Rngs, *, analog_bias: bool
    ) -> None:
        if bias is not None and not analog_bias and not spec.readout.is_linear:
            raise ValueError(
                f"readout={type(spec.readout).__name__} gives a function of the sum, in front of which the bias would "
                "have to be added; use use_bias=False or analog_bias=True"
            )
        self.kernel = nnx.Param(kernel)
        self.bias = None if bias is None else nnx.Param(bias)
        self.analog_bias = analog_bias and bias is not None
        self.spec = nnx.data(jax.tree.map(jnp.asarray, spec))  # arrays: another noise level does not retrace
        self.noise = rngs.noise.fork()
        self.input_range = nnx.data(None)
        self.output_range = nnx.data(None)
        self.chip = nnx.data(None)
        self.monitor = nnx.data(None)
        self.passed = nnx.data(None)
        self.delta = nnx.data(None)
        self.carried = nnx.data(None)
        self.modifier = nnx.data(None)
        if spec.wiring is not None and spec.wiring.refold_every > 1:
            blank = jax.eval_shape(
                lambda: self._by_group(lambda key, w: _folded(key, w, self.spec)[1])(
                    self._keys(jax.random.key(0)), jnp.zeros_like(self.matrices())
                )
            )
            zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), blank)
            self.carried = Carried((jnp.zeros((), jnp.int32), zeros))

    # What a subclass defines.

    def weights(self, kernel: Array) -> Float[Array, "*groups n_in n_out"]:
        """The kernel as a matrix, or as one matrix a group; linear in the kernel."""
        raise NotImplementedError

    def bias_of_groups(self, bias: Array) -> Float[Array, "*groups n_out"]:
        """The bias in the order of the matrices' columns."""
        raise NotImplementedError

    # What all share.

    def matrices(self) -> Float[Array, "*groups n_in n_out"]:
        """What is written into the arrays; a bias that is analog is one more row, always driven by 1."""
        w = self.weights(self.kernel[...])
        if self.bias is None or not self.analog_bias:
            return w
        return jnp.concatenate([w, self.bias_of_groups(self.bias[...])[..., None, :]], axis=-2)

    @property
    def ranged_spec(self) -> CrossbarSpec:
        """The spec, learned ranges put in."""
        spec = self.spec
        if self.input_range is not None:
            spec = replace(spec, inputs=replace(spec.inputs, range=self.input_range[...]))
        if self.output_range is not None:
            spec = replace(spec, readout=replace(spec.readout, full_scale=self.output_range[...]))
        return spec

    def deploy(self, key: Key[Array, ""], *, modified: bool = False) -> None:
        """Write the kernel into arrays once and read those from now on.

        `modified`: write what an undeployed call would write, the `modifier` applied: for training in which one write
        serves many reads.
        """
        if modified:
            self.chip = Chip(self._fresh(key))
            return
        spec = self.ranged_spec
        write = self._by_group(lambda key, w: program(key, w, spec))
        self.chip = Chip(write(self._keys(key), self.matrices()))

    def refresh_ranges(self) -> None:
        """Give the arrays that stand there the ranges of the spec, which are digital settings."""
        if self.chip is not None:
            self.chip = Chip(self.chip.get_value()._replace(spec=self._for_groups(self.ranged_spec)))

    def undeploy(self) -> None:
        """Forget the arrays: from now on they are programmed anew at every call."""
        self.chip = None

    def age(self, key: Key[Array, ""], seconds: Level) -> None:
        """Let the deployed arrays grow older by `seconds`. Raises ValueError if there are none yet."""
        if self.chip is None:
            raise ValueError("this layer has no array yet that could age; deploy it first")
        grow = self._by_group(lambda key, state: age(key, state, seconds))
        self.chip = Chip(grow(self._keys(key), self.chip.get_value()))

    def product(self, x: Float[Array, "*batch n_in"]) -> Float[Array, "*batch n_out"]:
        """x through the arrays, (*batch, groups, n_in) where there are groups; an analog bias is included."""
        if self.analog_bias:
            x = jnp.concatenate([x, jnp.ones((*x.shape[:-1], 1), x.dtype)], axis=-1)
        read_key, state = self._state(self.noise())
        if self.n_groups is None:
            y = mvm(read_key, x, state)
        else:
            y = jnp.moveaxis(jax.vmap(mvm)(self._keys(read_key), jnp.moveaxis(x, -2, 0), state), 0, -2)
        if self.monitor is not None:
            self.monitor.set_value(self._watched(self.monitor.get_value(), read_key, x, y, state))
        if self.passed is not None:
            self.passed.set_value((*self.passed.get_value(), (x, y)))
        return y if self.delta is None else y + self.delta[...]

    def add_bias(self, y: Array, shape: tuple[int, ...] | None = None) -> Array:
        """y and the digital bias, reshaped to `shape` first if there is one."""
        if self.bias is None or self.analog_bias:
            return y
        bias = self.bias[...] if shape is None else self.bias[...].reshape(shape)
        return y + jnp.broadcast_to(bias, y.shape)

    @property
    def n_groups(self) -> int | None:
        """Matrices on arrays of their own, side by side; None for one."""
        return None

    def _by_group(self, f: Callable) -> Callable:
        return f if self.n_groups is None else jax.vmap(f)

    def _keys(self, key: Key[Array, ""]) -> Key[Array, "..."]:
        return key if self.n_groups is None else jax.random.split(key, self.n_groups)

    def _state(self, key: Key[Array, ""]) -> tuple[Key[Array, ""], State]:
        """What is left of the key for the read, and the arrays it reads: written just now if there are none."""
        if self.chip is not None:
            state = self.chip.get_value()
            if self.input_range is None and self.output_range is None:
                return key, state
            # Ranges are digital settings: they act on arrays that were written before they changed.
            return key, state._replace(spec=self._for_groups(self.ranged_spec))
        write_key, read_key = jax.random.split(key)
        return read_key, self._fresh(write_key)

    def _fresh(self, key: Key[Array, ""]) -> State:
        """Arrays written as training writes them."""
        spec, w = self.ranged_spec, self.matrices()
        if (modifier := self.modifier) is not None:
            key, modifier_key = jax.random.split(key)
            w = self._by_group(lambda key, w: as_trained(key, w, modifier, spec))(self._keys(modifier_key), w)
        if self.carried is not None:
            return self._carry_over(self._keys(key), w, spec)
        return self._by_group(lambda key, w: program(key, w, spec))(self._keys(key), w)

    def _watched(self, seen: monitor.Seen, key: Key[Array, ""], x: Array, y: Array, state: State) -> monitor.Seen:
        spec = self.ranged_spec
        keys = self._keys(jax.random.fold_in(key, 1))  # noise of its own: what is asked for is its distribution
        own = x if self.n_groups is None else jnp.moveaxis(x, -2, 0)
        sums = self._by_group(column_sums)(keys, own, state)
        _, known, _ = drive(jax.random.fold_in(key, 2), x, spec.inputs)
        exact = jnp.einsum(
            "...i,io->...o" if self.n_groups is None else "...gi,gio->...go", x, self.matrices(), precision="highest"
        )
        reach = jnp.asarray(jnp.inf if spec.inputs.range is None else spec.inputs.range)
        return monitor.Seen(
            monitor.add(seen.inputs, x, reach),
            monitor.add(seen.sums, sums, jnp.asarray(spec.readout.full_scale)),
            seen.driven + jnp.sum(known * known),
            seen.signal + jnp.sum(exact * exact),
            seen.error + jnp.sum((y - exact) ** 2),
            seen.n_vectors + x.size // x.shape[-1],
        )

    def _for_groups(self, spec: CrossbarSpec) -> Any:
        groups = () if self.n_groups is None else (self.n_groups,)
        return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (*groups, *jnp.shape(leaf))), spec)

    def _carry_over(self, keys: Key[Array, "..."], kernel: Array, spec: CrossbarSpec) -> State:
        """Freshly programmed arrays, their circuit solved if it is time to, else with what its wires last changed."""
        assert self.carried is not None
        assert spec.wiring is not None
        count, last = self.carried.get_value()
        bare = self._by_group(lambda key, w: program(key, w, replace(spec, wiring=None)))(keys, kernel)

        def again(last: tuple) -> tuple[Array, tuple]:
            return self._by_group(lambda key, w: _folded(key, w, spec))(keys, kernel)

        def kept(last: tuple) -> tuple[Array, tuple]:
            return bare.g + last[0], last

        is_due = count % spec.wiring.refold_every == 0
        g, now = jax.lax.cond(is_due, again, kept, last)
        self.carried.set_value((count + 1, jax.lax.stop_gradient(now)))
        _, read_variance, shared_variance, correlated = now
        return bare._replace(
            g=g,
            read_variance=read_variance,
            shared_variance=shared_variance,
            correlated=correlated,
            spec=self._for_groups(spec),
        )


def _folded(key: Key[Array, ""], kernel: Float[Array, "n_in n_out"], spec: CrossbarSpec) -> tuple[Array, tuple]:
    """What an array with wires multiplies by; and how that differs from one without, with the noise of its reads."""
    state = program(key, kernel, spec)
    bare = program(key, kernel, replace(spec, wiring=None))
    change = jax.lax.stop_gradient(state.g - bare.g)
    return state.g, (change, state.read_variance, state.shared_variance, state.correlated)
