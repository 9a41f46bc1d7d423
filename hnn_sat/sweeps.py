"""One formula under many levels of noise, on the sweep runner that every package shares."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from aimc import sweep
from hnn_sat.dynamics import DYNAMICS
from hnn_sat.engines import Engine
from hnn_sat.levels import Constant
from hnn_sat.problem import Problem
from hnn_sat.solve import _run, _start

if TYPE_CHECKING:
    import xarray


def levels_of(engine: Engine) -> list[str]:
    """What can be varied: "noise", the level of the rule, and every level of the engine."""
    names = fields(engine)  # ty: ignore
    return ["noise", *(field.name for field in names if not field.metadata.get("static"))]


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
    Raises ValueError for an axis that is no level, for none, and as `aimc.sweep.run` does.
    """
    known = levels_of(engine)
    for axis in axes:
        if axis not in known:
            raise ValueError(f"there is no level {axis!r} to vary; {type(engine).__name__} has {', '.join(known)}")
    if not axes or n_seeds < 1:
        raise ValueError(f"a sweep needs at least one level to vary and one seed, got {len(axes)} and {n_seeds}")
    rule = DYNAMICS[dynamic]
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
            "n_iterations": jnp.sum(state.n_iterations),
            "n_missed": jnp.sum(state.n_missed),
        }

    what = {
        "formula": name,
        "dynamics": dynamic,
        "engine": str(engine),
        "replicas": replicas,
        "max_flips": max_flips,
    }
    grid = {**{axis: [float(v) for v in values] for axis, values in axes.items()}, "seed": list(range(n_seeds))}
    return sweep.run(search, grid, seed=seed, spec=what, store=store, chunk=1, progress=progress)
