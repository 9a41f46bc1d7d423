"""Learning rules: each gradient against an oracle that shares no code with it, and what each rule can and cannot learn.

Small models throughout: 5 visible and 4 hidden units, whose likelihood is a sum of 512 terms worked out here.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import ebm
from ebm import gibbs, losses, rbm, rules
from ebm.samplers import langevin

N_VISIBLE, N_HIDDEN = 5, 4
V = np.array(list(itertools.product((0, 1), repeat=N_VISIBLE)), np.float64)
H = np.array(list(itertools.product((0, 1), repeat=N_HIDDEN)), np.float64)


def model(seed=0, scale=0.8):
    """Random parameters, in float64 for the oracles."""
    rng = np.random.default_rng(seed)
    shapes = ((N_VISIBLE, N_HIDDEN), N_VISIBLE, N_HIDDEN)
    return rbm.Rbm(*(jnp.asarray(scale * rng.standard_normal(shape), jnp.float32) for shape in shapes))


def joint(params):
    """p(v, h) of all 32 x 16 states, float64."""
    w, a, c = (np.asarray(leaf, np.float64) for leaf in params)
    minus_energy = V @ w @ H.T + (V @ a)[:, None] + H @ c
    p = np.exp(minus_energy - minus_energy.max())
    return p / p.sum()


def statistics(params, visible_law):
    """<v h>, <v>, <h> with v from a law over the states of V and h from the model given v."""
    given = joint(params)
    p = visible_law[:, None] * given / given.sum(1, keepdims=True)
    return V.T @ p @ H, p.sum(1) @ V, p.sum(0) @ H


def likelihood_gradient(params, visible_law):
    """Gradient of minus the mean log-likelihood under a law of the data: model's minus data's statistics."""
    model_law = joint(params).sum(1)
    return [m - d for m, d in zip(statistics(params, model_law), statistics(params, visible_law), strict=True)]


def data_law(seed=1):
    return np.random.default_rng(seed).dirichlet(np.ones(len(V)))


def exact_rows(key, law, n):
    return jnp.asarray(V, jnp.float32)[jax.random.choice(key, len(V), (n,), p=jnp.asarray(law, jnp.float32))]


N = 1 << 16


@pytest.mark.parametrize("kind", ["pcd", "cd", "tempered", "sampled"])
def test_contrastive_gradients_are_those_of_the_likelihood_when_the_samples_are_exact(kind):
    """Chains start from exact samples, which every kernel leaves exact; 4 standard errors, 29 components, 4 rules.

    For `cd` the data follow the model, so that its chains are exact too, and the mean gradient is zero. The standard
    error is of the difference of two means of n and n rows, from the exact variances of v_i p(h_j | v).
    """
    params = model()
    law = joint(params).sum(1) if kind == "cd" else data_law()
    start_key, rows_key, step_key, hidden_key = jax.random.split(jax.random.key(7), 4)
    rows = exact_rows(rows_key, law, N)
    start = gibbs.at(hidden_key, params, exact_rows(start_key, joint(params).sum(1), N))
    if kind == "tempered":
        rule = rules.Tempered(chains=N, gibbs_steps=2, n_betas=2)
        memory = rule.init(jax.random.key(0), params, rows)
        # The copy at beta 1 starts from the model, the one at beta 0 where its units follow the visible biases.
        position = jax.tree.map(lambda cold, both: both.at[1].set(cold), start, memory.position)
        hot = gibbs.init(hidden_key, params.independent(), N)
        position = jax.tree.map(lambda cold, both: both.at[0].set(cold), hot, position)
        memory = memory._replace(position=position)
    elif kind == "sampled":

        def advance(key, params, state):
            moved = gibbs.step(key, params, state)
            return moved, moved.visible

        rule = rules.Sampled(energy=rbm.free_energy, start=gibbs.at, advance=advance, chains=N)
        memory = start
    else:
        rule, memory = rules.Contrastive(chains=N, gibbs_steps=1, persistent=kind == "pcd"), start
    gradient, _, _ = jax.jit(rule.step)(step_key, params, memory, rows)
    given = joint(params) / joint(params).sum(1, keepdims=True)
    h = given @ H
    values = np.concatenate([(V[:, :, None] * h[:, None, :]).reshape(len(V), -1), V, h], axis=1)
    variance = sum(p @ values**2 - (p @ values) ** 2 for p in (law, joint(params).sum(1))) / N
    exact = np.concatenate([np.ravel(part) for part in likelihood_gradient(params, law)])
    found = np.concatenate([np.ravel(leaf) for leaf in gradient])
    z = (found - exact) / np.sqrt(variance)
    assert np.abs(z).max() < 4.5, z
    if kind != "cd":
        assert np.abs(exact).max() > 30 * np.sqrt(variance.max())  # there was something to see


def test_the_centred_gradient_is_the_plain_one_in_centred_coordinates():
    """Autodiff of the exact likelihood in the coordinates of E = -(v - mu) W (h - la) - (v - mu) b - (h - la) c.

    Ordinary parameters are W, a = b - W la, c = k - mu W; a step of size e in (W, b, k) moves them by e G', e g', e k'.
    """
    params, law = model(), data_law()
    plain = rbm.Rbm(*(jnp.asarray(part, jnp.float32) for part in likelihood_gradient(params, law)))
    rng = np.random.default_rng(3)
    mu, la = rng.random(N_VISIBLE), rng.random(N_HIDDEN)
    moved = rules.centred.centre(plain, jnp.asarray(mu, jnp.float32), jnp.asarray(la, jnp.float32))
    g, ga, gc = (np.asarray(part) for part in plain)
    # The chain rule by hand: dL/dW in the centred coordinates, then the move of the ordinary ones that it causes.
    in_centred = g - np.outer(mu, gc) - np.outer(ga, la)
    np.testing.assert_allclose(moved.weights, in_centred, atol=1e-6)
    np.testing.assert_allclose(moved.visible_bias, ga - in_centred @ la, atol=1e-6)
    np.testing.assert_allclose(moved.hidden_bias, gc - mu @ in_centred, atol=1e-6)


def flipped(params):
    """The same law of 1 - v and 1 - h."""
    w, a, c = params
    return rbm.Rbm(w, -a - w.sum(1), -c - w.sum(0))


def test_centred_learning_does_not_depend_on_which_state_is_called_one():
    """One exact step on flipped data from the flipped model ends in the flipped model; the plain gradient does not."""
    params, law = model(), data_law()
    index = ((1 - V) @ (1 << np.arange(N_VISIBLE)[::-1])).astype(int)
    moves = []
    for at, p in ((params, law), (flipped(params), law[index])):
        g = rbm.Rbm(*(jnp.asarray(part, jnp.float32) for part in likelihood_gradient(at, p)))
        mu, la = p @ V, statistics(at, p)[2]
        centred = rules.centred.centre(g, jnp.asarray(mu, jnp.float32), jnp.asarray(la, jnp.float32))
        moves.append([jax.tree.map(lambda a, b: a - 0.1 * b, at, d) for d in (centred, g)])
    for found, expected, agree in zip(moves[1], map(flipped, moves[0]), (True, False), strict=True):
        gap = max(float(jnp.abs(a - b).max()) for a, b in zip(found, expected, strict=True))
        assert (gap < 1e-5) == agree, gap


def test_the_centred_rule_moves_its_offsets_and_refuses_other_models():
    rows = jnp.asarray(V[5:21], jnp.float32)
    rule = rules.Centred(rule=rules.PseudoLikelihood(), rate=0.25)
    params = model()
    memory = rule.init(jax.random.key(0), params, rows)
    np.testing.assert_allclose(memory.visible, V[5:21].mean(0), atol=1e-6)
    gradient, after, gap = rule.step(jax.random.key(0), params, memory, jnp.ones((3, N_VISIBLE)))
    np.testing.assert_allclose(after.visible, 0.75 * V[5:21].mean(0) + 0.25, atol=1e-6)
    plain, _, same_gap = rules.PseudoLikelihood().step(jax.random.key(0), params, (), jnp.ones((3, N_VISIBLE)))
    assert float(gap) == float(same_gap)
    expected = rules.centred.centre(plain, after.visible, after.hidden)
    np.testing.assert_allclose(gradient.weights, expected.weights, atol=1e-6)
    with pytest.raises(ValueError, match="needs a Bernoulli or a Potts RBM, got parameters GaussianRbm"):
        rule.init(jax.random.key(0), ebm.gaussian.init(jax.random.key(0), 2, 2), rows)


@pytest.mark.parametrize("spins", [False, True])
def test_pseudo_likelihood_is_its_definition_by_enumeration(spins):
    """sum_i log p(x_i | others), each conditional from the enumerated law of all 32 states; and its gradient."""
    params = model()
    states = 2 * V - 1 if spins else V

    def energy(p, x):
        return rbm.free_energy(p, (1 + x) / 2 if spins else x)

    p = joint(params).sum(1)
    code = {tuple(row): i for i, row in enumerate(states)}
    expected = np.zeros(len(V))
    for i, row in enumerate(states):
        for unit in range(N_VISIBLE):
            other = row.copy()
            other[unit] = -row[unit] if spins else 1 - row[unit]
            expected[i] += np.log(p[i] / (p[i] + p[code[tuple(other)]]))
    x = jnp.asarray(states, jnp.float32)
    found = losses.pseudo_log_likelihood(energy, params, x, spins=spins)
    np.testing.assert_allclose(found, expected, rtol=2e-5)
    if spins:
        return
    rule = rules.PseudoLikelihood()
    gradient, _, gap = rule.step(jax.random.key(0), params, (), x)
    assert float(gap) == pytest.approx(-expected.mean(), rel=1e-5)
    # Central difference of the enumerated value in one weight, float64 throughout.
    step = 1e-5

    def value(shift):
        w, a, c = (np.array(leaf, np.float64) for leaf in params)
        w[1, 2] += shift
        law = np.exp(V @ a + np.logaddexp(0, V @ w + c).sum(1))
        total = 0.0
        for i, row in enumerate(V):
            for unit in range(N_VISIBLE):
                other = row.copy()
                other[unit] = 1 - row[unit]
                total += np.log(law[i] / (law[i] + law[code[tuple(other)]]))
        return -total / len(V)

    assert float(gradient.weights[1, 2]) == pytest.approx((value(step) - value(-step)) / (2 * step), abs=1e-4)


COVARIANCE = np.array([[1.0, 0.6], [0.6, 0.8]])


def quadratic(params, x):
    """x P x / 2 with P = L L^T, L lower triangular with a positive diagonal: a Gaussian's energy, no constant."""
    lower = jnp.tril(params, -1) + jnp.diag(jnp.exp(jnp.diag(params)))
    return 0.5 * jnp.sum((x @ lower) ** 2, axis=-1)


def precision_of(params):
    lower = np.tril(np.asarray(params, np.float64), -1) + np.diag(np.exp(np.diag(np.asarray(params, np.float64))))
    return lower @ lower.T


def gaussian_rows(n, seed=0):
    return np.random.default_rng(seed).multivariate_normal(np.zeros(2), COVARIANCE, n).astype(np.float32)


def test_score_matching_has_no_gradient_at_the_score_of_the_smoothed_gaussian():
    """Data N(0, S) smoothed by sigma has the score -(S + sigma^2)^-1 y: there the mean gradient vanishes, in 4.5
    standard errors over 200 independent batches; at the score of the data itself it does not."""
    sigma = 0.7
    keys = jax.random.split(jax.random.key(0), 200)
    rows = jnp.asarray(gaussian_rows(200 * 500)).reshape(200, 500, 2)
    rule = rules.ScoreMatching(energy=quadratic, sigma=sigma)
    batched = jax.jit(jax.vmap(lambda key, params, x: rule.step(key, params, (), x)[0], in_axes=(0, None, 0)))
    entries = np.tril_indices(2)
    z = []
    for covariance in (COVARIANCE + sigma**2 * np.eye(2), COVARIANCE):
        lower = np.linalg.cholesky(np.linalg.inv(covariance))
        params = jnp.asarray(np.tril(lower, -1) + np.diag(np.log(np.diag(lower))), jnp.float32)
        found = np.asarray(batched(keys, params, rows), np.float64)[:, entries[0], entries[1]]
        z.append(found.mean(0) / (found.std(0, ddof=1) / np.sqrt(200)))
    assert np.abs(z[0]).max() < 4.5, z
    assert np.abs(z[1]).max() > 10, z


def test_nce_recovers_a_gaussian_with_its_log_z():
    """20,000 rows of N(0, S) with |S| = 0.44: log Z = log 2 pi + log|S| / 2 = 1.427, to 0.05 as the precision's entries
    (5 standard errors of the estimator, from 10 data sets of the same size)."""
    params = rules.Normalised(jnp.zeros((2, 2)), jnp.float32(0.0))
    state = ebm.fit(
        jax.random.key(0),
        params,
        gaussian_rows(20_000, seed=4),
        optimizer=optax.adam(optax.cosine_decay_schedule(0.05, 1500)),
        steps=1500,
        batch=1000,
        rule=rules.NoiseContrastive(energy=quadratic, ratio=2),
    )
    assert float(state.params.log_z) == pytest.approx(
        np.log(2 * np.pi) + 0.5 * np.log(np.linalg.det(COVARIANCE)), abs=0.05
    )
    np.testing.assert_allclose(precision_of(state.params.params), np.linalg.inv(COVARIANCE), atol=0.1)
    assert float(jnp.abs(state.memory.mean).max()) < 0.05  # the noise it was fitted against is the data's Gaussian


def test_nce_of_bits_is_stationary_at_the_truth():
    """With the exact law as data and the true log Z the expected gradient, enumerated over data and noise, is zero."""
    params = model()
    p = joint(params).sum(1)
    minus_f = np.asarray(-rbm.free_energy(params, jnp.asarray(V, jnp.float32)), np.float64)
    log_z = np.log(np.exp(minus_f).sum())
    noise = rules.noise_contrastive.Bernoulli(jnp.asarray(np.clip(p @ V, 0.01, 0.99), jnp.float32))
    q = np.exp(np.asarray(noise.log_density(jnp.asarray(V, jnp.float32)), np.float64))
    assert q.sum() == pytest.approx(1, abs=1e-5)

    def expected_loss(theta):
        log_ratio = -rbm.free_energy(theta.params, jnp.asarray(V, jnp.float32)) - theta.log_z - jnp.log(jnp.asarray(q))
        # The loss is a mean over rows, so weights of rows make it an expectation: take it state by state.
        each = jax.vmap(lambda r: losses.noise_contrastive(r[None], r[None]) - jax.nn.softplus(r))(log_ratio)
        other = jax.vmap(lambda r: jax.nn.softplus(r))(log_ratio)
        return jnp.sum(jnp.asarray(p) * each) + jnp.sum(jnp.asarray(q) * other)

    gradient = jax.grad(expected_loss)(rules.Normalised(params, jnp.float32(log_z)))
    assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(gradient)) < 1e-5
    away = jax.grad(expected_loss)(rules.Normalised(params, jnp.float32(log_z + 0.5)))
    assert float(away.log_z) > 0.05


def test_a_users_energy_trains_with_langevin_chains_to_the_variance_of_its_data():
    """Data N(0, 4), E = exp(2 theta) x^2 / 2. Chains of step e have the variance 1 / (k (1 - e k / 2)), so the rule
    settles where that equals 4: k = 0.252 at e = 0.05; 5 % for the noise of 256 chains averaged by the optimiser."""
    rows = 2.0 * np.random.default_rng(0).standard_normal((4096, 1)).astype(np.float32)

    def energy(theta, x):
        return 0.5 * jnp.exp(2 * theta) * jnp.sum(x**2, axis=-1)

    def advance(key, theta, state):
        state = langevin.sweeps(key, energy, theta, state, 20, step_size=0.05)
        return state, state.position

    rule = rules.Sampled(energy=energy, start=lambda key, theta, x: langevin.init(x), advance=advance, chains=256)
    state = ebm.fit(
        jax.random.key(0),
        jnp.float32(0.0),
        rows,
        optimizer=optax.adam(optax.cosine_decay_schedule(0.02, 800)),
        steps=800,
        batch=256,
        rule=rule,
    )
    k = (1 - np.sqrt(1 - 2 * 0.05 / rows.var())) / 0.05
    assert float(jnp.exp(2 * state.params)) == pytest.approx(k, rel=0.05)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rules.Contrastive(chains=0), "chains must be at least 1, got 0"),
        (lambda: rules.Contrastive(gibbs_steps=0), "gibbs_steps must be at least 1, got 0"),
        (lambda: rules.Tempered(n_betas=1), "n_betas must be at least 2, got 1"),
        (lambda: rules.ScoreMatching(energy=quadratic, sigma=0.0), "sigma must be above 0, got 0.0"),
        (lambda: rules.NoiseContrastive(energy=quadratic, noise="pink"), "noise must be 'normal' or 'bernoulli'"),
        (lambda: rules.NoiseContrastive(energy=quadratic, ratio=0), "ratio must be at least 1"),
        (lambda: rules.Centred(rule=rules.Contrastive(), rate=0.0), "rate must be above 0 and at most 1, got 0.0"),
        (lambda: rules.PseudoLikelihood(units="trits"), "units must be 'bits'"),
    ],
)
def test_rules_that_cannot_be_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
