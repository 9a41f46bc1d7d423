"""Gibbs with gradients: Metropolis–Hastings on discrete states that asks the gradient which unit to change.

The energy is a function of real numbers that is used at discrete points, so its gradient says, to first order, what
every single change would cost: d. A change is proposed with probability proportional to exp(−d/2) and accepted with
the exact ratio (Grathwohl et al. 2021, "Oops I Took A Gradient"). The proposal is as good as the
first order is; the law kept is exp(−E) whatever it is worth. One evaluation with gradient a step.
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from aimc.noise import uniform
from ebm.samplers.metropolis import Energy, Info, State, choose, init

__all__ = ["Info", "Kind", "State", "init", "step"]

Kind = Literal["binary", "spins", "one-hot"]


def step(
    key: Key[Array, ""],
    energy: Energy,
    params: Any,
    state: State,
    *,
    kind: Kind = "binary",
    n_states: int = 2,
) -> tuple[State, Info]:
    """Propose one change of every chain and accept it or not; `key` is consumed, two uniform numbers a chain.

    Units lie along the last axis: in {0, 1} ("binary"), in {−1, 1} ("spins"), or, "one-hot", sites of `n_states`
    numbers each, one of them 1, laid end to end; then a change moves one site to any of its other states.
    Choices are exact to 2⁻²³ in probability, the fineness of one uniform number. Raises ValueError for an unknown kind,
    fewer than two states, or a width that is not a whole number of sites.
    """
    width = state.position.shape[-1]
    if kind not in ("binary", "spins", "one-hot"):
        raise ValueError(f"kind must be 'binary', 'spins' or 'one-hot', got {kind!r}")
    if kind == "one-hot" and (n_states < 2 or width % n_states):
        raise ValueError(f"n_states must be at least 2 and divide the {width} columns of the state, got {n_states}")
    move_key, choice_key = jax.random.split(key)
    forward = _log_moves(state, kind, n_states)
    move = _draw(move_key, forward)
    position, back = _moved(state.position, move, kind, n_states)
    proposed = init(energy, params, position)
    log_there = _at(forward, move)
    log_back = _at(_log_moves(proposed, kind, n_states), back)
    return choose(choice_key, state.energy - proposed.energy + log_back - log_there, proposed, state)


def _log_moves(state: State, kind: Kind, n_states: int) -> Float[Array, "*batch n_moves"]:
    """log q of every move, from −d/2, d being the first-order change of the energy."""
    x, g = state.position, state.gradient
    if kind == "binary":
        return jax.nn.log_softmax((x - 0.5) * g)
    if kind == "spins":
        return jax.nn.log_softmax(x * g)
    sites, slopes = (jnp.reshape(a, (*a.shape[:-1], -1, n_states)) for a in (x, g))
    half = (jnp.sum(sites * slopes, axis=-1, keepdims=True) - slopes) / 2.0
    return jax.nn.log_softmax(jnp.reshape(jnp.where(sites > 0.5, -jnp.inf, half), x.shape))


def _draw(key: Key[Array, ""], log_moves: Float[Array, "*batch n_moves"]) -> Int[Array, "*batch 1"]:
    """Invert the cumulative law with one uniform number; a move of probability 0 is never drawn."""
    cumulative = jnp.cumsum(jnp.exp(log_moves), axis=-1)
    level = uniform(key, log_moves.shape[:-1])[..., None] * cumulative[..., -1:]
    return jnp.sum(cumulative <= level, axis=-1, keepdims=True)


def _moved(
    x: Float[Array, "*batch d"], move: Int[Array, "*batch 1"], kind: Kind, n_states: int
) -> tuple[Float[Array, "*batch d"], Int[Array, "*batch 1"]]:
    """The state after the move, and the move that undoes it."""
    column = jnp.arange(x.shape[-1])
    if kind == "binary":
        return jnp.where(column == move, 1.0 - x, x), move
    if kind == "spins":
        return jnp.where(column == move, -x, x), move
    is_site = column // n_states == move // n_states
    back = jnp.argmax(jnp.where(is_site, x, -1.0), axis=-1, keepdims=True)
    return jnp.where(is_site, (column == move).astype(x.dtype), x), back


def _at(values: Float[Array, "*batch n"], index: Int[Array, "*batch 1"]) -> Float[Array, "*batch"]:
    return jnp.take_along_axis(values, index, axis=-1)[..., 0]
