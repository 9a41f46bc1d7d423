"""How finely the weights of a trained RBM have to be written, predicted from samples alone.

For small errors δ of the weights the divergence of the model from the one that was meant is, to second order, half the
quadratic form of the Fisher information, which for an exponential family is the covariance of its sufficient statistics
v_i h_j (Amari 1985). Errors that are independent of each other and have mean zero leave its diagonal:

    KL = ½ Σ_ij E[δ_ij²] Var(v_i h_j)

A weight rounded to steps Δ errs by Δ²/12, so that KL = Δ²/24 Σ Var(v_i h_j).
"""

from math import ceil, log2, sqrt
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class Sensitivity(NamedTuple):
    """Of one layer of weights: Σ Var(v_i h_j) in the model, and the largest |W|, which sets the steps."""

    variance: float
    largest: float

    def divergence(self, std: float) -> float:
        """KL in nats for independent errors of standard deviation `std` of every weight, in its own units."""
        return 0.5 * std**2 * self.variance

    def divergence_of_bits(self, bits: int) -> float:
        """KL in nats for weights rounded to `bits` bits, sign included: steps of max |W| / (2^(bits − 1) − 1).

        Raises ValueError for fewer than 2 bits, with which no weight can be told from zero.
        """
        if bits < 2:
            raise ValueError(f"bits must be at least 2, a sign and one more, got {bits}")
        return self.divergence(self.largest / (2 ** (bits - 1) - 1) / sqrt(12.0))

    def bits(self, budget: float) -> int:
        """The fewest bits whose predicted KL is within `budget` nats. Raises ValueError unless `budget` is positive."""
        if not budget > 0:
            raise ValueError(f"budget must be a positive number of nats, got {budget}")
        steps = self.largest * sqrt(self.variance / (24.0 * budget))
        return max(2, ceil(log2(steps + 1.0) + 1.0 - 1e-12))


def sensitivity(
    weights: Float[Array, "n_visible n_hidden"],
    visible: Float[Array, "n n_visible"],
    hidden: Float[Array, "n n_hidden"],
) -> Sensitivity:
    """The report of one layer, from joint samples of the model.

    The variances are estimates from `n` samples, each off by about √(2/n) of itself if they are independent. The
    prediction is second order: it holds while it is well below a nat. Raises ValueError for fewer than 2 samples.
    """
    n = visible.shape[0]
    if n < 2:
        raise ValueError(f"a variance needs at least 2 samples, got {n}")
    mean = jnp.einsum("ni,nj->ij", visible, hidden, precision="highest") / n
    square = jnp.einsum("ni,nj->ij", visible**2, hidden**2, precision="highest") / n
    variance = jnp.sum(square - mean**2) * (n / (n - 1))
    return Sensitivity(float(variance), float(jnp.max(jnp.abs(weights))))
