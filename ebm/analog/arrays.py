"""Arrays as machines of units use them: lines of bits or spins, the same cells read from both sides, rows of biases."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from aimc.inputs import Inputs
from aimc.mapping import row_tiles
from aimc.matmul import mvm
from aimc.program import Side, State, settle
from aimc.readout.base import Readout
from aimc.spec import CrossbarSpec

ARRAYS = ("one", "two")
BIASES = ("digital", "cells")
READ = np.uint32(2**32 - 1)
"""Folded into the key of a draw, it makes the key of the read before it: a block of Threefry's that no draw of fewer
than 2³² units reaches, so that the draw itself takes the numbers that the ideal machine takes."""


def full_drive(inputs: Inputs) -> Inputs:
    """Inputs of lines that are driven fully, either way or not at all: bits and spins."""
    is_serial = inputs.encoding == "bit_serial"
    return replace(inputs, range=1.0, bits=2 if is_serial else inputs.bits, n_levels=3.0 if is_serial else None)


def bordered(
    weights: Float[Array, "n_in n_out"], row: Float[Array, " n_out"] | None, column: Float[Array, " n_in"] | None
) -> Float[Array, "_ _"]:
    """Weights with a row of biases below, a column of them on the right, or both: a line that is always driven has
    number n_in, seen from the columns n_out. The corner is 0, in a cell that no sum contains."""
    if row is not None:
        weights = jnp.concatenate([weights, row[None]], axis=0)
    if column is None:
        return weights
    padded = column if row is None else jnp.append(column, 0.0)
    return jnp.concatenate([weights, padded[:, None]], axis=1)


def read(
    key: Key[Array, ""], driven: Float[Array, "*batch n"], array: State, n_out: int
) -> Float[Array, "*batch n_out"]:
    """One read of the first `n_out` sums; where the array has a line more than are driven, it is always driven."""
    if array.extent.shape[0] == driven.shape[-1] + 1:
        driven = jnp.concatenate([driven, jnp.ones((*driven.shape[:-1], 1), driven.dtype)], axis=-1)
    return mvm(key, driven, array)[..., :n_out]


def check_choice(value: str, name: str, allowed: tuple[str, ...]) -> None:
    """Raise ValueError for a value that is none of the allowed ones."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")


def check_comparator(spec: CrossbarSpec, lines: list[tuple[str, int]]) -> None:
    """Raise ValueError for an array that a comparator cannot decide behind; `lines`: inputs that "rows" or "cols" must
    hold."""
    if type(spec.readout) is not Readout:
        raise ValueError(
            f"neuron.kind='comparator' decides on the analog sum, which readout={type(spec.readout).__name__} converts "
            "before it; build the spec with adc_bits=None"
        )
    if spec.mapping.n_slices > 1 or spec.mapping.encoding == "offset_digital":
        raise ValueError(
            "neuron.kind='comparator' decides on one analog sum, and mapping.n_slices > 1 or encoding='offset_digital' "
            "needs digital additions; use one slice of pairs"
        )
    for side, n in lines:
        if n > getattr(spec, side):
            raise ValueError(
                f"neuron.kind='comparator' decides on one analog sum, so {side} must hold all {n} inputs, got "
                f"{getattr(spec, side)}"
            )


def only_from_rows(spec: CrossbarSpec) -> str | None:
    """The field that has no meaning where the same cells are read from their columns, None where all have one."""
    mapping = spec.mapping
    fields = (
        (mapping.n_slices > 1, f"mapping.n_slices={mapping.n_slices}"),
        (mapping.scaling != "tensor", f"mapping.scaling={mapping.scaling!r}"),
        (mapping.encoding == "offset_column", "mapping.encoding='offset_column'"),
        (spec.wiring is not None, "wiring"),
    )
    return next((what for is_found, what in fields if is_found), None)


def check_both_ways(spec: CrossbarSpec) -> None:
    """Raise ValueError for a mapping that has no meaning where cells are read from their columns."""
    what = only_from_rows(spec)
    if what is not None:
        raise ValueError(
            f"arrays='one' reads the same cells from their columns, where {what} has no meaning; use arrays='two'"
        )


def turned(key: Key[Array, ""], state: State, inputs: Inputs) -> State:
    """The same cells with rows and columns exchanged: driven from their columns, read at their rows.

    Only the readouts at the rows are new; random: what they are built with.
    """
    n_in, n_out = state.extent.shape[0], state.g.shape[-1]
    spec = replace(state.spec, rows=state.spec.cols, cols=state.spec.rows, inputs=inputs)
    n_tiles, n_row = row_tiles(n_out, spec.rows)

    def turn(cells: Array) -> Array:
        flat = jnp.swapaxes(cells.reshape(-1, *cells.shape[2:])[:n_in], 0, 1)
        padded = jnp.pad(flat, [(0, n_tiles * n_row - n_out)] + [(0, 0)] * (flat.ndim - 1))
        return padded.reshape(n_tiles, n_row, *flat.shape[1:])

    g = turn(state.g)
    settled = settle(
        state._replace(
            g=g,
            sides=tuple(Side(*jax.tree.map(turn, tuple(side))) for side in state.sides),
            read_variance=None,
            shared_variance=None,
            errors=spec.readout.fabricate(key, (n_tiles, n_in)),
            n_writes=jnp.zeros_like(state.n_writes),
            n_cycles=jnp.zeros_like(state.n_cycles),
            extent=jnp.ones(n_out, bool),
            spec=spec,
        )
    )
    return settled._replace(g=g)  # the same to the last bit, where cells that were settled anew could round otherwise


def stored(state: State) -> Float[Array, "n_in n_out"]:
    """The weights as a noiseless read sees them."""
    n_in, n_slices = state.extent.shape[0], state.scale.shape[0]
    g = state.g.reshape(-1, n_slices, state.g.shape[-1] // n_slices)[:n_in]
    if state.spec.mapping.encoding == "offset_digital":
        g = g - 0.5 * (1.0 + state.spec.device.g_min)
    return jnp.sum(g * state.scale, axis=1)
