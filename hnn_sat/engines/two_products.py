"""Two products on analog arrays: what the machine of Bhattacharya et al. 2024 reads in one iteration, with its errors.

Forward, L = Aᵀy counts the true literals of every clause; comparisons with 0 and 1 give the violated clauses u and the
critical ones r. Backward, A u and A r, on an array that holds the transpose, give what every flip makes and breaks. The
arrays are those of `aimc`: programmed once, read anew in every iteration, cut into tiles.
"""

from dataclasses import dataclass
from functools import reduce
from math import ceil
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

import aimc
from aimc.devices import Gaussian
from aimc.devices.base import Level, static
from aimc.noise import normal
from aimc.readout import UniformADC
from hnn_sat.engines import occupied
from hnn_sat.engines.base import Evaluated, Reading, WholeFormula
from hnn_sat.engines.cam import by_value, checked
from hnn_sat.placement import Placement, place
from hnn_sat.problem import Problem, literal_values


class Tables(NamedTuple):
    """The programmed arrays of all tiles (leading axis; one entry where aimc cuts the tiles itself), which rows and
    columns they hold, and what the comparators are off by."""

    problem: Problem
    forward: Any
    backward: Any
    literals: Int[Array, "tiles rows"]
    clauses: Int[Array, "tiles cols"]
    where: Int[Array, " m"]
    """Each clause's place among the columns of all tiles."""
    offset: Float[Array, "2 m"] | None
    occurrences: occupied.Occurrences | None
    """Where only cells that hold a one are visited."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class TwoProducts(WholeFormula):
    """Three reads an iteration: one forward, two backward. Every error is None, which costs nothing, or a level.

    Frozen, each from a key of its own, drawn when the arrays are written: `programming_error` (a cell ends at
    g (1 + σ ξ)), `stuck_off` and `stuck_on` (shares of cells), `readout_offset` (Gaussian, in counts, one for each
    converter, or for each of the two comparators of a clause). Fresh at every read: `read_noise` (g (1 + σ ξ) again,
    summed over the cells of a column). `off_current`: what a cell that holds 0 conducts, in units of one that holds 1.

    Converters have steps of `adc_step` counts and enough of them for every sum that can occur; None: no converter, sums
    stay analog, for winner-take-all. `readout` "comparator" compares the forward sums with 1/2 and 3/2 directly.
    `placement` "split" cuts long sums into tiles of `rows` x `cols`, whose parts are converted and added; "whole" puts
    every clause on one tile (`hnn_sat.placement`). A comparator cannot decide on parts, so with "split" it needs 2 n
    rows.

    repair_every: after so many iterations, clauses that were missed at least `suspect_after` times by a machine that
    reported a solution are moved to fresh cells; None: never.

    Raises ValueError for a name it does not know, and in `prepare` for a comparator across tiles.
    """

    rows: int = static(256)
    cols: int = static(256)
    placement: str = static("split")
    readout: str = static("adc")
    adc_step: Level | None = 1.0
    programming_error: Level | None = None
    read_noise: Level | None = None
    stuck_off: Level | None = None
    stuck_on: Level | None = None
    readout_offset: Level | None = None
    off_current: Level | None = None
    repair_every: int | None = static(None)
    suspect_after: int = static(2)

    def __post_init__(self) -> None:
        for name, allowed in (("placement", ("split", "whole")), ("readout", ("adc", "comparator"))):
            if (value := getattr(self, name)) not in allowed:
                raise ValueError(f"TwoProducts.{name} must be {' or '.join(allowed)}, got {value!r}")
        for name in ("rows", "cols", "suspect_after"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"TwoProducts.{name} must be at least 1, got {value}")
        if self.repair_every is not None and self.repair_every < 1:
            raise ValueError(f"TwoProducts.repair_every must be at least 1 or None, got {self.repair_every}")

    @property
    def is_exact(self) -> bool:
        """No: a reading may be wrong."""
        return False

    @property
    def is_sparse(self) -> bool:
        """Whether only the cells that hold a one can conduct, so that reads need not visit the others."""
        return self.off_current is None and self.stuck_on is None and self.placement == "split"

    @property
    def repairs(self) -> tuple[int, int] | None:
        """As the fields say."""
        return None if self.repair_every is None else (self.repair_every, self.suspect_after)

    def layout(self, problem: Problem) -> Placement | None:
        """Where the clauses are, if they are placed whole."""
        return place(problem, self.rows, self.cols) if self.placement == "whole" else None

    def prepare(self, key: Key[Array, ""], problem: Problem) -> Tables:
        """Program the arrays. Random: everything frozen. Raises ValueError for comparators across tiles."""
        n, m = problem.n_variables, problem.n_clauses
        if self.readout == "comparator" and self.placement == "split" and 2 * n > self.rows:
            raise ValueError(
                f"TwoProducts.readout comparator cannot decide on the parts of {2 * n} literals on rows={self.rows}; "
                'use placement="whole", a converter (readout="adc"), or tiles of more rows'
            )
        matrix, literal = np.zeros((2 * n, m), np.float32), np.asarray(problem.literal)
        clause, slot = np.nonzero(literal < 2 * n)
        matrix[literal[clause, slot], clause] = 1.0
        if self.placement == "whole":
            layout = place(problem, self.rows, self.cols)
            literals, clauses = layout.literals, layout.clauses
        else:
            literals, clauses = np.arange(2 * n, dtype=np.int32)[None], np.arange(m, dtype=np.int32)[None]
        padded = np.pad(matrix, ((0, 1), (0, 1)))
        held = jnp.asarray(np.stack([padded[np.ix_(l, c)] for l, c in zip(literals, clauses, strict=True)]))
        if self.off_current is not None:
            held = held * (1.0 - self.off_current) + self.off_current
        forward, backward = self._specs(problem)
        forward_key, backward_key, offset_key = jax.random.split(key, 3)
        n_tiles = len(literals)
        where = np.zeros(m + 1, np.int32)
        where[clauses.reshape(-1)] = np.arange(clauses.size)
        offset = None
        if self.readout == "comparator" and self.readout_offset is not None:
            offset = self.readout_offset * normal(offset_key, (2, m))
        return Tables(
            problem,
            forward=jax.vmap(lambda k, w: aimc.program(k, w, forward))(jax.random.split(forward_key, n_tiles), held),
            backward=jax.vmap(lambda k, w: aimc.program(k, w.T, backward))(
                jax.random.split(backward_key, n_tiles), held
            ),
            literals=jnp.asarray(literals),
            clauses=jnp.asarray(clauses),
            where=jnp.asarray(where[:m]),
            offset=offset,
            occurrences=occupied.occurrences(problem) if self.is_sparse else None,
        )

    def _specs(self, problem: Problem) -> tuple[aimc.CrossbarSpec, aimc.CrossbarSpec]:
        literal = np.asarray(problem.literal)
        degree = int(np.bincount(literal.ravel(), minlength=2 * problem.n_variables + 1)[:-1].max(initial=1))
        device = Gaussian(
            programming_std=() if self.programming_error is None else (0.0, self.programming_error),
            read_variance_of_g=() if self.read_noise is None else (0.0, 0.0, self.read_noise**2),
            source="g (1 + σ ξ), plain numbers",
        )
        faults = None
        if self.stuck_off is not None or self.stuck_on is not None:
            faults = aimc.Faults(stuck_off=self.stuck_off or 0.0, stuck_on=self.stuck_on or 0.0)

        def spec(rows: int, cols: int, most: int, is_converted: bool) -> aimc.CrossbarSpec:
            leak = 0.0 if self.off_current is None else self.off_current * rows
            # Room for errors: a sum that clips is not what a converter of this kind is for.
            counts = most + 2.0 + leak
            if self.adc_step is None or not is_converted:
                readout = aimc.Readout(full_scale=counts)
            else:
                n_steps = jnp.ceil(counts / self.adc_step)
                offset = None if self.readout_offset is None else self.readout_offset / (n_steps * self.adc_step)
                readout = UniformADC(
                    full_scale=n_steps * self.adc_step, n_levels=2.0 * n_steps + 1.0, offset_std=offset
                )
            return aimc.crossbar(
                rows=rows, cols=cols, dac_bits=None, input_range=1.0, device=device, faults=faults, readout=readout
            )

        backward_size = (self.cols, self.rows) if self.placement == "whole" else (self.rows, self.cols)
        return (
            spec(self.rows, self.cols, problem.longest_clause, self.readout == "adc"),
            spec(*backward_size, degree, True),
        )

    def look(self, key: Key[Array, ""], tables: Tables, state: Evaluated) -> Reading | occupied.View:
        """Three reads. Random: read noise, from keys of their own."""
        if tables.occurrences is not None:
            return self._sparse_look(key, tables, state)
        problem = tables.problem
        forward_key, make_key, break_key = jax.random.split(key, 3)
        y = jax.vmap(literal_values)(state.x).astype(jnp.float32)
        sums = _read(forward_key, y, tables.forward, tables.literals)
        sums = jnp.moveaxis(sums, 0, 1).reshape(y.shape[0], -1)[:, tables.where]
        low, high = (0.5, 1.5) if tables.offset is None else (0.5 + tables.offset[0], 1.5 + tables.offset[1])
        seen = sums < low
        critical = ~seen & (sums < high)
        violated, missed = checked(problem, state, seen)
        makes = self._backward(make_key, violated, tables)
        breaks = self._backward(break_key, critical, tables)
        return Reading(violated, by_value(makes, ~state.x), by_value(breaks, state.x), missed)

    def start(self, tables: Tables, xs: Bool[Array, "r n"]) -> Evaluated:
        """The assignments and their energies, counted clause by clause."""
        is_held = reduce(jnp.bitwise_or, occupied.true_literals(tables.problem, xs))
        return Evaluated(xs, jnp.sum(~is_held, axis=0, dtype=jnp.int32))

    def _sparse_look(self, key: Key[Array, ""], tables: Tables, state: Evaluated) -> occupied.View:
        """The forward read now, the backward ones when they are asked for."""
        forward_key, word_key = jax.random.split(key)
        true = occupied.true_literals(tables.problem, state.x)
        sums = occupied.clause_sums(forward_key, tables.problem, _only(tables.forward), true, self.read_noise)
        low, high = (
            (0.5, 1.5) if tables.offset is None else (x + tables.offset[i][:, None] for i, x in ((0, 0.5), (1, 1.5)))
        )
        seen = sums < low
        is_missed = ~jnp.any(seen, axis=0) & (state.n_violated > 0)
        violated = jnp.where(is_missed, ~reduce(jnp.bitwise_or, true), seen)
        word = occupied.words(word_key, state.x.shape[0])
        critical = ~seen & (sums < high)
        return occupied.View(violated.T, is_missed.astype(jnp.int32), critical.T, state.x, word)

    def break_counts(self, tables: Tables, view: Any, literal: Int[Array, " k"]) -> Array:
        """As read from the line of the literal that is true now."""
        if tables.occurrences is None:
            return super().break_counts(tables, view, literal)
        return self._asked(tables, view, literal, view.critical, view.x, np.uint32(0))

    def make_counts(self, tables: Tables, view: Any, literal: Int[Array, " k"]) -> Array:
        """As read from the line of the literal that is false now."""
        if tables.occurrences is None:
            return super().make_counts(tables, view, literal)
        return self._asked(tables, view, literal, view.violated, ~view.x, np.uint32(1))

    def _asked(self, tables: Tables, view: Any, literal: Array, lines: Array, is_even: Array, side: Any) -> Array:
        n = tables.problem.n_variables
        assert tables.occurrences is not None
        variable = jnp.minimum(literal >> 1, n - 1)
        code = jnp.where(literal < 2 * n, 2 * variable + ~is_even[variable], 2 * n)
        word = view.word ^ jnp.stack([side, np.uint32(0)])
        counts = occupied.literal_sums(word, code, lines, _only(tables.backward), tables.occurrences, self.read_noise)
        return jnp.where(literal < 2 * n, counts, 0.0)

    def _backward(self, key: Key[Array, ""], lines: Bool[Array, "r m"], tables: Tables) -> Float[Array, "r codes"]:
        driven = jnp.pad(lines.astype(jnp.float32), ((0, 0), (0, 1)))
        parts = _read(key, driven, tables.backward, tables.clauses)
        if self.placement == "split":  # aimc has added the parts, and the literals are in order
            return parts[0]
        total = jnp.zeros((lines.shape[0], 2 * tables.problem.n_variables + 1))
        return total.at[:, tables.literals.reshape(-1)].add(jnp.moveaxis(parts, 0, 1).reshape(lines.shape[0], -1))

    def repair(self, key: Key[Array, ""], tables: Tables, is_suspect: Bool[Array, " m"]) -> Tables:
        """The suspects on fresh cells: their columns of the forward arrays, their rows of the backward ones, and their
        comparators. Random: all that is frozen, drawn anew for them; key is consumed."""
        fresh = self.prepare(key, tables.problem)
        suspect = jnp.pad(is_suspect, (0, 1))[tables.clauses]  # tiles, columns

        def column(old: Array, new: Array) -> Array:
            if old.ndim < 3 or old.shape[-1] != suspect.shape[1]:
                return old
            return jnp.where(suspect.reshape(len(suspect), *[1] * (old.ndim - 2), -1), new, old)

        def row(old: Array, new: Array) -> Array:
            if old.ndim != 4 or old.shape[1] * old.shape[2] < suspect.shape[1]:
                return old
            filled = jnp.pad(suspect, ((0, 0), (0, old.shape[1] * old.shape[2] - suspect.shape[1])))
            return jnp.where(filled.reshape(*old.shape[:3], 1), new, old)

        return tables._replace(
            forward=jax.tree.map(column, tables.forward, fresh.forward),
            backward=jax.tree.map(row, tables.backward, fresh.backward),
            offset=jax.tree.map(lambda old, new: jnp.where(is_suspect[None], new, old), tables.offset, fresh.offset),
        )

    def repair_writes(self, problem: Problem, n_clauses: int) -> int:
        """Cell writes of moving n clauses: pairs of cells of a column and a row of all literals a tile sees."""
        height = min(self.rows, 2 * problem.n_variables) if self.placement == "whole" else 2 * problem.n_variables
        return 2 * 2 * height * n_clauses

    def n_tiles(self, problem: Problem) -> int:
        """Tiles of `rows` x `cols` pairs that both arrays take."""
        if self.placement == "whole":
            return 2 * place(problem, self.rows, self.cols).n_tiles
        n, m = 2 * problem.n_variables, problem.n_clauses
        return ceil(n / self.rows) * ceil(m / self.cols) + ceil(m / self.rows) * ceil(n / self.cols)


def _only(arrays: Any) -> Any:
    """The array whose parts aimc cuts itself."""
    return jax.tree.map(lambda leaf: leaf[0], arrays)


def _read(key: Key[Array, ""], values: Array, arrays: Any, index: Array) -> Float[Array, "tiles r out"]:
    """Every tile read with its part of the values; the last value is that of unused lines."""
    lines = jnp.moveaxis(values[:, index], 1, 0)
    return jax.vmap(aimc.mvm)(jax.random.split(key, index.shape[0]), lines, arrays)
