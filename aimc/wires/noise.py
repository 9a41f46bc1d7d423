"""Read noise through wires: every cell disturbs every output, by how strongly the wires couple the two.

To first order in the cell noise δG, with variance s² of each cell,

    δI_j = Σ_mn δG_mn d_mn λ_mn^(j),      Var I_j = Σ_mn s²_mn d_mn² (λ_mn^(j))² = vᵀ Q_j v,

d the cell voltages for the input, λ^(j) those for a unit source in sense line j. Without wires d is the row's voltage
and λ one column of ones, so Q_j is diagonal and the law is v² @ s². With wires Q_j has off-diagonal terms, since a
column's potential rises with all its rows: for inputs of both signs they cancel on average, for inputs of one sign they
add up.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from aimc.wires.lines import MICRO, Drive, Ends, Ohm, Wires, ends_of, microsiemens, wires_of
from aimc.wires.sweep import Row, matmul, series_of, upwards, word_lines


class NoiseFold(NamedTuple):
    """Var I_j ≈ (v² @ diagonal)_j + sign_j ((v @ correction)_j² − (v² @ correction²)_j), in A² for v in volt."""

    diagonal: Float[Array, "k n"]
    correction: Float[Array, "k n"]
    sign: Float[Array, " n"]


class NoiseErrors(NamedTuple):
    """Root-mean-square relative error of the variance, over inputs and outputs, of three ways to approximate it."""

    without_wires: Float[Array, ""]  # v² @ s²
    diagonal: Float[Array, ""]  # fold_noise with no reference
    corrected: Float[Array, ""]  # fold_noise with the reference


def noise_variance(
    v: Float[Array, "*batch m"],
    g: Float[Array, "m n"],
    sigma2: Float[Array, "m n"],
    *,
    r_row: Ohm,
    r_col: Ohm,
    r_drv: Ohm,
    r_sense: Ohm,
    drive: Drive = "left",
    tolerance: float = 1e-6,
) -> Float[Array, "*batch n"]:
    """Variance (A²) of every output for every input, exact to first order in cell noise of variance sigma2 (S²).

    For noise that is independent between cells and fresh at each read. A constant to gradients.
    """
    checked = _checked(g, sigma2, v.shape[-1], (r_row, r_col, r_drv, r_sense), drive)
    variance = _variance(v.reshape(-1, v.shape[-1]), *checked, tolerance)
    return MICRO**2 * variance.reshape(*v.shape[:-1], g.shape[1])


def noise_covariance(
    v: Float[Array, " m"],
    g: Float[Array, "m n"],
    sigma2: Float[Array, "m n"],
    *,
    r_row: Ohm,
    r_col: Ohm,
    r_drv: Ohm,
    r_sense: Ohm,
    drive: Drive = "left",
    tolerance: float = 1e-6,
) -> Float[Array, "n n"]:
    """Covariance (A²) between the outputs for one input: `noise_variance` is its diagonal.

    Columns share word lines, so with wires their noise is correlated; a fold keeps the variances alone.
    """

    checked = _checked(g, sigma2, v.shape[0], (r_row, r_col, r_drv, r_sense), drive)
    return MICRO**2 * _covariance(v, *checked, tolerance)


def fold_noise(
    g: Float[Array, "m n"],
    sigma2: Float[Array, "m n"],
    *,
    r_row: Ohm,
    r_col: Ohm,
    r_drv: Ohm,
    r_sense: Ohm,
    reference: Float[Array, " k"] | None = None,
    inputs: Float[Array, "k m"] | None = None,
    drive: Drive = "left",
    tolerance: float = 1e-6,
) -> NoiseFold:
    """The variance of all outputs for any input as two products, or three with a `reference`.

    The diagonal of every Q_j is kept: on average right for inputs whose entries are independent and of zero mean,
    however strong the wires. `reference` is a typical input, such as the mean of those to come: along it the
    off-diagonal part O_j of Q_j is kept as one outer product (Nyström), O_j ≈ c q qᵀ off the diagonal with
    q = O_j reference and c such that the reference itself has its exact variance. `inputs` (volt on every row, for each
    of k inputs) makes x of `x @ inputs` the input, as `pair_inputs` does for pairs. A constant to gradients.
    """
    m = g.shape[0]
    checked = _checked(g, sigma2, m if inputs is None else inputs.shape[1], (r_row, r_col, r_drv, r_sense), drive)
    k = m if inputs is None else inputs.shape[0]
    if reference is not None and reference.shape != (k,):
        raise ValueError(f"reference must be one input of {k} entries, got shape {reference.shape}")
    typical = jnp.zeros(k, g.dtype) if reference is None else jnp.asarray(reference, g.dtype)

    diagonal, along = _quadratic(inputs, typical, *checked, tolerance)
    q = along - typical[:, None] * diagonal
    share = typical[:, None] * q
    total = jnp.sum(share, axis=0)
    # Off the diagonal, (reference · q)² loses the entries' own squares; few entries leave nothing to rely on.
    rest = total**2 - jnp.sum(share**2, axis=0)
    is_usable = rest > 0.1 * total**2
    c = jnp.where(is_usable, total / jnp.where(is_usable, rest, 1.0), 0.0)
    return NoiseFold(MICRO**2 * diagonal, MICRO * jnp.sqrt(jnp.abs(c)) * q, jnp.sign(c))


def folded_variance(x: Float[Array, "*batch k"], fold: NoiseFold) -> Float[Array, "*batch n"]:
    """The variance (A²) of every output by the fold, never below a tenth of the diagonal's."""
    largest = jnp.max(jnp.abs(x), axis=-1, keepdims=True)
    scaled = x / jnp.where(largest > 0, largest, 1.0)  # squares of amperes are small enough
    squared = scaled * scaled
    diagonal = matmul(squared, fold.diagonal)
    along = matmul(scaled, fold.correction) ** 2 - matmul(squared, fold.correction**2)
    return largest**2 * jnp.maximum(diagonal + fold.sign * along, 0.1 * diagonal)


def noise_errors(
    v: Float[Array, "batch m"],
    g: Float[Array, "m n"],
    sigma2: Float[Array, "m n"],
    *,
    r_row: Ohm,
    r_col: Ohm,
    r_drv: Ohm,
    r_sense: Ohm,
    reference: Float[Array, " m"],
    drive: Drive = "left",
) -> NoiseErrors:
    """How far three approximations of the noise are from the exact first-order law, for the inputs v."""
    exact = noise_variance(v, g, sigma2, r_row=r_row, r_col=r_col, r_drv=r_drv, r_sense=r_sense, drive=drive)
    # In µ units: amperes squared, squared again, would underflow.
    ideal = MICRO**2 * matmul(v**2, sigma2 / MICRO**2)
    folds = [
        fold_noise(g, sigma2, r_row=r_row, r_col=r_col, r_drv=r_drv, r_sense=r_sense, reference=along, drive=drive)
        for along in (None, reference)
    ]
    plain, corrected = (folded_variance(v, fold) for fold in folds)
    return NoiseErrors(*(jnp.sqrt(jnp.mean((found / exact - 1) ** 2)) for found in (ideal, plain, corrected)))


def _checked(g: Array, sigma2: Array, n_entries: int, resistances: tuple, drive: Drive) -> tuple:
    """Conductances, variances (µS²), wires and ends, all constants to gradients."""
    if sigma2.shape != g.shape:
        raise ValueError(f"sigma2 must have one variance for each cell of g {g.shape}, got shape {sigma2.shape}")
    if n_entries != g.shape[0]:
        raise ValueError(f"an input must have one entry for each of the {g.shape[0]} rows of g, got {n_entries}")
    g_micro = microsiemens(g)
    arrays = (g_micro, sigma2 / MICRO**2, wires_of(g_micro.dtype, *resistances))
    return *jax.lax.stop_gradient(arrays), ends_of(drive, "bottom")


def _up(g: Array, s2: Array, wires: Wires, ends: Ends, tolerance: float, inputs: Array | None, visit, zeros) -> Any:
    """`upwards` with unit sources in all sense lines, inputs in columns, and each cell's variance beside it."""
    columns = jnp.eye(g.shape[0], dtype=g.dtype) if inputs is None else jax.lax.stop_gradient(inputs.astype(g.dtype))
    series, lines = series_of(g, wires, tolerance), word_lines(g, wires, ends)
    sources = jnp.eye(g.shape[1], dtype=g.dtype)
    begin = lambda down, reverse_down: zeros  # noqa: E731
    return upwards(lines, columns, sources, wires, series, visit, begin, s2, is_unit=inputs is None)[0]


@partial(jax.jit, static_argnums=(4, 5))
def _variance(v: Array, g: Array, s2: Array, wires: Wires, ends: Ends, tolerance: float) -> Array:
    def visit(variance: Array, row: Row, s2: Array) -> tuple[Array, None]:
        return variance + matmul((row.cell_voltages**2).T, s2[:, None] * row.reverse_cell_voltages**2), None

    return _up(g, s2, wires, ends, tolerance, v.T, visit, jnp.zeros((v.shape[0], g.shape[1]), g.dtype))


@partial(jax.jit, static_argnums=(4, 5))
def _covariance(v: Array, g: Array, s2: Array, wires: Wires, ends: Ends, tolerance: float) -> Array:
    def visit(covariance: Array, row: Row, s2: Array) -> tuple[Array, None]:
        power = s2 * row.cell_voltages[:, 0] ** 2
        return covariance + matmul(row.reverse_cell_voltages.T, power[:, None] * row.reverse_cell_voltages), None

    return _up(g, s2, wires, ends, tolerance, v[:, None], visit, jnp.zeros((g.shape[1],) * 2, g.dtype))


@partial(jax.jit, static_argnums=(5, 6))
def _quadratic(
    inputs: Array | None, typical: Array, g: Array, s2: Array, wires: Wires, ends: Ends, tolerance: float
) -> tuple[Array, Array]:
    """Of every Q_j, in µA² per V²: its diagonal and its product with the typical input."""

    def visit(sums: tuple, row: Row, s2: Array) -> tuple[tuple, None]:
        diagonal, along = sums
        influence = s2[:, None] * row.reverse_cell_voltages**2
        diagonal = diagonal + matmul((row.cell_voltages**2).T, influence)
        voltage = matmul(row.cell_voltages, typical)
        return (diagonal, along + matmul((row.cell_voltages * voltage[:, None]).T, influence)), None

    zeros = jnp.zeros((typical.shape[0], g.shape[1]), g.dtype)
    return _up(g, s2, wires, ends, tolerance, None if inputs is None else inputs.T, visit, (zeros, zeros))
