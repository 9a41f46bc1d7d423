"""The number of true literals in every clause, held as bit planes and kept up to date flip by flip.

Bit c of plane j is bit j of clause c's count. A flip adds one to the clauses of one literal and takes one from the
clauses of its negation: a ripple carry over the planes, 32 clauses a word, without a scatter. The cost of a flip is
proportional to n_clauses / 32 words, which is fastest up to a few thousand clauses.

All functions act on one replica; `jax.vmap` runs many. `BitPlanes` is the engine made of them.
"""

from dataclasses import dataclass
from functools import partial, reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Key, UInt32

from hnn_sat.engines.base import Engine, group_size, sums_before
from hnn_sat.problem import Problem, true_literal_counts

WORD = 32
MEMORY_LIMIT = 2**30  # bytes of the incidence rows


class Tables(NamedTuple):
    """What stays fixed during a run.

    incidence: bit c of row l is set if literal l is in clause c; the last two rows, those of the padding, are empty.
    """

    problem: Problem
    incidence: UInt32[Array, "codes words"]


class Planes(NamedTuple):
    """True-literal counts of all clauses, and the violated ones among each group of words.

    Columns beyond the last clause hold a count of 1, so they never count as violated, and no literal is in them.
    """

    bits: tuple[UInt32[Array, " words"], ...]
    n_violated: UInt32[Array, " groups"]


def tables(problem: Problem) -> Tables:
    """Set up the incidence rows on the host.

    Raises ValueError if they would need more than a gibibyte.
    """
    m, k = problem.literal.shape
    n_words = max(1, -(-m // WORD))
    n_words += -n_words % group_size(n_words)
    n_rows = 2 * problem.n_variables + 2
    if n_rows * n_words * 4 > MEMORY_LIMIT:
        raise ValueError(
            f"{problem.n_variables} variables in {m} clauses need {n_rows * n_words * 4 / 2**30:.1f} GiB of incidence "
            f"bits; bit planes are limited to {MEMORY_LIMIT / 2**30:.0f} GiB, so give a smaller formula"
        )
    incidence = np.zeros((n_rows, n_words), np.uint32)
    clause = np.arange(m)
    bit = np.uint32(1) << (clause % WORD).astype(np.uint32)
    literal = np.asarray(problem.literal)
    for slot in range(k):
        np.bitwise_or.at(incidence, (literal[:, slot], clause // WORD), bit)
    incidence[2 * problem.n_variables :] = 0
    return Tables(problem=problem, incidence=jnp.asarray(incidence))


def start(tables: Tables, x: Bool[Array, " n"]) -> Planes:
    """Count the true literals of every clause from scratch."""
    counts = true_literal_counts(tables.problem, x).astype(jnp.uint32)
    n_words = tables.incidence.shape[1]
    counts = jnp.pad(counts, (0, n_words * WORD - counts.shape[0]), constant_values=1).reshape(n_words, WORD)
    position = jnp.arange(WORD, dtype=jnp.uint32)[None, :]
    n_planes = tables.problem.longest_clause.bit_length()
    planes = [jnp.sum(((counts >> j) & 1) << position, axis=1, dtype=jnp.uint32) for j in range(n_planes)]
    return _planes(tuple(planes))


def n_violated(planes: Planes) -> Int[Array, ""]:
    """The energy: clauses without a true literal."""
    return jnp.sum(planes.n_violated).astype(jnp.int32)


def pick_violated(planes: Planes, random_word: UInt32[Array, ""]) -> Int[Array, ""]:
    """A violated clause, each with the same probability to within n_clauses / 2^32; meaningless if there is none.

    Groups of words are searched by their totals, then the words of the group, then the bits of the word.
    """
    before = sums_before(planes.n_violated)
    rank = random_word % jnp.maximum(jnp.sum(planes.n_violated), 1)
    group = jnp.sum(before <= rank, dtype=jnp.int32) - 1
    rank = rank - before[group]
    size = group_size(planes.bits[0].shape[0])
    words = _violated(tuple(plane.reshape(-1, size)[group] for plane in planes.bits))
    before = sums_before(jax.lax.population_count(words))
    word = jnp.sum(before <= rank, dtype=jnp.int32) - 1
    return (group * size + word) * WORD + select_bit(words[word], rank - before[word])


def break_counts(planes: Planes, tables: Tables, literal: Int[Array, " k"]) -> Int[Array, " k"]:
    """For false literals: how many clauses lose their only true literal if the literal is made true."""
    lost = _critical(planes.bits)[None, :] & tables.incidence[literal ^ 1]
    return jnp.sum(jax.lax.population_count(lost), axis=1).astype(jnp.int32)


def make_counts(planes: Planes, tables: Tables, literal: Int[Array, " k"]) -> Int[Array, " k"]:
    """For false literals: how many violated clauses hold once the literal is made true."""
    held = _violated(planes.bits)[None, :] & tables.incidence[literal]
    return jnp.sum(jax.lax.population_count(held), axis=1).astype(jnp.int32)


def make_true(planes: Planes, tables: Tables, literal: Int[Array, ""]) -> Planes:
    """The counts after a false literal has become true; the padding literal changes nothing."""
    carry, borrow = tables.incidence[literal], tables.incidence[literal ^ 1]
    bits = []
    for plane in planes.bits:
        bits.append(plane ^ carry ^ borrow)
        carry, borrow = plane & carry, ~plane & borrow
    return _planes(tuple(bits))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class BitPlanes(Engine):
    """Incremental counts: the exact engine, and the fastest one for a rule that picks a clause."""

    def prepare(self, key: Key[Array, ""], problem: Problem) -> Tables:
        """The incidence rows. Not random. Raises ValueError if they would need more than a gibibyte."""
        return tables(problem)

    def start(self, tables: Tables, xs: Bool[Array, "r n"]) -> Planes:
        """Count from scratch, one replica after the other: the counts of all at once would need 32 times the memory of
        their bit planes."""
        return jax.lax.map(partial(start, tables), xs)

    def flip(self, tables: Tables, state: Planes, literals: Int[Array, " r"]) -> Planes:
        """A ripple carry each."""
        return jax.vmap(lambda planes, literal: make_true(planes, tables, literal))(state, literals)

    def n_violated(self, tables: Tables, state: Planes) -> Int[Array, " r"]:
        """The sum over groups of words."""
        return jax.vmap(n_violated)(state)

    def look(self, key: Key[Array, ""], tables: Tables, state: Planes) -> Planes:
        """The counts themselves; key is not used."""
        return state

    def pick_violated(self, tables: Tables, view: Planes, random_word: UInt32[Array, ""]) -> Int[Array, " k"]:
        """The literals of the clause found by its rank."""
        clause = pick_violated(view, random_word)
        return tables.problem.literal[clause]

    def break_counts(self, tables: Tables, view: Planes, literal: Int[Array, " k"]) -> Int[Array, " k"]:
        """Ones among the critical clauses of the negated literal."""
        return break_counts(view, tables, literal)

    def make_counts(self, tables: Tables, view: Planes, literal: Int[Array, " k"]) -> Int[Array, " k"]:
        """Ones among the violated clauses of the literal."""
        return make_counts(view, tables, literal)


def _planes(bits: tuple[UInt32[Array, " words"], ...]) -> Planes:
    ones = jax.lax.population_count(_violated(bits)).reshape(-1, group_size(bits[0].shape[0]))
    # The barrier keeps XLA from counting all words a second time for the sum over groups.
    return Planes(bits, jax.lax.optimization_barrier(jnp.sum(ones, axis=1)))


def _violated(bits: tuple[UInt32[Array, " words"], ...]) -> UInt32[Array, " words"]:
    """One bit for each clause without a true literal."""
    return ~reduce(jnp.bitwise_or, bits)


def _critical(bits: tuple[UInt32[Array, " words"], ...]) -> UInt32[Array, " words"]:
    """One bit for each clause with exactly one true literal."""
    return reduce(lambda only_first, plane: only_first & ~plane, bits)


def select_bit(word: UInt32[Array, ""], rank: UInt32[Array, ""]) -> Int[Array, ""]:
    """Position of the set bit that has `rank` set bits below it."""
    position = jnp.zeros((), jnp.int32)
    for half in (16, 8, 4, 2, 1):
        low = word & np.uint32((1 << half) - 1)
        n_low = jax.lax.population_count(low)
        is_above = rank >= n_low
        rank = jnp.where(is_above, rank - n_low, rank)
        word = jnp.where(is_above, word >> half, low)
        position = position + jnp.where(is_above, half, 0)
    return position
