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

from aimc.cam import ThresholdCell, match
from aimc.devices.base import Level
from aimc.noise import normal
from hnn_sat.engines.base import Evaluated, Reading, WholeFormula
from hnn_sat.problem import Problem, true_literal_counts

WINDOW = 0.5  # the bound of a cell, as a fraction of the window between the voltages of 0 and 1


class Bank(NamedTuple):
    """The bounds of every cell, and what the sense amplifier of every row is off by, in cells."""

    low: Float[Array, "m n"]
    high: Float[Array, "m n"]
    offset: Float[Array, " m"] | None


class Tables(NamedTuple):
    """The problem, the bank of the violated patterns and the k banks of the critical ones."""

    problem: Problem
    violated: Bank
    critical: tuple[Bank, ...]


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class CamSearch(WholeFormula):
    """1 + k searches an iteration. Every error is None, which costs nothing, or a level to sweep.

    cell: how bounds are stored; None stores them exactly. Frozen, drawn when the memory is written.
    sense_offset: frozen, one for each row, Gaussian, in cells.
    line_noise: fresh, one for each row and search, Gaussian, in cells. A match line that d cells pull down is read as a
    match where d + offset + noise < 1/2: no cell is told from one cell by half a cell, from two by one and a half. The
    law of a line is an assumption; its levels are to be swept.
    """

    cell: ThresholdCell | None = None
    sense_offset: Level | None = None
    line_noise: Level | None = None

    @property
    def is_exact(self) -> bool:
        """Without any error."""
        return self.cell is None and self.sense_offset is None and self.line_noise is None

    def prepare(self, key: Key[Array, ""], problem: Problem) -> Tables:
        """Write all banks. Random: what `cell` and `sense_offset` leave, from keys of their own."""
        literal = np.asarray(problem.literal)
        n, (m, k) = problem.n_variables, literal.shape
        banks = []
        for j in range(-1, k):  # -1: all literals false
            # What x must be for a match: the negation of each literal, but of literal j itself.
            must = np.full((m, n + 1), -1, np.int8)
            for slot in range(k):
                code = literal[:, slot]
                must[np.arange(m), code >> 1] = (code & 1) ^ (slot == j)
            if j >= 0:  # a clause without a literal j cannot hang on it: a pattern that no x has
                must[literal[:, j] == 2 * n, :] = -2
            banks.append(self._write(jax.random.fold_in(key, j + 1), must[:, :n]))
        return Tables(problem, banks[0], tuple(banks[1:]))

    def _write(self, key: Key[Array, ""], must: np.ndarray) -> Bank:
        low_key, high_key, sense_key = jax.random.split(key, 3)
        bounds = []
        for side_key, value in ((low_key, 1), (high_key, 0)):
            bound = jnp.full(must.shape, WINDOW)
            if self.cell is not None:
                bound = self.cell.fabricate(side_key, bound)
            open_bound = -jnp.inf if value == 1 else jnp.inf
            bounds.append(jnp.where((must == value) | (must == -2), bound, open_bound))
        low, high = bounds
        high = jnp.where(must == -2, low, high)  # an interval without a point
        offset = None if self.sense_offset is None else self.sense_offset * normal(sense_key, must.shape[:1])
        return Bank(low, high, offset)

    def look(self, key: Key[Array, ""], tables: Tables, state: Evaluated) -> Reading:
        """Every bank searched once. Random: line noise, fresh for every row and search."""
        n, n_replicas = tables.problem.n_variables, state.x.shape[0]
        lines = state.x.astype(jnp.float32)
        keys = jax.random.split(key, 1 + len(tables.critical))
        seen = self._search(keys[0], lines, tables.violated)
        violated, missed = checked(tables.problem, state, seen)
        makes = breaks = jnp.zeros((n_replicas, 2 * n + 1), jnp.int32)
        for j, bank in enumerate(tables.critical):
            code = tables.problem.literal[:, j]
            makes = makes.at[:, code].add(seen)
            breaks = breaks.at[:, code].add(self._search(keys[1 + j], lines, bank))
        return Reading(violated, by_value(makes, ~state.x), by_value(breaks, state.x), missed)

    def _search(self, key: Key[Array, ""], lines: Float[Array, "r n"], bank: Bank) -> Bool[Array, "r m"]:
        if bank.offset is None and self.line_noise is None:
            return match(lines, bank.low, bank.high)

        def add(pulled: Array, cell: tuple[Array, Array, Array]) -> tuple[Array, None]:
            x, low, high = cell
            return pulled + ((x[:, None] < low) | (x[:, None] >= high)), None

        zero = jnp.zeros((lines.shape[0], bank.low.shape[0]))
        down = jax.lax.scan(add, zero, (lines.T, bank.low.T, bank.high.T))[0]
        if bank.offset is not None:
            down = down + bank.offset
        if self.line_noise is not None:
            down = down + self.line_noise * normal(key, down.shape)
        return down < 0.5


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
