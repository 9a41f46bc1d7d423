"""The fold: with ohmic cells a crossbar with wires is one matrix H, computed once for each state of its cells."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from aimc.wires.lines import MICRO, Drive, Ends, Ohm, Sense, Wires, ends_of, microsiemens, row_resistance, wires_of
from aimc.wires.sweep import Row, matmul, series_of, transfer, upwards, word_lines


def transfer_matrix(
    g: Float[Array, "*tiles m n"],
    *,
    r_row: Ohm,
    r_col: Ohm,
    r_drv: Ohm,
    r_sense: Ohm,
    drive: Drive = "left",
    sense: Sense = "bottom",
    tolerance: float = 1e-6,
    tiles_at_once: int | None = None,
) -> Float[Array, "*tiles m n"]:
    """H in siemens with `I = v @ H` for the crossbar g (siemens), wires in ohm: `output_currents` as one product.

    Direct elimination row by row (`aimc.wires.sweep`); what truncating its series adds to H, relative to the largest
    singular value, is at most about `tolerance`. Tiles are done `tiles_at_once` at a time: one by one on a CPU, whose
    caches they fill, all at once elsewhere. Differentiable in g and the resistances by its own adjoint, a second pass
    over the rows; cells that are open (g = 0) have their derivative too.

    Holds for ohmic cells whose rows all stay driven: not for cells with another law, nor for rows that an input
    disconnects, nor after a cell has been rewritten. Raises ValueError for impossible g or resistances, and for both
    ends of rows and columns closed at once, which `output_currents` solves.
    """
    g_micro = microsiemens(g)
    wires, ends = wires_of(g_micro.dtype, r_row, r_col, r_drv, r_sense), ends_of(drive, sense)
    if not tolerance > 0:
        raise ValueError(f"tolerance must be above 0, got {tolerance}")
    if ends == ("both", "both"):
        raise ValueError("drive='both' with sense='both' has no folded form here; take output_currents, input by input")
    if tiles_at_once is not None and tiles_at_once < 1:
        raise ValueError(f"tiles_at_once must be at least 1, got {tiles_at_once}")
    m, n = g.shape[-2:]
    tiles = g_micro.reshape(-1, m, n)
    # The work is rows × columns³, so rows are the longer side; sensing at both ends is driving at both, seen reversed.
    is_reversed = ends.sense == "both" or (ends.drive == "left" and n > m)
    if is_reversed:
        tiles, wires, ends = _reverse(tiles), _reverse_wires(wires), Ends("both" if ends.sense == "both" else "left")
    at_once = tiles_at_once or (1 if jax.default_backend() == "cpu" else tiles.shape[0])
    h = _fold_tiles(tiles, wires, ends, tolerance, min(at_once, tiles.shape[0]))
    h = _reverse(h) if is_reversed else h
    return MICRO * h.reshape(g.shape)


def _reverse(tiles: Array) -> Array:
    """The same circuit with inputs and outputs exchanged, turned so that it is driven left and sensed below."""
    return jnp.swapaxes(tiles, -1, -2)[..., ::-1, ::-1]


def _reverse_wires(wires: Wires) -> Wires:
    return Wires(row=wires.col, col=wires.row, drv=wires.sense, sense=wires.drv)


@partial(jax.jit, static_argnums=(2, 3, 4))
def _fold_tiles(tiles: Array, wires: Wires, ends: Ends, tolerance: float, at_once: int) -> Array:
    """H of every tile. Compiled here too, since called plainly its loops would be compiled anew each time."""
    if tiles.shape[0] == 1:
        return _fold(tiles[0], wires, ends, tolerance)[None]
    if at_once == tiles.shape[0]:
        return jax.vmap(lambda tile: _fold(tile, wires, ends, tolerance))(tiles)
    return jax.lax.map(lambda tile: _fold(tile, wires, ends, tolerance), tiles, batch_size=at_once)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _fold(g: Array, wires: Wires, ends: Ends, tolerance: float) -> Array:
    """H of one tile, in µS."""
    eye = jnp.eye(g.shape[0], dtype=g.dtype)
    series = series_of(g, wires, tolerance)
    return transfer(word_lines(g, wires, ends), eye, wires, series, is_unit=True)[0]


def _forward(g: Array, wires: Wires, ends: Ends, tolerance: float) -> tuple[Array, tuple]:
    return _fold(g, wires, ends, tolerance), (g, wires)


def _backward(ends: Ends, tolerance: float, saved: tuple, h_bar: Array) -> tuple[Array, Wires]:
    """∂I_j/∂G = d λ and ∂I_j/∂r = −i i′, d and i for the input, λ and i′ for a unit source in sense line j; summed over
    outputs first, so that each input meets one source pattern."""
    g, wires = saved
    eye = jnp.eye(g.shape[0], dtype=g.dtype)

    def start(down: Array, reverse_down: Array) -> tuple:
        n = g.shape[1]
        sense_bar = -jnp.sum(down * reverse_down)
        return down, reverse_down, jnp.zeros((), g.dtype), jnp.zeros((n, n), g.dtype), sense_bar

    def visit(carry: tuple, row: Row, is_last: Array) -> tuple[tuple, Array]:
        down, reverse_down, col_bar, gram, sense_bar = carry
        # What a column carries below this row, for the input and for the source pattern.
        col_bar = col_bar - jnp.where(is_last, 0.0, jnp.sum(down * reverse_down))
        current, reverse_current = row.g[:, None] * row.cell_voltages, row.g[:, None] * row.reverse_cell_voltages
        gram = gram + matmul(current, reverse_current.T)
        carry = (down - current, reverse_down - reverse_current, col_bar, gram, sense_bar)
        return carry, jnp.sum(row.cell_voltages * row.reverse_cell_voltages, axis=1)

    is_last = jnp.arange(g.shape[0]) == g.shape[0] - 1
    series, lines = series_of(g, wires, tolerance), word_lines(g, wires, ends)
    carry, g_bar = upwards(lines, eye, h_bar.T, wires, series, visit, start, is_last, is_unit=True)
    _, _, col_bar, gram, sense_bar = carry
    _, of_row = jax.vjp(lambda wires: row_resistance(wires, g.shape[1], ends.drive), wires)
    (wires_bar,) = of_row(-gram)
    return g_bar, wires_bar._replace(col=col_bar, sense=sense_bar)


_fold.defvjp(_forward, _backward)
