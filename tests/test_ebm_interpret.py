"""Effective couplings of an RBM: against sums written out here, against planted truth, against quadrature by SciPy.

The brute force below knows neither the fast transform nor the log cosh form: it sums hidden states one by one, takes
logarithms, and averages products of spins over all states.
"""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import integrate, stats

from ebm import interpret, planted, rules, train
from ebm.energies import rbm

N_ROWS = 8192


def model(n_visible=6, n_hidden=3, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    leaves = [scale * rng.standard_normal(shape) for shape in ((n_visible, n_hidden), n_visible, n_hidden)]
    return rbm.Rbm(*(jnp.asarray(leaf, jnp.float32) for leaf in leaves))


def brute_force(params):
    """{spins: coefficient} of log Σ_h exp(−E(v, h)) by its definition, every state of both layers in plain loops."""
    w, a, c = (np.asarray(leaf, float) for leaf in params)
    states = list(itertools.product((-1, 1), repeat=len(a)))
    log_p = []
    for s in states:
        v = (1 + np.array(s)) / 2
        weights = [math.exp(v @ w @ h + a @ v + c @ h) for h in itertools.product((0, 1), repeat=len(c))]
        log_p.append(math.log(sum(weights)))
    return {
        chosen: np.mean([math.prod(s[i] for i in chosen) * y for s, y in zip(states, log_p, strict=True)])
        for order in range(1, 5)
        for chosen in itertools.combinations(range(len(a)), order)
    }


def test_the_exact_expansion_is_the_brute_force_one():
    params = model()
    expected = brute_force(params)
    for order in (1, 2, 3, 4):
        found = interpret.exact(params, order)
        assert [tuple(row) for row in found.spins] == list(itertools.combinations(range(6), order))
        wanted = [expected[tuple(row)] for row in found.spins]
        np.testing.assert_allclose(found.values, wanted, atol=1e-9)
        assert not found.errors.any()


def test_the_walsh_coefficients_give_the_function_back():
    rng = np.random.default_rng(1)
    f = rng.standard_normal(2**5)
    c = interpret.walsh(f)
    for number in range(2**5):
        s = [1 if number >> i & 1 else -1 for i in range(5)]
        value = sum(c[k] * math.prod(s[i] for i in range(5) if k >> i & 1) for k in range(2**5))
        assert value == pytest.approx(f[number], abs=1e-12)
    with pytest.raises(ValueError, match="2\\^n states, got 3"):
        interpret.walsh(np.zeros(3))


@pytest.mark.parametrize("order", [1, 2, 3])
def test_random_states_of_the_others_give_the_exact_coefficients_within_their_errors(order):
    """z = (found − exact) / error; sets share their states, so only the largest and the spread are bound."""
    params = model(9, 4, seed=2)
    truth = interpret.exact(params, order)
    found = interpret.sampled(jax.random.key(0), params, order, draws=2000)
    z = (found.values - truth.values) / found.errors
    assert np.abs(z).max() < 4.5
    assert 0.2 < np.sqrt(np.mean(z**2)) < 2.0
    some = interpret.sampled(jax.random.key(0), params, order, spins=found.spins[3:5], draws=2000)
    np.testing.assert_allclose(some.values, found.values[3:5], atol=1e-12)
    # Where no spin is left to draw, nothing is left to chance.
    tiny = model(order, 4, seed=3)
    alone = interpret.sampled(jax.random.key(1), tiny, order, draws=2)
    np.testing.assert_allclose(alone.values, interpret.exact(tiny, order).values, atol=1e-9)
    np.testing.assert_allclose(alone.errors, 0, atol=1e-9)


def test_the_gaussian_form_is_the_integral_that_it_says_it_is():
    params = model(7, 2, seed=4)
    w, _, c = (np.asarray(leaf, float) for leaf in params)

    def smeared(h, s0, s3):
        mean = c[h] / 2 + w[:, h].sum() / 4 + (w[0, h] * s0 + w[3, h] * s3) / 4
        std = math.sqrt(sum((w[i, h] / 4) ** 2 for i in range(7) if i not in (0, 3)))
        return integrate.quad(lambda x: stats.norm.pdf(x) * math.log(math.cosh(mean + std * x)), -12, 12)[0]

    expected = sum(s * t * smeared(h, s, t) / 4 for h in (0, 1) for s in (-1, 1) for t in (-1, 1))
    found = interpret.gaussian(params, 2, spins=np.array([[0, 3]]))
    assert found.values[0] == pytest.approx(expected, abs=1e-7)
    assert np.isnan(found.errors).all()


def test_the_gaussian_form_is_right_to_first_order_where_no_unit_hangs_on_few_spins():
    """64 spins: its error is far below the couplings, which it follows; the sampled ones know their own error."""
    params = model(64, 8, seed=5, scale=0.5)
    spins = interpret.of_planted(planted.ising(8), 2).spins[::40]
    found = interpret.gaussian(params, 2, spins=spins)
    checked = interpret.sampled(jax.random.key(0), params, 2, spins=spins, draws=4000)
    off = found.values - checked.values
    assert np.sqrt(np.mean(off**2)) < 0.05 * found.values.std() + 1.2 * checked.errors.mean()
    assert np.corrcoef(found.values, checked.values)[0, 1] > 0.99


def test_a_machine_of_fields_has_its_fields_and_no_couplings():
    params = model(5, 2)._replace(weights=jnp.zeros((5, 2)))
    for found in (interpret.exact(params, 1), interpret.gaussian(params, 1)):
        np.testing.assert_allclose(found.values, np.asarray(params.visible_bias) / 2, atol=1e-6)
    for found in (interpret.exact(params, 2), interpret.gaussian(params, 3)):
        np.testing.assert_allclose(found.values, 0, atol=1e-6)


def test_planted_truth_is_the_expansion_of_its_own_law():
    truth = planted.ising(3, seed=4)
    c = interpret.walsh(planted.log_law(truth))
    for order in (1, 2, 3):
        known = interpret.of_planted(truth, order)
        np.testing.assert_allclose(c[(1 << known.spins).sum(axis=1)], known.values, atol=1e-9)


def test_the_error_of_finite_data_is_that_of_repeated_fits():
    """200 data sets of 3 spins: the spread of the fits is the stated one within 4.5 of its own standard errors."""
    log_p = planted.log_law(planted.ising(2, seed=1))
    log_p = np.logaddexp(log_p[:8], log_p[8:])  # the fourth spin summed out
    log_p -= np.logaddexp.reduce(log_p)
    n, rng = 2000, np.random.default_rng(0)
    # With all products free the model is saturated, so its maximum is the expansion of the observed frequencies.
    fits = [interpret.walsh(np.log(rng.multinomial(n, np.exp(log_p)) / n)) for _ in range(200)]
    found = np.std(fits, axis=0, ddof=1)
    for order, errors in interpret.sampling_error(log_p, 3, n).items():
        sets = list(itertools.combinations(range(3), order))
        observed = [found[sum(1 << i for i in chosen)] for chosen in sets]
        assert np.abs(np.array(observed) / errors - 1).max() < 4.5 / math.sqrt(2 * 199)


def test_an_rbm_trained_on_planted_data_knows_their_couplings_and_imagines_no_others():
    """Nine spins on a grid, 12 couplings of ±0.5 and 24 absent: a correlation above 0.95; 84 three-body terms, none in
    the data, are within what 8,192 rows leave open: root mean square of z below 1.2, none beyond 4.5."""
    truth = planted.ising(3, seed=0)
    rows = planted.rows(truth, seed=10, n_train=N_ROWS, n_test=1).train
    state = train.fit(
        jax.random.key(0),
        rbm.init(jax.random.key(1), 9, 12, jnp.asarray(rows.mean(axis=0))),
        rows,
        optimizer=optax.adam(optax.cosine_decay_schedule(0.05, 3000)),
        rule=rules.Contrastive(chains=256, gibbs_steps=5),
        steps=3000,
        batch=256,
        chunk=3000,
    )
    errors = interpret.sampling_error(planted.log_law(truth), 3, N_ROWS)
    known, found = interpret.of_planted(truth, 2).values, interpret.exact(state.params, 2).values
    correlation = np.corrcoef(known, found)[0, 1]
    fields = (interpret.exact(state.params, 1).values - interpret.of_planted(truth, 1).values) / errors[1]
    z = interpret.exact(state.params, 3).values / errors[3]
    print(
        f"correlation {correlation:.4f}; rms z: fields {rms(fields):.2f}, pairs {rms((found - known) / errors[2]):.2f}"
    )
    print(f"three-body: rms z {rms(z):.2f}, largest {np.abs(z).max():.2f}")
    assert correlation > 0.95
    assert np.abs(found[known == 0]).max() < np.abs(found[known != 0]).min()  # and it knows who is coupled to whom
    assert rms(z) < 1.2
    assert np.abs(z).max() < 4.5
    # Couplings that are there stand out by far: this bound can fail.
    assert rms(found[known != 0] / errors[2][known != 0]) > 15


def rms(z):
    return float(np.sqrt(np.mean(np.square(z))))


def test_what_cannot_be_expanded_is_refused_by_name():
    big = model(21, 2)
    for call, said in (
        (lambda: interpret.exact(big, 2), "up to 20 visible units, got 21"),
        (lambda: interpret.exact(model(3), 4), "order must be from 1 to 3, got 4"),
        (lambda: interpret.gaussian(model(), 2, spins=np.array([[2, 2]])), "rising order"),
        (lambda: interpret.gaussian(model(), 2, spins=np.array([[2, 6]])), "from 0 to 5"),
        (lambda: interpret.sampled(jax.random.key(0), model(), 2, draws=1), "draws must be at least 2"),
    ):
        with pytest.raises(ValueError, match=said):
            call()
