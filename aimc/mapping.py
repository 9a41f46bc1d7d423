"""Weights to target conductances: scaled, sliced, encoded in cells, cut into tiles."""

from math import ceil
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from aimc.devices.base import Level

ENCODINGS = ("one_sided", "two_sided", "offset_column", "offset_digital", "signed_cell")
SCALINGS = ("tensor", "column")


class Mapping(NamedTuple):
    """How weights are laid out in cells (static: another mapping is another program).

    `encoding` of a weight w in [−1, 1], for cells from g_min to 1:

    * "one_sided": a pair, w = (G⁺ − G⁻)/(1 − g_min), the cell of the other sign at g_min (Joshi et al. 2020).
    * "two_sided": a pair on both sides of the middle, G± = mid ± w (1 − g_min)/2.
    * "offset_column": one cell a weight, G = mid + w (1 − g_min)/2, less the current of a dummy column of cells at the
      middle; all columns of a tile share it, and with it its errors and noise.
    * "offset_digital": the same, the middle subtracted digitally from the converted sum as mid Σx, exactly; the
      readout's range has to hold the offset.
    * "signed_cell": one cell whose own current changes sign at the middle, as a gain cell's does (Leroux et al. 2025).

    `scaling`: the largest weight of the whole "tensor", or of every "column", drives a cell fully. `n_slices`: cells of
    falling significance a weight is spread over, read by columns side by side and added digitally. They hold digits of
    `slice_bits` bits, or, where `residual`, what is left after the slices before it were written and read back (Song et
    al., Science 2024). One slice with `slice_bits` is a cell with 2**slice_bits levels.
    """

    encoding: str = "one_sided"
    scaling: str = "tensor"
    n_slices: int = 1
    slice_bits: int | None = None
    residual: bool = False

    def check(self) -> None:
        """Raise ValueError for what cannot be combined, naming the fields."""
        for name, allowed in (("encoding", ENCODINGS), ("scaling", SCALINGS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"mapping.{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        if not isinstance(self.n_slices, int) or not 1 <= self.n_slices <= 16:
            raise ValueError(f"mapping.n_slices must be a whole number from 1 to 16, got {self.n_slices!r}")
        bits = self.slice_bits
        if bits is not None and (not isinstance(bits, int) or not 1 <= bits <= 16 or bits * self.n_slices > 24):
            raise ValueError(
                "mapping.slice_bits must be a whole number of bits from 1 to 16, at most 24 over all slices (a float32 "
                f"holds no more), got {bits!r} in {self.n_slices} slices"
            )
        if self.residual and bits is not None:
            raise ValueError(
                "mapping.residual=True spreads a remainder, not digits; with it mapping.slice_bits must be None, "
                f"got {bits}"
            )
        if self.residual and self.n_slices == 1:
            raise ValueError("mapping.residual=True needs mapping.n_slices of at least 2, got 1")
        if self.n_slices > 1 and not self.residual and bits is None:
            raise ValueError(
                f"mapping.n_slices={self.n_slices} needs mapping.slice_bits, or mapping.residual=True for remainders"
            )

    @property
    def cells_per_weight(self) -> int:
        """Cells a weight occupies, dummy columns not counted."""
        return self.n_slices * (2 if self.encoding in ("one_sided", "two_sided") else 1)


def row_tiles(n_in: int, rows: int) -> tuple[int, int]:
    """Number of row tiles that `n_in` inputs need, and how many inputs each then takes: an even cut wastes least."""
    n_tiles = ceil(n_in / rows)
    return n_tiles, ceil(n_in / n_tiles)


def to_tiles(w: Float[Array, "n_in n_out"], rows: int) -> Float[Array, "n_tiles n_row n_out"]:
    """Stack the row tiles; the last one is filled up with zero weights, which are never driven.

    Columns are independent of each other here, so column tiles need no axis: they only count in `aimc.counts`.
    """
    n_tiles, n_row = row_tiles(w.shape[0], rows)
    return jnp.pad(w, ((0, n_tiles * n_row - w.shape[0]), (0, 0))).reshape(n_tiles, n_row, w.shape[1])


def column_scale(w: Float[Array, "... n_out"], scaling: str) -> Float[Array, " scales"]:
    """The weight that drives a cell fully, shape (n_out,) or (1,); 1 where all weights are zero."""
    largest = jnp.max(jnp.abs(w), axis=tuple(range(w.ndim - 1)))
    if scaling == "tensor":
        largest = jnp.max(largest, keepdims=True)
    return jnp.where(largest > 0, largest, 1.0)


def digits(w: Float[Array, "*shape"], mapping: Mapping) -> list[Float[Array, "*shape"]]:
    """Signed digits of w in [−1, 1], most significant slice first, each in [−1, 1]; w itself where there are none."""
    if mapping.slice_bits is None:
        return [w]
    bits, top = mapping.slice_bits, 2 ** (mapping.slice_bits * mapping.n_slices) - 1
    code = jnp.round(jnp.abs(w) * top).astype(jnp.int32)
    sign = jnp.sign(w)
    shifts = [bits * k for k in reversed(range(mapping.n_slices))]
    return [sign * ((code >> shift) & (2**bits - 1)).astype(w.dtype) / (2**bits - 1) for shift in shifts]


def digit_weights(mapping: Mapping) -> tuple[float, ...]:
    """What the digits count for, so that Σ weight · digit gives back w."""
    if mapping.slice_bits is None:
        return (1.0,)
    bits, top = mapping.slice_bits, 2 ** (mapping.slice_bits * mapping.n_slices) - 1
    return tuple((2**bits - 1) * 2 ** (bits * k) / top for k in reversed(range(mapping.n_slices)))


def contrast(mapping: Mapping, g_min: Level) -> Level:
    """Difference of conductance, in units of g_max, that stands for w = 1."""
    return (1.0 - g_min) * (1.0 if mapping.encoding in ("one_sided", "two_sided") else 0.5)


def encode(
    w: Float[Array, "*tiles n_row n_column"], mapping: Mapping, g_min: Level, cols: int, n_slices: int
) -> tuple[Float[Array, "..."], ...]:
    """Target conductances for w in [−1, 1], `n_slices` of them side by side: (plus, minus), (cells, dummy columns) or
    (cells,). Every slice has a dummy column for every `cols` columns.
    """
    span, middle = 1.0 - g_min, 0.5 * (1.0 + g_min)
    if mapping.encoding == "one_sided":
        return g_min + span * jnp.maximum(w, 0.0), g_min + span * jnp.maximum(-w, 0.0)
    half = 0.5 * span * w
    if mapping.encoding == "two_sided":
        return middle + half, middle - half
    if mapping.encoding != "offset_column":
        return (middle + half,)
    n_dummy = n_slices * ceil(w.shape[-1] // n_slices / cols)
    return middle + half, jnp.broadcast_to(jnp.asarray(middle, w.dtype), (*w.shape[:-1], n_dummy))


def less_reference(
    own: Float[Array, "*batch n_column"], reference: Float[Array, "*batch n"] | None, cols: int, n_slices: int
) -> Float[Array, "*batch n_column"]:
    """Subtract the other side: cell by cell of a pair, or the dummy column that serves a block of `cols` columns."""
    if reference is None:
        return own
    if reference.shape[-1] == own.shape[-1]:
        return own - reference
    batch, n_out = own.shape[:-1], own.shape[-1] // n_slices
    blocks = reference.reshape(*batch, n_slices, -1)
    return own - jnp.repeat(blocks, cols, axis=-1)[..., :n_out].reshape(own.shape)
