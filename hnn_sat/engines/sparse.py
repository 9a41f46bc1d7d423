"""Clauses found through the literals they hold: a flip costs what its variable's occurrences cost, however many
clauses there are.

A clause is one word: its number of true literals, and the exclusive or of their variables, which names the variable
that it hangs on where the number is 1. Every variable's break count is kept, and the number of violated clauses among
each 32. A flip walks the clauses of its variable in pieces of a fixed width, so variables that occur thousands of times
need no wide table, but while one replica walks far the others wait.

A violated clause is found by its rank among them, in order, as on every other exact engine.

Updates are additions at places that are always inside their arrays (of nothing, where there is nothing to update): on
a CPU XLA writes these four times as fast as what has to be checked.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Key, UInt32

from hnn_sat.engines.base import Engine, group_size, sums_before
from hnn_sat.engines.bit_planes import WORD, select_bit
from hnn_sat.problem import Problem, literal_values

PIECE = 8  # occurrences visited at once by every replica


class Tables(NamedTuple):
    """What stays fixed during a run.

    start, length: where the clauses of each variable stand in `occurrence`, and how many they are; those of the padding
      are none. occurrence: 2 clause + whether the literal there is negated, with PIECE entries of no clause at the end.
    """

    problem: Problem
    start: Int[Array, " n_plus_1"]
    length: Int[Array, " n_plus_1"]
    occurrence: Int[Array, " t"]


class Counts(NamedTuple):
    """The state of all replicas.

    clause: number of true literals, shifted past the variables, plus the exclusive or of those; one literal of no
      variable beyond the last clause. breaks: clauses that hang on each variable. in_word, in_group: violated clauses
      among each 32, and among each group of those.
    """

    clause: UInt32[Array, "*r padded_m"]
    breaks: Int[Array, "*r n_plus_1"]
    in_word: Int[Array, "*r words"]
    in_group: Int[Array, "*r groups"]


def tables(problem: Problem) -> Tables:
    """Sort the occurrences by variable on the host.

    Raises ValueError if a word cannot hold the name of a variable and the length of a clause.
    """
    n, (m, k) = problem.n_variables, problem.literal.shape
    if _half(problem) + k.bit_length() > 32:
        raise ValueError(
            f"{n} variables and a clause of {k} literals do not fit into one word of 32 bits; Sparse holds "
            f"2^{32 - k.bit_length()} variables with clauses that long, so choose BitPlanes or Numba"
        )
    literal = np.asarray(problem.literal)
    is_literal = literal < 2 * n
    flat = literal[is_literal]
    clause = np.broadcast_to(np.arange(m)[:, None], literal.shape)[is_literal]
    order = np.argsort(flat >> 1, kind="stable")
    length = np.bincount(flat >> 1, minlength=n + 1)
    first = np.concatenate([[0], np.cumsum(length)[:-1]])
    occurrence = np.concatenate([(2 * clause + (flat & 1))[order], np.zeros(PIECE, int)])
    return Tables(problem, *(jnp.asarray(a.astype(np.int32)) for a in (first, length, occurrence)))


def start(tables: Tables, x: Bool[Array, " n"]) -> Counts:
    """Count everything of one replica from scratch."""
    problem = tables.problem
    n, (m, k) = problem.n_variables, problem.literal.shape
    one, truth = jnp.uint32(1) << _half(problem), literal_values(x)

    def add(j: Array, words: Array) -> Array:
        literal = problem.literal[:, j]
        return jnp.where(truth[literal], (words + one) ^ (literal >> 1).astype(jnp.uint32), words)

    words = jax.lax.fori_loop(0, k, add, jnp.zeros(m, jnp.uint32))
    n_true = words >> _half(problem)
    owner = jnp.where(n_true == 1, words & (one - 1), n).astype(jnp.int32)
    breaks = jnp.zeros(n + 1, jnp.int32).at[owner].add(1).at[n].set(0)
    n_words = m // WORD + 1
    n_words += -n_words % group_size(n_words)
    clause = jnp.pad(words, (0, n_words * WORD - m), constant_values=one)
    in_word = jnp.sum((clause < one).reshape(n_words, WORD), axis=1, dtype=jnp.int32)
    return Counts(clause, breaks, in_word, jnp.sum(in_word.reshape(-1, group_size(n_words)), axis=1, dtype=jnp.int32))


def _half(problem: Problem) -> int:
    """Bits of a clause word that name a variable."""
    return problem.n_variables.bit_length()


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Sparse(Engine):
    """Incremental counts through occurrence lists: the exact engine for formulas of many clauses."""

    def prepare(self, key: Key[Array, ""], problem: Problem) -> Tables:
        """The occurrence lists. Not random."""
        return tables(problem)

    def start(self, tables: Tables, xs: Bool[Array, "r n"]) -> Counts:
        """Count from scratch, one replica after the other."""
        return jax.lax.map(partial(start, tables), xs)

    def flip(self, tables: Tables, state: Counts, literals: Int[Array, " r"]) -> Counts:
        """The clauses of the variable that flips, piece by piece, as often as the replica with the most needs."""
        half = _half(tables.problem)
        one = jnp.uint32(1) << half
        variable = literals >> 1
        name = variable.astype(jnp.uint32)[:, None]
        length, first = tables.length[variable], tables.start[variable]
        replica = jnp.arange(literals.shape[0])[:, None]
        size = WORD * group_size(state.in_word.shape[1])
        inside = "promise_in_bounds"

        def piece(loop: tuple[Array, Counts]) -> tuple[Array, Counts]:
            at, counts = loop
            slot = at + jnp.arange(PIECE)[None, :]
            is_one = slot < length[:, None]
            entry = tables.occurrence.at[jnp.where(is_one, first[:, None] + slot, 0)].get(mode=inside)
            clause = entry >> 1
            is_up = (entry & 1) == (literals & 1)[:, None]
            old = counts.clause.at[replica, clause].get(mode=inside)
            new = jnp.where(is_up, old + one, old - one) ^ name
            n_old, n_new = old >> half, new >> half
            # What hung on another variable no longer does, or what is left hangs on one; the flipped variable itself
            # gains what it made and loses what it broke.
            alone = jnp.where(is_up, old, new)
            owner = jnp.where(alone < one, name, alone & (one - 1))
            hangs = jnp.where(n_new == 1, 1, 0) - jnp.where(n_old == 1, 1, 0)
            turned = jnp.where(is_one, jnp.where(n_new == 0, 1, 0) - jnp.where(n_old == 0, 1, 0), 0)
            is_hung = is_one & (hangs != 0)
            owner = jnp.where(is_hung, owner, 0).astype(jnp.int32)
            return at + PIECE, Counts(
                clause=counts.clause.at[replica, clause].add(jnp.where(is_one, new - old, 0), mode=inside),
                breaks=counts.breaks.at[replica, owner].add(jnp.where(is_hung, hangs, 0), mode=inside),
                in_word=counts.in_word.at[replica, clause // WORD].add(turned, mode=inside),
                in_group=counts.in_group.at[replica, clause // size].add(turned, mode=inside),
            )

        longest = jnp.max(length)
        return jax.lax.while_loop(lambda loop: loop[0] < longest, piece, (jnp.int32(0), state))[1]

    def n_violated(self, tables: Tables, state: Counts) -> Int[Array, " r"]:
        """The sum over groups of words."""
        return jnp.sum(state.in_group, axis=1, dtype=jnp.int32)

    def look(self, key: Key[Array, ""], tables: Tables, state: Counts) -> Counts:
        """The counts themselves; key is not used."""
        return state

    def pick_violated(self, tables: Tables, view: Counts, random_word: UInt32[Array, ""]) -> Int[Array, " k"]:
        """The literals of the clause found by its rank; those of some clause if none is violated."""
        size = group_size(view.in_word.shape[0])
        in_group = view.in_group.astype(jnp.uint32)
        before = sums_before(in_group)
        rank = random_word % jnp.maximum(jnp.sum(in_group), 1)
        group = jnp.sum(before <= rank, dtype=jnp.int32) - 1
        rank = rank - before[group]
        in_word = jax.lax.dynamic_slice(view.in_word, (group * size,), (size,)).astype(jnp.uint32)
        before = sums_before(in_word)
        word = jnp.sum(before <= rank, dtype=jnp.int32) - 1
        first = (group * size + word) * WORD
        is_violated = jax.lax.dynamic_slice(view.clause, (first,), (WORD,)) >> _half(tables.problem) == 0
        bits = jnp.sum(is_violated.astype(jnp.uint32) << jnp.arange(WORD, dtype=jnp.uint32), dtype=jnp.uint32)
        clause = first + select_bit(bits, rank - before[word])
        return tables.problem.literal.at[clause].get(mode="clip")

    def break_counts(self, tables: Tables, view: Counts, literal: Int[Array, " k"]) -> Int[Array, " k"]:
        """As kept for the variables of these literals."""
        return view.breaks[literal >> 1]

    def make_counts(self, tables: Tables, view: Counts, literal: Int[Array, " k"]) -> Int[Array, " k"]:
        """Violated bits of the clauses that hold each literal, piece by piece."""
        variable = literal >> 1
        length, first = tables.length[variable], tables.start[variable]
        longest = jnp.max(length)

        def piece(loop: tuple[Array, Array]) -> tuple[Array, Array]:
            at, makes = loop
            slot = at + jnp.arange(PIECE)[None, :]
            entry = tables.occurrence.at[first[:, None] + slot].get(mode="clip")
            is_held = (slot < length[:, None]) & ((entry & 1) == (literal & 1)[:, None])
            is_violated = view.clause[entry >> 1] >> _half(tables.problem) == 0
            return at + PIECE, makes + jnp.sum(is_held & is_violated, axis=1, dtype=jnp.int32)

        return jax.lax.while_loop(lambda loop: loop[0] < longest, piece, (jnp.int32(0), jnp.zeros_like(literal)))[1]
