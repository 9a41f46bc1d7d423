"""How far to trust a model: its likelihood with the method behind it, and what its samples show, with their floors.

The likelihood is that of the model, of a machine's weights as they were written. A chip whose reads are those weights
and nothing else is that machine. Any other has a law of its own: beside the Boltzmann machine nearest to it, at the
temperature that its samples have, its own likelihood is estimated from below (`ebm.chip_law`). Two-sample numbers are
of the chip's own samples.
"""

import json
import math
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Key

from ebm import ais, analog, checkpoint, chip_law, diagnostics, hardware, run
from ebm.data import Kind, Rows
from ebm.energies.rbm import Rbm
from ebm.hardware import Hardware
from ebm.likelihood import MAX_ENUMERATED_UNITS
from ebm.models import Law
from ebm.models.rbm import LAW as RBM
from ebm.samplers import gibbs

EVALUATION_FILE = "evaluation.json"
EXACT = "exact, by enumeration"
BOUNDED = "between annealed importance sampling (upper) and its reverse from the rows (lower)"
AS_WRITTEN = "of the weights as written, which reads of this chip return"
AT_FITTED_BETA = "of the written weights at the fitted β"
OWN = "the chip's own law, from below, by its own reads"
NOT_AVAILABLE = "not available"
NEAREST_ONLY = "they are of the Boltzmann machine nearest to the chip, which has another law: see that of its own"
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
DIGITAL = Hardware()


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
            f"{name}_lower_error": _finite(bounds.lower_error),
            f"{name}_upper": bounds.upper,
            f"{name}_upper_error": _finite(bounds.upper_error),
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
        "beta_eff": _finite(beta.value),
        "beta_eff_error": _finite(beta.error),
        "tau_int_sweeps": _finite(tau.value),
        "tau_int_error": _finite(tau.error),
        "tau_int_at_least": _finite(tau.at_least),
        "r_hat": _finite(mixing.value),
        "r_hat_floor": _finite(mixing.floor),
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


def chip_likelihood(params: Any, beta: float) -> Any:
    """The Boltzmann machine nearest to a chip: written weights at the temperature that its samples have.

    For models of bits alone: other visible units of a chip are drawn digitally, at a temperature of 1.
    """
    return params.tempered(beta)


def likelihood_of_chip(
    key: Key[Array, ""],
    chip: analog.Chip,
    parts: dict[str, Any],
    train: Rows,
    last: gibbs.Chains,
    beta: float | None,
    effort: Effort = EFFORT,
    law: Law = RBM,
) -> dict[str, Any]:
    """`likelihood` of the Boltzmann machine that is this chip, else of the one nearest to it, and the chip's own.

    A chip that `chip_law.is_still` is the machine of its written weights, at β = 1. Any other only resembles one: noise
    of both layers of bits is a temperature to some degree, and `beta` is the fitted one; real units and symbols are
    drawn digitally from what was read, at no other temperature, and nothing is reported. `last`: states of the chip's
    stationary chains, which go on for the `_own_` numbers. Key is consumed: reads, sweeps, annealing.
    """
    still_key, own_key, likelihood_key = jax.random.split(key, 3)
    weights = hardware.written_params(chip)
    if chip_law.is_still(still_key, chip, last):
        found = likelihood(likelihood_key, weights, parts, train, effort, law)
        return found | {"method": f"{found['method']}, {AS_WRITTEN}"}
    if not isinstance(weights, Rbm):
        found = no_likelihood(parts, "noise is no temperature of units that are not bits")
    elif beta is None or not beta > 0:
        found = no_likelihood(parts, f"the samples have no temperature, their β is {beta}")
    else:
        found = likelihood(likelihood_key, chip_likelihood(weights, beta), parts, train, effort, law)
        found |= {"method": f"{found['method']}, {AT_FITTED_BETA}", "is_trusted": False, "distrust": NEAREST_ONLY}
    for (name, rows), part_key in zip(parts.items(), jax.random.split(own_key, len(parts)), strict=True):
        own = chip_law.log_likelihood(part_key, chip, np.asarray(rows)[:MAX_ANNEALED_ROWS], last, effort.sweeps)
        numbers = (_finite(own.lower), _finite(own.error), _finite(own.rise))
        found |= {
            f"{name}_own_{what}": number for what, number in zip(("lower", "error", "rise"), numbers, strict=True)
        }
    return found | {"own_method": OWN}


def report(
    key: Key[Array, ""],
    params: Any,
    parts: dict[str, Any],
    train: Rows,
    law: Law = RBM,
    *,
    chosen: Hardware = DIGITAL,
    chips: int = 1,
    effort: Effort = EFFORT,
) -> dict[str, Any]:
    """Everything `ebm evaluate` says of a model: `parts` are rows by name, and the first is compared with samples;
    `train` are those from whose means annealing starts.

    With an array, `chips` are programmed, each a report of its own under `chips`, and numbers are their means.
    Key is consumed; random: the annealing, the chips, the chains.
    """
    if chips < 1:
        raise ValueError(f"chips must be at least 1, got {chips}")
    hardware.check(chosen)
    reports = []
    for chip_key in jax.random.split(key, chips if chosen.array else 1):
        program_key, sample_key, likelihood_key, compare_key = jax.random.split(chip_key, 4)
        machine = law.machine(program_key, params, chosen)
        written = law.written(machine)
        sampled = sample(sample_key, machine, written, effort, law)
        found = chain_report(sampled, written, law)
        shown = law.visible(written, sampled.last)
        found |= two_samples(compare_key, next(iter(parts.values())), shown, law.kind)
        if isinstance(machine, analog.Chip):
            found["beta_eff_intended"] = _finite(effective_beta(sampled.last, params, law).value)
            found |= likelihood_of_chip(
                likelihood_key, machine, parts, train, sampled.last, found["beta_eff"], effort, law
            )
        else:
            found |= likelihood(likelihood_key, written, parts, train, effort, law)
        reports.append(found)
    if chosen.array is None:
        return reports[0]
    return _mean(reports) | {"chips": reports}


def evaluate(
    directory: Path,
    *,
    chosen: Hardware = DIGITAL,
    chips: int = 1,
    effort: Effort = EFFORT,
    seed: int = 0,
) -> dict[str, Any]:
    """The report of a run's model on its rows, kept in the run directory: asked again it is read, not made again.

    So the test rows are looked at once for each machine. Those of an unfinished run are not looked at: its numbers are
    of validation and training rows. Raises ValueError when the directory is not a run or its data changed since.
    """
    found = run.model(directory)
    data, parts = run.open_data(directory)
    record = checkpoint.read_record(directory)
    asked = json.loads(
        json.dumps(
            {
                "step": found.step,
                "hardware": vars(chosen),
                "chips": chips,
                "effort": effort._asdict(),
                "seed": seed,
                "version": version("barrierless"),
                "data": record["data"]["sha256"],
            }
        )
    )
    kept = _kept(directory)
    for earlier in kept:
        if earlier["asked"] == asked:
            return earlier["found"]
    rows = {"test": data.test} if found.is_finished else {}
    rows |= {"validation": parts.test} if len(parts.test) else {}
    rows |= {"train": parts.train}
    made = report(
        jax.random.key(seed),
        found.params,
        rows,
        parts.train,
        found.law,
        chosen=chosen,
        chips=chips,
        effort=effort,
    )
    made |= {
        "unit": "nats per row",
        **{f"n_{name}": len(part) for name, part in rows.items()},
        "test_looks": 1 + sum("n_test" in earlier["found"] for earlier in kept) if "test" in rows else 0,
        "hidden": found.settings.hidden,
        "model": found.law.words(),
        "step": found.step,
        "is_finished": found.is_finished,
        "validation_looks": run.read_looks(directory),
        "hardware": vars(chosen),
        **record,
    }
    made = json.loads(json.dumps(made))
    checkpoint.write_json(directory / EVALUATION_FILE, [*kept, {"asked": asked, "found": made}])
    return made


def _kept(directory: Path) -> list[dict[str, Any]]:
    path = directory / EVALUATION_FILE
    try:
        return json.loads(path.read_text()) if path.exists() else []
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); delete it to evaluate anew") from error


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


def _mean(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """The mean over chips of every number, and its standard deviation over chips under the name with _std; words are
    those of the worst chip. A number that one of them does not have is null."""
    found: dict[str, Any] = {}
    worst = max(reports, key=_badness)
    names = dict.fromkeys(name for report in reports for name in report)
    for name in names:
        values: list[Any] = [report.get(name) for report in reports]
        first = values[0]
        if name == "is_trusted":
            found[name] = all(values)
        elif any(isinstance(value, str) for value in values):
            found[name] = worst.get(name)
        elif all(value is not None for value in values):
            found[name] = type(first)(np.mean(values))
            if isinstance(first, float) and len(values) > 1:
                found[name + "_std"] = float(np.std(values, ddof=1))
        else:
            found[name] = None
    return found


def _badness(report: dict[str, Any]) -> tuple[bool, bool, float]:
    """Not available is worse than not trusted, and of two alike the one whose bounds are farther apart."""
    gaps = [abs(value) for name, value in report.items() if name.endswith("_gap")]
    return str(report["method"]).startswith(NOT_AVAILABLE), not report["is_trusted"], max(gaps, default=0.0)


def _standard_error(values: np.ndarray) -> float | None:
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
