"""Noise-contrastive estimation: learn a density, its constant included, by telling data from noise of a known law."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebm import losses


class Normalised(NamedTuple):
    """Parameters to train by NCE: those of the energy, and log Z as a parameter like them."""

    params: Any
    log_z: Float[Array, ""]


class Normal(NamedTuple):
    """A normal law: mean, and the lower Cholesky factor of its covariance."""

    mean: Float[Array, " d"]
    factor: Float[Array, "d d"]

    def sample(self, key: Key[Array, ""], n: int) -> Float[Array, "n d"]:
        """n independent rows."""
        draws = jax.random.normal(key, (n, len(self.mean)))
        return self.mean + jnp.matmul(draws, self.factor.T, precision=jax.lax.Precision.HIGHEST)

    def log_density(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        """In nats."""
        whitened = jax.scipy.linalg.solve_triangular(self.factor, (x - self.mean).T, lower=True)
        log_volume = jnp.sum(jnp.log(jnp.diag(self.factor))) + 0.5 * len(self.mean) * jnp.log(2 * jnp.pi)
        return -0.5 * jnp.sum(whitened**2, axis=0) - log_volume


class Bernoulli(NamedTuple):
    """Independent units in {0, 1} with given means."""

    mean: Float[Array, " d"]

    def sample(self, key: Key[Array, ""], n: int) -> Float[Array, "n d"]:
        """n independent rows."""
        return jax.random.bernoulli(key, self.mean, (n, len(self.mean))).astype(self.mean.dtype)

    def log_density(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        """In nats."""
        return jnp.sum(x * jnp.log(self.mean) + (1 - x) * jnp.log1p(-self.mean), axis=-1)


@dataclass(frozen=True, kw_only=True)
class NoiseContrastive:
    """NCE (Gutmann & Hyvaerinen 2010) of `energy(params, x)`, trained as `Normalised(params, log_z)`.

    The noise is fitted to the data once, as the paper advises: `normal` for real x (their mean and covariance, widened
    by 1e-6 of the mean variance so that flat directions stay finite), `bernoulli` for units in {0, 1} (their means,
    kept within [0.01, 0.99]). `ratio` noise rows are drawn for every row of data.
    Raises ValueError for another noise or a ratio below 1.
    """

    energy: Callable[[Any, Array], Array]
    noise: str = "normal"
    ratio: int = 1

    def __post_init__(self) -> None:
        if self.noise not in ("normal", "bernoulli"):
            raise ValueError(f"noise must be 'normal' or 'bernoulli', got {self.noise!r}")
        if self.ratio < 1:
            raise ValueError(f"ratio must be at least 1 noise row for every row of data, got {self.ratio}")

    def init(self, key: Key[Array, ""], params: Normalised, data: Array) -> Normal | Bernoulli:
        """The noise fitted to the data."""
        rows = jnp.asarray(data, jnp.float32)
        mean = jnp.mean(rows, axis=0)
        if self.noise == "bernoulli":
            return Bernoulli(jnp.clip(mean, 0.01, 0.99))
        covariance = jnp.atleast_2d(jnp.cov(rows, rowvar=False))
        floor = 1e-6 * jnp.trace(covariance) / len(covariance)
        return Normal(mean, jnp.linalg.cholesky(covariance + floor * jnp.eye(len(covariance))))

    def step(
        self, key: Key[Array, ""], params: Normalised, memory: Normal | Bernoulli, rows: Float[Array, "batch d"]
    ) -> tuple[Normalised, Normal | Bernoulli, Float[Array, ""]]:
        """The gradient of `losses.noise_contrastive`; the gap is the loss."""
        noise = memory.sample(key, self.ratio * len(rows))

        def loss(p: Normalised) -> Float[Array, ""]:
            def log_ratio(x: Array) -> Array:
                return -self.energy(p.params, x) - p.log_z - memory.log_density(x)

            return losses.noise_contrastive(log_ratio(rows), log_ratio(noise))

        value, gradient = jax.value_and_grad(loss)(params)
        return gradient, memory, value
