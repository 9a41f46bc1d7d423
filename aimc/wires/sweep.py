"""Rows eliminated one after another: what a crossbar with ohmic cells looks like from each of its rows.

Downwards, all that lies above the bit-line nodes of row m is a Norton equivalent: an admittance Y (n × n) and, for each
set of row voltages, the currents J it sends down. Upwards follow the bit-line potentials, and with them every cell's
voltage, for the inputs and for sources in the sense lines at once. Word lines are solved exactly, all at once; no 1/r
enters. A tile costs m steps of a few n × n products; give it rows on the longer side.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from aimc.wires.lines import HIGHEST, Ends, Wires

CHUNKS = 4  # of rows: the upward pass keeps one chunk's admittances, the downward one skips rows that are yet to come
LEAST_END = 1e-12  # MΩ; a driver at both ends of a line, of which one may be a short circuit


class WordLines(NamedTuple):
    """What each word line does, by its row m and cell n. Conductances in µS, resistances in MΩ."""

    g: Float[Array, "m n"]
    self_impedance: Float[Array, "m n"]  # node to ground with sources and bit lines grounded
    attenuation: Float[Array, "m n"]  # cumulative logarithm from the left end of what passes each segment
    reach: Float[Array, "m n"]  # node voltage for 1 V at the row's source(s) and grounded bit lines


class Row(NamedTuple):
    """One row on the way up: k inputs, q sources in the sense lines. Potentials in V."""

    g: Float[Array, " n"]
    cell_voltages: Float[Array, "n k"]  # word line minus bit line, per input
    bit_lines: Float[Array, "n k"]
    reverse_cell_voltages: Float[Array, "n q"]  # bit line minus word line, per source in the sense lines
    reverse_bit_lines: Float[Array, "n q"]


def matmul(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision=HIGHEST)


def word_lines(g: Float[Array, "m n"], wires: Wires, ends: Ends) -> WordLines:
    """Ladder recursions along all rows at once: impedance from the left, admittance from the right."""
    end = jnp.maximum(wires.drv, LEAST_END) if ends.drive == "both" else wires.drv
    columns = g.T

    def rightwards(z: Array, g: Array) -> tuple[Array, Array]:
        return wires.row + z / (1 + g * z), z

    def leftwards(y: Array, g: Array) -> tuple[Array, Array]:
        return (g + y) / (1 + wires.row * (g + y)), y

    open_end = jnp.zeros_like(columns[0])
    _, left = jax.lax.scan(rightwards, open_end + end, columns)
    right_end = open_end + 1 / end if ends.drive == "both" else open_end
    _, right = jax.lax.scan(leftwards, right_end, columns, reverse=True)
    left, load = left.T, g + right.T
    self_impedance = left / (1 + left * load)
    segment = jnp.full_like(g[0], wires.row).at[0].set(end)
    attenuation = -jnp.cumsum(jnp.log1p(segment * load), axis=1)
    reach = jnp.exp(attenuation)
    if ends.drive == "both":
        reach = reach + self_impedance * jnp.exp(attenuation[:, -1:] - attenuation) / end
    return WordLines(g, self_impedance, attenuation, reach)


def _impedance(line: WordLines) -> Float[Array, "n n"]:
    """Z of one word line: voltage at a for unit current into b, bit lines grounded. `line` holds vectors."""
    _, own, level, _ = line
    index = jnp.arange(own.shape[0])
    nearer = jnp.where(index[:, None] <= index, own[:, None], own)
    return nearer * jnp.exp(-jnp.abs(level[:, None] - level))


def _row_admittance(line: WordLines, impedance: Array) -> Float[Array, "n n"]:
    """D: currents from the bit lines into the cells of one row per volt on a bit line, row sources grounded."""
    return jnp.diag(line.g) - line.g[:, None] * impedance * line.g


class Series(NamedTuple):
    """Chebyshev steps that meet a tolerance, and the bound on the spectrum they cover: between rows, and at the end."""

    order: Int[Array, ""]
    bound: Float[Array, ""]
    end_order: Int[Array, ""]
    end_bound: Float[Array, ""]


def series_of(g: Float[Array, "m n"], wires: Wires, tolerance: float) -> Series:
    """How many steps every (I + r Y)⁻¹ needs.

    x = ‖r Y‖ obeys x ≤ x/(1+x) + δ from row to row with δ = r_col · max g, so it stays below the fixed point
    (δ + √(δ² + 4δ))/2, and below m δ. After k steps the residual is at most 1/T_k(1 + 2/x) (Saad, Iterative Methods for
    Sparse Linear Systems, 2003, eq. 6.113); m rows add up to m/2 times that in H, which is to be `tolerance`.
    """
    m, largest = g.shape[0], jnp.max(g)
    delta = wires.col * largest
    bound = jnp.minimum((delta + jnp.sqrt(delta * delta + 4 * delta)) / 2, m * delta)
    admittance = jnp.where(delta > 0, bound / jnp.where(delta > 0, wires.col, 1.0), m * largest)

    def steps(bound: Array, residual: float) -> tuple[Array, Array]:
        bound = jnp.maximum(bound, 1e-6)  # of ideal wires one step is exact
        growth = 2 * jnp.arcsinh(1 / jnp.sqrt(bound))  # arccosh(1 + 2/x) without cancellation
        order = jnp.ceil(math.acosh(1 / min(residual, 0.5)) / growth)
        return jnp.maximum(order, 1).astype(jnp.int32), bound

    return Series(*steps(bound, 2 * tolerance / m), *steps(wires.sense * admittance, tolerance))


def _loaded(y: Array, r: Array, order: Int[Array, ""], bound: Array) -> Array:
    """V = (I + r Y)⁻¹ Y by Chebyshev's semi-iteration (Saad 2003, algorithm 12.1, scaled so that r → 0 is regular)."""
    centre, width = 1 + bound / 2, (bound / 2) ** 2

    def step(_: Any, carry: tuple) -> tuple:
        v, change, residual, s = carry
        residual = residual - change - r * matmul(y, change)
        new = 1 / (2 * centre - width * s)
        change = width * new * s * change + 2 * new * residual
        return v + change, change, residual, new

    first = y / centre
    return jax.lax.fori_loop(0, order - 1, step, (first, first, y, 1 / centre))[0]


def _chunks(m: int) -> list[slice]:
    size = math.ceil(m / CHUNKS)
    return [slice(start, min(start + size, m)) for start in range(0, m, size)]


def downwards(
    lines: WordLines, inputs: Float[Array, "m k"], wires: Wires, series: Series, *, is_unit: bool
) -> tuple[list[tuple[Array, Array]], Array, Array]:
    """Norton equivalents of all above: at the start of every chunk of rows, and (Y, J) at the last row's nodes.

    At a chunk's start Y is that seen through the segment below the row before. `inputs` holds the row voltages of k
    inputs; `is_unit` says they are the identity, of which later columns are then carried only once they have begun.
    """
    (m, n), k = lines.g.shape, inputs.shape[1]
    # Above the first row there is nothing: no admittance, no current.
    y = loaded = jnp.zeros((n, n), lines.g.dtype)
    j, starts = jnp.zeros((n, 0 if is_unit else k), lines.g.dtype), []
    step = _descend(wires, series)
    for rows in _chunks(m):
        started = rows.stop if is_unit else k
        j = jnp.pad(j, ((0, 0), (0, started - j.shape[1])))
        starts.append((loaded, j))
        chunk = jax.tree.map(lambda leaf, rows=rows: leaf[rows], lines)
        (y, loaded, j), _ = jax.lax.scan(_without_output(step), (y, loaded, j), (chunk, inputs[rows, :started]))
    return starts, y, j


def _descend(wires: Wires, series: Series) -> Callable:
    def descend(carry: tuple, row: tuple) -> tuple[tuple, tuple]:
        """From one row's node to the next: through a segment, then the next row's cells."""
        (_, loaded, j), (line, v) = carry, row
        j = j - wires.col * matmul(loaded, j) + (line.g * line.reach)[:, None] * v
        y = loaded + _row_admittance(line, _impedance(line))
        loaded = _loaded(y, wires.col, series.order, series.bound)
        return (y, loaded, j), (loaded, j)

    return descend


def _without_output(step: Callable) -> Callable:
    return lambda carry, row: (step(carry, row)[0], None)


def transfer(
    lines: WordLines, inputs: Float[Array, "m k"], wires: Wires, series: Series, *, is_unit: bool
) -> tuple[Float[Array, "k n"], Float[Array, "n n"]]:
    """Currents into the sense lines (µA) per input, and their admittance as sources there see it (µS)."""
    _, y, j = downwards(lines, inputs, wires, series, is_unit=is_unit)
    loaded = _loaded(y, wires.sense, series.end_order, series.end_bound)
    return (j - wires.sense * matmul(loaded, j)).T, loaded


def upwards(
    lines: WordLines,
    inputs: Float[Array, "m k"],
    sources: Float[Array, "n q"],
    wires: Wires,
    series: Series,
    visit: Callable[[Any, Row, Any], tuple[Any, Any]],
    start: Callable[[Array, Array], Any],
    data: Any = (),
    *,
    is_unit: bool = False,
) -> tuple[Any, Any]:
    """Visit the rows from the last to the first, as `lax.scan` would: visit(carry, row, its data) -> (carry, output).

    `start` makes the first carry from the sense currents (n, k) of the inputs and (n, q) of the sources. The outputs
    come stacked in the order of the rows.
    """
    (m, n), k = lines.g.shape, inputs.shape[1]
    starts, y, j = downwards(lines, inputs, wires, series, is_unit=is_unit)
    last = _loaded(y, wires.sense, series.end_order, series.end_bound)
    carry = start(j - wires.sense * matmul(last, j), matmul(last, sources))
    bit = (jnp.zeros((n, k), y.dtype), sources)
    outputs = []

    def climb(carry: tuple, row: tuple) -> tuple:
        (below, below_reverse), visited = carry
        line, v, loaded, j, r, row_data = row
        both = jnp.concatenate([below + r * j, below_reverse], axis=1)
        both = both - r * matmul(loaded, both)
        # Cell voltages of potentials B on the bit lines: −(B − Z g B); a row's own source adds its reach.
        across = both - matmul(_impedance(line), line.g[:, None] * both)
        forward = jnp.outer(line.reach, v) - across[:, :k]
        visited, output = visit(visited, Row(line.g, forward, both[:, :k], across[:, k:], both[:, k:]), row_data)
        return ((both[:, :k], both[:, k:]), visited), output

    for rows, (loaded, j) in zip(reversed(_chunks(m)), reversed(starts), strict=True):
        chunk, chunk_data = jax.tree.map(lambda leaf, rows=rows: leaf[rows], (lines, data))
        begin = (loaded, loaded, j)
        _, (loaded, currents) = jax.lax.scan(_descend(wires, series), begin, (chunk, inputs[rows, : j.shape[1]]))
        currents = jnp.pad(currents, ((0, 0), (0, 0), (0, k - j.shape[1])))
        r = jnp.full(loaded.shape[0], wires.col)
        if rows.stop == m:
            loaded, r = loaded.at[-1].set(last), r.at[-1].set(wires.sense)
        (bit, carry), output = jax.lax.scan(
            climb, (bit, carry), (chunk, inputs[rows], loaded, currents, r, chunk_data), reverse=True
        )
        outputs.append(output)
    return carry, jax.tree.map(lambda *parts: jnp.concatenate(parts), *reversed(outputs))
