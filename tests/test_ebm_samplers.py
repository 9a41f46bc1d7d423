"""Gibbs-with-gradients, Langevin, MALA and HMC against enumerated, closed and integrated laws.

The continuous model is E(x) = a (x_1² − 1)² + x'Px / 2 in the plane: a Gaussian at a = 0, a coupled double well at a
> 0.
"""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aimc.noise import HASH
from ebm.samplers import gwg, hmc, langevin, mala, metropolis

N_SEEDS, N_CHAINS = 200, 500
GAUSSIAN = (0.0, np.array([[2.0, -1.2], [-1.2, 1.0]]))
DOUBLE_WELL = (1.5, np.array([[0.5, -1.0], [-1.0, 2.0]]))


def well(params, x):
    a, precision = params
    return a * (x[..., 0] ** 2 - 1) ** 2 + jnp.sum((x @ precision) * x, axis=-1) / 2


def leaves(model):
    return jnp.float32(model[0]), jnp.asarray(model[1], jnp.float32)


def exact_plane(model, n, seed):
    """Exact draws and, per statistic, its exact mean and standard deviation: x, y, x², y², xy; by quadrature of x."""
    a, p = model
    grid = np.linspace(-6, 6, 20_001)
    width = 1 / np.sqrt(p[1, 1])  # of y given x, whose mean is slope x
    slope = -p[0, 1] / p[1, 1]
    density = np.exp(-a * (grid**2 - 1) ** 2 - (p[0, 0] - p[0, 1] ** 2 / p[1, 1]) * grid**2 / 2)
    density /= density.sum()
    m = [float(np.sum(density * grid**k)) for k in range(5)]
    y2, y4 = slope**2 * m[2] + width**2, slope**4 * m[4] + 6 * slope**2 * width**2 * m[2] + 3 * width**4
    xy, x2y2 = slope * m[2], slope**2 * m[4] + width**2 * m[2]
    mean = np.array([0, 0, m[2], y2, xy])
    deviation = np.sqrt([m[2], y2, m[4] - m[2] ** 2, y4 - y2**2, x2y2 - xy**2])
    random = np.random.default_rng(seed)
    x = np.interp(random.random(n), np.cumsum(density) - density / 2, grid)
    y = slope * x + width * random.standard_normal(n)
    return np.stack([x, y], axis=1).astype(np.float32), mean, deviation


def statistics(x):
    x = np.asarray(x, np.float64)
    return np.stack([x[..., 0], x[..., 1], x[..., 0] ** 2, x[..., 1] ** 2, x[..., 0] * x[..., 1]], axis=-1)


KERNELS = {
    "mala": lambda key, params, state: mala.step(key, well, params, state, step_size=0.15),
    "hmc": lambda key, params, state: hmc.step(key, well, params, state, step_size=0.4, n_leapfrog=5, jitter=0.3),
    "unadjusted": lambda key, params, state: (
        metropolis.init(
            well, params, langevin.step(key, well, params, langevin.State(state.position), step_size=0.15).position
        ),
        metropolis.Info(jnp.ones_like(state.energy), jnp.zeros_like(state.energy), state.energy < jnp.inf),
    ),
}


@partial(jax.jit, static_argnames="name")
def moved(name, seeds, params, x):
    """10 steps of the chains of every seed, and the mean of exp(log ratio) of each step."""

    def one(seed, start):
        state = metropolis.init(well, params, start)
        kernel = partial(KERNELS[name], params=params)
        state, info = metropolis.sweeps(jax.random.key(seed), lambda key, state: kernel(key, state=state), state, 10)
        return state.position, jnp.exp(info.log_ratio), jnp.mean(info.acceptance)

    return jax.vmap(one)(seeds, x)


@pytest.mark.parametrize("model", [GAUSSIAN, DOUBLE_WELL], ids=["gaussian", "double well"])
@pytest.mark.parametrize("name", ["mala", "hmc"])
def test_corrected_samplers_stay_at_the_exact_law(name, model):
    """Means, variances and the covariance over 200 seeds of 500 chains within 4 σ; so does each seed's spread."""
    start, mean, deviation = exact_plane(model, N_SEEDS * N_CHAINS, 1)
    x, ratio, acceptance = moved(name, jnp.arange(N_SEEDS), leaves(model), start.reshape(N_SEEDS, N_CHAINS, 2))
    each = statistics(x).mean(axis=1)
    z = (each.mean(axis=0) - mean) / (deviation / np.sqrt(N_SEEDS * N_CHAINS))
    assert np.abs(z).max() < 4, z
    # Chains are independent, so a seed's mean has variance deviation²/500; for 200 seeds the ratio's own error is
    # √(2/199).
    spread = (each.var(axis=0, ddof=1) / (deviation**2 / N_CHAINS) - 1) / np.sqrt(2 / (N_SEEDS - 1))
    assert np.abs(spread).max() < 4, spread
    assert 0.3 < float(acceptance.mean()) < 0.99
    if model is GAUSSIAN:  # Creutz (1988): the mean ratio is 1. In a quartic well its variance is too large to see it.
        ratio = np.asarray(ratio, np.float64)[:, -1].ravel()
        assert abs(ratio.mean() - 1) < 4 * ratio.std() / np.sqrt(len(ratio))


def test_the_same_bounds_catch_the_sampler_that_is_not_corrected():
    start, mean, deviation = exact_plane(GAUSSIAN, N_SEEDS * N_CHAINS, 1)
    x, *_ = moved("unadjusted", jnp.arange(N_SEEDS), leaves(GAUSSIAN), start.reshape(N_SEEDS, N_CHAINS, 2))
    z = (statistics(x).mean(axis=(0, 1)) - mean) / (deviation / np.sqrt(N_SEEDS * N_CHAINS))
    assert np.abs(z).max() > 6


def test_a_long_path_forgets_and_jitter_is_needed_where_the_path_is_a_period():
    """On E = x²/2 a path of one period returns every chain to its start; jitter makes it forget."""
    params = (jnp.float32(0), jnp.eye(2))
    x = jax.random.normal(jax.random.key(0), (4000, 2))
    state = metropolis.init(well, params, x)
    n = 32
    step = jax.jit(partial(hmc.step, energy=well, n_leapfrog=n), static_argnames="jitter")
    # The leapfrog turns by 2 arcsin(ε/2) a step.
    size = 2 * np.sin(np.pi / n)
    back, _ = step(jax.random.key(1), params=params, state=state, step_size=size)
    assert np.abs(np.asarray(back.position - x)).max() < 1e-3
    gone, _ = step(jax.random.key(1), params=params, state=state, step_size=size, jitter=0.5)
    # The angle is uniform on 2π ± π: the mean cosine is 0.
    correlation = np.corrcoef(np.asarray(gone.position)[:, 0], np.asarray(x)[:, 0])[0, 1]
    assert abs(correlation) < 4 / np.sqrt(4000)


def test_mala_is_hmc_with_one_leapfrog_step():
    """Acceptances of the same chains, by another route: their means over 4,000 chains agree within 4 σ."""
    params = leaves(DOUBLE_WELL)
    start, *_ = exact_plane(DOUBLE_WELL, 4000, 3)
    state = metropolis.init(well, params, jnp.asarray(start))
    _, a = mala.step(jax.random.key(0), well, params, state, step_size=0.2)
    _, b = hmc.step(jax.random.key(1), well, params, state, step_size=np.sqrt(0.4), n_leapfrog=1)
    for moment in (lambda info: info.acceptance, lambda info: info.log_ratio):
        one, two = np.asarray(moment(a)), np.asarray(moment(b))
        assert abs(one.mean() - two.mean()) < 4 * np.sqrt((one.var() + two.var()) / 4000)


@pytest.mark.parametrize("impl", [None, HASH], ids=["threefry", "hash"])
def test_unadjusted_langevin_keeps_its_own_biased_law(impl):
    """x_1: the stationary law of its transition on a grid. x_2: variance T / (k (1 − ε k/2)). 4 σ each."""
    size, temperature, k = 0.05, 1.5, 3.0
    params = (jnp.float32(1.0), jnp.diag(jnp.array([0.0, k])))
    grid, law = ula_law(size, temperature, 601)
    random = np.random.default_rng(0)
    n = N_SEEDS * N_CHAINS
    variance = temperature / (k * (1 - size * k / 2))
    x = np.stack([grid[random.choice(len(grid), n, p=law)], np.sqrt(variance) * random.standard_normal(n)], axis=1)
    run = jax.jit(partial(langevin.sweeps, energy=well, n_steps=10, step_size=size, temperature=temperature))
    state = run(jax.random.key(2, impl=impl), params=params, state=langevin.init(jnp.asarray(x, jnp.float32)))
    x = np.asarray(state.position, np.float64)
    second, fourth = (float(law @ grid**power) for power in (2, 4))
    assert abs(np.mean(x[:, 0] ** 2) - second) < 4 * np.sqrt((fourth - second**2) / n)
    assert abs(np.mean(x[:, 1] ** 2) - variance) < 4 * variance * np.sqrt(2 / n)
    # The bias is no matter of noise: the laws of exp(−E/T) are many σ away.
    unbiased = np.exp(-((grid**2 - 1) ** 2) / temperature)
    unbiased /= unbiased.sum()
    assert abs(np.mean(x[:, 0] ** 2) - unbiased @ grid**2) > 10 * np.sqrt((fourth - second**2) / n)
    assert abs(np.mean(x[:, 1] ** 2) - temperature / k) > 10 * variance * np.sqrt(2 / n)


def ula_law(size, temperature, points):
    """Stationary law of x − ε 4x(x² − 1) + √(2εT) z on a grid, in float64."""
    grid = np.linspace(-3.2, 3.2, points)
    mean = grid - size * 4 * grid * (grid**2 - 1)
    transition = np.exp(-((grid[None] - mean[:, None]) ** 2) / (4 * size * temperature))
    transition /= transition.sum(axis=1, keepdims=True)
    law = np.linalg.matrix_power(transition, 4096)[points // 2]
    return grid, law / law.sum()


def test_the_bias_of_unadjusted_langevin_is_of_first_order():
    """Halving the step halves the error of ⟨x²⟩, for the law that the test above finds the sampler to keep."""
    errors = []
    for size in (0.02, 0.01):
        grid, law = ula_law(size, 1.0, 601)
        exact = np.exp(-((grid**2 - 1) ** 2))
        errors.append(law @ grid**2 - exact @ grid**2 / exact.sum())
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.15)


# Gibbs with gradients


def rough(params, x):
    """Pairs, fields and a term of all orders, so that the first order is only a guess."""
    couplings, bias, wave = params
    return jnp.sum((x @ couplings) * x, axis=-1) / 2 + x @ bias + jnp.sum(jnp.sin(x @ wave), axis=-1)


def rough_numpy(params, x):
    """The same energy and its gradient, in float64."""
    couplings, bias, wave = (np.asarray(leaf, np.float64) for leaf in params)
    energy = np.einsum("ni,ij,nj->n", x, couplings, x) / 2 + x @ bias + np.sin(x @ wave).sum(axis=1)
    return energy, x @ (couplings + couplings.T) / 2 + bias + np.cos(x @ wave) @ wave.T


def rough_params(d):
    keys = jax.random.split(jax.random.key(5), 3)
    return tuple(jax.random.normal(key, shape) for key, shape in zip(keys, ((d, d), (d,), (d, 3)), strict=True))


SPACES = {
    "binary": (np.array(list(itertools.product((0.0, 1.0), repeat=5))), {"kind": "binary"}),
    "spins": (np.array(list(itertools.product((-1.0, 1.0), repeat=5))), {"kind": "spins"}),
    "one-hot": (
        np.array([np.concatenate(rows) for rows in itertools.product(np.eye(3), repeat=3)]),
        {"kind": "one-hot", "n_states": 3},
    ),
}


def transition(space, params):
    """One step between all states from the definition: q ∝ exp(−d/2), d = (x' − x)·∇E(x), then min(1, ratio)."""
    states, _ = SPACES[space]
    energy, gradient = rough_numpy(params, states)
    n_changed = (states[:, None] != states[None]).sum(axis=2)
    is_move = n_changed == (2 if space == "one-hot" else 1)
    q = np.where(is_move, np.exp(-np.einsum("abi,ai->ab", states[None] - states[:, None], gradient) / 2), 0.0)
    q /= q.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(is_move, np.exp(energy[:, None] - energy[None]) * q.T / q, 0.0)
    t = q * np.minimum(1, ratio)
    np.fill_diagonal(t, 1 - t.sum(axis=1))
    p = np.exp(-energy)
    return t, p / p.sum(), ratio, states


def codes(x, states):
    weight = 3.0 ** np.arange(states.shape[1])
    order = np.argsort(states @ weight)
    return order[np.searchsorted((states @ weight)[order], np.asarray(x, np.float64) @ weight)]


@pytest.mark.parametrize("space", list(SPACES))
def test_one_step_of_gwg_is_the_enumerated_transition_which_has_detailed_balance(space):
    """Every entry of the matrix within 4.8 σ (about 800 entries: one in a million each), every ratio to 1e-3."""
    states, options = SPACES[space]
    params = rough_params(states.shape[1])
    t, p, ratio, _ = transition(space, params)
    flow = p[:, None] * t
    assert np.abs(flow - flow.T).max() < 1e-14
    n = 20_000
    start = jnp.asarray(np.repeat(states, n, axis=0), jnp.float32)
    before = np.repeat(np.arange(len(states)), n)
    state, info = jax.jit(partial(gwg.step, energy=rough, **options))(
        jax.random.key(1), params=params, state=metropolis.init(rough, params, start)
    )
    after = codes(state.position, states)
    counts = np.zeros_like(t)
    np.add.at(counts, (before, after), 1)
    z = (counts - n * t) / np.sqrt(n * t * (1 - t) + 1)
    assert np.abs(z).max() < 4.8
    assert np.all(counts[t == 0] == 0)
    took = np.asarray(info.is_accepted)
    assert np.allclose(np.exp(np.asarray(info.log_ratio)[took]), ratio[before[took], after[took]], rtol=1e-3)
    # The energy and the gradient that the chains carry are those of where they are.
    energy, gradient = rough_numpy(params, states)
    assert np.allclose(state.energy, energy[after], atol=1e-4)
    assert np.allclose(state.gradient, gradient[after], atol=1e-4)


@pytest.mark.parametrize("beta", [1.0, 0.8], ids=["right", "wrong temperature"])
def test_gwg_stays_at_the_enumerated_law(beta):
    """All 32 frequencies over 200 seeds within 4 σ, and the chi-squared of each seed has the mean 31; or neither."""
    states, options = SPACES["binary"]
    params = rough_params(5)
    _, p, _, _ = transition("binary", params)
    start = states[np.random.default_rng(3).choice(len(p), (N_SEEDS, N_CHAINS), p=p)]

    @jax.jit
    def run(seeds, x, params):
        def one(seed, x):
            state = metropolis.init(rough, params, x)
            step = partial(gwg.step, energy=rough, params=params, **options)
            return metropolis.sweeps(jax.random.key(seed), lambda key, state: step(key, state=state), state, 10)[0]

        return jax.vmap(one)(seeds, x)

    # The energy is linear in couplings and bias; at another temperature only the waves are put right below.
    scaled = (beta * params[0], beta * params[1], params[2])
    state = run(jnp.arange(N_SEEDS), jnp.asarray(start, jnp.float32), scaled)
    counts = np.stack([np.bincount(codes(x, states), minlength=len(p)) for x in np.asarray(state.position)])
    n = N_SEEDS * N_CHAINS
    z = (counts.sum(axis=0) - n * p) / np.sqrt(n * p * (1 - p))
    chi = ((counts - N_CHAINS * p) ** 2 / (N_CHAINS * p)).sum(axis=1)
    # Var of Pearson's chi-squared: 2 (k − 1) plus (Σ 1/p − k² − 2k + 2)/n for the small cells.
    k = len(p)
    variance = 2 * (k - 1) + (np.sum(1 / p) - k**2 - 2 * k + 2) / N_CHAINS
    z_chi = (chi.mean() - (k - 1)) / np.sqrt(variance / N_SEEDS)
    if beta == 1.0:
        assert np.abs(z).max() < 4
        assert abs(z_chi) < 4
    else:
        assert np.abs(z).max() > 10
        assert z_chi > 10


def test_a_proposal_outside_the_support_is_refused():
    """E = x for x > 0, infinite or not a number elsewhere: chains never leave, and keep mean 1 within 4 σ."""

    def energy(params, x):
        return jnp.where(x[..., 0] > 0, x[..., 0], params)

    n = 20_000
    for outside in (jnp.inf, jnp.nan):
        x = jax.random.exponential(jax.random.key(0), (n, 1))
        state, info = mala.step(jax.random.key(1), energy, outside, metropolis.init(energy, outside, x), step_size=1.0)
        assert float(state.position.min()) > 0
        assert 0.1 < float(info.is_accepted.mean()) < 0.9
        assert abs(float(state.position.mean()) - 1) < 4 / np.sqrt(n)


def test_new_parameters_do_not_compile_again_and_saved_state_goes_on_bit_for_bit(tmp_path):
    traces = []

    @jax.jit
    def step(key, params, state):
        traces.append(1)
        return gwg.step(key, rough, params, state)[0]

    params = rough_params(5)
    x = jnp.asarray(SPACES["binary"][0], jnp.float32)
    state = step(jax.random.key(0), params, metropolis.init(rough, params, x))
    np.savez(tmp_path / "chains.npz", **state._asdict())
    with np.load(tmp_path / "chains.npz") as saved:
        loaded = metropolis.State(*(jnp.asarray(saved[name]) for name in metropolis.State._fields))
    for a, b in zip(step(jax.random.key(1), params, state), step(jax.random.key(1), params, loaded), strict=True):
        assert np.array_equal(a, b)
    step(jax.random.key(0), jax.tree.map(lambda leaf: 2 * leaf, params), state)
    assert len(traces) == 1


def test_a_step_size_for_every_chain_and_states_of_any_shape():
    """Images in one call: chains of size 0 stay, others move."""
    x = jax.random.normal(jax.random.key(0), (2, 3, 4, 5))  # a batch of 2 x 3 states of shape 4 x 5

    def energy(params, x):
        return params * jnp.sum(x**2, axis=(-2, -1)) / 2

    state = metropolis.init(energy, 1.0, x)
    sizes = jnp.array([[0.0], [0.1]])
    for kernel in (partial(mala.step, step_size=sizes), partial(hmc.step, step_size=sizes, n_leapfrog=2)):
        new, info = kernel(jax.random.key(1), energy, 1.0, state)
        assert info.acceptance.shape == (2, 3)
        assert np.allclose(new.position[0], x[0], atol=1e-6)
        assert np.abs(np.asarray(new.position[1] - x[1])).max() > 0.1


def test_wrong_calls_say_what_is_wrong():
    params = rough_params(5)
    state = metropolis.init(rough, params, jnp.zeros((2, 5)))
    key = jax.random.key(0)
    for options, message in (
        ({"kind": "one-hot", "n_states": 3}, "divide the 5 columns"),
        ({"kind": "one-hot", "n_states": 1}, "at least 2"),
    ):
        with pytest.raises(ValueError, match=message):
            gwg.step(key, rough, params, state, **options)
    with pytest.raises(ValueError, match="n_leapfrog must be at least 1, got 0"):
        hmc.step(key, rough, params, state, step_size=0.1, n_leapfrog=0)
    with pytest.raises(ValueError, match="jitter must be at least 0 and below 1"):
        hmc.step(key, rough, params, state, step_size=0.1, n_leapfrog=1, jitter=1.0)
