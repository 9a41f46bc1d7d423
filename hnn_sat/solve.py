"""Run many replicas of any rule on any engine until one, or every one, satisfies the formula or a limit is reached."""

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Key

from hnn_sat import state as replicas_of
from hnn_sat.dynamics import Dynamic, WalkSAT
from hnn_sat.dynamics.base import unpack
from hnn_sat.engines import Engine, by_size
from hnn_sat.engines.base import OwnLoop
from hnn_sat.engines.sliced_winner import paired
from hnn_sat.levels import NoiseLevel, as_level
from hnn_sat.problem import Problem
from hnn_sat.schedule import LARGEST_FLIPS, Schedule
from hnn_sat.state import State

SCHEDULE, WALKSAT = Schedule(), WalkSAT()

FIRST_CHUNK_FLIPS = 64
FLIPS_A_DRAW = 32  # random numbers are drawn for this many iterations at once, or for fewer if they are many
LARGEST_DRAW = 2**22  # words
CHUNK_S = 0.2  # a limit or an interrupt acts within about this time


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
    n_iterations: Int[Array, " replicas"]  # with those in which nothing was flipped
    n_missed: Int[Array, " replicas"]  # wrong reports of a solution, caught by the exact check
    n_repaired: int = 0  # clauses moved to fresh cells, over all repairs
    final: Bool[Array, "replicas n"] | None = (
        None  # where each stood at the end; None from engines that loop themselves
    )

    @property
    def assignment(self) -> Bool[Array, " n"]:
        """The best of all replicas."""
        return self.assignments[jnp.argmin(self.n_unsatisfied)]


def solve(
    key: Key[Array, ""],
    problem: Problem,
    schedule: Schedule = SCHEDULE,
    *,
    dynamic: Dynamic = WALKSAT,
    engine: Engine | None = None,
    chip_key: Key[Array, ""] | None = None,
    until: Literal["first", "all"] = "first",
    time_limit_s: float = math.inf,
    watch: Callable[[Progress], bool] | None = None,
) -> Result:
    """Search for a satisfying assignment from uniformly random starts.

    dynamic: the rule that chooses the next flip; engine: the machine that counts for it, by default
    `hnn_sat.engines.by_size`. chip_key: of what the engine
    draws once (programming errors, stuck cells, offsets); give it to run one chip with many keys, or many chips with
    one. By default it is derived from key.
    until: "first" stops every replica when one is solved; "all" lets each run to its own solution, for statistics.
    A replica is solved only when the exact number of violated clauses is zero, whatever the machine reads.
    time_limit_s and watch act between stretches of about a fifth of a second; watch returns True to stop. How the run
    is cut into stretches has no influence on the flips made.
    key is split into one for the starts and one for the flips, folded with the number of the restart or of the block
    of iterations; the engine's two (what is drawn once, what is drawn at every reading) are folded from the second.
    Raises ValueError if the formula is too large for the engine, or a noise level is not one of the rule.
    """
    level = as_level(dynamic.noise if schedule.noise is None else schedule.noise, most=dynamic.most)
    if problem.n_clauses == 0:  # nothing to violate, and no clause to index
        none = jnp.zeros(schedule.replicas, jnp.int32)
        return Result(jnp.zeros((schedule.replicas, problem.n_variables), bool), none, none, none == 0, none, none)
    start_key, flip_key = jax.random.split(key)
    own_chip_key, read_key = (jax.random.fold_in(flip_key, 2**32 - i) for i in (1, 2))
    chip_key = own_chip_key if chip_key is None else chip_key
    engine = paired(by_size(problem) if engine is None else engine, dynamic, problem)
    if isinstance(engine, OwnLoop):
        engine.check(dynamic, level)
    tables, setup = engine.prepare(jax.random.fold_in(chip_key, 0), problem), dynamic.init(problem)
    repair_every, suspect_after = engine.repairs or (LARGEST_FLIPS, 1)
    repair_at, n_repairs, n_repaired = repair_every, 0, 0
    began = time.monotonic()
    ends = schedule.ends()
    run_began, run_end, n_runs = 0, next(ends), 1

    if isinstance(engine, OwnLoop):
        xs = _random_assignments(jax.random.fold_in(start_key, 0), schedule.replicas, tables)
        state, unit = engine.begin(flip_key, tables, xs), engine.piece(problem)
    else:
        state, unit = _start(jax.random.fold_in(start_key, 0), engine, tables, schedule.replicas), 1
    done, chunk = 0, max(FIRST_CHUNK_FLIPS, unit)
    while True:
        stretch_began = time.monotonic()
        stop = min(done + chunk, schedule.max_flips, run_end, repair_at)
        if isinstance(engine, OwnLoop):
            state, stop = engine.run(state, tables, level, done, stop, until)
        else:
            times = jnp.array([done, stop, run_began], jnp.int32)
            state = _run((flip_key, read_key), state, engine, dynamic, tables, setup, level, times, until)
        n_best = np.asarray(state.n_best)
        done, n_solved, n_unsatisfied = stop, int(np.sum(n_best == 0)), int(np.min(n_best))
        elapsed = time.monotonic() - stretch_began
        if elapsed < CHUNK_S / 2:
            chunk = min(2 * chunk, LARGEST_FLIPS // 4)
        elif elapsed > 2 * CHUNK_S:
            chunk = max(chunk // 2 // unit * unit, unit)
        is_enough = n_solved >= (1 if until == "first" else schedule.replicas)
        is_late = time.monotonic() - began >= time_limit_s
        if is_enough or is_late or done >= schedule.max_flips:
            break
        if watch is not None and watch(Progress(done, n_solved, n_unsatisfied)):
            break
        if done == repair_at:
            is_suspect = state.missed_clauses >= suspect_after
            n_repairs, repair_at = n_repairs + 1, repair_at + repair_every
            if n_new := int(jnp.sum(is_suspect)):
                tables = engine.repair(jax.random.fold_in(chip_key, n_repairs), tables, is_suspect)
                n_repaired += n_new
            state = state._replace(missed_clauses=jnp.zeros_like(state.missed_clauses))
        if done == run_end:
            restart_key = jax.random.fold_in(start_key, n_runs)
            if isinstance(engine, OwnLoop):
                xs = _random_assignments(restart_key, schedule.replicas, tables)
                state = engine.again(tables, xs, state)
            else:
                state = _restart(restart_key, state, engine, tables)
            run_began, run_end, n_runs = run_end, next(ends), n_runs + 1

    if isinstance(engine, OwnLoop):
        n_best, n_flips, n_iterations = (
            jnp.asarray(counts.astype(np.int32)) for counts in (state.n_best, state.n_flips, state.n_iterations)
        )
        best = jnp.asarray(engine.best(state))
        return Result(best, n_best, n_flips, n_best == 0, n_iterations, jnp.zeros_like(n_best))
    return Result(
        assignments=jax.vmap(partial(unpack, n_variables=problem.n_variables))(state.best_x),
        n_unsatisfied=state.n_best,
        n_flips=state.n_flips,
        solved=state.n_best == 0,
        n_iterations=state.n_iterations,
        n_missed=state.n_missed,
        n_repaired=n_repaired,
        final=jax.vmap(partial(unpack, n_variables=problem.n_variables))(state.x),
    )


@partial(jax.jit, static_argnames="replicas")
def _start(key: Key[Array, ""], engine: Engine, tables: Any, replicas: int) -> State:
    return replicas_of.start(engine, tables, _random_assignments(key, replicas, tables))


@jax.jit
def _restart(key: Key[Array, ""], state: State, engine: Engine, tables: Any) -> State:
    xs = _random_assignments(key, state.n_flips.shape[0], tables)
    return replicas_of.restart(engine, tables, xs, state)


@partial(jax.jit, static_argnames="until")
def _run(
    keys: tuple[Key[Array, ""], Key[Array, ""]],
    state: State,
    engine: Engine,
    dynamic: Dynamic,
    tables: Any,
    setup: Any,
    level: NoiseLevel,
    times: Int[Array, "3"],
    until: Literal["first", "all"],
) -> State:
    """Iterations times[0] to times[1] - 1 of every replica, fewer if one is, or all are, solved; the run they belong to
    began at times[2]. keys: of the rule and of the engine's readings."""
    flip_key, read_key = keys
    begin, stop, run_began = times
    replicas, n = state.n_flips.shape[0], tables.problem.n_variables
    length = max(1, min(FLIPS_A_DRAW, LARGEST_DRAW // (replicas * dynamic.n_words(n))))
    is_enough = jnp.any if until == "first" else jnp.all

    def is_running(loop: tuple[Int[Array, ""], State], end: Int[Array, ""]) -> Bool[Array, ""]:
        return (loop[0] < end) & ~is_enough(loop[1].n_best == 0)

    def block(loop: tuple[Int[Array, ""], State]) -> tuple[Int[Array, ""], State]:
        index = loop[0] // length
        draws = dynamic.draw(jax.random.fold_in(flip_key, index), (length, replicas), n)

        def iteration(loop: tuple[Int[Array, ""], State]) -> tuple[Int[Array, ""], State]:
            t, state = loop
            draw = jax.tree.map(lambda leaf: leaf[t % length], draws)
            now, key = t - run_began, jax.random.fold_in(read_key, t)
            return t + 1, replicas_of.advance(engine, dynamic, tables, setup, draw, key, level.at(now), now, state)

        end = jnp.minimum(stop, (index + 1) * length)
        return jax.lax.while_loop(lambda loop: is_running(loop, end), iteration, loop)

    return jax.lax.while_loop(lambda loop: is_running(loop, stop), block, (begin, state))[1]


def _random_assignments(key: Key[Array, ""], replicas: int, tables: Any) -> Bool[Array, "replicas n"]:
    return jax.random.bernoulli(key, shape=(replicas, tables.problem.n_variables))
