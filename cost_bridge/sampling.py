"""What sampling costs, on chips of p-bits, on crossbars and on a GPU: bills of counted events, item by item.

    counts of one step (or of one effective sample)  x  rates of a machine  ->  joules with an interval and evidence

A bill can be repeated, and divided by the nats that were gained for it. Every bill is at the chip boundary. A number
of joules says little without the best digital machine beside it, at the same boundary: `cheapest_digital` is there to
be printed with the others.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .analog import CHIPS, AnalogWork, pbit
from .analog.chip import cost as chip_cost
from .digital import gpu as gpu_model
from .price import Cost, Number, price, total
from .rates import load, table, tables
from .uncertainty import Quantiles, Rate, medians, monte_carlo, shares, weakest

MATTERS = 0.05
"""A rate that moves less of the joules than this says nothing about their evidence."""

Pricing = Callable[[Mapping[str, Mapping[str, Number]]], Cost]


class Bill(NamedTuple):
    """Joules (5 %, median, 95 %), seconds and joules by item at the median rates, and the weakest class of evidence
    among the rates that move at least 5 % of the joules."""

    machine: str
    is_digital: bool
    joules: Quantiles
    seconds: float
    items: dict[str, float]
    evidence: str


def on_pbits(
    name: str,
    counts: Mapping[str, int],
    *,
    overrides: Mapping[str, Rate] | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> Bill:
    """The bill of a chip of p-bits, "z1" or "dtm". Raises ValueError for another name, and for an event it has no price
    for: reads and writes of nodes are published for z1 alone."""
    if name not in pbit.NAMES:
        raise ValueError(f"a chip of p-bits must be one of {', '.join(pbit.NAMES)}, got {name!r}")
    section = f"pbit.{name}"

    def pricing(values: Mapping[str, Mapping[str, Number]]) -> Cost:
        return price(counts, pbit.prices(values[section]))

    return _bill(f"p-bits ({name})", False, pricing, (section,), overrides, draws, seed)


def on_crossbar(
    name: str,
    counts: Mapping[str, int],
    *,
    tiles: int,
    cells: int = 0,
    gpu: str = "h100",
    overrides: Mapping[str, Rate] | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> Bill:
    """The bill of a crossbar chip of `CHIPS`, its floating-point work on a GPU beside it.

    `tiles` hold the weights and stand under power the whole time; `cells` are refreshed where they leak. Inputs are
    bits and outputs 8-bit codes, an operating point nobody has published: priced at 8-bit inputs, an upper bound.
    """
    if name not in CHIPS:
        raise ValueError(f"a crossbar must be one of {', '.join(CHIPS)}, got {name!r}")
    chip, beside = CHIPS[name], f"gpu.{gpu}"
    work = AnalogWork(counts=counts, tiles=tiles, cells=cells)

    def pricing(values: Mapping[str, Mapping[str, Number]]) -> Cost:
        coprocessor, device = gpu_model.prices(values[beside]), values[beside]
        return chip_cost(chip, work, values[name], coprocessor, device["idle_power_w"], boundary="chip")

    return _bill(chip.label, False, pricing, (name, beside), overrides, draws, seed)


def on_gpu(
    ops: Sequence[Any],
    *,
    gpu: str = "h100",
    number_format: str = "bf16",
    share: int = 1,
    overrides: Mapping[str, Rate] | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> Bill:
    """The bill of a GPU for a list of `Op`, or of anything with their fields; `share` units of work run at once."""
    section = f"gpu.{gpu}"
    work = [
        gpu_model.Op(op.name, op.flops, op.bytes, getattr(op, "launches", 1), getattr(op, "vector_flops", 0))
        for op in ops
    ]

    def pricing(values: Mapping[str, Mapping[str, Number]]) -> Cost:
        found = gpu_model.cost(work, values[section], boundary="chip", number_format=number_format)
        return total({name: joules / share for name, joules in found.items.items()}, found.time_s / share)

    return _bill(f"{gpu.upper()} {number_format.upper()}", True, pricing, (section,), overrides, draws, seed)


def on_cpu(
    seconds: float, *, cores: float = 1.0, overrides: Mapping[str, Rate] | None = None, draws: int = 2000, seed: int = 0
) -> Bill:
    """The bill of a program that took that many CPU seconds, at assumed watts per core."""
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"seconds must be above 0, got {seconds}")

    def pricing(values: Mapping[str, Mapping[str, Number]]) -> Cost:
        return total({"processor": seconds * cores * values["cpu"]["watts_per_core"]}, seconds)

    return _bill("this CPU", True, pricing, ("cpu",), overrides, draws, seed)


def times(bill: Bill, factor: float) -> Bill:
    """The bill of `factor` such units, as of all steps of a training run. Raises ValueError unless it is above 0."""
    if not (math.isfinite(factor) and factor > 0):
        raise ValueError(f"a bill can be repeated a positive number of times, got {factor}")
    return bill._replace(
        joules=Quantiles(*(factor * joules for joules in bill.joules)),
        seconds=factor * bill.seconds,
        items={name: factor * joules for name, joules in bill.items.items()},
    )


def per_nat(step: Bill, steps: int, gained: float) -> Bill:
    """Joules per nat of log-likelihood gained (a row, on data that training has not seen) by `steps` training steps.

    Raises ValueError where nothing was gained: then no number of joules per nat exists.
    """
    if not gained > 0:
        raise ValueError(f"gained must be a positive number of nats for a price per nat to exist, got {gained}")
    return times(step, steps / gained)


def cheapest_digital(bills: Iterable[Bill]) -> Bill:
    """The digital machine of fewest joules, which the others have to be compared with. Raises ValueError for none."""
    digital = [bill for bill in bills if bill.is_digital]
    if not digital:
        raise ValueError("there is no digital machine among the bills; add on_gpu(...) or on_cpu(...)")
    return min(digital, key=lambda bill: bill.joules.median)


def ratio(bill: Bill, digital: Bill) -> float:
    """Joules of the digital machine over joules here, at the medians: above 1 means fewer joules here."""
    return digital.joules.median / bill.joules.median


def _bill(
    machine: str,
    is_digital: bool,
    pricing: Pricing,
    sections: Sequence[str],
    overrides: Mapping[str, Rate] | None,
    draws: int,
    seed: int,
) -> Bill:
    known = load()
    changed = overrides or {}
    if unknown := sorted(set(changed) - set(known)):
        raise ValueError(f"there is no rate {', '.join(unknown)}; cost-bridge rates lists them")
    everything = {**known, **changed}
    for section in sections:
        table(tables(medians(everything)), section)  # refuses a name that is not there, with its siblings
    rates = {name: rate for name, rate in everything.items() if name.rpartition(".")[0] in sections}

    def joules(values: Mapping[str, Any]) -> dict[str, Any]:
        return {"joules": pricing(tables(values)).energy_j}

    at_medians = pricing(tables(medians(rates)))
    moved = shares(joules, rates)["joules"]
    return Bill(
        machine=machine,
        is_digital=is_digital,
        joules=monte_carlo(joules, rates, draws=draws, seed=seed)["joules"],
        seconds=float(at_medians.time_s),
        items={name: float(energy) for name, energy in at_medians.items.items() if energy},
        evidence=weakest(rates[name].evidence for name, part in moved.items() if part >= MATTERS),
    )
