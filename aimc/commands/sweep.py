"""`aimc sweep`: the digits network over numbers of an array."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from aimc.commands.trained import say_what_is_kept, write_plot
from cost_bridge.cli import check_seed

if TYPE_CHECKING:
    import xarray


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


def run(options: Sweep) -> None:
    """Sweep and print. Raises ValueError for fields and values that cannot be."""
    if options.vary or options.array:
        _vary(options)
    else:
        _sweep(options)


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
    results = _kept_going(
        options,
        partial(
            array_sweep,
            jax.random.key(options.seed),
            spec,
            axes,
            n_seeds=options.seeds,
            seed=options.seed,
            name=options.array,
            store=options.out,
        ),
    )
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
    from aimc.figures import sweep_figure

    array = options.array or "a plain array"
    write_plot(sweep_figure(results, axes, f"Digits on {array}, {options.seeds} training runs"), options.plot)


def _kept_going(options: Sweep, sweep: Callable[..., "xarray.Dataset"]) -> "xarray.Dataset":
    """What the sweep finds, a bar on stderr meanwhile; on ^C a word about what is kept."""
    with _progress_bar() as bar:
        task = bar.add_task("training", total=None)
        try:
            return sweep(
                progress=lambda done, total: bar.update(task, description="sweeping", completed=done, total=total)
            )
        except KeyboardInterrupt:
            say_what_is_kept(options.out)
            raise


def _sweep(options: Sweep) -> None:
    check_seed(options.seed)
    import jax
    from rich.console import Console
    from rich.table import Table

    from aimc.digits import noise_sweep

    results = _kept_going(
        options,
        partial(
            noise_sweep,
            jax.random.key(options.seed),
            read_noise=options.read_noise,
            adc_bits=options.adc_bits,
            n_seeds=options.seeds,
            seed=options.seed,
            train_noise=options.train_noise,
            write_noise=options.write_noise,
            store=options.out,
        ),
    )
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
