"""Draws of a layer of units given their field, one random number a unit."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from aimc.noise import normal, uniform


def bernoulli(key: Key[Array, ""], logits: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
    """Units in {0, 1}, each 1 with probability sigmoid(logit): a uniform number below it. Key is consumed."""
    return (uniform(key, logits.shape) < jax.nn.sigmoid(logits)).astype(logits.dtype)


def gaussian(
    key: Key[Array, ""], mean: Float[Array, "*batch n"], sigma: Float[Array, " n"]
) -> Float[Array, "*batch n"]:
    """Real units, normal about their mean with standard deviation sigma. Key is consumed."""
    return mean + sigma * normal(key, mean.shape)


def categorical(key: Key[Array, ""], logits: Float[Array, "*batch n_sites n_states"]) -> Float[Array, "..."]:
    """One-hot rows of the logits' shape, state k of a site with probability softmax(logits)_k. Key is consumed.

    One uniform number a site, compared with the cumulated probabilities. The float32 sums err by about 1e-7, the
    step of the uniform number itself; a state of smaller probability than that may never be drawn.
    """
    weights = jnp.exp(logits - jnp.max(logits, axis=-1, keepdims=True))
    cumulated = jnp.cumsum(weights, axis=-1)
    threshold = uniform(key, logits.shape[:-1])[..., None] * cumulated[..., -1:]
    state = jnp.sum(threshold >= cumulated[..., :-1], axis=-1)
    return jax.nn.one_hot(state, logits.shape[-1], dtype=logits.dtype)
