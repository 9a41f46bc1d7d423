"""Could two sets of samples come from one law: kernel distance and nearest neighbours, each against relabelled sets.

The floor of both comes from permuting who belongs to which set, which keeps everything but the question; it is
exact for independent rows, and too low for rows of one slowly mixing chain.
"""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Key, Shaped

Rows = Shaped[Array, "_rows _columns"] | Shaped[np.ndarray, "_rows _columns"]


class Mmd(NamedTuple):
    """Squared maximum mean discrepancy; 0 on average for equal laws, and below 0 by chance.

    `floor` is the value that equal laws stay under in 95 of 100 cases, `p_value` how often relabelling reaches the
    value.
    """

    value: float
    floor: float
    p_value: float


class AdversarialAccuracy(NamedTuple):
    """How often the nearest neighbour tells the set apart: about 1/2 for one law, 1 for two, 0 for copies.

    `expected` and `error` are mean and standard deviation under relabelling: chance lies within expected ± 2 error.
    Near 0 the samples are copies of the data. `of_data` and `of_samples` are its two halves: how often a data row is
    nearer to data, and a sample row to samples.
    """

    value: float
    expected: float
    error: float
    of_data: float
    of_samples: float


def mmd(key: Key[Array, ""], data: Rows, samples: Rows, n_permutations: int = 200, *, is_real: bool = False) -> Mmd:
    """Squared MMD with kernel exp(−share of columns that differ), for units of two values, or of real ones.

    The unbiased estimator and the permutation test of Gretton et al. (2012, lemma 6 and section 5), with the kernel of
    Grathwohl et al. (2021). One-hot rows are compared column by column. `is_real`: columns are divided by their
    standard deviation in both sets together, and the kernel is exp(−d²/2m²), d being the distance of two rows and m its
    median (Gretton et al., section 8). Raises ValueError when rows hold more than two values and `is_real` is not said,
    differ in width, or a set has fewer than two rows.
    """
    x, y = _rows(data, samples)
    pool = np.concatenate([x, y])
    kernel = _gaussian_kernel(pool) if is_real else _hamming_kernel(pool)
    np.fill_diagonal(kernel, 0.0)
    is_data = _labels(key, len(x), len(y), n_permutations)
    squared = _mmd_squared(kernel, is_data)
    null = squared[1:]
    reached = (1 + np.sum(null >= squared[0])) / (1 + n_permutations)
    return Mmd(float(squared[0]), float(np.quantile(null, 0.95)), float(reached))


def adversarial_accuracy(
    key: Key[Array, ""], data: Rows, samples: Rows, n_permutations: int = 100
) -> AdversarialAccuracy:
    """AATS, mean of P(a data row is nearer to data than to samples) and the same for sample rows (Yale et al. 2020).

    A row is not its own neighbour; a draw counts one half, which matters for discrete data. The two sets should be of
    equal size: the larger is denser, and its rows nearer to everything; relabelling keeps the sizes, so `expected`
    allows for it. Raises ValueError when widths differ or a set has fewer than two rows.
    """
    x, y = _rows(data, samples)
    distance = _squared_distances(np.concatenate([x, y]))
    np.fill_diagonal(distance, np.inf)
    parts = np.array([_told_apart(distance, row) for row in _labels(key, len(x), len(y), n_permutations)])
    value = parts.mean(axis=1)
    null = value[1:]
    return AdversarialAccuracy(
        float(value[0]), float(null.mean()), float(null.std(ddof=1)), float(parts[0, 0]), float(parts[0, 1])
    )


def _hamming_kernel(pool: Float[np.ndarray, "k d"]) -> Float[np.ndarray, "k k"]:
    values = np.unique(pool)
    if len(values) > 2:
        raise ValueError(f"data and samples must be of two values, such as 0 and 1, got {len(values)} different ones")
    spread = np.ptp(values) or 1.0
    return np.exp(-_squared_distances(pool) / spread**2 / pool.shape[1])


def _gaussian_kernel(pool: Float[np.ndarray, "k d"]) -> Float[np.ndarray, "k k"]:
    std = pool.std(axis=0)
    squared = _squared_distances((pool - pool.mean(axis=0)) / np.where(std > 0, std, 1.0))
    return np.exp(-squared / (2 * np.median(squared[np.triu_indices(len(pool), 1)]) or 1.0))


def _rows(data: Rows, samples: Rows) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "m d"]]:
    x, y = np.asarray(data, np.float64), np.asarray(samples, np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise ValueError(
            f"data and samples must be at least 2 rows each, of one width, got shapes {x.shape} and {y.shape}"
        )
    return x, y


def _squared_distances(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n n"]:
    """In float64 exact for whole numbers, so equal distances are equal."""
    norms = np.sum(x**2, axis=1)
    return np.maximum(norms[:, None] + norms - 2 * x @ x.T, 0.0)


def _labels(key: Key[Array, ""], n: int, m: int, n_permutations: int) -> Bool[np.ndarray, "n_rows n_pool"]:
    """Who is data: the truth in the first row, then permutations of it."""
    random = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    truth = np.arange(n + m) < n
    return np.concatenate([truth[None], random.permuted(np.tile(truth, (n_permutations, 1)), axis=1)])


def _mmd_squared(
    kernel: Float[np.ndarray, "k k"], is_data: Bool[np.ndarray, "n_rows k"]
) -> Float[np.ndarray, " n_rows"]:
    a, b = is_data.astype(np.float64), (~is_data).astype(np.float64)
    n, m = a[0].sum(), b[0].sum()
    ak = a @ kernel
    within_a, between = np.sum(ak * a, axis=1), np.sum(ak * b, axis=1)
    within_b = kernel.sum() - within_a - 2 * between
    return within_a / (n * (n - 1)) + within_b / (m * (m - 1)) - 2 * between / (n * m)


def _told_apart(distance: Float[np.ndarray, "k k"], is_data: Bool[np.ndarray, " k"]) -> tuple[float, float]:
    to_data, to_samples = distance[:, is_data].min(axis=1), distance[:, ~is_data].min(axis=1)
    is_nearer_own = np.sign(np.where(is_data, to_samples - to_data, to_data - to_samples)) / 2 + 0.5
    return float(is_nearer_own[is_data].mean()), float(is_nearer_own[~is_data].mean())
