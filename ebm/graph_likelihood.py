"""Exact likelihoods of Boltzmann machines on graphs, and exact draws of their hidden nodes, in float64 on the host.

Given some nodes the others fall into pieces, the connected parts of the graph without the given ones, which are
independent of each other: sums over their states are taken piece by piece, and a layered machine, whose hidden nodes
are all pieces of one node, has no limit on their number.
"""

from typing import NamedTuple

import jax
import networkx as nx
import numpy as np
from jaxtyping import Array, Float, Key

from ebm.energies.boltzmann import Boltzmann, Graph
from ebm.likelihood import (
    CHUNK_VALUES,
    MAX_ENUMERATED_UNITS,
    Rows,
    binary_states,
    check_values,
    check_width,
    log_sum_exp,
)

CLAMPED_ROWS = 256  # rows whose free nodes are summed out together


def graph_log_partition(graph: Graph, params: Boltzmann, beta: float = 1.0) -> float:
    """log Z = log sum_s exp(-beta E(s)) of a Boltzmann machine, over all states of its nodes.

    Raises ValueError when it has more than 22 nodes.
    """
    n_nodes = graph.n_nodes
    if n_nodes > MAX_ENUMERATED_UNITS:
        raise ValueError(
            f"the exact log Z needs at most {MAX_ENUMERATED_UNITS} nodes, got {n_nodes}; take a smaller graph, or "
            "bound it with ebm.ais"
        )
    # Half of the nodes are summed out given the other half: products of two short matrices instead of every state.
    half = n_nodes // 2
    clamped = _clamped(graph, params, beta, np.arange(half), np.arange(half, n_nodes))
    return float(log_sum_exp(_log_sums(clamped, 2 * states - 1) for states in binary_states(half, n_nodes)))


def graph_log_likelihood(
    graph: Graph, params: Boltzmann, x: Rows, beta: float = 1.0, log_z: float | None = None
) -> Float[np.ndarray, " n"]:
    """log p(v) = log Z_v - log Z of rows of visible spins, Z_v being the sum over the hidden nodes with v clamped.

    Rows are in the order of `graph.visible`. Raises ValueError when there are more than 22 nodes (where `log_z` is
    known already: more than 22 hidden nodes in one piece), or a row has not n_visible values of -1 or 1.
    """
    check_rows(graph, x)
    clamped = _clamped(graph, params, beta, np.asarray(graph.visible), np.asarray(graph.hidden))
    largest = largest_piece(graph)
    if largest > MAX_ENUMERATED_UNITS:
        raise ValueError(
            f"the exact likelihood needs at most {MAX_ENUMERATED_UNITS} hidden nodes, got {largest} that hang "
            "together; take fewer, or bound it with ebm.ais"
        )
    log_z = graph_log_partition(graph, params, beta) if log_z is None else log_z
    return _log_sums(clamped, np.asarray(x, np.float64)) - log_z


def draw_hidden(
    key: Key[Array, ""], graph: Graph, params: Boltzmann, x: Rows
) -> tuple[Float[np.ndarray, "n n_hidden"], Float[np.ndarray, " n"]]:
    """Hidden spins from their exact law given rows of visible ones, and log Z_v of each row. Key is consumed.

    Every piece is enumerated for every row: `largest_piece(graph)` should be 16 or less. Raises ValueError as
    `graph_log_likelihood`.
    """
    check_rows(graph, x)
    hidden = np.asarray(graph.hidden)
    clamped = _clamped(graph, params, 1.0, np.asarray(graph.visible), hidden)
    rows = np.asarray(x, np.float64)
    spins, log_z = np.empty((len(rows), len(hidden))), _alone(clamped, rows)
    place = {int(node): i for i, node in enumerate(hidden)}
    random = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    for piece in clamped.pieces:
        columns = [place[int(node)] for node in piece]
        chunk = max(1, CHUNK_VALUES >> len(piece))
        states = 2 * np.concatenate(list(binary_states(len(piece), 1))) - 1
        for start in range(0, len(rows), chunk):
            here = slice(start, start + chunk)
            terms = _terms(clamped, piece, rows[here], states)
            log_sum = log_sum_exp([terms])
            below = np.cumsum(np.exp(terms - log_sum[:, None]), axis=1)
            chosen = (below < random.random((len(terms), 1)) * below[:, -1:]).sum(axis=1)
            spins[here, columns] = states[chosen]
            log_z[here] += log_sum
    return spins, log_z


def largest_piece(graph: Graph) -> int:
    """Hidden nodes in the largest piece, 0 where there is none: what an enumeration given the data doubles with."""
    return max((len(piece) for piece in _pieces(graph, np.asarray(graph.hidden))), default=0)


class _Clamped(NamedTuple):
    couplings: np.ndarray  # (n_nodes, n_nodes), symmetric, times beta
    bias: np.ndarray
    kept: np.ndarray  # the nodes that rows give
    pieces: list[np.ndarray]  # of the nodes that are summed


def _clamped(graph: Graph, params: Boltzmann, beta: float, kept: np.ndarray, summed: np.ndarray) -> _Clamped:
    first, second = np.asarray(graph.edges).T
    couplings = np.zeros((graph.n_nodes, graph.n_nodes))
    np.add.at(couplings, (first, second), beta * np.asarray(params.couplings, np.float64))
    return _Clamped(couplings + couplings.T, beta * np.asarray(params.bias, np.float64), kept, _pieces(graph, summed))


def _pieces(graph: Graph, nodes: np.ndarray) -> list[np.ndarray]:
    g = nx.Graph(np.asarray(graph.edges).tolist())
    g.add_nodes_from(nodes.tolist())
    return [np.sort(list(piece)) for piece in nx.connected_components(g.subgraph(nodes.tolist()))]


def _log_sums(clamped: _Clamped, v: np.ndarray) -> np.ndarray:
    """log of the sum over the spins of all pieces of exp(-beta E), for rows `v` of spins of the kept nodes."""
    log_z = _alone(clamped, v)
    for start in range(0, len(v), CLAMPED_ROWS):
        here = slice(start, start + CLAMPED_ROWS)
        for piece in clamped.pieces:
            width = max(len(v[here]), len(piece))
            log_z[here] += log_sum_exp(
                _terms(clamped, piece, v[here], 2 * states - 1) for states in binary_states(len(piece), width)
            )
    return log_z


def _terms(clamped: _Clamped, piece: np.ndarray, v: np.ndarray, states: np.ndarray) -> np.ndarray:
    """What the states of a piece, along the columns, add to -beta E beside rows `v`."""
    fields = v @ clamped.couplings[np.ix_(clamped.kept, piece)] + clamped.bias[piece]
    return fields @ states.T + _pairs(clamped.couplings[np.ix_(piece, piece)], states)


def _alone(clamped: _Clamped, v: np.ndarray) -> np.ndarray:
    """-beta E of the kept nodes among themselves."""
    kept = clamped.kept
    return v @ clamped.bias[kept] + _pairs(clamped.couplings[np.ix_(kept, kept)], v)


def _pairs(couplings: np.ndarray, s: np.ndarray) -> np.ndarray:
    """sum over pairs of J_ij s_i s_j, for rows of spins."""
    return 0.5 * ((s @ couplings) * s).sum(axis=-1)


def check_rows(graph: Graph, x: Rows) -> None:
    """Raise ValueError unless these are rows of a spin, -1 or 1, for each visible node."""
    check_width(x, len(graph.visible))
    check_values(np.abs(np.asarray(x)) == 1, x, "spins, -1 or 1", "bits b become spins as 2 b - 1")
