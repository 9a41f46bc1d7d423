"""The path to a layered model: hidden units summed out, a sweep of block Gibbs sampling as the move."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebm import likelihood
from ebm.ais.path import Completed, Path
from ebm.energies import units
from ebm.energies.gaussian import GaussianRbm
from ebm.likelihood import Layered


class _State(NamedTuple):
    visible: Float[Array, "n_chains n_visible"]
    logits: Float[Array, "n_chains n_hidden"]  # of the hidden units in the model


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class LayeredPath:
    """Positions are visible states. Made by `layered`."""

    base: Any
    params: Any

    def log_z_base(self) -> float:
        return likelihood.log_partition_independent(self.base)

    def draw(self, key: Key[Array, ""], n: int) -> _State:
        return self.state(self.base.draw_visible(key, jnp.zeros((n, self.params.n_hidden))))

    def state(self, position: Array) -> _State:
        return _State(position, self.params.hidden_logits(position))

    def position(self, state: _State) -> Array:
        return state.visible

    def increment(self, state: _State, end: Array, step: Array) -> Array:
        change = step * state.logits
        before = (end - step) * state.logits
        small = jnp.log1p(jax.nn.sigmoid(before) * jnp.expm1(jnp.clip(change, -1.0, 1.0)))
        large = jax.nn.softplus(end * state.logits) - jax.nn.softplus(before)
        tilt = _bare(self.base).free_energy(state.visible) - _bare(self.params).free_energy(state.visible)
        return jnp.sum(jnp.where(jnp.abs(change) < 1.0, small, large), axis=-1) + step * tilt

    def move(self, key: Key[Array, ""], state: _State, beta: Array) -> _State:
        hidden_key, visible_key = jax.random.split(key)
        hidden = units.bernoulli(hidden_key, beta * state.logits)
        # Of energy (1 - beta) E_base + beta E, up to a constant: with one sigma, all else is linear.
        between = jax.tree.map(lambda a, b: (1.0 - beta) * a + beta * b, self.base, self.params)
        return self.state(between.draw_visible(visible_key, hidden))

    def complete(self, key: Key[Array, ""], rows: np.ndarray, betas: np.ndarray) -> Completed:
        """Nothing to draw, and the free energy has a closed form."""
        log_f = likelihood.log_likelihood(self.params, rows, log_z=0.0)
        return Completed(rows, log_f, log_f, log_f)


def layered(params: Layered, base: Layered | None = None) -> LayeredPath:
    """From independent visible units to an RBM with Bernoulli, Gaussian or Potts visibles.

    `base` is `params.independent(data_mean)` where the mean of the data is known, which starts nearer to a trained
    model than its own visible bias does, the default. Raises ValueError for a base with couplings, of another kind or
    size, or of another sigma.
    """
    if base is None:
        return LayeredPath(params.independent(), params)
    if type(base) is not type(params) or jax.tree.map(jnp.shape, base) != jax.tree.map(jnp.shape, params):
        raise ValueError("base must be a model of the same kind and size; use params.independent(data_mean)")
    if np.any(np.asarray(base.weights)) or np.any(np.asarray(base.hidden_bias)):
        raise ValueError("base must have no weights and no hidden bias; use params.independent(data_mean)")
    if (
        isinstance(base, GaussianRbm)
        and isinstance(params, GaussianRbm)
        and not np.array_equal(base.log_sigma, params.log_sigma)
    ):
        raise ValueError("base must have the sigma of the model; use params.independent(data_mean)")
    return LayeredPath(base, params)


def path_of(model: Path | Layered) -> Path:
    """A path itself, and of a layered model the one from its own visible bias."""
    return layered(model) if isinstance(model, Layered) else model


def _bare(params: Layered) -> Layered:
    """The machine without its hidden units."""
    return params._replace(weights=params.weights[..., :0], hidden_bias=params.hidden_bias[:0])
