"""What a model and its samples are worth: its likelihood with the method behind it, mixing, and distance from data.

Each number comes with its error or with what chance alone would give. All of them ask a `models.Law`, a Bernoulli RBM
unless another is given.
"""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Key

from ebm import ais, diagnostics
from ebm.data import Kind, Rows
from ebm.likelihood import MAX_ENUMERATED_UNITS
from ebm.models import Law
from ebm.models.rbm import LAW as RBM

EXACT = "exact, by enumeration"
BOUNDED = "between annealed importance sampling (upper) and its reverse from the rows (lower)"
NOT_AVAILABLE = "not available"
MAX_ANNEALED_ROWS = 1000  # of a part, the first ones: rows are in random order
MAX_TWO_SAMPLE_ROWS = 1000  # of each set: the comparisons cost the square of it


class Effort(NamedTuple):
    """How much sampling a report is made of."""

    chains: int = 512
    burn_in: int = 500
    sweeps: int = 1000
    ais_chains: int = 256
    ais_betas: int = 10_000


EFFORT = Effort()


class Sampled(NamedTuple):
    """What chains brought: their last states, and minus the log-probability, up to a constant, sweep by sweep."""

    last: Any
    energy: Float[np.ndarray, "n_chains n_sweeps"]


def likelihood(
    key: Key[Array, ""],
    params: Any,
    parts: dict[str, Any],
    train: Rows,
    effort: Effort = EFFORT,
    law: Law = RBM,
) -> dict[str, Any]:
    """Mean log-likelihood of the rows of each part in nats: exact where it can be summed, else bounds.

    Bounds come from annealing forward (upper) and back from the rows (lower), of the first 1,000 rows, `_rows_used`;
    each has a standard error over its chains. Annealing starts from units independent as in the rows of `train`.
    Key is consumed by the annealing.
    """
    found: dict[str, Any] = {}
    n_enumerated = law.n_enumerated(params)
    if n_enumerated is not None and n_enumerated <= MAX_ENUMERATED_UNITS:
        log_z = law.log_partition(params)
        for name, rows in parts.items():
            values = law.log_likelihood(params, rows, log_z)
            found[f"{name}_log_likelihood"] = float(values.mean())
            found[f"{name}_standard_error"] = _standard_error(values)
            found[f"{name}_rows_used"] = len(rows)
        return found | {"method": EXACT, "is_trusted": True, "distrust": None, "log_partition": log_z}
    betas = ais.linear_betas(effort.ais_betas)
    is_trusted = True
    for name, part_key in zip(parts, jax.random.split(key, len(parts)), strict=True):
        rows = np.asarray(parts[name])[:MAX_ANNEALED_ROWS]
        bounds = law.bounds(part_key, params, rows, train, n_chains=effort.ais_chains, betas=betas)
        values = law.log_likelihood(params, rows, 0.0)
        found |= {
            f"{name}_log_likelihood": 0.5 * (bounds.lower + bounds.upper),
            f"{name}_standard_error": None if values is None else _standard_error(values),
            f"{name}_rows_used": len(rows),
            f"{name}_lower": bounds.lower,
            f"{name}_lower_error": finite(bounds.lower_error),
            f"{name}_upper": bounds.upper,
            f"{name}_upper_error": finite(bounds.upper_error),
            f"{name}_gap": bounds.gap,
            f"{name}_effective_chains": bounds.ess,
            f"{name}_verdict": bounds.sentence,
        }
        is_trusted &= bounds.is_trusted
    distrust = None if is_trusted else "bounds are too far apart or of too few chains; take more --ais-betas"
    return found | {"method": BOUNDED, "is_trusted": is_trusted, "distrust": distrust}


def no_likelihood(parts: dict[str, Any], why: str) -> dict[str, Any]:
    """What `likelihood` says where there is no Boltzmann machine to ask: nothing, and why."""
    empty = {f"{name}_{what}": None for name in parts for what in ("log_likelihood", "standard_error")}
    return empty | {"method": f"{NOT_AVAILABLE}: {why}", "is_trusted": False, "distrust": why}


def sample(key: Key[Array, ""], machine: Any, params: Any, effort: Effort = EFFORT, law: Law = RBM) -> Sampled:
    """Chains of a machine after a burn-in, their energy by `params` recorded every sweep; key is consumed."""
    start_key, burn_key, sweep_key = jax.random.split(key, 3)
    chains = law.start(start_key, machine, effort.chains)
    last, series = _recorded(burn_key, sweep_key, machine, params, chains, law, effort.burn_in, effort.sweeps)
    return Sampled(last, np.asarray(series).T)


def chain_report(sampled: Sampled, params: Any, law: Law = RBM) -> dict[str, Any]:
    """Mixing and temperature from recorded chains: tau_int and R-hat of the energy, beta_eff against `params`."""
    tau = diagnostics.tau_int(sampled.energy)
    mixing = diagnostics.r_hat(sampled.energy)
    beta = effective_beta(sampled.last, params, law)
    return {
        "beta_eff": finite(beta.value),
        "beta_eff_error": finite(beta.error),
        "tau_int_sweeps": finite(tau.value),
        "tau_int_error": finite(tau.error),
        "tau_int_at_least": finite(tau.at_least),
        "r_hat": finite(mixing.value),
        "r_hat_floor": finite(mixing.floor),
    }


def effective_beta(state: Any, params: Any, law: Law = RBM) -> diagnostics.BetaEff:
    """beta_eff of chains, by the laws of their two-valued units given all others; nan where there are no such."""
    found = law.fields(params, state)
    if found is None:
        return diagnostics.BetaEff(math.nan, math.nan)
    return diagnostics.beta_eff(*(np.asarray(each) for each in found))


def two_samples(key: Key[Array, ""], data: Any, samples: Any, kind: Kind) -> dict[str, Any]:
    """Whether samples look like the data: MMD, adversarial accuracy and pair correlations, each with its floor.

    At most 1,000 rows of each, as many of one as of the other. Key is consumed by the permutations.
    """
    mmd_key, aats_key = jax.random.split(key)
    n = min(len(data), len(samples), MAX_TWO_SAMPLE_ROWS)
    x, y = np.asarray(data)[:n], np.asarray(samples)[:n]
    distance = diagnostics.mmd(mmd_key, x, y, is_real=kind == "reals")
    told = diagnostics.adversarial_accuracy(aats_key, x, y)
    error = diagnostics.correlation_error(x, y)
    return {
        "n_rows": n,
        "mmd_squared": distance.value,
        "mmd_squared_floor": distance.floor,
        "mmd_p_value": distance.p_value,
        "adversarial_accuracy": told.value,
        "adversarial_accuracy_expected": told.expected,
        "adversarial_accuracy_error": told.error,
        "correlation_error": error.value,
        "correlation_error_floor": error.floor,
        "correlation_error_excess": error.excess,
    }


def duplicates(train_rows: Any, samples: Any) -> dict[str, float]:
    """How many samples are training rows, bit by bit, and how far the nearest training row is, in units that differ."""
    known = {row.tobytes() for row in np.asarray(train_rows, np.float32)}
    copies = sum(row.tobytes() in known for row in np.asarray(samples, np.float32))
    x, y = np.asarray(samples, np.float32)[:MAX_TWO_SAMPLE_ROWS], np.asarray(train_rows, np.float32)
    squared = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T
    nearest = np.maximum(squared.min(axis=1), 0)
    return {"share_of_copies": copies / len(samples), "median_squared_distance_to_training": float(np.median(nearest))}


@partial(jax.jit, static_argnames=("law", "burn_in", "n"))
def _recorded(
    burn_key: Key[Array, ""],
    sweep_key: Key[Array, ""],
    machine: Any,
    params: Any,
    chains: Any,
    law: Law,
    burn_in: int,
    n: int,
) -> tuple[Any, Array]:
    def body(state: Any, step_key: Key[Array, ""]) -> tuple[Any, Array]:
        moved = law.sweeps(step_key, machine, state, 1)
        return moved, law.energy(params, moved)

    burnt = law.sweeps(burn_key, machine, chains, burn_in)
    return jax.lax.scan(body, burnt, jax.random.split(sweep_key, n))


def _standard_error(values: np.ndarray) -> float | None:
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None


def finite(value: float) -> float | None:
    """The number, or None for infinity and nan, which JSON does not know."""
    return float(value) if math.isfinite(value) else None
