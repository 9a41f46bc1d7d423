"""Graphs by name, or from a file, for Boltzmann machines whose visible nodes are the columns of data rows."""

from itertools import product
from math import isqrt
from pathlib import Path

import networkx as nx
import numpy as np

from ebm.energies.boltzmann import Graph, from_networkx

NAMES = ("complete", "grid", "king", "chimera")
MAX_COUPLINGS = 10_000_000
CELL = 8  # nodes of a cell of the chimera graph


def build(name: str, n_visible: int, n_hidden: int) -> Graph:
    """The graph of `n_visible + n_hidden` nodes, of which a row of data gives the visible ones in ascending order.

    `complete`: every pair. `grid` and `king`: sites of a rectangle as near to a square as their number allows, row by
    row, each coupled to 4 neighbours, or to 8. `chimera`: cells of 4 + 4 nodes, all of one side coupled to all of the
    other, and to the same nodes of the cells above and below (first side) or left and right (second side), as on the
    annealers of D-Wave. Hidden nodes are spread evenly among the numbers of these three. Any other name is a file of
    edges: two node numbers a line, separated by blanks or a comma; data come first, hidden nodes after them.
    Raises ValueError for a number of nodes that the name cannot have, a graph without an edge, or a file that is no
    such list, with the number of its line.
    """
    if n_visible + n_hidden < 2:
        raise ValueError(f"graph must have at least 2 nodes to couple, got {n_visible} visible and {n_hidden} hidden")
    n = n_visible + n_hidden
    last = range(n_visible, n)
    match name:
        case "complete":
            if n * (n - 1) // 2 > MAX_COUPLINGS:
                raise ValueError(
                    f"graph 'complete' of {n} nodes has more than {MAX_COUPLINGS:,} couplings; take another, or a file"
                )
            return from_networkx(nx.complete_graph(n), last)[0]
        case "grid":
            return _numbered(nx.grid_2d_graph(*_sides(name, n)), n_hidden)
        case "king":
            rows, cols = _sides(name, n)
            return _numbered(nx.strong_product(nx.path_graph(rows), nx.path_graph(cols)), n_hidden)
        case "chimera":
            if n % CELL:
                raise ValueError(
                    f"graph 'chimera' needs a multiple of {CELL} nodes, got {n_visible} visible and {n_hidden} hidden"
                )
            return _numbered(_chimera(*_rectangle(n // CELL)), n_hidden)
        case _:
            return from_networkx(_read(Path(name), n), last)[0]


def _rectangle(n: int) -> tuple[int, int]:
    """The most even factors of n, the smaller one first."""
    rows = next(rows for rows in range(isqrt(n), 0, -1) if n % rows == 0)
    return rows, n // rows


def _sides(name: str, n: int) -> tuple[int, int]:
    rows, cols = _rectangle(n)
    if rows < 2:
        raise ValueError(f"graph {name!r} needs a number of nodes that is a product of two sides, got {n}")
    return rows, cols


def _chimera(rows: int, cols: int) -> nx.Graph:
    half = range(CELL // 2)
    g = nx.Graph()
    g.add_nodes_from(product(range(rows), range(cols), (0, 1), half))
    for r, c, k in product(range(rows), range(cols), half):
        g.add_edges_from(((r, c, 0, k), (r, c, 1, other)) for other in half)
        if r + 1 < rows:
            g.add_edge((r, c, 0, k), (r + 1, c, 0, k))
        if c + 1 < cols:
            g.add_edge((r, c, 1, k), (r, c + 1, 1, k))
    return g


def _numbered(g: nx.Graph, n_hidden: int) -> Graph:
    """The graph with its hidden nodes spread evenly over the order of its nodes."""
    before = np.arange(len(g) + 1) * n_hidden // len(g)
    nodes = list(g.nodes)
    return from_networkx(g, [nodes[i] for i in np.flatnonzero(np.diff(before))])[0]


def _read(path: Path, n: int) -> nx.Graph:
    if not path.exists():
        raise ValueError(f"graph must be one of {', '.join(map(repr, NAMES))}, or a file of edges, got {str(path)!r}")
    g = nx.Graph()
    g.add_nodes_from(range(n))
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a list of edges, two node numbers a line ({error})") from error
    allowed = f"{path} must join nodes from 0 to {n - 1}, the columns of the data and then the hidden nodes"
    for number, line in enumerate(lines, start=1):
        words = line.partition("#")[0].replace(",", " ").split()
        if not words:
            continue
        try:
            first, second = map(int, words)
        except ValueError as error:
            raise ValueError(
                f"{path} is not a list of edges, two node numbers a line: line {number} is {line.strip()!r}"
            ) from error
        for node in (first, second):
            if not 0 <= node < n:
                raise ValueError(f"{allowed}, got node {node} in line {number}")
        g.add_edge(first, second)
    if not g.number_of_edges():
        raise ValueError(f"{allowed}, got no edge")
    return g
