"""One formula under many levels of noise, on the sweep runner that every package shares."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key

from aimc import sweep
from hnn_sat.dynamics import DYNAMICS
from hnn_sat.engines import Engine
from hnn_sat.levels import Constant, as_level
from hnn_sat.problem import Problem
from hnn_sat.solve import _run, _start

if TYPE_CHECKING:
    import xarray


SHARES = ("stuck_off", "stuck_on")
LARGEST_REPLICAS = 2**16 - 1  # of which the halves of 32-bit counts are added in 32 bits


def levels_of(engine: Engine) -> list[str]:
    """What can be varied: "noise", the level of the rule, and every number of the engine."""
    names = fields(engine)  # ty: ignore
    return ["noise", *(f.name for f in names if not f.metadata.get("static") and "Cell" not in str(f.type))]


def noise_sweep(
    problem: Problem,
    axes: Mapping[str, Sequence[float]],
    *,
    dynamic: str,
    engine: Engine,
    name: str,
    replicas: int = 64,
    max_flips: int = 10_000,
    n_seeds: int = 3,
    seed: int = 0,
    store: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> "xarray.Dataset":
    """Searches at every point of the grid spanned by `axes` (see `levels_of`) and n_seeds seeds.

    A seed draws a chip, starts and flips; points that differ in a level only share them. `name` says in the store which
    formula it was. Metrics: `n_solved` of the replicas, `n_iterations` and `n_missed`, summed over them. Iterations to
    solution are ln 100 n_iterations / n_solved where run lengths are exponential.
    Sums are 64-bit integers.
    Raises ValueError for an axis that is no level, for none, for a level that the rule or the engine cannot have (a
    WalkSAT probability or a share of stuck cells above 1, anything negative or not finite), and as `aimc.sweep.run`
    does.
    """
    known = levels_of(engine)
    for axis in axes:
        if axis not in known:
            raise ValueError(f"there is no level {axis!r} to vary; {type(engine).__name__} has {', '.join(known)}")
    rule = DYNAMICS[dynamic]
    for axis, values in axes.items():
        for value in values:
            _check(engine, axis, float(value), rule.most)
    if not 1 <= replicas <= LARGEST_REPLICAS:
        raise ValueError(f"replicas must be from 1 to {LARGEST_REPLICAS} in a sweep, got {replicas}")
    if not axes or n_seeds < 1:
        raise ValueError(f"a sweep needs at least one level to vary and one seed, got {len(axes)} and {n_seeds}")
    setup = rule.init(problem)

    def search(key: Key[Array, ""], seed: Array, **values: Array) -> dict[str, Array]:
        chip_key, start_key, flip_key, read_key = jax.random.split(key, 4)
        level = Constant(values.pop("noise", jnp.float32(rule.noise)))
        machine = replace(engine, **values)  # ty: ignore
        tables = machine.prepare(chip_key, problem)
        state = _start(start_key, machine, tables, replicas)
        times = jnp.array([0, max_flips, 0], jnp.int32)
        state = _run((flip_key, read_key), state, machine, rule, tables, setup, level, times, "all")
        return {
            "n_solved": jnp.sum(state.n_best == 0, dtype=jnp.int32),
            **_halves("n_iterations", state.n_iterations),
            **_halves("n_missed", state.n_missed),
        }

    what = {
        "formula": name,
        "dynamics": dynamic,
        "engine": str(engine),
        "replicas": replicas,
        "max_flips": max_flips,
        "sums": "upper and lower 16 bits",
    }
    grid = {**{axis: [float(v) for v in values] for axis, values in axes.items()}, "seed": list(range(n_seeds))}
    found = sweep.run(search, grid, seed=seed, spec=what, store=store, chunk=1, progress=progress)
    for count in ("n_iterations", "n_missed"):
        upper, lower = (found[f"{count}_{half}"].astype(np.int64) for half in ("upper", "lower"))
        found = found.drop_vars([f"{count}_upper", f"{count}_lower"]).assign({count: 2**16 * upper + lower})
    return found


def _check(engine: Engine, axis: str, value: float, most: float) -> None:
    if axis == "noise":
        as_level(value, most=most)
        return
    largest = 1.0 if axis in SHARES else math.inf
    if not 0.0 <= value <= largest or value == math.inf:
        allowed = "a share from 0 to 1" if axis in SHARES else "a finite number of at least 0"
        raise ValueError(f"{type(engine).__name__}.{axis} must be {allowed}, got {value}")
    replace(engine, **{axis: value})  # ty: ignore  (what the engine itself refuses)


def _halves(name: str, counts: Int[Array, " replicas"]) -> dict[str, Array]:
    """Sums over replicas of the upper and the lower 16 bits: a device adds in 32 bits, too few for the whole."""
    words = counts.astype(jnp.uint32)
    return {
        f"{name}_upper": jnp.sum(words >> 16, dtype=jnp.uint32),
        f"{name}_lower": jnp.sum(words & 0xFFFF, dtype=jnp.uint32),
    }
