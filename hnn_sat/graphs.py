"""Problems on networkx graphs as formulas, and the way back from an assignment to the graph."""

from collections.abc import Hashable, Iterable
from itertools import combinations
from typing import NamedTuple

import networkx as nx

from hnn_sat.problem import Problem, from_clauses
from hnn_sat.weighted import Weighted, weighted


class Colouring(NamedTuple):
    """A graph's nodes in order, and the formula whose variable 1 + i · n_colours + c says that node i has colour c."""

    problem: Problem
    nodes: tuple[Hashable, ...]
    n_colours: int

    def decode(self, literals: Iterable[int]) -> dict[Hashable, int]:
        """The first colour that each node has; nodes without any are left out."""
        true = {literal for literal in literals if literal > 0}
        found: dict[Hashable, int] = {}
        for i, node in enumerate(self.nodes):
            for c in range(self.n_colours):
                if 1 + i * self.n_colours + c in true:
                    found[node] = c
                    break
        return found

    def encode(self, colours: dict[Hashable, int]) -> list[int]:
        """The assignment, as literals, that gives each node its colour."""
        return [
            (1 if colours[node] == c else -1) * (1 + i * self.n_colours + c)
            for i, node in enumerate(self.nodes)
            for c in range(self.n_colours)
        ]


def colouring(graph: nx.Graph, n_colours: int, *, exclusive: bool = False) -> Colouring:
    """The formula that holds where neighbours differ: a colour for every node (one clause of n_colours), and for every
    edge and colour not both. exclusive: also at most one colour a node, which no solution needs.

    Raises ValueError for a loop, which no colouring satisfies, for a directed graph, and for less than one colour.
    """
    _check(graph)
    if n_colours < 1:
        raise ValueError(f"n_colours must be at least 1, got {n_colours}")
    nodes = tuple(graph.nodes)
    first = {node: 1 + i * n_colours for i, node in enumerate(nodes)}
    clauses = [[first[node] + c for c in range(n_colours)] for node in nodes]
    if exclusive:
        clauses += [
            [-first[node] - a, -first[node] - b] for node in nodes for a, b in combinations(range(n_colours), 2)
        ]
    clauses += [[-first[u] - c, -first[v] - c] for u, v in graph.edges() for c in range(n_colours)]
    return Colouring(from_clauses(clauses, n_variables=len(nodes) * n_colours), nodes, n_colours)


class MaxCut(NamedTuple):
    """A graph's nodes in order, variable 1 + i for node i, and soft clauses whose cost is what the cut leaves."""

    formula: Weighted
    nodes: tuple[Hashable, ...]
    total: int
    """Sum of the positive weights: the cut's weight is `total` less the cost."""

    def decode(self, literals: Iterable[int]) -> set[Hashable]:
        """The nodes on the true side."""
        true = set(literals)
        return {node for i, node in enumerate(self.nodes) if 1 + i in true}

    def encode(self, side: set[Hashable]) -> list[int]:
        """The assignment, as literals, of which these nodes are the true side."""
        return [1 + i if node in side else -1 - i for i, node in enumerate(self.nodes)]


def max_cut(graph: nx.Graph, weight: str = "weight") -> MaxCut:
    """Two soft clauses an edge, of which a state violates one at most: for a positive weight (u or v), (not u or
    not v), one violated where u and v are on one side; for a negative one (u or not v), (not u or v) of its
    absolute value.

    weight: the name of the edges' attribute, whole numbers, 1 where an edge has none; edges of weight 0 are left out.
    Raises ValueError for a directed graph, a loop, and a weight that is not a whole number.
    """
    _check(graph)
    nodes = tuple(graph.nodes)
    variable = {node: 1 + i for i, node in enumerate(nodes)}
    clauses, weights, total = [], [], 0
    for a, b, value in graph.edges(data=weight, default=1):
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(
                f"edge {a!r} - {b!r} has {weight} {value!r}; whole numbers are allowed, so scale the weights"
            )
        u, v = variable[a], variable[b]
        if value > 0:
            clauses += [[u, v], [-u, -v]]
            total += value
        elif value < 0:
            clauses += [[u, -v], [-u, v]]
        weights += [abs(value)] * 2 if value else []
    return MaxCut(weighted(clauses, weights), nodes, total)


def _check(graph: nx.Graph) -> None:
    if graph.is_directed():
        raise ValueError("graph is directed; give an undirected one (graph.to_undirected())")
    for node in nx.nodes_with_selfloops(graph):
        raise ValueError(f"node {node!r} has an edge to itself; remove it (graph.remove_edges_from)")
