"""Coloured Gibbs sampling: layouts that agree, laws against enumeration, Ising energies against Kaufman's formula."""

import itertools

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest
from ising_oracle import chi_square_z, energy_per_site, log_partition

from ebm import coloring, layouts
from ebm.energies import boltzmann
from ebm.energies.boltzmann import Boltzmann
from ebm.layouts.lattice import Torus, recognise, split_colors
from ebm.samplers import chromatic

run = jax.jit(chromatic.sweeps, static_argnums=4)

STATES = np.array(list(itertools.product((-1, 1), repeat=6)))


def small():
    """A graph of 6 nodes that needs three colours, with couplings and biases of order 1."""
    g = nx.Graph([(0, 1), (1, 2), (0, 2), (2, 3), (3, 4), (4, 5), (1, 4), (0, 5)])
    graph, _ = boltzmann.from_networkx(g, hidden=(4, 5))
    rng = np.random.default_rng(0)
    params = Boltzmann(*(jnp.asarray(rng.normal(0, 0.7, n), jnp.float32) for n in (graph.n_edges, graph.n_nodes)))
    return graph, params


def open_grid():
    """A grid of 2 x 4 nodes with couplings and biases of order 1."""
    graph, _ = boltzmann.from_networkx(nx.grid_2d_graph(2, 4), hidden=((0, 1), (1, 2), (1, 3)))
    rng = np.random.default_rng(5)
    return graph, Boltzmann(*(jnp.asarray(rng.normal(0, 0.6, n), jnp.float32) for n in (10, 8)))


def integers(graph, seed=0):
    """Integer couplings and biases: every sum of them is exact in float32."""
    rng = np.random.default_rng(seed)
    return Boltzmann(*(jnp.asarray(rng.integers(-3, 4, n), jnp.float32) for n in (graph.n_edges, graph.n_nodes)))


def energies(graph, params, states):
    """By loops over edges, in float64."""
    couplings, bias = np.asarray(params.couplings, float), np.asarray(params.bias, float)
    pairs = sum(J * states[:, i] * states[:, j] for J, (i, j) in zip(couplings, graph.edges.tolist(), strict=True))
    return -pairs - states @ bias


def law(graph, params, states, beta=1.0):
    weights = np.exp(-beta * energies(graph, params, states))
    return weights / weights.sum()


def one_step_law(graph, params, classes, start, beta):
    """P(s' | start) of all states: every class drawn in turn from its conditional law."""
    couplings = np.zeros((len(start), len(start)))
    for J, (i, j) in zip(np.asarray(params.couplings, float), graph.edges.tolist(), strict=True):
        couplings[i, j] = couplings[j, i] = J
    states = np.array(list(itertools.product((-1, 1), repeat=len(start))))
    found = np.ones(len(states))
    for k, end in enumerate(states):
        s = start.astype(float).copy()
        for nodes in classes:
            up = 1 / (1 + np.exp(-2 * beta * (couplings @ s + np.asarray(params.bias, float))[nodes]))
            found[k] *= np.prod(np.where(end[nodes] > 0, up, 1 - up))
            s[nodes] = end[nodes]
    return found


def index(states):
    """The number of each state, the last node varying fastest."""
    return ((np.asarray(states) > 0) * 2 ** np.arange(states.shape[-1])[::-1]).sum(-1).astype(int)


@pytest.mark.parametrize("seed", range(20))
def test_colourings_of_random_graphs_are_proper(seed):
    rng = np.random.default_rng(seed)
    g = nx.gnp_random_graph(int(rng.integers(2, 40)), float(rng.uniform(0, 0.6)), seed=seed)
    graph, _ = boltzmann.from_networkx(g)
    classes = coloring.color(graph)
    coloring.check(graph, classes)
    assert sorted(np.concatenate(classes)) == list(range(graph.n_nodes))
    assert all((np.diff(nodes) > 0).all() for nodes in classes)
    where = {node: k for k, nodes in enumerate(classes) for node in nodes.tolist()}
    assert all(where[i] != where[j] for i, j in g.edges)
    if nx.is_bipartite(g) and g.number_of_edges():
        assert len(classes) == 2


def test_improper_colourings_are_refused():
    graph, _ = boltzmann.from_networkx(nx.path_graph(4))
    with pytest.raises(ValueError, match="both ends of an edge, got nodes 0 and 1"):
        layouts.dense(graph, (np.array([0, 1]), np.array([2]), np.array([3])))
    with pytest.raises(ValueError, match="each of the 4 nodes once"):
        layouts.padded_sparse(graph, (np.array([0, 2]), np.array([1])))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"edges": np.array([[0, 1], [1, 2], [2, 0], [1, 0]])}, "each pair of nodes once, got 0 and 1 twice"),
        ({"edges": np.array([[0, 1], [1, 2], [2, 2], [2, 3]])}, "got one from node 2 to itself"),
        ({"edges": np.array([[0, 1], [1, 2], [2, 4], [2, 3]])}, r"nodes from 0 to 3, got \(2, 4\)"),
        ({"visible": np.array([0, 1, 1, 2])}, "each of the nodes 0 to 3 once"),
    ],
)
def test_graphs_in_which_a_pair_has_no_coupling_of_its_own_are_refused(change, said):
    graph = boltzmann.from_networkx(nx.cycle_graph(4))[0]._replace(**change)
    for build in (layouts.choose, layouts.dense, layouts.padded_sparse, lambda g: layouts.lattice(g, 2, 2)):
        with pytest.raises(ValueError, match=said):
            build(graph)


@pytest.mark.parametrize("build", [layouts.dense, layouts.padded_sparse, layouts.choose])
def test_parameters_of_another_graph_are_refused_and_those_that_are_no_numbers_are_not_sampled(build):
    graph = layouts.torus(4, 6)
    layout, params = build(graph), integers(graph)
    start = chromatic.init(jax.random.key(0), layout, 2)
    for change, said in (
        ({"couplings": jnp.ones(47)}, r"params.couplings must have one number for each of the 48 edges, got \(47,\)"),
        ({"couplings": jnp.ones(49)}, "params.couplings must"),
        ({"bias": jnp.zeros(23)}, r"params.bias must have one number for each of the 24 nodes, got \(23,\)"),
        ({"bias": jnp.zeros(48)}, "params.bias must"),
    ):
        for sample in (chromatic.step, jax.jit(chromatic.step)):  # before anything runs: shapes are known when tracing
            with pytest.raises(ValueError, match=said):
                sample(jax.random.key(0), layout, params._replace(**change), start)
    with pytest.raises(ValueError, match=r"state.spins must be of shape \(n_chains, 24\)"):
        run(jax.random.key(0), layout, params, chromatic.Chains(jnp.ones((2, 48))), 1)
    step = jax.jit(chromatic.step)
    for broken in (
        params._replace(bias=params.bias.at[3].set(jnp.nan)),
        params._replace(couplings=jnp.full(48, jnp.inf)),
    ):
        assert jnp.isnan(step(jax.random.key(0), layout, broken, start).spins).all()
    assert jnp.isfinite(step(jax.random.key(0), layout, params, start).spins).all()


@pytest.mark.parametrize("offsets", [((0, 1), (1, 0)), ((1, 0), (0, 1), (2, 1), (-1, 2)), ((3, 2), (0, 3))])
def test_all_layouts_compute_the_fields_of_the_definition(offsets):
    graph = layouts.torus(8, 10, offsets)
    params = Boltzmann(
        jax.random.normal(jax.random.key(0), (graph.n_edges,)), jax.random.normal(jax.random.key(1), (graph.n_nodes,))
    )
    spins = jnp.sign(jax.random.normal(jax.random.key(2), (3, graph.n_nodes)))
    expected = np.asarray(boltzmann.fields(graph, params, spins))
    classes = split_colors(np.arange(80).reshape(8, 10))
    for layout in (layouts.lattice(graph, 8, 10), layouts.dense(graph), layouts.padded_sparse(graph)):

        @jax.jit
        def both(layout):
            packed = layout.pack(spins)
            return layout.unpack(packed), [layout.fields(layout.arrange(params), packed, color) for color in (0, 1)]

        same, found = both(layout)
        np.testing.assert_array_equal(same, spins)
        for color in (0, 1):
            # Sums of at most 9 numbers below 5 in float32.
            ours = np.asarray(found[color]).reshape(3, -1)
            np.testing.assert_allclose(ours, expected[:, classes[color].reshape(-1)], atol=5e-6)


def test_layouts_give_identical_spins_with_integer_couplings():
    graph = layouts.torus(4, 6)
    params = integers(graph)
    beta = jnp.linspace(0.05, 0.5, 8)
    clamped = jnp.asarray(np.random.default_rng(1).random((8, graph.n_nodes)) < 0.2)
    found = []
    for layout in (layouts.lattice(graph, 4, 6), layouts.dense(graph), layouts.padded_sparse(graph)):
        start = chromatic.init(jax.random.key(3), layout, 8)
        end = run(jax.random.key(4), layout, params, start, 20, beta=beta, clamped=clamped)
        found.append(np.asarray(end.spins))
        assert (found[-1] == np.asarray(start.spins))[np.asarray(clamped)].all()
        assert (found[-1] != np.asarray(start.spins)).any()
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_layouts_give_identical_spins_on_a_graph_of_many_colours():
    graph, _ = boltzmann.from_networkx(nx.gnp_random_graph(24, 0.5, seed=2))
    params = integers(graph, 1)
    assert len(coloring.color(graph)) > chromatic.UNROLLED
    found = []
    for layout in (layouts.dense(graph), layouts.padded_sparse(graph)):
        start = chromatic.init(jax.random.key(0), layout, 8)
        found.append(np.asarray(run(jax.random.key(1), layout, params, start, 20, beta=0.05).spins))
    np.testing.assert_array_equal(*found)


def test_the_layout_is_chosen_by_the_graph():
    grid, _ = boltzmann.from_networkx(nx.grid_2d_graph(4, 6))
    torus, _ = boltzmann.from_networkx(nx.grid_2d_graph(6, 4, periodic=True))
    sparse, _ = boltzmann.from_networkx(nx.random_regular_graph(3, 400, seed=0))
    dense, _ = boltzmann.from_networkx(nx.gnp_random_graph(200, 0.3, seed=0))
    odd, _ = boltzmann.from_networkx(nx.grid_2d_graph(13, 13))
    assert isinstance(layouts.choose(grid), layouts.Lattice)
    assert layouts.choose(torus).torus == Torus(6, 4)
    assert isinstance(layouts.choose(sparse), layouts.PaddedSparse)
    assert isinstance(layouts.choose(dense), layouts.Dense)
    assert isinstance(layouts.choose(odd), layouts.PaddedSparse)
    assert recognise(dense) is None


@pytest.mark.parametrize("build", [layouts.dense, layouts.padded_sparse, layouts.lattice])
def test_one_step_has_the_enumerated_law_and_its_invariances(build):
    """The law of the original model, also by way of a flipped, a gauge-transformed and a relabelled one.

    A lattice's nodes have their sites and the first colour that of node 0, so it is relabelled by half a turn.
    """
    if build is layouts.lattice:
        build = lambda graph, classes: layouts.lattice(graph, 2, 4)  # noqa: E731
        graph, params = open_grid()
        place = np.arange(8)[::-1]
    else:
        graph, params = small()
        place = np.array([3, 0, 5, 1, 4, 2])  # where each node goes
    classes = coloring.color(graph)
    assert len(classes) == (2 if graph.n_nodes == 8 else 3)
    rng = np.random.default_rng(3)
    start, gauge = rng.choice([-1, 1], (2, graph.n_nodes))
    beta, n = 0.7, 100_000
    expected = one_step_law(graph, params, classes, start, beta)
    node = np.argsort(place)
    first, second = np.asarray(graph.edges).T
    same = build(graph, classes)
    moved = build(graph._replace(edges=place[np.asarray(graph.edges)]), [np.sort(place[c]) for c in classes])
    cases = {
        "plain": (same, params, start, lambda s: s),
        "flipped": (same, params._replace(bias=-params.bias), -start, lambda s: -s),
        "gauge": (
            same,
            Boltzmann(params.couplings * gauge[first] * gauge[second], params.bias * gauge),
            start * gauge,
            lambda s: s * gauge,
        ),
        "relabelled": (moved, params._replace(bias=params.bias[node]), start[node], lambda s: s[:, place]),
    }
    step = jax.jit(chromatic.step)
    for i, (name, (layout, model, begin, back)) in enumerate(cases.items()):
        chains = chromatic.Chains(jnp.broadcast_to(jnp.asarray(begin, jnp.float32), (n, len(start))))
        end = step(jax.random.key(i), layout, model, chains, beta=beta)
        counts = np.bincount(index(back(np.asarray(end.spins))), minlength=len(expected))
        assert abs(chi_square_z(counts, expected * n)) < 4, name


@pytest.mark.parametrize("phase", ["free", "clamped"])
@pytest.mark.parametrize("build", [layouts.dense, layouts.padded_sparse, layouts.choose])
def test_exact_samples_stay_exact(build, phase):
    """200 seeds of 256 chains: counts of all states, and the energy of each seed, within 4 sigma."""
    n_seeds, n_chains, beta = 200, 256, 0.8
    if build is layouts.choose:
        graph, params = open_grid()
        states = np.array(list(itertools.product((-1, 1), repeat=8)))
        assert isinstance(build(graph), layouts.Lattice)
    else:
        graph, params = small()
        states = STATES
    mask = None
    if phase == "clamped":
        mask = jnp.zeros(graph.n_nodes, bool).at[graph.visible].set(True)
        states = states[(states[:, graph.visible] == states[21, graph.visible]).all(1)]
    p = law(graph, params, states, beta)
    layout = build(graph)

    def one(key):
        start_key, key = jax.random.split(key)
        rows = jax.random.choice(start_key, len(states), (n_chains,), p=jnp.asarray(p))
        chains = chromatic.Chains(jnp.asarray(states, jnp.float32)[rows])
        return chromatic.sweeps(key, layout, params, chains, 4, beta=beta, clamped=mask).spins

    end = np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(7), n_seeds)))
    hits = (end[:, :, None, :] == states[None, None]).all(-1)
    assert hits.any(-1).all()
    assert abs(chi_square_z(hits.sum((0, 1)), p * n_seeds * n_chains)) < 4
    E = energies(graph, params, states)
    mean, deviation = p @ E, np.sqrt(p @ E**2 - (p @ E) ** 2)
    z = (hits @ E - mean).mean(1) / deviation * np.sqrt(n_chains)
    assert abs(z.mean() * np.sqrt(n_seeds)) < 4
    assert abs(z.var(ddof=1) - 1) < 4 * np.sqrt(2 / n_seeds)


def test_new_parameters_temperatures_and_graphs_of_the_same_sizes_do_not_compile_again():
    traces = []

    @jax.jit
    def run(key, layout, params, state, beta):
        traces.append(1)
        return chromatic.sweeps(key, layout, params, state, 2, beta=beta)

    for seed in range(3):
        graph, _ = boltzmann.from_networkx(nx.relabel_nodes(nx.cycle_graph(8), dict(enumerate(range(seed, seed + 8)))))
        layout = layouts.padded_sparse(graph._replace(edges=(graph.edges + seed) % 8))
        state = chromatic.init(jax.random.key(seed), layout, 4)
        run(jax.random.key(seed), layout, integers(graph, seed), state, jnp.float32(0.1 * seed))
    grid = layouts.torus(4, 4)
    for seed in range(3):
        layout = layouts.choose(grid)
        state = chromatic.init(jax.random.key(seed), layout, 4)
        run(jax.random.key(seed), layout, integers(grid, seed), state, jnp.float32(0.1 * seed))
    assert len(traces) == 2


def test_sweeps_are_steps_and_chains_do_not_depend_on_their_number():
    graph = layouts.torus(4, 6)
    layout, params, key = layouts.choose(graph), integers(graph), jax.random.key(1)
    start = chromatic.init(jax.random.key(0), layout, 6)
    state, step = start, jax.jit(chromatic.step)
    for step_key in jax.random.split(key, 5):
        state = step(step_key, layout, params, state, beta=0.2)
    end = run(key, layout, params, start, 5, beta=0.2)
    np.testing.assert_array_equal(state.spins, end.spins)
    few = run(key, layout, params, chromatic.Chains(start.spins[:4]), 5, beta=jnp.full(4, 0.2))
    np.testing.assert_array_equal(few.spins, end.spins[:4])


def test_every_refusal_says_what_to_do():
    graph = layouts.torus(4, 6)
    with pytest.raises(ValueError, match="n_chains must be at least 1, got 0"):
        chromatic.init(jax.random.key(0), layouts.choose(graph), 0)
    with pytest.raises(ValueError, match=r"Torus\.cols must be even and at least 2, got 5"):
        layouts.torus(4, 5)
    with pytest.raises(ValueError, match=r"odd sum each, got \(1, 1\)"):
        layouts.torus(4, 6, ((1, 1),))
    with pytest.raises(ValueError, match="its own opposite"):
        layouts.torus(2, 6)
    with pytest.raises(ValueError, match="24 nodes of the graph, got 4 x 4"):
        layouts.lattice(graph, 4, 4)


def test_the_oracle_for_ising_energies_agrees_with_brute_force():
    sites = np.arange(16).reshape(4, 4)
    states = np.array(list(itertools.product((-1.0, 1.0), repeat=16)), np.float32)
    bonds = sum((states * states[:, np.roll(sites, -1, axis).reshape(-1)]).sum(1) for axis in (0, 1)).astype(float)
    assert log_partition(4, 0.3) == pytest.approx(np.log(np.exp(0.3 * bonds).sum()), abs=1e-10)
    assert log_partition(4, 0.3) == pytest.approx(12.785523325714, abs=1e-10)
    weights = np.exp(0.3 * bonds)
    assert energy_per_site(4, 0.3) == pytest.approx(-(weights @ bonds) / weights.sum() / 16, abs=1e-8)
    # Ferdinand & Fisher's table is for other sizes; Onsager's infinite lattice is the limit (its closed form, 1944).
    assert energy_per_site(256, 0.3) == pytest.approx(-0.704499071, abs=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "n_chains"), [(8, 512), (64, 64), (256, 32)])
def test_ising_energies_are_those_of_the_finite_torus(size, n_chains):
    """Half of the chains at beta 0.3, half at 0.4, each mean within 4 sigma, sigma from the spread of independent
    chains, each averaged over time: no model of autocorrelation enters. 300 sweeps are discarded, 6 correlation times
    of the magnetisation at beta 0.4, more of the energy's; 10 measurements follow."""
    graph = layouts.torus(size, size)
    layout = layouts.choose(graph)
    params = Boltzmann(jnp.ones(graph.n_edges), jnp.zeros(graph.n_nodes))
    betas = jnp.repeat(jnp.array([0.3, 0.4]), n_chains // 2)

    @jax.jit
    def run(key, state):
        def body(chains, step_key):
            chains = chromatic.sweeps(step_key, layout, params, chains, 10, beta=betas)
            sites = chains.spins.reshape(-1, size, size)
            return chains, -sum(jnp.mean(sites * jnp.roll(sites, 1, axis), axis=(1, 2)) for axis in (1, 2))

        return jax.lax.scan(body, state, jax.random.split(key, 40))[1][30:].mean(0)

    start = chromatic.init(jax.random.key(1), layout, n_chains)
    found = np.asarray(run(jax.random.key(size), start), float).reshape(2, -1)
    exact = np.array([energy_per_site(size, beta) for beta in (0.3, 0.4)])
    z = (found.mean(1) - exact) / (found.std(1, ddof=1) / np.sqrt(n_chains / 2))
    print(size, z)
    assert np.abs(z).max() < 4, z
