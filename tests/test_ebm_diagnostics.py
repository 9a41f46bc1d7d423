"""Diagnostics against closed forms, and R-hat and ESS against the numbers of another library."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebm import diagnostics
from ebm.diagnostics import autocorrelation
from ebm.energies import rbm


def ar1(random, rho, n_chains, n_steps):
    """Stationary autoregressive chains of variance 1: τ = (1 + ρ)/(1 − ρ)."""
    noise = random.standard_normal((n_chains, n_steps))
    x = np.zeros_like(noise)
    x[:, 0] = noise[:, 0]
    for t in range(1, n_steps):
        x[:, t] = rho * x[:, t - 1] + np.sqrt(1 - rho**2) * noise[:, t]
    return x


# τ_int


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_tau_of_an_autoregression_has_its_closed_form_and_its_stated_error(rho):
    """Over 100 runs the mean is right within 4 σ and the window's bias; the stated error is the scatter to 30 %."""
    exact = (1 + rho) / (1 - rho)
    runs = [diagnostics.tau_int(x) for x in ar1(np.random.default_rng(0), rho, 100, 10_000)]
    values, errors = np.array([run.value for run in runs]), np.array([run.error for run in runs])
    bias = 2 * exact**2 / 10_000 + exact * np.exp(-2 * autocorrelation.WINDOW)
    assert abs(values.mean() - exact) < 4 * values.std() / 10 + 2 * bias
    assert 0.7 < values.std() / errors.mean() < 1.3
    assert np.mean([run.at_least < exact for run in runs]) > 0.9  # two standard errors below: 97.7 % are expected


def test_tau_of_a_periodic_sum_is_below_one_and_chains_are_pooled():
    x = ar1(np.random.default_rng(1), -0.5, 8, 4000)
    pooled = diagnostics.tau_int(x)
    assert pooled.value == pytest.approx(1 / 3, abs=4 * pooled.error)
    assert pooled.error < 0.5 * diagnostics.tau_int(x[0]).error


def test_tau_is_refused_for_a_chain_shorter_than_fifty_tau():
    """τ = 199: 5,000 steps are 25 τ and get no value, 50,000 are 251 τ and do."""
    chain = ar1(np.random.default_rng(2), 0.99, 1, 50_000)
    short = diagnostics.tau_int(chain[:, :5000])
    assert np.isnan(short.value)
    assert np.isnan(short.error)
    assert 50 < short.at_least < 199
    long = diagnostics.tau_int(chain)
    assert long.value == pytest.approx(199, abs=4 * long.error)
    # A drift never decorrelates.
    assert np.isnan(diagnostics.tau_int(np.arange(1000.0)).value)
    assert all(np.isnan(value) for value in diagnostics.tau_int(np.ones(1000))[:3])


# R-hat and ESS. The columns are those of ArviZ 0.23.4, `rhat(x)` and `ess(x, method="bulk")`, on the same arrays.

ARVIZ = {
    "independent": (0.9997447763924634, 1985.2403185595117),
    "correlated": (1.0102674218128327, 434.2955783344212),
    "antithetic": (1.0017087711407247, 6602.059991327962),
    "shifted": (1.0459672226578542, 94.14545564540978),
    "wider": (1.0816525338401735, 861.8937734427964),
    "spins": (1.010742352354987, 221.94205625306765),
}


@pytest.fixture(scope="module")
def chains():
    random = np.random.default_rng(11)
    column = np.array([[0.0], [0.0], [0.0], [1.0]])
    return {
        "independent": ar1(random, 0.0, 4, 500),
        "correlated": ar1(random, 0.8, 4, 1001),
        "antithetic": ar1(random, -0.5, 4, 500),
        "shifted": ar1(random, 0.3, 4, 400) + 0.7 * column,
        "wider": ar1(random, 0.3, 4, 400) * (1 + column),
        "spins": np.sign(ar1(random, 0.9, 3, 600)),
    }


@pytest.mark.parametrize("name", list(ARVIZ))
def test_r_hat_and_bulk_ess_are_those_of_arviz(chains, name):
    value, ess = ARVIZ[name]
    assert diagnostics.r_hat(chains[name]).value == pytest.approx(value, rel=1e-10)
    assert diagnostics.bulk_ess(chains[name]).value == pytest.approx(ess, rel=1e-10)


def test_r_hat_passes_its_floor_for_chains_that_differ_and_rarely_for_equal_ones(chains):
    for name in ("shifted", "wider"):
        assert diagnostics.r_hat(chains[name]).value > 2 * diagnostics.r_hat(chains[name]).floor - 1
    # 300 runs of equal chains: about 1 % pass (the floor is of the larger of two statistics, so at most 1 % of each).
    random = np.random.default_rng(5)
    passed = [r.value > r.floor for r in (diagnostics.r_hat(ar1(random, 0.5, 4, 400)) for _ in range(300))]
    assert sum(passed) <= 11, "3 are expected; 12 or more have probability 1e-4"
    stuck = diagnostics.r_hat(np.repeat([[0.0], [1.0]], 20, axis=1))
    assert stuck.value == np.inf
    assert np.isnan(diagnostics.r_hat(np.ones((2, 20))).value)
    assert np.isnan(diagnostics.bulk_ess(np.ones((2, 20))).value)


def test_bulk_ess_of_an_autoregression_has_its_closed_form_and_its_stated_error():
    """n (1 − ρ)/(1 + ρ) within 4 σ of 60 runs plus 3 %, as ranks are no values; it scatters as stated or less."""
    random = np.random.default_rng(6)
    runs = [diagnostics.bulk_ess(ar1(random, 0.5, 4, 1000)) for _ in range(60)]
    values = np.array([run.value for run in runs])
    assert abs(values.mean() - 4000 / 3) < 4 * values.std() / np.sqrt(60) + 0.03 * 4000 / 3
    assert 0.4 < values.std() / np.mean([run.error for run in runs]) < 1.2


# β_eff


def spin_law(beta):
    """7 spins with fields and couplings: states, field of each spin and the law at β."""
    random = np.random.default_rng(3)
    couplings = np.triu(0.5 * random.standard_normal((7, 7)), 1)
    bias = 0.3 * random.standard_normal(7)
    states = np.array(list(itertools.product((-1.0, 1.0), repeat=7)))
    energy = -np.einsum("ni,ij,nj->n", states, couplings, states) - states @ bias
    law = np.exp(-beta * energy)
    log_odds = 2 * (states @ (couplings + couplings.T) + bias)
    return states, log_odds, law / law.sum(), (couplings, bias)


@pytest.mark.parametrize("beta", [0.4, 1.0, 1.7])
def test_beta_eff_of_exactly_tempered_samples_is_their_beta(beta):
    """200 sets of 1,000 exact samples: mean within 4 σ, and the stated error is the scatter within 4 σ of it."""
    states, log_odds, law, _ = spin_law(beta)
    random = np.random.default_rng(4)
    drawn = random.choice(len(law), (200, 1000), p=law)
    fits = [diagnostics.beta_eff(states[row], log_odds[row]) for row in drawn]
    values, errors = np.array([fit.value for fit in fits]), np.array([fit.error for fit in fits])
    assert abs(values.mean() - beta) < 4 * values.std() / np.sqrt(200) + errors.mean() ** 2
    assert abs(values.std(ddof=1) / errors.mean() - 1) < 4 / np.sqrt(2 * 199)


def test_beta_eff_takes_zeros_and_ones_too_and_repeats_are_counted_by_group():
    states, log_odds, law, _ = spin_law(1.0)
    drawn = np.random.default_rng(5).choice(len(law), 500, p=law)
    fit = diagnostics.beta_eff(states[drawn], log_odds[drawn])
    assert diagnostics.beta_eff((states[drawn] + 1) / 2, log_odds[drawn]) == fit
    # Each sample seen four times over, grouped as one: the same value and the same error.
    stacked = [np.stack([array[drawn]] * 4, axis=1) for array in (states, log_odds)]
    again = diagnostics.beta_eff(*stacked)
    assert again.value == pytest.approx(fit.value, rel=1e-9)
    assert again.error == pytest.approx(fit.error, rel=1e-9)
    # The maximum is one: the derivative of the pseudo-likelihood there vanishes.
    signed = states[drawn] * log_odds[drawn]
    assert abs(np.sum(signed / (1 + np.exp(fit.value * signed)))) < 1e-6


def test_beta_eff_at_its_ends():
    field = np.array([[1.0, -2.0], [3.0, 0.5]])
    assert diagnostics.beta_eff(np.sign(field), field).value == np.inf
    assert diagnostics.beta_eff(-np.sign(field), field).value == -np.inf
    assert np.isnan(diagnostics.beta_eff(np.sign(field), 0 * field).value)
    with pytest.raises(ValueError, match="one shape"):
        diagnostics.beta_eff(field, field[:1])


def test_flip_fields_of_an_rbm_and_of_spins_are_the_exact_log_odds():
    """Against the closed field of the spin model, and for the RBM against enumerated conditional probabilities."""
    states, log_odds, _, (couplings, bias) = spin_law(1.0)

    def energy(params, s):
        return -jnp.sum((s @ params[0]) * s, axis=-1) - s @ params[1]

    params = (jnp.asarray(couplings, jnp.float32), jnp.asarray(bias, jnp.float32))
    fields = diagnostics.flip_fields(energy, params, jnp.asarray(states, jnp.float32), "spins")
    assert np.allclose(fields, log_odds, atol=1e-4)
    machine = rbm.init(jax.random.key(0), 4, 3)._replace(weights=jax.random.normal(jax.random.key(1), (4, 3)))
    bits = np.array(list(itertools.product((0.0, 1.0), repeat=4)))
    hidden = np.array(list(itertools.product((0.0, 1.0), repeat=3)))
    weights, a, c = (np.asarray(leaf, np.float64) for leaf in machine)
    p = np.exp(bits @ weights @ hidden.T + (bits @ a)[:, None] + hidden @ c).sum(axis=1)
    fields = np.asarray(diagnostics.flip_fields(rbm.free_energy, machine, bits.astype(np.float32)))
    place = 2 ** np.arange(4)[::-1]
    for i, j in itertools.product(range(16), range(4)):
        base = i - int(bits[i, j]) * place[j]
        assert fields[i, j] == pytest.approx(np.log(p[base + place[j]] / p[base]), abs=1e-4)


# Two sets of samples


def test_mmd_is_unbiased_and_its_p_values_are_uniform_under_one_law():
    """The squared distance of two product laws factorises: Π over columns of 1 − P(differ)(1 − e^(−1/d))."""
    d, n, m, runs = 6, 60, 90, 150
    one, two = np.full(d, 0.5), np.linspace(0.3, 0.9, d)
    random = np.random.default_rng(0)

    def kernel_mean(p, q):
        return np.prod(1 - (p * (1 - q) + q * (1 - p)) * (1 - np.exp(-1 / d)))

    for other in (two, one):
        exact = kernel_mean(one, one) + kernel_mean(other, other) - 2 * kernel_mean(one, other)
        results = [
            diagnostics.mmd(
                jax.random.key(run), random.random((n, d)) < one, random.random((m, d)) < other, n_permutations=99
            )
            for run in range(runs)
        ]
        values = np.array([result.value for result in results])
        assert abs(values.mean() - exact) < 4 * values.std() / np.sqrt(runs)
        p_values = np.array([result.p_value for result in results])
        above = np.mean([result.value > result.floor for result in results])
        if other is two:
            assert above > 0.9
        else:
            assert exact == pytest.approx(0, abs=1e-12)
            # Uniform p-values have mean 1/2 and variance 1/12.
            assert abs(p_values.mean() - 0.5) < 4 / np.sqrt(12 * runs)
            assert abs(above - 0.05) < 4 * np.sqrt(0.05 * 0.95 / runs)


def test_mmd_of_reals_is_the_formula_whatever_the_units_of_columns():
    """By loops over pairs, unbiased, width the median distance of standardised rows; p-values uniform for one law."""
    random = np.random.default_rng(3)
    x, y = random.normal(size=(12, 3)), random.normal(0.8, 1.0, (15, 3))
    found = diagnostics.mmd(jax.random.key(0), x, y, is_real=True)
    pool = np.concatenate([x, y]) / np.concatenate([x, y]).std(0)
    distance = np.array([[np.linalg.norm(a - b) for b in pool] for a in pool])
    k = np.exp(-(distance**2) / 2 / np.median([distance[i, j] for i in range(27) for j in range(i)]) ** 2)
    pairs = [[k[i, j] for i in range(a, b) for j in range(a, b) if i != j] for a, b in ((0, 12), (12, 27))]
    assert found.value == pytest.approx(np.mean(pairs[0]) + np.mean(pairs[1]) - 2 * k[:12, 12:].mean(), abs=1e-12)
    scaled = diagnostics.mmd(jax.random.key(0), 5 + x * [1, 100, 0.01], 5 + y * [1, 100, 0.01], is_real=True)
    assert scaled == pytest.approx(found, abs=1e-9)
    runs = 100
    same = [
        diagnostics.mmd(jax.random.key(run), *random.normal(size=(2, 20, 3)), n_permutations=49, is_real=True).p_value
        for run in range(runs)
    ]
    assert abs(np.mean(same) - 0.5) < 4 / np.sqrt(12 * runs)


def test_adversarial_accuracy_of_one_law_of_two_and_of_copies():
    random = np.random.default_rng(1)
    n, runs = 60, 100
    # One law of many dimensions: a row's neighbour is any of the 2n − 1 others, n of them strangers.
    values = []
    for run in range(runs):
        x, y = random.standard_normal((2, n, 10))
        result = diagnostics.adversarial_accuracy(jax.random.key(run), x, y, n_permutations=20)
        values.append((result.value - result.expected) / result.error)
        assert result.expected == pytest.approx((n - 1) / (2 * n - 1), abs=5 * result.error / np.sqrt(20))
    assert abs(np.mean(values)) < 4 / np.sqrt(runs) * 1.1
    assert 0.7 < np.std(values) < 1.5  # 20 relabellings know the scatter to 16 %
    bits = (random.random((n, 12)) < 0.5).astype(float)
    assert diagnostics.adversarial_accuracy(jax.random.key(0), bits, bits).value < 0.1
    apart = diagnostics.adversarial_accuracy(jax.random.key(0), bits, bits + 10)
    assert apart.value == apart.of_data == apart.of_samples == 1
    # Samples of one mode of two: half the data are alone, and among the others a third of the neighbours are data.
    m = 400
    two_modes = random.standard_normal((m, 4)) + 20 * (np.arange(m) % 2)[:, None]
    half = diagnostics.adversarial_accuracy(jax.random.key(0), two_modes, random.standard_normal((m, 4)), 2)
    assert half.of_data == pytest.approx(2 / 3, abs=4 * np.sqrt(2 / 9 / m))
    assert half.of_samples == pytest.approx(2 / 3, abs=4 * np.sqrt(2 / 9 / m))


def test_ties_of_discrete_rows_count_one_half():
    """All rows equal: every neighbour is a draw."""
    rows = np.ones((5, 3))
    result = diagnostics.adversarial_accuracy(jax.random.key(0), rows, rows)
    assert (result.value, result.expected, result.error) == (0.5, 0.5, 0.0)


def test_correlation_error_of_one_law_is_its_floor_and_a_known_difference_is_its_excess():
    """value²/floor² has mean 1 for equal laws, 4 σ of 200 runs; a planted covariance comes out as excess."""
    random = np.random.default_rng(2)
    ratios = []
    for _ in range(200):
        x, y = random.random((300, 8)) < 0.3, random.random((200, 8)) < 0.3
        result = diagnostics.correlation_error(x, y)
        ratios.append(result.value**2 / result.floor**2)
    assert abs(np.mean(ratios) - 1) < 4 * np.std(ratios) / np.sqrt(200)
    # A pair of columns that agree with probability 0.7 has covariance 0.1, one of 3 pairs: rms 0.1/√3.
    n = 200_000
    x = (random.random((n, 3)) < 0.5).astype(float)
    x[:, 1] = np.where(random.random(n) < 0.7, x[:, 0], 1 - x[:, 0])
    y = random.random((n, 3)) < 0.5
    result = diagnostics.correlation_error(x, y)
    assert result.excess == pytest.approx(0.1 / np.sqrt(3), abs=4 * result.floor)
    assert result.floor == pytest.approx(0.25 * np.sqrt(2 / n), rel=0.1)


def test_total_variation_has_its_exact_floor():
    """Mean over 2,000 sets of exact samples within 4 σ; a law shifted by 0.1 is 0.1 away."""
    law = np.array([0.5, 0.3, 0.15, 0.05])
    random = np.random.default_rng(3)
    results = [diagnostics.total_variation(random.choice(4, 50, p=law), law) for _ in range(2000)]
    values = np.array([result.value for result in results])
    assert abs(values.mean() - results[0].floor) < 4 * values.std() / np.sqrt(2000)
    assert values.max() < results[0].bound
    other = np.array([0.4, 0.4, 0.15, 0.05])
    far = diagnostics.total_variation(random.choice(4, 200_000, p=other), law)
    assert far.value == pytest.approx(0.1, abs=5 * far.floor)
    assert far.value > far.bound
    assert diagnostics.total_variation(np.zeros(10, int), np.array([1.0, 0.0])) == (
        0,
        0,
        pytest.approx(0.831, abs=1e-3),
    )


def test_wrong_calls_say_what_is_wrong():
    key, rows = jax.random.key(0), np.eye(4)
    for call, message in (
        (lambda: diagnostics.tau_int(np.ones(3)), "at least 4 steps"),
        (lambda: diagnostics.tau_int(np.array([0.0, np.nan] * 9)), "finite"),
        (lambda: diagnostics.r_hat(np.ones((2, 7))), "at least 8 steps"),
        (lambda: diagnostics.mmd(key, rows, rows + np.arange(4)), "two values"),
        (lambda: diagnostics.mmd(key, rows, rows[:, :2]), "of one width"),
        (lambda: diagnostics.adversarial_accuracy(key, rows[:1], rows), "at least 2 rows"),
        (lambda: diagnostics.correlation_error(rows[:2], rows), "at least 4 rows"),
        (lambda: diagnostics.total_variation(np.array([2]), np.ones(2) / 2), "index below 2"),
        (lambda: diagnostics.total_variation(np.array([0]), np.ones(2)), "sum to 1"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
