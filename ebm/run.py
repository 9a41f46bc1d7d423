"""One training run under a directory: from settings to a trained model, resumable at any point.

How the default settings were chosen: exact log-likelihood in nats an image of 16 hidden units (PCD-10, batch and
chains 128) on the training part of the digits alone, as the mean over each fifth of it held out in turn, one seed
each, and on the fixed fifth of `data.validation`. The test part was not used.

    optimiser, first rate, decay           steps   weight decay   five fifths   the fixed fifth
    Adam 0.005 cosine                       6000        -           -18.57          -18.02
    Adam 0.01  cosine                       6000        -           -18.34          -17.68
    Adam 0.02  cosine                       6000        -           -18.24          -17.70
    Adam 0.02  cosine                      12000        -           -18.20          -17.60
    Adam 0.02  linear                      12000        -           -18.23          -17.71
    Adam 0.02  constant, averaged (0.9995) 12000        -           -18.33          -17.72
    Adam 0.02  cosine                      24000        -           -18.22          -17.61
    Adam 0.02  cosine                      12000     0.001 in loss  -18.11          -17.59
    Adam 0.02  cosine                      12000      0.02          -18.04          -17.51
    Adam 0.02  cosine                      12000      0.04          -18.10          -17.58
    Adam 0.02  cosine                      12000      0.1           -18.30          -17.77
    Adam 0.02  cosine                      24000      0.03          -17.97          -17.48
    Adam 0.03  cosine                      12000      0.03          -18.01          -17.39
    Adam 0.04  cosine                      12000        -           -18.18          -17.66
    Adam 0.04  cosine                      12000      0.02          -17.97          -17.30   <- chosen
    Adam 0.04  cosine                      12000      0.04          -18.08          -17.50
    SGD  0.5   cosine                      12000        -           -18.07          -17.42
    SGD  0.5   cosine                      12000     0.0003 in loss -18.00          -17.45
    SGD  0.5   cosine                      24000     0.0003 in loss -17.99          -17.35

At a rate that decays to zero an average of the parameters changed nothing in the third decimal, so there is none.
On the test part, once, with seeds 1 to 5: -18.43, -18.23, -18.29, -18.37, -18.51 (median -18.37).
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

CHUNK = 100  # steps between two looks from the host: progress, divergence, ^C


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What determines a run, together with the data; the table above says how the defaults were chosen."""

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
        batch=settings.batch,
        chains=settings.chains,
        gibbs_steps=settings.gibbs_steps,
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
    n_data, n_visible = shape
    key = jax.random.key(0)
    params = rbm.init(key, n_visible, settings.hidden)
    return train.init(key, params, n_data, optimizer=optimizer(settings), chains=settings.chains)
