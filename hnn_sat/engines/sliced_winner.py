"""Winner-take-all over all variables, 32 replicas a word, with a handful of random numbers instead of n.

The variables of equal worth are exchangeable: the largest noise among c of them has the quantile u^(1/c) of one uniform
number u, and each of them is as likely to have it. So one noise for every value that a worth takes, instead of one for
every variable, gives the winner the same law, for any noise. Worths are counted by full adders (`bit_sliced`), as
planes over replicas, and turned by 32 x 32 transpositions into planes over variables, in which a value's variables are
found, counted and picked by word operations.
"""

import math
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, UInt32

from aimc.devices.base import static
from aimc.noise import random_bits
from hnn_sat.dynamics.base import Dynamic, Look
from hnn_sat.dynamics.winner import WinnerTakeAll
from hnn_sat.engines import bit_sliced
from hnn_sat.engines.base import Engine
from hnn_sat.engines.bit_planes import select_bit
from hnn_sat.problem import Problem, true_literal_counts

LARGEST = 2048  # variables; the words of all are written out
HIGHEST = 5.5  # no normal number that is drawn here is larger

Words = tuple[UInt32[Array, "*r"], ...]
"""A bit for each variable: word k of a replica has variables 32 k to 32 k + 31."""


class Tables(NamedTuple):
    """The occurrences; where padding ends; and what is added to D or taken from it to make it a positive number."""

    problem: Problem
    sliced: bit_sliced.Tables
    is_variable: tuple[UInt32[Array, ""], ...]
    constants: tuple[tuple[tuple[UInt32[Array, ""], ...], ...], ...]
    """For x = 0 and x = 1, planes of words."""
    bound: Int[Array, ""]
    """The largest degree; no gain is below minus that."""


class State(NamedTuple):
    """The assignment, what every flip is worth (planes, least significant first) and the energy of all replicas.

    worth: make, or make − break plus the largest degree. loss: break, where worth is make; else nothing."""

    x: Words
    worth: tuple[Words, ...]
    loss: tuple[Words, ...]
    n_violated: Int[Array, "*r"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class SlicedGains(Engine):
    """All worths of all replicas, ready for `ByWorth`; worth "gain" or "make"."""

    worth: str = static("gain")

    def prepare(self, key: Key[Array, ""], problem: Problem) -> Tables:
        """Not random."""
        sliced = bit_sliced.tables(problem)
        n, n_words = problem.n_variables, -(-problem.n_variables // 32)
        literal = np.asarray(problem.literal)
        code = np.bincount(literal[literal < 2 * n], minlength=2 * n).reshape(n, 2)
        bound, negative = int(code.sum(axis=1).max(initial=0)), code[:, 1]
        # gain + bound is D + (bound - negative) for x = 0 and ~D + (negative + bound + 1) for x = 1.
        added = (bound - negative, negative + bound + 1) if self.worth == "gain" else ()
        planes = [[_words(value >> j & 1, n_words) for j in range((2 * bound + 1).bit_length())] for value in added]
        return Tables(
            problem,
            sliced,
            tuple(jnp.asarray(word) for word in _words(np.ones(n, np.int64), n_words)),
            tuple(tuple(tuple(jnp.asarray(word) for word in words) for words in value) for value in planes),
            jnp.int32(bound),
        )

    def start(self, tables: Tables, xs: Bool[Array, "r n"]) -> State:
        """From the assignments, the energy counted clause by clause."""
        n = xs.shape[1]
        n_words = -(-n // 32)
        bits = jnp.pad(xs, ((0, 0), (0, 32 * n_words - n))).T.reshape(n_words, 32, -1).astype(jnp.uint32)
        x = jnp.sum(bits << jnp.arange(32, dtype=jnp.uint32)[None, :, None], axis=1, dtype=jnp.uint32)
        energy = jax.lax.map(lambda x: jnp.sum(true_literal_counts(tables.problem, x) == 0, dtype=jnp.int32), xs)
        return self._evaluated(tables, tuple(x), energy)

    def flip(self, tables: Tables, state: State, literals: Int[Array, " r"]) -> State:
        """One variable of each replica; the energy falls by the gain that was counted before."""
        variable = literals >> 1
        word, bit = variable >> 5, (variable & 31).astype(jnp.uint32)

        def value(planes: tuple[Words, ...]) -> Int[Array, " r"]:
            bits = [((_pick(words, word) >> bit) & 1) << np.uint32(j) for j, words in enumerate(planes)]
            return reduce(jnp.bitwise_or, bits).astype(jnp.int32)

        gain = value(state.worth) - (tables.bound if self.worth == "gain" else value(state.loss))
        is_flip = variable < tables.problem.n_variables
        x = tuple(
            words ^ jnp.where(is_flip & (word == k), jnp.uint32(1) << bit, jnp.uint32(0))
            for k, words in enumerate(state.x)
        )
        energy = state.n_violated - jnp.where(is_flip, gain, 0)
        return self._evaluated(tables, *jax.lax.optimization_barrier((x, energy)))

    def n_violated(self, tables: Tables, state: State) -> Int[Array, " r"]:
        """The exact energy."""
        return state.n_violated

    def look(self, key: Key[Array, ""], tables: Tables, state: State) -> State:
        """The worths themselves; key is not used."""
        return state

    def _evaluated(self, tables: Tables, x: Words, energy: Int[Array, " r"]) -> State:
        n, r = tables.problem.n_variables, energy.shape[0]
        filled = jnp.stack([jnp.pad(words, (0, -r % 32)).reshape(32, -1) for words in x])
        by_replica = transpose(filled).reshape(32 * len(x), -1)[:n]
        if self.worth == "gain":
            d, _ = bit_sliced.gain_planes(tables.sliced, by_replica)
            planes = self._by_variable(d, r)
            zero = tuple(jnp.zeros_like(words) for words in x)
            planes = planes + (zero,) * (len(tables.constants[0]) - len(planes))
            carry, worth = zero, []
            for own, if_false, if_true in zip(planes, *tables.constants, strict=True):
                a = [words ^ value for words, value in zip(own, x, strict=True)]
                b = [(~v & p) | (v & q) for v, p, q in zip(x, if_false, if_true, strict=True)]
                worth.append(tuple(p ^ q ^ c for p, q, c in zip(a, b, carry, strict=True)))
                carry = tuple((p & q) | ((p ^ q) & c) for p, q, c in zip(a, b, carry, strict=True))
            return State(x, tuple(worth), (), energy)
        flags = bit_sliced.clause_flags(tables.problem, by_replica)
        makes, breaks = bit_sliced.count_planes(tables.sliced, by_replica, *flags)
        return State(x, self._by_variable(makes, r), self._by_variable(breaks, r), energy)

    def _by_variable(self, planes: list[UInt32[Array, "n w"]], n_replicas: int) -> tuple[Words, ...]:
        # The barriers keep every counter a loop of its own: one loop of all adders takes minutes to compile.
        planes = jax.lax.optimization_barrier(planes)
        n, w = planes[0].shape
        filled = jnp.stack([jnp.pad(plane, ((0, -n % 32), (0, 0))).reshape(-1, 32, w) for plane in planes])
        turned = transpose(jax.lax.optimization_barrier(filled))
        return tuple(tuple(words.reshape(-1)[:n_replicas] for words in plane) for plane in turned)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class ByWorth(Dynamic):
    """The rule `WinnerTakeAll` with one noise for every value of the worth; the law of the flip is the same.

    `source` "normal" or "uniform". Equal noisy worths have probability zero unless the level is 0, when each of the
    best variables is as likely."""

    noise = 0.8

    source: str = static("normal")

    def n_words(self, n_variables: int) -> int:
        """Two of a Threefry key, whose blocks are the noises, and one for the place among equals."""
        return 3

    def draw(self, key: Key[Array, ""], shape: tuple[int, int], n_variables: int) -> tuple[Array, Array, Array]:
        """Three independent uniform words each; key is consumed."""
        words = random_bits(key, (3, *shape))
        return words[0], words[1], words[2]

    def step(self, draw: tuple[Array, Array, Array], look: Look, setup: Any, level: Array, t: Array) -> Array:
        """One flip. Values are tried from the best down, until no lower one can win."""
        view, is_variable = look.view, look.tables.is_variable
        best = jax.lax.optimization_barrier(_largest(view.worth, is_variable))
        top = HIGHEST if self.source == "normal" else math.sqrt(3.0)

        def members(below: Array) -> Words:
            return _equal(view.worth, is_variable, best - below)

        def can_win(loop: tuple[Array, Array, Array]) -> Array:
            below, score, _ = loop
            return (below <= best) & (level * top - below.astype(jnp.float32) > score)

        def attempt(loop: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            below, score, winner = loop
            count = _count(members(below)).astype(jnp.float32)
            eta = self._largest_noise(_word(draw[0], draw[1], below), jnp.maximum(count, 1.0))
            new = jnp.where(count > 0, level * eta - below.astype(jnp.float32), -jnp.inf)
            return below + 1, jnp.maximum(score, new), jnp.where(new > score, below, winner)

        zero = jnp.int32(0)
        # At level 0 the best value wins with score 0, whatever its noise.
        _, _, winner = jax.lax.while_loop(can_win, attempt, (zero, jnp.float32(-jnp.inf), zero))
        chosen = members(winner)
        index = _member(chosen, draw[2] % jnp.maximum(_count(chosen), 1).astype(jnp.uint32))
        value = (_pick(view.x, index >> 5) >> (index & 31).astype(jnp.uint32)) & 1
        return 2 * index + value.astype(jnp.int32)

    def _largest_noise(self, word: UInt32[Array, ""], count: Float[Array, ""]) -> Float[Array, ""]:
        u = ((word >> 8).astype(jnp.float32) + 0.5) * np.float32(2.0**-24)
        centred = jnp.clip(2.0 * jnp.exp(jnp.log(u) / count) - 1.0, -1.0 + 2.0**-23, 1.0 - 2.0**-23)
        if self.source == "uniform":
            return centred * math.sqrt(3.0)
        return jax.lax.erf_inv(centred) * math.sqrt(2.0)


def paired(engine: Engine, dynamic: Dynamic, problem: Problem) -> tuple[Engine, Dynamic]:
    """What a search runs for this engine and rule: winner-take-all on bit slices has a form of its own."""
    is_own = isinstance(engine, bit_sliced.BitSliced) and isinstance(dynamic, WinnerTakeAll) and engine.by_worth
    if is_own and problem.n_variables <= LARGEST:
        return SlicedGains(worth=dynamic.worth), ByWorth(source=dynamic.source)
    return engine, dynamic


def transpose(blocks: UInt32[Array, "*b 32 w"]) -> UInt32[Array, "*b 32 w"]:
    """Bit j of row i becomes bit i of row j: halves of ever smaller blocks are swapped (Hacker's Delight, 7-3)."""
    shape = blocks.shape
    for size, mask in ((16, 0x0000FFFF), (8, 0x00FF00FF), (4, 0x0F0F0F0F), (2, 0x33333333), (1, 0x55555555)):
        low, shift = np.uint32(mask), np.uint32(size)
        pairs = blocks.reshape(*shape[:-2], 16 // size, 2, size, shape[-1])
        a, b = pairs[..., 0, :, :], pairs[..., 1, :, :]
        new = jnp.stack([(a & low) | ((b & low) << shift), ((a >> shift) & low) | (b & ~low)], axis=-3)
        # Without the barrier every word would be computed from all 32.
        blocks = jax.lax.optimization_barrier(new.reshape(shape))
    return blocks


def _words(bits: Int[np.ndarray, " n"], n_words: int) -> list[np.uint32]:
    filled = np.zeros(32 * n_words, np.uint64)
    filled[: len(bits)] = bits
    return list((filled.reshape(n_words, 32) << np.arange(32, dtype=np.uint64)).sum(axis=1).astype(np.uint32))


def _count(words: Words) -> Int[Array, ""]:
    return sum((jax.lax.population_count(word) for word in words[1:]), jax.lax.population_count(words[0])).astype(
        jnp.int32
    )


def _largest(planes: tuple[Words, ...], candidates: Words) -> Int[Array, ""]:
    """The largest value, bit by bit from the highest: who has the bit stays, if anyone has it."""
    value = jnp.int32(0)
    for j, plane in reversed(list(enumerate(planes))):
        having = [c & p for c, p in zip(candidates, plane, strict=True)]
        anyone = reduce(jnp.bitwise_or, having) != 0
        narrowed = tuple(jnp.where(anyone, h, c) for h, c in zip(having, candidates, strict=True))
        candidates = jax.lax.optimization_barrier(narrowed)
        value = value | (anyone.astype(jnp.int32) << j)
    return value


def _equal(planes: tuple[Words, ...], candidates: Words, value: Int[Array, ""]) -> Words:
    """The candidates that have a value."""
    # All ones where the bit of the value is 0: then the plane must be 0 there.
    flips = [((value >> j) & 1).astype(jnp.uint32) - np.uint32(1) for j in range(len(planes))]
    return tuple(
        reduce(jnp.bitwise_and, [plane[k] ^ flip for plane, flip in zip(planes, flips, strict=True)], candidate)
        for k, candidate in enumerate(candidates)
    )


def _pick(words: Words, index: Array) -> Array:
    return reduce(jnp.bitwise_or, [jnp.where(index == k, word, np.uint32(0)) for k, word in enumerate(words)])


def _member(words: Words, rank: UInt32[Array, ""]) -> Int[Array, ""]:
    """The variable that has `rank` set bits before it; it must exist."""
    before, index, word, rest = jnp.uint32(0), jnp.int32(0), words[0], rank
    for k, own in enumerate(words[1:]):
        before = before + jax.lax.population_count(words[k])
        is_later = rank >= before
        index = jnp.where(is_later, k + 1, index)
        word, rest = jnp.where(is_later, own, word), jnp.where(is_later, rank - before, rest)
    return 32 * index + select_bit(word, rest)


def _word(low: UInt32[Array, ""], high: UInt32[Array, ""], number: Int[Array, ""]) -> UInt32[Array, ""]:
    """Threefry under the key (low, high + number): keys of all values and replicas differ but for one case in 2^64."""
    return random_bits(jax.random.wrap_key_data(jnp.stack([low, high + number.astype(jnp.uint32)])), ())
