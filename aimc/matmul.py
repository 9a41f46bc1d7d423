"""Reading a programmed array: inputs, product, noise, readout. One product per row tile, whatever the noise."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from aimc.inputs import Inputs, drive, noise_weight, plane_weights
from aimc.mapping import less_reference, to_tiles
from aimc.noise import normal
from aimc.program import State, conductances, program, read_variances
from aimc.readout.base import Readout
from aimc.spec import CrossbarSpec
from aimc.wiring import Circuits, circuits, currents, exact_variance

HIGHEST = jax.lax.Precision.HIGHEST  # the default elsewhere, TF32 or bf16, would be coarser than a 12-bit converter


def mvm(key: Key[Array, ""], x: Float[Array, "*batch n_in"], state: State) -> Float[Array, "*batch n_out"]:
    """Multiply the vectors x by a programmed array, in the units of `x @ w`.

    Every column of every row tile, slice and bit plane is digitised on its own and the results are added digitally.
    key is consumed: it draws what is fresh in this call (slow, input, read and readout noise); what is frozen is in
    `state`. Gradients pass straight through converters inside their range and treat noise as a constant; ranges
    (`inputs.range`, `readout.full_scale`) get theirs as learned step sizes do (Esser et al. 2020).

    Raises ValueError when the length of x does not fit the programmed weights.
    """
    n_in, spec = state.extent.shape[0], state.spec
    if x.shape[-1] != n_in:
        raise ValueError(f"x has {x.shape[-1]} entries a vector, but this array was programmed for {n_in} inputs")
    x = x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.float32)
    slow_key, read_key, input_key = jax.random.split(key, 3)
    state, shifts = _disturb(slow_key, state)
    driven, known, x_max = drive(input_key, x, spec.inputs)
    unit = spec.readout.full_scale * _by_column(state)
    if not spec.readout.is_linear:  # the readout must know what a sum stands for; else it is put back afterwards
        unit, x_max = unit * x_max, jnp.ones_like(x_max)
    y = _sum_tiles(read_key, driven, _tiles(state, shifts), lambda key, x, tile: _read(key, x, tile, unit, state))
    y = y - _digital_offset(known, state)
    if spec.inputs.encoding == "bit_serial":
        y = jnp.tensordot(jnp.asarray(plane_weights(spec.inputs), y.dtype), y, 1, precision=HIGHEST)
    return _compensated(y, x_max, state.gain)


@jax.custom_jvp
def _compensated(y: Array, x_max: Array, gain: Array) -> Array:
    """y in the units of the inputs, drift undone. A gain undoes what drift did to cells whose gradient does not drift,
    so to the gradient it is 1."""
    return y * (x_max * gain)


@_compensated.defjvp
def _compensated_jvp(primals, tangents):
    y, x_max, _ = primals
    return _compensated(*primals), tangents[0] * x_max + y * tangents[1]


def column_sums(
    key: Key[Array, ""], x: Float[Array, "*batch n_in"], state: State
) -> Float[Array, "n_tiles *planes_batch n_column"]:
    """What the readouts are given, tile by tile, in fully-on cells at full input, noise included: what their range is
    calibrated on.

    Slices are columns side by side; bit planes, where there are several, are an axis after the tiles. key is
    consumed as by `mvm`.
    """
    bare = state._replace(spec=replace(state.spec, readout=Readout(noise=state.spec.readout.noise)), errors=None)
    slow_key, read_key, input_key = jax.random.split(key, 3)
    bare, shifts = _disturb(slow_key, bare)
    driven, _, _ = drive(input_key, x, bare.spec.inputs)
    tiles, (n_tiles, n_line, _) = _tiles(bare, shifts), bare.g.shape
    driven = jnp.pad(driven, [(0, 0)] * (driven.ndim - 1) + [(0, n_tiles * n_line - driven.shape[-1])])
    sums = _output_sums if bare.spec.read_path == "output" else _device_sums
    lines = jnp.moveaxis(driven.reshape(*driven.shape[:-1], n_tiles, n_line), -2, 0)

    def one(numbered: tuple) -> Array:
        tile_key, line, tile = numbered
        return sums(list(jax.random.split(tile_key, 3)), line, tile, bare)

    return jax.lax.map(one, (jax.random.split(read_key, n_tiles), lines, tiles))


def analog_matmul(
    key: Key[Array, ""],
    x: Float[Array, "*batch n_in"],
    w: Float[Array, "n_in n_out"],
    spec: CrossbarSpec,
) -> Float[Array, "*batch n_out"]:
    """Multiply x by w on a freshly programmed array: `program`, then `mvm`. key is consumed by the two.

    Write noise is drawn once per call and read noise once per output; gradients reach x and w straight through.
    """
    write_key, read_key = jax.random.split(key)
    return mvm(read_key, x, program(write_key, w, spec))


def _by_column(state: State) -> Array:
    """The weight that a fully-on cell of every column stands for; one number where all are the same."""
    n_out = state.g.shape[-1] // state.scale.shape[0]
    if state.scale.shape == (1, 1):
        return state.scale[0, 0]
    return jnp.broadcast_to(state.scale, (state.scale.shape[0], n_out)).reshape(-1)


def _digital_offset(known: Array, state: State) -> Array | float:
    """What the digital side subtracts where cells hold mid + w: mid Σx, in weights."""
    if state.spec.mapping.encoding != "offset_digital":
        return 0.0
    n_out = state.g.shape[-1] // state.scale.shape[0]
    middle = (
        0.5 * (1.0 + state.spec.device.g_min) * jnp.sum(jnp.broadcast_to(state.scale, (len(state.scale), n_out)), 0)
    )
    return jnp.sum(known, axis=-1, keepdims=True) * middle


def _disturb(key: Key[Array, ""], state: State) -> tuple[State, tuple[Array, ...]]:
    """Add the noise that is slower than a call: one draw per cell, shared by all vectors of the call. Also the
    draws."""
    spec = state.spec
    if spec.device.slow_std(jnp.zeros(1), state.elapsed) is None:
        return state, ()
    if spec.wiring is not None and spec.read_path == "output":
        raise ValueError(
            f"wiring folds cells that stand still during a call, and those of device={type(spec.device).__name__} have "
            "slow noise; use read_path='device', which solves the circuit as it is"
        )
    shifts = []
    for side_key, g in zip(jax.random.split(key), conductances(state), strict=False):
        std = spec.device.slow_std(g, state.elapsed)
        shifts.append(jnp.zeros_like(g) if std is None else std * normal(side_key, g.shape))
    change = less_reference(shifts[0], shifts[1] if len(shifts) > 1 else None, spec.cols, len(state.scale))
    return state._replace(g=state.g + jax.lax.stop_gradient(change)), tuple(shifts)


def _tiles(state: State, shifts: tuple[Array, ...]) -> tuple:
    """What is scanned over, tile by tile; the output path needs every cell only where wires leave it no choice."""
    is_exact = state.spec.wiring is not None and state.spec.wiring.noise == "exact"
    cells = conductances(state) if state.spec.read_path == "device" or is_exact else ()
    if shifts and cells:
        cells = tuple(own + shift for own, shift in zip(cells, shifts, strict=True))
    return state.g, state.read_variance, state.shared_variance, state.correlated, cells, state.errors


def _sum_tiles(key: Array, driven: Array, tiles: Any, read: Callable) -> Array:
    """Read tile after tile, each with its part of the input, and add; a scan, so that one tile's sums are in memory."""
    n_tiles, n_line, _ = tiles[0].shape
    batch = driven.shape[:-1]
    driven = jnp.pad(driven, [(0, 0)] * len(batch) + [(0, n_tiles * n_line - driven.shape[-1])])
    if n_tiles == 1:
        return read(key, driven, jax.tree.map(lambda cells: cells[0], tiles))

    def add_tile(total: Array, numbered_tile: tuple) -> tuple[Array, None]:
        i, tile_key, tile = numbered_tile
        lines = jax.lax.dynamic_slice_in_dim(driven, i * n_line, n_line, axis=-1)
        return total + read(tile_key, lines, tile), None

    one = jax.tree.map(lambda cells: jax.ShapeDtypeStruct(cells.shape[1:], cells.dtype), tiles)
    lines = jax.ShapeDtypeStruct((*batch, n_line), driven.dtype)
    total = jax.eval_shape(read, key, lines, one)
    per_tile = (jnp.arange(n_tiles), jax.random.split(key, n_tiles), tiles)
    return jax.lax.scan(add_tile, jnp.zeros(total.shape, total.dtype), per_tile, unroll=n_tiles if n_tiles <= 4 else 1)[
        0
    ]


def _read(key: Array, x: Array, tile: tuple, unit: Array, state: State) -> Array:
    """One row tile, digitised, its slices added."""
    *sums_keys, readout_key = jax.random.split(key, 4)
    sums = _output_sums if state.spec.read_path == "output" else _device_sums
    y = _digitise(readout_key, sums(sums_keys, x, tile, state), tile[-1], unit, state.spec)
    n_slices = state.scale.shape[0]
    return y if n_slices == 1 else jnp.sum(y.reshape(*y.shape[:-1], n_slices, -1), axis=-2)


def _digitise(key: Array, sums: Array, errors: Any, unit: Array, spec: CrossbarSpec) -> Array:
    # A true division: XLA takes it for expensive and stores what it gives, where a product by the reciprocal is fused,
    # with the noise drawn anew, into every loop, forward and backward, that uses it.
    return spec.readout.read(key, sums / jnp.asarray(spec.readout.full_scale), errors, unit)


def _output_sums(keys: list[Array], x: Array, tile: tuple, state: State) -> Array:
    """Sums of one row tile, in fully-on cells, the noise of a column drawn as one Gaussian at its foot."""
    g, variance, shared, correlated, cells, _ = tile
    noise_key, backward_key, shared_key = keys
    if state.spec.backward == "array":
        sums = _two_way_product(backward_key, x, g, variance, state.spec)
    else:
        sums = jnp.matmul(x, g, precision=HIGHEST)
    if cells:
        noise, common = _exact_noise(x, cells, state)
    else:
        noise = _noise_variance(x, variance, state.spec, correlated)
        weight = noise_weight(x, state.spec.inputs)
        common = None if shared is None else jnp.matmul(weight, shared, precision=HIGHEST)
    if noise is not None:
        sums = sums + jax.lax.stop_gradient(jnp.sqrt(noise) * normal(noise_key, sums.shape))
    if common is not None:
        common = jax.lax.stop_gradient(jnp.sqrt(common) * normal(shared_key, common.shape))
        sums = less_reference(sums, common, state.spec.cols, len(state.scale))
    return sums


def _one_tile(own: Array, reference: Array | None, state: State) -> Circuits:
    """The cells of one row tile as circuits, leading axes (*parts, n_blocks)."""
    spec = state.spec
    assert spec.wiring is not None
    other = None if reference is None else reference[None]
    cells = circuits(own[None], other, spec.wiring, spec.mapping.encoding, spec.cols, len(state.scale))
    return cells._replace(g=jnp.squeeze(cells.g, -4))


def _exact_noise(x: Array, cells: tuple, state: State) -> tuple[Array | None, Array | None]:
    """Variances of the sums of one row tile with wires, and of its dummy columns, for every vector."""
    spec, n_slices = state.spec, len(state.scale)
    assert spec.wiring is not None
    own_noise = None if spec.readout.noise is None else jnp.asarray(spec.readout.noise) ** 2
    spread = read_variances(cells, state)
    if not spread:
        return own_noise, None
    laid_out = [_one_tile(s[0], s[1] if len(s) > 1 else None, state) for s in (cells, spread)]
    n_out = state.g.shape[-1] // n_slices
    noise, common = exact_variance(x, laid_out[0], laid_out[1].g, spec.wiring, spec.device.g_max, n_out, n_slices)
    return (noise if own_noise is None else noise + own_noise), common


def _noise_variance(
    x: Array, variance: Array | None, spec: CrossbarSpec, correlated: tuple | None = None
) -> Array | None:
    """Variance of every sum: over its cells, the cell's variance as often as its input counts, plus the readout's own.

    Exact for Gaussian noise that is independent between cells and reads; both terms are drawn as one Gaussian, since
    only their sum is ever seen. None is no noise at all.
    """
    own = None if spec.readout.noise is None else jnp.asarray(spec.readout.noise) ** 2
    if variance is None:
        return own
    weight = noise_weight(x, spec.inputs)
    if variance.shape == (1, 1):  # the same for all cells
        cells = variance[0, 0] * jnp.sum(weight, axis=-1, keepdims=True)
    else:
        cells = jnp.matmul(weight.astype(variance.dtype), variance, preferred_element_type=x.dtype)
    if correlated is not None:  # through wires, what equal inputs add up to; an approximation must not go negative
        correction, sign = correlated
        along = jnp.matmul(x, correction, precision=HIGHEST) ** 2
        along = along - jnp.matmul(x * x, correction**2, precision=HIGHEST)
        cells = jnp.maximum(cells + sign * along, 0.1 * cells)
    return cells if own is None else cells + own


def _device_sums(keys: list[Array], x: Array, tile: tuple, state: State) -> Array:
    """Sums of one row tile, every cell drawn for every vector, vector after vector: slow, and right even where reads
    clip at zero."""
    g, _, _, _, cells, _ = tile
    spec = state.spec

    def fluctuation(key: Array, own: Array) -> Array:
        variance = spec.device.read_variance(own, state.elapsed)
        noise = jnp.zeros_like(own) if variance is None else jnp.sqrt(variance) * normal(key, own.shape)
        # A circuit has no negative conductances.
        return jnp.maximum(own + noise, 0.0) - own if spec.clip_reads or spec.wiring is not None else noise

    def read_vector(keyed_vector: tuple[Array, Array]) -> Array:
        key, vector = keyed_vector
        plus_key, minus_key, output_key = jax.random.split(key, 3)
        seen = [fluctuation(k, own) for k, own in zip((plus_key, minus_key), cells, strict=False)]
        if spec.wiring is not None:
            return _solved(output_key, vector, [own + noise for own, noise in zip(cells, seen, strict=True)], g, state)
        change = less_reference(seen[0], seen[1] if len(seen) > 1 else None, spec.cols, len(state.scale))
        felt = vector if spec.inputs.encoding != "pulse_width" else jnp.sqrt(noise_weight(vector, spec.inputs))
        noise = jnp.matmul(felt, change, precision=HIGHEST)
        if spec.readout.noise is not None:
            noise = noise + spec.readout.noise * normal(output_key, noise.shape)
        return jnp.matmul(vector, g, precision=HIGHEST) + jax.lax.stop_gradient(noise)  # noise is a constant

    vectors = x.reshape(-1, x.shape[-1])
    y = jax.lax.map(read_vector, (jax.random.split(keys[0], vectors.shape[0]), vectors))
    return y.reshape(*x.shape[:-1], g.shape[-1])


def _solved(key: Array, vector: Array, seen: list[Array], g: Array, state: State) -> Array:
    """Sums for one vector by solving the circuit of the cells as they are seen; the gradient is that of `g`."""
    spec, n_slices = state.spec, len(state.scale)
    assert spec.wiring is not None
    cells = _one_tile(seen[0], seen[1] if len(seen) > 1 else None, state)
    sums = currents(vector, cells, spec.wiring, spec.device.g_max, g.shape[-1] // n_slices, n_slices)
    if spec.readout.noise is not None:
        sums = sums + spec.readout.noise * normal(key, sums.shape)
    product = jnp.matmul(vector, g, precision=HIGHEST)
    return product + jax.lax.stop_gradient(sums - product)


@jax.custom_vjp
def _two_way_product(key: Array, x: Array, g: Array, variance: Array | None, spec: CrossbarSpec) -> Array:
    """x @ g, whose input gradient is a read of the same cells from the column side, with its own converters and
    noise."""
    return jnp.matmul(x, g, precision=HIGHEST)


def _two_way_forward(key, x, g, variance, spec):
    return _two_way_product(key, x, g, variance, spec), (key, x, g, variance, spec)


def _two_way_backward(saved, error):
    key, x, g, variance, spec = saved
    # Errors have no calibrated range: each vector sets its own.
    drive_key, read_key = jax.random.split(key)
    driven, _, largest = drive(drive_key, error, Inputs(n_levels=spec.inputs.n_levels, noise=spec.inputs.noise))
    constant = variance is None or variance.shape == (1, 1)
    tiles = (to_tiles(g.T, spec.cols), None if constant else to_tiles(variance.T, spec.cols))

    def read(key, x, tile):
        noise_key, readout_key = jax.random.split(key)
        sums = jnp.matmul(x, tile[0], precision=HIGHEST)
        noise = _noise_variance(x, variance if constant else tile[1], spec)
        if noise is not None:
            sums = sums + jnp.sqrt(noise) * normal(noise_key, sums.shape)
        return _digitise(readout_key, sums, None, jnp.asarray(spec.readout.full_scale), spec)

    x_gradient = largest * _sum_tiles(read_key, driven, tiles, read)
    flat_x, flat_error = x.reshape(-1, x.shape[-1]), error.reshape(-1, error.shape[-1])
    g_gradient = jnp.matmul(flat_x.T, flat_error, precision=HIGHEST)
    return None, x_gradient, g_gradient, None, None


_two_way_product.defvjp(_two_way_forward, _two_way_backward)
