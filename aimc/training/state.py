"""What training carries from step to step, how it begins, and the model that comes of it."""

from dataclasses import asdict
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int, Key

from aimc.data.base import Data
from aimc.nn.base import AnalogLayer
from aimc.nn.convert import modify, to_digital, undeploy
from aimc.nn.ranges import calibrate
from aimc.training.order import order
from aimc.training.recipe import Recipe


class Best(NamedTuple):
    """The state of least validation loss so far."""

    params: nnx.State
    rest: nnx.State
    loss: Float[Array, ""]
    step: Int[Array, ""]


class TrainState(NamedTuple):
    """Everything the next step depends on. Save its arrays, put them back, and training goes on to the same bits."""

    graph: nnx.GraphDef
    """What the model is without its arrays; static."""
    params: nnx.State
    rest: nnx.State
    """Of the model, what no optimiser changes: batch statistics, noise streams, arrays, carried circuits."""
    optimizer: optax.OptState
    key: Key[Array, ""]
    """Never changes: the order of the data and the writes of a step follow from it and the number of the step."""
    step: Int[Array, ""]
    best: Best | None
    """None where the recipe does not validate."""


def init(key: Key[Array, ""], model: nnx.Module, recipe: Recipe) -> TrainState:
    """The state before the first step; the model itself is not touched by training.

    Raises ValueError for a modifier of a model without arrays.
    """
    model = nnx.clone(model)
    if has_arrays(model):
        undeploy(model)
        if recipe.modifier is not None:
            modify(model, recipe.modifier)
    elif recipe.modifier is not None:
        raise ValueError("modifier acts on the weights of arrays, of which the model has none; convert it first")
    model.train()
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    rest = jax.tree.map(lambda leaf: jnp.asarray(leaf, leaf.dtype), rest)  # as it comes back from a file: no weak types
    step = jnp.int32(0)
    best = Best(params, rest, jnp.float32(jnp.inf), step) if recipe.validate_every else None
    return TrainState(graph, params, rest, recipe.transformation().init(params), key, step, best)


def start(key: Key[Array, ""], model: nnx.Module, data: Data, recipe: Recipe) -> TrainState:
    """`init` after the ranges of the model's layers have been found on its first batches, if the recipe asks for it.

    Raises ValueError for ranges without arrays, and for logits that do not fit the labels.
    """
    _check_logits(model, data, recipe.batch)
    if recipe.ranges is not None:
        if not has_arrays(model):
            raise ValueError("ranges are those of arrays, of which the model has none; convert it first")
        model = nnx.clone(model)
        model.train()  # what the layers will see: fresh batch statistics say nothing of it
        rows = order(key, 0, recipe.ranges.batches, len(data.train.y), recipe.batch)
        how = asdict(recipe.ranges)
        how.pop("batches")
        calibrate(model, [jnp.asarray(data.train.x[own]) for own in np.asarray(rows)], **how)
    return init(key, model, recipe)


def trained(state: TrainState) -> nnx.Module:
    """The model of a state, set to evaluation, without modifiers and not deployed: the best one if there is one."""
    own = state if state.best is None or not jnp.isfinite(state.best.loss) else state.best
    model = nnx.merge(state.graph, own.params, own.rest, copy=True)
    if has_arrays(model):
        modify(model, None)
    model.eval()
    return model


def has_arrays(model: nnx.Module) -> bool:
    """Whether any layer of the model is on an array."""
    return any(isinstance(module, AnalogLayer) for _, module in nnx.iter_modules(model))


def _check_logits(model: nnx.Module, data: Data, batch: int) -> None:
    x, y = data.train
    digital = to_digital(model) if has_arrays(model) else nnx.clone(model)  # the same shapes, and faster to trace
    rows = jax.ShapeDtypeStruct((batch, *x.shape[1:]), x.dtype)
    logits = nnx.eval_shape(lambda model, x: model(x), digital, rows).shape
    if logits[:-1] != (batch, *y.shape[1:]) or logits[-1] < data.n_classes:
        raise ValueError(
            f"the model must give logits (batch, {', '.join(map(str, (*y.shape[1:], data.n_classes)))}) for the labels "
            f"of {data.name}, got {logits} for a batch of {batch}"
        )
