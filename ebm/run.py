"""One training run under a directory: from settings to a trained model, resumable at any point.

The default settings were chosen by the exact log-likelihood of held-out fifths of the training part, without the test
part: `benchmarks/rbm_settings.py` prints the alternatives, `benchmarks/rbm.py` what came of it on the test part.
Plain SGD, a linear decay, an average over steps and weight decay inside the loss were tried too and were no better.
"""

import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ebm import checkpoint, train
from ebm import data as datasets
from ebm.energies import rbm
from ebm.likelihood import log_likelihood, log_partition
from ebm.rules import Contrastive

CHUNK = 100  # steps between two looks from the host: progress, divergence, ^C


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What determines a run, together with the data; the module says how the defaults were chosen."""

    data: str = "digits"
    """`digits`, or a .npy file whose rows are 0 and 1."""
    model: str = "rbm"
    """The energy; only `rbm` so far."""
    hidden: int = 16
    """Hidden units."""
    seed: int = 1
    """Every random number of the run follows from it."""
    steps: int = 12000
    """Training steps."""
    batch: int = 128
    """Rows of data a step."""
    chains: int = 128
    """Persistent Gibbs chains."""
    gibbs_steps: int = 10
    """Gibbs sweeps of every chain a step."""
    learning_rate: float = 0.04
    """Adam's first learning rate; it falls to 0 along a cosine."""
    weight_decay: float = 0.02
    """Fraction of every weight lost a step, times the learning rate; biases are left alone."""


def check(settings: Settings) -> None:
    """Raise ValueError for a value that no run can have.

    Not in the constructor, which the command line calls and whose errors it would frame as its own.
    """
    if settings.model != "rbm":
        raise ValueError(f"model must be 'rbm', got {settings.model!r}")
    for name in ("hidden", "steps", "batch", "chains", "gibbs_steps"):
        if (value := getattr(settings, name)) < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if not 0 <= settings.seed < 2**32:
        raise ValueError(f"seed must be from 0 to 2^32 - 1, got {settings.seed}")
    if not 0 < settings.learning_rate <= 1:
        raise ValueError(f"learning_rate must be above 0 and at most 1, got {settings.learning_rate}")
    if not 0 <= settings.weight_decay < 1:
        raise ValueError(f"weight_decay must be at least 0 and below 1, got {settings.weight_decay}")


def optimizer(settings: Settings) -> optax.GradientTransformation:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019), on a cosine that ends at zero."""
    return optax.adamw(
        optax.cosine_decay_schedule(settings.learning_rate, settings.steps),
        weight_decay=settings.weight_decay,
        mask=lambda params: jax.tree.map(lambda leaf: leaf.ndim == 2, params),  # weights, not biases
    )


def fit(
    settings: Settings,
    train_rows: datasets.Rows,
    *,
    state: train.TrainState | None = None,
    after_chunk: Callable[[train.TrainState, train.Info], None] | None = None,
) -> train.TrainState:
    """Train on `train_rows` as the settings say, from the start or from a saved `state`."""
    check(settings)
    init_key, fit_key = jax.random.split(jax.random.key(settings.seed))
    mean = jnp.asarray(train_rows.mean(axis=0))
    return train.fit(
        fit_key,
        rbm.init(init_key, train_rows.shape[1], settings.hidden, mean),
        train_rows,
        optimizer=optimizer(settings),
        steps=settings.steps,
        rule=Contrastive(chains=settings.chains, gibbs_steps=settings.gibbs_steps),
        batch=settings.batch,
        chunk=CHUNK,
        state=state,
        after_chunk=after_chunk,
    )


def train_in(
    directory: Path,
    settings: Settings,
    *,
    checkpoint_every: int = 500,
    after_chunk: Callable[[train.TrainState, train.Info], None] | None = None,
) -> train.TrainState:
    """Train under `directory`, going on from its newest state if the same run was started there before.

    A state is saved every `checkpoint_every` steps, at the end, and on ^C or divergence.
    Raises ValueError when the directory holds anything else or a finished run, Diverged as `train.fit` does.
    """
    check(settings)
    if checkpoint_every < 1:
        raise ValueError(f"checkpoint_every must be at least 1, got {checkpoint_every}")
    data = datasets.load(settings.data)
    if settings.batch > len(data.train):
        raise ValueError(f"batch must be at most the number of training rows, {len(data.train)}, got {settings.batch}")
    is_resumed = checkpoint.create(directory, _record(settings, data))
    done = checkpoint.latest_step(directory) if is_resumed else None
    if done == settings.steps:
        raise ValueError(
            f"{directory} holds a finished run of {done} steps; evaluate it with `ebm evaluate`, or choose "
            "another directory"
        )
    newest = None if done is None else checkpoint.load(directory, _template(settings, data.train.shape))

    def keep(state: train.TrainState, info: train.Info) -> None:
        nonlocal newest
        newest = state
        step = int(state.step)
        if step // checkpoint_every > (step - len(info.gap)) // checkpoint_every or step == settings.steps:
            checkpoint.save(directory, state)
        if after_chunk is not None:
            after_chunk(state, info)

    try:
        return fit(settings, data.train, state=newest, after_chunk=keep)
    except (KeyboardInterrupt, train.Diverged):
        if newest is not None:
            checkpoint.save(directory, newest)
        raise


def load(directory: Path) -> tuple[Settings, train.TrainState]:
    """The settings and the newest state of a run. Raises ValueError when `directory` does not hold one."""
    record = checkpoint.read_record(directory)
    try:
        settings = Settings(**record["settings"])
        shape = (record["data"]["n_train"], record["data"]["n_visible"])
    except (TypeError, KeyError) as error:
        raise ValueError(f"{directory} was written by another version of `ebm train`: {error}") from error
    return settings, checkpoint.load(directory, _template(settings, shape))


def evaluate(directory: Path) -> dict[str, Any]:
    """Exact log-likelihoods of a run's model, in nats a row, with where they come from.

    Raises ValueError when the directory is not a run, its data changed since, or both layers are too large.
    """
    settings, state = load(directory)
    record = checkpoint.read_record(directory)
    data = datasets.load(settings.data)
    if datasets.fingerprint(data) != record["data"]["sha256"]:
        raise ValueError(f"{settings.data} has changed since {directory} was trained on it; restore the data")
    partition = log_partition(state.params)
    rows = {"test": data.test, "train": data.train}
    values = {name: log_likelihood(state.params, part, partition) for name, part in rows.items()}
    return {
        "test_log_likelihood": float(values["test"].mean()),
        "test_standard_error": float(values["test"].std(ddof=1) / np.sqrt(len(data.test))),
        "train_log_likelihood": float(values["train"].mean()),
        "unit": "nats per row",
        "method": "exact, by enumeration of the smaller layer",
        "log_partition": partition,
        "n_test": len(data.test),
        "n_train": len(data.train),
        "hidden": settings.hidden,
        "step": int(state.step),
        "is_finished": int(state.step) == settings.steps,
        **record,
    }


def _record(settings: Settings, data: datasets.Split) -> dict[str, Any]:
    packages = ("barrierless", "jax", "optax", "numpy", "scikit-learn")
    return {
        "settings": asdict(settings),
        "data": {
            "n_train": len(data.train),
            "n_test": len(data.test),
            "n_visible": data.train.shape[1],
            "split": "train_test_split(test_size=0.2, random_state=0)",
            "sha256": datasets.fingerprint(data),
        },
        "provenance": {
            "versions": {name: version(name) for name in packages} | {"python": platform.python_version()},
            "backend": jax.default_backend(),
        },
    }


def _template(settings: Settings, shape: tuple[int, int]) -> train.TrainState:
    """A state with the shapes of this run's, to load a saved one into."""
    key = jax.random.key(0)
    params = rbm.init(key, shape[1], settings.hidden)
    rule = Contrastive(chains=settings.chains, gibbs_steps=settings.gibbs_steps)
    return train.init(key, params, np.zeros(shape, np.float32), rule=rule, optimizer=optimizer(settings))
