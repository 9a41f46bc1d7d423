"""How far the states seen are from a law known state by state: total variation, beside what chance alone gives."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, Int
from scipy.stats import binom

from ebm import exact


class TotalVariation(NamedTuple):
    """½ Σ |frequency − p|. `floor` is its mean for independent exact samples, `bound` is reached once in a million.

    A value within the two shows no difference, and none smaller than about the floor could have been seen.
    """

    value: float
    floor: float
    bound: float


def total_variation(
    codes: Int[Array, " n"] | Int[np.ndarray, " n"], law: Float[Array, " k"] | Float[np.ndarray, " k"]
) -> TotalVariation:
    """Distance of the histogram of `codes`, indices of states, from `law`, the probability of each state.

    The floor is exact: E|X − np| of a binomial number is 2 ν (1 − p) P(X = ν) with ν = ⌊np⌋ + 1 (De Moivre 1730;
    Diaconis & Zabell 1991). One sample moves the distance by at most 1/n, so that it exceeds its mean by t with
    probability below exp(−2 n t²) (McDiarmid 1989). Raises ValueError when the law is not one, or a code is not an
    index of it.
    """
    p, states = np.asarray(law, np.float64), np.asarray(codes)
    if p.ndim != 1 or (p < 0).any() or not abs(p.sum() - 1) < 1e-5:
        raise ValueError(f"law must be probabilities that sum to 1, got shape {p.shape} and sum {p.sum():g}")
    n = len(states)
    if n < 1 or states.min() < 0 or states.max() >= len(p):
        raise ValueError(f"codes must be at least one index below {len(p)}, got {n} of them")
    p = p / p.sum()
    value = exact.total_variation(np.bincount(states, minlength=len(p)) / n, p)
    nu = np.floor(n * p) + 1
    floor = np.sum(nu * (1 - p) * binom.pmf(nu, n, p)) / n
    return TotalVariation(value, float(floor), float(floor + np.sqrt(np.log(1e6) / (2 * n))))
