"""The restricted Boltzmann machine with units in {0, 1}: E(v, h) = -v W h - a v - c h (Smolensky 1986).

The law of the model is p(v, h) = exp(-E(v, h)) / Z, at temperature 1. With spins in {-1, 1} the same law has
weights W / 4 and other biases; convert at the edge, not here.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebm.energies import units

# Every product below is an exact claim, so it must not drop to TF32 or bfloat16 on an accelerator.
EXACT = jax.lax.Precision.HIGHEST


class Rbm(NamedTuple):
    """Parameters: weights W, visible bias a and hidden bias c, in units of temperature.

    The methods are what samplers, losses and likelihoods ask of any layered model; see docs/energies.md.
    """

    weights: Float[Array, "n_visible n_hidden"]
    visible_bias: Float[Array, " n_visible"]
    hidden_bias: Float[Array, " n_hidden"]

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
        """E(v, h), as `rbm.energy`."""
        return energy(self, visible, hidden)

    def free_energy(self, visible: Float[Array, "*batch n_visible"]) -> Float[Array, "*batch"]:
        """F(v), as `rbm.free_energy`."""
        return free_energy(self, visible)

    def hidden_logits(self, visible: Float[Array, "*batch n_visible"]) -> Float[Array, "*batch n_hidden"]:
        """Log odds of the hidden units, as `rbm.hidden_logits`."""
        return hidden_logits(self, visible)

    def visible_field(self, hidden: Float[Array, "*batch n_hidden"]) -> Float[Array, "*batch n_visible"]:
        """Log odds of the visible units, as `rbm.visible_logits`."""
        return visible_logits(self, hidden)

    def draw_hidden(
        self, key: Key[Array, ""], visible: Float[Array, "*batch n_visible"]
    ) -> Float[Array, "*batch n_hidden"]:
        """All hidden units from their exact law given the visible ones; one uniform number a unit."""
        return units.bernoulli(key, hidden_logits(self, visible))

    def draw_visible(
        self, key: Key[Array, ""], hidden: Float[Array, "*batch n_hidden"]
    ) -> Float[Array, "*batch n_visible"]:
        """All visible units from their exact law given the hidden ones; one uniform number a unit."""
        return units.bernoulli(key, visible_logits(self, hidden))

    def tempered(self, beta: float | Float[Array, ""]) -> "Rbm":
        """The machine whose law is exp(-beta E) / Z(beta)."""
        return Rbm(*(beta * leaf for leaf in self))

    def independent(self, data_mean: Float[Array, " n_visible"] | None = None) -> "Rbm":
        """Independent visible units without couplings, of this visible bias, or of the means in data."""
        bias = self.visible_bias if data_mean is None else bias_of(data_mean)
        return Rbm(jnp.zeros_like(self.weights), bias, jnp.zeros_like(self.hidden_bias))


def init(
    key: Key[Array, ""],
    n_visible: int,
    n_hidden: int,
    data_mean: Float[Array, " n_visible"] | None = None,
) -> Rbm:
    """Small random weights and the visible bias that alone gives every unit its mean in the data.

    Weights are normal with standard deviation 0.01 and the visible bias is that of `bias_of` (Hinton 2012,
    "A practical guide to training RBMs", section 8). Without `data_mean` the biases are zero.
    Raises ValueError when a layer is empty.
    """
    for name, size in (("n_visible", n_visible), ("n_hidden", n_hidden)):
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
    if data_mean is None:
        data_mean = jnp.full(n_visible, 0.5)
    return Rbm(
        weights=0.01 * jax.random.normal(key, (n_visible, n_hidden)),
        visible_bias=bias_of(data_mean),
        hidden_bias=jnp.zeros(n_hidden),
    )


def bias_of(mean: Float[Array, " n"]) -> Float[Array, " n"]:
    """log(m / (1 - m)), with means kept within [0.01, 0.99]: a unit that is never on would ask for minus infinity."""
    mean = jnp.clip(mean, 0.01, 0.99)
    return jnp.log(mean) - jnp.log1p(-mean)


def energy(
    params: Rbm, visible: Float[Array, "*batch n_visible"], hidden: Float[Array, "*batch n_hidden"]
) -> Float[Array, "*batch"]:
    """E(v, h) of joint states."""
    interaction = jnp.sum(jnp.matmul(visible, params.weights, precision=EXACT) * hidden, axis=-1)
    visible_field = jnp.matmul(visible, params.visible_bias, precision=EXACT)
    hidden_field = jnp.matmul(hidden, params.hidden_bias, precision=EXACT)
    return -(interaction + visible_field + hidden_field)


def hidden_logits(params: Rbm, visible: Float[Array, "*batch n_visible"]) -> Float[Array, "*batch n_hidden"]:
    """log p(h_j = 1 | v) - log p(h_j = 0 | v); the hidden units are independent given the visible ones."""
    return jnp.matmul(visible, params.weights, precision=EXACT) + params.hidden_bias


def visible_logits(params: Rbm, hidden: Float[Array, "*batch n_hidden"]) -> Float[Array, "*batch n_visible"]:
    """log p(v_i = 1 | h) - log p(v_i = 0 | h)."""
    return jnp.matmul(hidden, params.weights.T, precision=EXACT) + params.visible_bias


def free_energy(params: Rbm, visible: Float[Array, "*batch n_visible"]) -> Float[Array, "*batch"]:
    """F(v) = -log sum_h exp(-E(v, h)), so that p(v) = exp(-F(v)) / Z: the `energy(params, x)` to train."""
    hidden_part = jnp.sum(jax.nn.softplus(hidden_logits(params, visible)), axis=-1)
    return -hidden_part - jnp.matmul(visible, params.visible_bias, precision=EXACT)
