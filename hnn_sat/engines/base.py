"""What a machine that keeps the state of all clauses must answer.

An engine is a frozen object. `prepare` sets up what stays fixed (on an array: programs it), `start` and `flip` keep the
digital state of all replicas, `look` reads the machine once. The three counting functions act on one replica's reading;
`jax.vmap` runs many. Whatever the reading says, `n_violated` is the exact energy of the digital state.
"""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, UInt32

from hnn_sat.problem import Problem, true_literal_counts


class Engine:
    """Base of all engines."""

    @property
    def is_exact(self) -> bool:
        """Whether what is read as violated is violated, so that every literal of a picked clause is false."""
        return True

    @property
    def repairs(self) -> tuple[int, int] | None:
        """Iterations between repairs, and how often a clause must have been missed to be moved; None: never."""
        return None

    def prepare(self, key: Key[Array, ""], problem: Problem) -> Any:
        """What stays fixed during a run, with the problem at `.problem`; key is consumed by what is drawn once."""
        raise NotImplementedError

    def start(self, tables: Any, xs: Bool[Array, "r n"]) -> Any:
        """The digital state of all replicas."""
        raise NotImplementedError

    def flip(self, tables: Any, state: Any, literals: Int[Array, " r"]) -> Any:
        """The state after a false literal of each replica has become true; code 2 n changes nothing."""
        raise NotImplementedError

    def n_violated(self, tables: Any, state: Any) -> Int[Array, " r"]:
        """The exact energy."""
        raise NotImplementedError

    def look(self, key: Key[Array, ""], tables: Any, state: Any) -> Any:
        """One reading of the machine by every replica; key is consumed by what is drawn at every reading."""
        raise NotImplementedError

    def n_missed(self, view: Any) -> Int[Array, " r"]:
        """1 where the machine reported a solution and the check found violated clauses, else 0."""
        return jnp.zeros(jax.tree.leaves(view)[0].shape[0], jnp.int32)

    def missed_clauses(self, view: Any) -> Int[Array, " m"]:
        """In how many replicas each clause was missed so; no entries where that cannot be."""
        return jnp.zeros(0, jnp.int32)

    def repair(self, key: Key[Array, ""], tables: Any, is_suspect: Bool[Array, " m"]) -> Any:
        """The tables with the suspected clauses on fresh cells; key is consumed."""
        raise NotImplementedError

    def pick_violated(self, tables: Any, view: Any, random_word: UInt32[Array, ""]) -> Int[Array, " k"]:
        """Literals of violated clause number `random_word` mod their number; all 2 n if there is none."""
        raise NotImplementedError

    def break_counts(self, tables: Any, view: Any, literal: Int[Array, " k"]) -> Array:
        """Clauses that each of these false literals would break if made true."""
        raise NotImplementedError

    def make_counts(self, tables: Any, view: Any, literal: Int[Array, " k"]) -> Array:
        """Violated clauses that each of these false literals would satisfy."""
        raise NotImplementedError


class OwnLoop(Engine):
    """Base of engines that make many iterations themselves, on random numbers of their own."""

    def piece(self, problem: Problem) -> int:
        """Iterations after which replicas take turns; stretches are whole numbers of these."""
        raise NotImplementedError

    def check(self, dynamic: Any, level: Any) -> None:
        """Raises ValueError, in one sentence, for a rule or a course of the level that it cannot run."""
        raise NotImplementedError

    def begin(self, key: Key[Array, ""], tables: Any, xs: Bool[Array, "r n"]) -> Any:
        """All replicas at xs; has at least `n_best`, `n_flips` and `n_iterations`. key is consumed by the random
        numbers of the whole search."""
        raise NotImplementedError

    def again(self, tables: Any, xs: Bool[Array, "r n"], state: Any) -> Any:
        """Continue unsolved replicas from xs; the state given is used up."""
        raise NotImplementedError

    def run(
        self, state: Any, tables: Any, level: Any, begin: int, stop: int, until: Literal["first", "all"]
    ) -> tuple[Any, int]:
        """Iterations begin to stop - 1 of every replica, and the iteration that was reached: with "first", the end of
        the piece in which one was solved. The state given is used up."""
        raise NotImplementedError

    def best(self, state: Any) -> Any:
        """The best assignment each replica has met."""
        raise NotImplementedError


class Reading(NamedTuple):
    """What a machine that evaluates the whole formula says of one replica."""

    violated: Bool[Array, "*r m"]
    makes: Int[Array, "*r n"] | Float[Array, "*r n"]
    breaks: Int[Array, "*r n"] | Float[Array, "*r n"]
    missed: Int[Array, "*r"]


class Evaluated(NamedTuple):
    """The digital state of a machine that recounts from the assignment at every reading."""

    x: Bool[Array, "r n"]
    n_violated: Int[Array, " r"]


class WholeFormula(Engine):
    """Base of engines that recount everything at every reading and keep nothing but the assignment."""

    def start(self, tables: Any, xs: Bool[Array, "r n"]) -> Evaluated:
        """The assignments and their energies, counted clause by clause."""
        counts = jax.vmap(lambda x: true_literal_counts(tables.problem, x))(xs)
        return Evaluated(xs, jnp.sum(counts == 0, axis=1, dtype=jnp.int32))

    def flip(self, tables: Any, state: Evaluated, literals: Int[Array, " r"]) -> Evaluated:
        """The assignments with one variable changed, recounted."""
        variables = jnp.arange(state.x.shape[1])[None, :]
        return self.start(tables, state.x ^ (variables == (literals >> 1)[:, None]))

    def n_violated(self, tables: Any, state: Evaluated) -> Int[Array, " r"]:
        """The exact energy."""
        return state.n_violated

    def n_missed(self, view: Any) -> Int[Array, " r"]:
        """As the reading noted."""
        return view.missed

    def missed_clauses(self, view: Any) -> Int[Array, " m"]:
        """The violated clauses of the replicas that missed them all."""
        return jnp.sum(view.violated & (view.missed > 0)[:, None], axis=0, dtype=jnp.int32)

    def pick_violated(self, tables: Any, view: Any, random_word: UInt32[Array, ""]) -> Int[Array, " k"]:
        """By the rank of the clause among those seen violated."""
        size = group_size(view.violated.shape[0])
        groups = jnp.pad(view.violated, (0, -view.violated.shape[0] % size)).reshape(-1, size)
        in_group = jnp.sum(groups, axis=1, dtype=jnp.uint32)
        before = sums_before(in_group)
        rank = random_word % jnp.maximum(jnp.sum(in_group), 1)
        group = jnp.sum(before <= rank, dtype=jnp.int32) - 1
        flags = groups[group].astype(jnp.uint32)
        # The clause whose running count first exceeds the rank; with none seen the index lies beyond the table.
        up_to = before[group] + sums_before(flags) + flags
        index = group * size + jnp.sum(up_to <= rank, dtype=jnp.int32)
        return tables.problem.literal.at[index].get(mode="fill", fill_value=2 * tables.problem.n_variables)

    def break_counts(self, tables: Any, view: Reading, literal: Int[Array, " k"]) -> Array:
        """From the sums of all variables."""
        return view.breaks.at[literal >> 1].get(mode="fill", fill_value=0)

    def make_counts(self, tables: Any, view: Reading, literal: Int[Array, " k"]) -> Array:
        """From the sums of all variables."""
        return view.makes.at[literal >> 1].get(mode="fill", fill_value=0)


def group_size(n_entries: int) -> int:
    """Entries summed before the search for a violated clause descends into them: about the root of their number, so
    that both levels are short. Rounding n_entries up to a multiple of it does not change it."""
    size = 8
    while size * size < n_entries:
        size *= 2
    return size


def sums_before(counts: UInt32[Array, " n"]) -> UInt32[Array, " n"]:
    """Exclusive prefix sums, all pairs at once: on a CPU this fuses, which a cumulative sum or a product does not."""
    position = jnp.arange(counts.shape[0])
    return jnp.sum(jnp.where(position[:, None] < position[None, :], counts[:, None], 0), axis=0, dtype=jnp.uint32)
