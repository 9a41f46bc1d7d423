"""Currents of a crossbar with wires, input by input: any cell law, any drive, no factorisation.

With d the cell voltages, i = f(d) the cell currents and e the source voltage of each row, Kirchhoff's laws are
d + K f(d) = e, where K (`lines.drop`) holds the wires alone: no 1/r enters, and ideal wires are K = 0. Newton's method
solves I + K f' in the symmetric form I + S K S, S = sqrt(f'), whose spectrum starts at 1, by conjugate gradients. The
derivative is that of the solution (implicit function theorem), so it costs one more linear solve and stores no iterate.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from aimc.wires import laws
from aimc.wires.lines import (
    MICRO,
    Drive,
    Ends,
    Ohm,
    Sense,
    Wires,
    column_resistance,
    drop,
    ends_of,
    microsiemens,
    row_resistance,
    wires_of,
)

MOST_CG_STEPS = 1000  # three times what λ = 4000 takes; float32 itself is the limit long before
MOST_NEWTON_STEPS = 60
MOST_HALVINGS = 12


class Solution(NamedTuple):
    """A solved crossbar, one per input vector."""

    currents: Float[Array, "*batch n"]  # out of every column, ampere; of both ends together where both are sensed
    input_currents: Float[Array, "*batch m"]  # into every row, ampere; of both ends together where both are driven
    cell_voltages: Float[Array, "*batch m n"]
    iterations: Int[Array, "*batch"]  # conjugate-gradient steps
    newton_steps: Int[Array, "*batch"]  # 0 for ohmic cells, which need none
    residual: Float[Array, "*batch"]  # largest |d + K f(d) − e| over the largest |e|
    is_converged: Bool[Array, "*batch"]  # whether the tolerance was met, or for nonlinear cells 32 rounding errors


def solve(
    v: Float[Array, "*batch m"],
    g: Float[Array, "m n"],
    *,
    r_row: Ohm,
    r_col: Ohm,
    r_drv: Ohm,
    r_sense: Ohm,
    v0: Ohm | None = None,
    law: laws.Law = laws.ohmic,
    parameters: tuple = (),
    drive: Drive = "left",
    sense: Sense = "bottom",
    tolerance: float = 1e-7,
) -> Solution:
    """Solve the crossbar g (siemens) with wires (ohm) for every input vector v (volt).

    `v0` (volt) makes the cells I = g v0 sinh(V / v0); `law` and its `parameters` make them anything else that
    `aimc.wires.laws` describes. The `tolerance` is on the residual of the linear solves, relative and in the 2-norm,
    and bounds the relative error of S d by itself; of a nonlinear array the residual of d + K f(d) = e meets it or
    stops at what the number format allows (`residual` says). Differentiable in v, g, the resistances, v0 and the
    parameters.

    Raises ValueError where v and g do not fit, or a resistance or conductance is known to be impossible.
    """
    g_micro = microsiemens(g)
    v = jnp.asarray(v, g_micro.dtype)
    if v.ndim < 1 or v.shape[-1] != g.shape[0]:
        raise ValueError(f"v must have one voltage for each of the {g.shape[0]} rows of g, got shape {v.shape}")
    if not tolerance > 0:
        raise ValueError(f"tolerance must be above 0, got {tolerance}")
    if v0 is not None:
        if law is not laws.ohmic:
            raise ValueError("v0 belongs to cells of law sinh; give either v0 or law")
        law, parameters = laws.sinh, (jnp.asarray(v0, g_micro.dtype),)
    parameters = jax.tree.map(lambda leaf: jnp.asarray(leaf, g_micro.dtype), tuple(parameters))
    wires, ends = wires_of(g_micro.dtype, r_row, r_col, r_drv, r_sense), ends_of(drive, sense)
    flat = v.reshape(-1, v.shape[-1]).T
    d, info = _compiled(flat, g_micro, wires, parameters, law, ends, tolerance)
    i = _current(law, d, g_micro, parameters)
    batch, (m, n) = v.shape[:-1], g.shape
    return Solution(
        currents=MICRO * jnp.sum(i, axis=0).reshape(*batch, n),
        input_currents=MICRO * jnp.sum(i, axis=2).T.reshape(*batch, m),
        cell_voltages=jnp.moveaxis(d, 1, 0).reshape(*batch, m, n),
        **{name: leaf.reshape(batch) for name, leaf in info.items()},
    )


def output_currents(
    v: Float[Array, "*batch m"],
    g: Float[Array, "m n"],
    *,
    r_row: Ohm,
    r_col: Ohm,
    r_drv: Ohm,
    r_sense: Ohm,
    v0: Ohm | None = None,
    law: laws.Law = laws.ohmic,
    parameters: tuple = (),
    drive: Drive = "left",
    sense: Sense = "bottom",
    tolerance: float = 1e-7,
) -> Float[Array, "*batch n"]:
    """Ampere out of every column of the crossbar g (siemens) for rows at v (volt): the currents of `solve`."""
    solution = solve(
        v, g, r_row=r_row, r_col=r_col, r_drv=r_drv, r_sense=r_sense,
        v0=v0, law=law, parameters=parameters, drive=drive, sense=sense, tolerance=tolerance,
    )  # fmt: skip
    return solution.currents


def _current(law: laws.Law, d: Array, g: Array, parameters: tuple) -> Array:
    """Cell currents in µA of cells in µS; inputs stand in the middle axis of d (m, k, n)."""
    return law(d, jnp.broadcast_to(MICRO * g[:, None], d.shape), *parameters) / MICRO


def _current_and_slope(law: laws.Law, d: Array, g: Array, parameters: tuple) -> tuple[Array, Array]:
    return jax.jvp(lambda d: _current(law, d, g, parameters), (d,), (jnp.ones_like(d),))


def _resistances(wires: Wires, g: Array, ends: Ends) -> tuple[Array, Array]:
    m, n = g.shape
    return row_resistance(wires, n, ends.drive), column_resistance(wires, m, ends.sense)


def _squared(x: Array) -> Array:
    """Squared 2-norm for each input."""
    return jnp.sum(x * x, axis=(0, 2), keepdims=True)


def _conjugate_gradients(b: Array, s: Array, lines: tuple[Array, Array], goal: Array) -> tuple[Array, Array]:
    """Solve (I + S K S) u = b for every input until its residual's squared norm is at most `goal`; also the steps."""

    def is_going(carry: tuple) -> Array:
        _, _, _, rr, _, step = carry
        return jnp.any(rr > goal) & (step < MOST_CG_STEPS)

    def advance(carry: tuple) -> tuple:
        u, residual, p, rr, steps, step = carry
        is_active = rr > goal
        image = p + s * drop(s * p, *lines)
        # I + S K S is at least I, so the denominator is zero only where there is nothing left to do.
        alpha = jnp.where(
            is_active, rr / jnp.where(is_active, jnp.sum(p * image, axis=(0, 2), keepdims=True), 1.0), 0.0
        )
        u, residual = u + alpha * p, residual - alpha * image
        new = jnp.where(is_active, _squared(residual), rr)
        beta = jnp.where(is_active, new / jnp.where(is_active, rr, 1.0), 0.0)
        return u, residual, jnp.where(is_active, residual + beta * p, p), new, steps + is_active, step + 1

    rr = _squared(b)
    start = (jnp.zeros_like(b), b, b, rr, jnp.zeros(rr.shape, jnp.int32), jnp.int32(0))
    u, _, _, _, steps, _ = jax.lax.while_loop(is_going, advance, start)
    return u, steps


def _linear(right: Array, slope: Array, lines: tuple[Array, Array], goal: Array | float) -> tuple[Array, Array]:
    """x of (I + K f') x = right, and the steps: x = right − K S u, (I + S K S) u = S right; no division by S.

    `goal` bounds the residual's norm, for each input.
    """
    s = jnp.sqrt(jnp.maximum(jnp.broadcast_to(slope, right.shape), 0.0))
    u, steps = _conjugate_gradients(s * right, s, lines, jnp.square(jnp.asarray(goal, right.dtype)))
    return right - drop(s * u, *lines), steps


def _newton(e: Array, g: Array, lines: tuple, law: laws.Law, parameters: tuple, tolerance: float) -> tuple[Array, dict]:
    """Cell voltages d of d + K f(d) = e, and how it went. Inexact Newton with step halving."""

    def residual_of(d: Array) -> Array:
        return d + drop(_current(law, d, g, parameters), *lines) - e

    goal = tolerance * jnp.sqrt(_squared(e))

    def is_going(carry: tuple) -> Array:
        _, _, _, is_active, _, _, step = carry
        return jnp.any(is_active) & (step < MOST_NEWTON_STEPS)

    def advance(carry: tuple) -> tuple:
        d, residual, norm, is_active, cg_steps, newton_steps, step = carry
        _, slope = _current_and_slope(law, d, g, parameters)
        # S F in place of F: the two agree to the square root of the largest slope, which belongs to the linear goal.
        scale = jnp.sqrt(jnp.max(jnp.maximum(slope, 0.0), axis=(0, 2), keepdims=True))
        linear_goal = jnp.where(is_active, scale * jnp.maximum(1e-3 * norm, 0.1 * goal), jnp.inf)
        change, steps = _linear(-residual, slope, lines, linear_goal)

        def is_halving(trial: tuple) -> Array:
            _, _, new_norm, _, halvings = trial
            return jnp.any(is_active & ~(new_norm < norm)) & (halvings < MOST_HALVINGS)

        def halve(trial: tuple) -> tuple:
            _, _, new_norm, length, halvings = trial
            length = jnp.where(new_norm < norm, length, 0.5 * length)
            return *attempt(length), length, halvings + 1

        def attempt(length: Array) -> tuple:
            new = residual_of(d + length * change)
            return d + length * change, new, jnp.sqrt(_squared(new))

        one = jnp.ones_like(norm)
        new_d, new_residual, new_norm, _, _ = jax.lax.while_loop(is_halving, halve, (*attempt(one), one, jnp.int32(0)))
        is_better = is_active & (new_norm < norm)
        return (
            jnp.where(is_better, new_d, d),
            jnp.where(is_better, new_residual, residual),
            jnp.where(is_better, new_norm, norm),
            is_better & (new_norm > goal),  # no better: rounding is all that is left
            cg_steps + steps,
            newton_steps + is_active,
            step + 1,
        )

    def is_too_far(trial: tuple) -> Array:
        _, norm, step = trial
        return jnp.any(~(norm <= whole)) & (step < MOST_HALVINGS**2)

    def shorten(trial: tuple) -> tuple:
        length, norm, step = trial
        length = jnp.where(norm <= whole, length, 0.5 * length)
        return length, jnp.sqrt(_squared(residual_of(length * e))), step + 1

    # From the sources' own voltages if the wires take less than that at them, else from the first fraction where they
    # do: far up a steep law the slopes of neighbouring cells differ by more than float32 can solve for.
    whole = jnp.sqrt(_squared(e))
    one, none = jnp.ones_like(whole), jnp.zeros(whole.shape, jnp.int32)
    length, norm, _ = jax.lax.while_loop(is_too_far, shorten, (one, jnp.sqrt(_squared(residual_of(e))), jnp.int32(0)))
    start = (length * e, residual_of(length * e), norm, norm > goal, none, none, jnp.int32(0))
    d, residual, norm, _, cg_steps, newton_steps, _ = jax.lax.while_loop(is_going, advance, start)
    # Where rounding stops it, d is as good as the number format makes it.
    floor = 32 * jnp.finfo(e.dtype).eps * whole
    return d, _info(residual, e, cg_steps, newton_steps, norm <= jnp.maximum(goal, floor))


def _info(residual: Array, e: Array, cg_steps: Array, newton_steps: Array, is_converged: Array) -> dict:
    largest = jnp.max(jnp.abs(e), axis=(0, 2))
    return {
        "iterations": cg_steps.reshape(-1),
        "newton_steps": newton_steps.reshape(-1),
        "residual": jnp.max(jnp.abs(residual), axis=(0, 2)) / jnp.where(largest > 0, largest, 1.0),
        "is_converged": is_converged.reshape(-1),
    }


@partial(jax.custom_vjp, nondiff_argnums=(4, 5, 6))
def _cell_voltages(
    v: Array, g: Array, wires: Wires, parameters: tuple, law: laws.Law, ends: Ends, tolerance: float
) -> tuple[Array, dict]:
    """Cell voltages (m, k, n) for v (m, k) in volt, g in µS, wires in MΩ; and the facts of a `Solution`."""
    lines = _resistances(wires, g, ends)
    e = jnp.broadcast_to(v[:, :, None], (*v.shape, g.shape[1]))
    if law is not laws.ohmic:
        return _newton(e, g, lines, law, parameters, tolerance)
    # Scaled to 1 V, squares of small inputs do not underflow.
    largest = jnp.max(jnp.abs(v), axis=0)[None, :, None]
    e = e / jnp.where(largest > 0, largest, 1.0)
    conductance = jnp.broadcast_to(g[:, None], e.shape)
    goal = tolerance * jnp.sqrt(_squared(jnp.sqrt(conductance) * e))
    d, steps = _linear(e, conductance, lines, goal)
    residual = d + drop(conductance * d, *lines) - e
    is_converged = steps < MOST_CG_STEPS
    return d * largest, _info(residual, e, steps, jnp.zeros_like(steps), is_converged)


def _forward(v, g, wires, parameters, law, ends, tolerance):
    d, info = _cell_voltages(v, g, wires, parameters, law, ends, tolerance)
    return (d, info), (d, g, wires, parameters)


def _backward(law, ends, tolerance, saved, cotangents):
    """With h = (I + K f')⁻¹ K c, the cotangent of e is y = c − f' h, that of f is −K y, that of K is −y fᵀ."""
    d, g, wires, parameters = saved
    c, _ = cotangents
    lines, make_lines = jax.vjp(lambda wires: _resistances(wires, g, ends), wires)
    i, slope = _current_and_slope(law, d, g, parameters)
    right = drop(c, *lines)
    goal = tolerance * jnp.sqrt(_squared(jnp.sqrt(jnp.maximum(slope, 0.0)) * right))
    h, _ = _linear(right, slope, lines, goal)
    y = c - slope * h
    _, of_law = jax.vjp(lambda g, parameters: _current(law, d, g, parameters), g, parameters)
    g_bar, parameters_bar = of_law(-drop(y, *lines))
    _, of_drop = jax.vjp(lambda *lines: drop(i, *lines), *lines)
    (wires_bar,) = make_lines(of_drop(-y))
    return jnp.sum(y, axis=2), g_bar, wires_bar, parameters_bar


_cell_voltages.defvjp(_forward, _backward)

# Compiled here as well as by callers: called plainly, its loops would be compiled anew each time.
_compiled = partial(jax.jit, static_argnums=(4, 5, 6))(_cell_voltages)
