"""Boltzmann machines on graphs with hidden nodes: learning, tempering and Gibbs with gradients, against enumeration."""

from functools import partial

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import optax
import pytest
from ising_oracle import chi_square_z

import ebm
from ebm import boltzmann, chromatic, exact, gwg, layouts, metropolis, rules, tempering
from ebm.energies.boltzmann import Boltzmann

N = 1 << 15


def machine(g, hidden, seed, scale):
    graph, _ = boltzmann.from_networkx(g, hidden)
    rng = np.random.default_rng(seed)
    return graph, Boltzmann(
        *(jnp.asarray(rng.normal(0, scale, n), jnp.float32) for n in (graph.n_edges, graph.n_nodes))
    )


def frustrated(scale=0.7, seed=0):
    """Six nodes in triangles and a square, three colours; the two hidden nodes are coupled to each other."""
    return machine(nx.Graph([(0, 1), (1, 2), (0, 2), (2, 3), (3, 4), (4, 5), (1, 4), (0, 5)]), (4, 5), seed, scale)


def grid():
    return machine(nx.grid_2d_graph(2, 4), ((0, 1), (1, 2), (1, 3)), 5, 0.6)


def enumerated(graph, params, beta):
    """Every state, and its probability by a loop over edges in float64."""
    states = np.asarray(exact.enumerate_spins(graph.n_nodes), np.float64)
    minus = states @ np.asarray(params.bias, np.float64)
    for J, (i, j) in zip(np.asarray(params.couplings, np.float64), graph.edges.tolist(), strict=True):
        minus = minus + J * states[:, i] * states[:, j]
    p = np.exp(beta * minus)
    return states, p / p.sum()


def drawn(states, p, shape, seed):
    return jnp.asarray(states[np.random.default_rng(seed).choice(len(p), shape, p=p)], jnp.float32)


def codes(states):
    """Spin i is bit i, as `exact` numbers states."""
    return ((np.asarray(states) > 0) * 2 ** np.arange(states.shape[-1])).sum(-1).astype(int)


def log_likelihoods(graph, params, rows, beta):
    """log p of visible rows: log of the sum over hidden states, minus log Z, both by `ebm.exact`."""

    def clamped(row, hidden):
        return boltzmann.clamp(graph, jnp.broadcast_to(row, (len(hidden), len(row))), hidden)

    def log_sum(row):
        hidden = exact.Space(len(graph.hidden), "spins")
        return exact.log_partition(lambda h: boltzmann.energy(graph, params, clamped(row, h)), hidden, beta)

    space = exact.Space(graph.n_nodes, "spins")
    return jax.vmap(log_sum)(rows) - exact.log_partition(partial(boltzmann.energy, graph, params), space, beta)


@pytest.mark.parametrize(
    ("build", "made", "beta"),
    [(layouts.padded_sparse, frustrated, 1.0), (layouts.choose, grid, 1.3)],
)
def test_the_gradient_is_that_of_the_exact_likelihood(build, made, beta):
    """Autodiff of the enumerated likelihood under a law of the data, 4 standard errors from the exact variances.

    Free chains start from the model and rows follow the law, so the difference of means of products has variance
    (1 - m_free²)/N + (1 - m_held²)/N, beta squared. 20 sweeps forget where the hidden nodes started.
    """
    graph, params = made()
    patterns = exact.enumerate_spins(len(graph.visible))
    law = np.random.default_rng(1).dirichlet(np.ones(len(patterns)))

    @jax.jit
    @jax.grad
    def expected(params):
        return -jnp.asarray(law, jnp.float32) @ log_likelihoods(graph, params, patterns, beta)

    rule = rules.BoltzmannLearning(
        graph=graph, layout=build(graph), chains=N, positive_steps=20, gibbs_steps=2, beta=beta
    )
    assert type(rule.layout).__name__ == ("Lattice" if made is grid else type(build(graph)).__name__)
    states, p = enumerated(graph, params, beta)
    memory = chromatic.Chains(drawn(states, p, N, 2))
    rows = drawn(np.asarray(patterns), law, N, 3)
    found, after, gap = jax.jit(rule.step)(jax.random.key(4), params, memory, rows)
    assert (after.spins != memory.spins).any()
    first, second = graph.edges.T
    free = Boltzmann(p @ (states[:, first] * states[:, second]), p @ states)
    for ours, ideal, m_free in zip(found, expected(params), free, strict=True):
        ideal = np.asarray(ideal, np.float64)
        m_held = m_free - ideal / beta
        error = beta * np.sqrt((2 - m_free**2 - m_held**2) / N)
        assert np.abs((np.asarray(ours) - ideal) / error).max() < 4
        assert np.abs(ideal / error).max() > 20  # a gradient of zero would be seen
    assert np.isfinite(gap)


def test_a_machine_with_hidden_nodes_learns_a_law_down_to_its_entropy():
    """Rows of a frustrated teacher: the exact cross-entropy comes from 2.7 nats above the entropy to below 0.01.

    The floor of 16,384 rows is about 15/2N = 0.0005 nat.
    """
    graph, teacher = frustrated(1.2, seed=4)
    patterns = exact.enumerate_spins(4)
    law = np.exp(np.asarray(log_likelihoods(graph, teacher, patterns, 1.0), np.float64))
    rows = drawn(np.asarray(patterns), law / law.sum(), 1 << 14, 0)

    def above(params):
        log_p = np.asarray(log_likelihoods(graph, params, patterns, 1.0), np.float64)
        return float(law @ (np.log(law) - log_p))

    start = boltzmann.init(jax.random.key(0), graph, scale=0.1)
    rule = rules.BoltzmannLearning(graph=graph, chains=512, gibbs_steps=5, positive_steps=5)
    optimizer = optax.adam(optax.cosine_decay_schedule(0.05, 600))
    trained = ebm.fit(jax.random.key(1), start, rows, rule=rule, optimizer=optimizer, steps=600, batch=512, chunk=300)
    print(f"nats above the entropy: {above(start):.4f} before, {above(trained.params):.4f} after")
    assert above(start) > 2
    assert above(trained.params) < 0.01


@pytest.mark.parametrize(
    ("change", "data", "said"),
    [
        ({"chains": 0}, None, "chains must be at least 1, got 0"),
        ({"beta": 0.0}, None, r"beta must be a positive number, got 0\.0"),
        ({"layout": layouts.dense(boltzmann.from_networkx(nx.path_graph(3))[0])}, None, "the 6 nodes of graph, got 3"),
        ({}, jnp.ones((5, 6)), r"rows of 4 spins in \{-1, 1\}.*got shape \(5, 6\)"),
        ({}, jnp.zeros((5, 4)), r"with values from 0\.0 to 0\.0; bits x are spins 2 x - 1"),
        ({}, jnp.full((5, 4), jnp.nan), "with values from nan"),
    ],
)
def test_rules_and_rows_that_cannot_be_are_refused(change, data, said):
    graph, params = frustrated()
    with pytest.raises(ValueError, match=said):
        rules.BoltzmannLearning(**{"graph": graph} | change).init(jax.random.key(0), params, data)


def test_tempered_copies_stay_at_the_enumerated_law_of_every_beta():
    """200 seeds of 50 ladders, each copy started from the law of its beta: counts of all 64 states within 4 sigma, and
    the same counts refuse the law of the neighbouring beta."""
    graph, params = frustrated(1.0)
    betas = np.array([0.0, 0.5, 1.2])
    laws = [enumerated(graph, params, beta)[1] for beta in betas]
    states = enumerated(graph, params, 1.0)[0]
    start = jnp.stack([drawn(states, p, (200, 50), k) for k, p in enumerate(laws)], axis=1)
    kernel, energy = tempering.graph(graph, params, layouts.padded_sparse(graph))

    @jax.jit
    def run(seed, spins):
        ladder = jnp.asarray(betas, jnp.float32)
        state = tempering.init(energy, ladder, spins)
        step = lambda key, state: tempering.step(key, kernel, energy, ladder, state)  # noqa: E731
        state, info = metropolis.sweeps(jax.random.key(seed), step, state, 6)
        return jnp.stack([tempering.at(state, level) for level in range(3)]), info.is_swapped.mean()

    ends, swapped = jax.vmap(run)(jnp.arange(200), start)
    assert 0.1 < float(swapped.mean()) < 0.5
    for level, p in enumerate(laws):
        counts = np.bincount(codes(ends[:, level]).ravel(), minlength=64)
        assert abs(chi_square_z(counts, p * 10_000)) < 4
        assert abs(chi_square_z(counts, laws[level - 1] * 10_000)) > 20


def test_gibbs_with_gradients_stays_at_the_law_of_a_graph_machine():
    """`partial(boltzmann.energy, graph)` is the `energy(params, x)` of general samplers; 20,000 chains, 4 sigma."""
    graph, params = frustrated()
    energy = partial(boltzmann.energy, graph)
    states, p = enumerated(graph, params, 1.0)
    start = drawn(states, p, 20_000, 0)

    @jax.jit
    def run(key, params, x):
        step = lambda key, state: gwg.step(key, energy, params, state, kind="spins")  # noqa: E731
        return metropolis.sweeps(key, step, metropolis.init(energy, params, x), 8)

    end, info = run(jax.random.key(1), params, start)
    assert (end.position != start).any(axis=1).mean() > 0.5
    assert 0.3 < float(info.acceptance.mean()) < 1
    counts = np.bincount(codes(end.position), minlength=64)
    assert abs(chi_square_z(counts, p * len(start))) < 4
    assert abs(chi_square_z(counts, enumerated(graph, params, 0.8)[1] * len(start))) > 10
