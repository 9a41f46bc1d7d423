"""WalkSAT with the rule SKC (Selman, Kautz and Cohen 1994): pick a violated clause, then one of its variables.

The clause is uniform among the violated ones. If flipping some variable of it would violate no other clause
("break 0"), one of those is flipped; otherwise with probability `noise` any variable of the clause, else one of
least break. Every choice among equals is uniform.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt32

from hnn_sat.engines import bit_planes

N_RANDOM_WORDS = 3  # clause, coin, variable


class State(NamedTuple):
    """One replica: where it is, and the best it has been."""

    planes: bit_planes.Planes
    x: UInt32[Array, " x_words"]
    n_violated: Int[Array, ""]
    best_x: UInt32[Array, " x_words"]
    n_best: Int[Array, ""]
    n_flips: Int[Array, ""]


def start(tables: bit_planes.Tables, x: Bool[Array, " n"]) -> State:
    """A replica at assignment x, before its first flip."""
    planes, words = bit_planes.start(tables, x), pack(x)
    energy = bit_planes.n_violated(planes)
    return State(planes, words, energy, best_x=words, n_best=energy, n_flips=jnp.zeros((), jnp.int32))


def restart(tables: bit_planes.Tables, x: Bool[Array, " n"], state: State) -> State:
    """Continue an unsolved replica from x; a solved one stays as it is."""
    fresh = start(tables, x)
    moved = _remember(fresh._replace(best_x=state.best_x, n_best=state.n_best, n_flips=state.n_flips))
    return jax.tree.map(lambda old, new: jnp.where(state.n_violated == 0, old, new), state, moved)


def step(random_words: UInt32[Array, " 3"], state: State, tables: bit_planes.Tables, noise: Float[Array, ""]) -> State:
    """One flip, or none if no clause is violated. `random_words` are independent and uniform over all 32-bit words."""
    clause_word, coin_word, variable_word = random_words
    padding = 2 * tables.problem.n_variables

    literal = tables.problem.literal[bit_planes.pick_violated(state.planes, clause_word)]
    breaks = bit_planes.break_counts(state.planes, tables, literal)
    breaks = jnp.where(literal == padding, jnp.iinfo(jnp.int32).max, breaks)
    least = jnp.min(breaks)
    is_walk = (least > 0) & ((coin_word >> 8).astype(jnp.float32) * 2.0**-24 < noise)
    is_candidate = jnp.where(is_walk, literal != padding, breaks == least)
    is_active = state.n_violated > 0
    chosen = jnp.where(is_active, literal[_uniform_index(is_candidate, variable_word)], padding)

    planes = bit_planes.make_true(state.planes, tables, chosen)
    moved = state._replace(
        planes=planes,
        x=_toggle(state.x, chosen >> 1),
        n_violated=bit_planes.n_violated(planes),
        n_flips=state.n_flips + is_active,
    )
    return _remember(moved)


def _remember(state: State) -> State:
    is_better = state.n_violated < state.n_best
    return state._replace(
        best_x=jnp.where(is_better, state.x, state.best_x), n_best=jnp.minimum(state.n_violated, state.n_best)
    )


def pack(x: Bool[Array, " n"]) -> UInt32[Array, " x_words"]:
    """32 variables a word, variable v in bit v mod 32 of word v div 32."""
    n_words = max(1, -(-x.shape[0] // 32))
    bits = jnp.pad(x, (0, 32 * n_words - x.shape[0])).reshape(n_words, 32).astype(jnp.uint32)
    return jnp.sum(bits << jnp.arange(32, dtype=jnp.uint32)[None, :], axis=1, dtype=jnp.uint32)


def unpack(words: UInt32[Array, " x_words"], n_variables: int) -> Bool[Array, " n"]:
    """The inverse of `pack`."""
    bits = (words[:, None] >> jnp.arange(32, dtype=jnp.uint32)[None, :]) & 1
    return bits.reshape(-1)[:n_variables].astype(bool)


def _uniform_index(is_candidate: Bool[Array, " k"], random_word: UInt32[Array, ""]) -> Int[Array, ""]:
    """One of the true positions, each with the same probability to within k / 2^32. None true gives the last."""
    # k is small, so the sums are written out: XLA compiles a cumulative sum on a CPU into a slow window reduction.
    sums = [jnp.sum(is_candidate[: j + 1], dtype=jnp.uint32) for j in range(is_candidate.shape[0])]
    up_to = jnp.stack(sums)
    index = jnp.sum(up_to <= random_word % jnp.maximum(up_to[-1], 1), dtype=jnp.int32)
    return jnp.minimum(index, is_candidate.shape[0] - 1)


def _toggle(words: UInt32[Array, " x_words"], variable: Int[Array, ""]) -> UInt32[Array, " x_words"]:
    """Flip one bit; a variable beyond the last word (the padding) flips none."""
    mask = jnp.uint32(1) << (variable % 32).astype(jnp.uint32)
    return words ^ jnp.where(jnp.arange(words.shape[0]) == variable // 32, mask, jnp.uint32(0))
