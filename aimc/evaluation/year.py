"""Accuracy while a chip gets older: many chips, followed over time, with and without compensation of their drift."""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Key

from aimc import sweep
from aimc.evaluation.compensation import check_compensation
from aimc.evaluation.lifetime import follow
from aimc.evaluation.score import Score, array_hash, check_data, check_labels, model_hash, score
from aimc.nn.convert import analog_layers, to_digital

if TYPE_CHECKING:
    import xarray

TIMES_S = (1.0, 60.0, 3600.0, 86400.0, 2_592_000.0, 31_536_000.0)
"""A second, a minute, an hour, a day, a month of 30 days, a year of 365."""


def over_time(
    key: Key[Array, ""],
    model: nnx.Module,
    data: tuple[Any, Any],
    *,
    times: Sequence[float] = TIMES_S,
    chips: int = 10,
    compensation: Sequence[str] = ("none", "layer"),
    n_vectors: int = 64,
    batch: int | None = None,
    store: str | os.PathLike[str] | None = None,
    chunk: int = 8,
    progress: Callable[[int, int], None] | None = None,
) -> "xarray.Dataset":
    """Accuracy and loss of many chips that a model is written into, at many times after that: (chip, time_s,
    compensation).

    `model` is on arrays (`aimc.convert`) and maps inputs x (n, ...) to logits (n, ..., n_classes); `data` is a pair of
    x and labels (n, ...). It is evaluated in nnx's evaluation mode (`model.eval()`), `batch` inputs a call (None: all).

    * A chip is written once and followed: its errors, exponents and faults are the same at all times. To every time it
      ages from the day it was written in one step, with the same random numbers, so that its state at each time has
      the exact law (`aimc.age`), and a time gives the same numbers whatever other times are asked for; what fluctuates
      on its own between two times (1/f noise) is more alike at both than in one walk from time to time.
    * Reads are fresh at every time. Variants of compensation share the chip and these reads; the reads of
      the reference, right after the write, are each variant's own, whatever other variants are asked for.
    * Compensation takes its reference right after the write and sets gains just before every evaluation, from
      `n_vectors` reads of random vectors a layer (`calibration_vectors`), with the noise of these reads.

    One compiled program, chip after chip (`aimc.sweep.run`: `store`, `chunk` in chips, `progress`). The dataset also
    holds the digital model's score, `digital_accuracy` and `digital_loss`, and `n_labels`, as attributes. key decides
    all randomness. Raises ValueError for a model that is not on arrays, times, counts or compensations that cannot be,
    and data that does not fit.
    """
    layers, times = analog_layers(model, "evaluate"), _times(times)
    x, y = check_data(data, batch)
    if chips < 1:
        raise ValueError(f"chips must be at least 1, got {chips}")
    if n_vectors < 1:
        raise ValueError(f"n_vectors must be at least 1, got {n_vectors}")
    for path, layer in layers:
        check_compensation(path, layer.spec, compensation)
    model = nnx.clone(model)
    model.eval()
    graph, state = nnx.split(model)
    check_labels(model, x, y)
    digital = score(jax.random.key(0), to_digital(model), (x, y), batch=batch)
    axes, inner = {"chip": range(chips)}, {"time_s": times, "compensation": list(compensation)}
    what = {
        "study": "accuracy over time",
        "key": np.asarray(jax.random.key_data(key)).tolist(),
        "model": model_hash(model, x),
        "arrays": {path: str(jax.tree.structure(layer.spec)) for path, layer in layers},
        "data": array_hash((x, y)),
        "n_vectors": n_vectors,
        "batch": batch,
    }

    def life(_key: Array, state: nnx.State, x: Array, y: Array, chip: Array) -> dict[str, Array]:
        own = nnx.merge(graph, state, copy=True)
        seconds = jnp.asarray(times, jnp.float32)
        scores = follow(
            jax.random.fold_in(key, chip), own, x, y, seconds, compensation, n_vectors=n_vectors, batch=batch
        )
        return scores._asdict()

    return sweep.run(
        life,
        axes,
        seed=0,
        spec=what,
        store=store,
        operands=(state, x, y),
        inner=inner,
        notes={
            "n_labels": int(y.size),
            "digital_accuracy": float(digital.accuracy),
            "digital_loss": float(digital.loss),
        },
        units={"time_s": "s", "accuracy": "1", "loss": "nat"},
        sources=dict.fromkeys(Score._fields, "simulated here"),
        chunk=chunk,
        progress=progress,
    )


def _times(times: Sequence[float]) -> list[float]:
    found = np.asarray(times, float)
    if (
        found.ndim != 1
        or found.size == 0
        or not (np.isfinite(found) & (found >= 0)).all()
        or (np.diff(found) <= 0).any()
    ):
        raise ValueError(f"times must be seconds of at least 0 in rising order, got {times!r}")
    return found.tolist()
