"""Run a function over a grid of parameters as one compiled program, into a store that survives being killed.

Physics-free: anything of the form (key, parameters) → scalar metrics. The store is a zarr folder that opens as a
labelled xarray Dataset; it holds its own specification, so that another sweep cannot be mixed into it.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

if TYPE_CHECKING:
    import xarray
    import zarr

Metrics = Mapping[str, Array]
FORMAT = 1


def run(
    function: Callable[..., Metrics],
    axes: Mapping[str, Sequence[float] | Sequence[int]],
    *,
    seed: int,
    spec: Mapping[str, Any],
    store: str | os.PathLike[str] | None = None,
    operands: Sequence[Any] = (),
    inner: Mapping[str, Sequence[float] | Sequence[str]] | None = None,
    notes: Mapping[str, Any] | None = None,
    units: Mapping[str, str] | None = None,
    sources: Mapping[str, str] | None = None,
    chunk: int = 64,
    batch: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> "xarray.Dataset":
    """Evaluate `function(key, *operands, **parameters) -> {metric: value}` on every point of the grid that `axes` span.

    * The function is compiled once, whatever the grid: parameters arrive traced (float32 or int32), `chunk` points
      are one call, and inside a call `batch` points are evaluated at a time, which bounds the memory (on a CPU 1 is
      usually fastest).
    * Randomness: every point's key is `seed` folded with its value on the axis named "seed" if there is one, so that
      points that differ only in a noise level share their random numbers and their difference is sharper; without
      such an axis it is folded with the point's number.
    * Metrics are scalars, or arrays over the axes `inner`, numbers or words, along which the function shares its work.
    * `operands` are large arrays that the function needs: closed over, they would be compiled in.
    * `store`: a folder to create. Finished chunks are kept; the same call resumes what is missing. `spec` says in JSON
      what the function does; with the axes, `seed` and the package version it is the identity of the store. `notes`
      are kept beside it (JSON) without being part of it.
    * `units` and `sources` annotate axes and metrics; `progress(done, total)` is called after every chunk.

    Raises ValueError for a chunk or batch below 1, an empty or repeated axis, and for a store that belongs to
    another sweep, naming the difference.
    """
    for name, value in (("chunk", chunk), ("batch", batch)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1 point, got {value}")
    grid = _grid(axes)
    shape = tuple(len(values) for values in grid.values())
    within = {name: _inner(name, values, grid) for name, values in (inner or {}).items()}
    identity = _identity(grid | within, seed, spec)
    points = [values.ravel() for values in np.meshgrid(*grid.values(), indexing="ij")]
    evaluate = _compiled(function, list(grid), jax.random.key(seed), batch)
    n_call = min(chunk, prod(shape))
    columns = (jax.ShapeDtypeStruct((n_call,), d) for d in [np.int32, *(p.dtype for p in points)])
    metrics = jax.eval_shape(evaluate, tuple(operands), *columns)
    for name, leaf in metrics.items():
        if leaf.shape[1:] != tuple(map(len, within.values())):
            raise ValueError(
                f"metric {name} must have the shape of the inner axes {list(within)}, got {leaf.shape[1:]}"
            )
    ledger = _Ledger(
        store, identity, grid, within, {n: m.dtype for n, m in metrics.items()}, notes or {}, units or {}, sources or {}
    )
    total = prod(shape)
    missing = np.flatnonzero(~ledger.done())
    if progress:
        progress(total - missing.size, total)
    for start in range(0, missing.size, chunk):
        chosen = missing[start : start + chunk]
        # The last chunk is filled up with repeats so that its shape, and with it the program, stays the same.
        filled = np.resize(chosen, n_call)
        values = evaluate(tuple(operands), jnp.asarray(filled, jnp.int32), *(jnp.asarray(p[filled]) for p in points))
        ledger.write(np.unravel_index(chosen, shape), {k: np.asarray(v)[: chosen.size] for k, v in values.items()})
        if progress:
            progress(total - missing.size + start + chosen.size, total)
    return ledger.dataset()


def check(
    axes: Mapping[str, Sequence[float] | Sequence[int]],
    *,
    seed: int,
    spec: Mapping[str, Any],
    store: str | os.PathLike[str] | None,
    inner: Mapping[str, Sequence[float] | Sequence[str]] | None = None,
) -> None:
    """Raise what `run` would raise for these axes and this store, before the work that makes its function."""
    grid = _grid(axes)
    identity = _identity(
        grid | {name: _inner(name, values, grid) for name, values in (inner or {}).items()}, seed, spec
    )
    if store is not None and Path(store).exists():
        _refuse_other(Path(store), identity)


def _identity(grid: Mapping[str, np.ndarray], seed: int, spec: Mapping[str, Any]) -> dict[str, Any]:
    """What a store belongs to, as it reads back from JSON."""
    axes = {name: values.tolist() for name, values in grid.items()}
    what = {"format": FORMAT, "version": version("barrierless"), "seed": seed, "spec": dict(spec), "axes": axes}
    return json.loads(json.dumps(what))


def _grid(axes: Mapping[str, Sequence[float] | Sequence[int]]) -> dict[str, np.ndarray]:
    grid = {}
    for name, values in axes.items():
        array = np.asarray(values)
        if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
            raise ValueError(f"axis {name} must be a list of finite numbers with at least one entry, got {values!r}")
        on_device = array.astype(np.float32 if array.dtype.kind == "f" else np.int32)
        if array.dtype.kind != "f" and not np.array_equal(on_device, array):
            raise ValueError(f"axis {name} must hold integers of 32 bits, got {values!r}; give larger ones as floats")
        if len(np.unique(on_device)) < array.size:
            raise ValueError(f"axis {name} names a value twice (in float32): {values!r}")
        grid[name] = on_device
    if not grid:
        raise ValueError("axes must name at least one axis, got none")
    return grid


def _inner(name: str, values: Sequence[float] | Sequence[str], grid: Mapping[str, np.ndarray]) -> np.ndarray:
    """An inner axis. Words are stored as strings of any length, which zarr has a specification for."""
    if name in grid:
        raise ValueError(f"axis {name} is named twice")
    words = [value for value in values if isinstance(value, str)]
    if not words:
        return _grid({name: [float(value) for value in values]})[name]
    if len(words) < len(values) or len(set(words)) < len(words):
        raise ValueError(f"axis {name} must hold numbers, or words that differ, got {values!r}")
    return np.asarray(words, np.dtypes.StringDType())


def _compiled(function: Callable[..., Metrics], names: list[str], root: Key[Array, ""], batch: int) -> Callable:
    def point(operands: tuple, number: Array, *values: Array) -> Metrics:
        parameters = dict(zip(names, values, strict=True))
        stream = parameters["seed"].astype(jnp.int32) if "seed" in parameters else number
        return function(jax.random.fold_in(root, stream), *operands, **parameters)

    def run_all(operands: tuple, *columns: Array) -> Metrics:
        size = batch if batch > 1 else None
        return jax.lax.map(lambda column: point(operands, *column), columns, batch_size=size)

    return jax.jit(run_all)


class _Ledger:
    """The results so far: in memory, and on disk where a store is named. Every write is marked done only when
    complete."""

    def __init__(self, store, identity, grid, within, dtypes, notes, units, sources) -> None:
        import xarray

        axes = grid | within

        def annotation(name: str) -> dict[str, str]:
            return {k: v[name] for k, v in (("units", units), ("source", sources)) if name in v}

        def blank(names: Mapping[str, np.ndarray], dtype: np.dtype) -> np.ndarray:
            return np.full([len(v) for v in names.values()], np.nan if np.issubdtype(dtype, np.floating) else 0, dtype)

        fresh = xarray.Dataset(
            {name: (tuple(axes), blank(axes, dtype), annotation(name)) for name, dtype in dtypes.items()}
            | {"done": (tuple(grid), blank(grid, np.dtype(bool)), {"description": "this point has been evaluated"})},
            coords={name: (name, values, annotation(name)) for name, values in axes.items()},
            attrs={"identity": json.dumps(identity), "barrierless_version": identity["version"], **notes},
        )
        self._path = None if store is None else Path(store)
        if self._path is None:
            self._memory = fresh
            return
        import zarr

        if not self._path.exists():
            partial = self._path.with_name(self._path.name + f".partial-{os.getpid()}")
            self._path.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(partial, ignore_errors=True)
            fresh.to_zarr(partial, zarr_format=3, consolidated=False)
            partial.rename(self._path)
        else:
            _refuse_other(self._path, identity)
        self._group = zarr.open_group(self._path, mode="r+")

    def done(self) -> np.ndarray:
        mask = self._memory["done"].values if self._path is None else self._array("done")[...]
        return np.asarray(mask, bool).ravel()

    def write(self, where: tuple[np.ndarray, ...], values: dict[str, np.ndarray]) -> None:
        for name, column in [*values.items(), ("done", np.ones(where[0].size, bool))]:  # done comes last
            inner = np.indices(column.shape[1:], sparse=True)
            place = (*(w.reshape(-1, *[1] * len(inner)) for w in where), *(i[None] for i in inner))
            if self._path is None:
                self._memory[name].values[place] = column
            else:
                self._array(name).vindex[place] = column

    def _array(self, name: str) -> "zarr.Array":
        import zarr

        array = self._group[name]
        if not isinstance(array, zarr.Array):
            raise ValueError(f"{self._path} is damaged: {name} is not an array; remove the folder to start anew")
        return array

    def dataset(self) -> "xarray.Dataset":
        if self._path is None:
            return self._memory
        import xarray

        return xarray.open_zarr(self._path, consolidated=False).load()


def _refuse_other(path: Path, identity: dict[str, Any]) -> None:
    import zarr

    try:
        stored = json.loads(str(zarr.open_group(path, mode="r").attrs["identity"]))
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{path} exists and is not the store of a sweep; name another folder or remove it") from None
    difference = _difference(stored, identity)
    if difference:
        raise ValueError(
            f"{path} belongs to another sweep: {difference}; name another folder, or remove this one to start anew"
        )


def _difference(stored: Any, asked: Any, name: str = "") -> str | None:
    """The first place where two JSON values differ, in words."""
    if isinstance(stored, dict) and isinstance(asked, dict):
        for key in sorted(stored.keys() | asked.keys()):
            where = f"{name}.{key}" if name else key
            if key not in stored or key not in asked:
                return f"{where} is stored as {stored.get(key)!r} and asked for as {asked.get(key)!r}"
            if found := _difference(stored[key], asked[key], where):
                return found
        return None
    return None if stored == asked else f"{name} is stored as {stored!r} and asked for as {asked!r}"
