"""The RBM with real visible units: E(v, h) = sum_i (v_i - a_i)^2 / 2 sigma_i^2 - sum_ij v_i W_ij h_j / sigma_i^2 - c h.

The parametrisation of Cho, Ilin & Raiko (2011, "Improved learning of Gaussian-Bernoulli restricted Boltzmann
machines"): given the hidden units in {0, 1}, v_i is normal with mean a_i + (W h)_i and standard deviation sigma_i, so W
is in the units of the data. Krizhevsky (2009) couples through v_i W_ij h_j / sigma_i instead: his weights are ours
divided by sigma_i. With unit sigma both are the same.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebm.energies import units
from ebm.energies.rbm import EXACT


class GaussianRbm(NamedTuple):
    """Parameters; the logarithm of sigma is kept, so that no step of an optimiser can make sigma negative."""

    weights: Float[Array, "n_visible n_hidden"]
    visible_bias: Float[Array, " n_visible"]
    hidden_bias: Float[Array, " n_hidden"]
    log_sigma: Float[Array, " n_visible"]

    @property
    def n_visible(self) -> int:
        """Units of the visible layer."""
        return self.weights.shape[0]

    @property
    def n_hidden(self) -> int:
        """Units of the hidden layer."""
        return self.weights.shape[1]

    def energy(
        self, visible: Float[Array, "*batch n_visible"], hidden: Float[Array, "*batch n_hidden"]
    ) -> Float[Array, "*batch"]:
        """E(v, h) of joint states."""
        hidden_part = jnp.sum(self.hidden_logits(visible) * hidden, axis=-1)
        return self._confinement(visible) - hidden_part

    def free_energy(self, visible: Float[Array, "*batch n_visible"]) -> Float[Array, "*batch"]:
        """F(v) = -log sum_h exp(-E(v, h)): the density of v is exp(-F(v)) / Z."""
        return self._confinement(visible) - jnp.sum(jax.nn.softplus(self.hidden_logits(visible)), axis=-1)

    def hidden_logits(self, visible: Float[Array, "*batch n_visible"]) -> Float[Array, "*batch n_hidden"]:
        """log p(h_j = 1 | v) - log p(h_j = 0 | v) = (v / sigma^2) W + c."""
        return jnp.matmul(visible * jnp.exp(-2 * self.log_sigma), self.weights, precision=EXACT) + self.hidden_bias

    def visible_field(self, hidden: Float[Array, "*batch n_hidden"]) -> Float[Array, "*batch n_visible"]:
        """Mean of the visible units given the hidden ones, W h + a."""
        return jnp.matmul(hidden, self.weights.T, precision=EXACT) + self.visible_bias

    def draw_hidden(
        self, key: Key[Array, ""], visible: Float[Array, "*batch n_visible"]
    ) -> Float[Array, "*batch n_hidden"]:
        """All hidden units from their exact law given the visible ones; one uniform number a unit."""
        return units.bernoulli(key, self.hidden_logits(visible))

    def draw_visible(
        self, key: Key[Array, ""], hidden: Float[Array, "*batch n_hidden"]
    ) -> Float[Array, "*batch n_visible"]:
        """All visible units from their exact law given the hidden ones; one normal number a unit."""
        return units.gaussian(key, self.visible_field(hidden), jnp.exp(self.log_sigma))

    def tempered(self, beta: float | Float[Array, ""]) -> "GaussianRbm":
        """The machine whose law is exp(-beta E) / Z(beta): sigma^2 / beta, the same means, beta c."""
        return self._replace(hidden_bias=beta * self.hidden_bias, log_sigma=self.log_sigma - 0.5 * jnp.log(beta))

    def independent(self, data_mean: Float[Array, " n_visible"] | None = None) -> "GaussianRbm":
        """Normal visible units of the same sigma and no couplings, centred on the bias or on the mean of data."""
        return GaussianRbm(
            weights=jnp.zeros_like(self.weights),
            visible_bias=self.visible_bias if data_mean is None else data_mean,
            hidden_bias=jnp.zeros_like(self.hidden_bias),
            log_sigma=self.log_sigma,
        )

    def _confinement(self, visible: Float[Array, "*batch n_visible"]) -> Float[Array, "*batch"]:
        return 0.5 * jnp.sum(((visible - self.visible_bias) * jnp.exp(-self.log_sigma)) ** 2, axis=-1)


def init(
    key: Key[Array, ""],
    n_visible: int,
    n_hidden: int,
    data_mean: Float[Array, " n_visible"] | None = None,
    data_std: Float[Array, " n_visible"] | None = None,
) -> GaussianRbm:
    """Normal weights of standard deviation 0.01 sigma_i; a is the data's mean (default 0), sigma its deviation (1).

    Raises ValueError when a layer is empty or a deviation is not positive: leave out inputs that never change.
    """
    for name, size in (("n_visible", n_visible), ("n_hidden", n_hidden)):
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
    mean = jnp.zeros(n_visible) if data_mean is None else data_mean
    sigma = jnp.ones(n_visible) if data_std is None else data_std
    if not bool(jnp.all(sigma > 0)):
        raise ValueError(f"data_std must be positive, got {float(jnp.min(sigma))}; leave out inputs that never change")
    return GaussianRbm(
        weights=0.01 * sigma[:, None] * jax.random.normal(key, (n_visible, n_hidden)),
        visible_bias=mean,
        hidden_bias=jnp.zeros(n_hidden),
        log_sigma=jnp.log(sigma),
    )
