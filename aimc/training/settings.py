"""Runs whose model, data and array have names, so that `run.json` says all that is needed to make them again."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
from flax import nnx
from jaxtyping import Array, Key

from aimc import checkpoint, data, models, presets
from aimc.nn.convert import convert, to_digital
from aimc.training import loop, run
from aimc.training.recipe import RECIPES, Recipe, from_json
from aimc.training.state import TrainState, has_arrays, trained

NO_ARRAY = "none"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What determines a run."""

    model: str = "mlp"
    data: str = "digits"
    labels: str | None = None
    """File of the labels of `data`, where that is a file of images."""
    array: str = NO_ARRAY
    """A preset, or none for a digital model."""
    recipe: Recipe = RECIPES["digital"]
    start: str | None = None
    """Run directory with the weights to start from, digital or on any array; None: random ones."""
    seed: int = 0


class Start(NamedTuple):
    """What a run begins with: its data, its model before training, and the key of its training."""

    data: data.Data
    model: nnx.Module
    key: Key[Array, ""]


class Trained(NamedTuple):
    """A run as it stands: `model` is set to evaluation and, on arrays, not deployed."""

    settings: Settings
    data: data.Data
    model: nnx.Module
    step: int
    """Of the newest state."""


def start(settings: Settings) -> Start:
    """Data and the model before training. Raises ValueError for names that nothing has and for weights of another model
    or other data, OSError for files that are not there."""
    init_key, noise_key, key = jax.random.split(jax.random.key(settings.seed), 3)
    spec = None if settings.array == NO_ARRAY else presets.preset(settings.array)
    found = data.load(settings.data, labels=None if settings.labels is None else Path(settings.labels))
    model = models.build(settings.model, nnx.Rngs(init_key), found)
    if settings.start is not None:
        model = _weights_of(Path(settings.start), settings)
    if spec is not None:
        model = convert(model, spec, rngs=nnx.Rngs(noise=noise_key))
    elif settings.recipe.modifier is not None or settings.recipe.ranges is not None:
        raise ValueError("this recipe modifies the weights or finds the ranges of arrays; name an array")
    loop.check_sizes(found, settings.recipe)
    return Start(found, model, key)


def train(
    directory: Path,
    settings: Settings,
    *,
    checkpoint_every: int = 500,
    after_chunk: Callable[[TrainState, loop.Info], None] | None = None,
) -> Trained:
    """Train under `directory`; `run.train_in` says how it is kept there, and what is raised."""
    found, model, key = start(settings)
    about = {name: getattr(settings, name) for name in ("model", "data", "labels", "array", "start", "seed")}
    model = run.train_in(
        directory,
        key,
        model,
        found,
        settings.recipe,
        about=about,
        checkpoint_every=checkpoint_every,
        after_chunk=after_chunk,
    )
    return Trained(settings, found, model, settings.recipe.steps)


def open_run(directory: Path) -> Trained:
    """The model of a run of `train`, finished or not, and its data.

    Raises ValueError when `directory` does not hold one, and when the data changed since.
    """
    record = checkpoint.read_record(directory)
    try:
        fields: dict[str, Any] = {name: value for name, value in record["settings"].items() if name != "key"}
        fields["recipe"] = from_json(fields["recipe"])
        settings = Settings(**fields)
        sha256 = record["data"]["sha256"]
    except (TypeError, KeyError) as error:
        raise ValueError(
            f"{directory} was not written by `aimc train`, or by another version of it: {error}"
        ) from error
    found, model, key = start(replace(settings, start=None))  # of whose weights nothing is left
    if found.source["sha256"] != sha256:
        raise ValueError(f"{settings.data} is not what {directory} was trained on; restore the data")
    state = run.load(directory, key, model, found, settings.recipe)
    return Trained(settings, found, trained(state), int(state.step))


def _weights_of(directory: Path, settings: Settings) -> nnx.Module:
    """The digital model that a run trained."""
    source = open_run(directory)
    for name in ("model", "data"):
        if getattr(source.settings, name) != getattr(settings, name):
            raise ValueError(
                f"start must be a run of {name} {getattr(settings, name)!r}, and {directory} is one of "
                f"{getattr(source.settings, name)!r}"
            )
    return to_digital(source.model) if has_arrays(source.model) else source.model
