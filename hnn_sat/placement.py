"""Whole clauses on tiles: which literals are the rows of a tile and which clauses its columns.

A clause whose literals all enter one tile is decided there, by a comparator, with no partial sums to convert and add.
The price is rows that repeat from tile to tile and cells that stay empty.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from hnn_sat.problem import Problem


class Placement(NamedTuple):
    """Tiles of `rows` x `cols` cells. Unused rows name literal 2 n, unused columns clause m."""

    literals: Int[np.ndarray, "tiles rows"]
    clauses: Int[np.ndarray, "tiles cols"]
    utilisation: float
    """Cells that hold a literal of a clause, of all cells."""
    row_use: float
    """Rows that carry a literal, of all rows."""
    column_use: float
    """Columns that hold a clause, of all columns."""

    @property
    def n_tiles(self) -> int:
        return self.literals.shape[0]


def place(problem: Problem, rows: int, cols: int) -> Placement:
    """Fill tile after tile with the clause that brings the fewest new literals, the first of equals.

    Raises ValueError for a clause with more literals than a tile has rows, and for a tile without cells.
    """
    for name, size in (("rows", rows), ("cols", cols)):
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
    literal, n = np.asarray(problem.literal), problem.n_variables
    m = problem.n_clauses
    length = np.sum(literal < 2 * n, axis=1)
    if m and length.max() > rows:
        raise ValueError(
            f"clause {int(length.argmax())} has {int(length.max())} literals, more than the {rows} rows of a tile; "
            "give tiles of more rows, or let clauses be split over tiles"
        )
    clause, slot = np.nonzero(literal < 2 * n)
    order = np.argsort(literal[clause, slot], kind="stable")
    clauses_of = np.split(clause[order], np.cumsum(np.bincount(literal[clause, slot], minlength=2 * n))[:-1])

    is_left = np.ones(m, bool)
    tiles = []
    while is_left.any():
        new, used, held = length.copy(), [], []
        is_used = np.zeros(2 * n + 1, bool)
        while len(held) < cols:
            cost = np.where(is_left, new, rows + 1)
            best = int(cost.argmin()) if m else 0
            if len(used) + cost[best] > rows:
                break
            for code in literal[best]:
                if code < 2 * n and not is_used[code]:
                    is_used[code] = True
                    used.append(int(code))
                    new[clauses_of[code]] -= 1
            is_left[best] = False
            held.append(best)
        tiles.append((used, held))
    literals, columns = np.full((len(tiles), rows), 2 * n, np.int32), np.full((len(tiles), cols), m, np.int32)
    for t, (used, held) in enumerate(tiles):
        literals[t, : len(used)], columns[t, : len(held)] = used, held
    n_cells = max(1, len(tiles) * rows * cols)
    return Placement(
        literals,
        columns,
        utilisation=float(length.sum()) / n_cells,
        row_use=sum(len(used) for used, _ in tiles) / max(1, len(tiles) * rows),
        column_use=sum(len(held) for _, held in tiles) / max(1, len(tiles) * cols),
    )
