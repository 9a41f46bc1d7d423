"""`aimc sensitivity`: which layer's noise hurts a trained network."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from aimc.commands.trained import print_json, progress, subject, write_plot

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """Scale the noise of every layer of a trained network and measure what each does: alone, and its share when all
    vary (Sobol indices)."""

    directory: Annotated[Path, tyro.conf.Positional]
    """Run directory of `aimc train`."""
    array: str | None = None
    """A preset to put it on (`aimc presets` lists them). Default: what it was trained on, with its ranges."""
    fields: str = "device.programming_std"
    """Fields of the array whose levels are scaled, between commas: device.drift_scale, device.read_noise, …"""
    upto: float = 1.0
    """Largest factor on them; 1 is the array as it is."""
    samples: int = 64
    """Power of 2; the network is evaluated samples × (layers + 2) times on every chip."""
    chips: int = 8
    """Chips, the same at all points."""
    time: float = 0.0
    """Age of the chips in seconds."""
    compensation: str = "none"
    """none, layer or column."""
    part: str = "test"
    """Part of the data: test or validation."""
    limit: int | None = None
    """Only so many of its rows. Default: all."""
    batch: int = 1000
    """Rows a call, which bounds the memory."""
    out: Path | None = None
    """Folder for the points (zarr). The same command continues an interrupted one. Default: not kept."""
    plot: Path | None = None
    """An HTML page with bars and intervals."""
    metric: str = "loss"
    """What table and page show: loss or accuracy."""
    seed: int = 0
    """Root of all randomness."""
    json: bool = False
    """Print JSON instead of a table; an interval that is infinite, of one chip, is null."""


def run(options: Sensitivity) -> None:
    """Evaluate, print, draw. Raises ValueError and OSError for what cannot be."""
    if options.metric not in ("loss", "accuracy"):
        raise ValueError(f"metric must be loss or accuracy, got {options.metric!r}")
    network = subject(options.directory, options.array, options.part, options.limit, options.seed)
    import jax

    from aimc import evaluation

    with progress("points", options.out) as show:
        found = evaluation.sensitivity(
            jax.random.key(options.seed),
            network.model,
            network.data,
            fields=tuple(options.fields.split(",")),
            upto=options.upto,
            samples=options.samples,
            chips=options.chips,
            seconds=options.time,
            compensation=options.compensation,
            batch=options.batch,
            store=options.out,
            progress=show,
        )
    if options.plot is not None:
        write_plot(evaluation.sensitivity_figure(found, network.title, options.metric), options.plot)
    if options.json:
        print_json(found.drop_attrs().to_dict()["data_vars"] | {"layers": found["layer"].values.tolist()})
        return
    _print(found, network.title, options)


def _print(found: "xarray.Dataset", title: str, options: Sensitivity) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    factor, unit = (100, "accuracy, points") if options.metric == "accuracy" else (1, "loss, nats")
    at = found.sel(metric=options.metric)

    def cell(name: str, layer: str, factor: float = 1.0) -> str:
        value, low, high = (factor * float(at[f"{name}{end}"].sel(layer=layer)) for end in ("", "_low", "_high"))
        return f"{value:.3g}" if options.chips == 1 and name == "alone" else f"{value:.3g} \\[{low:.3g}, {high:.3g}]"

    table = Table(
        "layer", f"alone: change of {unit}", "share of variance, alone", "with interactions",
        title=f"{title}: {options.fields} × 0 to {options.upto:g} [95 %]",
    )  # fmt: skip
    for layer in map(str, found["layer"].values):
        table.add_row(escape(layer), cell("alone", layer, factor), cell("first", layer), cell("total", layer))
    console = Console()
    console.print(table)
    console.print(
        f"[dim]{unit}: {factor * float(at['baseline']):.4g} without this noise, {factor * float(at['everywhere']):.4g} "
        f"with it in all layers × {options.upto:g}.[/dim]"
    )
    if options.out:
        print(f"Kept in {options.out}; open it with xarray.open_zarr.")
