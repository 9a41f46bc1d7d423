"""How many iterations a search needs to succeed with a stated confidence, from runs of which some were cut off."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int


class IterationsToSolution(NamedTuple):
    """Iterations after which a run is solved with probability `confidence`, and a 90 % interval (low, high).

    Without a solved run, value and high are infinite and low is a bound that 95 % of such experiments would exceed.
    """

    value: float
    low: float
    high: float
    mean: float  # iterations to solution, expected
    confidence: float
    n_solved: int
    n_runs: int


def its_draws(its: IterationsToSolution, generator: np.random.Generator, draws: int) -> Float[np.ndarray, " draws"]:
    """Values of ITS that the runs leave possible, as spread as its interval says; infinite without a solved run.

    All iterations over a gamma variate of shape r for r solved runs, the exact law if all were; r + 1/2 if some were
    cut off, between the two that the interval's ends take. It carries the doubt of the runs into a function of ITS.
    """
    if its.n_solved == 0:
        return np.full(draws, np.inf)
    total = its.value * its.n_solved
    shape = its.n_solved if its.n_solved == its.n_runs else its.n_solved + 0.5
    return total / generator.gamma(shape, size=draws)


def iterations_to_solution(
    n_flips: Int[Array, " runs"] | Int[np.ndarray, " runs"],
    solved: Bool[Array, " runs"] | Bool[np.ndarray, " runs"],
    confidence: float = 0.99,
) -> IterationsToSolution:
    """ITS for an exponential run-length distribution with right-censored runs.

    n_flips: iterations of each run, until it was solved or cut off; cut-off times may differ.
    The mean is all iterations over the number of solved runs, the maximum-likelihood estimate under censoring, and
    ITS = mean ln(1 / (1 - confidence)): mean ln 100 for 99 %. The interval inverts the chi-square law of
    2 (all iterations) / mean: with 2 r degrees of freedom for r solved runs, and 2 r + 2 for the lower end if runs
    were cut off (exact for runs that all end solved, conservative otherwise; Epstein and Sobel 1953, Cox 1953).
    An exponential law is a good description of WalkSAT on uniform random 3-SAT from about 100 variables; on smaller
    formulas the initial descent takes a fixed part of the run and this ITS is pessimistic.
    Raises ValueError if there is no run, the lengths differ, an n_flips is negative or the confidence is not in (0, 1).
    """
    from scipy.stats import chi2

    flips, is_solved = np.asarray(n_flips, dtype=np.float64), np.asarray(solved)
    if flips.size == 0 or flips.shape != is_solved.shape:
        raise ValueError(
            f"n_flips and solved need one entry for each run and at least one run, "
            f"got {flips.size} and {is_solved.size}"
        )
    if flips.min() < 0:
        raise ValueError(f"n_flips must not be negative, got {int(flips.min())}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie strictly between 0 and 1, got {confidence}")

    total, r, n_runs = float(flips.sum()), int(np.count_nonzero(is_solved)), flips.size
    factor = -math.log1p(-confidence)
    mean = total / r if r else math.inf
    low = 2 * total / chi2.ppf(0.95, 2 * r if r == n_runs else 2 * r + 2)
    high = 2 * total / chi2.ppf(0.05, 2 * r) if r else math.inf
    value, low, high = factor * mean, factor * float(low), factor * float(high)
    return IterationsToSolution(value, low, high, mean, confidence, r, n_runs)


def median_of_instances(
    values: Sequence[float], draws: Sequence[Float[np.ndarray, " draws"]], generator: np.random.Generator
) -> tuple[float, float, float]:
    """Median over instances of a quantity, and its 90 % interval, given possible values of it for each instance.

    In every draw the instances are resampled; draw i of all instances belongs together, so that what they share (a
    price) moves them together. A median between two values is their mean, infinite if the larger is.
    Raises ValueError if there is no instance.
    """
    if not values or len(values) != len(draws):
        raise ValueError(f"values and draws need one entry for each instance, got {len(values)} and {len(draws)}")
    each = np.stack(draws, axis=1)
    chosen = generator.integers(len(values), size=each.shape)
    medians = np.median(np.take_along_axis(each, chosen, axis=1), axis=1)
    low, high = np.quantile(medians, [0.05, 0.95], method="nearest")
    return float(np.median(np.asarray(values))), float(low), float(high)
