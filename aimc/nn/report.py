"""What each layer asks of arrays and what they do to it: tiles, clipping, signal over noise, counts."""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from math import ceil, log10
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from aimc.counts import Counts, read_counts
from aimc.nn.base import AnalogLayer
from aimc.nn.convert import analog_layers
from aimc.nn.monitor import Seen
from aimc.nn.ranges import watch
from aimc.program import State, program
from aimc.readout.adc import UniformADC
from aimc.readout.calibration import clipped_mse


class LayerReport(NamedTuple):
    """One layer on its arrays, after some data has passed."""

    path: str
    kind: str
    n_in: int
    n_out: int
    n_groups: int
    tiles: int
    """Tiles occupied, slices included."""
    utilisation: float
    """Share of their cells that hold a weight."""
    n_vectors: int
    """Vectors read, all groups together."""
    clipped_inputs: float
    """Share of inputs beyond the input range; 0 where every vector sets its own."""
    clipped_sums: float
    """Share of column sums beyond the converters' range."""
    snr_db: float
    """Measured: power of the digital product over that of what the arrays add to it."""
    predicted_snr_db: float | None
    """The same in closed form (see `predicted_snr`); None where that does not cover the array."""
    counts: Counts
    """Events of those reads."""


def report(
    model: nnx.Module, batches: Iterable[Any], *, call: Callable[[nnx.Module, Any], Any] | None = None
) -> list[LayerReport]:
    """A row for every analog layer, from calling the model on all batches (`call(model, batch)`); random as calls are.

    Raises ValueError for a model without analog layers or no batch.
    """
    seen = watch(model, batches, call=call)
    return [_row(path, layer, seen[path]) for path, layer in analog_layers(model)]


def as_rows(rows: list[LayerReport]) -> list[dict[str, Any]]:
    """For JSON: plain numbers, events that did not happen left out."""
    return [r._asdict() | {"counts": {k: v for k, v in asdict(r.counts).items() if v}} for r in rows]


def predicted_snr(layer: AnalogLayer, seen: Seen) -> float | None:
    """Signal over noise of the sums in closed form, as a ratio of powers, for independent inputs and weights:

    1/SNR = σ_w²/E[w²] + σ_in²/E[x²] + n_tiles (σ_out² + MSE)/(n_in E[w²] E[x²]),

    in fully-on cells at full input. σ_w²: write error as it is in the chip (or in a trial one) and read noise; σ_in²:
    rounding of inputs, step²/12, and their noise; MSE: rounding and clipping of Gaussian sums
    (`aimc.readout.calibration.clipped_mse`). Clipped inputs are not in it. None for slices, bit planes, wires and
    readouts other than a uniform converter without errors.
    """
    spec = layer.ranged_spec
    covered = (
        spec.mapping.n_slices == 1
        and spec.mapping.encoding != "offset_digital"
        and spec.inputs.encoding == "amplitude"
        and spec.wiring is None
        and type(spec.readout) is UniformADC
        and (spec.readout.gain_std, spec.readout.offset_std, spec.readout.inl_rms) == (None, None, None)
    )
    if not covered:
        return None
    w = layer.matrices().reshape(-1, *layer.matrices().shape[-2:])
    states = _states(layer)
    largest = np.asarray(states.scale)[:, 0]  # (groups, 1 or n_out): the weight a fully-on cell stands for
    ideal = np.asarray(w, np.float64) / largest[:, None, :]
    n_in = w.shape[-2]
    stored = np.asarray(states.g, np.float64).reshape(len(w), -1, w.shape[-1])[:, :n_in]
    read = 0.0 if states.read_variance is None else float(jnp.mean(states.read_variance.astype(jnp.float32)))
    weight_power, weight_error = float(np.mean(ideal**2)), float(np.mean((stored - ideal) ** 2)) + read
    input_power = float(seen.driven / seen.inputs.n)
    levels = spec.inputs.n_levels
    input_error = 0.0 if levels is None else (2.0 / (float(levels) - 1.0)) ** 2 / 12.0
    input_error += 0.0 if spec.inputs.noise is None else float(spec.inputs.noise) ** 2
    n_tiles = states.g.shape[1]
    sums_rms = float(jnp.sqrt(seen.sums.sum_of_squares / seen.sums.n))
    full_scale = float(jnp.mean(jnp.asarray(spec.readout.full_scale)))
    rounding = sums_rms**2 * clipped_mse(full_scale / sums_rms, float(spec.readout.n_levels)) if sums_rms else 0.0
    own = 0.0 if spec.readout.noise is None else float(spec.readout.noise) ** 2
    inverse = (
        weight_error / weight_power
        + input_error / input_power
        + n_tiles * (own + rounding) / (n_in * weight_power * input_power)
    )
    return 1.0 / inverse if inverse > 0 else float("inf")


def _row(path: str, layer: AnalogLayer, seen: Seen) -> LayerReport:
    spec = layer.ranged_spec
    *_, n_in, n_out = layer.matrices().shape
    groups = 1 if layer.n_groups is None else layer.n_groups
    tiles = groups * ceil(n_in / spec.rows) * ceil(n_out / spec.cols) * spec.mapping.n_slices
    n_vectors = int(seen.n_vectors)
    predicted = predicted_snr(layer, seen)
    measured = float(seen.signal / seen.error) if float(seen.error) > 0 else float("inf")
    return LayerReport(
        path=path,
        kind=type(layer).__name__,
        n_in=n_in,
        n_out=n_out,
        n_groups=groups,
        tiles=tiles,
        utilisation=groups * n_in * n_out * spec.mapping.n_slices / (tiles * spec.rows * spec.cols),
        n_vectors=n_vectors,
        clipped_inputs=float(seen.inputs.n_beyond / seen.inputs.n),
        clipped_sums=float(seen.sums.n_beyond / seen.sums.n),
        snr_db=_decibel(measured),
        predicted_snr_db=None if predicted is None else _decibel(predicted),
        counts=read_counts(spec, n_vectors, n_in, n_out),
    )


def _states(layer: AnalogLayer) -> State:
    """The arrays of all groups, on a leading axis; written on trial where none stand there."""
    if layer.chip is not None:
        state = layer.chip.get_value()
        return state if layer.n_groups is not None else jax.tree.map(lambda leaf: leaf[None], state)
    w = layer.matrices().reshape(-1, *layer.matrices().shape[-2:])
    keys = jax.random.split(jax.random.key(0), len(w))
    return jax.vmap(lambda key, w: program(key, w, layer.ranged_spec))(keys, w)


def _decibel(ratio: float) -> float:
    return 10.0 * log10(ratio) if 0 < ratio < float("inf") else ratio
