"""`aimc presets`: the arrays this package knows."""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True)
class Presets:
    """List the arrays this package knows, with their cells and converters."""

    json: bool = False
    """Print JSON instead of a table."""


def run(options: Presets) -> None:
    """Print the table, or JSON."""
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
