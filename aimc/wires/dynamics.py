"""How long the currents of a crossbar take to settle: exactly by its modes, or by one number per output (Elmore).

Every word-line and bit-line node carries a capacitance `c_wire` to ground; C dx/dt = −A x + b v(t), A the nodal matrix.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from aimc.wires.lines import MICRO, Drive, Ends, Ohm, Wires, ends_of, microsiemens, wires_of
from aimc.wires.sweep import Row, matmul, series_of, upwards, word_lines

MOST_NODES = 4096  # a dense eigenproblem of this size takes a minute and 0.4 GB


class Modes(NamedTuple):
    """Eigenmodes of a crossbar with linear cells: float64 on the host."""

    rates: np.ndarray  # (modes,) 1/s, slowest first
    excitation: np.ndarray  # (m, modes): V/s into each mode per volt on a row
    readout: np.ndarray  # (modes, n): ampere in each sense line per volt of a mode


def modes(
    g: Float[np.ndarray, "m n"], *, r_row: float, r_col: float, r_drv: float, r_sense: float, c_wire: float
) -> Modes:
    """Diagonalise the crossbar g (siemens) with wires (ohm) and `c_wire` (farad) at each of its 2 m n nodes.

    Exact, in float64, for arrays of up to 4096 nodes. Raises ValueError beyond, and where a resistance or the
    capacitance is not above 0.
    """
    given = {"r_row": r_row, "r_col": r_col, "r_drv": r_drv, "r_sense": r_sense, "c_wire": c_wire}
    for name, value in given.items():
        if not 0 < value < np.inf:
            raise ValueError(f"{name} must be finite and above 0 for a settling time, got {value}")
    g = np.asarray(g, np.float64)
    m, n = g.shape
    if 2 * m * n > MOST_NODES:
        raise ValueError(f"modes of {m} × {n} cells are {2 * m * n} nodes, at most {MOST_NODES}; take elmore_delay")
    word = np.arange(m * n).reshape(m, n)
    bit = word + m * n
    a = np.zeros((2 * m * n, 2 * m * n))

    def connect(left: np.ndarray, right: np.ndarray, conductance: np.ndarray | float) -> None:
        left, right = left.ravel(), right.ravel()
        conductance = np.broadcast_to(np.ravel(conductance), left.shape)
        np.add.at(a, (left, left), conductance)
        np.add.at(a, (right, right), conductance)
        np.add.at(a, (left, right), -conductance)
        np.add.at(a, (right, left), -conductance)

    connect(word, bit, g)
    connect(word[:, :-1], word[:, 1:], 1 / r_row)
    connect(bit[:-1], bit[1:], 1 / r_col)
    a[word[:, 0], word[:, 0]] += 1 / r_drv
    a[bit[-1], bit[-1]] += 1 / r_sense
    values, vectors = np.linalg.eigh(a)
    return Modes(values / c_wire, vectors[word[:, 0]] / (r_drv * c_wire), vectors[bit[-1]].T / r_sense)


def step_response(
    v: Float[np.ndarray, "*batch m"], modes: Modes, times: Float[np.ndarray, " t"], *, rise_time: float = 0.0
) -> Float[np.ndarray, "*batch t n"]:
    """Output currents (A) at the times (s) after the rows began to rise from 0 to v, linearly within `rise_time`."""

    def ramp(t: np.ndarray) -> np.ndarray:
        """Of each mode per unit of excitation: the integral over a unit ramp of slope 1, or over a unit step."""
        t = np.maximum(t, 0.0)[:, None]
        decay = -np.expm1(-modes.rates * t) / modes.rates
        return (t - decay) / modes.rates if rise_time else decay

    times = np.asarray(times, np.float64)
    shape = (ramp(times) - ramp(times - rise_time)) / rise_time if rise_time else ramp(times)
    excited = np.asarray(v, np.float64) @ modes.excitation
    return (excited[..., None, :] * shape) @ modes.readout


def settling_time(v: Float[np.ndarray, " m"], modes: Modes, *, fraction: float) -> float:
    """Seconds after a step to v until every output stays within `fraction` of the largest final current.

    Found on 4,000 points up to where the envelope of all modes is below it. Raises ValueError unless
    0 < fraction < 1, and where no current flows.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must be between 0 and 1, got {fraction}")
    parts = (np.asarray(v, np.float64) @ modes.excitation / modes.rates)[:, None] * modes.readout
    largest = np.abs(parts.sum(axis=0)).max()
    if largest == 0:
        raise ValueError("no current flows, so there is nothing to settle; drive a row whose cells are not all open")
    envelope = np.abs(parts).sum(axis=0).max()
    end = np.log(envelope / (fraction * largest)) / modes.rates[0]
    times = np.linspace(0.0, max(end, 1 / modes.rates[0]), 4000)
    error = np.abs(np.exp(-np.outer(times, modes.rates)) @ parts).max(axis=1) / largest
    return float(times[np.flatnonzero(error > fraction)[-1] + 1])


def elmore_delay(
    v: Float[Array, "*batch m"],
    g: Float[Array, "m n"],
    *,
    r_row: Ohm,
    r_col: Ohm,
    r_drv: Ohm,
    r_sense: Ohm,
    c_wire: float,
    drive: Drive = "left",
    tolerance: float = 1e-6,
) -> Float[Array, "*batch n"]:
    """First moment (s) of every output's approach to its final current: T = eᵀ A⁻¹ C A⁻¹ b v / (eᵀ A⁻¹ b v).

    Any size. ln(1/ε) T estimates the time to settle to ε; it means something for inputs of one sign, and is infinite
    where an output's currents cancel. A constant to gradients. Elmore, J. Appl. Phys. 19, 55 (1948).
    """
    if not c_wire > 0:
        raise ValueError(f"c_wire must be above 0 farad, got {c_wire}")
    g_micro = microsiemens(g)
    wires = wires_of(g_micro.dtype, r_row, r_col, r_drv, r_sense)
    flat = jnp.asarray(v, g_micro.dtype).reshape(-1, v.shape[-1])
    moments = _moments(*jax.lax.stop_gradient((flat, g_micro, wires)), ends_of(drive, "bottom"), tolerance)
    return (c_wire / MICRO) * moments.reshape(*v.shape[:-1], g.shape[1])


@partial(jax.jit, static_argnums=(3, 4))
def _moments(v: Array, g: Array, wires: Wires, ends: Ends, tolerance: float) -> Array:
    """Sum over all nodes of the potential for the input times that for each sense line, over the output current."""

    def start(down: Array, reverse_down: Array) -> tuple[Array, Array]:
        return jnp.zeros_like(down.T), down.T

    def visit(carry: tuple, row: Row, _: tuple) -> tuple[tuple, None]:
        moment, current = carry
        word = row.bit_lines + row.cell_voltages
        reverse_word = row.reverse_bit_lines - row.reverse_cell_voltages
        moment = moment + matmul(row.bit_lines.T, row.reverse_bit_lines) + matmul(word.T, reverse_word)
        return (moment, current), None

    series, lines, sources = series_of(g, wires, tolerance), word_lines(g, wires, ends), jnp.eye(g.shape[1])
    (moment, current), _ = upwards(lines, v.T, sources.astype(g.dtype), wires, series, visit, start)
    return moment / current
