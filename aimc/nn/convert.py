"""From a digital model to the same model on arrays, weights kept."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Key

from aimc.devices.base import Level
from aimc.nn.layers import AnalogLinear
from aimc.spec import CrossbarSpec


def convert(model: nnx.Module, spec: CrossbarSpec, *, rngs: nnx.Rngs | None = None) -> nnx.Module:
    """A copy of `model` with every `nnx.Linear` replaced by an `AnalogLinear` of the same weights; the model itself
    is untouched.

    `rngs` has the `noise` stream that reads draw from; without it the stream starts at key 0. Layers of other kinds
    stay digital. Raises ValueError if there is nothing to replace, or if a linear layer computes in another
    precision than float32.
    """
    rngs = nnx.Rngs(noise=0) if rngs is None else rngs
    if type(model) is nnx.Linear:
        return _analog(model, spec, rngs, (type(model).__name__,))
    copy = nnx.clone(model)
    replaced = 0
    for path, layer in list(nnx.iter_modules(copy)):
        for name, child in list(vars(layer).items()):  # entries of nnx.List and nnx.Dict are attributes too
            if type(child) is nnx.Linear:
                setattr(layer, name, _analog(child, spec, rngs, (*path, name)))
                replaced += 1
    if not replaced:
        raise ValueError(f"model {type(model).__name__} has no nnx.Linear layer to put on an array")
    return copy


def deploy(key: Key[Array, ""], model: nnx.Module) -> None:
    """Program every analog layer of the model once, each with its own part of key; from then on it is one chip."""
    layers = _analog_layers(model, "deploy")
    for layer_key, layer in zip(jax.random.split(key, len(layers)), layers, strict=True):
        layer.deploy(layer_key)


def grow_old(key: Key[Array, ""], model: nnx.Module, seconds: Level) -> None:
    """Let every array of a deployed model age by `seconds` (see `aimc.age`), each with its own part of key."""
    layers = _analog_layers(model, "age")
    for layer_key, layer in zip(jax.random.split(key, len(layers)), layers, strict=True):
        layer.age(layer_key, seconds)


def _analog_layers(model: nnx.Module, what: str) -> list[AnalogLinear]:
    layers = [layer for _, layer in nnx.iter_modules(model) if isinstance(layer, AnalogLinear)]
    if not layers:
        raise ValueError(f"model {type(model).__name__} has no analog layer to {what}; convert it first")
    return layers


def _analog(linear: nnx.Linear, spec: CrossbarSpec, rngs: nnx.Rngs, path: tuple) -> AnalogLinear:
    kernel = linear.kernel[...]
    for what, dtype in (("has weights in", kernel.dtype), ("computes in", linear.dtype)):
        if dtype is not None and jnp.dtype(dtype) != jnp.float32:
            where = "/".join(map(str, path))
            raise ValueError(f"layer {where} {what} {jnp.dtype(dtype)}; arrays are programmed and read in float32")
    analog = AnalogLinear(
        linear.in_features,
        linear.out_features,
        spec,
        rngs=nnx.Rngs(params=0, noise=rngs.noise()),
        use_bias=linear.bias is not None,
    )
    analog.kernel[...] = kernel
    if linear.bias is not None and analog.bias is not None:
        analog.bias[...] = linear.bias[...]
    return analog
