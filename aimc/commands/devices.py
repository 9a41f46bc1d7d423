"""`aimc devices`: the cell technologies, as a table and as pictures."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


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


def run(options: Devices) -> None:
    """Print the table, or JSON, and draw. Raises ValueError for other names, OSError for files that are not there."""
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
