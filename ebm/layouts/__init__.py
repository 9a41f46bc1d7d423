"""Three ways to compute the fields of all nodes of one colour; they give the same numbers, at different speeds.

Each has `arrange(params)`, once, then `pack` and `unpack` of spins, and of one colour `fields`, `window` (its spins)
and `replace`. `n_colors`, and `shape`, that of a colour's spins in one chain, say what to draw.
"""

from ebm import coloring
from ebm.energies.boltzmann import Graph
from ebm.layouts.dense import Dense, dense
from ebm.layouts.lattice import Lattice, lattice, recognise, torus
from ebm.layouts.padded import PaddedSparse, padded_sparse

__all__ = ["Dense", "Lattice", "Layout", "PaddedSparse", "choose", "dense", "lattice", "padded_sparse", "torus"]

Layout = Dense | Lattice | PaddedSparse

DENSE_ABOVE = 0.05
SMALL = 128


def choose(graph: Graph) -> Layout:
    """The layout that should be fastest: Lattice for grids, Dense for dense or small graphs, PaddedSparse for the rest.

    Dense means that more than a twentieth of all pairs are coupled. To choose otherwise, call `dense`, `lattice` or
    `padded_sparse`. Raises ValueError for graphs that `coloring.check_graph` refuses.
    """
    coloring.check_graph(graph)
    grid = recognise(graph)
    if grid is not None:
        return grid
    n_pairs = max(1, graph.n_nodes * (graph.n_nodes - 1) // 2)
    is_dense = graph.n_nodes <= SMALL or graph.n_edges > DENSE_ABOVE * n_pairs
    return dense(graph) if is_dense else padded_sparse(graph)
