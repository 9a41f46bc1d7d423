"""Chains annealed along a path between independent units and a model, in either direction, and their weights."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebm.ais.layered_path import path_of
from ebm.ais.path import Path
from ebm.likelihood import Layered

Rows = Float[Array, "n d"] | Float[np.ndarray, "n d"]


class Run(NamedTuple):
    """What chains of one direction brought: where they ended and their log weights, estimates of log Z in float64."""

    position: Float[Array, "n_chains d"]
    log_z: Float[np.ndarray, " n_chains"]


def linear_betas(n: int) -> Float[np.ndarray, " n"]:
    """`n` betas from 0 to 1 in equal steps. Raises ValueError for fewer than 2."""
    _check_count(n)
    return np.linspace(0.0, 1.0, n)


def geometric_betas(n: int, ratio: float = 10.0) -> Float[np.ndarray, " n"]:
    """`n` betas from 0 to 1 whose steps shrink by a constant factor, the last being `ratio` times smaller.

    For models that change fast near beta = 1, as strongly coupled ones do; a ratio below 1 puts the small steps at the
    start. Raises ValueError for fewer than 2 betas or a ratio that is not positive.
    """
    _check_count(n)
    if not (ratio > 0 and np.isfinite(ratio)):
        raise ValueError(f"ratio must be positive and finite, got {ratio}")
    ends = np.cumsum(np.geomspace(1.0, 1.0 / ratio, n - 1))
    return np.concatenate([[0.0], ends / ends[-1]])


def forward(key: Key[Array, ""], model: Path | Layered, betas: Float[np.ndarray, " n_betas"], n_chains: int) -> Run:
    """Chains annealed from independent units to the model; `log_z` has a mean of exp equal to Z. Key is consumed.

    Raises ValueError for no chain, and betas that do not rise from 0 to 1.
    """
    if n_chains < 1:
        raise ValueError(f"n_chains must be at least 1, got {n_chains}")
    path = path_of(model)
    start_key, anneal_key = jax.random.split(key)
    state, gain = anneal(anneal_key, path, path.draw(start_key, n_chains), betas)
    return Run(path.position(state), path.log_z_base() + gain)


def reverse(key: Key[Array, ""], model: Path | Layered, betas: Float[np.ndarray, " n_betas"], start: Rows) -> Run:
    """Chains annealed from the positions `start` back to independent units, in the reversed order. Key is consumed.

    From exact samples of the model, exp(-log_z) has mean 1 / Z; from any position x, f_1(x) exp(-log_z) has the mean
    p_annealing(x) of the package's docstring.
    Raises ValueError as `forward`.
    """
    path = path_of(model)
    state, gain = anneal(key, path, path.state(jnp.asarray(start, jnp.float32)), betas, is_reverse=True)
    return Run(path.position(state), path.log_z_base() + gain)


def anneal(
    key: Key[Array, ""], path: Path, state: Any, betas: Float[np.ndarray, " n_betas"], *, is_reverse: bool = False
) -> tuple[Any, Float[np.ndarray, " n_chains"]]:
    """States at the other end, and the sum of the increments log f_k - log f_(k-1) at the states between, in float64.

    Forward, a state is weighed for the next law and then moved by a kernel of that law; in reverse it is moved first.
    Key is consumed. Raises ValueError for betas that do not rise from 0 to 1.
    """
    betas = np.asarray(betas, np.float64)
    if betas.ndim != 1 or len(betas) < 2 or betas[0] != 0 or betas[-1] != 1 or not (np.diff(betas) > 0).all():
        raise ValueError("betas must rise strictly from 0 to 1; use ais.linear_betas or ais.geometric_betas")
    # Rounded to float32 first: the lengths of the steps then add up to 1.
    rounded = betas.astype(np.float32)
    steps = np.diff(rounded.astype(np.float64)).astype(np.float32)
    state, total = _scan(key, path, state, jnp.asarray(rounded[1:]), jnp.asarray(steps), is_reverse)
    return state, np.asarray(total.value, np.float64) + np.asarray(total.error, np.float64)


class _Sum(NamedTuple):
    """A sum of float32 numbers as value plus rounding error."""

    value: Float[Array, " n_chains"]
    error: Float[Array, " n_chains"]


@partial(jax.jit, static_argnames="is_reverse")
def _scan(
    key: Key[Array, ""],
    path: Path,
    state: Any,
    ends: Float[Array, " n_steps"],
    steps: Float[Array, " n_steps"],
    is_reverse: bool,
) -> tuple[Any, _Sum]:
    def body(carry: tuple[Any, _Sum], now: tuple[Array, Array, Array]) -> tuple[tuple[Any, _Sum], None]:
        (state, total), (step_key, end, step) = carry, now
        moved = path.move(step_key, state, end)
        total = _add(total, path.increment(moved if is_reverse else state, end, step))
        return (moved, total), None

    zero = jnp.zeros(len(path.position(state)))
    carry = (state, _Sum(zero, zero))
    return jax.lax.scan(body, carry, (jax.random.split(key, len(ends)), ends, steps), reverse=is_reverse)[0]


def _add(total: _Sum, term: Array) -> _Sum:
    """Two-sum (Knuth, The Art of Computer Programming 2, 4.2.2): what rounding takes from the value joins the error."""
    value = total.value + term
    part = value - total.value
    return _Sum(value, total.error + ((total.value - (value - part)) + (term - part)))


def _check_count(n: int) -> None:
    if n < 2:
        raise ValueError(f"n betas must be at least 2, got {n}")
