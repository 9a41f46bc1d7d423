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
from aimc.evaluation.lifetime import follow
from aimc.evaluation.score import Score, array_hash, model_hash, score
from aimc.nn.convert import analog_layers, to_digital

if TYPE_CHECKING:
    import xarray

TIMES_S = (1.0, 60.0, 3600.0, 86400.0, 2_592_000.0, 31_536_000.0)
"""A second, a minute, an hour, a day, a month of 30 days, a year of 365."""
COMPENSATIONS = ("none", "layer", "column")
"""A chip as it is; with one digital gain a layer (Joshi et al. 2020); with one a column."""


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
    * Reads are fresh at every time. Variants of compensation share the chip and all random numbers.
    * Compensation takes its reference right after the write and sets gains just before every evaluation, from
      `n_vectors` reads of random vectors a layer (`calibration_vectors`), with the noise of these reads.

    One compiled program, chip after chip (`aimc.sweep.run`: `store`, `chunk` in chips, `progress`). The dataset also
    holds the digital model's score, `digital_accuracy` and `digital_loss`, and `n_labels`, as attributes. key decides
    all randomness. Raises ValueError for a model that is not on arrays, times, counts or compensations that cannot be,
    and data that does not fit.
    """
    layers, times = analog_layers(model, "evaluate"), _times(times)
    x, y = _checked(data, batch)
    if chips < 1:
        raise ValueError(f"chips must be at least 1, got {chips}")
    if not compensation:
        raise ValueError(f"compensation must name at least one of {', '.join(COMPENSATIONS)}, got none")
    if n_vectors < 1:
        raise ValueError(f"n_vectors must be at least 1, got {n_vectors}")
    for kind in compensation:
        if kind not in COMPENSATIONS:
            raise ValueError(f"compensation must be of {', '.join(COMPENSATIONS)}, got {kind!r}")
        for path, layer in layers if kind != "none" else ():
            if not layer.spec.readout.is_linear:
                raise ValueError(
                    f"layer {path} has readout={type(layer.spec.readout).__name__}, behind which no gain can "
                    "compensate drift; use compensation=('none',)"
                )
    model = nnx.clone(model)
    model.eval()
    graph, state = nnx.split(model)
    _check_labels(jax.eval_shape(lambda model, x: model(x), to_digital(model), x).shape, y)
    digital = jax.jit(lambda model, x, y: score(jax.random.key(0), model, x, y, batch))(to_digital(model), x, y)
    axes, inner = {"chip": range(chips)}, {"time_s": times, "compensation": list(compensation)}
    what = {
        "study": "accuracy over time",
        "key": np.asarray(jax.random.key_data(key)).tolist(),
        "model": model_hash(model),
        "arrays": {path: str(jax.tree.structure(layer.spec)) for path, layer in layers},
        "data": array_hash((x, y)),
        "n_vectors": n_vectors,
        "batch": batch,
    }

    def life(_: Array, state: nnx.State, x: Array, y: Array, chip: Array) -> dict[str, Array]:
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


def _checked(data: tuple[Any, Any], batch: int | None) -> tuple[Array, Array]:
    """Inputs and labels as arrays."""
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


def _check_labels(logits: tuple[int, ...], y: Array) -> None:
    """Raise ValueError for labels that do not go with logits of this shape."""
    if y.shape != logits[:-1]:
        raise ValueError(f"labels must have the shape of the logits less classes, {logits[:-1]}, got {y.shape}")
    low, high = int(jnp.min(y)), int(jnp.max(y))
    if low < 0 or high >= logits[-1]:
        raise ValueError(f"labels must be from 0 to {logits[-1] - 1}, the classes of the logits, got {low} to {high}")
