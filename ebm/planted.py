"""Planted Ising machines: data whose law is known, to compare what was learnt with what was there.

Spins s in {-1, 1} on a square grid with open ends, E(s) = -sum J_ij s_i s_j - sum h_i s_i, p = exp(-E) / Z. Data rows
hold bits, (1 + s) / 2.
"""

from typing import NamedTuple

import jax.numpy as jnp
import networkx as nx
import numpy as np
from jaxtyping import Float

from ebm.data import Rows, Split
from ebm.energies.boltzmann import Boltzmann, Graph, from_networkx

MAX_EXACT_SPINS = 20
GIBBS_SWEEPS = 2000


class Planted(NamedTuple):
    """The truth: who is coupled to whom, and how strongly."""

    graph: Graph
    params: Boltzmann


def ising(size: int = 4, *, seed: int = 0, coupling: float = 0.5, field: float = 0.1) -> Planted:
    """A `size` x `size` grid with couplings +-`coupling` at random and normal fields of deviation `field`.

    At size 4 about half of the squares are frustrated: no state satisfies all of their couplings.
    Raises ValueError for a size outside 2 to 10.
    """
    if not 2 <= size <= 10:
        raise ValueError(f"size must be from 2 to 10 for planted Ising data, got {size}")
    graph, _ = from_networkx(nx.grid_2d_graph(size, size))
    rng = np.random.default_rng(seed)
    couplings = coupling * rng.choice([-1.0, 1.0], graph.n_edges)
    fields = field * rng.standard_normal(graph.n_nodes)
    return Planted(graph, Boltzmann(jnp.asarray(couplings, jnp.float32), jnp.asarray(fields, jnp.float32)))


def frustrated_loops(size: int = 4, *, seed: int = 0, loops: int = 8, coupling: float = 0.5) -> Planted:
    """A grid on which `loops` squares were planted, each satisfied but for one coupling by a hidden state.

    A square adds +`coupling` to three of its sides and -`coupling` to one, in the gauge of the hidden state; so that
    state is a ground state of every square and thereby of the sum (Hen et al. 2015, on loops of any length). No fields.
    Raises ValueError for a size outside 2 to 10 or no loop.
    """
    if loops < 1:
        raise ValueError(f"loops must be at least 1, got {loops}")
    bare = ising(size, seed=seed, coupling=0.0, field=0.0)
    rng = np.random.default_rng(seed)
    hidden = rng.choice([-1.0, 1.0], bare.graph.n_nodes)
    number = {frozenset(map(int, edge)): i for i, edge in enumerate(bare.graph.edges)}
    couplings = np.zeros(bare.graph.n_edges)
    for corner in rng.integers(0, size - 1, (loops, 2)):
        first = int(corner[0] * size + corner[1])
        ring = [first, first + 1, first + size + 1, first + size]
        signs = np.ones(4)
        signs[rng.integers(4)] = -1
        for sign, i, j in zip(signs, ring, ring[1:] + ring[:1], strict=True):
            couplings[number[frozenset((i, j))]] += coupling * sign * hidden[i] * hidden[j]
    return bare._replace(params=bare.params._replace(couplings=jnp.asarray(couplings, jnp.float32)))


def rows(truth: Planted, *, seed: int = 0, n_train: int = 4096, n_test: int = 1024) -> Split:
    """Independent rows of bits that follow the truth: exactly up to 20 spins, by long Gibbs runs above.

    A larger machine is sampled by one chain a row of 2,000 sweeps, cooled along a straight line in the first half.
    """
    rng = np.random.default_rng(seed)
    n = n_train + n_test
    if truth.graph.n_nodes <= MAX_EXACT_SPINS:
        law = np.exp(log_law(truth))
        codes = np.searchsorted(np.cumsum(law) / law.sum(), rng.random(n))
        bits = (codes[:, None] >> np.arange(truth.graph.n_nodes)) & 1
    else:
        bits = _gibbs(rng, truth, n) > 0
    bits = bits.astype(np.float32)
    return Split(bits[:n_train], bits[n_train:])


def log_law(truth: Planted) -> Float[np.ndarray, " n_states"]:
    """log p of every state, in float64; bit i of a state's number is spin i. Raises ValueError above 20 spins."""
    n = truth.graph.n_nodes
    if n > MAX_EXACT_SPINS:
        raise ValueError(f"the law of a planted machine is summed up to {MAX_EXACT_SPINS} spins, got {n}")
    codes = np.arange(1 << n)
    spins = 2.0 * ((codes[:, None] >> np.arange(n)) & 1) - 1.0
    terms = -_energy(truth, spins)
    return terms - np.logaddexp.reduce(terms)


def log_likelihood(truth: Planted, bits: Rows) -> Float[np.ndarray, " n"]:
    """log p of rows of bits under the truth: what no model can beat in the mean. Raises ValueError above 20 spins."""
    codes = bits.astype(np.int64) @ (1 << np.arange(truth.graph.n_nodes))
    return log_law(truth)[codes]


def _energy(truth: Planted, spins: np.ndarray) -> np.ndarray:
    edges = np.asarray(truth.graph.edges)
    couplings, fields = (np.asarray(leaf, np.float64) for leaf in truth.params)
    energy = -spins @ fields
    for (i, j), coupling in zip(edges, couplings, strict=True):
        energy -= coupling * spins[:, i] * spins[:, j]
    return energy


def _gibbs(rng: np.random.Generator, truth: Planted, n: int) -> np.ndarray:
    matrix = np.zeros((truth.graph.n_nodes,) * 2, np.float32)
    edges = np.asarray(truth.graph.edges)
    matrix[edges[:, 0], edges[:, 1]] = matrix[edges[:, 1], edges[:, 0]] = np.asarray(truth.params.couplings)
    fields = np.asarray(truth.params.bias)
    spins = rng.choice(np.array([-1.0, 1.0], np.float32), (n, truth.graph.n_nodes))
    side = round(truth.graph.n_nodes**0.5)
    row, column = np.divmod(np.arange(truth.graph.n_nodes), side)
    colour = (row + column) % 2  # a grid has two, and nodes of one are not coupled
    for sweep in range(GIBBS_SWEEPS):
        beta = min(1.0, 2.0 * (sweep + 1) / GIBBS_SWEEPS)
        for chosen in (colour == 0, colour == 1):
            field = spins @ matrix[:, chosen] + fields[chosen]
            up = rng.random(field.shape, np.float32) < 1.0 / (1.0 + np.exp(-2.0 * beta * field))
            spins[:, chosen] = np.where(up, 1.0, -1.0)
    return spins
