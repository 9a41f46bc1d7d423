"""What determines a training run, and the pieces it makes: data, model, learning rule, optimiser.

The default settings were chosen by the exact log-likelihood of held-out fifths of the training part, without the test
part: `benchmarks/rbm_settings.py` prints the alternatives, `benchmarks/rbm.py` what came of it on the test part.
Plain SGD, a linear decay, an average over steps and weight decay inside the loss were tried too and were no better.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import optax

from ebm import data as datasets
from ebm import hardware, models, rules, train
from ebm.models import FAMILIES
from ebm.models.settings import Settings

__all__ = [
    "CHUNK",
    "RULES",
    "Settings",
    "begin",
    "check",
    "energy_params",
    "fit",
    "kind",
    "learning_rule",
    "load_data",
    "new_params",
    "optimizer",
]

CHUNK = 100  # steps between two looks from the host: progress, divergence, ^C
RULES = ("pcd", "cd", "tempered", "pseudo-likelihood", "score-matching", "nce")


def check(settings: Settings) -> None:
    """Raise ValueError for a value that no run can have.

    Not in the constructor, which the command line calls and whose errors it would frame as its own.
    """
    for name, allowed in (("model", tuple(FAMILIES)), ("rule", RULES)):
        if (value := getattr(settings, name)) not in allowed:
            raise ValueError(f"{name} must be {' or '.join(map(repr, allowed))}, got {value!r}")
    models.family(settings).check(settings)
    for name in ("steps", "batch", "chains", "gibbs_steps", "look_every"):
        if (value := getattr(settings, name)) < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if not 0 <= settings.seed < 2**32:
        raise ValueError(f"seed must be from 0 to 2^32 - 1, got {settings.seed}")
    if not 0 < settings.learning_rate <= 1:
        raise ValueError(f"learning_rate must be above 0 and at most 1, got {settings.learning_rate}")
    if not 0 <= settings.weight_decay < 1:
        raise ValueError(f"weight_decay must be at least 0 and below 1, got {settings.weight_decay}")
    if settings.temperatures < 2:
        raise ValueError(f"temperatures must be at least 2, got {settings.temperatures}")
    if not settings.noise > 0:
        raise ValueError(f"noise must be above 0, got {settings.noise}")
    if settings.patience < 0 or (settings.patience and not settings.validation):
        raise ValueError(
            f"patience must be at least 0, and needs validation rows to be patient with (--validation), got "
            f"{settings.patience}"
        )
    if settings.look_every % CHUNK and settings.validation:
        raise ValueError(f"look_every must be a multiple of {CHUNK}, got {settings.look_every}")
    _check_rule(settings)
    hardware.check(settings.hardware)


@cache
def learning_rule(settings: Settings, sigma: float = 1.0, n_visible: int = 0) -> rules.Rule:
    """The rule of the settings, the same object for the same ones.

    `sigma` is the data's standard deviation, which scales the noise of score matching; `n_visible` the columns of its
    rows, for which graphs and networks are made.
    """
    return models.law(settings, n_visible).rule(settings, sigma)


def new_params(settings: Settings, rows: datasets.Rows) -> Any:
    """The parameters before the first step: small weights, biases from the means of the rows."""
    init_key, _ = jax.random.split(jax.random.key(settings.seed))
    law = models.law(settings, rows.shape[1])
    params = law.init(init_key, rows)
    return rules.Normalised(params, jnp.float32(law.log_alone(params))) if settings.rule == "nce" else params


@cache
def optimizer(settings: Settings, n_visible: int = 0) -> optax.GradientTransformation:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019), on a cosine that ends at zero."""

    def is_weight(params: Any) -> Any:
        mask = models.law(settings, n_visible).is_weight(energy_params(params))
        return params._replace(params=mask, log_z=False) if isinstance(params, rules.Normalised) else mask

    return optax.adamw(
        optax.cosine_decay_schedule(settings.learning_rate, settings.steps),
        weight_decay=settings.weight_decay,
        mask=is_weight,
    )


def begin(settings: Settings, train_rows: datasets.Rows) -> train.TrainState:
    """The state before the first step. Raises ValueError for sizes that the model cannot have."""
    params, n_visible = new_params(settings, train_rows), train_rows.shape[1]
    return train.init(
        _fit_key(settings),
        params,
        models.law(settings, n_visible).encode(energy_params(params), train_rows),
        rule=learning_rule(settings, float(train_rows.std()), n_visible),
        optimizer=optimizer(settings, n_visible),
    )


def fit(
    settings: Settings,
    train_rows: datasets.Rows,
    *,
    state: train.TrainState | None = None,
    after_chunk: Callable[[train.TrainState, train.Info], bool | None] | None = None,
) -> train.TrainState:
    """Train on `train_rows` as the settings say, from the start or from a saved `state`."""
    check(settings)
    n_visible = train_rows.shape[1]
    state = begin(settings, train_rows) if state is None else state
    return train.fit(
        _fit_key(settings),
        state.params,
        models.law(settings, n_visible).encode(energy_params(state.params), train_rows),
        optimizer=optimizer(settings, n_visible),
        steps=settings.steps,
        rule=learning_rule(settings, float(train_rows.std()), n_visible),
        batch=settings.batch,
        chunk=CHUNK,
        state=state,
        after_chunk=after_chunk,
    )


def kind(settings: Settings) -> datasets.Kind:
    """What a row holds for the model of the settings."""
    return models.family(settings).kind(settings)


def load_data(settings: Settings) -> tuple[datasets.Split, datasets.Split]:
    """The data with its test part, and the training part divided into rows to learn from and validation rows."""
    data = datasets.load(settings.data, kind=kind(settings), size=settings.size)
    if settings.validation:
        return data, datasets.validation(data.train)
    return data, datasets.Split(data.train, data.train[:0])


def energy_params(params: Any) -> Any:
    """Parameters of the energy alone: without the log Z that NCE trains beside them."""
    return params.params if isinstance(params, rules.Normalised) else params


def _fit_key(settings: Settings) -> Any:
    return jax.random.split(jax.random.key(settings.seed))[1]


def _check_rule(settings: Settings) -> None:
    family = models.family(settings)
    if settings.rule not in family.rules:
        able = [repr(each.name) for each in FAMILIES.values() if settings.rule in each.rules]
        raise ValueError(f"rule {settings.rule!r} trains model {' or '.join(able)}, got {settings.model!r}")
    if settings.centred and (not family.is_centrable or settings.rule == "nce"):
        raise ValueError("centred gradients are for model 'rbm' or 'potts' and not for rule 'nce'; leave out --centred")
    if settings.hardware.array is not None and settings.rule not in ("pcd", "cd"):
        raise ValueError(f"an array is trained on by rule 'pcd' or 'cd', got {settings.rule!r}")
    if settings.hardware.array is not None and not family.learns_on_array:
        able = [repr(each.name) for each in FAMILIES.values() if each.learns_on_array]
        raise ValueError(f"model {' or '.join(able)} learns on an array, got {settings.model!r}")
