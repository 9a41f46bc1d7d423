"""Simulated annealing: a kernel moved along a schedule of β, keeping the lowest state seen (Kirkpatrick et al. 1983).

The kernel is the `kernel(key, beta, x)` of `tempering`; here every chain is at the same β of the schedule. The states
are no samples of any law: for averages use tempering.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebm.samplers.metropolis import per_chain

Kernel = Callable[[Key[Array, ""], Float[Array, "*batch"], Any], Any]
Energy = Callable[[Any], Float[Array, "*batch"]]


class State(NamedTuple):
    """Where every chain is, and the lowest state it has been in. This is all there is to save and resume."""

    position: Any  # a pytree; the leading axes of each leaf are those of `best_energy`
    best: Any
    best_energy: Float[Array, "*batch"]


def init(energy: Energy, position: Any) -> State:
    """Chains at `position`, which is the best so far."""
    return State(position, position, energy(position))


def step(key: Key[Array, ""], kernel: Kernel, energy: Energy, beta: Float[Array, ""], state: State) -> State:
    """One kernel step of every chain at β; `key` is consumed."""
    position = kernel(key, jnp.broadcast_to(beta, state.best_energy.shape), state.position)
    here = energy(position)
    is_lower = here < state.best_energy
    best = jax.tree.map(lambda new, old: jnp.where(per_chain(is_lower, new), new, old), position, state.best)
    return State(position, best, jnp.where(is_lower, here, state.best_energy))


def anneal(key: Key[Array, ""], kernel: Kernel, energy: Energy, betas: Float[Array, " n_steps"], state: State) -> State:
    """One step at each β of the schedule in turn, as one scan."""

    def body(carried: State, at: tuple[Key[Array, ""], Float[Array, ""]]) -> tuple[State, None]:
        return step(at[0], kernel, energy, at[1], carried), None

    return jax.lax.scan(body, state, (jax.random.split(key, len(betas)), betas))[0]
