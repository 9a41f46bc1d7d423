"""Block Gibbs sampling of a layered machine: all hidden units given the visible ones, then the visible ones given them.

The machine draws its own layers. Parameters of an RBM (Bernoulli, Gaussian or Potts) draw them exactly from their
conditional law, so one step leaves the model's law unchanged whatever the parameters (Geman & Geman 1984); a simulated
chip draws them with its errors, and settles on a law of its own. Chains are rows of one array: a sweep is two matrix
products.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key


@runtime_checkable
class Machine(Protocol):
    """Any pytree that draws one layer given the other: the parameters of a layered model, or a simulated chip."""

    @property
    def n_visible(self) -> int: ...

    @property
    def n_hidden(self) -> int: ...

    def draw_hidden(self, key: Key[Array, ""], visible: Array, /) -> Array: ...

    def draw_visible(self, key: Key[Array, ""], hidden: Array, /) -> Array: ...


class Chains(NamedTuple):
    """Where every chain is, one chain a row. This is all there is to save and resume."""

    visible: Float[Array, "n_chains n_visible"]
    hidden: Float[Array, "n_chains n_hidden"]


def init(key: Key[Array, ""], machine: Machine, n_chains: int) -> Chains:
    """Chains whose visible units are drawn with every hidden unit off, hidden units drawn given them.

    In an ideal machine the visible units then follow their biases alone.
    Raises ValueError when there is no chain to start.
    """
    if n_chains < 1:
        raise ValueError(f"n_chains must be at least 1, got {n_chains}")
    visible_key, hidden_key = jax.random.split(key)
    return at(hidden_key, machine, machine.draw_visible(visible_key, jnp.zeros((n_chains, machine.n_hidden))))


def at(key: Key[Array, ""], machine: Machine, visible: Float[Array, "n_chains n_visible"]) -> Chains:
    """Chains that start at the given rows, as contrastive divergence starts them at data."""
    return Chains(visible, machine.draw_hidden(key, visible))


def step(key: Key[Array, ""], machine: Machine, state: Chains) -> Chains:
    """One sweep: draw all hidden units given the visible ones, then all visible units given the hidden ones.

    `key` is consumed; one random number a unit of an ideal machine.
    """
    hidden_key, visible_key = jax.random.split(key)
    hidden = machine.draw_hidden(hidden_key, state.visible)
    return Chains(machine.draw_visible(visible_key, hidden), hidden)


def sweeps(key: Key[Array, ""], machine: Machine, state: Chains, n_sweeps: int) -> Chains:
    """`n_sweeps` steps, as one scan."""

    def body(chains: Chains, step_key: Key[Array, ""]) -> tuple[Chains, None]:
        return step(step_key, machine, chains), None

    return jax.lax.scan(body, state, jax.random.split(key, n_sweeps))[0]
