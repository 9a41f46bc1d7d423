"""Writing weights into an array: drawn once, frozen until the next write."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, Key

from aimc import faults
from aimc.devices.base import Level
from aimc.mapping import (
    column_scale,
    contrast,
    digit_weights,
    digits,
    encode,
    less_reference,
    to_tiles,
)
from aimc.spec import CrossbarSpec, check_range
from aimc.verify import write
from aimc.wiring import FoldedNoise, circuits, fold, fold_noise


class Side(NamedTuple):
    """Cells on one side of a subtraction: what the device remembers of them, and which are stuck (None: none are)."""

    cells: Any
    stuck: Any


class State(NamedTuple):
    """A programmed array; a column is one output of one slice, slices in turn: column = slice · n_out + output.

    `g` is what a noiseless read multiplies by, in fully-on cells, wires folded in where there are any; gradients pass
    through it to the weights that were programmed. `sides` are the cells behind it: pairs, or cells and dummy
    columns. `read_variance`, the variance of one g in one read, is cached for the output path with the shape of `g`
    (in bfloat16 where there is one tile: an error of at most 2⁻⁷ in an output's variance, far less on average); it
    is one number a tile, (n_tiles, 1, 1), where it does not depend on the conductance, and absent where there is
    none. `shared_variance` is that of dummy columns.
    """

    g: Float[Array, "n_tiles n_row n_column"]
    sides: tuple[Side, ...]
    read_variance: Float[Array, "n_tiles _ _"] | None
    shared_variance: Float[Array, "n_tiles n_row n_block"] | None
    correlated: tuple[Float[Array, "n_tiles n_row n_column"], Float[Array, "n_tiles n_column"]] | None
    """What read noise through wires adds up to along equal inputs (`aimc.wiring.FoldedNoise`)."""
    scale: Float[Array, "n_slices _"]
    """The weight that one fully-on cell stands for, by slice and output (or one for all)."""
    gain: Float[Array, " gains"]
    """Digital factor at the outputs, 1 until drift is compensated: (n_out,) or (1,)."""
    errors: Any
    """What the readouts were built with."""
    elapsed: Float[Array, ""]
    """Seconds since the end of programming."""
    n_writes: Int[Array, ""]
    """Cell writes that programming took, repeats of write-verify among them (32 bits)."""
    n_cycles: Int[Array, ""]
    """Row writes that had to follow each other, all tiles at once: a row is done when its last cell is."""
    extent: Bool[Array, " n_in"]
    """Its shape remembers how many of the rows are inputs, the rest being filled up."""
    spec: CrossbarSpec


def program(key: Key[Array, ""], w: Float[Array, "n_in n_out"], spec: CrossbarSpec) -> State:
    """Write the weights into the cells, with whatever the device, stuck cells and write-verify do to them.

    Any size: weights longer than `spec.rows` are cut into row tiles. Random: programming, stuck cells and the readouts'
    own errors, all frozen in the result. Gradients pass straight through to `w`, in slices by the first. Raises
    ValueError for weights that are not a matrix with entries, or, outside jit, not finite, and for more than one row
    tile where the readout's function cannot be added up.
    """
    if w.ndim != 2 or 0 in w.shape:
        raise ValueError(f"w must be a matrix of n_in rows and n_out columns, both at least 1, got shape {w.shape}")
    if not isinstance(w, Tracer) and not (finite := np.isfinite(np.asarray(w))).all():
        raise ValueError(f"w must be finite to be programmed, got {int((~finite).sum())} entries that are not")
    if w.shape[0] > spec.rows and not spec.readout.is_linear:
        raise ValueError(
            f"readout={type(spec.readout).__name__} gives a function that is not proportional to the sum, so the parts "
            f"of {w.shape[0]} inputs on rows={spec.rows} cannot be added up behind it; use rows of at least "
            f"{w.shape[0]}"
        )
    check_range(spec)
    plus_key, minus_key, readout_key, fault_key = jax.random.split(key, 4)
    tiles = to_tiles(w, spec.rows)
    largest = column_scale(jax.lax.stop_gradient(w), spec.mapping.scaling)
    target = jax.lax.stop_gradient(tiles) * (1.0 / largest)
    if spec.mapping.residual:
        sides, slice_scale, written = _write_remainders((plus_key, minus_key), fault_key, target, w.shape[0], spec)
    else:
        parts = jnp.concatenate(digits(target, spec.mapping), axis=-1)
        sides, written = _write((plus_key, minus_key), fault_key, parts, spec, spec.mapping.n_slices)
        slice_scale = jnp.asarray(digit_weights(spec.mapping))[:, None]
    scale = slice_scale * largest / contrast(spec.mapping, spec.device.g_min)
    through = jnp.concatenate([tiles * (1.0 / scale[0]), *[jnp.zeros_like(tiles)] * (scale.shape[0] - 1)], axis=-1)
    blank = State(
        g=through,
        sides=sides,
        read_variance=None,
        shared_variance=None,
        correlated=None,
        scale=scale,
        gain=jnp.ones(1, tiles.dtype),
        errors=spec.readout.fabricate(readout_key, (tiles.shape[0], through.shape[-1])),
        elapsed=jnp.zeros((), jnp.float32),
        n_writes=written[0],
        n_cycles=written[1],
        extent=jnp.ones(w.shape[0], bool),
        spec=spec,
    )
    return settle(blank, is_fresh=True)


def conductances(state: State) -> tuple[Float[Array, "n_tiles n_row _"], ...]:
    """What a noiseless read sees of every side, in units of g_max."""
    return tuple(_conductance(side, state.elapsed, state.spec) for side in state.sides)


def settle(state: State, *, is_fresh: bool = False) -> State:
    """The state with `g` and the cached variances brought up to what its cells are now.

    Of a fresh state `g` is what was asked for; through wires its gradient then passes through the fold.
    """
    if state.spec.wiring is not None:
        return _settle_wires(state, is_fresh)
    spec = state.spec
    own, *others = conductances(state)
    reference = others[0] if others else None
    g = less_reference(own, reference, spec.cols, spec.mapping.n_slices)
    if spec.mapping.encoding == "signed_cell":
        g = g - 0.5 * (1.0 + spec.device.g_min)
    g = state.g + jax.lax.stop_gradient(g - state.g)  # straight through: what the cells did is a constant
    read_variance, shared = _variances(own, reference, state.elapsed, spec)
    return state._replace(g=g, read_variance=read_variance, shared_variance=shared)


def _settle_wires(state: State, is_fresh: bool) -> State:
    spec, n_slices = state.spec, len(state.scale)
    assert spec.wiring is not None
    mapping, device = spec.mapping, spec.device
    sides = list(conductances(state))
    if is_fresh:  # the cells as they are, with the derivative of what was asked of them
        asked = encode(state.g / contrast(mapping, device.g_min), mapping, device.g_min, spec.cols, n_slices)
        sides = [jax.lax.stop_gradient(found - target) + target for found, target in zip(sides, asked, strict=True)]
    n_out = state.g.shape[-1] // n_slices

    wiring = spec.wiring

    def laid_out(own: Array, reference: Array | None) -> Any:
        return circuits(own, reference, wiring, mapping.encoding, spec.cols, n_slices)

    cells = laid_out(sides[0], sides[1] if len(sides) > 1 else None)
    g = fold(cells, spec.wiring, device.g_max, n_out, n_slices) if spec.wiring.law == "ohmic" else state.g
    if not is_fresh:
        g = state.g + jax.lax.stop_gradient(g - state.g)
    state = state._replace(g=g)
    if spec.read_path == "device" or spec.wiring.noise == "exact":
        return state
    full = read_variances([jax.lax.stop_gradient(side) for side in sides], state)
    if not full:
        return state
    spread = laid_out(full[0], full[1] if len(full) > 1 else None).g
    noise: FoldedNoise = fold_noise(cells, spread, spec.wiring, device.g_max, n_out, n_slices)
    diagonal = noise.diagonal.astype(jnp.bfloat16 if g.shape[0] == 1 else jnp.float32)
    correlated = None if noise.correction is None or noise.sign is None else (noise.correction, noise.sign)
    return state._replace(read_variance=diagonal, shared_variance=noise.shared, correlated=correlated)


def read_variances(sides: Sequence[Array], state: State) -> list[Array]:
    """Variance of a read of every cell of the sides, whose conductances are given; empty where reads have no noise."""
    found = []
    for side in sides:
        variance = state.spec.device.read_variance(side, state.elapsed)
        if variance is None:
            return []
        found.append(jnp.broadcast_to(variance, side.shape))
    return found


def _conductance(side: Side, elapsed: Level, spec: CrossbarSpec) -> Array:
    g = spec.device.conductance(side.cells, elapsed)
    return g if spec.faults is None else faults.apply(g, side.stuck, spec.faults)


def _write(
    keys: tuple[Array, Array], fault_key: Array, w: Array, spec: CrossbarSpec, n_slices: int
) -> tuple[tuple[Side, ...], tuple[Array, Array]]:
    """Cells for weights in [−1, 1], `n_slices` side by side, a key a side, and the writes and row cycles they took.

    Cells that are filled up beside the weights are written too; they are never driven.
    """
    sides, writes, cycles = [], [], []
    targets = encode(w, spec.mapping, spec.device.g_min, spec.cols, n_slices)
    for key, stuck_key, target in zip(keys, jax.random.split(fault_key), targets, strict=False):
        stuck = None if spec.faults is None else faults.draw(stuck_key, target.shape, spec.faults)

        def seen(cells: Any, stuck: Any = stuck) -> Array:
            return _conductance(Side(cells, stuck), 0.0, spec)

        cells, n_writes, n_cycles = write(key, target, spec.device, spec.verify, seen)
        sides.append(Side(cells, stuck))
        writes.append(n_writes)
        cycles.append(n_cycles)
    # The cells of a pair lie in neighbouring rows, a dummy in the row of its cells.
    in_turn = jnp.maximum if spec.mapping.encoding == "offset_column" else jnp.add
    return tuple(sides), (sum(writes[1:], writes[0]), in_turn(*cycles) if len(cycles) == 2 else cycles[0])


def _write_remainders(
    keys: tuple[Array, Array], fault_key: Array, w: Array, n_in: int, spec: CrossbarSpec
) -> tuple[tuple[Side, ...], Float[Array, "n_slices _"], tuple[Array, Array]]:
    """Slice after slice, each holding what those before it missed, enlarged to the full range (Song et al. 2024).

    The range is the largest entry of what is left, but no more than eight standard deviations by its median: a stuck
    cell leaves a remainder that no later slice could hold, and must not widen their range. The read-back is noiseless:
    verifying reads can be averaged for as long as it takes.
    """
    remainder, writes, cycles = w, [], []
    slices, scales = [], []
    span = contrast(spec.mapping, spec.device.g_min)
    for i in range(spec.mapping.n_slices):
        scale = column_scale(remainder, spec.mapping.scaling) if i == 0 else _robust_scale(remainder, n_in, spec)
        slice_keys = (jax.random.fold_in(keys[0], i), jax.random.fold_in(keys[1], i))
        held_by = jnp.clip(remainder / scale, -1.0, 1.0)
        sides, (n_writes, n_cycles) = _write(slice_keys, jax.random.fold_in(fault_key, i), held_by, spec, 1)
        own, *others = (_conductance(side, 0.0, spec) for side in sides)
        held = less_reference(own, others[0] if others else None, spec.cols, 1)
        if spec.mapping.encoding in ("offset_digital", "signed_cell"):
            held = held - 0.5 * (1.0 + spec.device.g_min)
        remainder = remainder - scale * held / span
        slices.append(sides)
        scales.append(jnp.broadcast_to(scale, (w.shape[-1],)) if scale.shape[0] > 1 else scale)
        writes.append(n_writes)
        cycles.append(n_cycles)  # a slice is written when the one before it has been read back
    joined = jax.tree.map(lambda *leaves: jnp.concatenate(leaves, axis=2), *slices)
    return joined, jnp.stack(scales), (sum(writes[1:], writes[0]), sum(cycles[1:], cycles[0]))


def _robust_scale(remainder: Array, n_in: int, spec: CrossbarSpec) -> Array:
    left = jnp.abs(remainder.reshape(-1, remainder.shape[-1])[:n_in])  # without the rows that are filled up
    largest = column_scale(left, spec.mapping.scaling)
    middle = jnp.median(left, axis=0) if spec.mapping.scaling == "column" else jnp.median(left).reshape(1)
    wanted = 8.0 * 1.4826 * middle  # a median of |r| is σ/1.4826 for a Gaussian
    return jnp.where(wanted > 0, jnp.minimum(largest, wanted), largest)


def _variances(own: Array, reference: Array | None, elapsed: Level, spec: CrossbarSpec) -> tuple:
    """Variance of a read of every cell (or pair), and of every dummy cell, for the output path."""
    if spec.read_path == "device":
        return None, None
    variance = spec.device.read_variance(own, elapsed)
    if variance is None:
        return None, None
    shared = None
    if reference is not None and (other := spec.device.read_variance(reference, elapsed)) is not None:
        if spec.mapping.encoding == "offset_column":
            shared = jnp.broadcast_to(other, reference.shape)
        else:
            variance = variance + other
    if variance.ndim == 0:  # the same for every cell: the product with x² collapses to a sum
        return jnp.full((own.shape[0], 1, 1), variance), shared
    # A bfloat16 product is faster, but inside the scan over tiles XLA would first turn the whole array back to float32.
    return variance.astype(jnp.bfloat16 if own.shape[0] == 1 else jnp.float32), shared
