"""Are the pairwise correlations of samples those of the data: their root mean square difference and chance's share."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, Shaped

Rows = Shaped[Array, "_rows _columns"] | Shaped[np.ndarray, "_rows _columns"]


class CorrelationError(NamedTuple):
    """Root mean square difference of the pairwise covariances, over all pairs of columns.

    `floor` is what two sets of one law differ by from sampling alone; `excess` is √(value² − floor²), the part that
    is not sampling (0 where the value is below the floor).
    """

    value: float
    floor: float
    excess: float


def correlation_error(data: Rows, samples: Rows) -> CorrelationError:
    """Compare ⟨x_i x_j⟩ − ⟨x_i⟩⟨x_j⟩ of two sets of independent rows, pair by pair i < j.

    Covariances and not correlation coefficients: a pixel that is never on has no coefficient. The floor is the root
    of the mean variance of an estimated covariance, (⟨(δx_i δx_j)²⟩ − c_ij²)/n, of both sets. Raises ValueError when
    widths differ, there are fewer than two columns, or a set has fewer than four rows.
    """
    x, y = np.asarray(data, np.float64), np.asarray(samples, np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 4 or x.shape[1] < 2:
        raise ValueError(
            f"data and samples must be at least 4 rows each, of one width of at least 2, got {x.shape} and {y.shape}"
        )
    upper = np.triu_indices(x.shape[1], 1)
    (covariance, noise), (other, other_noise) = _covariances(x), _covariances(y)
    value = np.sqrt(np.mean((covariance - other)[upper] ** 2))
    floor = np.sqrt(np.mean((noise + other_noise)[upper]))
    return CorrelationError(float(value), float(floor), float(np.sqrt(max(value**2 - floor**2, 0.0))))


def _covariances(x: Float[np.ndarray, "n d"]) -> tuple[Float[np.ndarray, "d d"], Float[np.ndarray, "d d"]]:
    """Covariances and the variance of each as an estimate."""
    n = len(x)
    d = x - x.mean(axis=0)
    biased = d.T @ d / n
    return biased * n / (n - 1), ((d**2).T @ d**2 / n - biased**2) / (n - 1)
