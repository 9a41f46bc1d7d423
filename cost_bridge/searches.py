"""One iteration of a search for a satisfying assignment, priced: so that iterations to a solution become joules.

Two kinds of machine: an analog chip that is priced event by event (`CHIPS`), at its chip boundary, and "klima", the
content-addressable memory of Pedretti et al. 2025, whose authors give energy and time of a whole iteration of 3-SAT at
150 variables; the energy grows in proportion to the variables in their data (20 to 150).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from .analog import CHIPS, AnalogWork
from .analog.chip import COPROCESSOR_EVENTS
from .analog.chip import cost as analog_cost
from .draws import Column
from .price import Price
from .rates import load, tables
from .uncertainty import medians, propagate, shares, weakest

KLIMA = "klima"
MACHINES = (*CHIPS, KLIMA)
KLIMA_ENERGY = {
    "mnsat": "cam_make_150_variables_pj",
    "gnsat-n": "cam_gain_150_variables_pj",
    "gnsat-v": "cam_gain_150_variables_pj",
    "gnsat-u": "cam_cheap_noise_150_variables_pj",
    "gnsat-b": "cam_cheap_noise_150_variables_pj",
}
"""The rule's entry of components.toml. The source names GNSAT-N and GNSAT-U; docs/sat.md says which rules they are."""
KLIMA_VARIABLES = 150
MATTERS = 0.05  # of the joules: a rate that moves less is not named as evidence


class Iteration(NamedTuple):
    """What one iteration asks of a machine: events, tiles and cells for a chip; rule, variables and k for klima."""

    rule: str
    n_variables: int
    longest_clause: int
    counts: Mapping[str, int]
    tiles: int
    cells: int


class Priced(NamedTuple):
    """Joules and seconds of an iteration of each formula in every draw, and what they rest on."""

    joules: dict[str, Column]
    seconds: dict[str, Column]
    evidence: str
    sources: tuple[str, ...]


def iterations(machine: str, work: Mapping[str, Iteration], *, draws: int = 4000, seed: int = 0) -> Priced:
    """An iteration of each formula on one machine, all in the same draws of the rates (what they share moves together).

    evidence is the weakest class, sources the sources, of the rates that move at least 5 % of any formula's joules.
    Raises ValueError for a machine, a rule or a clause length that has no price.
    """
    if machine not in MACHINES:
        raise ValueError(f"machine must be one of {', '.join(MACHINES)}, got {machine!r}")
    for name, one in work.items():
        if machine == KLIMA and one.rule not in KLIMA_ENERGY:
            raise ValueError(
                f"klima is priced for {', '.join(KLIMA_ENERGY)} only, got {one.rule!r}; name a chip instead"
            )
        if machine == KLIMA and one.longest_clause != 3:
            raise ValueError(
                f"klima is priced for 3-SAT only, and {name} has a clause of {one.longest_clause} literals"
            )
    wanted = "components.samplers." if machine == KLIMA else f"{machine}."
    rates = {name: rate for name, rate in load().items() if name.startswith((wanted, "model_form.analog"))}

    def outputs(values: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
        found = {}
        for name, one in work.items():
            found[name, "joules"], found[name, "seconds"] = _price(machine, one, values)
        return found

    drawn = propagate(outputs, rates, draws=draws, seed=seed).outputs
    moved_by = shares(outputs, rates)
    # A model-form term is an error bar on the rest and no evidence of its own.
    matter = sorted(
        {
            rate
            for (_, what), moved in moved_by.items()
            for rate, share in moved.items()
            if what == "joules" and share >= MATTERS and not rate.startswith("model_form.")
        }
    )
    return Priced(
        joules={name: drawn[name, "joules"] for name in work},
        seconds={name: drawn[name, "seconds"] for name in work},
        evidence=weakest(rates[name].evidence for name in matter),
        sources=tuple(dict.fromkeys(rates[name].source for name in matter)),
    )


def at_medians(machine: str, one: Iteration) -> tuple[float, float]:
    """Joules and seconds of one iteration with every rate at its median."""
    return _price(machine, one, medians(load()))


def _price(machine: str, one: Iteration, values: Mapping[str, Any]) -> tuple[Any, Any]:
    if machine == KLIMA:
        samplers = tables(values)["components.samplers"]
        energy_pj = samplers[KLIMA_ENERGY[one.rule]] * (one.n_variables / KLIMA_VARIABLES)
        return energy_pj * 1e-12, samplers["cam_iteration_ns"] * 1e-9
    split = tables(values)
    work = AnalogWork(counts=one.counts, tiles=one.tiles, cells=one.cells, binary_reads=True)
    nothing = dict.fromkeys(COPROCESSOR_EVENTS, Price())
    form = split["model_form"]["analog"]
    found = analog_cost(CHIPS[machine], work, split[machine], nothing, 0.0, form, boundary="chip")
    return found.energy_j, found.time_s
