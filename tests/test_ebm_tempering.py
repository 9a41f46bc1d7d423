"""Parallel tempering and annealing against enumerated extended states, closed forms and brute force."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import aimc
from ebm import analog, rbm
from ebm.energies.gaussian import GaussianRbm
from ebm.energies.potts import PottsRbm
from ebm.energies.rbm import Rbm
from ebm.samplers import annealing, gibbs, gwg, mala, metropolis, tempering

# The round of exchanges, on the extended state: every permutation of 4 levels times every assignment of 3 energies.

U = np.array([0.0, 0.7, 2.0])
BETAS = np.array([0.1, 0.4, 0.9, 1.5])
PERMUTATIONS = np.array(list(itertools.permutations(range(4))))
ASSIGNMENTS = np.array(list(itertools.product(range(3), repeat=4)))
LEVEL = np.repeat(PERMUTATIONS, len(ASSIGNMENTS), axis=0)
X = np.tile(ASSIGNMENTS, (len(PERMUTATIONS), 1))


def energy_of_symbol(x):
    return jnp.asarray(U, jnp.float32)[x]


def extended(parity):
    """One chain for every extended state, copies first."""
    state = tempering.init(energy_of_symbol, jnp.asarray(BETAS, jnp.float32), jnp.asarray(X.T))
    return state._replace(level=jnp.asarray(LEVEL.T), n_rounds=jnp.asarray(parity))


@pytest.fixture(scope="module")
def swap():
    return jax.jit(lambda key, state: tempering.swap(key, energy_of_symbol, jnp.asarray(BETAS, jnp.float32), state))


@pytest.mark.parametrize("parity", [0, 1])
def test_a_round_keeps_the_enumerated_law_of_the_extended_state(swap, parity):
    """The probabilities that the round reports make a matrix with detailed balance for Π exp(−β U), to 1e-6.

    Which exchanges are offered is counted, and that those done are as frequent as reported, within 4.5 σ.
    """
    _, info = swap(jax.random.key(0), extended(parity))
    reported = np.asarray(info.acceptance, np.float64)
    index = {tuple(np.concatenate(row)): i for i, row in enumerate(zip(LEVEL, X, strict=True))}
    law = np.exp(-np.sum(BETAS[LEVEL] * U[X], axis=1))
    law /= law.sum()
    transition = np.zeros((len(law), len(law)))
    offered = [pair for pair in range(3) if pair % 2 == parity]
    for i in range(len(law)):
        for chosen in itertools.product((0, 1), repeat=len(offered)):
            level, probability = LEVEL[i].copy(), 1.0
            for pair, is_done in zip(offered, chosen, strict=True):
                probability *= reported[pair, i] if is_done else 1 - reported[pair, i]
                if is_done:
                    one, two = np.where(LEVEL[i] == pair)[0][0], np.where(LEVEL[i] == pair + 1)[0][0]
                    level[one], level[two] = pair + 1, pair
            transition[i, index[tuple(np.concatenate([level, X[i]]))]] += probability
    flow = law[:, None] * transition
    assert np.abs(flow - flow.T).max() < 1e-6 * law.max()
    assert np.abs(law @ transition - law).max() < 1e-6 * law.max()
    # What is done follows what is reported.
    n = 400
    states, infos = jax.vmap(swap, in_axes=(0, None))(jax.random.split(jax.random.key(1), n), extended(parity))
    done = np.asarray(infos.is_swapped).sum(axis=0)
    assert done[[pair for pair in range(3) if pair not in offered]].sum() == 0
    expected, variance = n * reported[offered], n * reported[offered] * (1 - reported[offered])
    assert np.all(done[offered][variance == 0] == expected[variance == 0])
    z = ((done[offered] - expected) / np.sqrt(np.maximum(variance, 1)))[variance > 0]
    assert np.abs(z.mean()) < 4.5 / np.sqrt(len(z))
    assert np.abs(z).max() < 6  # of 3,888, with small expected counts among them
    # Levels stay a permutation, and those exchanged are exactly those reported as done.
    assert np.array_equal(np.sort(states.level, axis=1), np.broadcast_to(np.arange(4)[:, None], states.level.shape))
    moved = np.asarray(states.level) != LEVEL.T[None]
    assert np.array_equal(moved.sum(axis=1), 2 * np.asarray(infos.is_swapped).sum(axis=1))


def test_temperatures_move_and_states_do_not(swap):
    before = extended(0)
    after, _ = swap(jax.random.key(0), before)
    assert np.array_equal(after.position, before.position)
    assert np.any(np.asarray(after.level) != np.asarray(before.level))
    for level in range(4):
        copy = np.argmax(np.asarray(after.level) == level, axis=0)
        assert np.array_equal(tempering.at(after, level), X[np.arange(len(X)), copy])
    assert np.array_equal(tempering.at(after, -1), tempering.at(after, 3))


def test_exchanges_and_round_trips_have_their_closed_form():
    """U exponential at rate β and drawn anew each round, 4 σ of 400 ladders.

    A pair exchanges with probability 2a/(a + b); round trips come at 1/(2 + 2 Σ r/(1 − r)) a round (Syed et al. 2022).
    """
    betas = jnp.array([0.2, 0.5, 0.9, 2.0])
    n_ladders, n_first, n_rounds = 400, 200, 1000  # trips are counted from the n_first-th round, when all have begun

    def kernel(key, beta, x):
        return jax.random.exponential(key, x.shape) / beta

    def step(key, state):
        state, info = tempering.step(key, kernel, lambda x: x, betas, state)
        return state, (info.acceptance, info.is_swapped, state.round_trips)

    state = tempering.init(lambda x: x, betas, jnp.ones((4, n_ladders)))
    state, (acceptance, swapped, counted) = jax.jit(
        lambda key: metropolis.sweeps(key, step, state, n_first + n_rounds)
    )(jax.random.key(0))
    acceptance, swapped = (each[n_first:].mean(axis=(0, 2)) for each in (acceptance, swapped))
    exact = 2 * np.asarray(betas[:-1]) / np.asarray(betas[:-1] + betas[1:])
    n = n_ladders * n_rounds
    assert np.abs(np.asarray(acceptance) - exact).max() < 4 * np.sqrt(exact * (1 - exact) / n).max()
    # Each pair's turn comes every second round.
    assert np.abs(2 * np.asarray(swapped) - exact).max() < 4 * np.sqrt(2 * exact * (1 - exact) / n).max()
    trips = np.asarray(counted[-1] - counted[n_first - 1]).sum(axis=0) / n_rounds
    rate = 1 / (2 + 2 * np.sum((1 - exact) / exact))
    assert float(tempering.round_trip_rate(jnp.asarray(exact))) == pytest.approx(rate, rel=1e-5)
    assert abs(trips.mean() - rate) < 4 * trips.std() / np.sqrt(n_ladders)
    assert int(state.n_rounds) == n_rounds + n_first


def test_respaced_ladders_exchange_equally_often():
    """For U ~ Exp(β) the acceptance 2a/(a + b) depends on b/a alone, so the ladder to end at is the geometric one."""
    betas = jnp.array([0.1, 1.0, 2.0, 3.0, 4.0])
    for _ in range(30):
        betas = tempering.respaced(betas, 2 * betas[:-1] / (betas[:-1] + betas[1:]))
    assert np.allclose(betas, np.geomspace(0.1, 4.0, 5), rtol=2e-2)
    assert float(betas[0]) == pytest.approx(0.1)
    assert float(betas[-1]) == 4.0


# The layered path, E(v, h) = E_0(v) + β U(v, h).

PATH = np.array([0.0, 0.5, 1.0])
N_SEEDS, N_LADDERS = 200, 50


def bernoulli_model():
    keys = jax.random.split(jax.random.key(7), 3)
    params = Rbm(*(jax.random.normal(key, shape) for key, shape in zip(keys, ((4, 3), (4,), (3,)), strict=True)))
    visible = np.array(list(itertools.product((0.0, 1.0), repeat=4)))
    weights, a, c = (np.asarray(leaf, np.float64) for leaf in params)
    return params, visible, -visible @ a, weights, c


def potts_model():
    keys = jax.random.split(jax.random.key(8), 3)
    params = PottsRbm(*(jax.random.normal(key, s) for key, s in zip(keys, ((2, 3, 3), (2, 3), (3,)), strict=True)))
    visible = np.array([np.concatenate(rows) for rows in itertools.product(np.eye(3), repeat=2)])
    weights, a, c = (np.asarray(leaf, np.float64) for leaf in params)
    return params, visible, -visible @ a.ravel(), weights.reshape(6, 3), c


@jax.jit
def tempered_sweeps(params, seeds, chains):
    kernel, energy = tempering.layered(params)
    betas = jnp.asarray(PATH, jnp.float32)

    def one(seed, chains):
        state = tempering.init(energy, betas, chains)
        step = lambda key, state: tempering.step(key, kernel, energy, betas, state)  # noqa: E731
        state, _ = metropolis.sweeps(jax.random.key(seed), step, state, 7)
        return [tempering.at(state, level) for level in range(len(PATH))]

    return jax.vmap(one)(seeds, chains)


@pytest.mark.parametrize("model", [bernoulli_model, potts_model])
def test_tempered_gibbs_stays_at_the_enumerated_law_of_every_beta(model):
    """Means and all products v_i h_j over 200 seeds of 50 ladders within 4 σ; at β = 0 that is the biases alone."""
    params, visible, base, weights, c = model()
    hidden = np.array(list(itertools.product((0.0, 1.0), repeat=3)))
    v, h = np.repeat(visible, 8, axis=0), np.tile(hidden, (len(visible), 1))
    u = -np.sum((v @ weights + c) * h, axis=1)
    random = np.random.default_rng(4)
    laws, starts = [], []
    for beta in PATH:
        law = np.exp(-np.repeat(base, 8) - beta * u)
        laws.append(law / law.sum())
        starts.append(random.choice(len(law), (N_SEEDS, N_LADDERS), p=laws[-1]))
    index = np.stack(starts, axis=1)
    chains = gibbs.Chains(jnp.asarray(v[index], jnp.float32), jnp.asarray(h[index], jnp.float32))
    statistics = np.concatenate([v, h, (v[:, :, None] * h[:, None]).reshape(len(v), -1)], axis=1)
    for law, end in zip(laws, tempered_sweeps(params, jnp.arange(N_SEEDS), chains), strict=True):
        a, b = np.asarray(end.visible, np.float64), np.asarray(end.hidden, np.float64)
        seen = np.concatenate([a, b, (a[..., None] * b[..., None, :]).reshape(*a.shape[:2], -1)], axis=2)
        mean = law @ statistics
        deviation = np.sqrt(law @ statistics**2 - mean**2)
        z = (seen.mean(axis=(0, 1)) - mean) / (deviation / np.sqrt(N_SEEDS * N_LADDERS))
        assert np.abs(z).max() < 4, z
        # Ladders are independent, so the spread of a seed's mean is known too; its own error is √(2/199).
        spread = seen.mean(axis=1).var(axis=0, ddof=1) / (deviation**2 / N_LADDERS) - 1
        assert np.abs(spread).max() < 4.5 * np.sqrt(2 / (N_SEEDS - 1))


def test_the_gaussian_layer_at_beta_is_the_model_with_scaled_couplings():
    """v given h at β is normal about a + β W h: its mean within 4 σ, and the same variance."""
    params = GaussianRbm(jnp.array([[1.0], [-2.0]]), jnp.array([0.5, 0.0]), jnp.array([20.0]), jnp.zeros(2))
    kernel, energy = tempering.layered(params)
    beta = jnp.full((2, 20_000), 0.3).at[1].set(1.0)
    chains = gibbs.Chains(jnp.zeros((2, 20_000, 2)), jnp.ones((2, 20_000, 1)))
    end = kernel(jax.random.key(0), beta, chains)
    on = np.asarray(end.hidden)[..., 0] > 0
    for row, b in enumerate((0.3, 1.0)):
        v = np.asarray(end.visible)[row][on[row]]
        mean = np.array([0.5, 0.0]) + b * np.array([1.0, -2.0])
        assert np.abs(v.mean(axis=0) - mean).max() < 4 / np.sqrt(len(v))
        assert np.abs(v.var(axis=0) - 1).max() < 4 * np.sqrt(2 / len(v))
    assert np.allclose(energy(chains), -20.0)


def test_tempering_of_any_kernel_keeps_the_law_of_every_beta_and_crosses_the_barrier():
    """MALA on a double well of height 8: ⟨x²⟩ and ⟨x⟩ by quadrature at every β; alone no cold chain crosses."""
    betas = jnp.array([0.05, 0.2, 0.5, 1.0])

    def well(params, x):
        return 8 * (x[..., 0] ** 2 - 1) ** 2

    def kernel(key, beta, x):
        def tempered(beta, x):
            return beta * well(None, x)

        state = metropolis.init(tempered, beta, x)
        return mala.step(key, tempered, beta, state, step_size=0.03 / beta**0.5)[0].position

    energy = partial(well, None)
    grid = np.linspace(-4, 4, 8001)
    n = 4000
    random = np.random.default_rng(0)
    laws = [np.exp(-float(beta) * 8 * (grid**2 - 1) ** 2) for beta in betas]
    laws = [law / law.sum() for law in laws]
    # The coldest copies start in one well, all others at their law.
    start = np.stack([grid[random.choice(len(grid), n, p=law)] for law in laws])
    start[-1] = np.abs(start[-1])
    run = jax.jit(
        lambda key, state, n_steps: metropolis.sweeps(
            key, lambda key, state: tempering.step(key, kernel, energy, betas, state), state, n_steps
        ),
        static_argnums=2,
    )
    state = tempering.init(energy, betas, jnp.asarray(start[..., None], jnp.float32))
    state, _ = run(jax.random.key(0), state, 400)
    for level, law in enumerate(laws):
        x = np.asarray(tempering.at(state, level), np.float64)[:, 0]
        second, fourth = law @ grid**2, law @ grid**4
        assert abs(np.mean(x**2) - second) < 4 * np.sqrt((fourth - second**2) / n)
        assert abs(np.mean(x)) < 4 * np.sqrt(second / n)
    alone = jnp.asarray(start[-1:, :, None], jnp.float32)
    for key in jax.random.split(jax.random.key(1), 20):
        alone = kernel(key, jnp.ones((1, n)), alone)
    assert float(jnp.mean(alone < 0)) < 0.01


def test_a_ladder_of_the_wrong_length_is_refused():
    for betas in (jnp.ones(3), jnp.ones(1)):
        with pytest.raises(ValueError, match="betas must be a row of at least 2"):
            tempering.init(lambda x: x, betas, jnp.ones((2, 5)))


# Annealing.


def test_a_chip_has_no_ladder():
    chip = analog.program(jax.random.key(0), rbm.init(jax.random.key(1), 3, 2), aimc.crossbar())
    with pytest.raises(ValueError, match="params must be those of an ideal layered model, got Chip, which has no"):
        tempering.layered(chip)


def test_annealing_finds_the_ground_state_of_a_spin_glass():
    """10 spins with 45 normal couplings: the lowest of all 1,024 energies, from at least 95 of 100 starts."""
    couplings = np.triu(np.random.default_rng(2).standard_normal((10, 10)), 1)
    states = np.array(list(itertools.product((-1.0, 1.0), repeat=10)))
    lowest = (-np.einsum("ni,ij,nj->n", states, couplings, states)).min()

    def glass(beta, x):
        # Divided among two orders of the product, so that the gradient holds both halves.
        return -beta * jnp.sum((x @ jnp.asarray(couplings, jnp.float32)) * x, axis=-1)

    def kernel(key, beta, x):
        state = metropolis.init(glass, beta, x)
        return gwg.step(key, glass, beta, state, kind="spins")[0].position

    energy = partial(glass, 1.0)
    x = jnp.where(jax.random.bernoulli(jax.random.key(0), shape=(100, 10)), 1.0, -1.0)
    start = annealing.init(energy, x)
    betas = jnp.linspace(0.05, 3.0, 300)
    end = jax.jit(lambda key, state: annealing.anneal(key, kernel, energy, betas, state))(jax.random.key(1), start)
    found = np.asarray(end.best_energy)
    assert found.min() > lowest - 1e-4
    assert np.mean(found < lowest + 1e-4) >= 0.95
    assert np.array_equal(np.asarray(energy(end.best)), found)
    assert np.all(found <= np.asarray(start.best_energy))
    # At the end of the schedule chains are near the bottom too: β = 3 is cold.
    assert np.mean(np.asarray(energy(end.position)) < lowest + 3) > 0.9
