"""What determines a training run, and the pieces it makes: data, model, learning rule, optimiser.

The default settings were chosen by the exact log-likelihood of held-out fifths of the training part, without the test
part: `benchmarks/rbm_settings.py` prints the alternatives, `benchmarks/rbm.py` what came of it on the test part.
Plain SGD, a linear decay, an average over steps and weight decay inside the loss were tried too and were no better.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ebm import data as datasets
from ebm import hardware, rules, train
from ebm.energies import gaussian, potts, rbm
from ebm.hardware import Hardware
from ebm.likelihood import log_partition_independent

CHUNK = 100  # steps between two looks from the host: progress, divergence, ^C
MODELS: dict[str, datasets.Kind] = {"rbm": "bits", "gaussian": "reals", "potts": "symbols"}
RULES = ("pcd", "cd", "tempered", "pseudo-likelihood", "score-matching", "nce")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What determines a run, together with the data; the module says how the defaults were chosen."""

    data: str = "digits"
    """`digits`, `bars-and-stripes`, `planted-ising`, or a file: .npy, .csv, or an MNIST name (idx3-ubyte, also .gz)."""
    size: int = 4
    """Side of bars and stripes, or of the grid of the planted Ising machine."""
    model: str = "rbm"
    """The energy: `rbm` for bits, `gaussian` for real numbers, `potts` for symbols."""
    hidden: int = 16
    """Hidden units."""
    rule: str = "pcd"
    """The learning rule: `pcd`, `cd`, `tempered`, `pseudo-likelihood`, `score-matching` (gaussian) or `nce`."""
    centred: bool = False
    """Centre the gradient at moving averages of the units' means (rbm, potts)."""
    seed: int = 1
    """Every random number of the run follows from it."""
    steps: int = 12000
    """Training steps."""
    batch: int = 128
    """Rows of data a step."""
    chains: int = 128
    """Persistent Gibbs chains; `cd` has one a row of the batch."""
    gibbs_steps: int = 10
    """Gibbs sweeps of every chain a step."""
    temperatures: int = 8
    """Temperatures of the `tempered` rule."""
    noise: float = 0.5
    """Noise that `score-matching` adds to the data, in standard deviations of the data."""
    learning_rate: float = 0.04
    """Adam's first learning rate; it falls to 0 along a cosine."""
    weight_decay: float = 0.02
    """Fraction of every weight lost a step, times the learning rate; biases are left alone."""
    validation: bool = False
    """Hold out every fifth training row; the state that is best on them is the model."""
    look_every: int = 500
    """Steps between two looks at the validation rows."""
    patience: int = 0
    """Looks without a better likelihood after which training stops; 0: never."""
    hardware: Hardware = field(default_factory=Hardware)
    """The machine of the negative phase; with an array, the chip is programmed anew at every step."""


def check(settings: Settings) -> None:
    """Raise ValueError for a value that no run can have.

    Not in the constructor, which the command line calls and whose errors it would frame as its own.
    """
    for name, allowed in (("model", tuple(MODELS)), ("rule", RULES)):
        if (value := getattr(settings, name)) not in allowed:
            raise ValueError(f"{name} must be {' or '.join(map(repr, allowed))}, got {value!r}")
    for name in ("hidden", "steps", "batch", "chains", "gibbs_steps", "look_every"):
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


def learning_rule(settings: Settings, sigma: float = 1.0) -> rules.Rule:
    """The rule of the settings; `sigma` is the data's standard deviation, which scales the noise of score matching."""
    machine = None
    if settings.hardware.array is not None:
        machine = _programmer(settings.hardware)
    chains, sweeps = settings.chains, settings.gibbs_steps
    chosen: Any
    match settings.rule:
        case "pcd":
            chosen = rules.Contrastive(chains=chains, gibbs_steps=sweeps, machine=machine)
        case "cd":
            chosen = rules.Contrastive(chains=settings.batch, gibbs_steps=sweeps, persistent=False, machine=machine)
        case "tempered":
            chosen = rules.Tempered(chains=chains, gibbs_steps=sweeps, n_betas=settings.temperatures)
        case "pseudo-likelihood":
            chosen = rules.PseudoLikelihood()
        case "score-matching":
            chosen = rules.ScoreMatching(energy=rules.free_energy, sigma=settings.noise * sigma)
        case _:
            noise = "normal" if settings.model == "gaussian" else "bernoulli"
            chosen = rules.NoiseContrastive(energy=rules.free_energy, noise=noise)
    return rules.Centred(rule=chosen) if settings.centred else chosen


def new_params(settings: Settings, rows: datasets.Rows) -> Any:
    """The parameters before the first step: small weights, biases from the means of the rows."""
    init_key, _ = jax.random.split(jax.random.key(settings.seed))
    mean = jnp.asarray(rows.mean(axis=0))
    n_visible = rows.shape[1]
    if settings.model == "gaussian":
        std = rows.std(axis=0)
        # A pixel that never changes gets the spread of a hundredth of the others', not zero.
        floor = max(0.01 * float(std.mean()), 1e-6)
        params: Any = gaussian.init(init_key, n_visible, settings.hidden, mean, jnp.asarray(np.maximum(std, floor)))
    elif settings.model == "potts":
        n_states = datasets.n_states(rows)
        params = potts.init(init_key, n_visible // n_states, n_states, settings.hidden, mean)
    else:
        params = rbm.init(init_key, n_visible, settings.hidden, mean)
    if settings.rule != "nce":
        return params
    return rules.Normalised(params, jnp.float32(log_partition_independent(params)))


@cache
def optimizer(settings: Settings) -> optax.GradientTransformation:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019), on a cosine that ends at zero."""
    return optax.adamw(
        optax.cosine_decay_schedule(settings.learning_rate, settings.steps),
        weight_decay=settings.weight_decay,
        mask=_is_weights,
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
    _, fit_key = jax.random.split(jax.random.key(settings.seed))
    return train.fit(
        fit_key,
        new_params(settings, train_rows),
        train_rows,
        optimizer=optimizer(settings),
        steps=settings.steps,
        rule=learning_rule(settings, float(train_rows.std())),
        batch=settings.batch,
        chunk=CHUNK,
        state=state,
        after_chunk=after_chunk,
    )


def load_data(settings: Settings) -> tuple[datasets.Split, datasets.Split]:
    """The data with its test part, and the training part divided into rows to learn from and validation rows."""
    data = datasets.load(settings.data, kind=MODELS[settings.model], size=settings.size)
    if settings.validation:
        return data, datasets.validation(data.train)
    return data, datasets.Split(data.train, data.train[:0])


def energy_params(params: Any) -> Any:
    """Parameters of the energy alone: without the log Z that NCE trains beside them."""
    return params.params if isinstance(params, rules.Normalised) else params


@cache
def _programmer(chosen: Hardware) -> Callable:
    """One function for one machine, so that a training program compiled for it is found again."""
    return partial(_program, chosen=chosen)


def _program(key: Any, params: Any, *, chosen: Hardware) -> Any:
    return hardware.machine(key, params, chosen)


def _is_weights(params: Any) -> Any:
    """The mask of weight decay: tables of weights, not biases; the biases of symbols are a table too."""
    inner = energy_params(params)
    mask = jax.tree.map(lambda leaf: False, inner)._replace(weights=True)
    return params._replace(params=mask, log_z=False) if isinstance(params, rules.Normalised) else mask


def _check_rule(settings: Settings) -> None:
    for rule, models in (
        ("pseudo-likelihood", ("rbm",)),
        ("score-matching", ("gaussian",)),
        ("nce", ("rbm", "gaussian")),
    ):
        if settings.rule == rule and settings.model not in models:
            raise ValueError(f"rule {rule!r} trains model {' or '.join(map(repr, models))}, got {settings.model!r}")
    if settings.centred and (settings.model == "gaussian" or settings.rule == "nce"):
        raise ValueError("centred gradients are for model 'rbm' or 'potts' and not for rule 'nce'; leave out --centred")
    if settings.hardware.array is not None and settings.rule not in ("pcd", "cd"):
        raise ValueError(f"an array is trained on by rule 'pcd' or 'cd', got {settings.rule!r}")
