"""An array with wires: its cells as the circuits they really are, and what those circuits multiply by.

The bridge from mapped cells (`aimc.program`) to circuits (`aimc.wires`): which cells share wires, where they are
driven, and the matrix that a read then multiplies by.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from aimc import wires
from aimc.devices.base import Level, static
from aimc.wires import laws

LAYOUTS = ("interleaved", "separate")
NOISES = ("diagonal", "reference", "exact")
LAWS = ("ohmic", "sinh", "oxram_milo")


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Wiring:
    """Resistances in ohm, and how cells hang on the lines (topology: `aimc.wires.lines`).

    A tile is as wide as its fullest block of columns, at most `cols`. `layout`: "interleaved" puts both cells of a
    pair on one array, on neighbouring rows driven with +v and −v; "separate" gives G⁺ and G⁻ an array each. `drive`:
    rows driven from the "left" or from "both" ends. A dummy column is the last of its tile.

    `noise`: what the output path makes of read noise (`aimc.wires.fold_noise`). "diagonal" costs nothing extra and is
    right on average for inputs of both signs; "reference" also keeps what adds up along equal inputs, for two more
    products; "exact" evaluates the first-order law for every input, slowly. Correlations between outputs are left out
    by all three; `read_path="device"` has them.

    `law`: "ohmic" cells, or "sinh", I = G v0 sinh(V/v0), or "oxram_milo", a cubic (`aimc.wires.laws`), at `v_read` volt
    for a full input. For the latter two no fold exists, and every input vector is solved, which needs
    `read_path="device"`.

    `refold_every`: layers that are programmed anew at every call (training) solve the circuit at every k-th call, and
    carry over in between what the wires changed; the gradient passes through the fold when it is solved, and straight
    through in between.
    """

    r_row: Level = 1.0
    r_col: Level = 1.0
    r_drv: Level = 0.0
    r_sense: Level = 0.0
    v_read: Level = 0.2
    v0: Level = 0.25
    law: str = static("ohmic")
    layout: str = static("interleaved")
    drive: str = static("left")
    noise: str = static("diagonal")
    refold_every: int = static(1)

    def __post_init__(self) -> None:
        for name, allowed in (("layout", LAYOUTS), ("drive", ("left", "both")), ("noise", NOISES), ("law", LAWS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"wiring.{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        if not isinstance(self.refold_every, int) or self.refold_every < 1:
            raise ValueError(
                f"wiring.refold_every must be a whole number of calls, at least 1, got {self.refold_every!r}"
            )

    @property
    def circuit(self) -> dict[str, Any]:
        """Resistances and driven ends, as `aimc.wires` takes them."""
        return {
            "r_row": self.r_row,
            "r_col": self.r_col,
            "r_drv": self.r_drv,
            "r_sense": self.r_sense,
            "drive": self.drive,
        }


class Circuits(NamedTuple):
    """Cells as they share wires, in siemens: one circuit a row tile, slice and block of columns.

    `has_pairs`: rows come in pairs driven with opposite signs. `has_dummy`: the last column is subtracted from the
    others.
    """

    g: Float[Array, "*parts n_tiles n_blocks m n"]
    has_pairs: bool
    has_dummy: bool


def circuits(own: Array, reference: Array | None, wiring: Wiring, encoding: str, cols: int, n_slices: int) -> Circuits:
    """Lay out cells, (n_tiles, n_row, n_column) in any unit, as circuits."""
    blocked = _blocks(own, cols, n_slices)
    if reference is None:
        return Circuits(blocked, False, False)
    if encoding == "offset_column":
        dummies = jnp.swapaxes(reference, -1, -2)[..., None]  # one a block, beside its columns
        return Circuits(jnp.concatenate([blocked, dummies], axis=-1), False, True)
    other = _blocks(reference, cols, n_slices)
    if wiring.layout == "interleaved":
        return Circuits(wires.interleave(blocked, other), True, False)
    return Circuits(jnp.stack([blocked, other]), False, False)


def fold(cells: Circuits, wiring: Wiring, g_max: Level, n_out: int, n_slices: int) -> Float[Array, "n_tiles n_row n"]:
    """What a read of the whole array multiplies by, in units of g_max; differentiable in the cells."""
    h = wires.transfer_matrix(cells.g * g_max, **wiring.circuit) / g_max
    if cells.has_pairs:
        h = wires.fold_pairs(h)
    elif cells.has_dummy:
        h = h[..., :-1] - h[..., -1:]
    elif h.ndim == 5:  # separate arrays
        h = h[0] - h[1]
    return _unblocked(h, n_out, n_slices)


class FoldedNoise(NamedTuple):
    """Variance of every output for x on the rows: x² @ diagonal, and what adds up along equal inputs.

    The second part is sign ((x @ correction)² − x² @ correction²); None leaves it out. `shared` is the diagonal of the
    dummy columns. In units of g_max².
    """

    diagonal: Float[Array, "n_tiles n_row n_column"]
    shared: Float[Array, "n_tiles n_row n_block"] | None
    correction: Float[Array, "n_tiles n_row n_column"] | None
    sign: Float[Array, "n_tiles n_column"] | None


def fold_noise(
    cells: Circuits, variance: Float[Array, "..."], wiring: Wiring, g_max: Level, n_out: int, n_slices: int
) -> FoldedNoise:
    """The noise of an array whose cells fluctuate by `variance` (like `cells.g`, in units of g_max²)."""
    m = cells.g.shape[-2]
    inputs = wires.pair_inputs(m // 2) if cells.has_pairs else None
    reference = jnp.ones(m // 2 if cells.has_pairs else m) if wiring.noise == "reference" else None

    def one(circuit: tuple[Array, Array]) -> tuple[Array, Array, Array]:
        g, s2 = circuit
        folded = wires.fold_noise(g * g_max, s2 * g_max**2, inputs=inputs, reference=reference, **wiring.circuit)
        return folded.diagonal / g_max**2, folded.correction / g_max, folded.sign

    shape = cells.g.shape
    flat = tuple(a.reshape(-1, *shape[-2:]) for a in (cells.g, jnp.broadcast_to(variance, shape)))
    found = jax.lax.map(one, flat)
    diagonal, correction, sign = (a.reshape(*shape[:-2], *a.shape[1:]) for a in found)
    if len(shape) == 5:  # separate arrays, independent of each other
        diagonal, correction, sign = diagonal[0] + diagonal[1], correction[0], sign[0]
    shared = None
    if cells.has_dummy:
        shared = jnp.swapaxes(diagonal[..., -1], -1, -2)
        diagonal, correction, sign = diagonal[..., :-1], correction[..., :-1], sign[..., :-1]
    if reference is None:
        return FoldedNoise(_unblocked(diagonal, n_out, n_slices), shared, None, None)
    return FoldedNoise(
        _unblocked(diagonal, n_out, n_slices),
        shared,
        _unblocked(correction, n_out, n_slices),
        _unblocked(sign[..., None, :], n_out, n_slices)[..., 0, :],
    )


def exact_variance(
    x: Float[Array, "*batch n_row"],
    cells: Circuits,
    variance: Float[Array, "..."],
    wiring: Wiring,
    g_max: Level,
    n_out: int,
    n_slices: int,
) -> tuple[Float[Array, "*batch n_column"], Float[Array, "*batch n_block"] | None]:
    """Variances of the sums of one row tile, and of its dummy columns, to first order exactly, in units of g_max².

    `cells` and `variance` (in units of g_max²) are those of one row tile: leading axes (*parts, n_blocks).
    """
    flat_x = x.reshape(-1, x.shape[-1])
    v = wires.pair_voltages(flat_x) if cells.has_pairs else flat_x
    shape = cells.g.shape

    def one(circuit: tuple[Array, Array]) -> Array:
        g, s2 = circuit
        return wires.noise_variance(v, g * g_max, s2 * g_max**2, **wiring.circuit) / g_max**2

    flat = tuple(a.reshape(-1, *shape[-2:]) for a in (cells.g, jnp.broadcast_to(variance, shape)))
    found = jax.lax.map(one, flat).reshape(*shape[:-2], flat_x.shape[0], shape[-1])
    shared = None
    if cells.has_dummy:
        shared, found = found[..., -1].T.reshape(*x.shape[:-1], -1), found[..., :-1]
    elif len(shape) == 4:
        found = found[0] + found[1]
    return _unblocked(found[None], n_out, n_slices)[0].reshape(*x.shape[:-1], -1), shared


def currents(
    x: Float[Array, " n_row"], cells: Circuits, wiring: Wiring, g_max: Level, n_out: int, n_slices: int
) -> Float[Array, " n_column"]:
    """Sums of one row tile for one input vector, solved cell by cell, in fully-on cells; the cells may be nonlinear.

    `cells` are those of one row tile: leading axes (*parts, n_blocks).
    """
    v = x * wiring.v_read
    v = wires.pair_voltages(v) if cells.has_pairs else v
    parameters = (jnp.asarray(wiring.v0),) if wiring.law == "sinh" else ()
    shape = cells.g.shape

    def one(g: Array) -> Array:
        return wires.solve(
            v, g * g_max, law=getattr(laws, wiring.law), parameters=parameters, **wiring.circuit
        ).currents

    found = jax.lax.map(one, cells.g.reshape(-1, *shape[-2:])) / (g_max * wiring.v_read)
    found = found.reshape(*shape[:-2], shape[-1])
    if cells.has_dummy:
        found = found[..., :-1] - found[..., -1:]
    elif len(shape) == 4:
        found = found[0] - found[1]
    return _unblocked(found[None, :, None, :], n_out, n_slices)[0, 0]


def _blocks(g: Array, cols: int, n_slices: int) -> Array:
    """(n_tiles, n_row, n_slices n_out) → (n_tiles, n_slices n_block, n_row, width); columns that are not there hold no
    cells, so that no current flows beyond the last."""
    n_tiles, n_row, n_column = g.shape
    n_out = n_column // n_slices
    width = min(cols, n_out)
    n_block = -(-n_out // width)
    g = jnp.pad(g.reshape(n_tiles, n_row, n_slices, n_out), ((0, 0),) * 3 + ((0, n_block * width - n_out),))
    return g.reshape(n_tiles, n_row, n_slices * n_block, width).swapaxes(1, 2)


def _unblocked(h: Array, n_out: int, n_slices: int) -> Array:
    n_tiles, _, n_row, _ = h.shape
    whole = h.swapaxes(1, 2).reshape(n_tiles, n_row, n_slices, -1)[..., :n_out]
    return whole.reshape(n_tiles, n_row, n_slices * n_out)
