"""The columns of the comparison: a GPU at some batch, a program timed on a CPU, an analog chip with its coprocessor.

A machine is a function from the value of every rate to a cost at a boundary, and to dollars; rates arrive as tables
(`rates.tables`), so that one Monte Carlo draw is split once and read by all.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from .analog import CHIPS
from .analog.chip import COPROCESSOR_EVENTS
from .analog.chip import cost as analog_cost
from .digital import gpu as gpu_model
from .events import BOUNDARIES
from .price import Cost, Number, Price, times, total
from .rates import table
from .uncertainty import Rate
from .work import Measured, Workload

JOULES_PER_KWH = 3.6e6
SECONDS_PER_YEAR = 365.25 * 86400
ON_COPROCESSOR = frozenset({*COPROCESSOR_EVENTS, "coprocessor_standing"})
Tables = Mapping[str, Mapping[str, Number]]


class Machine(NamedTuple):
    """A machine ready to be priced: its name, its boundaries, its cost there, and its dollars.

    dollars takes the tables, the joules at the wall plug and the seconds.
    """

    hardware: str
    is_digital: bool
    boundaries: tuple[str, ...]
    cost: Callable[[Tables, str], Cost]
    dollars: Callable[[Tables, Number, Number], Number]


def own_rates(workload: Workload) -> dict[str, Rate]:
    """The rates that come with the workload rather than from a table, under names of the same kind."""
    rates = {"workload.repeats": workload.repeats}
    rates |= {f"workload.{name}_repeats": work.repeats for name, work in workload.analog.items()}
    for index, program in enumerate(workload.measured):
        rates[f"workload.measured_{index}_seconds"] = program.seconds
        if program.joules is not None:
            rates[f"workload.measured_{index}_joules"] = program.joules
    return rates


def machines(workload: Workload, tables: Tables, *, gpu: str, number_format: str) -> list[Machine]:
    """Every machine of `workload`; `tables`, at the medians, decides how many GPUs hold it and what saturates them."""
    gpu_table = table(tables, f"gpu.{gpu}")
    gpu_model.peak_flops(gpu_table, number_format)  # refuses an unknown format before anything is priced
    devices = workload.devices or gpu_model.devices_needed(workload.state_bytes, gpu_table)
    found = []
    if workload.ops is not None:
        saturating = gpu_model.saturating_multiple(
            workload.ops, workload.batch, gpu_table, number_format=number_format, devices=devices
        )
        for multiple in sorted({1, saturating}):
            ops = workload.ops(multiple * workload.batch)
            count = f"{devices} × " if devices > 1 else ""
            batch = f"batch {multiple * workload.batch:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
            note = " (saturated)" if multiple == saturating else ""
            name = f"{count}{gpu.upper()} {number_format.upper()}, {batch}{note}"
            found.append(_gpu(name, ops, multiple, gpu, number_format, devices))
    found += [_measured(program, index) for index, program in enumerate(workload.measured)]
    found += [_analog(workload, chip, gpu, number_format, devices) for chip in CHIPS if chip in workload.analog]
    return found


def _gpu(name: str, ops: Sequence[gpu_model.Op], multiple: int, gpu: str, number_format: str, devices: int) -> Machine:
    form = "gpu_one_device" if devices == 1 else "gpu_many_devices"

    def cost(tables: Tables, boundary: str) -> Cost:
        inner = gpu_model.cost(
            ops, tables[f"gpu.{gpu}"], boundary=boundary, number_format=number_format, devices=devices
        )
        per_unit = tables["workload"]["repeats"] * tables["model_form"][form] / multiple
        return _at_the_wall(times(inner, per_unit), boundary, tables, lambda item: "gpu_node")

    def dollars(tables: Tables, wall_j: Number, seconds: Number) -> Number:
        return devices * seconds * _gpu_usd_per_s(tables, gpu) + wall_j * _usd_per_joule(tables)

    return Machine(name, True, BOUNDARIES, cost, dollars)


def _measured(program: Measured, index: int) -> Machine:
    def cost(tables: Tables, boundary: str) -> Cost:
        own = tables["workload"]
        passes = own["repeats"] if program.per_pass else 1.0
        seconds = own[f"measured_{index}_seconds"] * passes
        assumed = seconds * program.cores * tables["cpu"]["watts_per_core"]
        joules = own[f"measured_{index}_joules"] * passes if program.joules is not None else assumed
        return _at_the_wall(total({"processor": joules}, seconds), boundary, tables, lambda item: "cpu_node")

    def dollars(tables: Tables, wall_j: Number, seconds: Number) -> Number:
        return seconds * program.cores / 3600 * tables["cpu"]["usd_per_core_hour"]

    return Machine(program.hardware, True, BOUNDARIES[1:], cost, dollars)


def _analog(workload: Workload, name: str, gpu: str, number_format: str, devices: int) -> Machine:
    chip, work = CHIPS[name], workload.analog[name]

    def coprocessor(tables: Tables) -> dict[str, Price]:
        prices = gpu_model.prices(tables[f"gpu.{gpu}"], number_format=number_format, devices=devices)
        form = tables["model_form"]["gpu_beside_array"]
        return {event: Price(one.energy_j * form, one.time_s * form) for event, one in prices.items()}

    def passes(tables: Tables) -> Number:
        return tables["workload"]["repeats"] * tables["workload"][f"{name}_repeats"]

    def cost(tables: Tables, boundary: str) -> Cost:
        inner = analog_cost(
            chip,
            work,
            tables[name],
            coprocessor(tables),
            devices * tables[f"gpu.{gpu}"]["idle_power_w"],
            tables["model_form"]["analog"],
            boundary=boundary,
        )
        return _at_the_wall(
            times(inner, passes(tables)),
            boundary,
            tables,
            lambda item: "gpu_node" if item in ON_COPROCESSOR else "analog_system",
        )

    def dollars(tables: Tables, wall_j: Number, seconds: Number) -> Number:
        area_mm2 = work.tiles * chip.tile_area_mm2(tables[name])
        silicon_usd = area_mm2 * tables["economics"]["silicon_usd_per_mm2"]
        prices = coprocessor(tables)
        coprocessor_s = passes(tables) * sum(
            work.counts.get(event, 0) * prices[event].time_s for event in COPROCESSOR_EVENTS
        )
        return (
            seconds * silicon_usd / _working_life_s(tables)
            + coprocessor_s * devices * _gpu_usd_per_s(tables, gpu)
            + wall_j * _usd_per_joule(tables)
        )

    return Machine(chip.label, False, BOUNDARIES, cost, dollars)


def _at_the_wall(inner: Cost, boundary: str, tables: Tables, computer: Callable[[str], str]) -> Cost:
    """Add what the rest of the computer and the cooling take, as one item; `computer(item)` says whose overhead."""
    if boundary != "wall plug":
        return inner
    rooms = tables["economics"]
    cooling = 1 + rooms["cooling_overhead_fraction"]
    plugged = sum(
        energy * (1 + rooms[f"{computer(item)}_overhead_fraction"]) * cooling for item, energy in inner.items.items()
    )
    return total(inner.items | {"supply_and_cooling": plugged - inner.energy_j}, inner.time_s)


def _working_life_s(tables: Tables) -> Number:
    economics = tables["economics"]
    return economics["amortisation_years"] * economics["utilisation_fraction"] * SECONDS_PER_YEAR


def _gpu_usd_per_s(tables: Tables, gpu: str) -> Number:
    return tables[f"gpu.{gpu}"]["price_usd"] / _working_life_s(tables)


def _usd_per_joule(tables: Tables) -> Number:
    return tables["economics"]["electricity_usd_per_kwh"] / JOULES_PER_KWH
