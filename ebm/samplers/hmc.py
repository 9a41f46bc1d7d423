"""Hamiltonian Monte Carlo: a leapfrog path of the energy with fresh momenta, accepted or not (Duane et al. 1987).

The path has a fixed number of steps, the mass is 1. On a path whose length matches a period of the motion a chain comes
back to where it was; `jitter` draws the step size of each chain anew and makes that harmless (Neal 2011).
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from aimc.noise import normal, uniform
from ebm.samplers.metropolis import Energy, Info, State, choose, init, inner, per_chain

__all__ = ["Info", "State", "init", "step"]


def step(
    key: Key[Array, ""],
    energy: Energy,
    params: Any,
    state: State,
    *,
    step_size: float | Float[Array, "*#batch"],
    n_leapfrog: int,
    jitter: float = 0.0,
) -> tuple[State, Info]:
    """One path of `n_leapfrog` steps of every chain, accepted with min(1, exp(H − H')).

    `step_size` is in units of the state, one for all chains or one each; with `jitter` j each chain multiplies it by
    a number uniform on [1 − j, 1 + j). With one leapfrog step of size √(2ε) this is `mala` with step size ε.
    `key` is consumed; n_leapfrog gradients a call. Raises ValueError for a path without steps or a jitter
    outside [0, 1).
    """
    if n_leapfrog < 1:
        raise ValueError(f"n_leapfrog must be at least 1, got {n_leapfrog}")
    if not 0.0 <= jitter < 1.0:
        raise ValueError(f"jitter must be at least 0 and below 1, got {jitter}")
    momentum_key, size_key, choice_key = jax.random.split(key, 3)
    n_axes = state.energy.ndim
    momentum = normal(momentum_key, state.position.shape)
    size = jnp.broadcast_to(jnp.asarray(step_size), state.energy.shape)
    if jitter:
        size = size * (1.0 + jitter * (2.0 * uniform(size_key, size.shape) - 1.0))
    size = per_chain(size, state.position)

    def leapfrog(_: Array, at: tuple[State, Array]) -> tuple[State, Array]:
        here, p = at
        half = p - size / 2.0 * here.gradient
        there = init(energy, params, here.position + size * half)
        return there, half - size / 2.0 * there.gradient

    proposed, end = jax.lax.fori_loop(0, n_leapfrog, leapfrog, (state, momentum))
    log_ratio = state.energy - proposed.energy + inner(momentum - end, momentum + end, n_axes) / 2.0
    return choose(choice_key, log_ratio, proposed, state)
