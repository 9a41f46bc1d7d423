"""The command `aimc`: list and draw the cells, list the arrays, sweep what an array is made of, solve its wires."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from aimc.circuit import SolveCircuit
from aimc.circuit import run as solve_circuit
from aimc.wires_map import WiresMap
from aimc.wires_map import run as wires_map
from cost_bridge.cli import check_seed, run

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True, kw_only=True)
class Presets:
    """List the arrays this package knows, with their cells and converters."""

    json: bool = False
    """Print JSON instead of a table."""


@dataclass(frozen=True, kw_only=True)
class Devices:
    """List the cell technologies, or draw them: what a write leaves behind, and what time does to it."""

    names: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Which ones; all of them if none is named."""
    csv: Path | None = None
    """A table of measured points (conductance_uS, mean_uS, std_uS, time_s) of your own cell, to be fitted and drawn."""
    plots: Path | None = None
    """Folder for a page per technology."""
    json: bool = False
    """Print JSON instead of a table."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Train the digits network, digitally and on noisy arrays, and measure its test accuracy over read noise × ADC
    bits, or over any numbers of any array."""

    array: str | None = None
    """A preset whose fields --vary changes; `aimc presets` lists them."""
    vary: list[str] = field(default_factory=list)
    """Fields and their values, such as readout.noise=0,0.1,0.2 or time_s=1,3600,86400 (the age of the chip)."""

    out: Path | None = None
    """Folder for the results (zarr, opens with xarray). The same command continues an interrupted one. Default: not
    kept."""
    read_noise: list[float] = field(default_factory=lambda: [round(0.02 * i, 2) for i in range(10)])
    """Standard deviations of a cell at a read, as fractions of its largest conductance."""
    adc_bits: list[int] = field(default_factory=lambda: [4, 6, 8])
    """Resolutions of the converters at the outputs."""
    seeds: int = 5
    """Training runs, each with its own chip."""
    train_noise: float = 0.1
    """Read noise that the noise-aware training sees."""
    write_noise: float = 0.05
    """Programming error of a cell, as a fraction of its largest conductance."""
    seed: int = 0
    """Root of all randomness."""
    plot: Path | None = None
    """An HTML page with the curves."""
    json: bool = False
    """Print JSON instead of a table."""


Command = (
    Annotated[Devices, tyro.conf.subcommand("devices")]
    | Annotated[Presets, tyro.conf.subcommand("presets")]
    | Annotated[Sweep, tyro.conf.subcommand("sweep")]
    | Annotated[SolveCircuit, tyro.conf.subcommand("solve-circuit")]
    | Annotated[WiresMap, tyro.conf.subcommand("wires-map")]
)


def command(arguments: Sequence[str]) -> None:
    """Parse and run. Raises ValueError and OSError for the caller's mistakes."""
    chosen = tyro.cli(Command, args=arguments, prog="aimc", description=__doc__)
    if isinstance(chosen, SolveCircuit):
        solve_circuit(chosen)
    elif isinstance(chosen, WiresMap):
        wires_map(chosen)
    elif isinstance(chosen, Devices):
        _devices(chosen)
    elif isinstance(chosen, Presets):
        _presets(chosen)
    elif chosen.vary or chosen.array:
        _vary(chosen)
    else:
        _sweep(chosen)


def _presets(options: Presets) -> None:
    from inspect import getdoc

    from aimc.presets import PRESETS

    arrays = {name: (make(), " ".join((getdoc(make) or "").split())) for name, make in PRESETS.items()}
    if options.json:
        print(json.dumps({name: {"about": about} | asdict(spec) for name, (spec, about) in arrays.items()}, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(
        "array", "tile", "cells up to", "evidence", "what it is and where its numbers come from", show_lines=True
    )
    for name, (spec, about) in arrays.items():
        evidence = f"cells: {spec.device.evidence}\nreadout: {spec.readout.evidence}"
        table.add_row(name, f"{spec.rows} × {spec.cols}", f"{float(spec.device.g_max) * 1e6:g} µS", evidence, about)
    Console().print(table)


def _devices(options: Devices) -> None:
    from aimc.devices import DEVICES
    from aimc.devices.listing import describe, named

    chosen = {name: named(name) for name in options.names or (() if options.csv else tuple(DEVICES))}
    described = [describe(name) for name in chosen]
    written = []
    if options.csv:
        from aimc.devices.figures import fit_figure
        from aimc.devices.measured import measured
        from aimc.devices.points import read_points
        from aimc.figures import write_page

        own = measured(options.csv)
        described.append(describe(options.csv.name, own))
        if options.plots:
            written.append(options.plots / f"{options.csv.stem}-fit.html")
            write_page(fit_figure(own, read_points(options.csv)), written[0])
            chosen[options.csv.stem] = own
    if options.plots:
        from aimc.devices.figures import write_figures

        written += write_figures(options.plots, chosen)
    if options.json:
        print(json.dumps({"devices": described}, indent=2))
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        "cell", "range", "spread of a write", "half on, after a day", "evidence", "source", title="Conductances in µS"
    )
    for one in described:
        day, middle = one["after"]["1 day"], len(one["target_us"]) // 2
        table.add_row(
            one["name"],
            f"{one['g_min_us']:g} – {one['g_max_us']:g}",
            ", ".join(f"{one['programming_std_us'][i]:.2g}" for i in (0, middle, -1)),
            f"{one['target_us'][middle]:.3g} → {day['mean_us'][middle]:.3g} ± {day['std_us'][middle]:.2g}",
            one["evidence"],
            one["source"],
        )
    console = Console()
    console.print(table)
    console.print("[dim]Spread of a write: at the least conductance, half on, fully on.[/dim]")
    for one in described if options.names or options.csv else ():
        console.print(f"\n[bold]{escape(one['name'])}[/bold]: {escape(one['law'])}")
    for path in written:
        print(f"wrote {path}")


def _progress_bar():
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())


def _axes(vary: Sequence[str]) -> dict[str, list[float]]:
    """Fields and values of --vary. Raises ValueError for what cannot be read."""
    axes: dict[str, list[float]] = {}
    for one in vary:
        name, _, values = one.partition("=")
        if name in axes:
            raise ValueError(f"--vary names {name} twice; give all its values at once")
        try:
            axes[name] = [float(value) for value in values.split(",")]
        except ValueError:
            raise ValueError(
                f"--vary must be a field and its values, such as readout.noise=0,0.1,0.2, got {one!r}"
            ) from None
    return axes


def _vary(options: Sweep) -> None:
    check_seed(options.seed)
    if options.array is None or not options.vary:
        raise ValueError("--vary needs --array, and --array needs --vary; `aimc presets` lists the arrays")
    plain = Sweep()
    for name in ("read_noise", "adc_bits", "train_noise", "write_noise"):
        if getattr(options, name) != getattr(plain, name):
            flag = name.replace("_", "-")
            raise ValueError(f"--{flag} describes a plain array; with --array vary a field of it (--vary)")
    import jax
    from rich.console import Console
    from rich.table import Table

    from aimc.digits import array_sweep
    from aimc.presets import preset

    axes, spec = _axes(options.vary), preset(options.array)
    with _progress_bar() as bar:
        task = bar.add_task("training", total=None)
        try:
            results = array_sweep(
                jax.random.key(options.seed),
                spec,
                axes,
                n_seeds=options.seeds,
                seed=options.seed,
                name=options.array,
                store=options.out,
                progress=lambda done, total: bar.update(task, description="sweeping", completed=done, total=total),
            )
        except KeyboardInterrupt:
            _say_what_is_kept(options)
            raise
    _plot(options, results, list(axes))
    if options.json:
        print(json.dumps(results.to_dict(), default=str))
        return
    title = f"Test accuracy on {options.array} in %, mean ± spread over {options.seeds} seeds, by training"
    table = Table(*axes, title=title)
    for column in ("digital", "on the array"):
        table.add_column(column, justify="right")
    for point in product(*(results[name].values for name in axes)):
        at = results.sel(dict(zip(axes, point, strict=True)))
        cells = [100 * at[kind] for kind in ("digital_weights", "noise_aware_weights")]
        table.add_row(
            *(f"{value:g}" for value in point), *(f"{float(c.mean()):.1f} ± {float(c.std()):.1f}" for c in cells)
        )
    Console().print(table)
    if options.out:
        print(f"Kept in {options.out}; open it with xarray.open_zarr.")


def _plot(options: Sweep, results: "xarray.Dataset", axes: list[str]) -> None:
    if options.plot is None:
        return
    from aimc.figures import sweep_figure, write_page

    array = options.array or "a plain array"
    write_page(sweep_figure(results, axes, f"Digits on {array}, {options.seeds} training runs"), options.plot)
    print(f"wrote {options.plot}", file=sys.stderr)


def _say_what_is_kept(options: Sweep) -> None:
    if options.out is not None and options.out.exists():
        print(f"finished points are kept in {options.out}; the same command goes on there", file=sys.stderr)


def _sweep(options: Sweep) -> None:
    check_seed(options.seed)
    import jax
    from rich.console import Console
    from rich.table import Table

    from aimc.digits import noise_sweep

    with _progress_bar() as bar:
        task = bar.add_task("training", total=None)
        try:
            results = noise_sweep(
                jax.random.key(options.seed),
                read_noise=options.read_noise,
                adc_bits=options.adc_bits,
                n_seeds=options.seeds,
                seed=options.seed,
                train_noise=options.train_noise,
                write_noise=options.write_noise,
                store=options.out,
                progress=lambda done, total: bar.update(task, description="sweeping", completed=done, total=total),
            )
        except KeyboardInterrupt:
            _say_what_is_kept(options)
            raise
    _plot(options, results, ["read_noise", "adc_bits"])
    if options.json:
        print(json.dumps(results.to_dict(), default=str))
        return
    kinds = {"digital_weights": "digital", "noise_aware_weights": "noise-aware"}
    bits = [int(b) for b in results.adc_bits.values]
    table = Table("read noise", title="Test accuracy in %, mean ± spread over seeds, by ADC resolution and training")
    for b in bits:
        for kind in kinds.values():
            table.add_column(f"{b} bit\n{kind}", justify="right")
    for noise in results.read_noise.values:
        cells = [results[metric].sel(read_noise=noise, adc_bits=b) * 100 for b in bits for metric in kinds]
        table.add_row(f"{noise:.3g}", *(f"{float(c.mean()):.1f} ± {float(c.std()):.1f}" for c in cells))
    Console().print(table)
    if options.out:
        print(f"Kept in {options.out}; open it with xarray.open_zarr.")


def main() -> None:
    """Entry point of the console script."""
    run(command, "aimc")


if __name__ == "__main__":
    main()
