"""Block Gibbs sampling of an RBM: all hidden units given the visible ones, then all visible given the hidden.

Both layers are drawn exactly from their conditional law, so one step leaves the model's law unchanged
whatever the parameters (Geman & Geman 1984). Chains are rows of one array: a sweep is two matrix products.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from aimc.noise import uniform
from ebm.energies import rbm


class Chains(NamedTuple):
    """Where every chain is: units in {0, 1}, one chain a row. This is all there is to save and resume."""

    visible: Float[Array, "n_chains n_visible"]
    hidden: Float[Array, "n_chains n_hidden"]


def init(key: Key[Array, ""], params: rbm.Rbm, n_chains: int) -> Chains:
    """Chains whose visible units follow their biases alone, hidden units drawn given them.

    Raises ValueError when there is no chain to start.
    """
    if n_chains < 1:
        raise ValueError(f"n_chains must be at least 1, got {n_chains}")
    visible_key, hidden_key = jax.random.split(key)
    logits = jnp.broadcast_to(params.visible_bias, (n_chains, *params.visible_bias.shape))
    return at(hidden_key, params, _bernoulli(visible_key, logits))


def at(key: Key[Array, ""], params: rbm.Rbm, visible: Float[Array, "n_chains n_visible"]) -> Chains:
    """Chains that start at the given rows, as contrastive divergence starts them at data."""
    return Chains(visible, _bernoulli(key, rbm.hidden_logits(params, visible)))


def step(key: Key[Array, ""], params: rbm.Rbm, state: Chains) -> Chains:
    """One sweep: draw all hidden units given the visible ones, then all visible units given the hidden ones.

    `key` is consumed; one uniform number a unit.
    """
    hidden_key, visible_key = jax.random.split(key)
    hidden = _bernoulli(hidden_key, rbm.hidden_logits(params, state.visible))
    return Chains(_bernoulli(visible_key, rbm.visible_logits(params, hidden)), hidden)


def sweeps(key: Key[Array, ""], params: rbm.Rbm, state: Chains, n_sweeps: int) -> Chains:
    """`n_sweeps` steps, as one scan."""

    def body(chains: Chains, step_key: Key[Array, ""]) -> tuple[Chains, None]:
        return step(step_key, params, chains), None

    return jax.lax.scan(body, state, jax.random.split(key, n_sweeps))[0]


def _bernoulli(key: Key[Array, ""], logits: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
    return (uniform(key, logits.shape) < jax.nn.sigmoid(logits)).astype(logits.dtype)
