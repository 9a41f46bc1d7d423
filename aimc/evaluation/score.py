"""How well a model predicts labels, and what a model is made of."""

import re
from functools import partial
from hashlib import sha256
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Key

from aimc.nn.base import AnalogLayer
from aimc.nn.convert import deploy, to_digital


class Score(NamedTuple):
    """How well labels are predicted: share of the largest logits that are right, mean cross-entropy in nats."""

    accuracy: Float[Array, "*points"]
    loss: Float[Array, "*points"]


def score(key: Key[Array, ""], model: nnx.Module, data: tuple[Any, Any], *, batch: int | None = 256) -> Score:
    """Accuracy and loss of a model on a pair of inputs (n, ...) and labels (n, ...), `batch` inputs a call (None: all).

    A model on arrays that are not deployed is written once. Random: that write, and reads; analog layers draw from key,
    whatever their own streams hold. The model is left as it was. Raises ValueError for data that is no such pair.
    """
    graph, state = nnx.split(model)
    return _score(key, state, *check_data(data, batch), graph=graph, batch=batch)


@partial(jax.jit, static_argnames=("graph", "batch"))
def _score(
    key: Key[Array, ""], state: nnx.State, x: Array, y: Array, *, graph: nnx.GraphDef, batch: int | None
) -> Score:
    model = nnx.merge(graph, state, copy=True)
    if any(layer.chip is None for layer in _layers(model)):
        write_key, key = jax.random.split(key)
        deploy(write_key, model)
    graph, state = nnx.split(model)
    n = x.shape[0]
    size = n if batch is None else min(batch, n)
    n_batches = -(-n // size)
    # The last batch is filled up with repeats, which do not count.
    rows = jnp.arange(n_batches * size).reshape(n_batches, size)

    def one(numbered: tuple[Array, Array]) -> tuple[Array, Array]:
        number, rows = numbered
        copy = nnx.merge(graph, state, copy=True)
        _reseed(jax.random.fold_in(key, number), copy)
        own = y[rows % n]
        logits = copy(x[rows % n])  # type: ignore[operator]
        counts = (rows < n).reshape(-1, *[1] * (own.ndim - 1))
        right = jnp.argmax(logits, axis=-1) == own
        nats = optax.softmax_cross_entropy_with_integer_labels(logits, own)
        return jnp.sum(jnp.where(counts, right, False)), jnp.sum(jnp.where(counts, nats, 0.0))

    if n_batches == 1:
        right, nats = one((jnp.zeros((), jnp.int32), rows[0]))
    else:
        right, nats = jax.tree.map(lambda part: jnp.sum(part, axis=0), jax.lax.map(one, (jnp.arange(n_batches), rows)))
    return Score(right / y.size, nats / y.size)


def check_data(data: tuple[Any, Any], batch: int | None) -> tuple[Array, Array]:
    """Inputs and labels as arrays. Raises ValueError for what is no pair of them, and for a batch below 1."""
    if len(data) != 2:
        raise ValueError(f"data must be a pair of inputs and labels, got {len(data)} parts")
    x, y = jnp.asarray(data[0]), jnp.asarray(data[1])
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y) or len(x) == 0 or not jnp.issubdtype(y.dtype, jnp.integer):
        raise ValueError(
            f"data must be inputs (n, ...) and whole-number labels (n, ...), n at least 1, got {x.shape} and {y.dtype} "
            f"{y.shape}"
        )
    if batch is not None and batch < 1:
        raise ValueError(f"batch must be at least 1 input a call, got {batch}")
    return x, y


def check_labels(model: nnx.Module, x: Array, y: Array) -> None:
    """Raise ValueError for labels that do not go with the logits of a model on arrays."""
    logits = jax.eval_shape(lambda model, x: model(x), to_digital(model), x).shape
    if y.shape != logits[:-1]:
        raise ValueError(f"labels must have the shape of the logits less classes, {logits[:-1]}, got {y.shape}")
    low, high = int(jnp.min(y)), int(jnp.max(y))
    if low < 0 or high >= logits[-1]:
        raise ValueError(f"labels must be from 0 to {logits[-1] - 1}, the classes of the logits, got {low} to {high}")


def model_hash(model: nnx.Module, x: Array) -> str:
    """SHA-256 of what a model on arrays computes from inputs like x: weights, statistics, levels of its arrays, each
    with its place; which layers have an analog bias; and the program of its digital twin. Random streams are left out.
    """
    graph, state = nnx.split(to_digital(model))
    program = jax.make_jaxpr(lambda state, x: nnx.merge(graph, state, copy=True)(x))(state, x[:1])
    text = re.sub(r"0x[0-9a-f]+", "", str(program))  # where functions lie in memory says nothing
    biases = [path for path, layer in nnx.iter_modules(model) if isinstance(layer, AnalogLayer) and layer.analog_bias]
    numbers = array_hash((nnx.state(model, nnx.Not(nnx.RngState)), program.consts))
    return sha256(f"{numbers} {biases} {text}".encode()).hexdigest()


def array_hash(tree: Any) -> str:
    """SHA-256 of the numbers of a tree, in their order, with their places, shapes and types."""
    digest = sha256()
    for path, leaf in jax.tree.leaves_with_path(tree):
        array = np.asarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.shape} {array.dtype} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _layers(model: nnx.Module) -> list[AnalogLayer]:
    return [layer for _, layer in nnx.iter_modules(model) if isinstance(layer, AnalogLayer)]


def _reseed(key: Key[Array, ""], model: nnx.Module) -> None:
    """Let every analog layer draw from its own part of key."""
    layers = _layers(model)
    for layer_key, layer in zip(jax.random.split(key, max(1, len(layers))), layers, strict=False):
        layer.noise.key.set_value(layer_key)  # of any generator, whatever the stream had
        layer.noise.count[...] = jnp.zeros_like(layer.noise.count[...])
