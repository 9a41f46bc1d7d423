"""What an update rule in the array needs: a layer's inputs x and errors δ, whose product is its gradient."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from aimc.nn.base import AnalogLayer, Delta, Passed
from aimc.nn.convert import analog_layers


class Factors(NamedTuple):
    """x (*batch, groups, n_in) and δ (*batch, groups, n_out), groups only where there are any: the gradient of the
    loss in the matrices a layer writes is Σ x δᵀ over the batch, to the array's own straight-through rules."""

    x: Float[Array, "..."]
    delta: Float[Array, "..."]


def factors(
    loss: Callable[..., Float[Array, ""]], model: nnx.Module, *arguments: Any
) -> tuple[Float[Array, ""], dict[str, Factors]]:
    """`loss(model, *arguments)` and the factors of every analog layer, by path. Random as the model's calls are; the
    model is left as it was.

    Raises ValueError for a model without analog layers, and for a layer that is not called exactly once: the factors
    of a recurrent layer are one pair a time step, and a scan does not hand them out.
    """
    paths = [path for path, _ in analog_layers(model, "take factors of")]
    graph, state = nnx.split(model)

    def run(deltas: dict[str, Array] | None) -> tuple[Array, dict[str, Any]]:
        copy = nnx.merge(graph, state, copy=True)
        layers: dict[str, AnalogLayer] = dict(analog_layers(copy))
        for path, layer in layers.items():
            layer.passed = Passed(())
            if deltas is not None:
                layer.delta = Delta(deltas[path])
        value = loss(copy, *arguments)
        return value, {path: () if m.passed is None else m.passed.get_value() for path, m in layers.items()}

    try:
        shapes = jax.eval_shape(lambda: run(None)[1])
    except TypeError as error:  # a scan's carry would have to grow
        if "scan" not in str(error):
            raise
        raise ValueError("the factors of a layer inside a scan, one pair a step, cannot be handed out") from error
    for path in paths:
        if len(shapes[path]) != 1:
            raise ValueError(
                f"layer {path} must be called once a pass to hand over its factors, got {len(shapes[path])}"
            )
    zeros = {path: jnp.zeros(calls[0][1].shape, calls[0][1].dtype) for path, calls in shapes.items()}
    (value, passed), deltas = jax.value_and_grad(run, has_aux=True)(zeros)
    return value, {path: Factors(passed[path][0][0], deltas[path]) for path in paths}
