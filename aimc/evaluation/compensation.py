"""Drift undone in a whole model: a digital gain a layer, or a column, from reads of known vectors."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from aimc.aging import compensate, drift_reference
from aimc.nn.base import AnalogLayer, Chip, Passed
from aimc.nn.convert import analog_layers
from aimc.program import State
from aimc.spec import CrossbarSpec

COMPENSATIONS = ("none", "layer", "column")
"""A chip as it is; with one digital gain a layer (Joshi et al. 2020); with one a column."""


class Reference(NamedTuple):
    """What a layer keeps from the day it was written: calibration vectors, and the mean |y| that they gave."""

    vectors: Float[Array, "*groups batch n_in"]
    strength: Float[Array, "*groups gains"]


def calibration_vectors(key: Key[Array, ""], model: nnx.Module, n_vectors: int) -> dict[str, Float[Array, "..."]]:
    """Vectors for every layer of a deployed model, by path: uniform in its input range, or in [−1, 1] where every
    vector sets its own. An analog bias is driven by 1, as always. Random: the vectors.

    Raises ValueError for fewer than one vector and for a model without deployed layers.
    """
    if n_vectors < 1:
        raise ValueError(f"n_vectors must be at least 1, got {n_vectors}")
    layers = _deployed(model)
    found = {}
    for layer_key, (path, layer) in zip(jax.random.split(key, len(layers)), layers.items(), strict=True):
        n_in = _state(layer).extent.shape[-1]
        reach = layer.ranged_spec.inputs.range
        shape = (*_groups(layer), n_vectors, n_in)
        x = jax.random.uniform(layer_key, shape, minval=-1.0) * (1.0 if reach is None else reach)
        found[path] = x.at[..., -1].set(1.0) if layer.analog_bias else x
    return found


def watched_vectors(model: nnx.Module, x: Any, n_vectors: int) -> dict[str, Float[Array, "..."]]:
    """The first `n_vectors` that drive every layer while `model(x)` is computed, by path. Random as the call is.

    Raises ValueError for a layer that is not called or not driven by as many vectors, and for one inside a scan, whose
    inputs cannot be handed out: there use `calibration_vectors`.
    """
    copy = nnx.clone(model)
    layers = dict(analog_layers(copy, "watch"))
    for layer in layers.values():
        layer.passed = Passed(())
    try:
        copy(x)  # type: ignore[operator]
    except TypeError as error:
        if "scan" not in str(error):
            raise
        raise ValueError("what drives a layer inside a scan cannot be handed out; use calibration_vectors") from error
    found = {}
    for path, layer in layers.items():
        calls = () if layer.passed is None else layer.passed.get_value()
        if not calls:
            raise ValueError(f"layer {path} was not called, so there is nothing to calibrate it with")
        groups = _groups(layer)
        seen = jnp.concatenate([inputs.reshape(-1, *groups, inputs.shape[-1]) for inputs, _ in calls])
        if len(seen) < n_vectors:
            raise ValueError(f"layer {path} was driven by {len(seen)} vectors, fewer than n_vectors={n_vectors}")
        found[path] = jnp.moveaxis(seen[:n_vectors], 0, -2)
    return found


def drift_references(
    key: Key[Array, ""], model: nnx.Module, vectors: Mapping[str, Float[Array, "..."]], *, per_column: bool = False
) -> dict[str, Reference]:
    """What `compensate_drift` compares every layer of a deployed model with: take it right after `deploy`.

    One number a layer (and group), after Joshi et al. 2020, or one a column. Random: the noise of these reads. Raises
    ValueError for a model that is not deployed and for a layer without vectors.
    """
    layers = _deployed(model)
    found = {}
    for layer_key, (path, layer) in zip(jax.random.split(key, len(layers)), layers.items(), strict=True):
        if path not in vectors:
            raise ValueError(f"vectors must have an entry for layer {path}; it has {', '.join(vectors) or 'none'}")
        read = _by_group(layer, lambda key, state, x: drift_reference(key, state, x, per_column=per_column))
        found[path] = Reference(vectors[path], read(_keys(layer, layer_key), _state(layer), vectors[path]))
    return found


def compensate_drift(key: Key[Array, ""], model: nnx.Module, references: Mapping[str, Reference]) -> None:
    """Set the digital gains of a deployed model so that every layer is as strong as its reference again.

    Random: the noise of one read of every calibration vector. Raises ValueError for a model that is not deployed, a
    layer without reference, and a readout whose results are not proportional to the sums, naming the layer.
    """
    layers = _deployed(model)
    for layer_key, (path, layer) in zip(jax.random.split(key, len(layers)), layers.items(), strict=True):
        if path not in references:
            raise ValueError(
                f"references must have an entry for layer {path}; it has {', '.join(references) or 'none'}"
            )
        check_compensation(path, layer.spec, ("layer",))
        x, strength = references[path]
        layer.chip = Chip(_by_group(layer, compensate)(_keys(layer, layer_key), _state(layer), x, strength))


def check_compensation(path: str, spec: CrossbarSpec, kinds: Sequence[str]) -> None:
    """Raise ValueError for kinds that are not `COMPENSATIONS`, or that the readout of the layer at `path` rules out."""
    if not kinds:
        raise ValueError(f"compensation must name at least one of {', '.join(COMPENSATIONS)}, got none")
    for kind in kinds:
        if kind not in COMPENSATIONS:
            raise ValueError(f"compensation must be of {', '.join(COMPENSATIONS)}, got {kind!r}")
        if kind != "none" and not spec.readout.is_linear:
            raise ValueError(
                f"layer {path} has readout={type(spec.readout).__name__}, whose results are not proportional to the "
                "sums, so drift cannot be compensated by a gain behind it"
            )


def _deployed(model: nnx.Module) -> dict[str, AnalogLayer]:
    layers = dict(analog_layers(model, "compensate"))
    for path, layer in layers.items():
        if layer.chip is None:
            raise ValueError(f"layer {path} has no array yet that could drift; deploy the model first")
    return layers


def _state(layer: AnalogLayer) -> State:
    assert layer.chip is not None
    return layer.chip.get_value()


def _groups(layer: AnalogLayer) -> tuple[int, ...]:
    return () if layer.n_groups is None else (layer.n_groups,)


def _by_group(layer: AnalogLayer, f: Callable) -> Callable:
    return f if layer.n_groups is None else jax.vmap(f)


def _keys(layer: AnalogLayer, key: Key[Array, ""]) -> Key[Array, "..."]:
    return key if layer.n_groups is None else jax.random.split(key, layer.n_groups)
