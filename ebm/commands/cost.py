"""`ebm cost`: the events of a run, counted, and priced on several machines."""

import json as json_format
from pathlib import Path
from typing import Any

from ebm.hardware import Hardware


def cost(
    directory: Path,
    /,
    *,
    hardware: Hardware = Hardware(),  # noqa: B008  frozen
    json: bool = False,
) -> None:
    """Print what a run asks of p-bits, crossbars, a GPU and this CPU, and what that costs in joules.

    Events are counted, this CPU is timed, every other rate is looked up: `cost-bridge rates` lists them with sources.

    Args:
        directory: A finished run of model rbm, trained by chains.
        hardware: The errors with which τ of crossbars is measured. Default: none, it is that of the ideal chain.
        json: Print JSON instead of a table.
    """
    from cost_bridge import sampling
    from cost_bridge.workloads import GEOMETRY
    from ebm import cost as costs

    work = costs.work(directory, {name: (spec.rows, spec.cols) for name, spec in GEOMETRY.items()}, hardware)
    pairs = [_priced(lambda events: sampling.on_pbits("z1", events.as_dict()), work.pbits)]
    for name, on_array in work.arrays.items():
        pairs.append(
            _priced(
                lambda events, name=name, tiles=on_array.tiles: sampling.on_crossbar(
                    name, events.as_dict(), tiles=tiles
                ),
                on_array,
            )
        )
    gpu_sample = None if work.gpu_sample is None else sampling.on_gpu(work.gpu_sample, share=work.chains)
    pairs.append((sampling.on_gpu(work.gpu_step), gpu_sample))
    pairs.append(
        (sampling.on_cpu(work.cpu_step_s), None if work.cpu_sample_s is None else sampling.on_cpu(work.cpu_sample_s))
    )
    per_nat = [
        sampling.per_nat(step, work.steps, work.gained_nats) if work.gained_nats > 0 else None for step, _ in pairs
    ]
    notes = _cost_notes(work)
    if json:
        rows = [
            {"machine": step.machine, "step": step._asdict(), "effective_sample": one and one._asdict()}
            | {"nat": nat and nat._asdict()}
            for (step, one), nat in zip(pairs, per_nat, strict=True)
        ]
        events = {name: array.step.as_dict() for name, array in work.arrays.items()}
        events["z1"] = work.pbits.step.as_dict()
        facts: dict[str, Any] = {"steps": work.steps, "gained_nats": work.gained_nats, "gained_on": work.gained_on}
        facts |= {"tau_int": work.mixing.tau_int, "array_tau_int": work.array_mixing.tau_int}
        facts |= {"array_tau_int_of": work.array_mixing.of, "burn_in_share": work.burn_in_share}
        facts |= {"events_a_step": events, "machines": rows, "notes": notes}
        print(json_format.dumps(facts, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("events of a training step", *work.arrays, "p-bits (z1)", title="Counted")
    columns = [array.step.as_dict() for array in work.arrays.values()] + [work.pbits.step.as_dict()]
    for event in columns[0]:
        if any(column[event] for column in columns):
            table.add_row(event, *(f"{column[event]:,}" for column in columns))
    console.print(table)
    table = Table("joules, and 90 % of the belief", "training step", "effective sample", "nat gained", "evidence")
    for (step, one), nat in zip(pairs, per_nat, strict=True):
        table.add_row(step.machine, _joules(step), _joules(one), _joules(nat), step.evidence)
    console.print(table)
    print(f"{work.steps} steps gained {work.gained_nats:.2f} nats a row on {work.gained_on} rows over the biases alone")
    for note in notes:
        print(note)


def _cost_notes(work: Any) -> list[str]:
    """What an effective sample is made of, and where each τ is from."""

    def words(mixing: Any) -> str:
        return mixing.refused or f"τ of {mixing.of} is {mixing.tau_int:.1f} sweeps"

    is_measured = work.array_mixing is not work.mixing
    arrays = (
        words(work.array_mixing) if is_measured else "that of the ideal chain, not measured on a chip: name --array"
    )
    return [
        f"an effective sample is τ sweeps, {work.burn_in_share:g} of as many for the burn-in, and one read-out",
        f"p-bits, GPU, CPU: {words(work.mixing)}",
        f"crossbars: τ is {arrays}" if not is_measured else f"crossbars: {arrays}",
        "p-bits: the negative phase only, as if the graph fitted; arrays: products of one array, the rest on a GPU",
    ]


def _priced(price: Any, events: Any) -> tuple[Any, Any]:
    return price(events.step), None if events.sample is None else price(events.sample)


def _joules(bill: Any) -> str:
    if bill is None:
        return "-"
    low, median, high = bill.joules
    return f"{median:.2e}\n{low:.1e} to {high:.1e}"
