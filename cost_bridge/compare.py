"""One unit of work, priced on every machine: joules, seconds, dollars, and the ratio to the best digital one.

All machines are evaluated in the same Monte Carlo draw, so what they share (cooling, electricity, the GPU that
computes beside an array) cancels in a ratio as far as it should and no further.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .analog.chip import ONCE
from .events import BOUNDARIES
from .machines import Machine, machines, own_rates
from .price import smaller
from .rates import load, table, tables
from .uncertainty import (
    EVIDENCE,
    Quantiles,
    Rate,
    check,
    medians,
    probability_above,
    propagate,
    quantiles,
    shares,
    sobol,
    tornado,
    weakest,
)
from .work import Workload

MATTERS = 0.05
"""A rate that moves less than this share of the joules is not named as evidence."""

SHARED = {
    "small digital operations, one estimate": {"reram.digital_op_pj": 1.0, "capacitor.digital_op_pj": 1.0},
    "on-chip buffers, one source": {"reram.buffer_pj_per_byte": 1.0, "capacitor.buffer_pj_per_byte": 1.0},
}
"""Rates of two chips that are one number of one source: their doubt is the same doubt."""

Cell = tuple[str, str, str]
"""Hardware, boundary, and what: joules, seconds, dollars or ratio."""


class Evaluation(NamedTuple):
    """The rows of one workload, and what a page shows beside them: intervals, energy by item, what drives a ratio."""

    rows: list[dict[str, Any]]
    details: list[dict[str, Any]]
    rates: dict[str, Rate]


def compare(
    workload: Workload,
    *,
    gpu: str = "h100",
    number_format: str = "bf16",
    overrides: Mapping[str, Rate] | None = None,
    draws: int = 4000,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """The rows of `evaluate`: one per machine and boundary.

    Each has exactly workload, unit, hardware, joules, seconds, dollars, ratio, interval_90, boundary, evidence, source.
    """
    found = evaluate(workload, gpu=gpu, number_format=number_format, overrides=overrides, draws=draws, seed=seed)
    return found.rows


def evaluate(
    workload: Workload,
    *,
    gpu: str = "h100",
    number_format: str = "bf16",
    overrides: Mapping[str, Rate] | None = None,
    draws: int = 4000,
    seed: int = 0,
) -> Evaluation:
    """Price `workload` on the GPU (at its batch and at the saturating one), on what was measured, and on its chips.

    ratio is joules of the best digital machine over joules here, at the same boundary; best means fewest joules there
    in the same draw, so the doubt about which one it is counts too (where no digital machine has the boundary, there
    is no ratio). Joules and seconds are medians; seconds and dollars are of the whole unit and repeat at every
    boundary. Dollars are the device's price spread over its working life plus electricity; for analog they are a
    range (its silicon has no market price) and never enter the ratio. evidence is the weakest class, and source the
    sources, of the rates that move at least 5 % of the joules. `overrides` replaces rates by name, such as a
    measured gpu.h200.idle_power_w. Raises ValueError for an unknown GPU, number format or rate name.
    """
    rates = _rates(workload, gpu, overrides or {})
    base = medians(rates)
    columns = machines(workload, tables(base), gpu=gpu, number_format=number_format)

    def outputs(values: Mapping[str, Any]) -> dict[Cell, Any]:
        return _outputs(columns, values)

    drawn = propagate(outputs, rates, draws=draws, seed=seed, shared=SHARED)
    spread = {cell: quantiles(values) for cell, values in drawn.outputs.items()}
    moved_by = shares(outputs, rates)
    at_medians = outputs(base)
    baselines = _baselines(columns, drawn.outputs)
    rows, details = [], []
    for machine in columns:
        for boundary in machine.boundaries:
            share = moved_by[machine.hardware, boundary, "joules"]
            matters = _that_matter(share)
            rows.append(_row(workload, machine, boundary, spread, [rates[name] for name in matters]))
            ratio = drawn.outputs.get((machine.hardware, boundary, "ratio"))
            is_baseline = machine.hardware == baselines.get(boundary)
            ratio_drivers, indices = [], {}
            if boundary == "wall plug" and not is_baseline:
                ratio_drivers = tornado(_only(outputs, (machine.hardware, boundary, "ratio")), rates)[:10]
                indices = sobol(ratio, {swing.rate: drawn.inputs[swing.rate] for swing in ratio_drivers[:8]})
            details.append(
                {
                    "workload": workload.name,
                    "hardware": machine.hardware,
                    "boundary": boundary,
                    "is_digital": machine.is_digital,
                    "is_baseline": is_baseline,
                    "joules_90": _interval(spread[machine.hardware, boundary, "joules"]),
                    "seconds_90": _interval(spread[machine.hardware, boundary, "seconds"]),
                    "items": dict(machine.cost(tables(base), boundary).items),
                    "ratio_at_medians": at_medians.get((machine.hardware, boundary, "ratio")),
                    "probability_above_1": None if ratio is None else probability_above(ratio, 1.0),
                    "matters": matters,
                    "evidence_shares": _evidence_shares(share, rates),
                    "tornado": [swing._asdict() for swing in ratio_drivers],
                    "sobol": [{"rate": name, "index": index} for name, index in indices.items()],
                }
            )
    return Evaluation(rows, details, rates)


def _rates(workload: Workload, gpu: str, overrides: Mapping[str, Rate]) -> dict[str, Rate]:
    """Only what this comparison can depend on, under the names of the tables, and the workload's own."""
    known = load()
    unknown = sorted(set(overrides) - set(known))
    if unknown:
        raise ValueError(f"unknown rates {', '.join(unknown)}; a rate is named like gpu.h100.tdp_w")
    for name, rate in overrides.items():
        check(name, rate)
    table(tables(known), f"gpu.{gpu}")  # says which GPUs there are
    wanted = {"economics", "model_form", f"gpu.{gpu}", *workload.analog, *(["cpu"] if workload.measured else [])}
    chosen = {name: rate for name, rate in known.items() if name.rpartition(".")[0] in wanted}
    return chosen | {name: rate for name, rate in overrides.items() if name in chosen} | own_rates(workload)


def _outputs(columns: Sequence[Machine], values: Mapping[str, Any]) -> dict[Cell, Any]:
    draw = tables(values)
    found: dict[Cell, Any] = {}
    best: dict[str, Any] = {}
    for machine in columns:
        for boundary in machine.boundaries:
            cost = machine.cost(draw, boundary)
            found[machine.hardware, boundary, "joules"] = cost.energy_j
            found[machine.hardware, boundary, "seconds"] = cost.time_s
            if machine.is_digital:
                best[boundary] = smaller(best[boundary], cost.energy_j) if boundary in best else cost.energy_j
        wall_j = found[machine.hardware, "wall plug", "joules"]
        seconds = found[machine.hardware, "wall plug", "seconds"]
        found[machine.hardware, "wall plug", "dollars"] = machine.dollars(draw, wall_j, seconds)
    for machine in columns:
        for boundary in machine.boundaries:
            if boundary in best:
                found[machine.hardware, boundary, "ratio"] = (
                    best[boundary] / found[machine.hardware, boundary, "joules"]
                )
    return found


def _baselines(columns: Sequence[Machine], outputs: Mapping[Cell, Any]) -> dict[str, str]:
    """By boundary, the digital machine that has the fewest joules there in more draws than any other."""
    found = {}
    for boundary in BOUNDARIES:
        often = {
            one.hardware: probability_above(outputs[one.hardware, boundary, "ratio"], 1 - 1e-12)
            for one in columns
            if one.is_digital and boundary in one.boundaries
        }
        if often:
            found[boundary] = max(often, key=lambda hardware: often[hardware])
    return found


def _evidence_shares(share: Mapping[str, float], rates: Mapping[str, Rate]) -> list[dict[str, Any]]:
    """How much of the joules rests on each class: its rates' part of all elasticities.

    Model-form terms are error bars, and a count of once is no evidence: both are left out.
    """
    by_class = dict.fromkeys(EVIDENCE, 0.0)
    for name, part in share.items():
        if not name.startswith("model_form.") and rates[name] != ONCE:
            by_class[rates[name].evidence] += part
    whole = sum(by_class.values())
    return [{"evidence": name, "share": part / whole} for name, part in by_class.items() if part > 0]


def _only(outputs: Any, cell: Cell) -> Any:
    return lambda values: outputs(values)[cell]


def _that_matter(share: Mapping[str, float]) -> list[str]:
    """Rates by falling share of the joules; the model-form terms are error bars, not evidence."""
    named = [name for name in share if share[name] >= MATTERS and not name.startswith("model_form.")]
    return sorted(named, key=lambda name: share[name], reverse=True)


def _row(
    workload: Workload,
    machine: Machine,
    boundary: str,
    spread: Mapping[Cell, Quantiles],
    matters: Sequence[Rate],
) -> dict[str, Any]:
    dollars = spread[machine.hardware, "wall plug", "dollars"]
    ratio = spread.get((machine.hardware, boundary, "ratio"))
    return {
        "workload": workload.name,
        "unit": workload.unit,
        "hardware": machine.hardware,
        "joules": spread[machine.hardware, boundary, "joules"].median,
        "seconds": spread[machine.hardware, boundary, "seconds"].median,
        "dollars": dollars.median if machine.is_digital else _interval(dollars),
        "ratio": None if ratio is None else ratio.median,
        "interval_90": None if ratio is None else _interval(ratio),
        "boundary": boundary,
        "evidence": weakest(rate.evidence for rate in matters),
        "source": "; ".join(dict.fromkeys(rate.source for rate in matters)),
    }


def _interval(spread: Quantiles) -> list[float]:
    return [spread.low, spread.high]
