"""The comparison as a table for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from . import labels

WIDTH = 108
"""Columns that the table needs; a narrower terminal wraps it."""


def render(results: Mapping[str, Any], *, boundary: str = "wall plug") -> Any:
    """The rows at one boundary, a small table for each unit of work, to be printed by a rich console."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table

    parts = [_plain(f"Joules per unit of work, {labels.BOUNDARY_TEXT[boundary]}.", "bold")]
    for workload in dict.fromkeys(row["workload"] for row in results["rows"]):
        rows = [row for row in results["rows"] if row["workload"] == workload and row["boundary"] == boundary]
        parts_of = {
            detail["hardware"]: detail.get("evidence_shares", [])
            for detail in results.get("details", [])
            if detail["workload"] == workload and detail["boundary"] == boundary
        }
        table = Table(box=SIMPLE_HEAD, pad_edge=False, title_justify="left", title_style="bold")
        table.title = _plain(f"{workload}: {rows[0]['unit']}", "bold")
        for name in ("hardware", "energy", "time", "cost", "fewer joules", "90 %", "evidence"):
            table.add_column(name, justify="left" if name in ("hardware", "evidence") else "right")
        for row in rows:
            has_ratio = row["ratio"] is not None
            table.add_row(
                _plain(row["hardware"]),
                labels.si(row["joules"], "J"),
                labels.duration(row["seconds"]),
                labels.money(row["dollars"]),
                labels.times(row["ratio"]) if has_ratio else "",
                labels.interval(row["interval_90"]) if has_ratio else "",
                labels.evidence(row["evidence"], parts_of.get(row["hardware"], [])),
            )
        parts.append(table)
    parts.append(
        _plain(
            "fewer joules: joules of the best digital machine over joules here (1.0× is that machine), with its 90 % "
            "interval. At the saturating batch one pass does the work of many units, and a unit's share is shown. "
            "Cost is the device spread over its working life plus electricity; on the arrays a range that rests on an "
            "assumed price of silicon, and never part of a ratio. evidence: the weakest class of any rate that moves "
            "5 % of the joules, and how much of them rests on that class."
        )
    )
    return Group(*parts)


def show(results: Mapping[str, Any], *, boundary: str = "wall plug") -> None:
    """Print the table to standard output."""
    print_wide(render(results, boundary=boundary))


def print_wide(renderable: Any) -> None:
    """Print to standard output, wide enough to be read where that is not a terminal."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    console.print(renderable)


def plain(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), title: str = "") -> Any:
    """A table of plain text; `right` says which columns hold numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=_plain(title, "bold") if title else None, title_justify="left")
    for i, name in enumerate(header):
        table.add_column(name, justify="right" if i in right else "left")
    for row in rows:
        table.add_row(*map(_plain, row))
    return table


def _plain(text: str, style: str = "") -> Any:
    """Text that comes from files is never read as markup."""
    from rich.text import Text

    return Text(text, style=style)
