"""The command `cost-bridge`: price units of work, list the rates, check the seed documents, draw pages."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from .cli import check_seed, run

if TYPE_CHECKING:
    from .uncertainty import Rate


Words = tyro.conf.UseAppendAction[list[str]]


@dataclass(frozen=True, kw_only=True)
class Own:
    """Values of your own in place of the tables'."""

    set: Words = field(default_factory=list)
    """NAME=VALUE of a rate, as often as needed: --set gpu.h100.tdp_w=650."""
    rates: Path | None = None
    """A TOML file with rates of your own."""

    def chosen(self) -> "dict[str, Rate]":
        """The file's rates, then the words'. Raises ValueError for what `overrides` refuses."""
        from .overrides import parse, read
        from .rates import load

        known = load()
        return (read(self.rates, known) if self.rates is not None else {}) | parse(self.set, known)


@dataclass(frozen=True, kw_only=True)
class Compare(Own):
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
class Rates(Own):
    """List every rate with its unit, 90 % factor, evidence class and source."""

    json: bool = False
    """Print JSON instead of a table."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """Draw the self-contained HTML page of a results file."""

    results: tyro.conf.Positional[Path]
    """results.json, as `cost-bridge compare --out` writes it."""
    out: Path
    """The page to write; an existing file is refused."""


@dataclass(frozen=True, kw_only=True)
class Seeds(Own):
    """Recompute what the seed documents claim: every row with its verdict, or one row in full."""

    id: tyro.conf.Positional[str] = ""
    """A row, such as A21; without one, all of them."""
    json: bool = False
    """Print JSON instead of a table."""


@dataclass(frozen=True, kw_only=True)
class Project(Own):
    """Project the cost of the largest training run, and where it meets what the world spends (Figs. 4, 5, 6)."""

    out: Path | None = None
    """Write the pictures here as one HTML page; an existing file is refused."""
    json: bool = False
    """Print JSON instead of a table."""


@dataclass(frozen=True, kw_only=True)
class Cluster(Own):
    """Time to train one model by number of GPUs that fail, with and without resilience (Fig. 7)."""

    out: Path | None = None
    """Write the pictures here as one HTML page; an existing file is refused."""
    json: bool = False
    """Print JSON instead of a table."""


@dataclass(frozen=True, kw_only=True)
class Levers(Own):
    """What is left of the cost of a run with strategies applied together; without names, list them."""

    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """Strategies, such as 'data formats' 'competitive accelerators'."""
    json: bool = False
    """Print JSON instead of a table."""


@dataclass(frozen=True, kw_only=True)
class Published(Own):
    """Hours and energy of published runs: predicted, and what is only restated arithmetic."""

    draws: int = 4000
    """Monte Carlo draws behind every interval."""
    seed: int = 0
    """Root of all randomness."""
    json: bool = False
    """Print JSON instead of a table."""


Command = (
    Annotated[Compare, tyro.conf.subcommand("compare")]
    | Annotated[Rates, tyro.conf.subcommand("rates")]
    | Annotated[Page, tyro.conf.subcommand("page")]
    | Annotated[Seeds, tyro.conf.subcommand("seeds")]
    | Annotated[Project, tyro.conf.subcommand("project")]
    | Annotated[Cluster, tyro.conf.subcommand("cluster")]
    | Annotated[Levers, tyro.conf.subcommand("levers")]
    | Annotated[Published, tyro.conf.subcommand("published")]
)


def command(arguments: Sequence[str]) -> None:
    """Parse and run. Raises ValueError and OSError for the caller's mistakes."""
    chosen = tyro.cli(Command, args=arguments, prog="cost-bridge", description=__doc__)
    if isinstance(chosen, Compare):
        _compare(chosen)
    elif isinstance(chosen, Rates):
        _rates(chosen)
    elif isinstance(chosen, Seeds | Project | Cluster | Levers | Published):
        _framework(chosen)
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
    own = options.chosen()
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
                    unit,
                    gpu=options.gpu,
                    number_format=options.number_format,
                    overrides=own,
                    draws=options.draws,
                    seed=options.seed,
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
    from .units import unit

    rates = {**load(), **options.chosen()}
    if options.json:
        print(json.dumps({name: rate._asdict() | {"unit": unit(name)} for name, rate in rates.items()}, indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("rate", "median", "unit", "90 % ×/÷", "evidence", "source")
    for name, rate in rates.items():
        table.add_row(name, f"{rate.value:.4g}", unit(name), f"{rate.factor:.3g}", rate.evidence, rate.source)
    Console().print(table)


def _framework(options: Seeds | Project | Cluster | Levers | Published) -> None:
    """The commands on the seed documents: a table, JSON, or a page."""
    from . import framework

    own = options.chosen()
    if isinstance(options, Seeds):
        found = framework.seeds(own, options.id)
    elif isinstance(options, Levers):
        found = framework.levers(own, options.names)
    elif isinstance(options, Published):
        check_seed(options.seed)
        found = framework.published(own, draws=options.draws, seed=options.seed)
    else:
        draw = framework.project if isinstance(options, Project) else framework.cluster
        found = draw(own)
        if options.out is not None:
            from .results import write_text

            if options.out.exists():  # before the drawing, which takes a second
                raise ValueError(f"{options.out} exists already; choose another name or remove it")
            write_text(found.page(), options.out, replace=False)
            print(f"Wrote {options.out}", file=sys.stderr)
    if options.json:
        print(json.dumps(found.json, indent=1, allow_nan=False))
    else:
        from .table import print_wide

        print_wide(found.table())


def main() -> None:
    """Entry point of the console script."""
    run(command, "cost-bridge")


if __name__ == "__main__":
    main()
