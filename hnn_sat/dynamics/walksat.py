"""WalkSAT with the rule SKC (Selman, Kautz and Cohen 1994): pick a violated clause, then one of its variables.

The clause is uniform among the violated ones. If flipping some variable of it would violate no other clause
("break 0"), one of those is flipped; otherwise with probability `noise` any variable of the clause, else one of
least break. Every choice among equals is uniform.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Key, UInt32

from aimc.noise import random_bits
from hnn_sat.dynamics.base import Dynamic, Look, unit

N_RANDOM_WORDS = 3  # clause, coin, variable


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class WalkSAT(Dynamic):
    """WalkSAT/SKC; the level is the probability of a random variable where no flip is free."""

    noise = 0.5
    most = 1.0

    def n_words(self, n_variables: int) -> int:
        """Clause, coin, variable."""
        return N_RANDOM_WORDS

    def draw(self, key: Key[Array, ""], shape: tuple[int, int], n_variables: int) -> UInt32[Array, "t r 3"]:
        """Three words, independent and uniform; key is consumed."""
        return random_bits(key, (*shape, N_RANDOM_WORDS))

    def step(self, draw: UInt32[Array, "3"], look: Look, setup: Any, level: Array, t: Array) -> Array:
        """One flip, or none if no clause is seen violated."""
        clause_word, coin_word, variable_word = draw
        literal = look.violated_clause(clause_word)
        breaks = look.breaks(literal)
        most = jnp.inf if jnp.issubdtype(breaks.dtype, jnp.floating) else jnp.iinfo(jnp.int32).max
        breaks = jnp.where(literal == look.nothing, most, breaks)
        least = jnp.min(breaks)
        is_walk = (least > 0) & (unit(coin_word) < level)
        is_candidate = jnp.where(is_walk, literal != look.nothing, breaks == least)
        return literal[uniform_index(is_candidate, variable_word)]


def uniform_index(is_candidate: Bool[Array, " k"], random_word: UInt32[Array, ""]) -> Int[Array, ""]:
    """One of the true positions, each with the same probability to within k / 2^32. None true gives the last."""
    # k is small, so the sums are written out: XLA compiles a cumulative sum on a CPU into a slow window reduction.
    sums = [jnp.sum(is_candidate[: j + 1], dtype=jnp.uint32) for j in range(is_candidate.shape[0])]
    up_to = jnp.stack(sums)
    index = jnp.sum(up_to <= random_word % jnp.maximum(up_to[-1], 1), dtype=jnp.int32)
    return jnp.minimum(index, is_candidate.shape[0] - 1)
