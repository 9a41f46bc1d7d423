"""Statistics of censored runs against closed forms, plain rewrites and simulated truths."""

import math

import jax
import numpy as np
import pytest
from scipy.stats import beta

from hnn_sat.run_lengths import cutoff_its, exponentiality, nested_bootstrap, run_length_distribution, tuned_its
from hnn_sat.statistics import median_of_instances


def test_the_censored_distribution_equals_a_textbook_example():
    """Remission times of the 6-MP arm of Freireich et al. 1963, the example of every text on survival: S(6) = 0.857,
    S(7) = 0.807, S(10) = 0.753, S(13) = 0.690, S(16) = 0.627, S(22) = 0.538, S(23) = 0.448, with Greenwood's
    errors 0.0764, 0.0869, 0.0963, 0.1068, 0.1141, 0.1282, 0.1346."""
    ended, censored = [6, 6, 6, 7, 10, 13, 16, 22, 23], [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
    times = np.array(ended + censored)
    solved = np.array([True] * len(ended) + [False] * len(censored))
    found = run_length_distribution(times, solved)
    assert found.iterations.tolist() == [6, 7, 10, 13, 16, 22, 23]
    np.testing.assert_allclose(found.unsolved, [0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448], atol=6e-4)
    np.testing.assert_allclose(found.error, [0.0764, 0.0869, 0.0963, 0.1068, 0.1141, 0.1282, 0.1346], atol=6e-5)


def test_its_at_a_cutoff_is_the_number_of_restarts_times_the_cutoff():
    iterations = np.array([[5, 20, 20, 20], [1, 2, 3, 4], [20, 20, 20, 20]])
    solved = np.array([[True, False, False, False], [True] * 4, [False] * 4])
    found = cutoff_its(iterations, solved, 20)
    assert found[0] == pytest.approx(20 * math.log(0.01) / math.log(0.75))
    assert found[1] == pytest.approx(20 * math.log(100) / math.log(10))  # 4 of 4 solved: p = 4.5/5, not 1
    assert found[2] == math.inf
    enough = np.ones((1, 49), np.int64)
    assert cutoff_its(enough, enough > 0, 20)[0] == 20  # 49.5/50 is 99 %
    assert cutoff_its(enough[:, 1:], enough[:, 1:] > 0, 20)[0] > 20
    with pytest.raises(ValueError, match="cut off after 20"):
        cutoff_its(iterations, solved, 21)
    with pytest.raises(ValueError, match="must not be negative"):
        cutoff_its(iterations - 10, solved, 5)


def test_an_interval_leaves_the_cutoff_where_all_of_a_few_runs_were_solved():
    """All of 24 runs: p ~ Beta(24.5, 0.5), so the 95 % end of ITS of one instance is 20 ln 0.01 / ln(1 − q) with q the
    5 % quantile of p. 4 standard errors of that quantile in 4,000 draws are 4 sqrt(0.05 · 0.95 / 4000) = 0.0138."""
    iterations = np.full((1, 24), 5)
    low, high = nested_bootstrap(jax.random.key(0), iterations, iterations > 0, 20, resamples=4000)
    ends = [20 * math.log(0.01) / math.log1p(-beta.ppf(q, 24.5, 0.5)) for q in (0.05 + 0.0138, 0.05 - 0.0138)]
    assert low == 20
    assert ends[0] < high < ends[1]


def test_the_middle_of_the_interval_is_the_median_that_is_reported():
    """Two instances of many runs, a and b: resampled medians are a, their mean or b, with chances 1/4, 1/2, 1/4."""
    n = 40_000
    share = np.array([[0.5], [0.9]])
    solved = np.arange(n)[None] < share * n
    iterations = np.full((2, n), 100)
    its = cutoff_its(iterations, solved, 100)
    low, high = nested_bootstrap(jax.random.key(0), iterations, solved, 100, resamples=400)
    assert (low, high) == pytest.approx((its.min(), its.max()), rel=0.05)
    values, draws = [1.0, 3.0], [np.ones(400), np.full(400, 3.0)]
    assert median_of_instances(values, draws, np.random.default_rng(0)) == (2.0, 1.0, 3.0)
    assert median_of_instances([1.0, math.inf], draws, np.random.default_rng(0))[0] == math.inf


def exponential_runs(generator, means, runs, limit):
    draws = np.ceil(generator.exponential(means[:, None], (len(means), runs))).astype(np.int64)
    return np.minimum(draws, limit), draws <= limit


def test_an_exponential_law_has_the_same_its_at_every_cutoff():
    """mean · ln 100, whatever the cutoff; within 4 standard errors of ln(1 − p) for 40,000 runs."""
    iterations, solved = exponential_runs(np.random.default_rng(0), np.array([1000.0]), 40_000, 4000)
    for cutoff in (500, 1000, 2000, 4000):
        p = 1 - math.exp(-cutoff / 1000)
        error = math.sqrt(p / (1 - p) / 40_000) / (cutoff / 1000)
        assert abs(cutoff_its(iterations, solved, cutoff)[0] / (1000 * math.log(100)) - 1) < 4 * error + 2e-3


def test_the_cutoff_is_chosen_on_one_half_and_judged_on_the_other():
    generator = np.random.default_rng(1)
    # An early chance of one half, then a hopeless tail: the best cutoff is short.
    early = generator.integers(1, 51, (40, 200))
    is_early = generator.random((40, 200)) < 0.5
    iterations, solved = np.where(is_early, early, 5000), is_early
    found = tuned_its(jax.random.key(0), iterations, solved, np.array([10.0, 50.0, 500.0, 5000.0]))
    assert found.cutoff == 50.0
    assert sorted([*found.train, *found.test]) == list(range(40))
    assert len(found.test) == 20
    assert found.its == np.median(cutoff_its(iterations[found.test], solved[found.test], 50.0))
    assert found.low <= found.its <= found.high
    # Close to the truth, 50 log2(100).
    assert abs(found.its / (50 * math.log2(100)) - 1) < 0.1
    with pytest.raises(ValueError, match="at least 4"):
        tuned_its(jax.random.key(0), iterations[:3], solved[:3], np.array([10.0]))


def test_nested_intervals_cover_the_truth_as_often_as_they_say():
    """200 experiments of 21 instances with 15 runs. The truth is the median ITS over all instances; a 90 % interval
    covers it in 180 of 200, and 4 standard errors of that are 17; percentile intervals of small samples are known to
    cover a little less, so 8 more misses are allowed. Without drawing instances it would cover far less."""
    generator = np.random.default_rng(2)
    truth = 1000.0 * math.log(100)
    covered = covered_by_runs_only = 0
    for i in range(200):
        means = 1000.0 * np.exp(generator.normal(size=21))
        iterations, solved = exponential_runs(generator, means, 15, 1000)
        key = jax.random.key(i)
        low, high = nested_bootstrap(key, iterations, solved, 1000.0, resamples=200)
        covered += low <= truth <= high
        p = solved.mean(axis=1)
        again = generator.binomial(15, p[None], (200, 21)) / 15
        with np.errstate(divide="ignore"):
            its = np.median(1000 * math.log(100) / -np.log1p(-np.minimum(again, 0.99)), axis=1)
        covered_by_runs_only += np.quantile(its, 0.05) <= truth <= np.quantile(its, 0.95)
    assert 155 <= covered <= 197
    assert covered_by_runs_only < covered - 20


def test_exponential_runs_pass_the_test_of_exponentiality_and_others_do_not():
    generator = np.random.default_rng(3)
    whole = np.ones(60, bool)
    p_values = [
        exponentiality(
            jax.random.key(i), np.floor(generator.exponential(500, 60)).astype(np.int64), whole, resamples=400
        ).p_value
        for i in range(100)
    ]
    # Uniform p-values: the share below 0.1 is 10 of 100 within 4 standard errors.
    assert sum(p < 0.1 for p in p_values) <= 22
    assert 0.5 - 4 / math.sqrt(1200) < np.mean(p_values) < 0.5 + 4 / math.sqrt(1200)
    late = 300 + np.floor(generator.exponential(200, 60)).astype(np.int64)
    assert exponentiality(jax.random.key(0), late, whole).p_value < 0.01
    with pytest.raises(ValueError, match="at least 5"):
        exponentiality(jax.random.key(0), late[:4], whole[:4])
    with pytest.raises(ValueError, match="1 runs that were cut off"):
        exponentiality(jax.random.key(0), late, np.arange(60) > 0)


def test_lilliefors_quantile_is_the_published_one():
    """For n = 20 the 95 % quantile of Kolmogorov's distance with a fitted mean is 0.234 (Lilliefors 1969; 0.2345 by
    later simulation)."""
    from hnn_sat.run_lengths import _distance

    null = _distance(np.random.default_rng(0).exponential(size=(40_000, 20)))
    assert abs(np.quantile(null, 0.95) - 0.234) < 0.004
