"""One chip from the day it is written: aged, compensated and scored at many times."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, Key, Shaped

from aimc.evaluation.compensation import (
    COMPENSATIONS,
    Reference,
    calibration_vectors,
    compensate_drift,
    drift_references,
)
from aimc.evaluation.score import Score, score
from aimc.nn.base import Chip
from aimc.nn.convert import analog_layers, deploy, grow_old


def follow(
    key: Key[Array, ""],
    model: nnx.Module,
    x: Shaped[Array, "n ..."],
    y: Int[Array, "n ..."],
    times: Float[Array, " n_times"],
    compensation: Sequence[str] = ("none",),
    *,
    n_vectors: int = 64,
    batch: int | None = None,
) -> Score:
    """Write one chip and score it at every time and with every compensation, (n_times, n_compensations); `over_time`
    says what is random and what is shared. Pure, so that chips can be evaluated side by side."""
    write_key, age_key, reference_key, read_key = jax.random.split(key, 4)
    model = nnx.clone(model)
    deploy(write_key, model)
    vector_key, strength_key = jax.random.split(reference_key)
    vectors = calibration_vectors(vector_key, model, n_vectors) if set(compensation) != {"none"} else {}

    def reference(kind: str) -> dict[str, Reference] | None:
        own = jax.random.fold_in(strength_key, COMPENSATIONS.index(kind))  # whatever other kinds are asked for
        return None if kind == "none" else drift_references(own, model, vectors, per_column=kind == "column")

    references = [reference(kind) for kind in compensation]
    graph, state = nnx.split(model)

    def at(seconds: Array) -> Score:
        old = nnx.merge(graph, state, copy=True)
        grow_old(age_key, old, seconds)
        # Of a time only its bits say which reads these are, so that other times do not change them.
        now = jax.random.fold_in(read_key, jax.lax.bitcast_convert_type(seconds, jnp.uint32))
        gain_key, score_key = jax.random.split(now)
        gains = _side_by_side([_gains(gain_key, old, reference) for reference in references])
        aged_graph, aged = nnx.split(old)

        def with_gains(gains: dict[str, Array]) -> Score:
            chip = nnx.merge(aged_graph, aged, copy=True)
            for path, layer in analog_layers(chip):
                assert layer.chip is not None
                layer.chip = Chip(layer.chip.get_value()._replace(gain=gains[path]))
            return score(score_key, chip, (x, y), batch=batch)

        return jax.vmap(with_gains)(gains)

    return jax.lax.map(at, times)


def _gains(key: Key[Array, ""], model: nnx.Module, references: Mapping[str, Reference] | None) -> dict[str, Array]:
    """The gains of all layers, by path, after compensation if there are references."""
    if references is not None:
        model = nnx.clone(model)
        compensate_drift(key, model, references)
    return {path: layer.chip.get_value().gain for path, layer in analog_layers(model) if layer.chip is not None}


def _side_by_side(variants: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Gains of all variants on a leading axis: one number a layer, or one a column if any variant has that."""
    return {path: jnp.stack(jnp.broadcast_arrays(*(own[path] for own in variants))) for path in variants[0]}
