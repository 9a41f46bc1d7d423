"""The command `aimc`: list the arrays, sweep their noise."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from cost_bridge.cli import check_seed, run


@dataclass(frozen=True, kw_only=True)
class Presets:
    """List the arrays this package knows, with their cells and converters."""

    json: bool = False
    """Print JSON instead of a table."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Train the digits network, digitally and on noisy arrays, and measure its test accuracy over read noise × ADC
    bits."""

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
    json: bool = False
    """Print JSON instead of a table."""


Command = Annotated[Presets, tyro.conf.subcommand("presets")] | Annotated[Sweep, tyro.conf.subcommand("sweep")]


def command(arguments: Sequence[str]) -> None:
    """Parse and run. Raises ValueError and OSError for the caller's mistakes."""
    chosen = tyro.cli(Command, args=arguments, prog="aimc", description=__doc__)
    _presets(chosen) if isinstance(chosen, Presets) else _sweep(chosen)


def _presets(options: Presets) -> None:
    from inspect import getdoc

    from aimc.presets import PRESETS

    arrays = {name: (make(), " ".join((getdoc(make) or "").split())) for name, make in PRESETS.items()}
    if options.json:
        print(json.dumps({name: {"about": about} | asdict(spec) for name, (spec, about) in arrays.items()}, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("array", "tile", "largest conductance", "what it is and where its numbers come from", show_lines=True)
    for name, (spec, about) in arrays.items():
        table.add_row(name, f"{spec.rows} × {spec.cols}", f"{float(spec.device.g_max) * 1e6:g} µS", about)
    Console().print(table)


def _sweep(options: Sweep) -> None:
    check_seed(options.seed)
    import jax
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Table

    from aimc.digits import noise_sweep

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
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
            if options.out is not None and options.out.exists():
                print(f"finished points are kept in {options.out}; the same command goes on there", file=sys.stderr)
            raise
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
