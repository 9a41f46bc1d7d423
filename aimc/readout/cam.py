"""Readout by an analog content-addressable memory: match lines are the bits of q(f(sum)); there is no converter."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from aimc.cam import ThresholdCell
from aimc.counts import Counts
from aimc.devices.base import Level, static
from aimc.noise import normal, uniform
from aimc.readout.base import PerColumn, Readout, check_bits, check_choice, straight_through

GRID = 8192
"""Points of the window at which a function is looked at when its rows are made: what is narrower goes unseen."""


class Rows(NamedTuple):
    """The memory's content: row r is up for lo ≤ x < hi (∓inf where the cell does not care), and sets one bit."""

    bit: np.ndarray
    lo: np.ndarray
    hi: np.ndarray


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class CAM(Readout):
    """Bit k of the output is up on a union of intervals of the sum; each interval is a row, their match lines are ORed.

    Without `function` x = u, the window is ±1 and the levels are k/2**(bits − 1), −2**(bits − 1) ≤ k < 2**(bits − 1)
    (two's complement: zero is a level), times `unit`. With a `function` (any one-dimensional one that jax can
    evaluate; static) x = u·unit and the result is q(f(x)), with 2**bits equidistant levels from the least to the
    largest value of f in the `window`, which is then in the units of the product y = x·w itself; `full_scale` has no
    effect and must be left alone. Thresholds are fixed, so `unit` should be the same for all vectors: give the array a
    fixed input range. x stops at the ends of `window`, which is what the data line can carry. `output`,
    the lowest and the highest level, may be set. Code word 0 is the lowest level; `code` "gray" needs
    2**(bits − 1) rows for the identity, "binary" 2**bits − 1.

    Frozen: every finite bound of every row is a cell of its own in every column, written by `cell` when the array is
    programmed; None is no error. `aimc.age` does not age these cells; `ThresholdCell.elapsed` does. Fresh: the read
    noise of those cells, if their device has any, on both bounds of every row in every read (`ThresholdCell.read_std`);
    with `match_width` w (a fraction of the window: finite gain of the match line) a row matches with probability
    σ((x − lo)/w) σ((hi − x)/w), drawn for every row and read. Gradient: straight-through, f' inside window and output
    range, 0 outside. Cost without errors: that of a quantiser; with them rows are compared one after the other.

    Source: RACE-IT (arXiv 2312.06532), NL-DPE (arXiv 2511.13950), Gray code as in US 2025/0356917; cells as in
    `ThresholdCell`, hence of class assumption. Raises ValueError for bits outside 1 to 12, impossible ranges, and a
    `full_scale` stated beside a `function`.
    """

    bits: int = static(8)
    code: str = static("gray")
    function: Callable[[Array], Array] | None = static(None)  # noqa: RUF009
    window: tuple[float, float] = static((-1.0, 1.0))
    output: tuple[float, float] | None = static(None)
    cell: ThresholdCell | None = None
    match_width: Level | None = None
    source: str = static("arXiv 2312.06532, arXiv 2511.13950, US 2025/0356917; thresholds assumed")

    def __post_init__(self) -> None:
        check_bits("CAM.bits", self.bits, 1, 12)
        check_choice("CAM.code", self.code, ("gray", "binary"))
        for name, ends in (("window", self.window), ("output", self.output)):
            if ends is not None and not (len(ends) == 2 and np.all(np.isfinite(ends)) and ends[0] < ends[1]):
                raise ValueError(f"CAM.{name} must be two finite numbers, the lower first, got {ends!r}")
        # Only plain numbers: arrays are what jax makes of this field, gradients and tracers among them.
        stated = isinstance(self.full_scale, int | float | np.number)
        if self.function is not None and stated and self.full_scale != Readout.full_scale:
            raise ValueError(
                f"CAM.full_scale has no effect with a function, whose window is in units of the product; "
                f"leave it at {Readout.full_scale:g}, got {self.full_scale!r}"
            )

    @property
    def is_linear(self) -> bool:
        """Only without a function."""
        return self.function is None

    @property
    def rows(self) -> Rows:
        """The rows of one column, from the lowest bit to the highest."""
        return _rows(self.function, self.bits, self.code, self.window, self.levels)

    @property
    def levels(self) -> tuple[float, float]:
        """The lowest and the highest level of the output."""
        if self.output is not None:
            return self.output
        return (-1.0, 1.0 - 2.0 ** (1 - self.bits)) if self.function is None else _span(self.function, self.window)

    @property
    def _step(self) -> float:
        return (self.levels[1] - self.levels[0]) / (2**self.bits - 1)

    @property
    def _width(self) -> float:
        return self.window[1] - self.window[0]

    def fabricate(self, key: Key[Array, ""], shape: tuple[int, int]) -> Float[Array, "..."] | None:
        """The bounds as written, (n_tiles, n_columns, n_rows, 2) in units of x; None without a `cell`. Frozen."""
        if self.cell is None:
            return None
        bounds = np.stack([self.rows.lo, self.rows.hi], axis=-1)
        finite = np.isfinite(bounds)
        least, width = self.window[0], self._width
        stored = np.where(finite, np.clip((np.where(finite, bounds, least) - least) / width, 0.0, 1.0), 0.0)
        targets = jnp.broadcast_to(jnp.asarray(stored, jnp.float32), (*shape, *stored.shape))
        error = self.cell.fabricate(key, targets) - targets
        return jnp.where(finite, bounds + width * error, bounds)

    def _read_std(self, bounds: Array) -> Array | None:
        """Of the fresh noise of built bounds, in units of x; zero where there is no bound, None without noise."""
        if self.cell is None:
            return None
        finite = jnp.isfinite(bounds)
        std = self.cell.read_std((jnp.where(finite, bounds, self.window[0]) - self.window[0]) / self._width)
        return None if std is None else jnp.where(finite, self._width * std, 0.0)

    def _words(self, key: Array, u: Array, bounds: Any, unit: Any) -> Array:
        """Code words in plain binary, row after row."""
        x = jnp.clip(u if self.function is None else u * unit, *self.window)
        rows = self.rows
        if bounds is None:
            bounds = jnp.stack([jnp.asarray(rows.lo), jnp.asarray(rows.hi)], axis=-1)
        std = self._read_std(bounds)
        width = None if self.match_width is None else self.match_width * self._width

        def by_row(values: Array) -> tuple[Array, Array]:
            """Lower and upper ends, (n_rows[, n_columns]) each, to be read in order."""
            low, high = (jnp.moveaxis(values[..., end], -1, 0) for end in (0, 1))
            return low, high

        def search(word: Array, row: tuple[Array, Array, tuple[Array, Array], Any]) -> tuple[Array, None]:
            number, bit, (lo, hi), fresh = row
            if fresh is not None:
                lo_key, hi_key = jax.random.split(jax.random.fold_in(noise_key, number))
                lo = lo + fresh[0] * normal(lo_key, x.shape)
                hi = hi + fresh[1] * normal(hi_key, x.shape)
            if width is None:
                up = (x >= lo) & (x < hi)
            else:
                p = jax.nn.sigmoid((x - lo) / width) * jax.nn.sigmoid((hi - x) / width)
                up = uniform(jax.random.fold_in(match_key, number), x.shape) < p
            return word | jnp.where(up, bit, 0), None

        match_key, noise_key = (key, key) if std is None else jax.random.split(key)
        fresh = None if std is None else by_row(std)
        numbered = (jnp.arange(len(rows.bit)), jnp.asarray(1 << rows.bit, jnp.int32), by_row(bounds), fresh)
        word = jax.lax.scan(search, jnp.zeros(x.shape, jnp.int32), numbered)[0]
        if self.code == "gray":
            for shift in (1, 2, 4, 8):
                word = word ^ (word >> shift)
        return word

    def _nearest(self, u: Array, unit: Any) -> Array:
        """Code words of an error-free memory, as floats: those of a quantiser."""
        x = jnp.clip(u if self.function is None else u * unit, *self.window)
        y = x if self.function is None else self.function(x)
        return jnp.clip(jnp.round((y - self.levels[0]) * (1.0 / self._step)), 0.0, 2.0**self.bits - 1.0)

    def read(
        self, key: Key[Array, ""], u: Float[Array, "*batch n_columns"], errors: Any, unit: Float[Array, "..."]
    ) -> Float[Array, "*batch n_columns"]:
        """The level of the word; times `unit` without a function. Random: matches, if they are soft, and the cells'
        read noise."""
        still, constant = jax.lax.stop_gradient((u, unit))
        exact = errors is None and self.match_width is None
        word = self._nearest(still, constant) if exact else self._words(key, still, errors, constant)
        level = self.levels[0] + self._step * word.astype(u.dtype)
        smooth = jnp.clip(u if self.function is None else u * unit, *self.window)
        if self.function is None:
            return straight_through(level, jnp.clip(smooth, *self.levels)) * unit
        return straight_through(level, jnp.clip(self.function(smooth), *self.levels))

    def codes(
        self, key: Key[Array, ""], u: Float[Array, "*batch n_columns"], errors: Any, unit: PerColumn = 1.0
    ) -> Int[Array, "*batch n_columns"]:
        """Code words from 0, the lowest level, to 2**bits − 1, decoded from Gray. `unit` is needed with a function."""
        if errors is None and self.match_width is None:
            return self._nearest(u, unit).astype(jnp.int32)
        return self._words(key, u, errors, unit)

    def counts(self, n: int) -> Counts:
        """Every column is compared with all its rows."""
        return Counts(cam_searches=n * len(self.rows.bit))


def _evaluate(function: Callable[[Array], Array], x: np.ndarray) -> np.ndarray:
    """f in float32 on the host, also while something else is being traced."""
    with jax.ensure_compile_time_eval():
        return np.asarray(function(jnp.asarray(x, jnp.float32)), np.float64)


@lru_cache
def _span(function: Callable[[Array], Array], window: tuple[float, float]) -> tuple[float, float]:
    y = _evaluate(function, np.linspace(*window, GRID))
    if not np.all(np.isfinite(y)) or y.min() == y.max():
        raise ValueError(f"CAM.function must be finite and not constant in the window {window}, got {function!r}")
    return float(y.min()), float(y.max())


@lru_cache
def _rows(
    function: Callable[[Array], Array] | None,
    bits: int,
    code: str,
    window: tuple[float, float],
    levels: tuple[float, float],
) -> Rows:
    """Where each bit of q(f(x)) changes: sign changes on a grid, halved to float32; then the runs of every bit."""
    step = (levels[1] - levels[0]) / (2**bits - 1)
    edges = levels[0] + step * (np.arange(2**bits - 1) + 0.5)
    if function is None:
        f: Callable[[np.ndarray], np.ndarray] = lambda x: np.asarray(x, np.float64)  # noqa: E731
        bounds = edges
    else:
        f = lambda x: _evaluate(function, x)  # noqa: E731
        grid = np.linspace(*window, GRID)
        above = f(grid)[:, None] >= edges
        cell, edge = np.nonzero(above[1:] != above[:-1])
        left, right, side = grid[cell], grid[cell + 1], above[cell, edge]
        for _ in range(30):
            middle = 0.5 * (left + right)
            same = (f(middle) >= edges[edge]) == side
            left, right = np.where(same, middle, left), np.where(same, right, middle)
        bounds = 0.5 * (left + right)
    bounds = np.unique(np.float32(bounds[(bounds > window[0]) & (bounds < window[1])]))
    corners = np.concatenate([[window[0]], bounds, [window[1]]])
    words = np.clip(np.round((f(0.5 * (corners[1:] + corners[:-1])) - levels[0]) / step), 0, 2**bits - 1).astype(int)
    if code == "gray":
        words = words ^ (words >> 1)
    starts = np.concatenate([[-np.inf], bounds]).astype(np.float32)
    ends = np.concatenate([bounds, [np.inf]]).astype(np.float32)
    rows = []
    for bit in range(bits):
        padded = np.concatenate([[0], words >> bit & 1, [0]])
        changes = np.flatnonzero(np.diff(padded))  # first of a run, then one past its last, and so on
        rows += [(bit, starts[i], ends[j - 1]) for i, j in zip(changes[::2], changes[1::2], strict=True)]
    number, lo, hi = zip(*rows, strict=True) if rows else ((), (), ())
    return Rows(np.asarray(number, np.int32), np.asarray(lo, np.float32), np.asarray(hi, np.float32))
