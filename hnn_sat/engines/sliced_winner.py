"""Winner-take-all over all variables, 32 replicas a word, with a handful of random numbers instead of n.

The variables of equal worth are exchangeable: the largest noise among c of them has the quantile u^(1/c) of one uniform
number u, and each of them is as likely to have it. So one noise for every value that a worth takes, instead of one for
every variable, gives the winner the same law, for any noise. Worths are counted by full adders (`bit_sliced`) into
planes; the variables of one value are an AND of planes, counted in the bytes of words, and the winner's place among
its equals is found by halving the rows, which yields the number of the variable bit by bit, sliced as well.
"""

import math
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, UInt32

from aimc import noise
from aimc.devices.base import static
from hnn_sat.dynamics.base import Dynamic
from hnn_sat.dynamics.winner import WinnerTakeAll
from hnn_sat.engines import bit_sliced
from hnn_sat.engines.base import Engine, OwnLoop
from hnn_sat.engines.bit_sliced import stage
from hnn_sat.levels import NoiseLevel
from hnn_sat.problem import Problem

LARGEST = 2048  # variables; with more, a block of replicas leaves the cache
BLOCK = 64  # words of 32 replicas that are advanced at once
BYTES = np.uint32(0x01010101)
CHUNK = 128  # rows that are counted in bytes, of at most 255
UNROLLED = 32  # rows in one pass of a loop
HIGHEST, SMALLEST = 5.3, 5.8e-8  # normal noise ends there, as that of the float rule does; and the tail beyond


class Tables(NamedTuple):
    """The occurrences; and what is added to D, or to ~D where x is set, so that gain + bound results."""

    problem: Problem
    sliced: bit_sliced.Tables
    added: UInt32[Array, "2 planes n"]  # all ones where the bit is set
    bound: Int[Array, ""]
    """The most occurrences of a literal; no gain is below minus that."""


class Replicas(NamedTuple):
    """All replicas, in blocks; replica 32 w + j of a block is bit j of word w, and entry (j, w) of the numbers.

    Replicas that fill the last words count as solved."""

    x: UInt32[Array, "b n w"]
    n_violated: Int[Array, "b 32 w"]
    best_x: UInt32[Array, "b n w"]
    n_best: Int[Array, "b 32 w"]
    n_flips: Int[Array, "b 32 w"]


class State(NamedTuple):
    """The replicas, their number of flips and least energy in order, and when the last restart was."""

    replicas: Replicas
    key: Key[Array, ""]
    began: int | None  # None: not one iteration ago
    n_best: Int[Array, " r"]
    n_flips: Int[Array, " r"]

    @property
    def n_iterations(self) -> Int[Array, " r"]:
        """Every iteration flips."""
        return self.n_flips


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class SlicedWinner(OwnLoop):
    """The rule `WinnerTakeAll` with one noise for every value of the worth; the law of the flip is the same.

    worth "gain" or "make", source "normal" or "uniform". Equal noisy worths have probability zero unless the level is
    0, when each of the best variables is as likely."""

    worth: str = static("gain")
    source: str = static("normal")

    def piece(self, problem: Problem) -> int:
        """All replicas advance together."""
        return 1

    def check(self, dynamic: Any, level: Any) -> None:
        """Raises ValueError for a rule that it does not run."""
        if dynamic != WinnerTakeAll(worth=self.worth, source=self.source):
            raise ValueError(f"engine SlicedWinner runs winner-take-all only, got {dynamic}; choose another engine")

    def prepare(self, key: Key[Array, ""], problem: Problem) -> Tables:
        """The occurrences. Not random."""
        literal, n = np.asarray(problem.literal), problem.n_variables
        degree = np.bincount(literal[literal < 2 * n], minlength=2 * n).reshape(n, 2)
        bound, negative = int(degree.max(initial=0)), degree[:, 1]
        # gain is D - negative for x = 0 and negative - D for x = 1; -D is ~D + 1.
        added = np.stack([bound - negative, negative + bound + 1])
        bit = np.arange((2 * bound).bit_length())[None, :, None]
        ones = np.where(added[:, None] >> bit & 1, np.uint32(0xFFFFFFFF), np.uint32(0))
        return Tables(problem, bit_sliced.tables(problem), jnp.asarray(ones), jnp.int32(bound))

    def begin(self, key: Key[Array, ""], tables: Tables, xs: Bool[Array, "r n"]) -> State:
        """All replicas at xs; key is consumed by the noise of the whole search."""
        impl = "threefry2x32" if noise.define_prng_impl is None else noise.HASH
        own = jax.random.wrap_key_data(jax.random.bits(key, (2,), jnp.uint32), impl=impl)
        return _state(_start(tables, xs), own, 0, xs.shape[0])

    def again(self, tables: Tables, xs: Bool[Array, "r n"], state: State) -> State:
        """Unsolved replicas from xs; the best is kept."""
        fresh, old = _start(tables, xs), state.replicas
        is_solved = old.n_best == 0
        x = _chosen(_packed(is_solved), old.x, fresh.x)
        energy = jnp.where(is_solved, 0, fresh.n_violated)
        moved = _remember(Replicas(x, energy, old.best_x, old.n_best, old.n_flips), jnp.bool_(True))
        return _state(moved, state.key, None, xs.shape[0])

    def run(
        self, state: State, tables: Tables, level: NoiseLevel, begin: int, stop: int, until: Literal["first", "all"]
    ) -> tuple[State, int]:
        """Iterations of every replica that is not solved, until one is, or all are."""
        n_replicas = state.n_best.shape[0]
        began = begin if state.began is None else state.began
        n_enough = state.replicas.n_best.size - n_replicas + (1 if until == "first" else n_replicas)
        times = jnp.array([begin, stop, began, n_enough], jnp.int32)
        replicas, reached = _run(state.replicas, tables, state.key, level, times, self)
        return _state(replicas, state.key, began, n_replicas), int(reached)

    def best(self, state: State) -> Bool[Array, "r n"]:
        """The best assignments met."""
        words = jnp.moveaxis(state.replicas.best_x, 1, 0)
        return bit_sliced.unslice(words.reshape(words.shape[0], -1), state.n_best.shape[0])


def paired(engine: Engine, dynamic: Dynamic, problem: Problem) -> Engine:
    """The engine that a search runs: winner-take-all on bit slices has one of its own."""
    is_own = isinstance(engine, bit_sliced.BitSliced) and isinstance(dynamic, WinnerTakeAll) and engine.by_worth
    if is_own and problem.n_variables <= LARGEST:
        return SlicedWinner(worth=dynamic.worth, source=dynamic.source)
    return engine


def _state(replicas: Replicas, key: Key[Array, ""], began: int | None, n: int) -> State:
    n_best, n_flips = (jnp.swapaxes(a, 1, 2).reshape(-1)[:n] for a in (replicas.n_best, replicas.n_flips))
    return State(replicas, key, began, n_best, n_flips)


@jax.jit
def _start(tables: Tables, xs: Bool[Array, "r n"]) -> Replicas:
    r, n = xs.shape
    n_words = -(-r // 32)
    n_blocks = -(-n_words // BLOCK)
    width = -(-n_words // n_blocks)
    words = jnp.pad(bit_sliced.slice_replicas(xs), ((0, 0), (0, n_blocks * width - n_words)))
    x = jnp.moveaxis(words.reshape(n, n_blocks, width), 1, 0)
    number = jnp.arange(n_blocks * width * 32).reshape(n_blocks, width, 32).swapaxes(1, 2)
    energy = jax.lax.map(lambda x: _n_violated(tables, x), x)
    energy = jnp.where(number < r, energy, 0)
    return Replicas(x, energy, x, energy, jnp.zeros_like(energy))


@partial(jax.jit, static_argnames="engine")
def _run(
    replicas: Replicas,
    tables: Tables,
    key: Key[Array, ""],
    level: NoiseLevel,
    times: Int[Array, "4"],
    engine: SlicedWinner,
) -> tuple[Replicas, Int[Array, ""]]:
    """times: the first iteration, the last plus one, that of the last restart; and how many solved replicas end it."""
    begin, stop, began, n_enough = times

    def is_running(loop: tuple[Int[Array, ""], Replicas]) -> Bool[Array, ""]:
        return (loop[0] < stop) & (jnp.sum(loop[1].n_best == 0, dtype=jnp.int32) < n_enough)

    def iteration(loop: tuple[Int[Array, ""], Replicas]) -> tuple[Int[Array, ""], Replicas]:
        t, replicas = loop
        now = jax.random.fold_in(key, t)

        def advance(block: tuple[Int[Array, ""], Replicas]) -> Replicas:
            own = jax.random.fold_in(now, block[0])
            return _advance(tables, engine, own, level.at(t - began), t >= 0, block[1])

        return t + 1, jax.lax.map(advance, (jnp.arange(replicas.x.shape[0]), replicas))

    reached, replicas = jax.lax.while_loop(is_running, iteration, (begin, replicas))
    return replicas, reached


def _advance(
    tables: Tables, engine: SlicedWinner, key: Key[Array, ""], level: Array, on: Bool[Array, ""], block: Replicas
) -> Replicas:
    is_active = block.n_violated > 0
    active = stage(on, _packed, is_active)
    planes, bound = worth_planes(tables, engine.worth, block.x, on)
    value, count = winning_worth(key, planes, is_active, active, level, engine.source, on)
    words = noise.random_bits(jax.random.fold_in(key, 2**31), count.shape)
    rank = jax.lax.rem(words, jnp.maximum(count, 1).astype(jnp.uint32)).astype(jnp.int32)
    equal = stage(on, members, planes, stage(on, partial(_sliced, n_planes=len(planes)), value))
    variable = nth_member(equal, rank, on)
    n = block.x.shape[0]
    bits = [_row_bits(np.arange(n), j) for j in range(len(variable))]
    chosen = reduce(jnp.bitwise_and, [~(d ^ b) for d, b in zip(variable, bits, strict=True)], active)
    x = stage(on, jnp.bitwise_xor, block.x, jnp.broadcast_to(chosen, block.x.shape))
    if engine.worth == "gain":
        energy = block.n_violated - jnp.where(is_active, value - bound, 0)
    else:
        energy = jnp.where(is_active, _n_violated(tables, x), 0)
    return _remember(Replicas(x, energy, block.best_x, block.n_best, block.n_flips + is_active), on)


def worth_planes(
    tables: Tables, worth: str, x: UInt32[Array, "n w"], on: Bool[Array, ""] | bool = True
) -> tuple[list[UInt32[Array, "n w"]], Array]:
    """Make, or gain + bound; and what was added."""
    if worth == "make":
        return bit_sliced.make_planes(tables.sliced, x, on), jnp.int32(0)
    planes, _ = bit_sliced.gain_planes(tables.sliced, x, on)
    return stage(on, _sum, planes, x, tables.added), tables.bound


def _sum(
    planes: list[UInt32[Array, "n w"]], x: UInt32[Array, "n w"], added: UInt32[Array, "2 planes n"]
) -> list[UInt32[Array, "n w"]]:
    """By a ripple carry; what lies beyond the planes of the sum is not needed."""
    carry, out = jnp.zeros_like(x), []
    for j in range(added.shape[1]):
        p = planes[j] ^ x if j < len(planes) else x
        q = added[0, j][:, None] ^ (x & (added[0, j] ^ added[1, j])[:, None])
        out.append(p ^ q ^ carry)
        carry = (p & q) | ((p ^ q) & carry)
    return out


def winning_worth(
    key: Key[Array, ""],
    planes: list[UInt32[Array, "n w"]],
    is_active: Bool[Array, "32 w"],
    active: UInt32[Array, " w"],
    level: Array,
    source: str,
    on: Bool[Array, ""],
) -> tuple[Int[Array, "32 w"], Int[Array, "32 w"]]:
    """The worth of each replica's winner, and how many variables have it. key is consumed.

    Values are tried from the best of any replica down, until no lower one can win anywhere."""
    top = HIGHEST if source == "normal" else math.sqrt(3.0)
    best = _largest(planes, active)

    def can_win(loop: tuple[Array, Array, Array, Array]) -> Array:
        value, score, _, _ = loop
        return (value >= 0) & (value + level * (top + 0.01) > jnp.min(jnp.min(score, axis=0)))

    def attempt(loop: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        value, score, winner, count = loop
        n_equal = count_rows(members(planes, [_all_if(value >> j & 1) for j in range(len(planes))]))
        bits = noise.random_bits(jax.random.fold_in(key, value), score.shape)

        def scored(bits: Array, n_equal: Array) -> Array:
            eta = largest_noise(bits, jnp.maximum(n_equal, 1).astype(jnp.float32), source)
            return jnp.where(n_equal > 0, value + level * eta, -jnp.inf)

        new = stage(on, scored, bits, n_equal)
        is_better = new > score
        return (
            value - 1,
            jnp.maximum(score, new),
            jnp.where(is_better, value, winner),
            jnp.where(is_better, n_equal, count),
        )

    nothing = jnp.zeros(is_active.shape, jnp.int32)
    # At level 0 the score is the value, so that the best wins whatever its noise.
    loop = best, jnp.where(is_active, -jnp.inf, jnp.inf).astype(jnp.float32), nothing, nothing
    _, _, winner, count = jax.lax.while_loop(can_win, attempt, loop)
    return winner, count


def largest_noise(word: UInt32[Array, "*r"], count: Float[Array, "*r"], source: str) -> Float[Array, "*r"]:
    """The largest of `count` independent noises, from one uniform number u: the quantile at u^(1/count)."""
    v = ((word >> 8).astype(jnp.float32) + 0.5) * np.float32(2.0**-24)  # 1 − u
    tail = -jnp.expm1(jnp.log1p(-v) / count)  # 1 − u^(1/c), as such, so that small ones keep their precision
    if source == "uniform":
        return (1.0 - 2.0 * tail) * math.sqrt(3.0)
    tail = jnp.clip(tail, SMALLEST, 1.0 - 2.0**-23)
    both = jnp.log2(tail * (1.0 - tail)) + 14.0
    return (1.0 - 2.0 * tail) * reduce(lambda value, c: value * both + c, noise.TAIL[-2::-1], noise.TAIL[-1])


def members(planes: list[UInt32[Array, "n w"]], value: list[Any]) -> UInt32[Array, "n w"]:
    """Where the planes hold a value, given as one word, or a row of words, for each plane."""
    return reduce(jnp.bitwise_and, [~(plane ^ bit) for plane, bit in zip(planes, value, strict=True)])


def count_rows(rows: UInt32[Array, "n w"]) -> Int[Array, "32 w"]:
    """How many rows have each bit. Every fourth byte of a sum of shifted words counts for one bit."""
    n, w = rows.shape
    chunk = min(CHUNK, -(-n // UNROLLED) * UNROLLED)
    rows = jnp.pad(rows, ((0, -n % chunk), (0, 0)))
    shift = np.arange(8, dtype=np.uint32)[:, None]

    def some(start: Array, i: Array, total: Array) -> Array:
        part = jax.lax.dynamic_slice_in_dim(rows, start + i * UNROLLED, UNROLLED)
        return reduce(jnp.add, [(part[r][None] >> shift) & BYTES for r in range(UNROLLED)], total)

    def one(i: Array, total: Array) -> Array:
        add = partial(some, i * chunk)
        sums = jax.lax.fori_loop(0, chunk // UNROLLED, add, jnp.zeros((8, w), jnp.uint32))
        # Bit 8 b + k is byte b of sum k.
        parts = (sums[None] >> (8 * np.arange(4, dtype=np.uint32))[:, None, None]) & np.uint32(255)
        return total + parts.reshape(32, w).astype(jnp.int32)

    return jax.lax.fori_loop(0, rows.shape[0] // chunk, one, jnp.zeros((32, w), jnp.int32))


def nth_member(rows: UInt32[Array, "n w"], rank: Int[Array, "32 w"], on: Bool[Array, ""]) -> list[UInt32[Array, " w"]]:
    """The row that is set and has `rank` set rows above it, bit by bit from the lowest; it must exist."""
    n = rows.shape[0]
    size = 1 << max(n - 1, 1).bit_length()
    rows, bits = jnp.pad(rows, ((0, size - n), (0, 0))), []
    while size > 1:
        size //= 2
        n_before = stage(on, lambda rows, size=size: _count_few(rows[:size]), rows)
        is_later = rank >= n_before
        later = stage(on, _packed, is_later)
        rank = jnp.where(is_later, rank - n_before, rank)
        bits.append(later)
        rows = stage(on, lambda rows, later, size=size: _chosen(later, rows[size:], rows[:size]), rows, later)
    return bits[::-1]


def _count_few(rows: UInt32[Array, "n w"]) -> Int[Array, "32 w"]:
    if rows.shape[0] >= UNROLLED:
        return count_rows(rows)
    shift = np.arange(32, dtype=np.uint32)[:, None]
    return reduce(jnp.add, [(row[None] >> shift) & np.uint32(1) for row in rows]).astype(jnp.int32)


def _n_violated(tables: Tables, x: UInt32[Array, "n w"]) -> Int[Array, "32 w"]:
    return count_rows(bit_sliced.clause_flags(tables.problem, x)[0])


def _largest(planes: list[UInt32[Array, "n w"]], candidates: UInt32[Array, " w"]) -> Int[Array, ""]:
    """The largest value that any candidate has, bit by bit from the highest."""
    value, equal = jnp.int32(0), []
    for j, plane in reversed(list(enumerate(planes))):
        having = reduce(jnp.bitwise_and, equal, plane & candidates)
        anyone = jnp.any(jax.lax.reduce(having, np.uint32(0), jax.lax.bitwise_or, (0,)) != 0)
        equal.append(~(plane ^ _all_if(anyone)))
        value = value | (anyone.astype(jnp.int32) << j)
    return value


def _remember(replicas: Replicas, on: Bool[Array, ""]) -> Replicas:
    is_better = stage(on, lambda now, best: _packed(now < best), replicas.n_violated, replicas.n_best)
    best_x = _chosen(is_better, replicas.x, replicas.best_x)
    return replicas._replace(best_x=best_x, n_best=jnp.minimum(replicas.n_violated, replicas.n_best))


def _chosen(mask: UInt32[Array, "*b w"], yes: UInt32[Array, "*b n w"], no: UInt32[Array, "*b n w"]) -> Array:
    mask = mask[..., None, :]
    return (yes & mask) | (no & ~mask)


def _packed(flags: Bool[Array, "*b 32 w"]) -> UInt32[Array, "*b w"]:
    """A bit for each replica."""
    bits = flags.astype(jnp.uint32)
    return reduce(jnp.bitwise_or, [bits[..., j, :] << np.uint32(j) for j in range(32)])


def _sliced(value: Int[Array, "32 w"], n_planes: int) -> list[UInt32[Array, " w"]]:
    return [_packed((value >> j & 1) > 0) for j in range(n_planes)]


def _row_bits(values: Any, j: int) -> UInt32[Array, "n 1"]:
    return _all_if(jnp.asarray(values, jnp.int32) >> j & 1)[:, None]


def _all_if(bit: Array) -> UInt32[Array, "*n"]:
    """All ones for 1, else 0."""
    return -bit.astype(jnp.int32).astype(jnp.uint32)
