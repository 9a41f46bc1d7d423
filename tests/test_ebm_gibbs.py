"""Block Gibbs and the contrastive gradient against enumerated laws of small machines."""

import itertools
from typing import NamedTuple

import ebm_oracle
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebm import gaussian, gibbs, losses, potts, rbm

N_VISIBLE, N_HIDDEN, N_CHAINS = 5, 4, 100_000


@pytest.fixture(scope="module")
def params():
    keys = jax.random.split(jax.random.key(7), 3)
    shapes = ((N_VISIBLE, N_HIDDEN), (N_VISIBLE,), (N_HIDDEN,))
    return rbm.Rbm(*(1.5 * jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True)))


def law(params):
    """All joint states as rows of bits, and their probabilities, in float64 numpy."""
    weights, a, c = (np.asarray(leaf, np.float64) for leaf in params)
    bits = np.array(list(itertools.product((0, 1), repeat=N_VISIBLE + N_HIDDEN)), np.float64)
    v, h = bits[:, :N_VISIBLE], bits[:, N_VISIBLE:]
    minus_energy = np.einsum("si,ij,sj->s", v, weights, h) + v @ a + h @ c
    p = np.exp(minus_energy - minus_energy.max())
    return bits, p / p.sum()


def exact_chains(params, seed, n=N_CHAINS):
    """Chains drawn from the enumerated joint law, so any step of a right kernel leaves them there."""
    bits, p = law(params)
    drawn = bits[np.random.default_rng(seed).choice(len(p), size=n, p=p)].astype(np.float32)
    return gibbs.Chains(jnp.asarray(drawn[:, :N_VISIBLE]), jnp.asarray(drawn[:, N_VISIBLE:]))


def total_variation(params, chains):
    """Distance of the chains' joint histogram from the law, its mean for exact samples, and a one-in-a-million bound.

    One chain moves the distance by at most 1/n, so McDiarmid bounds P(distance > mean + t) by exp(-2 n t^2).
    """
    _, p = law(params)
    bits = np.concatenate([np.asarray(chains.visible), np.asarray(chains.hidden)], axis=1).astype(int)
    codes = bits @ (1 << np.arange(bits.shape[1])[::-1])
    n = len(codes)
    distance = 0.5 * np.abs(np.bincount(codes, minlength=len(p)) / n - p).sum()
    floor = 0.5 * np.sqrt(2 * p * (1 - p) / (np.pi * n)).sum()
    return distance, floor, floor + np.sqrt(np.log(1e6) / (2 * n))


@pytest.mark.parametrize("n_sweeps", [1, 4, 16])
def test_sweeps_leave_the_enumerated_law_unchanged(params, n_sweeps):
    chains = jax.jit(gibbs.sweeps, static_argnums=3)(
        jax.random.key(n_sweeps), params, exact_chains(params, n_sweeps), n_sweeps
    )
    distance, floor, bound = total_variation(params, chains)
    assert distance < bound, f"distance {distance:.4f}, Monte-Carlo floor {floor:.4f}"


@pytest.mark.parametrize("name", ["hot", "biased"])
def test_the_stationarity_bound_catches_a_wrong_kernel(params, name):
    wrong = {
        "hot": jax.tree.map(lambda leaf: 0.9 * leaf, params),
        "biased": params._replace(hidden_bias=params.hidden_bias + 0.5),
    }[name]
    chains = gibbs.sweeps(jax.random.key(0), wrong, exact_chains(params, 0), 4)
    distance, _, bound = total_variation(params, chains)
    assert distance > bound


def test_chains_and_units_are_independent_given_the_start(params):
    """From one common start, neighbouring chains and the units of a layer are uncorrelated: |z| < 5."""
    start = gibbs.Chains(jnp.ones((N_CHAINS, N_VISIBLE)), jnp.zeros((N_CHAINS, N_HIDDEN)))
    chains = gibbs.step(jax.random.key(3), params, start)
    hidden = np.asarray(chains.hidden, np.float64)
    p = 1 / (1 + np.exp(-(np.asarray(params.weights, np.float64).sum(0) + np.asarray(params.hidden_bias))))
    scaled = (hidden - p) / np.sqrt(p * (1 - p))
    z_mean = scaled.sum(0) / np.sqrt(N_CHAINS)
    z_neighbours = (scaled[1:] * scaled[:-1]).sum(0) / np.sqrt(N_CHAINS - 1)
    z_units = np.triu((scaled.T @ scaled) / np.sqrt(N_CHAINS), 1)
    for z in (z_mean, z_neighbours, z_units):
        assert np.abs(z).max() < 5, z
    # Visible units after a sweep share their chain's hidden units, but not another chain's.
    visible = np.asarray(chains.visible, np.float64)
    scaled = (visible - visible.mean(0)) / visible.std(0)
    assert np.abs((scaled[1:] * scaled[:-1]).sum(0) / np.sqrt(N_CHAINS - 1)).max() < 5


def test_the_contrastive_gradient_has_the_exact_likelihood_gradient_as_its_mean(params):
    """100 groups of 1,000 chains after a sweep; all 29 components within 5 standard errors of autodiff."""
    data = jnp.asarray(np.random.default_rng(0).integers(0, 2, (12, N_VISIBLE)), jnp.float32)
    v, h = (jnp.array(list(itertools.product((0.0, 1.0), repeat=n))) for n in (N_VISIBLE, N_HIDDEN))

    def minus_mean_log_likelihood(p):
        minus_energy = v @ p.weights @ h.T + (v @ p.visible_bias)[:, None] + h @ p.hidden_bias
        row = (data * (2 ** jnp.arange(N_VISIBLE)[::-1])).sum(1).astype(int)
        log_p = jax.nn.logsumexp(minus_energy, axis=1) - jax.nn.logsumexp(minus_energy)
        return -log_p[row].mean()

    exact = jax.grad(minus_mean_log_likelihood)(params)
    chains = gibbs.step(jax.random.key(11), params, exact_chains(params, 5))
    groups = chains.visible.reshape(100, -1, N_VISIBLE)
    gradient = jax.grad(lambda p, samples: losses.contrastive(rbm.free_energy, p, data, samples))
    ours = jax.vmap(gradient, in_axes=(None, 0))(params, groups)
    for mine, true in zip(ours, exact, strict=True):
        mine = np.asarray(mine, np.float64)
        z = (mine.mean(0) - np.asarray(true)) / (mine.std(0, ddof=1) / 10)
        assert np.abs(z).max() < 5, z


def test_chains_can_start_at_data_or_at_the_visible_biases(params):
    rows = jnp.asarray(np.random.default_rng(0).integers(0, 2, (6, N_VISIBLE)), jnp.float32)
    assert jnp.array_equal(gibbs.at(jax.random.key(0), params, rows).visible, rows)
    start = np.asarray(gibbs.init(jax.random.key(1), params, N_CHAINS).visible, np.float64)
    p = 1 / (1 + np.exp(-np.asarray(params.visible_bias, np.float64)))
    assert np.abs((start.mean(0) - p) / np.sqrt(p * (1 - p) / N_CHAINS)).max() < 5
    with pytest.raises(ValueError, match="n_chains must be at least 1, got 0"):
        gibbs.init(jax.random.key(0), params, 0)


def gaussian_model():
    keys = jax.random.split(jax.random.key(17), 3)
    shapes = ((3, 4), (3,), (4,))
    leaves = (0.7 * jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True))
    return gaussian.GaussianRbm(*leaves, log_sigma=jnp.log(jnp.array([0.7, 1.0, 1.7])))


def potts_model():
    keys = jax.random.split(jax.random.key(18), 3)
    shapes = ((3, 3, 4), (3, 3), (4,))
    return potts.PottsRbm(*(jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True)))


def moments(params):
    """Means of v, h and v h, and the second moments of these features, over the enumerated law of (v, h)."""
    h, law = ebm_oracle.bits(params.n_hidden), ebm_oracle.hidden_law(params)
    p = ebm_oracle.leaves(params)
    if "log_sigma" in p:
        mean = h @ p["weights"].T + p["visible_bias"]
        square = mean**2 + np.exp(p["log_sigma"]) ** 2
    else:
        states = ebm_oracle.visible_states(params)
        log_p = -ebm_oracle.energy(params, states, h[:, None])
        mean = np.exp(log_p - ebm_oracle.log_sum_exp(log_p, axis=1)[:, None]) @ states
        square = mean  # of bits
    pairs = [(mean, square), (h, h), (mean[:, :, None] * h[:, None], square[:, :, None] * h[:, None])]
    first, second = (
        np.concatenate([law @ part.reshape(len(h), -1) for part in parts]) for parts in zip(*pairs, strict=True)
    )
    return first, second - first**2


SWEEP = jax.jit(jax.vmap(lambda key, machine, chains: gibbs.sweeps(key, machine, chains, 4), (0, None, 0)))


@pytest.mark.parametrize("name", ["bernoulli", "gaussian", "potts"])
def test_from_exact_samples_every_family_stays_at_the_enumerated_moments(params, name):
    """200 seeds of 500 chains, 4 sweeps: no mean of v, h or v h is 4 standard errors off, and the z have variance 1.

    The variance of the 200 z of a feature is within 4 standard errors, sqrt(2 / 199), of 1 as well: chains that were
    not independent, or moved by less than they should, would show there. A machine 10 % too hot fails.
    """
    machine = {"bernoulli": params, "gaussian": gaussian_model(), "potts": potts_model()}[name]
    visible, hidden = ebm_oracle.samples(machine, 100_000, seed=4)
    chains = gibbs.Chains(jnp.asarray(visible.reshape(200, 500, -1)), jnp.asarray(hidden.reshape(200, 500, -1)))
    mean, variance = moments(machine)

    def scores(moved_by):
        moved = SWEEP(jax.random.split(jax.random.key(9), 200), moved_by, chains)
        v, h = (np.asarray(layer, np.float64) for layer in moved)
        features = np.concatenate([v, h, (v[..., :, None] * h[..., None, :]).reshape(200, 500, -1)], axis=-1)
        return (features.mean(axis=1) - mean) / np.sqrt(variance / 500)

    z = scores(machine)
    assert np.abs(z.mean(axis=0) * np.sqrt(200)).max() < 4
    assert np.abs(z.var(axis=0, ddof=1) - 1).max() < 4 * np.sqrt(2 / 199)
    assert np.abs(scores(machine.tempered(0.9)).mean(axis=0) * np.sqrt(200)).max() > 8


def test_any_pytree_that_draws_both_layers_is_a_machine():
    class Copier(NamedTuple):
        """Hidden units repeat the visible ones, and the other way round, complemented."""

        flip: jax.Array
        n_visible: int = 3
        n_hidden: int = 3

        def draw_hidden(self, key, visible):
            return visible

        def draw_visible(self, key, hidden):
            return self.flip - hidden

    machine = Copier(jnp.float32(1))
    start = gibbs.init(jax.random.key(0), machine, 2)
    assert isinstance(machine, gibbs.Machine)
    assert jnp.array_equal(start.visible, jnp.ones((2, 3)))
    assert jnp.array_equal(gibbs.sweeps(jax.random.key(1), machine, start, 3).visible, jnp.zeros((2, 3)))


def test_the_draws_of_an_rbm_are_uniform_numbers_below_the_sigmoid_of_its_logits(params):
    """The bits of a sweep, written out: what back-ends that claim to be the same machine must reproduce."""
    key = jax.random.key(4)
    start = gibbs.init(key, params, 50)
    hidden_key, visible_key = jax.random.split(key)
    moved = gibbs.step(key, params, start)
    hidden = jax.random.uniform(hidden_key, (50, N_HIDDEN)) < jax.nn.sigmoid(rbm.hidden_logits(params, start.visible))
    assert jnp.array_equal(moved.hidden, hidden)
    logits = rbm.visible_logits(params, moved.hidden)
    assert jnp.array_equal(moved.visible, jax.random.uniform(visible_key, (50, N_VISIBLE)) < jax.nn.sigmoid(logits))
