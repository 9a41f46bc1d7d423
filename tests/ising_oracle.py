"""Exact answers for tests of Ising samplers, in float64 and without our code."""

import numpy as np


def log_partition(size: int, K: float) -> float:
    """ln Z of the ferromagnet on a size x size torus (Kaufman 1949, eq. 66), J / T = K."""
    n = size
    k = np.arange(2 * n)
    gamma = np.arccosh(np.maximum(np.cosh(2 * K) / np.tanh(2 * K) - np.cos(np.pi * k / n), 1.0))
    gamma[0] = 2 * K + np.log(np.tanh(K))  # changes sign at the critical point
    y = np.abs(n * gamma / 2)

    def log_product(parity: int, sign: int) -> float:
        """log of the product of exp(y) + sign exp(-y) over one parity."""
        chosen = y[parity::2]
        return float(np.sum(chosen + np.log1p(sign * np.exp(-2 * chosen))))

    terms = [
        (log_product(1, 1), 1.0),
        (log_product(1, -1), 1.0),
        (log_product(0, 1), 1.0),
        (log_product(0, -1), float(np.sign(gamma[0]))),
    ]
    top = max(value for value, _ in terms)
    total = sum(sign * np.exp(value - top) for value, sign in terms)
    return float(n * n / 2 * np.log(2 * np.sinh(2 * K)) - np.log(2) + top + np.log(total))


def energy_per_site(size: int, K: float) -> float:
    """-d ln Z / dK / N, by a fourth-order difference."""
    h = 1e-3
    values = [log_partition(size, K + step * h) for step in (-2, -1, 1, 2)]
    slope = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)
    return -slope / size**2


def chi_square_z(counts: np.ndarray, expected: np.ndarray) -> float:
    """Pearson's chi-square as a standard normal number (Wilson & Hilferty 1931); cells below 5 expected are pooled."""
    order = np.argsort(expected)
    counts, expected = np.asarray(counts, float)[order], np.asarray(expected, float)[order]
    n_pooled = max(1, int((expected < 5).sum()))
    counts = np.concatenate([[counts[:n_pooled].sum()], counts[n_pooled:]])
    expected = np.concatenate([[expected[:n_pooled].sum()], expected[n_pooled:]])
    freedom = len(counts) - 1
    x2 = float(((counts - expected) ** 2 / expected).sum())
    return float(((x2 / freedom) ** (1 / 3) - (1 - 2 / (9 * freedom))) / np.sqrt(2 / (9 * freedom)))
