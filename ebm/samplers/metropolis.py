"""What every Metropolis–Hastings sampler here shares: where a chain is, the choice between two states, the loop.

A chain carries the energy and the gradient of its position, so that a step evaluates the energy once, at the proposal.
They belong to the parameters that made them: after the parameters change call `init` again on `state.position`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from aimc.noise import uniform

AnyState = TypeVar("AnyState")
AnyInfo = TypeVar("AnyInfo")

# energy(params, x) of states with any leading axes; one number a state.
Energy = Callable[[Any, Float[Array, "*batch_and_state"]], Float[Array, "*batch"]]


class State(NamedTuple):
    """Chains, one for each number that the energy returns. This is all there is to save and resume."""

    position: Float[Array, "*batch_and_state"]
    energy: Float[Array, "*batch"]
    gradient: Float[Array, "*batch_and_state"]


class Info(NamedTuple):
    """What one step did, a chain each: min(1, ratio), the logarithm of the ratio, and whether it was accepted.

    Under the stationary law the mean of exp(log_ratio) is 1 (Creutz 1988), a check that needs no reference; for an
    energy steeper than a square rare large ratios carry that mean, and it converges slowly.
    """

    acceptance: Float[Array, "*batch"]
    log_ratio: Float[Array, "*batch"]
    is_accepted: Bool[Array, "*batch"]


def init(energy: Energy, params: Any, position: Float[Array, "*batch_and_state"]) -> State:
    """Chains at `position`, with the energy and the gradient there."""

    def total(x: Array) -> tuple[Array, Array]:
        each = energy(params, x)
        return jnp.sum(each), each

    (_, each), gradient = jax.value_and_grad(total, has_aux=True)(position)
    return State(position, each, gradient)


def choose(
    key: Key[Array, ""], log_ratio: Float[Array, "*batch"], proposed: State, current: State
) -> tuple[State, Info]:
    """Take the proposal with probability min(1, exp(log_ratio)), a chain each; `key` is consumed.

    A ratio that is not a number, as after an energy that overflowed, is a rejection.
    """
    # A comparison, because minimum(nan, 0) is 0 in some programs that XLA makes for CPUs, and lost paths have nan.
    acceptance = jnp.where(log_ratio > -jnp.inf, jnp.exp(jnp.minimum(log_ratio, 0.0)), 0.0)
    is_accepted = uniform(key, log_ratio.shape) < acceptance
    state = jax.tree.map(lambda new, old: jnp.where(per_chain(is_accepted, new), new, old), proposed, current)
    return state, Info(acceptance, log_ratio, is_accepted)


def per_chain(values: Array, position: Array) -> Array:
    """Values of chains, with axes of length 1 added so that they multiply positions."""
    return jnp.reshape(values, values.shape + (1,) * (position.ndim - values.ndim))


def inner(a: Array, b: Array, n_batch_axes: int) -> Array:
    """Sum of products over all axes of a state."""
    return jnp.sum(a * b, axis=tuple(range(n_batch_axes, a.ndim)))


def sweeps(
    key: Key[Array, ""],
    step: Callable[[Key[Array, ""], AnyState], tuple[AnyState, AnyInfo]],
    state: AnyState,
    n_steps: int,
) -> tuple[AnyState, AnyInfo]:
    """`n_steps` of any `step(key, state) -> (state, info)` as one scan; the infos come back stacked."""

    def body(carried: AnyState, step_key: Key[Array, ""]) -> tuple[AnyState, AnyInfo]:
        return step(step_key, carried)

    return jax.lax.scan(body, state, jax.random.split(key, n_steps))
