"""WalkSAT/SKC on a CPU at the speed of compiled code, one replica after the other: the optional extra `numba`.

The law of the search is the same as on every exact engine, the starts are the same, the flips are not: their random
numbers are splitmix64's (Steele, Lea and Flood 2014), a sequence for each replica, seeded from the key.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int32, Int64, Key, UInt8, UInt16, UInt32, UInt64

from hnn_sat.dynamics.base import Dynamic
from hnn_sat.dynamics.walksat import WalkSAT
from hnn_sat.engines.base import OwnLoop
from hnn_sat.levels import Constant, NoiseLevel
from hnn_sat.problem import Problem

SHORTEST_PIECE = 1024  # iterations of a replica before the next one has its turn, where the first solution ends the run


class Tables(NamedTuple):
    """What stays fixed during a run: the literals of every clause and the clauses of every literal, ragged.

    half, mask: where a clause word is cut, and a power of two less one that no variable exceeds.
    """

    problem: Problem
    clause_start: Int32[np.ndarray, " m_plus_1"]
    clause_literal: UInt16[np.ndarray, " t"] | UInt32[np.ndarray, " t"]
    start: Int32[np.ndarray, " codes_plus_1"]
    occurrence: UInt16[np.ndarray, " t"] | UInt32[np.ndarray, " t"]
    half: np.uint64
    mask: np.uint64


class Buffers(NamedTuple):
    """All replicas between two stretches. A stretch writes into these arrays."""

    x: UInt8[np.ndarray, "r n"]
    words: UInt32[np.ndarray, "r m"] | UInt64[np.ndarray, "r m"]
    breaks: Int32[np.ndarray, "r variables"]
    false: UInt32[np.ndarray, "r m"]
    where: UInt32[np.ndarray, "r m"]
    n_violated: Int64[np.ndarray, " r"]
    random: UInt64[np.ndarray, " r"]
    best: UInt8[np.ndarray, "r n"]
    n_best: Int64[np.ndarray, " r"]
    n_iterations: Int64[np.ndarray, " r"]
    n_flips: Int64[np.ndarray, " r"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Numba(OwnLoop):
    """Compiled WalkSAT/SKC with a constant level; where it applies, the fastest engine on a CPU."""

    def piece(self, problem: Problem) -> int:
        """About as many iterations as keep the cost of fetching a replica's state small."""
        return max(SHORTEST_PIECE, problem.n_clauses)

    def check(self, dynamic: Dynamic, level: NoiseLevel) -> None:
        """Raises ValueError for any rule but WalkSAT at a constant level, and where numba is not installed."""
        if not isinstance(dynamic, WalkSAT):
            raise ValueError(
                f"engine Numba runs the rule WalkSAT only, got {type(dynamic).__name__}; choose BitPlanes or Sparse"
            )
        if not isinstance(level, Constant):
            raise ValueError(
                f"engine Numba keeps its noise level constant, got {type(level).__name__}; choose BitPlanes or Sparse"
            )
        if find_spec("numba") is None:
            raise ValueError(
                "engine Numba needs the package numba; install the extra: pip install 'barrierless[numba]'"
            )

    def prepare(self, key: Key[Array, ""], problem: Problem) -> Tables:
        """Both ragged tables, made on the host. Not random."""
        literal = np.asarray(problem.literal)
        is_literal = literal < 2 * problem.n_variables
        flat = literal[is_literal]
        clause = np.broadcast_to(np.arange(literal.shape[0])[:, None], literal.shape)[is_literal]
        # One half of a word holds a variable, the other a count.
        half = 16 if max(problem.n_variables, problem.longest_clause) < 2**16 else 32
        return Tables(
            problem=problem,
            clause_start=np.concatenate([[0], np.cumsum(is_literal.sum(axis=1))]).astype(np.int32),
            clause_literal=flat.astype(_narrow(2 * problem.n_variables)),
            start=np.searchsorted(np.sort(flat), np.arange(2 * problem.n_variables + 1)).astype(np.int32),
            occurrence=clause[np.argsort(flat, kind="stable")].astype(_narrow(problem.n_clauses)),
            half=np.uint64(half),
            mask=np.uint64((1 << max(problem.n_variables - 1, 0).bit_length()) - 1),
        )

    def begin(self, key: Key[Array, ""], tables: Tables, xs: Bool[Array, "r n"]) -> Buffers:
        """All replicas at xs; key is consumed by the seeds of their random numbers."""
        (replicas, n), m = xs.shape, tables.problem.n_clauses
        seeds = np.asarray(jax.random.bits(key, (replicas, 2), jnp.uint32)).astype(np.uint64)
        word = np.uint32 if tables.half == 16 else np.uint64
        state = Buffers(
            x=np.zeros((replicas, n), np.uint8),
            words=np.zeros((replicas, m), word),
            breaks=np.zeros((replicas, max(int(tables.mask), n) + 1), np.int32),
            false=np.zeros((replicas, m), np.uint32),
            where=np.zeros((replicas, m), np.uint32),
            n_violated=np.zeros(replicas, np.int64),
            random=seeds[:, 0] << np.uint64(32) | seeds[:, 1],
            best=np.asarray(xs).astype(np.uint8),
            n_best=np.full(replicas, m + 1, np.int64),
            n_iterations=np.zeros(replicas, np.int64),
            n_flips=np.zeros(replicas, np.int64),
        )
        return self.again(tables, xs, state)

    def again(self, tables: Tables, xs: Bool[Array, "r n"], state: Buffers) -> Buffers:
        """Count anew, best assignments kept."""
        from hnn_sat.engines import numba_kernel

        starts = np.asarray(xs).astype(np.uint8)
        for r in np.flatnonzero(state.n_best > 0):
            state.x[r] = starts[r]
            state.n_violated[r] = numba_kernel.recount(
                state.x[r], state.words[r], state.breaks[r], state.false[r], state.where[r],
                tables.clause_start, tables.clause_literal, tables.half,
            )  # fmt: skip
            if state.n_violated[r] < state.n_best[r]:
                state.n_best[r], state.best[r] = state.n_violated[r], state.x[r]
        return state

    def run(
        self,
        state: Buffers,
        tables: Tables,
        level: NoiseLevel,
        begin: int,
        stop: int,
        until: Literal["first", "all"],
    ) -> tuple[Buffers, int]:
        """A stretch of every replica, written into the buffers, and the iteration that it ended before."""
        from hnn_sat.engines import numba_kernel

        threshold = np.uint64(round(float(level.at(jnp.int32(0))) * 2.0**32))
        reached = numba_kernel.run_all(
            state.x, state.words, state.breaks, state.false, state.where, state.n_violated, state.random, state.best,
            state.n_best, state.n_iterations, state.n_flips, np.zeros(max(64, state.x.shape[1]), np.uint32),
            begin, stop, self.piece(tables.problem), until == "first", threshold,
            tables.clause_start, tables.clause_literal, tables.start, tables.occurrence, tables.half, tables.mask,
        )  # fmt: skip
        return state, int(reached)

    def best(self, state: Any) -> Bool[np.ndarray, "r n"]:
        """The best assignments met."""
        return state.best.astype(bool)


def _narrow(n_codes: int) -> type[np.unsignedinteger]:
    """Two bytes where they do: a flip waits for these tables, and what is shorter stays in the cache."""
    return np.uint16 if n_codes <= 2**16 else np.uint32
