"""From a digital model to the same model on arrays and back, weights kept."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Key

from aimc.devices.base import Level
from aimc.nn.base import AnalogLayer
from aimc.nn.conv import AnalogConv
from aimc.nn.einsum import AnalogEinsum
from aimc.nn.linear import AnalogLinear
from aimc.nn.modifiers import Modifier, check
from aimc.spec import CrossbarSpec

Choice = CrossbarSpec | Callable[[str], CrossbarSpec | None]


def convert(model: nnx.Module, spec: Choice, *, rngs: nnx.Rngs | None = None, analog_bias: bool = False) -> nnx.Module:
    """A copy of `model` with its products on arrays, same weights; the model itself is untouched.

    Linear, LinearGeneral, Einsum and Conv layers are replaced, wherever they are nested: in recurrent cells,
    attention, lists. Normalisation, embeddings and products of activations stay digital; a layer that occurs twice
    stays one layer. `spec`: one array for all, or a function of a layer's path ("layers/0") that returns the array
    of that layer, or None to leave it digital. `rngs` has the `noise` stream that reads draw from; without it the
    stream starts at key 0. `analog_bias`: biases are rows of the arrays instead of digital additions.

    Raises ValueError, naming the path, for a layer with a kernel that no analog layer computes, and if there is nothing
    to replace.
    """
    rngs = nnx.Rngs(noise=0) if rngs is None else rngs

    def choose(path: str) -> CrossbarSpec | None:
        return spec(path) if not isinstance(spec, CrossbarSpec) else spec

    def analog(layer: nnx.Module, path: str) -> nnx.Module | None:
        if isinstance(layer, AnalogLayer) or not _has_kernel(layer) or (own := choose(path)) is None:
            return None
        return _analog(layer, own, nnx.Rngs(params=0, noise=rngs.noise()), path, analog_bias)

    converted = _replace_layers(model, analog)
    if converted is None:
        raise ValueError(f"model {type(model).__name__} has no layer to put on an array")
    return converted


def to_digital(model: nnx.Module) -> nnx.Module:
    """A copy of `model` with every analog layer replaced by the flax layer of the same weights: what was trained, not
    what was written into cells. Raises ValueError if there is nothing to replace."""
    converted = _replace_layers(model, lambda layer, path: _digital(layer) if isinstance(layer, AnalogLayer) else None)
    if converted is None:
        raise ValueError(f"model {type(model).__name__} has no analog layer")
    return converted


def deploy(key: Key[Array, ""], model: nnx.Module, *, modified: bool = False) -> None:
    """Program every analog layer of the model once, each with its own part of key; from then on it is one chip.

    `modified`: write what training writes (see `AnalogLayer.deploy`).
    """
    layers = [layer for _, layer in analog_layers(model, "deploy")]
    for layer_key, layer in zip(jax.random.split(key, len(layers)), layers, strict=True):
        layer.deploy(layer_key, modified=modified)


def undeploy(model: nnx.Module) -> None:
    """Forget the chip: arrays are programmed anew at every call again."""
    for _, layer in analog_layers(model, "undeploy"):
        layer.undeploy()


def grow_old(key: Key[Array, ""], model: nnx.Module, seconds: Level) -> None:
    """Let every array of a deployed model age by `seconds` (see `aimc.age`), each with its own part of key."""
    layers = [layer for _, layer in analog_layers(model, "age")]
    for layer_key, layer in zip(jax.random.split(key, len(layers)), layers, strict=True):
        layer.age(layer_key, seconds)


def modify(model: nnx.Module, modifier: Modifier | Callable[[str], Modifier | None] | None) -> None:
    """Let every analog layer of the model write modified weights while it is not deployed; None ends that.

    `modifier` may be a function of a layer's path that returns a modifier or None. Raises ValueError for a model
    without analog layers and for a level that cannot be.
    """
    for path, layer in analog_layers(model, "modify"):
        own = modifier if modifier is None or isinstance(modifier, Modifier) else modifier(path)
        if own is not None:
            check(own)
        layer.modifier = nnx.data(
            None if own is None else jax.tree.map(lambda level: jnp.asarray(level, jnp.float32), own)
        )


def set_modifier_scale(model: nnx.Module, scale: Level) -> None:
    """Set `Modifier.scale` of every layer that has a modifier; a traced scale, as of a schedule over steps, is no
    other program."""
    for _, layer in analog_layers(model, "modify"):
        if layer.modifier is not None:
            layer.modifier = nnx.data(replace(layer.modifier, scale=jnp.asarray(scale, jnp.float32)))


def analog_layers(model: nnx.Module, what: str = "look at") -> list[tuple[str, AnalogLayer]]:
    """The analog layers of a model by path, each once. Raises ValueError if there is none."""
    layers = [("/".join(map(str, p)), m) for p, m in nnx.iter_modules(model) if isinstance(m, AnalogLayer)]
    if not layers:
        raise ValueError(f"model {type(model).__name__} has no analog layer to {what}; convert it first")
    return layers


def _replace_layers(model: nnx.Module, change: Callable[[nnx.Module, str], nnx.Module | None]) -> nnx.Module | None:
    """A copy in which layers are what `change(layer, path)` makes of them (None: as they are); None if all are."""
    if (whole := change(model, type(model).__name__)) is not None:
        return whole
    copy = nnx.clone(model)
    done: dict[int, nnx.Module | None] = {}  # by identity: a shared layer stays shared
    for path, module in list(nnx.iter_modules(copy)):
        for name, child in list(vars(module).items()):  # entries of nnx.List and nnx.Dict are attributes too
            if isinstance(child, nnx.Module):
                if id(child) not in done:
                    done[id(child)] = change(child, "/".join(map(str, (*path, name))))
                if (changed := done[id(child)]) is not None:
                    setattr(module, name, changed)
    return copy if any(changed is not None for changed in done.values()) else None


def _has_kernel(layer: nnx.Module) -> bool:
    return isinstance(getattr(layer, "kernel", None), nnx.Variable)


def _analog(layer: Any, spec: CrossbarSpec, rngs: nnx.Rngs, path: str, analog_bias: bool) -> AnalogLayer:
    _check(layer, path)
    common: dict[str, Any] = {"rngs": rngs, "use_bias": layer.bias is not None, "analog_bias": analog_bias}
    match layer:
        case nnx.Linear():
            made: AnalogLayer = AnalogLinear(layer.in_features, layer.out_features, spec, **common)
        case nnx.LinearGeneral():
            made = AnalogLinear(layer.in_features, layer.out_features, spec, axis=layer.axis, **common)
        case nnx.Einsum():
            made = AnalogEinsum(layer.einsum_str, layer.kernel_shape, spec, **common)
        case _:
            size = (layer.kernel_size,) if isinstance(layer.kernel_size, int) else layer.kernel_size
            made = AnalogConv(
                layer.in_features,
                layer.out_features,
                size,
                spec,
                strides=1 if layer.strides is None else layer.strides,
                padding=layer.padding,
                dilation=1 if layer.kernel_dilation is None else layer.kernel_dilation,
                groups=layer.feature_group_count,
                **common,
            )
    made.kernel[...] = layer.kernel[...]
    if layer.bias is not None and made.bias is not None:
        made.bias[...] = layer.bias[...].reshape(made.bias[...].shape)
    return made


def _check(layer: Any, path: str) -> None:
    """Raise ValueError for what the analog layers do not compute."""
    if type(layer) not in (nnx.Linear, nnx.LinearGeneral, nnx.Einsum, nnx.Conv):
        raise ValueError(
            f"layer {path} is a {type(layer).__name__}, which has a kernel but no analog form; leave it digital with a "
            "spec that is a function of the path and returns None for it"
        )
    for what, dtype in (("has weights in", layer.kernel[...].dtype), ("computes in", layer.dtype)):
        if dtype is not None and jnp.dtype(dtype) != jnp.float32:
            raise ValueError(f"layer {path} {what} {jnp.dtype(dtype)}; arrays are programmed and read in float32")
    dilation = getattr(layer, "input_dilation", None)
    for found, what in (
        (getattr(layer, "mask", None) is not None, "a mask over its kernel"),
        (bool(getattr(layer, "batch_axis", None)), "batch axes"),
        (dilation not in (None, 1) and set(_flat(dilation)) != {1}, "input dilation"),
        (isinstance(layer, nnx.Einsum) and not layer.einsum_str, "its equation only at the call"),
        (getattr(layer, "dot_general_cls", None) is not None, "a product of its own"),
        (getattr(layer, "dot_general", None) not in (None, jax.lax.dot_general), "a product of its own"),
    ):
        if found:
            raise ValueError(f"layer {path} has {what}, which no analog layer computes; leave it digital")


def _flat(value: Any) -> tuple:
    return (value,) if isinstance(value, int) else tuple(value)


def _digital(layer: AnalogLayer) -> nnx.Module:
    rngs, use_bias = nnx.Rngs(0), layer.bias is not None
    match layer:
        case AnalogLinear(n_in=(n_in,), n_out=(n_out,), axis=(-1,)):
            made: Any = nnx.Linear(n_in, n_out, use_bias=use_bias, rngs=rngs)
        case AnalogLinear():
            made = nnx.LinearGeneral(layer.n_in, layer.n_out, axis=layer.axis, use_bias=use_bias, rngs=rngs)
        case AnalogEinsum():
            shape = layer.bias[...].shape if layer.bias is not None else None
            made = nnx.Einsum(layer.equation, layer.kernel_shape, shape, rngs=rngs)
        case AnalogConv():
            made = nnx.Conv(
                layer.n_in,
                layer.n_out,
                layer.kernel_size,
                strides=layer.strides,
                padding=layer.padding,
                kernel_dilation=layer.dilation,
                feature_group_count=layer.groups,
                use_bias=use_bias,
                rngs=rngs,
            )
        case _:
            raise ValueError(f"a {type(layer).__name__} has no digital form")
    made.kernel[...] = layer.kernel[...]
    if layer.bias is not None and made.bias is not None:
        made.bias[...] = layer.bias[...]
    return made
