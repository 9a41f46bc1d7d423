"""Time passing over a programmed array, and what a chip can do about it from its outputs."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Key

from aimc.devices.base import Level
from aimc.matmul import mvm
from aimc.program import Side, State, settle


def age(key: Key[Array, ""], state: State, seconds: Level) -> State:
    """The same array `seconds` later. Readouts do not age.

    Random: what happens to the cells meanwhile (1/f noise, relaxation, telegraph noise), given what is frozen in them
    (programming error, drift exponents, stuck cells, readout errors). Two steps have the law of one step of their
    sum, readings at both times included. The age is a float32: steps below a ten-millionth of it are lost. Raises
    ValueError, outside jit, for a time that is no number, negative or not finite.
    """
    if not isinstance(seconds, Tracer):
        value = np.asarray(seconds)
        if value.ndim or value.dtype.kind not in "iuf" or not (np.isfinite(value) and value >= 0):
            raise ValueError(f"seconds must be a finite time of at least 0, one number, got {seconds!r}")
    sides = tuple(
        Side(state.spec.device.age(side_key, side.cells, state.elapsed, seconds), side.stuck)
        for side_key, side in zip(jax.random.split(key, len(state.sides)), state.sides, strict=True)
    )
    return settle(state._replace(sides=sides, elapsed=state.elapsed + seconds))


def drift_reference(
    key: Key[Array, ""], state: State, x: Float[Array, "batch n_in"], *, per_column: bool = False
) -> Float[Array, " gains"]:
    """The strength of the outputs now: mean |y| over calibration inputs `x`, to be kept until `compensate`.

    Over all columns, shape (1,), after Joshi et al. 2020; or of every column, (n_out,). It reads the array through its
    own converters and noise, so it costs len(x) products and errs like them. Random: the noise of these reads.
    """
    if x.ndim != 2:
        raise ValueError(f"x must be a list of calibration vectors, (batch, n_in), got shape {x.shape}")
    return jnp.mean(jnp.abs(mvm(key, x, state)), axis=0 if per_column else (0, 1), keepdims=not per_column).reshape(-1)


def compensate(
    key: Key[Array, ""], state: State, x: Float[Array, "batch n_in"], reference: Float[Array, " gains"]
) -> State:
    """The state with its digital output gain set so that mean |y| over `x` is `reference` again.

    `x` and `reference` are those of `drift_reference`, taken just after programming; a reference of one number corrects
    the whole array, one of n_out numbers every column. A column that reads zero keeps its gain. Random: the noise of
    these reads. Raises ValueError for a readout whose results are not proportional to the sums.
    """
    if not state.spec.readout.is_linear:
        raise ValueError(
            f"readout={type(state.spec.readout).__name__} gives a function that is not proportional to the sum, so "
            "drift cannot be compensated by a gain behind it"
        )
    n_out = state.g.shape[-1] // len(state.scale)
    if reference.shape not in ((1,), (n_out,)):
        raise ValueError(
            f"reference must be one number, (1,), or one an output, ({n_out},), as drift_reference gives it, got shape "
            f"{reference.shape}"
        )
    now = drift_reference(key, state, x, per_column=reference.shape[0] > 1)
    return state._replace(gain=jnp.where(now > 0, state.gain * reference / jnp.where(now > 0, now, 1.0), state.gain))
