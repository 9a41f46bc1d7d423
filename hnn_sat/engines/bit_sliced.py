"""The whole formula evaluated anew, 32 replicas a word: what a literal is worth to all of them at once.

Bit j of word w of row v is variable v of replica 32 w + j. A clause is violated where none of its literals is true and
critical where exactly one is; the clauses that a variable's flip makes or breaks are counted bit by bit, by full
adders, into planes of counters. Nothing is remembered from flip to flip, so the cost is that of all clauses, but for
32 replicas in one operation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Key, UInt32

from aimc.devices.base import static
from hnn_sat.engines.base import Evaluated, Reading, WholeFormula
from hnn_sat.problem import Problem

DIRECT = (2, 3)  # longest clauses for which gains come from the literals, without clause flags in between
BUCKETS = 6  # groups of variables with about as many occurrences, so that little is padded
UNROLLED = 32  # more occurrences are added in a loop of blocks of this many


class Bucket(NamedTuple):
    """Variables and their occurrences. Unused places name the empty clause beyond the last, which counts nothing."""

    variable: Int[Array, " v"]
    clause: Int[Array, "v d"]
    negated: UInt32[Array, "v d"]  # all ones where the variable occurs negated
    others: Int[Array, "v d o"]
    """Codes of the other literals of the clause; 2 n is never true, 2 n + 1, of unused places, always. o = 0 where
    clauses are too long for this to be of use."""


class Tables(NamedTuple):
    """The problem, and the occurrences of its variables; `back` puts the variables of all buckets in order."""

    problem: Problem
    buckets: tuple[Bucket, ...]
    back: Int[Array, " n"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class BitSliced(WholeFormula):
    """Exact, and the engine of choice where every variable's gain is wanted in every iteration.

    by_worth: winner-take-all draws one noise for all variables of equal worth, with the same law of the flip
    (`sliced_winner`); False: one for every variable, to make the flips that other engines make."""

    by_worth: bool = static(True)

    def prepare(self, key: Key[Array, ""], problem: Problem) -> Tables:
        """The occurrences. Not random."""
        return tables(problem)

    def start(self, tables: Tables, xs: Bool[Array, "r n"]) -> Evaluated:
        """The assignments and their energies from the sliced flags."""
        violated, _ = clause_flags(tables.problem, slice_replicas(xs))
        energy = jnp.sum(unslice(violated, xs.shape[0]), axis=1, dtype=jnp.int32)
        return Evaluated(xs, energy)

    def look(self, key: Key[Array, ""], tables: Tables, state: Evaluated) -> Reading:
        """Flags and counts of all replicas; key is not used."""
        words, n_replicas = slice_replicas(state.x), state.x.shape[0]
        violated, critical = clause_flags(tables.problem, words)
        makes, breaks = count_planes(tables, words, violated, critical)
        return Reading(
            violated=unslice(violated, n_replicas),
            makes=counter_values(makes, n_replicas),
            breaks=counter_values(breaks, n_replicas),
            missed=jnp.zeros(n_replicas, jnp.int32),
        )


def tables(problem: Problem) -> Tables:
    """Set up the occurrences on the host, in buckets of similar degree."""
    n, m = problem.n_variables, problem.n_clauses
    literal = np.asarray(problem.literal)
    clause, slot = np.nonzero(literal < 2 * n)
    code = literal[clause, slot]
    order = np.argsort(code >> 1, kind="stable")
    clause, code = clause[order], code[order]
    degree = np.bincount(code >> 1, minlength=n)
    first = np.concatenate([[0], np.cumsum(degree)])
    by_degree = np.argsort(degree, kind="stable")
    buckets = []
    for variables in np.array_split(by_degree, min(BUCKETS, max(n, 1))):
        width = max(1, int(degree[variables].max(initial=0)))
        width += 0 if width <= UNROLLED else -width % UNROLLED
        clauses = np.full((len(variables), width), m, np.int32)
        negated = np.zeros((len(variables), width), np.uint32)
        for row, v in enumerate(variables):
            own = slice(first[v], first[v + 1])
            clauses[row, : degree[v]] = clause[own]
            negated[row, : degree[v]] = np.where(code[own] & 1, np.uint32(0xFFFFFFFF), np.uint32(0))
        others = _others(literal, clauses, variables, n)
        buckets.append(Bucket(*(jnp.asarray(array) for array in (variables, clauses, negated, others))))
    return Tables(problem, tuple(buckets), jnp.asarray(np.argsort(by_degree)))


def _others(
    literal: Int[np.ndarray, "m k"], clause: Int[np.ndarray, "v d"], variable: Int[np.ndarray, " v"], n: int
) -> Int[np.ndarray, "v d o"]:
    k = literal.shape[1]
    if k not in DIRECT:
        return np.zeros((*clause.shape, 0), np.int32)
    rows = np.concatenate([literal, np.full((1, k), 2 * n + 1, np.int32)])[clause]
    is_own = rows >> 1 == variable[:, None, None]
    # Sorted so that the own literal comes last, and is left out.
    return np.take_along_axis(rows, np.argsort(is_own, axis=2, kind="stable"), axis=2)[..., :-1].astype(np.int32)


def slice_replicas(xs: Bool[Array, "r n"]) -> UInt32[Array, "n w"]:
    """32 replicas a word; replicas beyond the last are filled with zeros."""
    r, n = xs.shape
    n_words = max(1, -(-r // 32))
    bits = jnp.pad(xs, ((0, 32 * n_words - r), (0, 0))).reshape(n_words, 32, n).astype(jnp.uint32)
    shifted = bits << jnp.arange(32, dtype=jnp.uint32)[None, :, None]
    return jnp.sum(shifted, axis=1, dtype=jnp.uint32).T


def unslice(rows: UInt32[Array, "rows w"], n_replicas: int) -> Bool[Array, "r rows"]:
    """The inverse of `slice_replicas`."""
    bits = (rows.T[:, None, :] >> jnp.arange(32, dtype=jnp.uint32)[None, :, None]) & 1
    return bits.reshape(-1, rows.shape[0])[:n_replicas].astype(bool)


def counter_values(planes: list[UInt32[Array, "n w"]], n_replicas: int) -> Int[Array, "r n"]:
    """Counters that are held as planes, least significant first, as integers."""
    bits = [unslice(plane, n_replicas).astype(jnp.int32) << j for j, plane in enumerate(planes)]
    return sum(bits[1:], start=bits[0])


def clause_flags(problem: Problem, words: UInt32[Array, "n w"]) -> tuple[UInt32[Array, "m w"], UInt32[Array, "m w"]]:
    """Where each clause is violated, and where it hangs on one literal."""
    padded = jnp.concatenate([words, jnp.zeros((1, words.shape[1]), jnp.uint32)])
    some = several = jnp.zeros((problem.n_clauses, words.shape[1]), jnp.uint32)
    for j in range(problem.longest_clause):
        code = problem.literal[:, j]
        negated = jnp.where(code & 1, jnp.uint32(0xFFFFFFFF), jnp.uint32(0))
        literal = padded[code >> 1] ^ negated[:, None]
        some, several = some | literal, several | (some & literal)
    return ~some, some & ~several


def count_planes(
    tables: Tables, words: UInt32[Array, "n w"], violated: UInt32[Array, "m w"], critical: UInt32[Array, "m w"]
) -> tuple[list[UInt32[Array, "n w"]], list[UInt32[Array, "n w"]]]:
    """For every variable, how many clauses its flip would make, and how many it would break, as planes of counters."""
    empty = jnp.zeros((1, words.shape[1]), jnp.uint32)
    flags = jnp.concatenate([violated, empty]), jnp.concatenate([critical, empty])
    makes, breaks = [], []
    for bucket in tables.buckets:

        def breaking(at: Bucket, value: Array = words[bucket.variable]) -> Array:
            return flags[1][at.clause] & (value ^ at.negated[:, None])

        makes.append(_count(bucket, lambda at: flags[0][at.clause]))
        breaks.append(_count(bucket, breaking))
    return _in_order(makes, tables.back), _in_order(breaks, tables.back)


def gain_planes(
    tables: Tables, words: UInt32[Array, "n w"], on: Bool[Array, ""] | bool = True
) -> tuple[list[UInt32[Array, "n w"]], Int[Array, " n"]]:
    """make − break of every flip by one counter instead of two: D as planes, and an offset; gain = ±(D − offset).

    o is set where no other literal of the clause is true: the clause then follows the variable. With D the number of
    its clauses that would hold with x_v = 1 of those, plus those negated occurrences that do not follow it,
    gain_v = (D − number of negated occurrences) for x_v = 0, and minus that for x_v = 1. on: see `stage`.
    """
    offset = jnp.concatenate([jnp.sum(bucket.negated != 0, axis=1) for bucket in tables.buckets])[tables.back]
    if tables.problem.longest_clause in DIRECT:
        truth = stage(on, _truth, words)

        def alone(truth: Array, at: Bucket) -> Array:
            return _alone(truth, at.others) ^ at.negated[:, None]

        return _stored_counts(tables, truth, alone, on), offset
    flags = stage(on, lambda words: _padded_flags(tables.problem, words), words)
    planes = []
    for bucket in tables.buckets:

        def follows(at: Bucket, value: Array = words[bucket.variable]) -> Array:
            is_true = value ^ at.negated[:, None]
            return ((flags[1][at.clause] & is_true) | (flags[0][at.clause] & ~is_true)) ^ at.negated[:, None]

        planes.append(_count(bucket, follows))
    return _in_order(planes, tables.back), offset


def make_planes(
    tables: Tables, words: UInt32[Array, "n w"], on: Bool[Array, ""] | bool = True
) -> list[UInt32[Array, "n w"]]:
    """How many clauses the flip of each variable would make, as planes. on: see `stage`."""
    violated = stage(on, lambda words: _padded_flags(tables.problem, words)[0], words)
    return _stored_counts(tables, violated, lambda violated, at: violated[at.clause], on)


def stage(on: Bool[Array, ""] | bool, compute: Callable[..., Any], *given: Any) -> Any:
    """compute(*given). If `on` is an array, always true, but so that the compiler cannot know, the result is stored.

    Otherwise a CPU, which drops optimization barriers before it fuses, computes a chain anew for each of its uses, and
    again for each of theirs: all that is fetched for every plane of a counter."""
    if isinstance(on, bool):
        return compute(*given)
    shapes = jax.eval_shape(compute, *given)
    return jax.lax.cond(on, compute, lambda *_: jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes), *given)


def _truth(words: UInt32[Array, "n w"]) -> UInt32[Array, "codes w"]:
    """A row for every literal code, then one that is never and one that is always true."""
    both = jnp.stack([words, ~words], axis=1).reshape(-1, words.shape[1])
    none = jnp.zeros((1, words.shape[1]), jnp.uint32)
    return jnp.concatenate([both, none, ~none])


def _stored_counts(
    tables: Tables, source: Any, flag: Callable[[Any, Bucket], Array], on: Bool[Array, ""] | bool
) -> list[UInt32[Array, "n w"]]:
    """As `_count`, of all buckets, but the flags of a bucket are stored before they are added."""
    counts = []
    for bucket in tables.buckets:
        n, width = bucket.clause.shape
        if width > UNROLLED:
            counts.append(_count(bucket, partial(flag, source)))
            continue
        flat = bucket._replace(
            clause=bucket.clause.T.reshape(-1),
            negated=bucket.negated.T.reshape(-1),
            others=jnp.swapaxes(bucket.others, 0, 1).reshape(n * width, -1),
        )
        bits = stage(on, lambda source, flat=flat: flag(source, flat), source)
        counts.append(
            stage(on, lambda bits, n=n, d=width: add_bits([bits[j * n : (j + 1) * n] for j in range(d)]), bits)
        )
    return stage(on, lambda counts: _in_order(counts, tables.back), counts)


def _alone(truth: UInt32[Array, "codes w"], others: Int[Array, "v o"]) -> UInt32[Array, "v w"]:
    """Where none of the other literals is true."""
    rows = [truth.at[others[:, i]].get(mode="promise_in_bounds") for i in range(others.shape[1])]
    return ~reduce(jnp.bitwise_or, rows)


def _padded_flags(problem: Problem, words: UInt32[Array, "n w"]) -> tuple[Array, Array]:
    """The clause flags, with a clause more that is neither violated nor critical."""
    empty = jnp.zeros((1, words.shape[1]), jnp.uint32)
    violated, critical = clause_flags(problem, words)
    return jnp.concatenate([violated, empty]), jnp.concatenate([critical, empty])


def _in_order(buckets: list[list[Array]], back: Array) -> list[Array]:
    """Counters of all buckets, with as many planes as the widest, in the order of the variables."""
    n_planes = max(len(planes) for planes in buckets)
    filled = [[*planes, *[jnp.zeros_like(planes[0])] * (n_planes - len(planes))] for planes in buckets]
    return [jnp.concatenate([planes[j] for planes in filled])[back] for j in range(n_planes)]


def _count(bucket: Bucket, flag: Callable[[Bucket], Array]) -> list[Array]:
    """Counters of the set flags of all occurrences, as planes. `flag` sees one place of every variable at a time."""
    width = bucket.clause.shape[1]
    n_planes = width.bit_length()

    def place(part: Bucket, j: int) -> Array:
        return flag(bucket._replace(clause=part.clause[:, j], negated=part.negated[:, j], others=part.others[:, j]))

    if width <= UNROLLED:
        return add_bits([place(bucket, j) for j in range(width)])[:n_planes]

    def block(i: Array, planes: list[Array]) -> list[Array]:
        def cut(array: Array) -> Array:
            return jax.lax.dynamic_slice_in_dim(array, i * UNROLLED, UNROLLED, axis=1)

        part = bucket._replace(clause=cut(bucket.clause), negated=cut(bucket.negated), others=cut(bucket.others))
        return _add(planes, add_bits([place(part, j) for j in range(UNROLLED)]))[:n_planes]

    zero = jnp.zeros_like(place(bucket, 0))
    return jax.lax.fori_loop(0, width // UNROLLED, block, [zero] * n_planes)


def add_bits(slots: list[UInt32[Array, "n w"]]) -> list[UInt32[Array, "n w"]]:
    """How many of the slots are set, as planes, by full adders: three bits of one weight become one and a carry."""
    columns, planes = [list(slots)], []
    while columns:
        column = columns.pop(0)
        carries: list[Array] = []
        while len(column) > 1:
            if len(column) == 2:
                a, b = column.pop(), column.pop()
                total, carry = a ^ b, a & b
            else:
                a, b, c = column.pop(), column.pop(), column.pop()
                half = a ^ b
                total, carry = half ^ c, (a & b) | (half & c)
            column.append(total)
            carries.append(carry)
        planes.append(column[0])
        if columns:
            columns[0] = carries + columns[0]
        elif carries:
            columns.append(carries)
    return planes


def _add(a: list[Array], b: list[Array]) -> list[Array]:
    """Two numbers as planes, by a ripple carry; the result is as long as the longer one, and one more."""
    length = max(len(a), len(b))
    zero = jnp.zeros_like(a[0])
    a, b = [*a, *[zero] * (length - len(a))], [*b, *[zero] * (length - len(b))]
    carry, out = zero, []
    for p, q in zip(a, b, strict=True):
        half = p ^ q
        out.append(half ^ carry)
        carry = (p & q) | (half & carry)
    return [*out, carry]
