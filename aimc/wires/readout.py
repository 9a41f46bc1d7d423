"""What wires and cells ask of the circuits around them: power drawn from the drivers, load on the sense amplifiers."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from aimc.wires.lines import MICRO, Drive, Ends, Ohm, Wires, ends_of, microsiemens, wires_of
from aimc.wires.solve import Solution
from aimc.wires.sweep import Row, series_of, transfer, upwards, word_lines


def array_power(v: Float[Array, "*batch m"], solution: Solution) -> Float[Array, "*batch"]:
    """Watt that the drivers put into cells and wires: Σ v_i I_in,i. Times the read time it is the energy of a read."""
    return jnp.sum(v * solution.input_currents, axis=-1)


def input_admittance(
    g: Float[Array, "m n"],
    *,
    r_row: Ohm,
    r_col: Ohm,
    r_drv: Ohm,
    r_sense: Ohm,
    drive: Drive = "left",
    tolerance: float = 1e-6,
) -> Float[Array, "m m"]:
    """Y in siemens with `I_in = v @ Y` into the rows of ohmic cells: the power of a read is `v @ Y @ v`.

    A constant to gradients.
    """
    g_micro = microsiemens(g)
    wires = wires_of(g_micro.dtype, r_row, r_col, r_drv, r_sense)
    return MICRO * _admittance(*jax.lax.stop_gradient((g_micro, wires)), ends_of(drive, "bottom"), tolerance)


@partial(jax.jit, static_argnums=(2, 3))
def _admittance(g: Array, wires: Wires, ends: Ends, tolerance: float) -> Array:
    def visit(carry: tuple, row: Row, _: tuple) -> tuple[tuple, Array]:
        return carry, jnp.sum(row.g[:, None] * row.cell_voltages, axis=0)

    inputs, sources = jnp.eye(g.shape[0], dtype=g.dtype), jnp.zeros((g.shape[1], 0), g.dtype)
    series, lines = series_of(g, wires, tolerance), word_lines(g, wires, ends)
    return upwards(lines, inputs, sources, wires, series, visit, lambda *_: (), is_unit=True)[1].T


def column_conductance(
    g: Float[Array, "m n"],
    *,
    r_row: Ohm,
    r_col: Ohm,
    r_drv: Ohm,
    r_sense: Ohm,
    drive: Drive = "left",
    tolerance: float = 1e-6,
) -> Float[Array, " n"]:
    """Siemens that each sense amplifier sees: its column through r_sense, all sources grounded.

    Without wires it is the column's sum of g. A constant to gradients.
    """
    g_micro = microsiemens(g)
    wires = wires_of(g_micro.dtype, r_row, r_col, r_drv, r_sense)
    return MICRO * _seen_from_below(*jax.lax.stop_gradient((g_micro, wires)), ends_of(drive, "bottom"), tolerance)


@partial(jax.jit, static_argnums=(2, 3))
def _seen_from_below(g: Array, wires: Wires, ends: Ends, tolerance: float) -> Array:
    none = jnp.zeros((g.shape[0], 0), g.dtype)
    series = series_of(g, wires, tolerance)
    return jnp.diag(transfer(word_lines(g, wires, ends), none, wires, series, is_unit=False)[1])


class Amplifier(NamedTuple):
    """A transimpedance amplifier on columns of given conductance."""

    gain: Float[Array, " n"]  # output over its ideal value −R_f I
    noise_gain: Float[Array, " n"]  # output volt per volt of input-referred noise
    time_constant: Float[Array, " n"]  # s


def amplifier(
    conductance: Float[Array, " n"], *, feedback: float, open_loop_gain: float, gain_bandwidth: float
) -> Amplifier:
    """What finite gain and bandwidth make of a column: V = −R_f I / (1 + (1 + R_f G)/A₀), G the column's conductance.

    `feedback` R_f in ohm, `gain_bandwidth` in Hz: τ = (1 + R_f G) / (2π GBW). The error depends on the data through G.
    Raises ValueError for values that are not above 0.
    """
    for name, value in (("feedback", feedback), ("open_loop_gain", open_loop_gain), ("gain_bandwidth", gain_bandwidth)):
        if not value > 0:
            raise ValueError(f"{name} must be above 0, got {value}")
    noise_gain = 1 + feedback * conductance
    return Amplifier(1 / (1 + noise_gain / open_loop_gain), noise_gain, noise_gain / (2 * jnp.pi * gain_bandwidth))
