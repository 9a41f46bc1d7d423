"""Annealed importance sampling against enumerated partition functions, and what each direction bounds."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ebm_oracle import bits, free_energy, leaves, log_sum_exp, samples

import ebm
from ebm import ais, exact, gaussian, potts, rbm

KEY = jax.random.key(21)
FEW = np.array([0.0, 0.3, 0.6, 1.0])


def normals(*shape, seed=0, scale=1.0):
    return jnp.asarray(scale * np.random.default_rng(seed).normal(size=shape), jnp.float32)


LAYERED = {
    "bernoulli": (rbm.Rbm(normals(5, 4, seed=1), normals(5, seed=2), normals(4, seed=3)), [0.2, 0.9, 0.4, 0.3, 0.6]),
    "gaussian": (
        gaussian.GaussianRbm(
            normals(3, 4, seed=4, scale=0.7),
            normals(3, seed=5),
            normals(4, seed=6),
            jnp.log(jnp.array([0.7, 1.0, 1.7])),
        ),
        [0.5, -1.0, 0.3],
    ),
    "potts": (
        potts.PottsRbm(normals(3, 3, 4, seed=7), normals(3, 3, seed=8), normals(4, seed=9)),
        [0.2, 0.3, 0.5, 0.1, 0.1, 0.8, 0.6, 0.2, 0.2],
    ),
}


@pytest.mark.parametrize("name", LAYERED)
def test_weights_of_both_directions_have_the_exact_means(name):
    """E w = Z forward and E 1/w = 1/Z back from exact samples, 100,000 chains and 3 steps: |z| < 4.

    The mean logarithms lie on the sides that Jensen's inequality says, by far more than the noise.
    """
    params, mean = LAYERED[name]
    base = params.independent(jnp.array(mean))
    log_z = ebm.log_partition(params)
    n = 100_000
    up = ais.forward(KEY, ais.layered(params, base), FEW, n).log_z
    down = ais.reverse(KEY, ais.layered(params, base), FEW, samples(params, n, seed=0)[0]).log_z
    for weights in (np.exp(up - log_z), np.exp(log_z - down)):
        assert abs((weights.mean() - 1) / (weights.std() / np.sqrt(n))) < 4
    assert up.mean() + 5 * up.std() / np.sqrt(n) < log_z < down.mean() - 5 * down.std() / np.sqrt(n)


@pytest.mark.parametrize("name", ["gaussian", "potts"])
def test_a_thousand_steps_close_the_sandwich_around_the_exact_log_z(name):
    params, mean = LAYERED[name]
    found = ais.log_partition(
        KEY,
        ais.layered(params, params.independent(jnp.array(mean))),
        samples(params, 500, seed=1)[0],
        n_chains=500,
        betas=ais.linear_betas(1001),
    )
    log_z = ebm.log_partition(params)
    assert abs(found.lower - log_z) < 0.05
    assert abs(found.upper - log_z) < 0.05
    assert found.lower - 4 * found.lower_error < log_z < found.upper + 4 * found.upper_error
    assert 450 < found.ess <= 500
    assert 450 < found.reverse_ess <= 500


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_chains_from_a_row_estimate_its_probability_under_the_annealing_model():
    """The law of the last of 3 forward states, by products of enumerated transition matrices; 2,000 chains a row.

    |z| < 5 for each of 32 rows, and their squares add up to 32 within 5 deviations of 8; with the law of the model
    itself they miss it by 10: what is estimated without bias is not p(v).
    """
    params, mean = LAYERED["bernoulli"]
    base = params.independent(jnp.array(mean))
    states, n = bits(5), 2000
    full, start = leaves(params), leaves(base)
    law = np.exp(-free_energy(base, states) + log_sum_exp(-free_energy(base, states)) * -1)
    for beta in FEW[1:]:
        p = {name: (1 - beta) * start[name] + beta * full[name] for name in full}
        hidden_p = sigmoid(states @ p["weights"] + p["hidden_bias"])
        visible_p = sigmoid(bits(4) @ p["weights"].T + p["visible_bias"])
        hidden_law, visible_law = (
            np.prod(np.where(to[None] == 1, q[:, None], 1 - q[:, None]), axis=-1)
            for q, to in ((hidden_p, bits(4)), (visible_p, states))
        )
        law = law @ hidden_law @ visible_law
    log_z = ais.reverse(KEY, ais.layered(params, base), FEW, np.repeat(states, n, axis=0)).log_z.reshape(32, n)
    estimates = np.exp(-free_energy(params, states)[:, None] - log_z)
    z = (estimates.mean(1) - law) / (estimates.std(1) / np.sqrt(n))
    assert np.abs(z).max() < 5, z
    minus = -free_energy(params, states)
    z_of_the_model = (estimates.mean(1) - np.exp(minus - log_sum_exp(minus))) / (estimates.std(1) / np.sqrt(n))
    assert (z**2).sum() < 32 + 5 * 8
    assert (z_of_the_model**2).sum() > 32 + 10 * 8


@pytest.mark.parametrize("betas", [ais.geometric_betas(10_001, 50.0), np.array([0.0, 1.0])], ids=["many", "one"])
def test_log_weights_lose_no_digits_over_many_steps(betas):
    """Without couplings every chain has the closed-form log Z: a thousand nats to 1e-6 of them, in float32."""
    hidden_bias = jnp.linspace(-40, 40, 100)
    params = rbm.Rbm(jnp.zeros((2, 100)), jnp.array([1.0, -1.0]), hidden_bias)
    expected = np.logaddexp(0, np.asarray(hidden_bias, np.float64)).sum() + np.logaddexp(0, [1.0, -1.0]).sum()
    for run in (
        ais.forward(KEY, params, betas, 2),
        ais.reverse(KEY, params, betas, np.array([[0.0, 1.0], [1.0, 1.0]])),
    ):
        np.testing.assert_allclose(run.log_z, expected, rtol=1e-6)


@pytest.fixture(scope="module")
def digits():
    """An RBM(16) after 1,000 steps of PCD on the digits, its base-rate model and the test rows."""
    split = ebm.data.digits()
    mean = jnp.asarray(split.train.mean(axis=0))
    start = rbm.init(jax.random.key(0), 64, 16, mean)
    state = ebm.fit(jax.random.key(1), start, split.train, optimizer=optax.adam(5e-3), steps=1000)
    return state.params, state.params.independent(mean), split.test


def test_both_bounds_of_an_rbm_of_digits_are_within_0_05_nat_of_the_exact_likelihood(digits):
    params, base, rows = digits
    log_z = ebm.log_partition(params)
    truth = ebm.log_likelihood(params, rows, log_z).mean()
    path = ais.layered(params, base)
    found = ais.log_likelihood(KEY, path, rows, betas=ais.linear_betas(2001))
    assert abs(found.upper - truth) < 0.05
    assert abs(found.lower - truth) < 0.05
    assert found.lower - 4 * found.lower_error < truth < found.upper + 4 * found.upper_error
    assert found.is_trusted
    assert found.sentence.startswith("mean log-likelihood between -")
    # Exact samples: hidden states from their enumerated law, as the RBM read the other way round gives it.
    turned = rbm.Rbm(params.weights.T, params.hidden_bias, params.visible_bias)
    hidden = exact.samples(jax.random.key(2), turned.free_energy, exact.Space(16), len(rows))
    found = ais.log_partition(KEY, path, params.draw_visible(KEY, hidden), betas=ais.linear_betas(2001))
    assert found.lower - 4 * found.lower_error < log_z < found.upper + 4 * found.upper_error
    assert abs(found.gap) < 0.05


def test_too_few_betas_are_not_trusted(digits):
    params, base, rows = digits
    found = ais.log_likelihood(
        KEY, ais.layered(params, base), rows[:50], n_chains=20, chains_per_row=2, betas=ais.linear_betas(5)
    )
    assert found.gap > 1
    assert not found.is_trusted
    assert found.lower < ebm.log_likelihood(params, rows[:50]).mean() < found.upper
    assert found.sentence.endswith("do not trust it, the gap is beyond 1 nat; take more betas")
    assert (found.n_chains, found.n_reverse_chains, found.betas) == (20, 100, (0.0, 0.25, 0.5, 0.75, 1.0))


def test_one_chain_has_no_error_and_few_effective_chains_no_trust():
    """One weight says nothing of its error; and a weight of a row says nothing of another row's."""
    params, mean = LAYERED["bernoulli"]
    rows = np.eye(5, dtype=np.float32)
    betas, path = ais.linear_betas(101), ais.layered(params, params.independent(jnp.array(mean)))
    alone = ais.log_likelihood(KEY, path, rows[:1], n_chains=1, betas=betas)
    assert (alone.lower_error, alone.upper_error) == (np.inf, np.inf)
    assert not alone.is_trusted
    enough = ais.log_likelihood(KEY, path, rows, n_chains=20, chains_per_row=4, betas=betas)
    assert abs(enough.gap) < 1
    assert enough.is_trusted
    for change in ({"ess": 4.9}, {"reverse_ess": 4.9}, {"upper_error": np.inf}):
        spoilt = replace(enough, **change)
        assert not spoilt.is_trusted
        assert "effective chains and 5 are needed each way; take more betas, chains or rows" in spoilt.sentence
    # By the definition, row by row; all 20 weights in one sum would be another number.
    down = ais.reverse(jax.random.split(KEY)[1], path, betas, np.repeat(rows, 4, axis=0))
    w = np.exp(-down.log_z.reshape(5, 4))
    assert enough.reverse_ess == pytest.approx((w.sum(1) ** 2 / (w**2).sum(1)).sum(), rel=1e-9)
    up = ais.forward(jax.random.split(KEY)[0], path, betas, 20).log_z
    w = np.exp(up - up.max())
    assert enough.upper_error == pytest.approx(np.sqrt(np.sum((w - w.mean()) ** 2) / 19 / 20) / w.mean(), rel=1e-9)


def test_schedules_and_bases_that_are_no_annealing_are_refused():
    params, _ = LAYERED["gaussian"]
    for betas in ([0.0, 0.5], [0.1, 1.0], [0.0, 0.5, 0.5, 1.0], [1.0]):
        with pytest.raises(ValueError, match=r"betas must rise strictly from 0 to 1; use ais\.linear_betas"):
            ais.forward(KEY, params, np.array(betas), 2)
    with pytest.raises(ValueError, match="base must have no weights and no hidden bias"):
        ais.layered(params, params)
    with pytest.raises(ValueError, match="base must have the sigma of the model"):
        ais.layered(params, params.independent()._replace(log_sigma=jnp.zeros(3)))
    with pytest.raises(ValueError, match="base must be a model of the same kind and size"):
        ais.layered(params, LAYERED["potts"][0].independent())
    with pytest.raises(ValueError, match="n_chains must be at least 1, got 0"):
        ais.forward(KEY, params, FEW, 0)
    with pytest.raises(ValueError, match="at least 1, got 0 rows and 1 chains a row"):
        ais.log_likelihood(KEY, params, np.zeros((0, 3)))
    with pytest.raises(ValueError, match="n betas must be at least 2, got 1"):
        ais.linear_betas(1)
    with pytest.raises(ValueError, match=r"ratio must be positive and finite, got 0\.0"):
        ais.geometric_betas(5, 0.0)
    steps = np.diff(ais.geometric_betas(11, 8.0))
    np.testing.assert_allclose(steps[1:] / steps[:-1], 8.0 ** (-1 / 9), rtol=1e-9)
