"""Ranges of inputs and converters from data, and of weights: fixed before training, or learned with it."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from aimc.nn.base import AnalogLayer, Range
from aimc.nn.convert import analog_layers
from aimc.nn.monitor import Monitor, Seen, Sizes, nothing, percentile, rms
from aimc.readout.base import check_choice
from aimc.readout.calibration import optimal_clip

ALIKE = 1e-5  # of the largest entry: the deviation of equal entries is not zero but the rounding of their mean
METHODS = ("percentile", "std", "max", "gaussian")


def watch(
    model: nnx.Module, batches: Iterable[Any], *, call: Callable[[nnx.Module, Any], Any] | None = None
) -> dict[str, Seen]:
    """What passes every analog layer, by path, while the model is called on every batch (`call(model, batch)`).

    Random as the model's calls are. The model is left as it was, but for its random streams: statistics of batches that
    it gathers on the way count while it is watched and are then what they were. Raises ValueError for a
    model without analog layers or no batch.
    """
    layers = analog_layers(model, "watch")
    variables = [v for _, v in nnx.iter_graph(model) if isinstance(v, nnx.Variable) and not isinstance(v, nnx.RngState)]
    before = [variable.get_value() for variable in variables]
    for _, layer in layers:
        layer.monitor = Monitor(nothing())

    @nnx.jit
    def look(model: nnx.Module, batch: Any) -> None:
        if call is None:
            model(batch)  # type: ignore[operator]
        else:
            call(model, batch)

    n_batches = 0
    try:
        for batch in batches:
            look(model, batch)
            n_batches += 1
        if n_batches == 0:
            raise ValueError("batches must hold at least one batch, got none")
        return {path: layer.monitor.get_value() for path, layer in layers if layer.monitor is not None}
    finally:
        for _, layer in layers:
            layer.monitor = None
        for variable, value in zip(variables, before, strict=True):
            variable.set_value(value)


def calibrate(
    model: nnx.Module,
    batches: Iterable[Any],
    *,
    inputs: str | None = "percentile",
    outputs: str | None = None,
    percent: float = 99.9,
    deviations: float = 3.0,
    learn: bool = False,
    call: Callable[[nnx.Module, Any], Any] | None = None,
) -> None:
    """Set the ranges of every analog layer from data, inputs first, converters in a second pass that they shape.

    Methods: "percentile" (`percent` of the sizes fit), "std" (`deviations` root mean squares, as Rasch et al. 2023
    start theirs), "max", and for outputs "gaussian" (the clip of least error if sums were Gaussian,
    `aimc.readout.calibration.optimal_clip`); None leaves a range as it is. With `learn` the values are where learning
    starts: the ranges become parameters (`Range`), trained with the step-size gradient of Esser et al. 2020.
    A layer that saw only zeros gets 1. Nothing else of the model changes but its random streams (`watch`). Raises
    ValueError for another method or a number that cannot be.
    """
    for name, method in (("inputs", inputs), ("outputs", outputs)):
        if method is not None:
            check_choice(name, method, METHODS[:3] if name == "inputs" else METHODS)
    if not 0 < percent <= 100:
        raise ValueError(f"percent must lie in (0, 100], got {percent!r}")
    if not deviations > 0:
        raise ValueError(f"deviations must be above 0, got {deviations!r}")
    batches = list(batches)
    for method, part in ((inputs, "inputs"), (outputs, "outputs")):
        if method is None:
            continue
        seen = watch(model, batches, call=call)
        for path, layer in analog_layers(model):
            sizes = seen[path].inputs if part == "inputs" else seen[path].sums
            _set(layer, part, _chosen(sizes, method, percent, deviations, layer), learn)


def clip_kernel(kernel: Float[Array, "..."], deviations: float) -> Float[Array, "..."]:
    """The kernel, cut at ± `deviations` of its standard deviation, so that few large weights do not set the scale of
    all conductances (Joshi et al. 2020). One whose entries are all alike has no deviation to be cut at and stays."""
    deviation = jnp.std(kernel)
    is_alike = deviation <= ALIKE * jnp.max(jnp.abs(kernel))
    bound = jnp.where(is_alike, jnp.inf, deviations * deviation)
    return jnp.clip(kernel, -bound, bound)


def clip_weights(model: nnx.Module, deviations: float) -> None:
    """`clip_kernel` for every analog layer of the model; call it after each optimiser step."""
    for _, layer in analog_layers(model, "clip"):
        layer.kernel[...] = clip_kernel(layer.kernel[...], deviations)


def _chosen(sizes: Sizes, method: str, percent: float, deviations: float, layer: AnalogLayer) -> Array:
    if method == "percentile":
        value = percentile(sizes, percent)
    elif method == "std":
        value = deviations * rms(sizes)
    elif method == "max":
        value = sizes.largest
    else:
        n_levels = getattr(layer.spec.readout, "n_levels", None)
        if n_levels is None:
            raise ValueError(
                f"outputs='gaussian' needs a converter with levels, got {type(layer.spec.readout).__name__}"
            )
        value = optimal_clip(float(n_levels)) * rms(sizes)
    return jnp.where(value > 0, value, 1.0)


def _set(layer: AnalogLayer, part: str, value: Array, learn: bool) -> None:
    if part == "inputs":
        if learn:
            layer.input_range = Range(value)
        spec = replace(layer.spec, inputs=replace(layer.spec.inputs, range=value))
    else:
        if learn:
            layer.output_range = Range(value)
        spec = replace(layer.spec, readout=replace(layer.spec.readout, full_scale=value))
    layer.spec = nnx.data(spec)
    if layer.chip is not None:  # ranges are digital settings of the arrays that stand there
        layer.refresh_ranges()
