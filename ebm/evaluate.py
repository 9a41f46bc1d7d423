"""How far to trust a model: its likelihood with the method behind it, and what its samples show, with their floors.

The likelihood is that of the model, of a machine's weights as they were written. A chip whose reads are those weights
and nothing else is that machine. Any other has a law of its own: beside the Boltzmann machine nearest to it, at the
temperature that its samples have, its own likelihood is estimated from below (`ebm.chip_law`). Two-sample numbers are
of the chip's own samples.
"""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Key

from ebm import checkpoint, models, run
from ebm.data import Rows
from ebm.hardware import Hardware
from ebm.models import Law
from ebm.models.rbm import LAW as RBM
from ebm.trust import (
    EFFORT,
    MAX_ANNEALED_ROWS,
    NOT_AVAILABLE,
    Effort,
    chain_report,
    effective_beta,
    finite,
    likelihood,
    no_likelihood,
    sample,
    two_samples,
)

EVALUATION_FILE = "evaluation.json"
AS_WRITTEN = "of the weights as written, which reads of this chip return"
AT_FITTED_BETA = "of the written weights at the fitted β"
OWN = "the chip's own law, from below, by its own reads"
NEAREST_ONLY = "they are of the Boltzmann machine nearest to the chip, which has another law"
DIGITAL = Hardware()


def likelihood_of_chip(
    key: Key[Array, ""],
    chip: Any,
    parts: dict[str, Any],
    train: Rows,
    last: Any,
    beta: float | None,
    effort: Effort = EFFORT,
    law: Law = RBM,
) -> dict[str, Any]:
    """`likelihood` of the Boltzmann machine that is this chip, else of the one nearest to it, and the chip's own.

    A chip that is `still` is the machine of its written weights, at β = 1. Any other only resembles one: noise
    of both layers of bits is a temperature to some degree, and `beta` is the fitted one; real units and symbols are
    drawn digitally from what was read, at no other temperature, and nothing is reported. `last`: states of the chip's
    stationary chains, which go on for the `_own_` numbers. Key is consumed: reads, sweeps, annealing.
    """
    still_key, own_key, likelihood_key = jax.random.split(key, 3)
    array = models.on_array(law)
    held, weights = array.written(chip)
    if array.is_still(still_key, chip, last):
        found = likelihood(likelihood_key, weights, parts, train, effort, held)
        return found | {"method": f"{found['method']}, {AS_WRITTEN}"}
    nearest = array.tempered(weights, 1.0 if beta is None else beta)
    if nearest is None:
        found = no_likelihood(parts, "noise is no temperature of units that are not bits")
    elif beta is None or not beta > 0:
        found = no_likelihood(parts, f"the samples have no temperature, their β is {beta}")
    else:
        found = likelihood(likelihood_key, nearest, parts, train, effort, held)
        found |= {"method": f"{found['method']}, {AT_FITTED_BETA}", "is_trusted": False, "distrust": NEAREST_ONLY}
    for (name, rows), part_key in zip(parts.items(), jax.random.split(own_key, len(parts)), strict=True):
        own = array.own(part_key, chip, np.asarray(rows)[:MAX_ANNEALED_ROWS], last, effort.sweeps)
        if own is None:
            return found
        numbers = (finite(own.lower), finite(own.error), finite(own.rise))
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
    if chips > 1 and chosen.array is None:
        raise ValueError(f"chips are of an array, and none is named; add --array plain or leave chips out, got {chips}")
    reports = []
    for chip_key in jax.random.split(key, chips if chosen.array else 1):
        program_key, sample_key, likelihood_key, compare_key = jax.random.split(chip_key, 4)
        machine = models.machine(law, program_key, params, chosen)
        held, written = (law, params) if machine is params else models.on_array(law).written(machine)
        sampled = sample(sample_key, machine, written, effort, held)
        found = chain_report(sampled, written, held)
        shown = law.visible(written, sampled.last)
        found |= two_samples(compare_key, next(iter(parts.values())), shown, law.kind)
        if machine is not params:
            found["beta_eff_intended"] = finite(effective_beta(sampled.last, params, law).value)
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

    So the test rows are looked at once for each question; `test_looks` counts the evaluations that did. Those of
    an unfinished run are not looked at: its numbers are of validation and training rows.
    Raises ValueError when the directory is not a run or its data changed since.
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
