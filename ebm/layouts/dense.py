"""Fields by a product with the coupling matrix: for graphs in which most pairs are coupled, and small ones."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ebm import coloring
from ebm.energies.boltzmann import Boltzmann, Graph, check_sizes
from ebm.energies.rbm import EXACT
from ebm.layouts.windows import Windows, windows


class Dense(NamedTuple):
    """All nodes against one colour. Chains are rows; columns are nodes sorted by colour. Made by `dense`."""

    windows: Windows
    edges: Int[Array, "n_edges 2"] | Int[np.ndarray, "n_edges 2"]  # of positions

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
        """The symmetric matrix of couplings and the bias, both sorted.

        Raises ValueError for parameters of another graph.
        """
        check_sizes(params, self.edges.shape[0], self.n_nodes)
        first, second = self.edges[:, 0], self.edges[:, 1]
        empty = jnp.zeros((self.n_nodes, self.n_nodes + self.windows.width), params.couplings.dtype)
        matrix = empty.at[first, second].set(params.couplings).at[second, first].set(params.couplings)
        return Boltzmann(matrix, self.windows.sort(params.bias))

    def pack(self, spins: Float[Array, "n_chains n_nodes"]) -> Float[Array, "n_chains n_positions"]:
        """Spins sorted by colour."""
        return self.windows.sort(spins)

    def unpack(self, packed: Float[Array, "n_chains n_positions"]) -> Float[Array, "n_chains n_nodes"]:
        """The inverse of `pack`."""
        return jnp.take(packed, jnp.asarray(self.windows.place), axis=-1)

    def fields(self, arranged: Boltzmann, packed: Array, color: Array | int) -> Float[Array, "n_chains width"]:
        """f_i = sum_j J_ij s_j + h_i of the nodes of one colour."""
        columns = self.windows.cut(arranged.couplings, color, 1)
        bias = self.windows.cut(arranged.bias, color, 0)
        return jnp.matmul(packed[:, : self.n_nodes], columns, precision=EXACT) + bias

    def window(self, packed: Array, color: Array | int) -> Float[Array, "n_chains width"]:
        """The spins of one colour."""
        return self.windows.cut(packed, color, 1)

    def replace(self, packed: Array, new: Array, color: Array | int) -> Array:
        """All spins with those of one colour replaced."""
        return self.windows.paste(packed, new, color, 1)


def dense(graph: Graph, classes: Sequence[np.ndarray] | None = None) -> Dense:
    """The dense layout of a graph; without `classes` they come from `coloring.color`.

    Raises ValueError when `classes` is not a proper colouring, or the graph has loops or pairs twice.
    """
    classes = coloring.color(graph) if classes is None else classes
    coloring.check(graph, classes)
    found = windows(classes)
    return Dense(found, np.asarray(found.place)[np.asarray(graph.edges)])
