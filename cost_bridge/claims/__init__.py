"""The rows of the ledger, by document: one file for each part of the paper, two for the report, one for the essay."""

import re

from ..seeds import Row
from . import essay, growth, machine, projection, report_money, report_sizes, roadmap, scaling


def _place(row: Row) -> tuple[str, int, str]:
    """Document, number, what follows the number."""
    found = re.fullmatch(r"([A-D])(\d+)([a-z]?)", row.id)
    if found is None:
        raise ValueError(f"a row is named like A21 or A30b, got {row.id!r}")
    return found[1], int(found[2]), found[3]


_PARTS = (scaling, growth, projection, machine, roadmap, essay, report_money, report_sizes)
ROWS = tuple(sorted((row for part in _PARTS for row in part.ROWS), key=_place))
