"""What one read costs the array itself: the power its cells and wires draw, the time its lines take to settle."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from aimc import wires
from aimc.inputs import drive
from aimc.program import State, conductances
from aimc.wiring import Circuits, circuits


def read_power(state: State, x: Float[Array, "*batch n_in"], *, v_read: float = 0.2) -> Float[Array, "*batch"]:
    """Watt that the drivers put into all cells and wires while the vectors x are read, one number a vector.

    Σ v_i I_i over all driven rows of all tiles, slices and sides, every row at v_read volt for a full input (with
    wires, at the wiring's own `v_read`): exact for ohmic cells, from the circuit's solution where there are wires.
    Times the read time it is the energy of a read; bit planes are added up. Noise is left out. Converters, which
    usually take more, are counted by `aimc.counts.read_counts`. Raises ValueError for cells that are not resistors.
    """
    spec = state.spec
    if spec.mapping.encoding == "signed_cell" or (spec.wiring is not None and spec.wiring.law != "ohmic"):
        raise ValueError(
            "the power of a read is that of resistors, and these cells are none: they have a law of their own"
        )
    _, known, _ = drive(jax.random.key(0), x, spec.inputs)  # the codes without noise
    sides = conductances(state)
    n_tiles, n_row, _ = sides[0].shape
    padded = jnp.pad(known, [(0, 0)] * (known.ndim - 1) + [(0, n_tiles * n_row - known.shape[-1])])
    lines = padded.reshape(*known.shape[:-1], n_tiles, n_row)
    if spec.wiring is None:
        loads = sum(jnp.sum(side, axis=-1) for side in sides) * spec.device.g_max
        power = v_read**2 * jnp.sum(lines**2 * loads, axis=(-2, -1))
    else:
        cells = _circuits(state)
        resistances = spec.wiring.circuit
        admittance = _each(cells, lambda g: wires.input_admittance(g, **resistances), state)
        drive_lines = wires.pair_voltages(lines) if cells.has_pairs else lines
        per_tile = admittance.reshape(-1, n_tiles, *admittance.shape[-3:]).sum(axis=(0, 2))  # over parts and blocks
        power = spec.wiring.v_read**2 * jnp.einsum("...ti,tij,...tj->...", drive_lines, per_tile, drive_lines)
    return jnp.sum(power, axis=0) if spec.inputs.encoding == "bit_serial" else power


def settling_time(state: State, *, c_wire: float, fraction: float = 0.01) -> Float[Array, ""]:
    """Seconds until the slowest column is within `fraction` of its final current, all rows stepped at once.

    Elmore's estimate ln(1/fraction) T for `c_wire` farad at every node (24 % pessimistic in the transient it was
    compared with, see docs/wires.md). Raises ValueError for an array without wiring, whose lines have nothing to
    settle.
    """
    if state.spec.wiring is None:
        raise ValueError("wiring must be given for lines to take time to settle, got None")
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must be between 0 and 1, got {fraction}")
    cells, circuit = _circuits(state), state.spec.wiring.circuit
    ones = jnp.ones(cells.g.shape[-2])
    delays = _each(cells, lambda g: wires.elmore_delay(ones, g, c_wire=c_wire, **circuit), state)
    finite = jnp.where(jnp.isfinite(delays), delays, 0.0)  # a column without cells carries nothing
    return jnp.log(1.0 / fraction) * jnp.max(finite)


def _circuits(state: State) -> Circuits:
    spec = state.spec
    assert spec.wiring is not None
    own, *others = conductances(state)
    reference = others[0] if others else None
    return circuits(own, reference, spec.wiring, spec.mapping.encoding, spec.cols, len(state.scale))


def _each(cells: Circuits, function, state: State) -> Array:
    """The function of every circuit's conductances in siemens, stacked like the circuits."""
    shape = cells.g.shape
    found = jax.lax.map(lambda g: function(g * state.spec.device.g_max), cells.g.reshape(-1, *shape[-2:]))
    return found.reshape(*shape[:-2], *found.shape[1:])
