"""An analog chip as a price list: what each event costs on it, how large it is, and what it draws while it waits.

A new chip is one table in `cost_bridge/data` and one file like `reram.py` that turns the table into prices; every
table has `tile_area_mm2`, `periphery_fraction` and `standing_mw_per_mm2`, which mean the same on every chip.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ..events import check
from ..price import Cost, Number, Price, inside, price, total
from ..uncertainty import Rate

ONCE = Rate(1.0, 1.0, "measured", "counted from shapes")
COPROCESSOR_EVENTS = ("digital_flops", "vector_flops", "memory_bytes", "kernel_launches")
"""Events that a digital processor beside the array pays for; their prices come from the GPU of the comparison."""


class Chip(NamedTuple):
    """A chip: its name (also the name of its table), how to say it, and what its table implies.

    prices: joules and seconds of every event on the array side, from the table's values; the second argument is True
    for work whose inputs are single bits and whose sums need 4 bits at most, which some chips read faster.
    tile_area_mm2: area of one tile with its converters. refresh_w_per_cell: watts that keep one written cell alive.
    """

    name: str
    label: str
    prices: Callable[[Mapping[str, Number], bool], dict[str, Price]]
    tile_area_mm2: Callable[[Mapping[str, Number]], Number]
    refresh_w_per_cell: Callable[[Mapping[str, Number]], Number] = lambda table: 0.0


@dataclass(frozen=True, kw_only=True)
class AnalogWork:
    """What one unit of work asks of one chip.

    counts: events by name (`aimc.counts.Counts.as_dict()`). tiles: tiles that hold the model, all powered for the
    whole unit. cells: cells written and, where the cell leaks, kept refreshed. binary_reads: inputs are single bits
    and sums are read with 4 bits at most. repeats: how many times more of this
    the chip needs than the digital machine for the same quality (extra steps, failed runs).
    """

    counts: Mapping[str, int]
    tiles: int
    cells: int = 0
    binary_reads: bool = False
    repeats: Rate = field(default=ONCE)

    def __post_init__(self) -> None:
        check(self.counts)
        if self.tiles < 1 or self.cells < 0:
            raise ValueError(
                f"AnalogWork needs at least 1 tile and no negative number of cells, got {self.tiles} and {self.cells}"
            )


def cost(
    chip: Chip,
    work: AnalogWork,
    table: Mapping[str, Number],
    coprocessor: Mapping[str, Price],
    coprocessor_idle_w: Number,
    model_form: Number = 1.0,
    *,
    boundary: str,
) -> Cost:
    """Joules and seconds of one pass of `work` at 'array' or 'chip'; the wall plug is the caller's, who knows the room.

    coprocessor: prices of the digital processor beside the array; coprocessor_idle_w: its idle watts, while it works.
    model_form: how wrong the chip's price list is as a whole, as a factor on its energies and times.
    The chip adds three items: periphery (clock, control and routing, a fraction of the energy on the array side),
    standing (leakage and bias of every tile, all the time) and refresh (cells that leak).
    """
    own = {
        name: Price(one.energy_j * model_form, one.time_s * model_form)
        for name, one in chip.prices(table, work.binary_reads).items()
    }
    prices = inside(boundary, own | dict(coprocessor))
    base = price(work.counts, prices)
    if boundary == "array":
        return base
    on_array = sum(energy for name, energy in base.items.items() if name not in COPROCESSOR_EVENTS)
    coprocessor_s = sum(work.counts.get(name, 0) * coprocessor[name].time_s for name in COPROCESSOR_EVENTS)
    area_mm2 = work.tiles * chip.tile_area_mm2(table)
    items = base.items | {
        "periphery": table["periphery_fraction"] * on_array,
        "standing": area_mm2 * table["standing_mw_per_mm2"] * 1e-3 * base.time_s,
        "refresh": work.cells * chip.refresh_w_per_cell(table) * base.time_s,
        "coprocessor_standing": coprocessor_idle_w * coprocessor_s,
    }
    return total(items, base.time_s)
