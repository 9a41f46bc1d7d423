"""Unadjusted Langevin sampling: x ← x − ε ∇E(x) + √(2 ε T) z, with z standard normal (Roberts & Tweedie 1996).

There is no acceptance, so the law it keeps is not exp(−E/T) but differs from it by O(ε). On E = k x²/2 the law is
normal with mean 0 and variance T / (k (1 − ε k / 2)): each step multiplies x by 1 − ε k and adds variance 2 ε T. It
exists for ε k < 2 only. `mala` has the same proposal and no bias.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from aimc.noise import normal
from ebm.samplers.metropolis import Energy

Number = float | Float[Array, ""]


class State(NamedTuple):
    """Where every chain is. This is all there is to save and resume."""

    position: Float[Array, "*batch_and_state"]


def init(position: Float[Array, "*batch_and_state"]) -> State:
    """Chains that start at `position`, of floating point numbers."""
    return State(position)


def step(
    key: Key[Array, ""],
    energy: Energy,
    params: Any,
    state: State,
    *,
    step_size: Number,
    temperature: Number = 1.0,
) -> State:
    """One step of every chain: one gradient, one normal number a coordinate; `key` is consumed.

    `step_size` is ε. Image models are often sampled with a step and a noise σ chosen apart (Du & Mordatch 2019): that
    is `temperature` σ² / (2 ε), far below 1, and says so. The energy's value is never computed, only its gradient.
    """
    gradient = jax.grad(lambda x: jnp.sum(energy(params, x)))(state.position)
    noise = normal(key, state.position.shape)
    return State(state.position - step_size * gradient + jnp.sqrt(2.0 * step_size * temperature) * noise)


def sweeps(
    key: Key[Array, ""],
    energy: Energy,
    params: Any,
    state: State,
    n_steps: int,
    *,
    step_size: Number,
    temperature: Number = 1.0,
) -> State:
    """`n_steps` steps as one scan."""

    def body(carried: State, step_key: Key[Array, ""]) -> tuple[State, None]:
        return step(step_key, energy, params, carried, step_size=step_size, temperature=temperature), None

    return jax.lax.scan(body, state, jax.random.split(key, n_steps))[0]
