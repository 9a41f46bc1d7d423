"""The comparison as a table for the terminal."""

from collections.abc import Mapping
from typing import Any

from . import labels


def render(results: Mapping[str, Any], *, boundary: str = "wall plug") -> Any:
    """A rich table of the rows at one boundary, to be printed by a rich console."""
    from rich.table import Table

    table = Table(title=f"Joules per unit of work, {labels.BOUNDARY_TEXT[boundary]}", title_justify="left")
    table.add_column("hardware")
    for name in ("energy", "time", "cost", "fewer joules than best digital", "90 % interval", "evidence"):
        table.add_column(name, justify="left" if name == "evidence" else "right")
    workload = None
    for row in results["rows"]:
        if row["boundary"] != boundary:
            continue
        if row["workload"] != workload:
            if workload is not None:
                table.add_section()
            workload = row["workload"]
            table.add_row(_plain(f"{workload}: {row['unit']}", "bold"))
        has_ratio = row["ratio"] is not None
        table.add_row(
            _plain(f"  {row['hardware']}"),
            labels.si(row["joules"], "J"),
            labels.duration(row["seconds"]),
            labels.money(row["dollars"]),
            labels.times(row["ratio"]) if has_ratio else "none",
            labels.interval(row["interval_90"]) if has_ratio else "",
            row["evidence"],
        )
    return table


def _plain(text: str, style: str = "") -> Any:
    """Text that comes from files is never read as markup."""
    from rich.text import Text

    return Text(text, style=style)
