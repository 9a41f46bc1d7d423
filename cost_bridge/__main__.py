"""The command `cost-bridge`: price units of work, list the rates, draw the page."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from .cli import check_seed, run


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Joules, seconds and dollars of four units of work on a GPU, on this CPU and on two analog chips (about 30 s)."""

    cnf: Path | None = None
    """A satisfiable DIMACS formula for the k-SAT row. Default: a random one, n = 250, ratio 4.2."""
    gpu: str = "h100"
    """The GPU: a section of the rate table, see `cost-bridge rates`."""
    number_format: Literal["bf16", "fp16", "fp8"] = "bf16"
    """Format of the GPU's products. FP8 doubles its peak; whether a step still learns in it is not measured here."""
    boundary: Literal["array", "chip", "wall plug"] = "wall plug"
    """What the printed table includes; JSON always has all three."""
    time_limit: float = 60.0
    """Seconds for the search of the formula."""
    draws: int = 4000
    """Monte Carlo draws behind every interval."""
    seed: int = 0
    """Root of all randomness."""
    out: Path | None = None
    """Write results.json here."""
    json: bool = False
    """Print JSON instead of a table."""


@dataclass(frozen=True, kw_only=True)
class Rates:
    """List every rate with its 90 % factor, evidence class and source."""

    json: bool = False
    """Print JSON instead of a table."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """Draw the self-contained HTML page of a results file."""

    results: tyro.conf.Positional[Path]
    """results.json, as `cost-bridge compare --out` writes it."""
    out: Path
    """The page to write; an existing file is refused."""


Command = (
    Annotated[Compare, tyro.conf.subcommand("compare")]
    | Annotated[Rates, tyro.conf.subcommand("rates")]
    | Annotated[Page, tyro.conf.subcommand("page")]
)


def command(arguments: Sequence[str]) -> None:
    """Parse and run. Raises ValueError and OSError for the caller's mistakes."""
    chosen = tyro.cli(Command, args=arguments, prog="cost-bridge", description=__doc__)
    if isinstance(chosen, Compare):
        _compare(chosen)
    elif isinstance(chosen, Rates):
        _rates(chosen)
    else:
        from .report import write_page
        from .results import read

        write_page(read(chosen.results), chosen.out)
        print(f"Wrote {chosen.out}")


def _compare(options: Compare) -> None:
    from . import results as files

    if options.out is not None and options.out.exists():
        raise ValueError(f"{options.out} exists already; choose another name or remove it")
    check_seed(options.seed)
    if not options.time_limit > 0:
        raise ValueError(f"time_limit must be above 0 seconds, got {options.time_limit}")
    if options.out is not None and not options.out.absolute().parent.is_dir():
        raise ValueError(f"{options.out} cannot be written: {options.out.absolute().parent} is not a folder")
    if options.draws < 100:
        raise ValueError(f"draws must be at least 100 for an interval to mean anything, got {options.draws}")
    import jax
    from rich.console import Console

    from hnn_sat import from_dimacs, random_ksat

    from . import evaluate, workloads
    from .digital.gpu import peak_flops
    from .rates import load, table, tables
    from .uncertainty import medians

    # Refuse a wrong name before the work starts.
    peak_flops(table(tables(medians(load())), f"gpu.{options.gpu}"), options.number_format)
    file_key, search_key = jax.random.split(jax.random.key(options.seed))
    problem = random_ksat(file_key, 250, 4.2) if options.cnf is None else from_dimacs(options.cnf)
    with Console(stderr=True).status("solving the formula, 128 replicas") as status:
        search = workloads.measured_sat_run(search_key, problem, time_limit_s=options.time_limit)
        status.update("timing the digits MLP and the RBM on this CPU")
        units = workloads.headline(problem, search)
        found = []
        for unit in units:
            status.update(f"pricing: {unit.name}")
            found.append(
                evaluate(
                    unit, gpu=options.gpu, number_format=options.number_format, draws=options.draws, seed=options.seed
                )
            )
    results = files.assemble(found, files.provenance(options.seed))
    if options.out is not None:
        files.write(results, options.out)
    if options.json:
        json.dump(results, sys.stdout, indent=1)
        print()
    else:
        from .table import show

        show(results, boundary=options.boundary)


def _rates(options: Rates) -> None:
    from .rates import load

    rates = load()
    if options.json:
        print(json.dumps({name: rate._asdict() for name, rate in rates.items()}, indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("rate", "median", "90 % ×/÷", "evidence", "source")
    for name, rate in rates.items():
        table.add_row(name, f"{rate.value:.4g}", f"{rate.factor:.3g}", rate.evidence, rate.source)
    Console().print(table)


def main() -> None:
    """Entry point of the console script."""
    run(command, "cost-bridge")


if __name__ == "__main__":
    main()
