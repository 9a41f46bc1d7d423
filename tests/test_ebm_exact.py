"""Sums over every state: against float64 NumPy, against closed forms, and never in memory at once."""

import tracemalloc

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest
from ebm_oracle import (
    bits,
    chi_square_tail,
    energy,
    free_energy,
    leaves,
    log_sum_exp,
    one_hots,
    spin_energy,
    visible_states,
)
from scipy import stats

import ebm
from ebm import boltzmann, exact, gaussian, graph_likelihood, likelihood, potts, rbm

KEY = jax.random.key(8)


def normals(*shape, seed=0, scale=1.0):
    return jnp.asarray(scale * np.random.default_rng(seed).normal(size=shape), jnp.float32)


BERNOULLI = rbm.Rbm(normals(6, 4, seed=1), normals(6, seed=2), normals(4, seed=3))
POTTS = potts.PottsRbm(normals(4, 3, 5, seed=7), normals(4, 3, seed=8), normals(5, seed=9))
SYMBOLS = exact.Space(4, "one-hot", 3)
GRAPH, _ = boltzmann.from_networkx(nx.random_regular_graph(3, 8, seed=3), hidden=[2, 5, 6])
MACHINE = boltzmann.Boltzmann(normals(12, seed=30), normals(8, seed=31))
SPINS = exact.Space(8, "spins")


def spins_energy(params, s):
    return boltzmann.energy(GRAPH, params, s)


def test_states_are_numbered_from_the_lowest_digit():
    np.testing.assert_array_equal(exact.enumerate_binary(3), [[n & 1, n >> 1 & 1, n >> 2] for n in range(8)])
    np.testing.assert_array_equal(exact.enumerate_spins(3), 2 * exact.enumerate_binary(3) - 1)
    rows = exact.Space(2, "one-hot", 3).states(jnp.arange(9))
    digits = [(n % 3, n // 3) for n in range(9)]
    np.testing.assert_array_equal(rows, [np.eye(3)[list(pair)].ravel() for pair in digits])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "n_sites must be at least 1, got 0"),
        ((23,), r"at most 2\^22 states, got 2\^23; take fewer sites, or estimate with ebm.ais"),
        ((14, "one-hot", 3), r"got 3\^14"),
        ((3, "spins", 3), "n_states must be 2, or more where kind='one-hot', got 3 for 'spins'"),
        ((3, "foo"), "kind must be 'binary', 'spins' or 'one-hot', got 'foo'"),
    ],
)
def test_spaces_that_cannot_be_enumerated_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        exact.Space(*arguments)


@pytest.mark.parametrize("chunk", [1 << 14, 32])  # 32 cuts 81 states unevenly
def test_laws_and_log_z_are_the_sums_at_any_beta_however_they_are_cut(monkeypatch, chunk):
    monkeypatch.setattr(exact, "CHUNK_STATES", chunk)
    minus = -free_energy(POTTS, POTTS_STATES)
    law, log_z = (f(POTTS.free_energy, SYMBOLS) for f in (exact.log_law, exact.log_partition))
    assert float(log_z) == pytest.approx(log_sum_exp(minus), abs=1e-5)
    np.testing.assert_allclose(law, minus - log_sum_exp(minus), atol=2e-5)
    minus = -0.6 * spin_energy(GRAPH, MACHINE, np.asarray(exact.enumerate_spins(8), np.float64))
    assert float(exact.log_partition(lambda s: spins_energy(MACHINE, s), SPINS, 0.6)) == pytest.approx(
        log_sum_exp(minus), abs=1e-5
    )
    p = np.exp(minus - log_sum_exp(minus))
    mean = exact.expectation(lambda s: s[:, :, None] * s[:, None, :], lambda s: spins_energy(MACHINE, s), SPINS, 0.6)
    s = np.asarray(exact.enumerate_spins(8), np.float64)
    np.testing.assert_allclose(mean, np.einsum("n,ni,nj->ij", p, s, s), atol=1e-5)


POTTS_STATES = np.asarray(SYMBOLS.states(jnp.arange(81)), np.float64)


def test_samples_follow_the_law():
    """81 states from 200,000 samples: chi-square tail of 1e-6; states of probability 0 never come."""
    minus = -free_energy(POTTS, POTTS_STATES)
    p = np.exp(minus - log_sum_exp(minus))
    n = 200_000
    drawn = jax.jit(lambda key: exact.samples(key, POTTS.free_energy, SYMBOLS, n))(KEY)
    drawn = np.asarray(drawn).reshape(n, 4, 3).argmax(-1)
    assert chi_square_tail(drawn @ 3 ** np.arange(4), p) > 1e-6
    some = jnp.log(jnp.array([0.0, 0.25, 0.0, 0.0, 0.75, 0.0, 0.0]))
    codes = np.asarray(exact.codes(KEY, some, 100_000))
    assert set(codes) == {1, 4}
    assert abs((codes == 4).mean() - 0.75) < 5 * np.sqrt(0.75 * 0.25 / 100_000)


def test_samples_of_large_spaces_have_closed_form_means():
    """2^18 states of independent spins, mean tanh(h), and of neighbours' products: |z| < 5 of 35 numbers."""
    h = np.linspace(-2, 2, 18)
    n = 100_000
    space = exact.Space(18, "spins")
    drawn = jax.jit(lambda key: exact.samples(key, lambda s: -s @ jnp.asarray(h, jnp.float32), space, n))(KEY)
    s = np.asarray(drawn, np.float64)
    mean = np.tanh(h)
    assert np.abs((s.mean(0) - mean) / np.sqrt((1 - mean**2) / n)).max() < 5
    pair = mean[1:] * mean[:-1]
    assert np.abs(((s[:, 1:] * s[:, :-1]).mean(0) - pair) / np.sqrt((1 - pair**2) / n)).max() < 5


# Gradients ----------------------------------------------------------------------------------------------------------


def central_differences(log_likelihood, params, step=1e-5):
    """The gradient of a float64 NumPy function of the leaves, one parameter at a time."""
    start = leaves(params)
    slopes = {}
    for name, leaf in start.items():
        slopes[name] = np.zeros(leaf.shape)
        for place in np.ndindex(leaf.shape):
            values = []
            for sign in (1, -1):
                moved = leaf.copy()
                moved[place] += sign * step
                values.append(log_likelihood(params._replace(**(start | {name: moved}))))
            slopes[name][place] = (values[0] - values[1]) / (2 * step)
    return slopes


def assert_gradients_agree(ours, slopes):
    for name, leaf in ours._asdict().items():
        np.testing.assert_allclose(leaf, slopes[name], atol=2e-5)  # float32 sums of 2^8 terms


@pytest.mark.parametrize(
    ("params", "space"), [(BERNOULLI, exact.Space(6)), (POTTS, SYMBOLS)], ids=["bernoulli", "potts"]
)
def test_gradients_of_layered_likelihoods_are_those_of_finite_differences(params, space):
    states = visible_states(params)
    x = states[[0, 3, 11, 11, 40]]

    @jax.jit
    def ours(params, beta):
        def energy_at(p, v):
            return p.tempered(beta).free_energy(v)

        return exact.gradient(energy_at, params, space, jnp.asarray(x, jnp.float32))

    for beta in (1.0, 0.6):

        def mean_log_p(p, beta=beta):
            return -free_energy(p, x, beta).mean() - log_sum_exp(-free_energy(p, states, beta))

        assert_gradients_agree(ours(params, beta), central_differences(mean_log_p, params))


def test_gradients_of_graph_likelihoods_are_those_of_finite_differences():
    """All nodes visible, through `gradient`; and three of them hidden, by summing them out of each row."""
    s = np.asarray(exact.enumerate_spins(8), np.float64)
    x = s[[5, 100, 200, 201]]
    rows = jnp.asarray(x[:, GRAPH.visible], jnp.float32)

    @jax.jit
    def ours(params, beta):
        return exact.gradient(spins_energy, params, SPINS, jnp.asarray(x, jnp.float32), beta)

    @jax.jit
    @jax.grad
    def ours_clamped(params, beta):
        def log_z_of(row):
            def energy_of(h):
                return spins_energy(params, boltzmann.clamp(GRAPH, jnp.broadcast_to(row, (len(h), 5)), h))

            return exact.log_partition(energy_of, exact.Space(3, "spins"), beta)

        log_z = exact.log_partition(lambda s: spins_energy(params, s), SPINS, beta)
        return jax.vmap(log_z_of)(rows).mean() - log_z

    for beta in (1.0, 0.6):

        def log_p(p, beta=beta):
            return (-beta * spin_energy(GRAPH, p, x)).mean() - log_sum_exp(-beta * spin_energy(GRAPH, p, s))

        def clamped_log_p(p, beta=beta):
            total = -log_sum_exp(-beta * spin_energy(GRAPH, p, s))
            for row in x:
                alike = s[(s[:, GRAPH.visible] == row[GRAPH.visible]).all(axis=1)]
                total += log_sum_exp(-beta * spin_energy(GRAPH, p, alike)) / len(x)
            return total

        assert_gradients_agree(ours(MACHINE, beta), central_differences(log_p, MACHINE))
        assert_gradients_agree(ours_clamped(MACHINE, beta), central_differences(clamped_log_p, MACHINE))
        found = ebm.graph_log_likelihood(GRAPH, MACHINE, rows, beta).mean()
        assert found == pytest.approx(clamped_log_p(MACHINE), rel=1e-12)


# Likelihoods in float64 ---------------------------------------------------------------------------------------------


def test_potts_likelihoods_are_the_sum_over_every_joint_state():
    v, h = one_hots(4, 3), bits(5)
    log_z = log_sum_exp(-energy(POTTS, v[:, None], h).ravel())
    assert ebm.log_partition(POTTS) == pytest.approx(log_z, rel=1e-13)
    np.testing.assert_allclose(ebm.log_likelihood(POTTS, v), -free_energy(POTTS, v) - log_z, atol=1e-12)


def test_gaussian_machines_without_couplings_have_the_closed_form():
    """Z = 2^n_hidden (2 pi)^(n/2) prod sigma, and the density is that of scipy's normal law."""
    sigma, mean = np.array([0.1, 1.0, 30.0]), np.array([1.0, -2.0, 5.0])
    params = gaussian.init(KEY, 3, 6, jnp.asarray(mean, jnp.float32), jnp.asarray(sigma, jnp.float32)).independent()
    expected = 6 * np.log(2) + 1.5 * np.log(2 * np.pi) + np.log(sigma).sum()
    assert ebm.log_partition(params) == pytest.approx(expected, abs=1e-6)
    assert likelihood.log_partition_independent(params) == pytest.approx(ebm.log_partition(params), rel=1e-13)
    x = np.random.default_rng(0).normal(mean, sigma, (50, 3))
    np.testing.assert_allclose(ebm.log_likelihood(params, x), stats.norm.logpdf(x, mean, sigma).sum(1), atol=1e-4)


def test_likelihoods_do_not_depend_on_how_the_sums_are_cut(monkeypatch):
    v = np.asarray(exact.enumerate_spins(5))

    def values():
        yield ebm.log_partition(POTTS)
        yield from ebm.log_likelihood(POTTS, one_hots(4, 3))
        yield ebm.graph_log_partition(GRAPH, MACHINE)
        yield from ebm.graph_log_likelihood(GRAPH, MACHINE, v)

    whole = list(values())
    monkeypatch.setattr(likelihood, "CHUNK_VALUES", 20)
    monkeypatch.setattr(graph_likelihood, "CLAMPED_ROWS", 3)
    np.testing.assert_allclose(list(values()), whole, rtol=1e-13)
    s = np.asarray(exact.enumerate_spins(8), np.float64)
    assert ebm.graph_log_partition(GRAPH, MACHINE, 0.3) == pytest.approx(
        log_sum_exp(-0.3 * spin_energy(GRAPH, MACHINE, s)), rel=1e-13
    )
    assert np.exp(ebm.graph_log_likelihood(GRAPH, MACHINE, v, 0.3)).sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("n_nodes", [1, 2])
def test_the_smallest_graphs_have_closed_forms(n_nodes):
    graph, _ = boltzmann.from_networkx(nx.path_graph(n_nodes))
    params = boltzmann.Boltzmann(jnp.full(n_nodes - 1, 0.7), jnp.zeros(n_nodes))
    expected = np.log(2) if n_nodes == 1 else np.log(4 * np.cosh(0.7))
    assert ebm.graph_log_partition(graph, params) == pytest.approx(expected, abs=1e-7)


def test_what_is_too_large_or_of_the_wrong_width_is_refused():
    real = gaussian.init(KEY, 2, 23)
    with pytest.raises(ValueError, match="a layer of at most 22 units, got 23 hidden ones; use at most 22 hidden"):
        ebm.log_partition(real)
    ring, _ = boltzmann.from_networkx(nx.cycle_graph(23))
    with pytest.raises(ValueError, match="at most 22 nodes, got 23"):
        ebm.graph_log_partition(ring, boltzmann.init(KEY, ring))
    hidden, _ = boltzmann.from_networkx(nx.cycle_graph(24), hidden=range(23))
    with pytest.raises(ValueError, match="at most 22 hidden nodes, got 23"):
        ebm.graph_log_likelihood(hidden, boltzmann.init(KEY, hidden), np.ones((1, 1)))
    with pytest.raises(ValueError, match=r"rows of the 6 visible units of the model, got shape \(2, 5\)"):
        ebm.log_likelihood(BERNOULLI, np.zeros((2, 5)))


# Memory -------------------------------------------------------------------------------------------------------------


def test_four_million_states_are_never_in_memory_at_once():
    """All states of 22 spins are 738 MB in float64; the sum over them takes less than a tenth, and is right."""
    h = np.linspace(-1, 1, 22)
    graph, _ = boltzmann.from_networkx(nx.path_graph(22))
    params = boltzmann.Boltzmann(jnp.zeros(21), jnp.asarray(h, jnp.float32))
    tracemalloc.start()
    try:
        log_z = ebm.graph_log_partition(graph, params)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert log_z == pytest.approx(np.log(2 * np.cosh(h)).sum(), abs=1e-6)
    assert peak < 64e6, f"peak {peak / 1e6:.0f} MB"


def sizes(jaxpr):
    """Elements of every array a jaxpr makes, those inside loops included."""
    for equation in jaxpr.eqns:
        yield from (np.prod(variable.aval.shape, dtype=np.int64) for variable in equation.outvars)
        for value in equation.params.values():
            for inner in value if isinstance(value, (tuple, list)) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    yield from sizes(inner)


def test_no_array_of_a_differentiated_sum_over_four_million_states_is_longer_than_a_chunk():
    space = exact.Space(22, "spins")
    w = normals(22, 22)

    def log_z(w):
        return exact.log_partition(lambda s: jnp.sum((s @ w) * s, axis=-1), space)

    largest = max(sizes(jax.make_jaxpr(jax.grad(log_z))(w).jaxpr))
    assert largest == exact.CHUNK_STATES * 22


# Stationary laws ----------------------------------------------------------------------------------------------------


def test_the_stationary_law_of_ideal_sweeps_is_the_model():
    v, h = (np.asarray(exact.enumerate_binary(n), np.float64) for n in (6, 4))
    p = leaves(BERNOULLI)
    hidden_p = 1 / (1 + np.exp(-(v @ p["weights"] + p["hidden_bias"])))
    visible_p = 1 / (1 + np.exp(-(h @ p["weights"].T + p["visible_bias"])))
    transition = exact.sweep_matrix(hidden_p, visible_p)
    np.testing.assert_allclose(transition.sum(1), 1, atol=1e-12)
    minus = -free_energy(BERNOULLI, v)
    law = np.exp(minus - log_sum_exp(minus))
    np.testing.assert_allclose(exact.stationary(transition), law, atol=1e-12)
    # A machine whose hidden units are half random has another law, which 1,000 sweeps from anywhere reach.
    noisy = exact.sweep_matrix(0.5 * hidden_p + 0.25, visible_p)
    worse = exact.stationary(noisy)
    np.testing.assert_allclose(np.linalg.matrix_power(noisy, 1000)[0], worse, atol=1e-12)
    assert exact.total_variation(worse, law) > 0.01
    assert exact.total_variation(np.array([1.0, 0, 0]), np.array([0, 0.5, 0.5])) == 1.0
