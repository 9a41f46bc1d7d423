"""MALA, Metropolis-adjusted Langevin: the step of `langevin` as a proposal, accepted or not (Roberts & Tweedie 1996).

It keeps exp(−E) whatever the step size; too large a step is seen in the acceptance, of which 0.57 is the best for many
dimensions (Roberts & Rosenthal 1998).
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from aimc.noise import normal
from ebm.samplers.metropolis import Energy, Info, State, choose, init, inner, per_chain

__all__ = ["Info", "State", "init", "step"]


def step(
    key: Key[Array, ""],
    energy: Energy,
    params: Any,
    state: State,
    *,
    step_size: float | Float[Array, "*#batch"],
) -> tuple[State, Info]:
    """One proposal x − ε ∇E(x) + √(2ε) z of every chain, accepted with the Metropolis–Hastings ratio.

    `step_size` is ε, one for all chains or one each. `key` is consumed; the energy and its gradient are evaluated
    once, at the proposal.
    """
    noise_key, choice_key = jax.random.split(key)
    noise = normal(noise_key, state.position.shape)
    size = per_chain(jnp.broadcast_to(jnp.asarray(step_size), state.energy.shape), state.position)
    proposed = init(energy, params, state.position - size * state.gradient + jnp.sqrt(2.0 * size) * noise)
    # log q(x'→x) − log q(x→x') = z·b − b·b/2 with b = √(ε/2) (∇E(x) + ∇E(x')): no difference of large squares.
    drift = jnp.sqrt(size / 2.0) * (state.gradient + proposed.gradient)
    log_proposals = inner(noise - drift / 2.0, drift, state.energy.ndim)
    return choose(choice_key, state.energy - proposed.energy + log_proposals, proposed, state)
