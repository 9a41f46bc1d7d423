"""What a rule that chooses the next flip is, and what it may ask.

A rule is a small frozen object. `init(problem)` prepares what stays fixed, `draw` its random numbers for many
iterations at once, and `step` chooses for one replica, seeing the formula only through `Look`: so the same rule runs on
exact counts, on products of a noisy array and on searches of a content-addressable memory, and the same draws lead
to the same flips wherever the answers are exact.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Key, UInt32

from hnn_sat.problem import Problem


class Dynamic:
    """Base of all rules. `noise` is the level where a schedule names none, `most` the largest one allowed."""

    noise = 0.0
    most = float("inf")
    is_parallel = False
    """Whether `step` returns all variables to flip at once (a mask) instead of one literal."""

    def init(self, problem: Problem) -> Any:
        """What stays fixed during a run; a pytree. Not random."""
        return ()

    def n_words(self, n_variables: int) -> int:
        """Random words of 32 bits an iteration."""
        raise NotImplementedError

    def draw(self, key: Key[Array, ""], shape: tuple[int, int], n_variables: int) -> Any:
        """Random numbers for shape = (iterations, replicas): a pytree with these leading axes; key is consumed."""
        raise NotImplementedError

    def step(self, draw: Any, look: "Look", setup: Any, level: Array, t: Array) -> Array:
        """The literal that becomes true (code 2 n for none), given one replica's draw, at iteration t since the
        restart. With `is_parallel`, the mask of all variables that flip."""
        raise NotImplementedError


class Look(NamedTuple):
    """What one replica is told by the engine in one iteration."""

    engine: Any
    tables: Any
    view: Any
    x: UInt32[Array, " x_words"]
    problem: Problem

    @property
    def nothing(self) -> int:
        """The literal that changes nothing."""
        return 2 * self.problem.n_variables

    def violated_clause(self, random_word: UInt32[Array, ""]) -> Int[Array, " k"]:
        """The literals of one violated clause, each clause as likely: number `random_word` mod their number, in order.

        All are `nothing` when none is seen.
        """
        return self.engine.pick_violated(self.tables, self.view, random_word)

    def flips(self, variables: Int[Array, "*k"]) -> Int[Array, "*k"]:
        """The literals that flipping these variables makes true."""
        value = (self.x[variables // 32] >> (variables % 32).astype(jnp.uint32)) & 1
        return 2 * variables + value.astype(jnp.int32)

    def all_flips(self) -> Int[Array, " n"]:
        """The literals that are false now, one for each variable."""
        return 2 * jnp.arange(self.problem.n_variables) + self.values().astype(jnp.int32)

    def values(self) -> Bool[Array, " n"]:
        """The assignment."""
        return unpack(self.x, self.problem.n_variables)

    def breaks(self, literals: Int[Array, " k"]) -> Array:
        """How many clauses would become violated if these false literals were made true, one at a time."""
        return self.engine.break_counts(self.tables, self.view, literals)

    def makes(self, literals: Int[Array, " k"]) -> Array:
        """How many violated clauses would hold."""
        return self.engine.make_counts(self.tables, self.view, literals)


def pack(x: Bool[Array, " n"]) -> UInt32[Array, " x_words"]:
    """32 variables a word, variable v in bit v mod 32 of word v div 32."""
    n_words = max(1, -(-x.shape[0] // 32))
    bits = jnp.pad(x, (0, 32 * n_words - x.shape[0])).reshape(n_words, 32).astype(jnp.uint32)
    return jnp.sum(bits << jnp.arange(32, dtype=jnp.uint32)[None, :], axis=1, dtype=jnp.uint32)


def unpack(words: UInt32[Array, " x_words"], n_variables: int) -> Bool[Array, " n"]:
    """The inverse of `pack`."""
    bits = (words[:, None] >> jnp.arange(32, dtype=jnp.uint32)[None, :]) & 1
    return bits.reshape(-1)[:n_variables].astype(bool)


def unit(word: UInt32[Array, "*shape"]) -> Array:
    """A word as a number in [0, 1) with 24 bits."""
    return (word >> 8).astype(jnp.float32) * jnp.float32(2.0**-24)
