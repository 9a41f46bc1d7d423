"""One training run under a directory: from settings to a trained model, resumable at any point."""

import json
import platform
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from ebm import ais, checkpoint, models, train
from ebm import data as datasets
from ebm.hardware import Hardware
from ebm.models import Law, Settings
from ebm.settings import begin, check, energy_params, fit, kind, load_data, new_params

__all__ = [
    "Looks",
    "Model",
    "Settings",
    "fit",
    "glance",
    "load",
    "model",
    "new_params",
    "open_data",
    "read_looks",
    "train_in",
]

SPLIT = "train_test_split(test_size=0.2, random_state=0)"
CHEAP_UNITS = 16  # an exact likelihood within 0.2 s
LOOK_BETAS = 1000  # of the annealing that stands for the exact likelihood in larger models


class Model(NamedTuple):
    """A trained model as the run leaves it."""

    settings: Settings
    law: Law
    params: Any
    step: int
    is_finished: bool


def train_in(
    directory: Path,
    settings: Settings,
    *,
    checkpoint_every: int = 500,
    after_chunk: Callable[[train.TrainState, train.Info], None] | None = None,
) -> train.TrainState:
    """Train under `directory`, going on from its newest state if the same run was started there before.

    A state is saved every `checkpoint_every` steps, at the end, and on ^C or divergence. With validation rows every
    look at them is written to `validation.json`, and the best state to `best`.
    Raises ValueError when the directory holds anything else or a finished run, Diverged as `train.fit` does.
    """
    check(settings)
    if checkpoint_every < 1:
        raise ValueError(f"checkpoint_every must be at least 1, got {checkpoint_every}")
    data, parts = load_data(settings)
    if settings.batch > len(parts.train):
        raise ValueError(f"batch must be at most the number of training rows, {len(parts.train)}, got {settings.batch}")
    start = begin(settings, parts.train)
    if settings.hardware.array is not None:
        _check_machine(settings, energy_params(start.params), parts.train.shape[1])
    is_resumed = checkpoint.create(directory, _record(settings, data, parts))
    done = checkpoint.latest_step(directory) if is_resumed else None
    if done is not None and is_finished(directory, settings):
        raise ValueError(
            f"{directory} holds a finished run of {done} steps; evaluate it with `ebm evaluate`, or choose "
            "another directory"
        )
    newest = None if done is None else checkpoint.load(directory, start)
    looks = Looks(directory, settings, parts, done or 0)

    def keep(state: train.TrainState, info: train.Info) -> bool:
        nonlocal newest
        newest = state
        step = int(state.step)
        is_last = step == settings.steps
        if settings.validation and (step % settings.look_every == 0 or is_last):
            is_last |= looks.look(state)
        if is_last or step // checkpoint_every > (step - len(info.gap)) // checkpoint_every:
            checkpoint.save(directory, state)
        if after_chunk is not None:
            after_chunk(state, info)
        return is_last

    try:
        return fit(settings, parts.train, state=start if newest is None else newest, after_chunk=keep)
    except (KeyboardInterrupt, train.Diverged):
        if newest is not None:
            checkpoint.save(directory, newest)
        raise


def _check_machine(settings: Settings, params: Any, n_visible: int) -> None:
    """Raise ValueError for what the array refuses of this model, by programming a chip in the abstract."""

    def program(key: Any, params: Any) -> None:
        models.machine(models.law(settings, n_visible), key, params, settings.hardware)

    jax.eval_shape(program, jax.random.key(0), params)


class Looks:
    """What was seen on the validation rows so far, kept in the run directory.

    Looks past the step that a run goes on from are forgotten: they are taken again, with the same result.
    """

    def __init__(self, directory: Path, settings: Settings, parts: datasets.Split, done: int) -> None:
        self._directory, self._settings, self._parts = directory, settings, parts
        self.seen = [look for look in read_looks(directory) if look["step"] <= done]

    def look(self, state: train.TrainState) -> bool:
        """Measure, write down, keep the state if it is the best so far; True when patience has run out."""
        value = glance(self._settings, energy_params(state.params), self._parts, int(state.step))
        if not self.seen or value > max(look["log_likelihood"] for look in self.seen):
            checkpoint.save(self._directory / checkpoint.BEST, state)
        self.seen.append({"step": int(state.step), "log_likelihood": value})
        checkpoint.write_json(self._directory / checkpoint.LOOKS_FILE, self.seen)
        return has_run_out(self.seen, self._settings.patience)


def read_looks(directory: Path) -> list[dict[str, Any]]:
    """The looks at the validation rows of a run, oldest first; none without validation."""
    path = directory / checkpoint.LOOKS_FILE
    return json.loads(path.read_text()) if path.exists() else []


def has_run_out(looks: list[dict[str, Any]], patience: int) -> bool:
    """Whether the last `patience` looks were all no better than the best before them."""
    values = [look["log_likelihood"] for look in looks]
    return patience > 0 and len(values) > patience and max(values[-patience:]) <= max(values[:-patience])


def is_finished(directory: Path, settings: Settings) -> bool:
    """Whether a run has taken all its steps, or stopped by its validation rows."""
    done = checkpoint.latest_step(directory)
    if done == settings.steps:
        return True
    looks = read_looks(directory)
    return bool(looks) and looks[-1]["step"] == done and has_run_out(looks, settings.patience)


def glance(settings: Settings, params: Any, parts: datasets.Split, step: int) -> float:
    """Mean log-likelihood of validation rows, for choosing among states: exact in small models, else a lower bound.

    The bound is that of annealing back from the rows with 1,000 temperatures; its key follows from seed and step.
    """
    law, rows = models.law(settings, parts.train.shape[1]), parts.test
    if is_cheap(law, params):
        return float(law.log_likelihood(params, rows, law.log_partition(params)).mean())
    key = jax.random.fold_in(jax.random.key(settings.seed), step)
    betas = ais.linear_betas(LOOK_BETAS)
    return law.bounds(key, params, rows, parts.train, n_chains=64, betas=betas).lower


def is_cheap(law: Law, params: Any) -> bool:
    """Whether the exact likelihood takes a fraction of a second."""
    n = law.n_enumerated(params)
    return n is not None and n <= CHEAP_UNITS


def load(directory: Path) -> tuple[Settings, train.TrainState]:
    """The settings and the newest state of a run. Raises ValueError when `directory` does not hold one."""
    settings, _, rows = _read(directory)
    return settings, checkpoint.load(directory, begin(settings, rows))


def model(directory: Path) -> Model:
    """The model of a run: its best state on validation rows where there are some, else its newest.

    Raises ValueError when `directory` does not hold one.
    """
    settings, _, rows = _read(directory)
    best = directory / checkpoint.BEST
    where = best if settings.validation and checkpoint.latest_step(best) is not None else directory
    state = checkpoint.load(where, begin(settings, rows))
    law = models.law(settings, rows.shape[1])
    return Model(settings, law, energy_params(state.params), int(state.step), is_finished(directory, settings))


def open_data(directory: Path) -> tuple[datasets.Split, datasets.Split]:
    """The data of a run, as `load_data`. Raises ValueError when it changed since."""
    settings, record, _ = _read(directory)
    data, parts = load_data(settings)
    if datasets.fingerprint(data) != record["data"]["sha256"]:
        raise ValueError(f"{settings.data} has changed since {directory} was trained on it; restore the data")
    return data, parts


def _read(directory: Path) -> tuple[Settings, dict[str, Any], datasets.Rows]:
    record = checkpoint.read_record(directory)
    try:
        stored = {name: value for name, value in record["settings"].items() if name != "hardware"}
        settings = replace(Settings(**stored), hardware=Hardware(**record["settings"].get("hardware", {})))
        shape = (record["data"]["n_train"], record["data"]["n_visible"])
        n_states = record["data"].get("n_states", 1)
    except (TypeError, KeyError) as error:
        raise ValueError(f"{directory} was written by another version of `ebm train`: {error}") from error
    for name, fact in models.law(settings, shape[1]).facts().items():
        if fact != record["data"].get(name):
            raise ValueError(f"{settings.graph} has changed since {directory} was trained on it; restore the graph")
    rows = np.zeros(shape, np.float32)
    rows[:, ::n_states] = 1.0  # rows of any values with the right symbols and a spread
    rows[::2] = rows[::2] if kind(settings) == "symbols" else 0.0
    return settings, record, rows


def _record(settings: Settings, data: datasets.Split, parts: datasets.Split) -> dict[str, Any]:
    packages = ("barrierless", "jax", "optax", "numpy", "scikit-learn")
    sizes = {"n_train": len(parts.train), "n_test": len(data.test), "n_visible": data.train.shape[1]}
    if settings.validation:
        sizes["n_validation"] = len(parts.test)
    if kind(settings) == "symbols":
        sizes["n_states"] = datasets.n_states(data.train)
    return {
        "settings": asdict(settings),
        "data": {
            **sizes,
            **models.law(settings, data.train.shape[1]).facts(),
            "split": SPLIT if settings.data not in datasets.NAMES[1:] else f"made by ebm.data, size {settings.size}",
            "chosen_on": "validation: training rows 4, 9, 14, ..." if settings.validation else "nothing; last state",
            "sha256": datasets.fingerprint(data),
        },
        "provenance": {
            "versions": {name: version(name) for name in packages} | {"python": platform.python_version()},
            "backend": jax.default_backend(),
        },
    }
