"""Multi-spin coding: exact transition probabilities, independent chains, laws against enumeration and Kaufman."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ising_oracle import chi_square_z, energy_per_site

from ebm import layouts
from ebm.energies import boltzmann
from ebm.energies.boltzmann import Boltzmann
from ebm.samplers import multispin
from ebm.samplers.multispin import Ising

run = jax.jit(multispin.sweeps, static_argnums=3)


def signed(rows, cols, seed):
    """A torus with random signs: graph, couplings, and the model."""
    graph = layouts.torus(rows, cols)
    couplings = jnp.asarray(np.random.default_rng(seed).choice([-0.5, 0.5], graph.n_edges), jnp.float32)
    params = Boltzmann(couplings, jnp.zeros(graph.n_nodes))
    return graph, params, multispin.from_boltzmann(layouts.choose(graph), params)


def test_packing_is_inverted_and_the_bond_sum_is_the_energy():
    graph, params, model = signed(6, 8, 0)
    state = multispin.init(jax.random.key(0), 64, 6, 8)
    spins = multispin.unpack(state)
    again = multispin.pack(spins, 6, 8)
    np.testing.assert_array_equal(state.even, again.even)
    np.testing.assert_array_equal(state.odd, again.odd)
    assert abs(float(spins.mean())) < 4 / np.sqrt(spins.size)
    found = -0.5 * np.asarray(multispin.bond_sum(model, state))
    np.testing.assert_array_equal(found, boltzmann.energy(graph, params, spins))


def test_the_comparison_has_exactly_the_stated_probability():
    """All 256 values of the 8 bits, once each: T of them are below, T + 1 when the threshold draw falls in f."""
    p = jnp.asarray([0.5, 0.4999, 0.23147522, 0.0832, 1e-3, 1e-6, 0.0], jnp.float32).reshape(-1, 1)
    whole, fraction = multispin._threshold(p)
    np.testing.assert_allclose(
        np.asarray(whole) / 2**8 + np.asarray(fraction) / 2**40, np.asarray(p, float), atol=2**-40
    )
    lanes = np.arange(256).reshape(8, 32)
    bits = [
        jnp.asarray(((lanes >> i & 1).astype(np.uint32) << np.arange(32, dtype=np.uint32)).sum(1, dtype=np.uint32))
        for i in range(8)
    ]
    for draw in (0, 2**31, 2**32 - 1):
        dither = jnp.full((7, 8), draw, jnp.uint32)
        for select in (0, 2**32 - 1):
            chosen = jnp.full((7, 8), select, jnp.uint32)
            first, second = (p, 0.5 - p) if select else (0.5 - p, p)
            below = np.asarray(multispin._below(bits, dither, chosen, first, second))
            count = np.unpackbits(below.view(np.uint8), axis=1).sum(1)
            expected = np.asarray(whole) + (draw < np.asarray(fraction))
            np.testing.assert_array_equal(count, expected[:, 0])


@pytest.mark.parametrize("coupling", [0.5, -0.5])
def test_transition_probabilities_are_those_of_the_heat_bath(coupling):
    """Spins after one sweep, grouped by their field at the time of the draw; every group, and every chain of a word,
    is a binomial count of probability sigmoid(2 beta f)."""
    n_words = 4096
    graph, params, model = signed(4, 6, 1)
    model, params = (
        model._replace(coupling=jnp.float32(coupling)),
        params._replace(couplings=params.couplings * 2 * coupling),
    )
    beta = jnp.where(jnp.arange(n_words) % 2 == 0, 0.3, 0.9)
    start = multispin.init(jax.random.key(1), 32 * n_words, 4, 6)
    end = jax.jit(multispin.step)(jax.random.key(2), model, start, beta=beta)
    middle = np.asarray(multispin.unpack(multispin.Spins(end.even, start.odd)))
    spins, begin = np.asarray(multispin.unpack(end)), np.asarray(multispin.unpack(start))
    is_even = (np.add(*np.divmod(np.arange(24), 6)) % 2) == 0
    matrix = np.zeros((24, 24))
    for J, (i, j) in zip(np.asarray(params.couplings), graph.edges.tolist(), strict=True):
        matrix[i, j] = matrix[j, i] = J
    field = np.where(is_even, begin @ matrix, middle @ matrix)
    p = 1 / (1 + np.exp(-2 * np.repeat(np.asarray(beta), 32)[:, None] * field))
    excess, variance = (spins > 0) - p, p * (1 - p)
    z = []
    for value, parity, word in itertools.product((-2, -1, 0, 1, 2), (0, 1), (0, 1)):
        group = (field == value) & (is_even == parity) & ((np.arange(32 * n_words) // 32 % 2) == word)[:, None]
        z.append(excess[group].sum() / np.sqrt(variance[group].sum()))
    z.extend(excess.sum(0) / np.sqrt(variance.sum(0)))
    z.extend(excess.reshape(n_words, 32, 24).sum((0, 2)) / np.sqrt(variance.reshape(n_words, 32, 24).sum((0, 2))))
    assert np.abs(z).max() < 4.5  # of 76 numbers


def test_exact_samples_of_a_frustrated_torus_stay_exact():
    """4 x 4, random signs, 65,536 states enumerated: energies after 3 sweeps, started from exact samples."""
    graph, params, model = signed(4, 4, 2)
    states = np.array(list(itertools.product((-1, 1), repeat=16)), np.float32)
    E = np.asarray(boltzmann.energy(graph, params, jnp.asarray(states)), float)
    beta, n = 0.9, 2**17
    p = np.exp(-beta * E) / np.exp(-beta * E).sum()
    rows = np.random.default_rng(3).choice(len(states), n, p=p)
    end = run(jax.random.key(4), model, multispin.pack(jnp.asarray(states[rows]), 4, 4), 3, beta=beta)
    levels, level = np.unique(E, return_inverse=True)
    found = -0.5 * np.asarray(multispin.bond_sum(model, end))
    counts = np.array([(found == value).sum() for value in levels])
    assert counts.sum() == n
    assert abs(chi_square_z(counts, n * np.bincount(level, p))) < 4
    spins = np.asarray(multispin.unpack(end), float)
    correlations = (spins.T @ spins / n)[np.triu_indices(16, 1)]
    exact = ((states * p[:, None]).T @ states)[np.triu_indices(16, 1)]
    assert np.abs((correlations - exact) / np.sqrt((1 - exact**2) / n)).max() < 4.5  # 120 pairs


def test_chains_of_a_word_and_of_neighbouring_words_are_independent():
    n_words = 2048
    state = multispin.init(jax.random.key(5), 32 * n_words, 16, 16)
    sums = np.asarray(multispin.bond_sum(Ising(), run(jax.random.key(6), Ising(), state, 40, beta=0.3)), float)
    sums = ((sums - sums.mean()) / sums.std()).reshape(n_words, 32)
    ratio = sums.mean(1).var() * 32
    assert abs(ratio - 1) < 4 * np.sqrt(2 / n_words), ratio
    off = (sums.T @ sums / np.sqrt(n_words))[np.triu_indices(32, 1)]
    assert abs(off.var() - 1) < 4 * np.sqrt(2 / off.size)
    assert np.abs(off).max() < 4.8  # of 496
    beside = (sums[:-1] * sums[1:]).mean() * np.sqrt(32 * (n_words - 1))
    assert abs(beside) < 4


@pytest.mark.slow
@pytest.mark.parametrize(("size", "n_chains"), [(8, 16384), (64, 1024), (256, 128)])
def test_ising_energies_are_those_of_the_finite_torus(size, n_chains):
    """Ferromagnet, antiferromagnet and, at 64, a gauge-transformed ferromagnet, within 4 sigma of one exact value; half
    of the chains at beta 0.3, half at 0.4. Sigma comes from the spread of independent chains, each averaged over time:
    no model of autocorrelation enters. 500 sweeps are discarded, 10 correlation times of the magnetisation at beta
    0.4, more of the energy's; 10 measurements follow."""
    betas = jnp.repeat(jnp.array([0.3, 0.4]), n_chains // 64)
    graph = layouts.torus(size, size)
    first, second = graph.edges.T
    gauge = np.random.default_rng(7).choice([-1.0, 1.0], size * size)
    params = Boltzmann(jnp.asarray(gauge[first] * gauge[second], jnp.float32), jnp.zeros(size * size))
    glass = multispin.from_boltzmann(layouts.choose(graph), params)

    @jax.jit
    def measure(key, model, state):
        first_key, key = jax.random.split(key)
        state = multispin.sweeps(first_key, model, state, 500, beta=betas)

        def body(spins, step_key):
            spins = multispin.sweeps(step_key, model, spins, 20, beta=betas)
            return spins, -multispin.bond_sum(model, spins) * jnp.sign(jnp.asarray(model.coupling)) / size**2

        return jax.lax.scan(body, state, jax.random.split(key, 10))[1].mean(0)

    for i, model in enumerate((Ising(jnp.float32(1)), Ising(jnp.float32(-1)), *([glass] if size == 64 else []))):
        start = multispin.init(jax.random.key(10 + i), n_chains, size, size)
        found = np.asarray(measure(jax.random.key(i), model, start), float).reshape(2, -1)
        exact = np.array([energy_per_site(size, beta) for beta in (0.3, 0.4)])
        z = (found.mean(1) - exact) / (found.std(1, ddof=1) / np.sqrt(n_chains / 2))
        print(size, i, z)
        assert np.abs(z).max() < 4, (i, z)


def test_sweeps_are_steps_and_chains_do_not_depend_on_their_number():
    _, _, model = signed(4, 6, 3)
    start = multispin.init(jax.random.key(0), 96, 4, 6)
    step = jax.jit(multispin.step)
    state = start
    for step_key in jax.random.split(jax.random.key(1), 5):
        state = step(step_key, model, state, beta=0.7)
    end = run(jax.random.key(1), model, start, 5, beta=0.7)
    few = run(jax.random.key(1), model, multispin.Spins(start.even[:2], start.odd[:2]), 5, beta=jnp.full(2, 0.7))
    for one, other, third in zip(state, end, few, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(other[:2], third)


def test_every_refusal_says_what_to_do():
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="positive multiple of 32, the chains in a word, got 33"):
        multispin.init(key, 33, 4, 4)
    with pytest.raises(ValueError, match="cols must be even and at least 4, got 5"):
        multispin.init(key, 32, 4, 5)
    with pytest.raises(ValueError, match="period of the counter"):
        multispin.init(key, 2**20, 2**9, 2**9)
    graph, params, _ = signed(4, 4, 0)
    layout = layouts.choose(graph)
    with pytest.raises(ValueError, match="couplings of one strength and no bias"):
        multispin.from_boltzmann(layout, params._replace(couplings=params.couplings.at[0].set(1.0)))
    with pytest.raises(ValueError, match="with every bond"):
        multispin.from_boltzmann(
            layouts.lattice(graph._replace(edges=graph.edges[1:]), 4, 4), Boltzmann(params.couplings[1:], params.bias)
        )
