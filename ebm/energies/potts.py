"""The RBM on symbols: each visible site is in one of n_states, E(v, h) = -sum v_sk W_skj h_j - sum v_sk a_sk - c h.

Visible states are one-hot, a row of n_sites * n_states values of which one in every n_states is 1; hidden units are in
{0, 1}. Adding the same number to all states of a site changes no probability, so the parameters have a gauge:
`zero_sum` fixes it (Tubiana, Cocco & Monasson 2019, eLife 8:e39397, use the same one).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from ebm.energies import units
from ebm.energies.rbm import EXACT


class PottsRbm(NamedTuple):
    """Parameters, in units of temperature."""

    weights: Float[Array, "n_sites n_states n_hidden"]
    visible_bias: Float[Array, "n_sites n_states"]
    hidden_bias: Float[Array, " n_hidden"]

    @property
    def n_sites(self) -> int:
        """Symbols of a visible state."""
        return self.weights.shape[0]

    @property
    def n_states(self) -> int:
        """Size of the alphabet."""
        return self.weights.shape[1]

    @property
    def n_visible(self) -> int:
        """Values of a visible row, n_sites * n_states."""
        return self.weights.shape[0] * self.weights.shape[1]

    @property
    def n_hidden(self) -> int:
        """Units of the hidden layer."""
        return self.weights.shape[2]

    def energy(
        self, visible: Float[Array, "*batch n_visible"], hidden: Float[Array, "*batch n_hidden"]
    ) -> Float[Array, "*batch"]:
        """E(v, h) of joint states."""
        hidden_part = jnp.sum(self.hidden_logits(visible) * hidden, axis=-1)
        return -hidden_part - jnp.matmul(visible, self.visible_bias.reshape(-1), precision=EXACT)

    def free_energy(self, visible: Float[Array, "*batch n_visible"]) -> Float[Array, "*batch"]:
        """F(v) = -log sum_h exp(-E(v, h))."""
        hidden_part = jnp.sum(jax.nn.softplus(self.hidden_logits(visible)), axis=-1)
        return -hidden_part - jnp.matmul(visible, self.visible_bias.reshape(-1), precision=EXACT)

    def hidden_logits(self, visible: Float[Array, "*batch n_visible"]) -> Float[Array, "*batch n_hidden"]:
        """log p(h_j = 1 | v) - log p(h_j = 0 | v)."""
        couplings = self.weights.reshape(self.n_visible, self.n_hidden)
        return jnp.matmul(visible, couplings, precision=EXACT) + self.hidden_bias

    def visible_field(self, hidden: Float[Array, "*batch n_hidden"]) -> Float[Array, "*batch n_visible"]:
        """log p(site s is in state k | h), up to a constant a site."""
        couplings = self.weights.reshape(self.n_visible, self.n_hidden)
        return jnp.matmul(hidden, couplings.T, precision=EXACT) + self.visible_bias.reshape(-1)

    def draw_hidden(
        self, key: Key[Array, ""], visible: Float[Array, "*batch n_visible"]
    ) -> Float[Array, "*batch n_hidden"]:
        """All hidden units from their exact law given the visible ones; one uniform number a unit."""
        return units.bernoulli(key, self.hidden_logits(visible))

    def draw_visible(
        self, key: Key[Array, ""], hidden: Float[Array, "*batch n_hidden"]
    ) -> Float[Array, "*batch n_visible"]:
        """All sites from their exact law given the hidden units; one uniform number a site."""
        field = self.visible_field(hidden)
        one_hot = units.categorical(key, field.reshape(*field.shape[:-1], self.n_sites, self.n_states))
        return one_hot.reshape(field.shape)

    def tempered(self, beta: float | Float[Array, ""]) -> "PottsRbm":
        """The machine whose law is exp(-beta E) / Z(beta)."""
        return PottsRbm(*(beta * leaf for leaf in self))

    def independent(self, data_mean: Float[Array, " n_visible"] | None = None) -> "PottsRbm":
        """Independent sites without couplings, of this visible bias, or of the frequencies in data."""
        bias = self.visible_bias if data_mean is None else bias_of(data_mean.reshape(self.visible_bias.shape))
        return PottsRbm(jnp.zeros_like(self.weights), bias, jnp.zeros_like(self.hidden_bias))


def init(
    key: Key[Array, ""],
    n_sites: int,
    n_states: int,
    n_hidden: int,
    data_mean: Float[Array, " n_visible"] | None = None,
) -> PottsRbm:
    """Small random weights in the zero-sum gauge, and the bias that alone gives every site its frequencies.

    Weights have standard deviation 0.01 before the gauge is fixed; without `data_mean` the biases are zero.
    Raises ValueError when a layer is empty or the alphabet has fewer than 2 states.
    """
    for name, size, least in (("n_sites", n_sites, 1), ("n_states", n_states, 2), ("n_hidden", n_hidden, 1)):
        if size < least:
            raise ValueError(f"{name} must be at least {least}, got {size}")
    weights = 0.01 * jax.random.normal(key, (n_sites, n_states, n_hidden))
    mean = jnp.ones((n_sites, n_states)) if data_mean is None else data_mean.reshape(n_sites, n_states)
    return PottsRbm(weights - weights.mean(axis=1, keepdims=True), bias_of(mean), jnp.zeros(n_hidden))


def bias_of(frequencies: Float[Array, "n_sites n_states"]) -> Float[Array, "n_sites n_states"]:
    """Zero-sum biases whose softmax is the frequencies, of which none is taken below 0.01."""
    bias = jnp.log(jnp.maximum(frequencies, 0.01))
    return bias - bias.mean(axis=1, keepdims=True)


def zero_sum(params: PottsRbm) -> PottsRbm:
    """The same law in the gauge where weights and visible biases sum to zero over the states of every site.

    What is taken from the weights of a site acts whatever its state, so it goes to the hidden bias: leaving that out
    changes the model. What is taken from the visible bias is a constant of the energy, sum_s mean_k a_sk.
    """
    shift = params.weights.mean(axis=1)
    return PottsRbm(
        weights=params.weights - shift[:, None, :],
        visible_bias=params.visible_bias - params.visible_bias.mean(axis=1, keepdims=True),
        hidden_bias=params.hidden_bias + shift.sum(axis=0),
    )


def one_hot(symbols: Int[Array, "*batch n_sites"], n_states: int) -> Float[Array, "*batch n_visible"]:
    """Visible rows from symbols 0, 1, ..., n_states - 1; a symbol outside gives a site of zeros."""
    return jax.nn.one_hot(symbols, n_states).reshape(*symbols.shape[:-1], -1)


def symbols(visible: Float[Array, "*batch n_visible"], n_states: int) -> Int[Array, "*batch n_sites"]:
    """Symbols from visible rows, the inverse of `one_hot`."""
    return jnp.argmax(visible.reshape(*visible.shape[:-1], -1, n_states), axis=-1)
