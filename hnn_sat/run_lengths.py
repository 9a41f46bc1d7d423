"""How long runs last over many instances: censored distributions, iterations to solution with cutoffs, bootstrap.

Everything here is NumPy on the host. A run is a number of iterations and whether it ended solved; one that did not was
cut off (censored) there. Rows are instances, columns runs. A median of an even number of instances is the mean of the
middle two, infinite if the larger is.
"""

import math
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int, Key


class Survival(NamedTuple):
    """A step function: after `iterations[i]`, a share `unsolved[i]` of runs goes on."""

    iterations: Float[np.ndarray, " steps"]
    unsolved: Float[np.ndarray, " steps"]
    error: Float[np.ndarray, " steps"]


def run_length_distribution(iterations: Int[np.ndarray, " runs"], solved: Bool[np.ndarray, " runs"]) -> Survival:
    """The share of runs still unsolved, from censored runs (Kaplan and Meier 1958), with Greenwood's standard error.

    Raises ValueError as `cutoff_its` does.
    """
    _check(iterations[None], solved[None])
    times = np.unique(iterations[solved]).astype(np.float64)
    at_risk = np.array([(iterations >= t).sum() for t in times], dtype=np.float64)
    ended = np.array([(solved & (iterations == t)).sum() for t in times], dtype=np.float64)
    unsolved = np.cumprod(1.0 - ended / at_risk) if times.size else np.ones(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.cumsum(ended / (at_risk * (at_risk - ended)))
        error = np.where(unsolved > 0, unsolved * np.sqrt(terms), 0.0)
    return Survival(times, unsolved, error)


def cutoff_its(
    iterations: Int[np.ndarray, "instances runs"],
    solved: Bool[np.ndarray, "instances runs"],
    cutoff: float | int,
    confidence: float = 0.99,
) -> Float[np.ndarray, " instances"]:
    """Iterations that reach a solution with this confidence if every run is restarted at `cutoff`, for each instance.

    With p the share of runs solved within the cutoff: cutoff · ln(1 − confidence)/ln(1 − p), and cutoff itself where
    p is at least the confidence (one run does it); infinite where no run was solved. Where all n runs were, p is
    (n + 1/2)/(n + 1), the mean under Jeffreys' prior (Brown, Cai and DasGupta 2001): n successes are no certainty,
    and only from 49 runs on are they 99 %.
    Raises ValueError if the shapes differ, there is no run, an iteration is negative, or a run was cut off before the
    cutoff, so that what it would have done by then is not known.
    """
    _check(iterations, solved)
    if not cutoff > 0:
        raise ValueError(f"cutoff must be a positive number of iterations, got {cutoff}")
    if bool((~solved & (iterations < cutoff)).any()):
        shortest = int(iterations[~solved].min())
        raise ValueError(f"cutoff is {cutoff:g}, but a run was cut off after {shortest}; give at most that")
    n_runs = iterations.shape[1]
    n_solved = np.sum(solved & (iterations <= cutoff), axis=1)
    p = np.where(n_solved == n_runs, (n_runs + 0.5) / (n_runs + 1), n_solved / n_runs)
    return _restarted(p, cutoff, confidence)


class BestCutoff(NamedTuple):
    """The cutoff that was best on the training half, and what the other half gives with it."""

    cutoff: float
    train: Int[np.ndarray, " train"]
    test: Int[np.ndarray, " test"]
    its: float
    """Median over the test half."""
    low: float
    high: float
    """90 % interval of that median."""
    its_by_instance: Float[np.ndarray, " test"]


def tuned_its(
    key: Key[jax.Array, ""],
    iterations: Int[np.ndarray, "instances runs"],
    solved: Bool[np.ndarray, "instances runs"],
    cutoffs: Float[np.ndarray, " cutoffs"],
    *,
    confidence: float = 0.99,
    resamples: int = 1000,
) -> BestCutoff:
    """ITS at a cutoff chosen on one random half of the instances and judged on the other.

    A cutoff that is chosen on the runs it is judged by looks better than it is. The cutoff with the least median
    ITS of the training half is taken (the larger of equals); the interval comes from `nested_bootstrap` of the test
    half. Random: the halves and the resampling; key is consumed.
    Raises ValueError for fewer than 4 instances, and as `cutoff_its` does.
    """
    if len(iterations) < 4:
        raise ValueError(f"iterations has {len(iterations)} instances; two halves need at least 4")
    half_key, bootstrap_key = jax.random.split(key)
    order = np.asarray(jax.random.permutation(half_key, len(iterations)))
    train, test = np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :])
    medians = [np.median(cutoff_its(iterations[train], solved[train], c, confidence)) for c in cutoffs]
    best = float(np.max(np.asarray(cutoffs)[np.asarray(medians) == np.min(medians)]))
    low, high = nested_bootstrap(
        bootstrap_key, iterations[test], solved[test], best, confidence=confidence, resamples=resamples
    )
    by_instance = cutoff_its(iterations[test], solved[test], best, confidence)
    return BestCutoff(best, train, test, float(np.median(by_instance)), low, high, by_instance)


def nested_bootstrap(
    key: Key[jax.Array, ""],
    iterations: Int[np.ndarray, "instances runs"],
    solved: Bool[np.ndarray, "instances runs"],
    cutoff: float | int,
    *,
    confidence: float = 0.99,
    resamples: int = 1000,
) -> tuple[float, float]:
    """90 % interval of the median over instances of their ITS: instances are drawn with replacement, then, for each
    drawn one, the share p of runs solved within the cutoff.

    For s of n runs p is drawn from Beta(s + 1/2, n − s + 1/2), what they leave possible under Jeffreys' prior:
    resampled runs of an instance of which all, n of n, were solved could never fail. An instance of which no run was
    solved keeps p = 0, an infinite ITS.
    Random: the draws; key is consumed. Raises ValueError as `cutoff_its` does.
    """
    _check(iterations, solved)
    cutoff_its(iterations, solved, cutoff, confidence)
    generator = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    n, runs = iterations.shape
    n_solved = np.sum(solved & (iterations <= cutoff), axis=1)[generator.integers(n, size=(resamples, n))]
    p = np.where(n_solved == 0, 0.0, generator.beta(n_solved + 0.5, runs - n_solved + 0.5))
    values = np.median(_restarted(p, cutoff, confidence), axis=1)
    low, high = np.quantile(values, [0.05, 0.95], method="nearest")
    return float(low), float(high)


class Exponentiality(NamedTuple):
    """A test of the exponential law: the greatest distance, and how often a true exponential shows a greater one."""

    statistic: float
    p_value: float


def exponentiality(
    key: Key[jax.Array, ""],
    iterations: Int[np.ndarray, " runs"],
    solved: Bool[np.ndarray, " runs"],
    *,
    resamples: int = 2000,
) -> Exponentiality:
    """Lilliefors' test (1969): Kolmogorov's distance from the exponential law with the sample's own mean.

    The p-value is simulated for this sample size, since fitting the mean shortens the distance. Runs are made
    continuous by a uniform number, as iterations are whole. Random: those, and the simulation; key is consumed.
    Raises ValueError for fewer than 5 runs, if one was cut off (the law of the distance is known for whole samples
    only), and as `cutoff_its` does for lengths that cannot be.
    """
    _check(iterations, solved)
    if not solved.all():
        n_cut = int(np.sum(~solved))
        raise ValueError(f"solved has {n_cut} runs that were cut off; the test needs runs that all ended solved")
    if len(iterations) < 5:
        raise ValueError(f"iterations has {len(iterations)} runs; the test needs at least 5")
    generator = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    sample = np.asarray(iterations, dtype=np.float64) + generator.random(len(iterations))
    statistic = float(_distance(sample[None])[0])
    null = _distance(generator.exponential(size=(resamples, len(iterations))))
    return Exponentiality(statistic, (1.0 + float(np.sum(null >= statistic))) / (resamples + 1.0))


def _restarted(p: np.ndarray, cutoff: float | int, confidence: float) -> np.ndarray:
    with np.errstate(divide="ignore"):
        runs = math.log1p(-confidence) / np.log1p(-np.minimum(p, confidence))
    return cutoff * np.maximum(runs, 1.0)


def _distance(samples: Float[np.ndarray, "batch runs"]) -> Float[np.ndarray, " batch"]:
    ordered = np.sort(samples, axis=1)
    law = -np.expm1(-ordered / ordered.mean(axis=1, keepdims=True))
    n = samples.shape[1]
    above, below = np.arange(1, n + 1) / n - law, law - np.arange(n) / n
    return np.max(np.maximum(above, below), axis=1)


def _check(iterations: np.ndarray, solved: np.ndarray) -> None:
    if iterations.shape != solved.shape or iterations.size == 0:
        raise ValueError(
            f"iterations and solved need the same shape and at least one run, got {iterations.shape} and {solved.shape}"
        )
    if iterations.min() < 0:
        raise ValueError(f"iterations must not be negative, got {int(iterations.min())}")
