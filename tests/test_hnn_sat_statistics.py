"""The estimator of iterations to solution against simulated exponential runs."""

import math

import numpy as np
import pytest

from hnn_sat.statistics import iterations_to_solution


@pytest.mark.parametrize("cutoff", [np.inf, 1000.0, 200.0])
def test_its_is_unbiased_and_its_interval_covers_nine_times_in_ten(cutoff):
    rng = np.random.default_rng(7)
    true_mean, runs, experiments = 1000.0, 40, 2000
    truth = true_mean * math.log(100)
    logs, covered = [], 0
    for _ in range(experiments):
        lengths = rng.exponential(true_mean, runs)
        solved = lengths <= cutoff
        estimate = iterations_to_solution(np.minimum(lengths, cutoff).round().astype(int), solved)
        logs.append(math.log(estimate.value / truth))
        covered += estimate.low <= truth <= estimate.high
    # The log of the estimate spreads by about 1 / sqrt(solved runs) and is off by half of that squared at most.
    n_solved = runs * (1 - math.exp(-cutoff / true_mean))
    assert abs(np.mean(logs)) < 1 / n_solved + 5 / math.sqrt(n_solved * experiments)
    assert np.std(logs) == pytest.approx(1 / math.sqrt(n_solved), rel=0.25)
    # 90 %, and at least that with cut-off runs: 4 binomial standard errors below, 4 and the known excess above.
    error = math.sqrt(0.9 * 0.1 / experiments)
    assert 0.9 - 4 * error < covered / experiments < 0.9 + (4 * error if cutoff == np.inf else 0.05)


def test_by_hand():
    estimate = iterations_to_solution(np.array([10, 20, 70]), np.array([True, True, False]), confidence=0.9)
    assert estimate.mean == 50
    assert estimate.value == pytest.approx(50 * math.log(10))
    # Published chi-square quantiles: 95 % with 6 degrees of freedom 12.592, 5 % with 4 degrees 0.7107.
    assert estimate.low == pytest.approx(200 / 12.592 * math.log(10), rel=1e-3)
    assert estimate.high == pytest.approx(200 / 0.7107 * math.log(10), rel=1e-3)
    assert (estimate.n_solved, estimate.n_runs) == (2, 3)


def test_without_a_solved_run_there_is_only_a_lower_bound():
    estimate = iterations_to_solution(np.array([500, 500]), np.array([False, False]))
    assert estimate.value == estimate.high == estimate.mean == math.inf
    # No event in 1000 iterations: the mean is above 1000 / -ln 0.05 with 95 % confidence.
    assert estimate.low == pytest.approx(1000 / -math.log(0.05) * math.log(100))


@pytest.mark.parametrize(
    ("flips", "solved", "confidence", "message"),
    [
        ([], [], 0.99, "at least one run"),
        ([-1], [True], 0.99, "negative"),
        ([1], [True], 1.0, "confidence"),
    ],
)
def test_runs_that_cannot_be_meant_are_refused(flips, solved, confidence, message):
    with pytest.raises(ValueError, match=message):
        iterations_to_solution(np.array(flips, dtype=int), np.array(solved, dtype=bool), confidence)
