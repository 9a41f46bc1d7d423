"""Sobol indices: which share of an output's variance each input makes, alone and with the others."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Indices(NamedTuple):
    """By output and input: first-order indices, the share of the variance an input makes alone, and total indices, with
    all its interactions; each with its interval."""

    first: Float[np.ndarray, "n_outputs n_inputs"]
    first_low: Float[np.ndarray, "n_outputs n_inputs"]
    first_high: Float[np.ndarray, "n_outputs n_inputs"]
    total: Float[np.ndarray, "n_outputs n_inputs"]
    total_low: Float[np.ndarray, "n_outputs n_inputs"]
    total_high: Float[np.ndarray, "n_outputs n_inputs"]


def check_samples(n: int) -> int:
    """The number itself. Raises ValueError where it is no power of 2, which the points' balance needs."""
    if n < 2 or n & (n - 1):
        raise ValueError(f"samples must be a power of 2, at least 2, got {n}")
    return n


def design(n: int, n_inputs: int, seed: int) -> Float[np.ndarray, "n_points n_inputs"]:
    """Points in [0, 1) at which to evaluate, n (n_inputs + 2) of them: two scrambled Sobol samples A and B of n, and
    for every input A with that input from B (Saltelli et al. 2010). Raises ValueError for an n that is no power of
    2."""
    from scipy.stats.qmc import Sobol

    both = Sobol(2 * n_inputs, scramble=True, rng=np.random.default_rng(seed)).random(check_samples(n))
    a, b = both[:, :n_inputs], both[:, n_inputs:]
    mixed = [np.where(np.arange(n_inputs) == i, b, a) for i in range(n_inputs)]
    return np.concatenate([a, b, *mixed])


def indices(
    values: Float[np.ndarray, "n_points n_outputs"],
    n_inputs: int,
    *,
    level: float = 0.95,
    n_resamples: int = 500,
    seed: int = 0,
) -> Indices:
    """Indices from the outputs at the points of `design`: first order after Saltelli et al. (2010, table 2b), total
    after Jansen (1999), by scipy; intervals from the quantiles of `n_resamples` bootstraps of the points.

    Zero for an output that does not vary.
    """
    from scipy.stats import sobol_indices

    parts = np.moveaxis(values.reshape(2 + n_inputs, -1, values.shape[-1]), -1, 1)  # (parts, outputs, n)
    n = parts.shape[-1]

    def estimate(parts: np.ndarray) -> np.ndarray:
        found = sobol_indices(func={"f_A": parts[0], "f_B": parts[1], "f_AB": parts[2:]}, n=n)
        return np.stack([found.first_order, found.total_order])

    random = np.random.default_rng(seed)
    spread = np.stack([estimate(parts[..., random.integers(0, n, n)]) for _ in range(n_resamples)])
    low, high = np.quantile(spread, [(1 - level) / 2, (1 + level) / 2], axis=0)
    first, total = estimate(parts)
    return Indices(first, low[0], high[0], total, low[1], high[1])
