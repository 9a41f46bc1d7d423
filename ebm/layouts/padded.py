"""Fields by a table of neighbours, padded to the largest degree: for sparse graphs of any form.

A spin is a row of all chains, so that a neighbour is fetched as one contiguous row.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ebm import coloring
from ebm.energies.boltzmann import Boltzmann, Graph, check_sizes
from ebm.layouts.windows import Windows, windows


class PaddedSparse(NamedTuple):
    """Neighbours and edges of each position, in tables of the largest degree. Made by `padded_sparse`."""

    windows: Windows
    neighbors: Int[Array, "n_positions degree"] | Int[np.ndarray, "n_positions degree"]  # n_nodes where there is none
    edges: Int[Array, "n_positions degree"] | Int[np.ndarray, "n_positions degree"]  # n_edges where there is none
    numbers: Int[Array, " n_edges"] | Int[np.ndarray, " n_edges"]  # 0 to n_edges - 1

    @property
    def n_nodes(self) -> int:
        return self.windows.order.shape[0]

    @property
    def n_colors(self) -> int:
        return self.windows.n_colors

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the spins of one colour, in each chain."""
        return (self.windows.width,)

    def arrange(self, params: Boltzmann) -> Boltzmann:
        """The coupling of each entry of the table, 0 where there is none, and the sorted bias.

        Raises ValueError for parameters of another graph.
        """
        check_sizes(params, self.numbers.shape[0], self.n_nodes)
        extended = jnp.pad(params.couplings, (0, 1))
        return Boltzmann(jnp.take(extended, jnp.asarray(self.edges)), self.windows.sort(params.bias))

    def pack(self, spins: Float[Array, "n_chains n_nodes"]) -> Float[Array, "n_positions n_chains"]:
        """Spins sorted by colour, chains last."""
        return self.windows.sort(spins).T

    def unpack(self, packed: Float[Array, "n_positions n_chains"]) -> Float[Array, "n_chains n_nodes"]:
        """The inverse of `pack`."""
        return jnp.take(packed, jnp.asarray(self.windows.place), axis=0).T

    def fields(self, arranged: Boltzmann, packed: Array, color: Array | int) -> Float[Array, "n_chains width"]:
        """f_i = sum_j J_ij s_j + h_i of the nodes of one colour."""
        neighbors = self.windows.cut(jnp.asarray(self.neighbors), color, 0)
        couplings = self.windows.cut(arranged.couplings, color, 0)
        bias = self.windows.cut(arranged.bias, color, 0)
        # Entries without a neighbour read the row after the last node, which stays zero.
        return (jnp.sum(couplings[:, :, None] * jnp.take(packed, neighbors, axis=0), axis=1) + bias[:, None]).T

    def window(self, packed: Array, color: Array | int) -> Float[Array, "n_chains width"]:
        """The spins of one colour."""
        return self.windows.cut(packed, color, 0).T

    def replace(self, packed: Array, new: Array, color: Array | int) -> Array:
        """All spins with those of one colour replaced."""
        return self.windows.paste(packed, new.T, color, 0)


def padded_sparse(graph: Graph, classes: Sequence[np.ndarray] | None = None) -> PaddedSparse:
    """The padded-sparse layout of a graph; without `classes` they come from `coloring.color`.

    Raises ValueError when `classes` is not a proper colouring, or the graph has loops or pairs twice.
    """
    classes = coloring.color(graph) if classes is None else classes
    coloring.check(graph, classes)
    found = windows(classes)
    ends = np.asarray(found.place)[np.asarray(graph.edges)]
    here = np.concatenate([ends[:, 0], ends[:, 1]])
    there = np.concatenate([ends[:, 1], ends[:, 0]])
    edge = np.tile(np.arange(graph.n_edges), 2)
    by_node = np.argsort(here, kind="stable")
    here, there, edge = here[by_node], there[by_node], edge[by_node]
    degrees = np.bincount(here, minlength=graph.n_nodes)
    column = np.arange(len(here)) - (np.cumsum(degrees) - degrees)[here]
    shape = (graph.n_nodes + found.width, max(1, int(degrees.max())))
    neighbors, edges = np.full(shape, graph.n_nodes, np.int32), np.full(shape, graph.n_edges, np.int32)
    neighbors[here, column], edges[here, column] = there, edge
    return PaddedSparse(found, neighbors, edges, np.arange(graph.n_edges, dtype=np.int32))
