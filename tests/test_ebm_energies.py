"""Gaussian, Potts, graph and neural energies against sums and integrals in float64 NumPy, and their invariances."""

import itertools

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import optax
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
from flax import nnx
from scipy import signal, stats

import ebm
from ebm import boltzmann, exact, gaussian, neural, potts, rbm

KEY = jax.random.key(5)
N_DRAWS = 100_000


def normals(*shape, seed=0, scale=1.0):
    return jnp.asarray(scale * np.random.default_rng(seed).normal(size=shape), jnp.float32)


BERNOULLI = rbm.Rbm(normals(5, 4, seed=1), normals(5, seed=2), normals(4, seed=3))
GAUSSIAN = gaussian.GaussianRbm(
    normals(3, 4, seed=4), normals(3, seed=5), normals(4, seed=6), jnp.log(jnp.array([0.5, 1.0, 1.7]))
)
POTTS = potts.PottsRbm(normals(3, 3, 4, seed=7), normals(3, 3, seed=8), normals(4, seed=9))
LAYERED = {"bernoulli": BERNOULLI, "gaussian": GAUSSIAN, "potts": POTTS}


def rows(params, n=12):
    """Visible rows to evaluate at: real, or the first of all states in a shuffled order."""
    rng = np.random.default_rng(11)
    return rng.normal(0, 2, (n, 3)) if "log_sigma" in params._fields else rng.permutation(visible_states(params))[:n]


# Layered machines ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAYERED)
def test_energies_and_free_energies_are_the_published_sums(name):
    """float32 sums of about 20 terms of size up to 10: 3e-5."""
    params = LAYERED[name]
    v, h = rows(params), bits(4)
    pairs = jnp.asarray(np.repeat(v, len(h), 0), jnp.float32), jnp.asarray(np.tile(h, (len(v), 1)), jnp.float32)
    np.testing.assert_allclose(
        params.energy(*pairs).reshape(len(v), len(h)), energy(params, v[:, None], h), rtol=2e-6, atol=3e-5
    )
    np.testing.assert_allclose(
        params.free_energy(jnp.asarray(v, jnp.float32)), free_energy(params, v), rtol=2e-6, atol=3e-5
    )
    assert (params.n_visible, params.n_hidden) == (v.shape[1], 4)


@pytest.mark.parametrize("name", LAYERED)
def test_tempered_machines_have_the_law_of_beta_times_the_energy(name):
    params = LAYERED[name]
    v, h = rows(params), bits(4)
    tempered = energy(params.tempered(0.6), v[:, None], h)
    expected = 0.6 * energy(params, v[:, None], h)
    shift = tempered - expected  # a constant is allowed, and is zero here
    np.testing.assert_allclose(shift, shift.flat[0], atol=1e-5)


@pytest.mark.parametrize("name", LAYERED)
def test_hidden_draws_follow_the_enumerated_conditional_law(name):
    """Chi-square of 100,000 draws: a right sampler fails once in a million keys."""
    params = LAYERED[name]
    v = rows(params)[0]
    log_p = -energy(params, v, bits(4))
    hidden = params.draw_hidden(KEY, jnp.broadcast_to(jnp.asarray(v, jnp.float32), (N_DRAWS, len(v))))
    codes = (np.asarray(hidden) @ [8, 4, 2, 1]).astype(int)
    p = np.exp(log_p - log_sum_exp(log_p))
    assert chi_square_tail(codes, p) > 1e-6
    assert chi_square_tail(codes, np.roll(p, 1)) < 1e-9


@pytest.mark.parametrize("name", ["bernoulli", "potts"])
def test_discrete_visible_draws_follow_the_enumerated_conditional_law(name):
    """Chi-square of 100,000 draws: a right sampler fails once in a million keys."""
    params = LAYERED[name]
    h, states = np.array([1.0, 0, 1, 1]), visible_states(params)
    log_p = -energy(params, states, h)
    visible = params.draw_visible(KEY, jnp.broadcast_to(jnp.asarray(h, jnp.float32), (N_DRAWS, 4)))
    if name == "potts":
        codes = np.asarray(potts.symbols(visible, 3)) @ [9, 3, 1]
        assert jnp.array_equal(potts.one_hot(potts.symbols(visible, 3), 3), visible)
    else:
        codes = (np.asarray(visible) @ [16, 8, 4, 2, 1]).astype(int)
    p = np.exp(log_p - log_sum_exp(log_p))
    assert chi_square_tail(codes, p) > 1e-6
    assert chi_square_tail(codes, np.roll(p, 1)) < 1e-9


def grid():
    """Points and the volume of each, wide and fine enough for 12 digits of smooth integrals that vanish at the edge."""
    axis = np.linspace(-16, 16, 321)
    return np.array(list(itertools.product(axis, axis))), (axis[1] - axis[0]) ** 2


def test_gaussian_free_energy_and_log_z_agree_with_quadrature():
    params = GAUSSIAN._replace(
        **{name: getattr(GAUSSIAN, name)[:2] for name in ("weights", "visible_bias", "log_sigma")}
    )
    points, volume = grid()
    log_z = np.log(volume) + log_sum_exp(-free_energy(params, points))
    assert ebm.log_partition(params) == pytest.approx(log_z, abs=1e-9)
    assert np.exp(ebm.log_likelihood(params, points)).sum() * volume == pytest.approx(1, abs=1e-9)
    # The gradient of -log Z is the mean of the gradient of F; central differences of log Z in float64.
    p = jnp.asarray(np.exp(-free_energy(params, points) - log_z) * volume, jnp.float32)
    mean = jax.grad(lambda q: p @ q.free_energy(jnp.asarray(points, jnp.float32)))(params)
    for name, leaf in params._asdict().items():
        for place in np.ndindex(leaf.shape):
            values = []
            for sign in (1, -1):
                moved = np.asarray(leaf, np.float64)
                moved[place] += sign * 1e-4
                values.append(ebm.log_partition(params._replace(**{name: moved})))
            assert float(getattr(mean, name)[place]) == pytest.approx(-(values[0] - values[1]) / 2e-4, abs=2e-4)


def test_gaussian_visible_draws_have_the_stated_mean_and_sigma():
    h = np.array([1.0, 0, 1, 1])
    p = leaves(GAUSSIAN)
    visible = GAUSSIAN.draw_visible(KEY, jnp.broadcast_to(jnp.asarray(h, jnp.float32), (N_DRAWS, 4)))
    z = (np.asarray(visible, np.float64) - (p["weights"] @ h + p["visible_bias"])) / np.exp(p["log_sigma"])
    assert np.abs(z.mean(0) * np.sqrt(N_DRAWS)).max() < 5
    assert np.abs((z.var(0) - 1) * np.sqrt(N_DRAWS / 2)).max() < 5
    assert np.abs(np.triu(z.T @ z / np.sqrt(N_DRAWS), 1)).max() < 5
    assert min(stats.kstest(column, "norm").pvalue for column in z.T) > 1e-6


@pytest.mark.parametrize("name", LAYERED)
def test_relabelling_units_changes_nothing(name):
    params = LAYERED[name]
    hidden, n_sites = np.array([2, 0, 3, 1]), params.weights.shape[0]
    sites = np.random.default_rng(0).permutation(n_sites)
    moved = {"weights": params.weights[sites][..., hidden], "hidden_bias": params.hidden_bias[hidden]}
    moved |= {
        field: getattr(params, field)[sites] for field in ("visible_bias", "log_sigma") if field in params._fields
    }
    relabelled = params._replace(**moved)
    assert ebm.log_partition(relabelled) == pytest.approx(ebm.log_partition(params), rel=1e-12)
    v = jnp.asarray(rows(params), jnp.float32)
    moved_v = v.reshape(len(v), n_sites, -1)[:, sites].reshape(v.shape)
    np.testing.assert_allclose(relabelled.free_energy(moved_v), params.free_energy(v), rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(ebm.log_likelihood(relabelled, moved_v), ebm.log_likelihood(params, v), atol=1e-9)


@pytest.mark.parametrize("name", LAYERED)
def test_independent_machines_have_the_means_of_the_data(name):
    params = LAYERED[name]
    mean = jnp.array([0.2, 0.3, 0.5, 0.1, 0.1, 0.8, 0.6, 0.2, 0.2] if name == "potts" else [0.2, 0.9, 0.4, 0.3, 0.6])
    mean = mean[: params.n_visible]
    base = params.independent(mean)
    if name == "gaussian":
        np.testing.assert_array_equal(base.visible_field(jnp.ones(4)), mean)
    else:
        states = visible_states(params)
        np.testing.assert_allclose(np.exp(ebm.log_likelihood(base, states)) @ states, mean, atol=1e-6)
    assert params.independent().visible_bias is params.visible_bias


# The gauge of symbols -----------------------------------------------------------------------------------------------


def test_the_zero_sum_gauge_leaves_the_law_unchanged():
    fixed = potts.zero_sum(POTTS)
    v, h = one_hots(3, 3), bits(4)
    shift = energy(fixed, v[:, None], h) - energy(POTTS, v[:, None], h)
    np.testing.assert_allclose(shift, shift.flat[0], atol=2e-6)  # biases are float32
    assert shift.flat[0] == pytest.approx(float(POTTS.visible_bias.mean(1).sum()), abs=2e-6)
    np.testing.assert_allclose(ebm.log_likelihood(fixed, v), ebm.log_likelihood(POTTS, v), atol=2e-6)
    np.testing.assert_allclose(fixed.weights.sum(1), 0, atol=1e-6)
    np.testing.assert_allclose(fixed.visible_bias.sum(1), 0, atol=1e-6)


def test_leaving_the_hidden_bias_out_of_the_gauge_changes_the_law():
    wrong = potts.zero_sum(POTTS)._replace(hidden_bias=POTTS.hidden_bias)
    v = one_hots(3, 3)
    assert exact.total_variation(*(np.exp(ebm.log_likelihood(p, v)) for p in (wrong, POTTS))) > 0.05


def test_the_gauge_forgets_what_was_added_to_all_states_of_a_site():
    shifted = POTTS._replace(
        weights=POTTS.weights + normals(3, 1, 4, seed=20),
        visible_bias=POTTS.visible_bias + normals(3, 1, seed=21),
        hidden_bias=POTTS.hidden_bias - normals(3, 1, 4, seed=20).sum((0, 1)),
    )
    for ours, theirs in zip(potts.zero_sum(shifted), potts.zero_sum(POTTS), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-6)


def test_layered_models_start_where_the_data_are_and_refuse_empty_layers():
    frequencies = jnp.array([0.2, 0.3, 0.5, 1.0, 0.0, 0.0])
    start = potts.init(KEY, 2, 3, 4, frequencies)
    np.testing.assert_allclose(jax.nn.softmax(start.visible_bias[0]), frequencies[:3], atol=1e-6)
    np.testing.assert_allclose(start.visible_bias[1, 0] - start.visible_bias[1, 1], np.log(100), atol=1e-5)
    np.testing.assert_allclose(start.weights.sum(1), 0, atol=1e-6)
    real = gaussian.init(KEY, 2, 3, jnp.array([3.0, -1.0]), jnp.array([0.1, 10.0]))
    np.testing.assert_allclose(jnp.exp(real.log_sigma), [0.1, 10.0], rtol=1e-6)
    np.testing.assert_array_equal(real.visible_bias, [3.0, -1.0])
    with pytest.raises(ValueError, match="n_states must be at least 2, got 1"):
        potts.init(KEY, 2, 1, 3)
    with pytest.raises(ValueError, match="n_hidden must be at least 1, got 0"):
        gaussian.init(KEY, 2, 0)
    with pytest.raises(ValueError, match=r"data_std must be positive, got 0\.0; leave out inputs"):
        gaussian.init(KEY, 2, 3, data_std=jnp.array([1.0, 0.0]))


# Boltzmann machines on graphs ---------------------------------------------------------------------------------------

FRUSTRATED = nx.random_regular_graph(3, 8, seed=3)
GRAPH, NODES = boltzmann.from_networkx(FRUSTRATED, hidden=[2, 5, 6])
SPINS = 2 * bits(8) - 1
MACHINE = boltzmann.Boltzmann(normals(12, seed=30), normals(8, seed=31))


def test_spin_energies_and_fields_match_sums_over_edges():
    s = jnp.asarray(SPINS, jnp.float32)
    np.testing.assert_allclose(boltzmann.energy(GRAPH, MACHINE, s), spin_energy(GRAPH, MACHINE, SPINS), atol=1e-5)
    for i in range(8):
        flipped = SPINS.copy()
        flipped[:, i] *= -1
        cost = spin_energy(GRAPH, MACHINE, flipped) - spin_energy(GRAPH, MACHINE, SPINS)
        np.testing.assert_allclose(2 * s[:, i] * boltzmann.fields(GRAPH, MACHINE, s)[:, i], cost, atol=2e-5)


def test_units_of_0_and_1_have_the_same_energies_as_spins():
    binary = boltzmann.to_binary(GRAPH, MACHINE)
    x = bits(8)
    plain = float(binary.offset) - x @ np.asarray(binary.bias, np.float64)
    for (i, j), weight in zip(GRAPH.edges, np.asarray(binary.weights, np.float64), strict=True):
        plain = plain - weight * x[:, i] * x[:, j]
    np.testing.assert_allclose(plain, spin_energy(GRAPH, MACHINE, SPINS), atol=1e-5)
    back, constant = boltzmann.from_binary(GRAPH, binary)
    for ours, start in zip(back, MACHINE, strict=True):
        np.testing.assert_allclose(ours, start, atol=2e-6)
    assert float(constant) == pytest.approx(0, abs=1e-5)


def test_an_rbm_as_a_graph_has_the_same_energies_and_likelihoods():
    graph, params, constant = boltzmann.from_rbm(BERNOULLI)
    x = bits(9)
    expected = energy(BERNOULLI, x[:, :5], x[:, 5:])
    np.testing.assert_allclose(spin_energy(graph, params, 2 * x - 1) + float(constant), expected, atol=1e-5)
    assert ebm.graph_log_partition(graph, params) - float(constant) == pytest.approx(
        ebm.log_partition(BERNOULLI), abs=1e-5
    )
    v = bits(5)
    np.testing.assert_allclose(
        ebm.graph_log_likelihood(graph, params, 2 * v - 1), ebm.log_likelihood(BERNOULLI, v), atol=1e-5
    )


def test_flipping_the_sign_of_spins_together_with_their_couplings_changes_nothing():
    signs = np.array([1, -1, -1, 1, 1, -1, 1, -1], np.float32)
    first, second = GRAPH.edges.T
    flipped = boltzmann.Boltzmann(MACHINE.couplings * signs[first] * signs[second], MACHINE.bias * signs)
    np.testing.assert_allclose(
        spin_energy(GRAPH, flipped, SPINS * signs), spin_energy(GRAPH, MACHINE, SPINS), atol=1e-12
    )
    assert ebm.graph_log_partition(GRAPH, flipped) == pytest.approx(ebm.graph_log_partition(GRAPH, MACHINE), rel=1e-12)
    without_bias = MACHINE._replace(bias=jnp.zeros(8))
    law = exact.log_law(lambda s: boltzmann.energy(GRAPH, without_bias, s), exact.Space(8, "spins"))
    np.testing.assert_allclose(law, law[::-1], atol=1e-5)  # the last number is the first with every spin turned


def test_relabelling_nodes_changes_nothing():
    names = dict(zip(FRUSTRATED, "hbgacfed", strict=True))
    relabelled = nx.Graph()
    relabelled.add_nodes_from(sorted(names.values()))
    for (a, b), coupling in zip(reversed(list(FRUSTRATED.edges)), reversed(MACHINE.couplings.tolist()), strict=True):
        relabelled.add_edge(names[b], names[a], weight=coupling)
    graph, nodes = boltzmann.from_networkx(relabelled, hidden=[names[node] for node in (2, 5, 6)])
    place = [NODES.index(next(old for old, new in names.items() if new == node)) for node in nodes]
    couplings = jnp.array([coupling for *_, coupling in relabelled.edges(data="weight")])
    params = boltzmann.Boltzmann(couplings, MACHINE.bias[np.array(place)])
    np.testing.assert_allclose(
        spin_energy(graph, params, SPINS[:, place]), spin_energy(GRAPH, MACHINE, SPINS), atol=1e-12
    )
    v = 2 * bits(5) - 1
    assert ebm.graph_log_partition(graph, params, 0.7) == pytest.approx(ebm.graph_log_partition(GRAPH, MACHINE, 0.7))
    order = [list(GRAPH.visible).index(place[node]) for node in graph.visible]
    np.testing.assert_allclose(
        ebm.graph_log_likelihood(graph, params, v[:, order]), ebm.graph_log_likelihood(GRAPH, MACHINE, v), atol=1e-12
    )


def test_new_parameters_and_graphs_of_the_same_size_compile_nothing():
    compiled = jax.jit(boltzmann.energy)
    s = jnp.ones((2, 8))
    other, _ = boltzmann.from_networkx(nx.random_regular_graph(3, 8, seed=4), hidden=[0, 1, 7])
    for graph, params in ((GRAPH, MACHINE), (GRAPH, boltzmann.init(KEY, GRAPH)), (other, MACHINE)):
        assert compiled(graph, params, s)[0] == pytest.approx(spin_energy(graph, params, np.ones(8)), abs=1e-5)
    assert compiled._cache_size() == 1


def test_hidden_nodes_are_told_apart_and_put_back_in_their_places():
    assert [NODES[i] for i in GRAPH.hidden] == [node for node in FRUSTRATED if node in (2, 5, 6)]
    assert (GRAPH.n_nodes, GRAPH.n_edges) == (8, 12)
    s = jnp.asarray(SPINS, jnp.float32)
    assert jnp.array_equal(boltzmann.clamp(GRAPH, s[:, GRAPH.visible], s[:, GRAPH.hidden]), s)


@pytest.mark.parametrize(
    ("g", "hidden", "message"),
    [
        (nx.DiGraph([(0, 1)]), (), "g must be a plain networkx.Graph, got DiGraph"),
        (nx.MultiGraph([(0, 1), (0, 1)]), (), "got MultiGraph"),
        (nx.Graph([(0, 1), (1, 1)]), (), "g must have no self-loops, got one at node 1"),
        (nx.path_graph(3), [7], "hidden must hold nodes of g, got 7"),
        (nx.path_graph(2), [0, 1], "at least 1 visible node, got 2 nodes and 2 of them hidden"),
    ],
)
def test_graphs_that_make_no_machine_are_refused(g, hidden, message):
    with pytest.raises(ValueError, match=message):
        boltzmann.from_networkx(g, hidden)


# Neural energies ----------------------------------------------------------------------------------------------------


def silu(x):
    return x / (1 + np.exp(-x))


def test_the_mlp_energy_is_the_published_network():
    module = neural.Mlp(3, (8, 8), confinement=0.5, rngs=nnx.Rngs(0))
    x = np.random.default_rng(0).normal(size=(7, 3))
    y = x
    for layer in module.hidden:
        y = silu(y @ np.asarray(layer.kernel[...], np.float64) + np.asarray(layer.bias[...], np.float64))
    y = (y @ np.asarray(module.out.kernel[...], np.float64))[:, 0] + float(module.out.bias[...][0])
    np.testing.assert_allclose(module(jnp.asarray(x, jnp.float32)), y + 0.25 * (x**2).sum(1), atol=1e-5)
    function, params = neural.pure(module)
    batches = jnp.asarray(x[:6].reshape(2, 3, 3), jnp.float32)
    np.testing.assert_allclose(function(params, batches).reshape(-1), (y + 0.25 * (x**2).sum(1))[:6], atol=1e-5)


def test_the_convolutional_energy_is_the_published_network():
    """Against SciPy's correlation; with stride 2 an even side pads only behind, so the kept places are the odd ones."""
    module = neural.Conv((6, 4, 2), (3, 5), rngs=nnx.Rngs(1))
    x = np.random.default_rng(0).normal(size=(2, 48))
    values = []
    for row in x:
        y = row.reshape(6, 4, 2)
        for i, layer in enumerate(module.filters):
            kernel, bias = (np.asarray(leaf[...], np.float64) for leaf in (layer.kernel, layer.bias))
            maps = [
                sum(signal.correlate2d(y[..., a], kernel[..., a, b], mode="same") for a in range(y.shape[-1])) + bias[b]
                for b in range(kernel.shape[-1])
            ]
            y = silu(np.stack(maps, -1))
            y = y if i == 0 else y[1::2, 1::2]
        weights = np.asarray(module.out.kernel[...], np.float64)[:, 0]
        values.append(y.sum((0, 1)) @ weights + float(module.out.bias[...][0]) + 0.5 * (row**2).sum())
    function, params = neural.pure(module)
    np.testing.assert_allclose(function(params, jnp.asarray(x, jnp.float32)), values, atol=2e-5)
    assert function(params, jnp.asarray(x[0], jnp.float32)).shape == ()


def test_confinement_outgrows_the_network_in_every_direction():
    """E(t u) / t^2 tends to 1/2: exp(-E) is integrable whatever the weights; without confinement it is not."""
    directions = np.random.default_rng(1).normal(size=(50, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    far = jnp.asarray(1e4 * directions, jnp.float32)
    grown = jax.tree.map(lambda leaf: 5 * leaf, neural.pure(neural.Mlp(3, (8, 8), rngs=nnx.Rngs(0)))[1])
    confined, _ = neural.pure(neural.Mlp(3, (8, 8), rngs=nnx.Rngs(0)))
    np.testing.assert_allclose(confined(grown, far) / 1e8, 0.5, atol=0.05)
    free, _ = neural.pure(neural.Mlp(3, (8, 8), confinement=0.0, rngs=nnx.Rngs(0)))
    assert float(free(grown, far).min()) < 0


def test_one_architecture_compiles_once_and_trains_through_its_parameters():
    evaluate = jax.jit(lambda function, params, x: function(params, x), static_argnums=0)
    x = normals(4, 3, seed=2)
    pairs = [neural.pure(neural.Mlp(3, (8,), rngs=nnx.Rngs(seed))) for seed in (0, 1)]
    values = [evaluate(function, params, x) for function, params in pairs]
    assert evaluate._cache_size() == 1
    assert not jnp.allclose(*values)
    function, params = pairs[0]
    gradient = jax.grad(lambda p: function(p, x).sum())(params)
    stepped = jax.tree.map(lambda leaf, slope: leaf - 1e-2 * slope, params, gradient)
    assert float(function(stepped, x).sum()) < float(function(params, x).sum())


def test_modules_that_are_no_pure_energy_are_refused():
    with pytest.raises(ValueError, match=r"module must keep its arrays in nnx\.Param alone, got BatchStat"):
        neural.pure(nnx.BatchNorm(3, rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match=r"widths\[1\] must be at least 1, got 0"):
        neural.Mlp(3, (4, 0), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"confinement must be finite and at least 0, got -1\.0"):
        neural.Mlp(3, confinement=-1.0, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="channels must name at least 1 layer, got none; use Mlp"):
        neural.Conv((4, 4, 1), (), rngs=nnx.Rngs(0))


@pytest.mark.parametrize(
    "spoil", [lambda x: 2 * x - 1, lambda x: x * np.nan, lambda x: 0.5 * x], ids=["+-1", "nan", "1/2"]
)
def test_rows_of_another_kind_are_refused_and_not_given_a_likelihood(spoil):
    """0/1 taken for +-1 is the commonest mistake with these models; every kind of row is told by its values."""
    v = bits(BERNOULLI.n_visible)
    states = potts.one_hot(jnp.zeros((2, 3), int), 3)
    two_in_a_site = np.asarray(states).copy()
    two_in_a_site[1, 1] = 1
    for params, rows, words in (
        (BERNOULLI, spoil(v), "x must be bits, 0 or 1, got .* become bits as"),
        (POTTS, spoil(np.asarray(states)), "x must be one-hot, one 1 and else 0 a site, got .*one_hot"),
        (POTTS, two_in_a_site, "x must be one-hot.* in row 1, unit 0"),
    ):
        with pytest.raises(ValueError, match=words):
            ebm.log_likelihood(params, rows)
        data = jnp.asarray(rows, jnp.float32)
        with pytest.raises(ValueError, match=words.replace("x must", "data must")):
            ebm.fit(jax.random.key(0), params, data, optimizer=optax.sgd(0.1), steps=1, batch=2)
    with pytest.raises(ValueError, match=r"x must be spins, -1 or 1, got .* become spins as 2 b - 1"):
        ebm.graph_log_likelihood(GRAPH, MACHINE, np.abs(spoil(bits(len(GRAPH.visible)))) * 0.5)
