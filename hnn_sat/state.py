"""All replicas of a search between two iterations, and one iteration of any rule on any engine."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Key, UInt32

from hnn_sat.dynamics.base import Dynamic, Look, pack, unpack
from hnn_sat.engines.base import Engine


class State(NamedTuple):
    """Where the replicas are, the best they have been, and what they did."""

    engine: Any
    x: UInt32[Array, "r x_words"]
    n_violated: Int[Array, " r"]
    best_x: UInt32[Array, "r x_words"]
    n_best: Int[Array, " r"]
    n_flips: Int[Array, " r"]
    n_iterations: Int[Array, " r"]
    n_missed: Int[Array, " r"]
    missed_clauses: Int[Array, " m"]
    """How often each clause was missed since the last repair; no entries for engines that miss none."""


def start(engine: Engine, tables: Any, xs: Bool[Array, "r n"]) -> State:
    """Replicas at the assignments xs, before their first flip."""
    digital, words = engine.start(tables, xs), jax.vmap(pack)(xs)
    energy = engine.n_violated(tables, digital)
    none = jnp.zeros(xs.shape[0], jnp.int32)
    view = jax.eval_shape(lambda: engine.missed_clauses(engine.look(jax.random.key(0), tables, digital)))
    return State(digital, words, energy, words, energy, none, none, none, jnp.zeros(view.shape, jnp.int32))


def restart(engine: Engine, tables: Any, xs: Bool[Array, "r n"], state: State) -> State:
    """Continue unsolved replicas from xs; solved ones stay as they are."""
    fresh = start(engine, tables, xs)
    kept = ("best_x", "n_best", "n_flips", "n_iterations", "n_missed")
    moved = _remember(fresh._replace(**{name: getattr(state, name) for name in kept}))
    is_solved = state.n_violated == 0

    def choose(old: Array, new: Array) -> Array:
        return jnp.where(_over(is_solved, new), old, new)

    # The counts by clause belong to no replica.
    chosen = jax.tree.map(choose, tuple(state)[:-1], tuple(moved)[:-1])
    return State(*chosen, missed_clauses=state.missed_clauses)


def advance(
    engine: Engine,
    dynamic: Dynamic,
    tables: Any,
    setup: Any,
    draw: Any,
    key: Key[Array, ""],
    level: Array,
    t: Array,
    state: State,
) -> State:
    """One iteration of every replica that is not solved. draw: one entry a replica; key: of the engine's reading."""
    problem = tables.problem
    view = engine.look(key, tables, state.engine)

    def choose(draw: Any, view: Any, x: Array) -> Array:
        look = Look(engine, tables, view, x, problem)
        chosen = dynamic.step(draw, look, setup, level, t)
        if engine.is_exact or dynamic.is_parallel:
            return chosen
        # A clause wrongly seen violated may hold a true literal; its variable is flipped all the same.
        return jnp.where(chosen == look.nothing, chosen, look.flips(jnp.minimum(chosen, look.nothing - 1) >> 1))

    chosen = jax.vmap(choose)(draw, view, state.x)
    is_active = state.n_violated > 0
    if dynamic.is_parallel:
        flips = chosen & is_active[:, None]
        xs = jax.vmap(lambda x: unpack(x, problem.n_variables))(state.x) ^ flips
        digital, words, n_new = engine.start(tables, xs), jax.vmap(pack)(xs), jnp.sum(flips, axis=1, dtype=jnp.int32)
    else:
        literal = jnp.where(is_active, chosen, 2 * problem.n_variables)
        digital = engine.flip(tables, state.engine, literal)
        words = jax.vmap(_toggle)(state.x, literal >> 1)
        n_new = (literal < 2 * problem.n_variables).astype(jnp.int32)
    moved = state._replace(
        engine=digital,
        x=words,
        n_violated=engine.n_violated(tables, digital),
        n_flips=state.n_flips + n_new,
        n_iterations=state.n_iterations + is_active,
        n_missed=state.n_missed + engine.n_missed(view) * is_active,
        missed_clauses=state.missed_clauses + engine.missed_clauses(view),
    )
    return _remember(moved)


def _remember(state: State) -> State:
    is_better = state.n_violated < state.n_best
    return state._replace(
        best_x=jnp.where(is_better[:, None], state.x, state.best_x),
        n_best=jnp.minimum(state.n_violated, state.n_best),
    )


def _over(mask: Array, leaf: Array) -> Array:
    return mask.reshape(mask.shape + (1,) * (leaf.ndim - mask.ndim))


def _toggle(words: UInt32[Array, " x_words"], variable: Int[Array, ""]) -> UInt32[Array, " x_words"]:
    """Flip one bit; a variable beyond the last word (the padding) flips none."""
    mask = jnp.uint32(1) << (variable % 32).astype(jnp.uint32)
    return words ^ jnp.where(jnp.arange(words.shape[0]) == variable // 32, mask, jnp.uint32(0))
