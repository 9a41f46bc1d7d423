"""The lines of a crossbar: their resistances, what is allowed, and the voltage that currents lose along them.

Topology: M rows, N columns, a word-line and a bit-line node at every cell. Row i is driven through `r_drv` (driver plus
first segment) at its left end, column 0; `r_row` lies between neighbouring cells of a row. Column j is sensed through
`r_sense` (last segment plus sense input) at its bottom end, row M − 1, by a virtual ground; `r_col` lies between
neighbouring cells of a column. The other ends are open, or closed the same way (`drive="both"`, `sense="both"`).

Everything in this package computes in µS, MΩ, µA and V, where float32 neither under- nor overflows.
"""

from typing import Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

HIGHEST = jax.lax.Precision.HIGHEST  # TF32 or bf16, the default elsewhere, would be coarser than the drops themselves
MICRO = 1e-6

Ohm: TypeAlias = float | int | Float[Array, ""]
Drive: TypeAlias = Literal["left", "both"]
Sense: TypeAlias = Literal["bottom", "both"]


class Wires(NamedTuple):
    """Resistances in MΩ, as traced scalars."""

    row: Array
    col: Array
    drv: Array
    sense: Array


class Ends(NamedTuple):
    """Which ends of the lines are closed; static."""

    drive: Drive = "left"
    sense: Sense = "bottom"


def wires_of(dtype: jnp.dtype, r_row: Ohm, r_col: Ohm, r_drv: Ohm, r_sense: Ohm) -> Wires:
    """Resistances from ohm. Raises ValueError where one is known to be negative or not finite."""
    given = {"r_row": r_row, "r_col": r_col, "r_drv": r_drv, "r_sense": r_sense}
    for name, value in given.items():
        if not isinstance(value, Tracer) and not 0 <= float(value) < np.inf:
            raise ValueError(f"{name} must be a finite resistance of at least 0 ohm, got {value}")
    return Wires(*(jnp.asarray(value, dtype) * MICRO for value in given.values()))


def ends_of(drive: str, sense: str) -> Ends:
    """The ends by name. Raises ValueError for a name that is none."""
    if drive not in ("left", "both"):
        raise ValueError(f"drive must be 'left' or 'both' (ends of the rows), got {drive!r}")
    if sense not in ("bottom", "both"):
        raise ValueError(f"sense must be 'bottom' or 'both' (ends of the columns), got {sense!r}")
    return Ends(drive, sense)


def microsiemens(g: Array, name: str = "g") -> Array:
    """Conductances from siemens. Raises ValueError where g is no array of cells, or known to be negative or not
    finite."""
    g = jnp.asarray(g)
    if g.ndim < 2 or 0 in g.shape:
        raise ValueError(f"{name} must have at least one row and one column of cells, got shape {g.shape}")
    if not jnp.issubdtype(g.dtype, jnp.floating):
        raise ValueError(f"{name} must hold floating-point siemens, got {g.dtype}")
    if not isinstance(g, Tracer) and not bool(jnp.all((g >= 0) & (g < jnp.inf))):
        raise ValueError(f"{name} must hold finite conductances of at least 0 siemens (0 is an open cell)")
    return g / MICRO


def row_resistance(wires: Wires, n_cols: int, drive: Drive) -> Float[Array, "n n"]:
    """What a unit current into column b of a row costs column a of the same row: voltage below the source, in MΩ."""
    to_left = wires.drv + wires.row * jnp.arange(n_cols, dtype=wires.row.dtype)
    return _line_resistance(to_left, wires.drv, wires.row, drive == "both")


def column_resistance(wires: Wires, n_rows: int, sense: Sense) -> Float[Array, "m m"]:
    """What a unit current out of row b of a column costs row a of the same column: voltage above ground, in MΩ."""
    to_bottom = wires.sense + wires.col * jnp.arange(n_rows, dtype=wires.col.dtype)
    return _line_resistance(to_bottom, wires.sense, wires.col, sense == "both")[::-1, ::-1]


def _line_resistance(to_end: Array, end: Array, segment: Array, is_closed: bool) -> Array:
    near = jnp.minimum(to_end[:, None], to_end)
    if not is_closed:
        return near
    far = jnp.maximum(to_end[:, None], to_end)
    total = to_end[-1] + end
    # Two parallel ways to the source; of ideal wires (total 0) any share of nothing is nothing.
    return near * (total - far) / jnp.where(total > 0, total, 1.0)


def drop(
    currents: Float[Array, "m k n"], rows: Float[Array, "n n"], cols: Float[Array, "m m"]
) -> Float[Array, "m k n"]:
    """K i: the voltage that k sets of cell currents (µA) take from their cells, along rows and columns together.

    Symmetric and positive semidefinite. The inputs stand in the middle so that both products are plain matrix products.
    """
    m, k, n = currents.shape
    along_rows = jnp.matmul(currents.reshape(m * k, n), rows, precision=HIGHEST).reshape(m, k, n)
    along_columns = jnp.matmul(cols, currents.reshape(m, k * n), precision=HIGHEST).reshape(m, k, n)
    return along_rows + along_columns
