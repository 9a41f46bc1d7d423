"""Annealed importance sampling of graphs and of any energy, against enumeration and Gaussian integrals."""

from functools import partial

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest
from ebm_oracle import bits, log_sum_exp, one_hots, spin_energy
from flax import nnx

import ebm
from ebm import ais, boltzmann, graph_likelihood, layouts, neural
from ebm.ais import graph_path
from ebm.energies.boltzmann import Boltzmann

KEY = jax.random.key(5)
FEW = np.array([0.0, 0.3, 0.6, 1.0])


def machine(g, hidden, seed, scale=0.6):
    graph, _ = boltzmann.from_networkx(g, hidden)
    rng = np.random.default_rng(seed)
    return graph, Boltzmann(
        *(jnp.asarray(rng.normal(0, scale, n), jnp.float32) for n in (graph.n_edges, graph.n_nodes))
    )


# Triangles and a square in three colours; hidden nodes 4 and 5 are coupled, 6 hangs alone.
SMALL, SMALL_PARAMS = machine(
    nx.Graph([(0, 1), (1, 2), (0, 2), (2, 3), (3, 4), (4, 5), (1, 4), (0, 5), (2, 6), (3, 6)]), (4, 5, 6), seed=1
)


def spins(n):
    return 2 * bits(n) - 1


def mlp(n, widths=(8,), seed=0, scale=2.0, confinement=0.0):
    energy, params = neural.pure(neural.Mlp(n, widths, confinement=confinement, rngs=nnx.Rngs(seed)))
    return energy, jax.tree.map(lambda leaf: scale * leaf, params)


PRECISION = np.array([[4.0, 1.5, 0.0], [1.5, 2.0, -0.4], [0.0, -0.4, 1.0]])
CENTRE = np.array([0.5, -1.0, 2.0])


def quadratic(params, x):
    d = x - params
    return 0.5 * jnp.sum(d * jnp.matmul(d, jnp.asarray(PRECISION, jnp.float32), precision="highest"), axis=-1)


def cases(name):
    """A path, log Z, and exact samples of the model by their number."""
    rng = np.random.default_rng(2)
    if name == "graph":
        path = ais.graph(SMALL, SMALL_PARAMS, np.array([0.3, -0.2, 0.0, 0.9]))
        states, minus = spins(7), -spin_energy(SMALL, SMALL_PARAMS, spins(7))
    elif name == "real":
        path = ais.neural(
            quadratic, jnp.asarray(CENTRE), "real", mean=CENTRE + 0.2, std=np.array([0.6, 1.0, 0.9]), step_size=0.4
        )
        log_z = 1.5 * np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(PRECISION)[1]
        return path, log_z, lambda n: rng.multivariate_normal(CENTRE, np.linalg.inv(PRECISION), n)
    else:
        states = {"binary": bits(6), "spins": spins(6), "one-hot": one_hots(3, 3)}[name]
        energy, params = mlp(states.shape[1], scale=3.0)
        mean = np.linspace(0.1, 0.6, states.shape[1])
        path = ais.neural(energy, params, name, mean=mean, n_states=3 if name == "one-hot" else 2, n_moves=2)
        minus = -np.asarray(energy(params, jnp.asarray(states, jnp.float32)), np.float64)
    law = np.exp(minus - log_sum_exp(minus))
    return path, log_sum_exp(minus), lambda n: states[rng.choice(len(states), n, p=law / law.sum())]


@pytest.mark.parametrize("name", ["graph", "binary", "spins", "one-hot", "real"])
def test_weights_of_both_directions_have_the_exact_means(name):
    """E w = Z forward and E 1/w = 1/Z back from exact samples, 20,000 chains and 3 steps: |z| < 4.

    The mean logarithms lie on the sides that Jensen's inequality says, by more than 5 errors.
    """
    path, log_z, draw = cases(name)
    n = 20_000
    up = ais.forward(KEY, path, FEW, n)
    down = ais.reverse(KEY, path, FEW, draw(n))
    for weights in (np.exp(up.log_z - log_z), np.exp(log_z - down.log_z)):
        assert abs((weights.mean() - 1) / (weights.std() / np.sqrt(n))) < 4
        assert weights.std() > 0.05  # else nothing was asked
    assert up.log_z.mean() + 5 * up.log_z.std() / np.sqrt(n) < log_z
    assert down.log_z.mean() - 5 * down.log_z.std() / np.sqrt(n) > log_z


@pytest.mark.parametrize("drawn", [True, False], ids=["hidden drawn", "hidden annealed"])
def test_the_lower_bound_of_rows_is_a_law_of_rows(drawn, monkeypatch):
    """The estimates of p_annealing(v) of all 16 visible states add up to 1 within 4 standard errors, hidden nodes
    drawn from their enumerated law or annealed with the row clamped; with log Z_v in place of its estimate too."""
    if not drawn:
        monkeypatch.setattr(graph_path, "MAX_DRAWN_UNITS", 0)
    path, _, _ = cases("graph")
    rows, n = np.repeat(spins(4), 4000, axis=0), 4000
    start = path.complete(KEY, rows.astype(np.float32), FEW)
    np.testing.assert_array_equal(np.asarray(start.position)[:, :4], rows)
    down = ais.reverse(jax.random.key(6), path, FEW, start.position)
    weights = np.exp(start.lower - down.log_z).reshape(16, n)
    error = np.sqrt((weights.var(axis=1) / n).sum())
    assert abs(weights.mean(axis=1).sum() - 1) < 4 * error
    assert error < 0.02
    # Of each row: f(v) by a sum over its hidden states in the test.
    f = np.exp(-spin_energy(SMALL, SMALL_PARAMS, spins(7))).reshape(16, 8).sum(axis=1)
    if drawn:
        np.testing.assert_allclose(start.lower.reshape(16, n)[:, 0], np.log(f), rtol=1e-9)
    else:
        estimates = np.exp(start.lower).reshape(16, n)
        z = (estimates.mean(axis=1) - f) / (estimates.std(axis=1) / np.sqrt(n))
        assert np.abs(z).max() < 4.5, z


def test_hidden_nodes_are_drawn_from_their_law():
    """8 joint states of 3 hidden nodes, two of them one piece, given each of 3 rows: |z| < 4.5 for 24 frequencies."""
    n = 20_000
    for row in (0, 5, 14):
        rows = np.repeat(spins(4)[[row]], n, axis=0)
        hidden, log_f = graph_likelihood.draw_hidden(jax.random.key(row), SMALL, SMALL_PARAMS, rows)
        joint = np.concatenate([np.repeat(spins(4)[[row]], 8, axis=0), spins(3)], axis=1)
        minus = -spin_energy(SMALL, SMALL_PARAMS, joint)
        np.testing.assert_allclose(log_f, log_sum_exp(minus), rtol=1e-9)
        p = np.exp(minus - log_sum_exp(minus))
        found = np.bincount(((hidden > 0) @ [4, 2, 1]).astype(int), minlength=8) / n
        assert np.abs((found - p) / np.sqrt(p * (1 - p) / n)).max() < 4.5


@pytest.mark.parametrize("drawn", [True, False], ids=["hidden drawn", "hidden annealed"])
def test_the_sandwich_of_a_graph_closes_around_the_exact_likelihood(drawn, monkeypatch):
    """16 nodes of degree 4, 6 of them hidden, at beta = 0.8: bounds within 0.05 nat of the enumerated mean."""
    if not drawn:
        monkeypatch.setattr(graph_path, "MAX_DRAWN_UNITS", 0)
    graph, params = machine(nx.random_regular_graph(4, 16, seed=3), range(10, 16), seed=4, scale=0.5)
    rows = np.where(np.random.default_rng(0).random((200, 10)) < 0.5, -1.0, 1.0)
    truth = ebm.graph_log_likelihood(graph, params, rows, beta=0.8).mean()
    # Nodes sorted by colour for a product, or tables of neighbours: the same law.
    path = ais.graph(graph, params, beta=0.8, layout=(layouts.dense if drawn else layouts.padded_sparse)(graph))
    found = ais.log_likelihood(KEY, path, rows, n_chains=128, betas=ais.linear_betas(801))
    assert abs(found.upper - truth) < 0.05
    assert abs(found.lower - truth) < 0.05
    assert found.lower - 4 * found.lower_error < truth < found.upper + 4 * found.upper_error
    assert found.is_trusted
    if drawn:
        few = ais.log_likelihood(KEY, path, rows, n_chains=128, betas=np.array([0.0, 1.0]))
        assert not few.is_trusted
        assert few.lower < truth - 0.5


def test_the_errors_of_bounds_whose_hidden_nodes_are_annealed_are_their_spread(monkeypatch):
    """Variances over 60 keys are in units of the mean squared error told 1 ± sqrt(2 / 59): within 4 of these for the
    upper bound, most of whose noise is of log f, and not above them for the lower one."""
    monkeypatch.setattr(graph_path, "MAX_DRAWN_UNITS", 0)
    path, _, _ = cases("graph")
    rows = spins(4)[[0, 3, 5, 9, 14]]
    found = [ais.log_likelihood(key, path, rows, n_chains=2000, betas=FEW) for key in jax.random.split(KEY, 60)]
    of_log_z = ais.log_partition(KEY, path, spins(7)[:1], n_chains=2000, betas=FEW).lower_error
    for side in ("lower", "upper"):
        spread = np.var([getattr(each, side) for each in found], ddof=1)
        told = np.mean([getattr(each, f"{side}_error") ** 2 for each in found])
        assert spread / told < 1 + 4 * np.sqrt(2 / 59)
        if side == "upper":
            assert spread / told > 1 - 4 * np.sqrt(2 / 59) / (1 + 4 * np.sqrt(2 / 59))
            assert told > 4 * of_log_z**2  # else nothing was asked


def test_the_sandwich_of_a_perceptron_over_12_bits_closes_around_the_exact_likelihood():
    """Enumerated over 4,096 states; rows are exact samples, so the bounds of log Z hold too: within 0.05 nat."""
    energy, params = mlp(12, (16, 16), seed=1, scale=2.0)
    states = bits(12)
    minus = -np.asarray(energy(params, jnp.asarray(states, jnp.float32)), np.float64)
    log_z = log_sum_exp(minus)
    assert minus.std() > 1  # the law is far from uniform
    law = np.exp(minus - log_z)
    chosen = np.random.default_rng(0).choice(4096, 300, p=law / law.sum())
    rows = states[chosen]
    path = ais.neural(energy, params, "binary", mean=rows.mean(axis=0), n_moves=4)
    found = ais.log_likelihood(KEY, path, rows, betas=ais.linear_betas(1001))
    truth = (minus - log_z)[chosen].mean()
    for bound in (found.lower, found.upper):
        assert abs(bound - truth) < 0.05
    assert found.lower - 4 * found.lower_error < truth < found.upper + 4 * found.upper_error
    assert found.is_trusted
    found = ais.log_partition(KEY, path, rows, betas=ais.linear_betas(1001))
    assert found.lower - 4 * found.lower_error < log_z < found.upper + 4 * found.upper_error


def test_the_sandwich_of_a_density_closes_around_the_gaussian_integral():
    """Correlated normal rows, a base of other means and widths: within 0.03 nat of the closed form."""
    path, log_z, draw = cases("real")
    rows = draw(300)
    tuned = ais.with_tuned_step(KEY, path, rows)
    found = ais.log_likelihood(KEY, tuned, rows, betas=ais.linear_betas(501))
    truth = (-0.5 * np.einsum("ni,ij,nj->n", rows - CENTRE, PRECISION, rows - CENTRE) - log_z).mean()
    assert abs(found.lower - truth) < 0.03
    assert abs(found.upper - truth) < 0.03
    assert found.is_trusted


def test_the_tuned_step_is_the_largest_that_is_accepted_often_enough():
    """Of a standard normal in its own units the acceptance of a step at the edge is near the target."""
    n = 400
    path = ais.neural(lambda params, x: 0.5 * jnp.sum(x**2, axis=-1), None, "real", mean=np.zeros(20), std=np.ones(20))
    rows = np.random.default_rng(0).normal(size=(n, 20))
    steps = [float(ais.with_tuned_step(KEY, path, rows, target).step_size) for target in (0.95, 0.8, 0.5)]
    assert 0.1 < steps[0] < steps[1] < steps[2] < 2
    with pytest.raises(ValueError, match="x must be finite"):
        ais.with_tuned_step(KEY, path, np.full((2, 20), np.nan))


def test_bounds_of_an_energy_too_steep_for_any_step_say_that_they_are_not_to_be_trusted():
    """A leapfrog step is stable below 2e-4 deviations of the data here, and from 1/256 on they are tried.

    Paths overflow then, and none of 400 x 28 chains may accept one: their ratios are not numbers."""
    path = ais.neural(
        lambda params, x: 0.5e8 * jnp.sum(x**2, axis=-1), None, "real", mean=np.zeros(20), std=np.ones(20)
    )
    rows = np.random.default_rng(0).normal(size=(400, 20))
    path = ais.with_tuned_step(KEY, path, rows)
    assert float(path.step_size) == 2.0**-8
    found = ais.log_likelihood(KEY, path, rows, n_chains=32, betas=FEW)
    assert not found.is_trusted
    assert "do not trust it" in found.sentence


def test_what_no_path_can_start_from_is_refused():
    energy, params = mlp(4)
    half = np.full(4, 0.5)
    make = partial(ais.neural, energy, params)
    for message, call in (
        ("kind must be one of binary, spins, one-hot, real, got 'reals'", lambda: make("reals", mean=half)),
        ("n_moves must be at least 1, got 0", lambda: make("binary", mean=half, n_moves=0)),
        ("step_size must be a positive number, got -0", lambda: make("real", mean=half, std=half, step_size=-0.1)),
        (
            "n_states must be at least 2 and divide the 4 columns of mean, got 3",
            lambda: make("one-hot", mean=half, n_states=3),
        ),
        ("std is for kind='real', which needs it", lambda: make("real", mean=half)),
        ("std is for kind='real'", lambda: make("binary", mean=half, std=half)),
        ("std must have a positive number for each of mean", lambda: make("real", mean=half, std=np.zeros(4))),
        ("path must be of real units", lambda: ais.with_tuned_step(KEY, make("binary", mean=half), np.zeros((1, 4)))),
        (
            "mean must have one number from -1 to 1 for each of the 4",
            lambda: ais.graph(SMALL, SMALL_PARAMS, np.full(4, 2.0)),
        ),
        ("params.couplings must have one number", lambda: ais.graph(SMALL, Boltzmann(jnp.zeros(3), jnp.zeros(7)))),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    for kind, bad in (("binary", 0.5), ("spins", 0.0), ("one-hot", 2.0), ("real", np.nan)):
        path = make(kind, mean=half, std=half if kind == "real" else None)
        with pytest.raises(ValueError, match="x must be"):
            ais.log_likelihood(KEY, path, np.full((1, 4), bad), betas=FEW)
    with pytest.raises(ValueError, match="x must be rows of the 4 values of a state"):
        ais.log_likelihood(KEY, make("binary", mean=half), np.zeros((1, 5)), betas=FEW)
    with pytest.raises(ValueError, match="x must be spins, -1 or 1"):
        ais.log_likelihood(KEY, ais.graph(SMALL, SMALL_PARAMS), np.zeros((1, 4)), betas=FEW)
