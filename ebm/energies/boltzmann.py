"""The Boltzmann machine on a graph: spins in {-1, 1} with E(s) = -sum_edges J_ij s_i s_j - sum_i h_i s_i.

The law is p(s) = exp(-beta E(s)) / Z, beta = 1 where none is given (Ackley, Hinton & Sejnowski 1985). The field of a
spin is f_i = sum_j J_ij s_j + h_i, each edge counted once, and p(s_i = 1 | the others) = sigmoid(2 beta f_i): flipping
a spin changes E by 2 s_i f_i. Units x in {0, 1} give the same law with other parameters; `to_binary` and
`from_binary` convert, and `from_rbm` writes an RBM as a graph.
"""

from collections.abc import Collection, Hashable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
from jaxtyping import Array, Float, Int, Key

from ebm.energies.rbm import EXACT, Rbm


class Graph(NamedTuple):
    """Who is coupled to whom, and which nodes the data fix. Nodes are 0, 1, ..., n_nodes - 1.

    A pytree of index arrays whose sizes are shapes: passed to a compiled function it is an argument, and neither new
    parameters nor another graph of the same sizes compile again. Made by `from_networkx` and `from_rbm`, its arrays
    are NumPy's, so that colourings and layouts are worked out from it on the host.
    """

    edges: Int[Array, "n_edges 2"] | Int[np.ndarray, "n_edges 2"]  # each pair once
    visible: Int[Array, " n_visible"] | Int[np.ndarray, " n_visible"]
    hidden: Int[Array, " n_hidden"] | Int[np.ndarray, " n_hidden"]

    @property
    def n_nodes(self) -> int:
        """Visible and hidden nodes together."""
        return self.visible.shape[0] + self.hidden.shape[0]

    @property
    def n_edges(self) -> int:
        """Couplings, each pair of nodes counted once."""
        return self.edges.shape[0]


class Boltzmann(NamedTuple):
    """Parameters on a graph: a coupling J an edge, in the order of `Graph.edges`, and a bias h a node."""

    couplings: Float[Array, " n_edges"]
    bias: Float[Array, " n_nodes"]


class Binary(NamedTuple):
    """The same machine for x in {0, 1}: E(x) = offset - sum_edges W_ij x_i x_j - sum_i b_i x_i."""

    weights: Float[Array, " n_edges"]
    bias: Float[Array, " n_nodes"]
    offset: Float[Array, ""]


def from_networkx(g: nx.Graph, hidden: Collection[Hashable] = ()) -> tuple[Graph, list[Hashable]]:
    """The graph of `g`, and which node of `g` each index stands for; nodes in `hidden` are never in the data.

    Nodes and edges keep the order of `g.nodes` and `g.edges`, so an attribute is
    `jnp.array([value for *_, value in g.edges(data="weight")])`.
    Raises ValueError for directed graphs, multigraphs, self-loops, graphs without visible nodes, and hidden nodes that
    are not in `g`.
    """
    if g.is_directed() or g.is_multigraph():
        raise ValueError(
            f"g must be a plain networkx.Graph, got {type(g).__name__}; couplings are symmetric, one a pair"
        )
    loops = list(nx.nodes_with_selfloops(g))
    if loops:
        raise ValueError(f"g must have no self-loops, got one at node {loops[0]!r}: s_i s_i is constant; remove it")
    nodes = list(g.nodes)
    index = {node: i for i, node in enumerate(nodes)}
    strangers = [node for node in hidden if node not in index]
    if strangers:
        raise ValueError(f"hidden must hold nodes of g, got {strangers[0]!r}")
    chosen = set(hidden)
    if len(chosen) == len(nodes):
        raise ValueError(
            f"g must have at least 1 visible node, got {len(nodes)} nodes and {len(chosen)} of them hidden"
        )
    edges = np.array([(index[a], index[b]) for a, b in g.edges], np.int32).reshape(-1, 2)
    is_hidden = np.array([node in chosen for node in nodes])
    graph = Graph(edges, np.flatnonzero(~is_hidden).astype(np.int32), np.flatnonzero(is_hidden).astype(np.int32))
    return graph, nodes


def init(key: Key[Array, ""], graph: Graph, scale: float = 0.01) -> Boltzmann:
    """Normal couplings of standard deviation `scale`, no biases. Key is consumed."""
    return Boltzmann(scale * jax.random.normal(key, (graph.n_edges,)), jnp.zeros(graph.n_nodes))


def check_sizes(params: Boltzmann, n_edges: int, n_nodes: int) -> None:
    """Raises ValueError unless the parameters have a coupling an edge and a bias a node."""
    for name, of, found, wanted in (
        ("couplings", "edges", params.couplings, n_edges),
        ("bias", "nodes", params.bias, n_nodes),
    ):
        if found.shape != (wanted,):
            raise ValueError(f"params.{name} must have one number for each of the {wanted} {of}, got {found.shape}")


def energy(graph: Graph, params: Boltzmann, s: Float[Array, "*batch n_nodes"]) -> Float[Array, "*batch"]:
    """E(s) of joint states of visible and hidden spins, without beta."""
    pairs = s[..., graph.edges[:, 0]] * s[..., graph.edges[:, 1]]
    interaction = jnp.matmul(pairs, params.couplings, precision=EXACT)
    return -interaction - jnp.matmul(s, params.bias, precision=EXACT)


def fields(graph: Graph, params: Boltzmann, s: Float[Array, "*batch n_nodes"]) -> Float[Array, "*batch n_nodes"]:
    """f_i = sum_j J_ij s_j + h_i of every spin: the definition that faster layouts must agree with."""
    first, second = graph.edges[:, 0], graph.edges[:, 1]
    start = jnp.broadcast_to(params.bias, s.shape)
    return (
        start.at[..., first]
        .add(params.couplings * s[..., second])
        .at[..., second]
        .add(params.couplings * s[..., first])
    )


def clamp(graph: Graph, visible: Float[Array, "*batch n_visible"], hidden: Float[Array, "*batch n_hidden"]) -> Array:
    """Joint spins `(*batch, n_nodes)` from the spins of the two kinds of node, each in the order of its index list."""
    s = jnp.zeros((*visible.shape[:-1], graph.n_nodes), visible.dtype)
    return s.at[..., graph.visible].set(visible).at[..., graph.hidden].set(hidden)


def to_binary(graph: Graph, params: Boltzmann) -> Binary:
    """The parameters for x = (1 + s) / 2 with the same energy, state by state.

    W = 4 J, b_i = 2 h_i - 2 sum_j J_ij, and an offset of sum h - sum J.
    """
    weights = 4 * params.couplings
    bias = 2 * params.bias - 2 * _node_sums(graph, params.couplings)
    return Binary(weights, bias, jnp.sum(params.bias) - jnp.sum(params.couplings))


def from_binary(graph: Graph, binary: Binary) -> tuple[Boltzmann, Float[Array, ""]]:
    """The parameters for s = 2 x - 1, and the constant c by which the energies differ: E(x) = E(s) + c.

    J = W / 4, h_i = b_i / 2 + sum_j W_ij / 4, c = offset - sum W / 4 - sum b / 2.
    """
    couplings = binary.weights / 4
    bias = binary.bias / 2 + _node_sums(graph, couplings)
    return Boltzmann(couplings, bias), binary.offset - jnp.sum(couplings) - jnp.sum(binary.bias) / 2


def from_rbm(params: Rbm) -> tuple[Graph, Boltzmann, Float[Array, ""]]:
    """An RBM as a bipartite graph: visible nodes first, then hidden ones, the edge of W_ij at i n_hidden + j.

    The last value is the constant c of E_rbm(v, h) = E(s) + c at v, h = (1 + s) / 2; log Z of the RBM is that of the
    graph minus c.
    """
    n_visible, n_hidden = params.weights.shape
    first = np.repeat(np.arange(n_visible, dtype=np.int32), n_hidden)
    second = np.tile(np.arange(n_visible, n_visible + n_hidden, dtype=np.int32), n_visible)
    visible = np.arange(n_visible, dtype=np.int32)
    graph = Graph(np.stack([first, second], 1), visible, np.arange(n_visible, n_visible + n_hidden, dtype=np.int32))
    bias = jnp.concatenate([params.visible_bias, params.hidden_bias])
    spins, constant = from_binary(graph, Binary(params.weights.reshape(-1), bias, jnp.zeros((), bias.dtype)))
    return graph, spins, constant


def _node_sums(graph: Graph, values: Float[Array, " n_edges"]) -> Float[Array, " n_nodes"]:
    """Sum over the edges of each node."""
    start = jnp.zeros(graph.n_nodes, values.dtype)
    return start.at[graph.edges[:, 0]].add(values).at[graph.edges[:, 1]].add(values)
