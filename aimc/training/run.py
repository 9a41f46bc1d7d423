"""One training run under a directory: resumable at any point, to the same bits."""

import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Key

from aimc import checkpoint
from aimc.data.base import Data
from aimc.training import loop
from aimc.training.recipe import Recipe
from aimc.training.state import TrainState
from aimc.training.state import start as fresh_state

HISTORY_FILE = "history.json"
PACKAGES = ("barrierless", "jax", "flax", "optax", "numpy", "scikit-learn")


def train_in(
    directory: Path,
    key: Key[Array, ""],
    model: nnx.Module,
    data: Data,
    recipe: Recipe,
    *,
    about: Mapping[str, Any] | None = None,
    checkpoint_every: int = 500,
    chunk: int = loop.CHUNK,
    after_chunk: Callable[[TrainState, loop.Info], None] | None = None,
) -> nnx.Module:
    """`fit` under `directory`, going on from its newest state if the same run was started there before.

    The state is saved every `checkpoint_every` steps, at the end, and on ^C or divergence; losses and looks at the
    validation part go to `history.json`. `about`: what else the run must have in common with one that it resumes.
    Raises ValueError when the directory holds anything else or a finished run, `Diverged` as `fit` does.
    """
    if checkpoint_every < 1:
        raise ValueError(f"checkpoint_every must be at least 1, got {checkpoint_every}")
    loop.check_sizes(data, recipe, chunk=chunk)
    fresh = fresh_state(key, model, data, recipe)
    is_resumed = checkpoint.create(directory, _record(key, fresh, data, recipe, about or {}))
    done = checkpoint.latest_step(directory) if is_resumed else None
    if done == recipe.steps:
        raise ValueError(f"{directory} holds a finished run of {done} steps; choose another directory")
    newest = fresh if done is None else _restored(directory, fresh)
    history = [row for row in read_history(directory) if row["step"] <= int(newest.step)]

    def keep(state: TrainState, info: loop.Info) -> None:
        nonlocal newest
        newest = state
        step, seen = int(state.step), info.validation
        row = {"step": step, "loss": float(info.loss.mean())}
        if seen is not None:
            row |= {"validation_loss": float(seen.loss), "validation_accuracy": float(seen.accuracy)}
        history.append(row)
        if step == recipe.steps or step // checkpoint_every > (step - len(info.loss)) // checkpoint_every:
            _save(directory, state, history)
        if after_chunk is not None:
            after_chunk(state, info)

    try:
        return loop.fit(key, model, data, recipe, state=newest, chunk=chunk, after_chunk=keep)
    except (KeyboardInterrupt, loop.Diverged):
        if int(newest.step):
            _save(directory, newest, history)
        raise


def load(directory: Path, key: Key[Array, ""], model: nnx.Module, data: Data, recipe: Recipe) -> TrainState:
    """The newest state of a run that was started with these arguments; `trained` makes a model of it.

    Raises ValueError when there is none or it does not fit them.
    """
    return _restored(directory, fresh_state(key, model, data, recipe))


def read_history(directory: Path) -> list[dict[str, Any]]:
    """The mean loss of every chunk that was saved, oldest first, and what was seen on the validation part."""
    path = directory / HISTORY_FILE
    return json.loads(path.read_text()) if path.exists() else []


def _save(directory: Path, state: TrainState, history: list[dict[str, Any]]) -> None:
    checkpoint.write_json(directory / HISTORY_FILE, history)
    checkpoint.save(directory, int(state.step), _arrays(state))


def _restored(directory: Path, fresh: TrainState) -> TrainState:
    template = _arrays(fresh)
    found = checkpoint.load(directory, template)
    return jax.tree.unflatten(jax.tree.structure(fresh), [found[name] for name in template])


def _arrays(state: TrainState) -> dict[str, Array]:
    """Every array of a state by its path, in the order of the state's leaves: files that any program can read."""
    leaves = jax.tree_util.tree_flatten_with_path(state)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def _record(
    key: Key[Array, ""], state: TrainState, data: Data, recipe: Recipe, about: Mapping[str, Any]
) -> dict[str, Any]:
    shapes = {
        jax.tree_util.keystr(path, simple=True, separator="."): "x".join(map(str, np.shape(leaf)))
        for path, leaf in jax.tree_util.tree_flatten_with_path(state.params)[0]
    }
    return {
        "settings": {**about, "recipe": asdict(recipe), "key": np.asarray(jax.random.key_data(key)).tolist()},
        "data": {"name": data.name, "n_train": len(data.train.y), "n_classes": data.n_classes, **data.source},
        "parameters": shapes,
        "provenance": {
            "versions": {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
            "backend": jax.default_backend(),
        },
    }
