"""Reading a programmed array: converters, product, noise. One product per row tile, whatever the noise."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from aimc.devices.base import polynomial
from aimc.mapping import to_tiles
from aimc.noise import normal
from aimc.program import State, program
from aimc.readout.adc import quantize
from aimc.spec import Converters, CrossbarSpec

HIGHEST = jax.lax.Precision.HIGHEST  # the default elsewhere, TF32 or bf16, would be coarser than a 12-bit converter


def mvm(key: Key[Array, ""], x: Float[Array, "*batch n_in"], state: State) -> Float[Array, "*batch n_out"]:
    """Multiply the vectors x by a programmed array, in the units of `x @ w`.

    Every row tile is digitised on its own and the results are added digitally. key is consumed: it draws what is
    fresh in this call (slow, read and output noise); the programming error is frozen in `state`. Gradients pass
    straight through converters inside their range and treat noise as a constant.

    Raises ValueError when the length of x does not fit the programmed weights.
    """
    n_in = state.extent.shape[0]
    if x.shape[-1] != n_in:
        raise ValueError(f"x has {x.shape[-1]} entries a vector, but this array was programmed for {n_in} inputs")
    slow_key, read_key = jax.random.split(key)
    if state.spec.device.slow_std:
        state = _disturb(slow_key, state)
    driven, x_max = _drive(x, state.spec.converters)
    read = _read_outputs if state.spec.read_path == "output" else _read_devices
    tiles = (state.w, state.g_plus, state.g_minus, state.read_variance)
    return x_max * _sum_tiles(read_key, driven, tiles, lambda key, x, tile: read(key, x, tile, state))


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


def _disturb(key: Key[Array, ""], state: State) -> State:
    """Add the noise that is slower than a call: one draw per cell, shared by all vectors of the call."""
    plus_key, minus_key = jax.random.split(key)

    def draw(key: Key[Array, ""], g: Array) -> Array:
        return polynomial(state.spec.device.slow_std, g) * normal(key, g.shape)

    plus, minus = draw(plus_key, state.g_plus), draw(minus_key, state.g_minus)
    return state._replace(
        g_plus=state.g_plus + plus,
        g_minus=state.g_minus + minus,
        w=state.w + jax.lax.stop_gradient(state.scale * (plus - minus)),
    )


def _drive(x: Array, converters: Converters) -> tuple[Array, Array]:
    """Scale vectors to [−1, 1] and pass them through the DAC; also the factor that takes the result back."""
    if converters.input_range is None:
        largest = jnp.max(jnp.abs(x), axis=-1, keepdims=True)
        x_max = jax.lax.stop_gradient(jnp.where(largest > 0, largest, 1.0))
    else:
        x_max = jnp.asarray(converters.input_range, x.dtype)
    driven = x / x_max
    return (driven if converters.dac_levels is None else quantize(driven, converters.dac_levels)), x_max


def _sum_tiles(key: Array, driven: Array, tiles: tuple, read: Callable) -> Array:
    """Read tile after tile, each with its part of the input, and add; a scan, so that one tile's sums are in memory."""
    n_tiles, n_line, n_out = tiles[0].shape
    batch = driven.shape[:-1]
    driven = jnp.pad(driven, [(0, 0)] * len(batch) + [(0, n_tiles * n_line - driven.shape[-1])])
    if n_tiles == 1:
        return read(key, driven, jax.tree.map(lambda cells: cells[0], tiles))

    def add_tile(total: Array, numbered_tile: tuple) -> tuple[Array, None]:
        i, tile_key, tile = numbered_tile
        lines = jax.lax.dynamic_slice_in_dim(driven, i * n_line, n_line, axis=-1)
        return total + read(tile_key, lines, tile), None

    per_tile = (jnp.arange(n_tiles), jax.random.split(key, n_tiles), tiles)
    return jax.lax.scan(add_tile, jnp.zeros((*batch, n_out), driven.dtype), per_tile)[0]


def _read_outputs(key: Array, x: Array, tile: tuple, state: State) -> Array:
    """One row tile with its read noise drawn at the outputs."""
    w, _, _, variance = tile
    noise_key, backward_key = jax.random.split(key)
    if state.spec.backward == "array":
        sums = _two_way_product(backward_key, x, w, variance, state.scale, state.spec)
    else:
        sums = jnp.matmul(x, w, precision=HIGHEST)
    noise = _noise_variance(x, variance, state.scale, state.spec.converters)
    return _digitise(noise_key, sums, noise, state.scale, state.spec.converters)


def _noise_variance(x: Array, variance: Array | None, scale: Array, converters: Converters) -> Array | None:
    """Variance of every output: a sum over its cells of x² times the cell's variance, plus the readout's own.

    Exact for Gaussian noise that is independent between cells and reads; both terms are drawn as one Gaussian, since
    only their sum is ever seen. None is no noise at all.
    """
    total = None if converters.output_noise is None else (converters.output_noise * scale) ** 2
    if variance is None:
        return total
    squared = x * x
    if variance.shape == (1, 1):  # the same for all cells
        cells = variance[0, 0] * jnp.sum(squared, axis=-1, keepdims=True)
    else:
        cells = jnp.matmul(squared.astype(variance.dtype), variance, preferred_element_type=x.dtype)
    return cells if total is None else cells + total


def _digitise(key: Array, sums: Array, noise: Array | None, scale: Array, converters: Converters) -> Array:
    """Noise, then the ADC, whose full scale is `adc_range` fully-on cells."""
    if noise is not None:
        sums = sums + jax.lax.stop_gradient(jnp.sqrt(noise) * normal(key, sums.shape))
    if converters.adc_levels is None:
        return sums
    full_scale = jax.lax.stop_gradient(converters.adc_range * scale)
    return quantize(sums / full_scale, converters.adc_levels) * full_scale


def _read_devices(key: Array, x: Array, tile: tuple, state: State) -> Array:
    """One row tile, every cell drawn for every vector, vector after vector: slow, and right even where reads clip at
    zero."""
    w, g_plus, g_minus, _ = tile
    converters, coefficients = state.spec.converters, state.spec.device.read_variance

    def conductance(key: Array, g: Array) -> Array:
        std = jnp.sqrt(jnp.maximum(polynomial(coefficients, g), 0.0))
        seen = g + std * normal(key, g.shape)
        return jnp.maximum(seen, 0.0) if state.spec.clip_reads else seen

    def read_vector(keyed_vector: tuple[Array, Array]) -> Array:
        key, vector = keyed_vector
        plus_key, minus_key, output_key = jax.random.split(key, 3)
        seen = state.scale * (conductance(plus_key, g_plus) - conductance(minus_key, g_minus))
        # What is seen beyond w is noise, a constant to the gradient.
        noise = jax.lax.stop_gradient(jnp.matmul(vector, seen - w, precision=HIGHEST))
        sums = jnp.matmul(vector, w, precision=HIGHEST) + noise
        own_noise = _noise_variance(vector, None, state.scale, converters)
        return _digitise(output_key, sums, own_noise, state.scale, converters)

    vectors = x.reshape(-1, x.shape[-1])
    y = jax.lax.map(read_vector, (jax.random.split(key, vectors.shape[0]), vectors))
    return y.reshape(*x.shape[:-1], w.shape[-1])


@jax.custom_vjp
def _two_way_product(key: Array, x: Array, w: Array, variance: Array | None, scale: Array, spec: CrossbarSpec) -> Array:
    """x @ w, whose input gradient is a read of the same cells from the column side, with its own converters and
    noise."""
    return jnp.matmul(x, w, precision=HIGHEST)


def _two_way_forward(key, x, w, variance, scale, spec):
    return _two_way_product(key, x, w, variance, scale, spec), (key, x, w, variance, scale, spec)


def _two_way_backward(saved, error):
    key, x, w, variance, scale, spec = saved
    converters = spec.converters._replace(input_range=None)  # errors have no calibrated range: each sets its own
    driven, largest = _drive(error, converters)
    constant = variance is None or variance.shape == (1, 1)
    tiles = (to_tiles(w.T, spec.cols), None if constant else to_tiles(variance.T, spec.cols))

    def read(key, x, tile):
        noise = _noise_variance(x, variance if constant else tile[1], scale, converters)
        return _digitise(key, jnp.matmul(x, tile[0], precision=HIGHEST), noise, scale, converters)

    x_gradient = largest * _sum_tiles(key, driven, tiles, read)
    flat_x, flat_error = x.reshape(-1, x.shape[-1]), error.reshape(-1, error.shape[-1])
    w_gradient = jnp.matmul(flat_x.T, flat_error, precision=HIGHEST)
    return None, x_gradient, w_gradient, None, None, None


_two_way_product.defvjp(_two_way_forward, _two_way_backward)
