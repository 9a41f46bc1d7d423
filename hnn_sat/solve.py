"""Run many replicas until one, or every one, satisfies the formula or a limit is reached."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from aimc.noise import random_bits
from hnn_sat.dynamics import walksat
from hnn_sat.engines import bit_planes
from hnn_sat.problem import Problem

LARGEST_FLIPS = 2**31 - 32  # flips, and the ends of blocks of 32, are counted in 32-bit integers
FIRST_CHUNK_FLIPS = 64
FLIPS_A_DRAW = 32  # random words are drawn for this many flips at once
CHUNK_S = 0.2  # a limit or an interrupt acts within about this time


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how randomly to search.

    max_flips and restart_after (a fresh random assignment every so many flips; None: never) are per replica.
    noise: probability of a random variable when every variable of the clause breaks another clause. One half suits
    3-SAT; longer clauses want less.
    Raises ValueError when a value cannot be meant.
    """

    max_flips: int = 1_000_000
    restart_after: int | None = None
    noise: float = 0.5
    replicas: int = 128

    def __post_init__(self) -> None:
        for name, least in (("max_flips", 0), ("restart_after", 1), ("replicas", 1)):
            value = getattr(self, name)
            if value is not None and not least <= value <= LARGEST_FLIPS:
                raise ValueError(f"Schedule.{name} must be from {least} to {LARGEST_FLIPS}, got {value}")
        if not 0.0 <= self.noise <= 1.0:
            raise ValueError(f"Schedule.noise must be a probability from 0 to 1, got {self.noise}")


class Progress(NamedTuple):
    """What is known between two stretches of the search."""

    n_flips: int  # by each replica that is still running
    n_solved: int
    n_unsatisfied: int  # least met by any replica


class Result(NamedTuple):
    """Where every replica came to. Failure is a value: a replica that is not solved was stopped by a limit."""

    assignments: Bool[Array, "replicas n"]  # best met
    n_unsatisfied: Int[Array, " replicas"]  # clauses violated by it
    n_flips: Int[Array, " replicas"]  # flips made, over all restarts
    solved: Bool[Array, " replicas"]

    @property
    def assignment(self) -> Bool[Array, " n"]:
        """The best of all replicas."""
        return self.assignments[jnp.argmin(self.n_unsatisfied)]


def solve(
    key: Key[Array, ""],
    problem: Problem,
    schedule: Schedule = Schedule(),
    *,
    until: Literal["first", "all"] = "first",
    time_limit_s: float = math.inf,
    watch: Callable[[Progress], bool] | None = None,
) -> Result:
    """Search for a satisfying assignment with WalkSAT/SKC from uniformly random starts.

    until: "first" stops every replica when one is solved; "all" lets each run to its own solution, for statistics.
    A replica is solved only when the exact number of violated clauses is zero.
    time_limit_s and watch act between stretches of about a fifth of a second; watch returns True to stop. How the run
    is cut into stretches has no influence on the flips made.
    key is split into one for the starts and one for the flips, folded with the number of the restart or of the block
    of 32 flips.
    Raises ValueError if the formula is too large for the bit planes.
    """
    if problem.n_clauses == 0:  # nothing to violate, and no clause to index
        none = jnp.zeros(schedule.replicas, jnp.int32)
        return Result(jnp.zeros((schedule.replicas, problem.n_variables), bool), none, none, none == 0)
    start_key, flip_key = jax.random.split(key)
    tables = bit_planes.tables(problem)
    noise = jnp.float32(schedule.noise)
    began = time.monotonic()
    period = schedule.restart_after or LARGEST_FLIPS

    state = _start(jax.random.fold_in(start_key, 0), tables, schedule.replicas)
    done, chunk = 0, FIRST_CHUNK_FLIPS
    while True:
        stretch_began = time.monotonic()
        stop = min(done + chunk, schedule.max_flips, done - done % period + period)
        state = _run(flip_key, state, tables, noise, jnp.int32(done), jnp.int32(stop), until)
        done, n_solved, n_unsatisfied = stop, int(jnp.sum(state.n_best == 0)), int(jnp.min(state.n_best))
        elapsed = time.monotonic() - stretch_began
        if elapsed < CHUNK_S / 2:
            chunk = min(2 * chunk, LARGEST_FLIPS // 4)
        elif elapsed > 2 * CHUNK_S:
            chunk = max(chunk // 2, 1)
        is_enough = n_solved >= (1 if until == "first" else schedule.replicas)
        is_late = time.monotonic() - began >= time_limit_s
        if is_enough or is_late or done >= schedule.max_flips:
            break
        if watch is not None and watch(Progress(done, n_solved, n_unsatisfied)):
            break
        if done % period == 0:
            state = _restart(jax.random.fold_in(start_key, done // period), state, tables)

    return Result(
        assignments=jax.vmap(partial(walksat.unpack, n_variables=problem.n_variables))(state.best_x),
        n_unsatisfied=state.n_best,
        n_flips=state.n_flips,
        solved=state.n_best == 0,
    )


@partial(jax.jit, static_argnames="replicas")
def _start(key: Key[Array, ""], tables: bit_planes.Tables, replicas: int) -> walksat.State:
    return jax.lax.map(partial(walksat.start, tables), _random_assignments(key, replicas, tables))


@jax.jit
def _restart(key: Key[Array, ""], state: walksat.State, tables: bit_planes.Tables) -> walksat.State:
    xs = _random_assignments(key, state.n_flips.shape[0], tables)
    # One replica after the other: the counts of all at once would need 32 times the memory of their bit planes.
    return jax.lax.map(lambda pair: walksat.restart(tables, *pair), (xs, state))


@partial(jax.jit, static_argnames="until")
def _run(
    key: Key[Array, ""],
    state: walksat.State,
    tables: bit_planes.Tables,
    noise: Float[Array, ""],
    begin: Int[Array, ""],
    stop: Int[Array, ""],
    until: Literal["first", "all"],
) -> walksat.State:
    """Flips begin to stop - 1 of every replica, fewer if one is, or all are, solved."""
    replicas = state.n_flips.shape[0]
    step = jax.vmap(walksat.step, in_axes=(0, 0, None, None))
    is_enough = jnp.any if until == "first" else jnp.all

    def is_running(loop: tuple[Int[Array, ""], walksat.State], end: Int[Array, ""]) -> Bool[Array, ""]:
        return (loop[0] < end) & ~is_enough(loop[1].n_best == 0)

    def block(loop: tuple[Int[Array, ""], walksat.State]) -> tuple[Int[Array, ""], walksat.State]:
        index = loop[0] // FLIPS_A_DRAW
        words = random_bits(jax.random.fold_in(key, index), (FLIPS_A_DRAW, replicas, walksat.N_RANDOM_WORDS))
        end = jnp.minimum(stop, (index + 1) * FLIPS_A_DRAW)
        return jax.lax.while_loop(
            lambda loop: is_running(loop, end),
            lambda loop: (loop[0] + 1, step(words[loop[0] % FLIPS_A_DRAW], loop[1], tables, noise)),
            loop,
        )

    return jax.lax.while_loop(lambda loop: is_running(loop, stop), block, (begin, state))[1]


def _random_assignments(key: Key[Array, ""], replicas: int, tables: bit_planes.Tables) -> Bool[Array, "replicas n"]:
    return jax.random.bernoulli(key, shape=(replicas, tables.problem.n_variables))
