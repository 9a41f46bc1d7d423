"""One unit of work, priced on every machine: joules, seconds, dollars, and the ratio to the best digital one.

All machines are evaluated in the same Monte Carlo draw, so what they share (cooling, electricity, the GPU that
computes beside an array) cancels in a ratio as far as it should and no further.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .analog import CHIPS, AnalogWork
from .analog.chip import HELPER_EVENTS, ONCE
from .analog.chip import cost as analog_cost
from .digital import gpu as gpu_model
from .digital.gpu import Op
from .events import BOUNDARIES
from .price import Cost, Number, times, total
from .rates import load, part
from .uncertainty import Quantiles, Rate, check, medians, monte_carlo, shares, tornado, weakest

JOULES_PER_KWH = 3.6e6
SECONDS_PER_YEAR = 365.25 * 86400
MATTERS = 0.05  # a rate that moves less than this share of the joules is not named as evidence


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A program timed on a CPU in this run.

    seconds: per unit of work, whole (`Workload.repeats` is not applied to it). cores: how many were busy.
    joules: what a counter said for the chip; without one, `cpu.watts_per_core` is assumed.
    """

    hardware: str
    seconds: Rate
    cores: float = 1.0
    joules: Rate | None = None

    def __post_init__(self) -> None:
        check(f"seconds of {self.hardware!r}", self.seconds)
        if self.joules is not None:
            check(f"joules of {self.hardware!r}", self.joules)
        if not self.cores > 0:
            raise ValueError(f"cores of {self.hardware!r} must be more than 0, got {self.cores}")


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One unit of work and what it asks of each kind of machine.

    ops: fused kernels of one pass at a given batch (the GPU side), or None where nobody would use a GPU.
    batch: the batch of one unit; the GPU is also priced at the multiple of it that saturates the device, per unit.
    analog: events, tiles and cells by chip name. state_bytes: what GPU memory has to hold, which sets how many GPUs
    unless `devices` says so. repeats: passes per unit, with its doubt (runs to a 99 % solution); it multiplies GPU
    and analog alike. measured: programs timed in this run.
    """

    name: str
    unit: str
    batch: int = 1
    ops: Callable[[int], Sequence[Op]] | None = None
    analog: Mapping[str, AnalogWork] = field(default_factory=dict)
    state_bytes: int = 0
    devices: int = 0
    repeats: Rate = ONCE
    measured: tuple[Measured, ...] = ()

    def __post_init__(self) -> None:
        if self.batch < 1 or self.state_bytes < 0 or self.devices < 0:
            raise ValueError(
                f"Workload {self.name!r} needs batch >= 1, state_bytes >= 0 and devices >= 0, "
                f"got {self.batch}, {self.state_bytes} and {self.devices}"
            )
        check(f"repeats of {self.name!r}", self.repeats)
        unknown = sorted(set(self.analog) - set(CHIPS))
        if unknown:
            raise ValueError(f"unknown chips {', '.join(unknown)}; known chips are {', '.join(CHIPS)}")
        if self.ops is None and not self.measured:
            raise ValueError(f"Workload {self.name!r} has no digital baseline: give ops, or measured, or both")


class Machine(NamedTuple):
    """A column of the table: its name, its boundaries, and what it costs at some value of every rate."""

    hardware: str
    is_digital: bool
    boundaries: tuple[str, ...]
    cost: Callable[[Mapping[str, Number], str], Cost]
    dollars: Callable[[Mapping[str, Number], float, float], Number]
    """From the rates, the joules at the wall plug and the seconds."""


class Evaluation(NamedTuple):
    """The rows of one workload, and what a page shows beside them: intervals, energy by item, what drives a ratio."""

    rows: list[dict[str, Any]]
    details: list[dict[str, Any]]
    rates: dict[str, Rate]


def compare(workload: Workload, **options: Any) -> list[dict[str, Any]]:
    """The rows of `evaluate` alone: one per machine and boundary.

    Each has exactly workload, unit, hardware, joules, seconds, dollars, ratio, interval_90, boundary, evidence, source.
    """
    return evaluate(workload, **options).rows


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

    ratio is joules of the best digital machine over joules here, at the same boundary; best means fewest joules at
    the wall plug (at a boundary which that machine does not have, the best of those that do). Joules and seconds are
    medians; seconds and dollars are of the whole unit and repeat at every boundary. Dollars are the device's price
    spread over its working life plus electricity; for analog they are a range (its silicon has no market price)
    and never enter the ratio. `overrides` replaces rates by name, such as a measured gpu.h200.idle_power_w.
    Raises ValueError for an unknown GPU, number format or rate name.
    """
    rates = _rates(workload, gpu, overrides or {})
    machines = _machines(workload, gpu, number_format, medians(rates))

    def outputs(values: Mapping[str, float]) -> dict[tuple[str, ...], float]:
        return _outputs(machines, values)

    at_median = outputs(medians(rates))
    baseline = {
        boundary: _baseline([m for m in machines if m.is_digital and boundary in m.boundaries], at_median)
        for boundary in BOUNDARIES
    }

    def with_ratios(values: Mapping[str, float]) -> dict[tuple[str, ...], float]:
        found = outputs(values)
        for machine in machines:
            for boundary in machine.boundaries:
                best = baseline[boundary]
                if best is not None:
                    joules = found[best, boundary, "joules"]
                    found[machine.hardware, boundary, "ratio"] = (
                        joules / found[machine.hardware, boundary, "joules"]
                    )
        return found

    spread = monte_carlo(with_ratios, rates, draws=draws, seed=seed)
    joule_shares = shares(outputs, rates)
    rows, details = [], []
    for machine in machines:
        for boundary in machine.boundaries:
            key = (machine.hardware, boundary)
            named = _that_matter(joule_shares[(*key, "joules")])
            rows.append(_row(workload, machine, boundary, spread, [rates[name] for name in named]))
            details.append(
                {
                    "workload": workload.name,
                    "hardware": machine.hardware,
                    "boundary": boundary,
                    "is_digital": machine.is_digital,
                    "is_baseline": machine.hardware == baseline[boundary],
                    "joules_90": _interval(spread[(*key, "joules")]),
                    "seconds_90": _interval(spread[(*key, "seconds")]),
                    "items": dict(machine.cost(medians(rates), boundary).items),
                    "matters": list(named),
                    "tornado": _tornado(with_ratios, rates, (*key, "ratio"))
                    if boundary == "wall plug" and machine.hardware != baseline[boundary]
                    else [],
                }
            )
    return Evaluation(rows, details, dict(rates))


def _rates(workload: Workload, gpu: str, overrides: Mapping[str, Rate]) -> dict[str, Rate]:
    """Only what this comparison can depend on, under the names of the tables, and the workload's own."""
    known = load()
    unknown = sorted(set(overrides) - set(known))
    if unknown:
        raise ValueError(f"unknown rates {', '.join(unknown)}; a rate is named like gpu.h100.tdp_w")
    part(known, f"gpu.{gpu}")  # says which GPUs there are
    wanted = ("economics.", "model_form.", f"gpu.{gpu}.", *(f"{name}." for name in workload.analog))
    if workload.measured:
        wanted += ("cpu.",)
    rates = {name: rate for name, rate in known.items() if name.startswith(wanted)}
    rates |= {name: rate for name, rate in overrides.items() if name in rates}
    rates["workload.repeats"] = workload.repeats
    for name, work in workload.analog.items():
        check(f"repeats of {workload.name!r} on {name}", work.repeats)
        rates[f"workload.{name}_repeats"] = work.repeats
    for index, program in enumerate(workload.measured):
        rates[f"workload.measured_{index}_seconds"] = program.seconds
        if program.joules is not None:
            rates[f"workload.measured_{index}_joules"] = program.joules
    return rates


def _machines(
    workload: Workload, gpu: str, number_format: str, base: Mapping[str, float]
) -> list[Machine]:
    table = part(base, f"gpu.{gpu}")
    gpu_model.peak_flops(table, number_format)  # an unknown format is refused before anything is priced
    devices = workload.devices or gpu_model.devices_needed(workload.state_bytes, table)
    machines = []
    if workload.ops is not None:
        multiple = gpu_model.saturating_multiple(
            workload.ops, workload.batch, table, number_format=number_format, devices=devices
        )
        for k in sorted({1, multiple}):
            machines.append(_gpu_machine(workload, gpu, number_format, devices, k, multiple))
    machines += [_measured_machine(program, index) for index, program in enumerate(workload.measured)]
    machines += [
        _analog_machine(workload, name, gpu, number_format, devices) for name in CHIPS if name in workload.analog
    ]
    return machines


def _gpu_machine(
    workload: Workload, gpu: str, number_format: str, devices: int, k: int, saturating: int
) -> Machine:
    assert_ops = workload.ops or (lambda batch: [])
    ops = assert_ops(k * workload.batch)
    batch = f"batch {k * workload.batch:,}".replace(",", " ")
    many = f"{devices} x " if devices > 1 else ""
    note = ", saturated" if k == saturating else ""
    form = "gpu_one_device" if devices == 1 else "gpu_many_devices"

    def cost(values: Mapping[str, Number], boundary: str) -> Cost:
        table = part(values, f"gpu.{gpu}")
        inner = gpu_model.cost(ops, table, boundary=boundary, number_format=number_format, devices=devices)
        inner = times(inner, values["workload.repeats"] * values[f"model_form.{form}"] / k)
        return _at_the_wall(inner, boundary, values, lambda item: "gpu_node")

    def dollars(values: Mapping[str, Number], wall_j: float, seconds: float) -> Number:
        return devices * seconds * _gpu_usd_per_s(values, gpu) + wall_j * _usd_per_joule(values)

    name = f"{many}{gpu.upper()} {number_format.upper()}, {batch}{note}"
    return Machine(name, True, BOUNDARIES, cost, dollars)


def _measured_machine(program: Measured, index: int) -> Machine:
    def cost(values: Mapping[str, Number], boundary: str) -> Cost:
        seconds = values[f"workload.measured_{index}_seconds"]
        assumed = seconds * program.cores * values["cpu.watts_per_core"]
        joules = values.get(f"workload.measured_{index}_joules", assumed)
        return _at_the_wall(total({"processor": joules}, seconds), boundary, values, lambda item: "cpu_node")

    def dollars(values: Mapping[str, Number], wall_j: float, seconds: float) -> Number:
        return seconds * program.cores / 3600 * values["cpu.usd_per_core_hour"]

    return Machine(program.hardware, True, BOUNDARIES[1:], cost, dollars)


def _analog_machine(workload: Workload, name: str, gpu: str, number_format: str, devices: int) -> Machine:
    chip, work = CHIPS[name], workload.analog[name]
    form = "gpu_one_device" if devices == 1 else "gpu_many_devices"
    on_helper = {*HELPER_EVENTS, "helper_standing"}

    def cost(values: Mapping[str, Number], boundary: str) -> Cost:
        helper_table = part(values, f"gpu.{gpu}")
        helper = gpu_model.prices(helper_table, number_format=number_format, devices=devices)
        helper_form, chip_form = values[f"model_form.{form}"], values["model_form.analog"]
        helper = {event: one._replace(time_s=one.time_s * helper_form / chip_form) for event, one in helper.items()}
        idle_w = devices * helper_table["idle_power_w"]
        inner = analog_cost(chip, work, part(values, name), helper, idle_w, boundary=boundary)
        passes = values["workload.repeats"] * values[f"workload.{name}_repeats"]
        items = {
            item: energy * passes * (helper_form if item in on_helper else chip_form)
            for item, energy in inner.items.items()
        }
        if "helper_standing" in items:  # its seconds already carry helper_form / chip_form
            items["helper_standing"] *= chip_form / helper_form
        whole = total(items, inner.time_s * passes * chip_form)
        return _at_the_wall(
            whole, boundary, values, lambda item: "gpu_node" if item in on_helper else "analog_system"
        )

    def dollars(values: Mapping[str, Number], wall_j: float, seconds: float) -> Number:
        area_mm2 = work.tiles * chip.tile_area_mm2(part(values, name))
        silicon = area_mm2 * values["economics.silicon_usd_per_mm2"] / _working_life_s(values)
        helper = gpu_model.prices(part(values, f"gpu.{gpu}"), number_format=number_format, devices=devices)
        passes = values["workload.repeats"] * values[f"workload.{name}_repeats"]
        helper_s = passes * sum(work.counts.get(event, 0) * helper[event].time_s for event in HELPER_EVENTS)
        helper_s = helper_s * values[f"model_form.{form}"]
        return seconds * silicon + helper_s * devices * _gpu_usd_per_s(values, gpu) + wall_j * _usd_per_joule(values)

    return Machine(chip.label, False, BOUNDARIES, cost, dollars)


def _at_the_wall(
    inner: Cost, boundary: str, values: Mapping[str, Number], computer: Callable[[str], str]
) -> Cost:
    """Add what the rest of the computer and the cooling take, as one item; `computer(item)` names whose overhead applies."""
    if boundary != "wall plug":
        return inner
    cooling = 1 + values["economics.cooling_overhead_fraction"]
    plugged = sum(
        energy * (1 + values[f"economics.{computer(item)}_overhead_fraction"]) * cooling
        for item, energy in inner.items.items()
    )
    return total(inner.items | {"supply_and_cooling": plugged - inner.energy_j}, inner.time_s)


def _working_life_s(values: Mapping[str, Number]) -> Number:
    years = values["economics.amortisation_years"] * values["economics.utilisation_fraction"]
    return years * SECONDS_PER_YEAR


def _gpu_usd_per_s(values: Mapping[str, Number], gpu: str) -> Number:
    return values[f"gpu.{gpu}.price_usd"] / _working_life_s(values)


def _usd_per_joule(values: Mapping[str, Number]) -> Number:
    return values["economics.electricity_usd_per_kwh"] / JOULES_PER_KWH


def _outputs(machines: Iterable[Machine], values: Mapping[str, float]) -> dict[tuple[str, ...], float]:
    found: dict[tuple[str, ...], float] = {}
    for machine in machines:
        for boundary in machine.boundaries:
            cost = machine.cost(values, boundary)
            found[machine.hardware, boundary, "joules"] = cost.energy_j
            found[machine.hardware, boundary, "seconds"] = cost.time_s
        wall_j, seconds = (found[machine.hardware, "wall plug", what] for what in ("joules", "seconds"))
        found[machine.hardware, "wall plug", "dollars"] = machine.dollars(values, wall_j, seconds)
    return found


def _baseline(digital: Sequence[Machine], at_median: Mapping[tuple[str, ...], float]) -> str | None:
    if not digital:
        return None
    return min(digital, key=lambda machine: at_median[machine.hardware, "wall plug", "joules"]).hardware


def _that_matter(share: Mapping[str, float]) -> list[str]:
    """Rates by falling share of the joules; the model-form terms are error bars, not evidence."""
    named = [name for name in share if share[name] >= MATTERS and not name.startswith("model_form.")]
    return sorted(named, key=lambda name: share[name], reverse=True)


def _row(
    workload: Workload,
    machine: Machine,
    boundary: str,
    spread: Mapping[tuple[str, ...], Quantiles],
    matters: Sequence[Rate],
) -> dict[str, Any]:
    key = (machine.hardware, boundary)
    dollars = spread[machine.hardware, "wall plug", "dollars"]
    ratio = spread.get((*key, "ratio"))
    sources = list(dict.fromkeys(rate.source for rate in matters))
    return {
        "workload": workload.name,
        "unit": workload.unit,
        "hardware": machine.hardware,
        "joules": spread[(*key, "joules")].median,
        "seconds": spread[(*key, "seconds")].median,
        "dollars": dollars.median if machine.is_digital else _interval(dollars),
        "ratio": None if ratio is None else ratio.median,
        "interval_90": None if ratio is None else _interval(ratio),
        "boundary": boundary,
        "evidence": weakest(rate.evidence for rate in matters),
        "source": "; ".join(sources),
    }


def _interval(spread: Quantiles) -> list[float]:
    return [spread.low, spread.high]


def _tornado(
    function: Callable[[Mapping[str, float]], Mapping[tuple[str, ...], float]],
    rates: Mapping[str, Rate],
    key: tuple[str, ...],
) -> list[dict[str, Any]]:
    return [swing._asdict() for swing in tornado(lambda values: function(values)[key], rates)[:10]]
