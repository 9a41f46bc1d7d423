"""Search instead of sum: a content-addressable memory whose rows are clauses.

Row c stores the one pattern of its variables that violates the clause, and "any" elsewhere: its match line stays up
where c is violated (Pedretti et al. 2025; patents US 11923009, 12119061). Which clauses hang on one literal is found by
k more searches, bank j storing the pattern in which only literal j of each clause is true; a match of bank j is a
clause that flipping that literal's variable would break. Counters add the matches of every variable.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from aimc.cam import ThresholdCell
from aimc.devices.base import Level, static
from aimc.noise import normal
from hnn_sat.engines.base import Evaluated, Reading, WholeFormula
from hnn_sat.engines.occupied import Occurrences, occurrences
from hnn_sat.problem import Problem, true_literal_counts

WINDOW = 0.5  # the bound of a cell, as a fraction of the window between the voltages of 0 and 1


class Bank(NamedTuple):
    """The cells that can pull a match line down, k a row; all others match anything.

    must: what x has to be; slots of short clauses may be anything (-1), and a row that is to match no x has -2.
    bound: between the voltages of 0 and 1, as stored. std: of its noise, fresh in every search, or None.
    offset: what the sense amplifier of every row is off by, in cells."""

    must: Int[Array, "m k"]
    bound: Float[Array, "m k"]
    std: Float[Array, "m k"] | None
    offset: Float[Array, " m"] | None


class Tables(NamedTuple):
    """The problem, what the cells of every bank see, the bank of the violated patterns and the k banks of the critical
    ones; which matches count for which literal."""

    problem: Problem
    variable: Int[Array, "m k"]
    violated: Bank
    critical: tuple[Bank, ...]
    occurrences: Occurrences


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class CamSearch(WholeFormula):
    """1 + k searches an iteration. Every error is None, which costs nothing, or a level to sweep.

    cell: how bounds are stored; None stores them exactly. What it leaves of a bound is frozen, drawn when the memory is
    written; where its device has read noise, every bound moves anew in every search (`ThresholdCell.read_std`).
    sense_offset: frozen, one for each row, Gaussian, in cells.
    line_noise: fresh, one for each row and search, Gaussian, in cells. A match line that d cells pull down is read as a
    match where d + offset + noise < 1/2: no cell is told from one cell by half a cell, from two by one and a half. The
    law of a line is an assumption; its levels are to be swept.

    cols: cells of a row of the memory, one a variable; None: as many as it takes.

    repair_every: after so many iterations, clauses that were missed at least `suspect_after` times by a machine that
    reported a solution get a spare row in the bank of the violated patterns; None: never. Banks of critical patterns
    are not repaired: no check tells which of their rows is wrong.

    Raises ValueError for impossible numbers of iterations or misses, and in `prepare` for more variables than `cols`: a
    match line says whether all its cells match, which parts on several tiles cannot.
    """

    cell: ThresholdCell | None = None
    sense_offset: Level | None = None
    line_noise: Level | None = None
    cols: int | None = static(None)
    repair_every: int | None = static(None)
    suspect_after: int = static(2)

    def __post_init__(self) -> None:
        if self.repair_every is not None and self.repair_every < 1:
            raise ValueError(f"CamSearch.repair_every must be at least 1 or None, got {self.repair_every}")
        if self.suspect_after < 1:
            raise ValueError(f"CamSearch.suspect_after must be at least 1, got {self.suspect_after}")

    @property
    def is_exact(self) -> bool:
        """Without any error."""
        return self.cell is None and self.sense_offset is None and self.line_noise is None

    @property
    def repairs(self) -> tuple[int, int] | None:
        """As the fields say."""
        return None if self.repair_every is None else (self.repair_every, self.suspect_after)

    def prepare(self, key: Key[Array, ""], problem: Problem) -> Tables:
        """Write all banks. Random: what `cell` and `sense_offset` leave, from keys of their own."""
        literal = np.asarray(problem.literal)
        n, k = problem.n_variables, problem.longest_clause
        if self.cols is not None and n > self.cols:
            raise ValueError(
                f"CamSearch.cols={self.cols} has no room for a row of {n} variables, and match lines of several tiles "
                "cannot be joined; use more columns, or TwoProducts with converters"
            )
        is_used = literal < 2 * n
        banks = []
        for j in range(-1, k):  # -1: all literals false
            # What x must be for a match: the negation of each literal, but of literal j itself.
            must = np.where(is_used, (literal & 1) ^ (np.arange(k) == j), -1)
            if j >= 0:  # a clause without a literal j cannot hang on it
                must[~is_used[:, j]] = -2
            banks.append(self._write(jax.random.fold_in(key, j + 1), must))
        variable = jnp.asarray(np.where(is_used, literal >> 1, 0), jnp.int32)
        return Tables(problem, variable, banks[0], tuple(banks[1:]), occurrences(problem))

    def _write(self, key: Key[Array, ""], must: np.ndarray) -> Bank:
        cell_key, sense_key = jax.random.split(key)
        bound, std = jnp.full(must.shape, WINDOW), None
        if self.cell is not None:
            bound = self.cell.fabricate(cell_key, bound)
            std = self.cell.read_std(bound)
        offset = None if self.sense_offset is None else self.sense_offset * normal(sense_key, must.shape[:1])
        return Bank(jnp.asarray(must, jnp.int32), bound, std, offset)

    def look(self, key: Key[Array, ""], tables: Tables, state: Evaluated) -> Reading:
        """Every bank searched once. Random: noise of cells and lines, fresh for every row and search."""
        keys = jax.random.split(key, 1 + len(tables.critical))
        value = [state.x[:, tables.variable[:, j]] for j in range(tables.variable.shape[1])]
        seen = self._search(keys[0], value, tables.violated)
        violated, missed = checked(tables.problem, state, seen)
        hung = [self._search(keys[1 + j], value, bank) for j, bank in enumerate(tables.critical)]
        # Summed literal by literal: adding clause by clause into the literals' counters is ten times as slow on a CPU.
        clause, slot = tables.occurrences
        none = jnp.zeros((state.x.shape[0], 1), bool)
        makes = jnp.sum(jnp.concatenate([violated, none], axis=1)[:, clause], axis=2, dtype=jnp.int32)
        by_bank = jnp.stack([jnp.concatenate([matches, none], axis=1) for matches in hung], axis=1)
        breaks = jnp.sum(by_bank[:, slot, clause], axis=2, dtype=jnp.int32)
        return Reading(violated, by_value(makes, ~state.x), by_value(breaks, state.x), missed)

    def _search(self, key: Key[Array, ""], value: list[Bool[Array, "r m"]], bank: Bank) -> Bool[Array, "r m"]:
        cell_key, line_key = jax.random.split(key)
        down = jnp.zeros(value[0].shape)
        for j, is_one in enumerate(value):
            bound = bank.bound[:, j]
            if bank.std is not None:
                bound = bound + bank.std[:, j] * normal(jax.random.fold_in(cell_key, j), down.shape)
            # A cell that stores 1 conducts below its bound, one that stores 0 from its bound on.
            is_above = is_one.astype(jnp.float32) >= bound
            down = down + jnp.where(bank.must[:, j] == 1, ~is_above, (bank.must[:, j] == 0) & is_above)
        if bank.offset is not None:
            down = down + bank.offset
        if self.line_noise is not None:
            down = down + self.line_noise * normal(line_key, down.shape)
        return (down < 0.5) & (bank.must[:, 0] != -2)

    def repair(self, key: Key[Array, ""], tables: Tables, is_suspect: Bool[Array, " m"]) -> Tables:
        """The suspects on spare rows of the bank of the violated patterns. Random: what is frozen, drawn anew for them;
        key is consumed."""
        fresh = self.prepare(key, tables.problem).violated

        def moved(old: Array, new: Array) -> Array:
            return jnp.where(is_suspect.reshape(-1, *[1] * (old.ndim - 1)), new, old)

        return tables._replace(violated=jax.tree.map(moved, tables.violated, fresh))

    def repair_writes(self, problem: Problem, n_clauses: int) -> int:
        """Cell writes of moving n clauses: a row of the memory has a cell for every variable."""
        return problem.n_variables * n_clauses


def by_value(by_literal: Array, x: Bool[Array, "r n"]) -> Array:
    """Of the two literals' counts of every variable the one of `v` where x is true, else that of `not v`."""
    return jnp.where(x, by_literal[:, 0 : 2 * x.shape[1] : 2], by_literal[:, 1 : 2 * x.shape[1] : 2])


def checked(
    problem: Problem, state: Evaluated, seen: Bool[Array, "r m"]
) -> tuple[Bool[Array, "r m"], Int[Array, " r"]]:
    """What the rule works with: the clauses seen violated, or, where the machine sees none and so reports a solution,
    those that the digital check of the solution finds; and where that was so."""
    is_missed = ~jnp.any(seen, axis=1) & (state.n_violated > 0)
    counts = jax.vmap(lambda x: true_literal_counts(problem, x))(state.x)
    return jnp.where(is_missed[:, None], counts == 0, seen), is_missed.astype(jnp.int32)
