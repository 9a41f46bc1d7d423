"""The sweep runner: one program, labelled results, a store that survives and refuses."""

import json
import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
import xarray

from aimc import sweep

AXES = {"level": [0.0, 0.5, 1.0], "bits": [4, 6], "seed": range(5)}
WHAT = {"seed": 3, "spec": {"law": "level * bits + normal"}}


def _law(key, level, bits, seed):
    return {"mean": level * bits, "sample": level * bits + jax.random.normal(key), "count": bits}


def test_a_grid_is_evaluated_by_one_program_and_labelled():
    traces = []

    def counted(key, **parameters):
        traces.append(1)
        return _law(key, **parameters)

    found = sweep.run(counted, AXES, chunk=7, units={"level": "V"}, sources={"mean": "closed form"}, **WHAT)
    assert len(traces) == 1
    assert found["mean"].dims == ("level", "bits", "seed")
    assert found["done"].values.all()
    assert found["level"].attrs["units"] == "V"
    assert found["mean"].attrs["source"] == "closed form"
    assert found["count"].dtype == np.int32
    expected = np.multiply.outer(AXES["level"], AXES["bits"])
    assert np.array_equal(found["mean"], np.broadcast_to(expected[..., None], found["mean"].shape))
    identity = json.loads(found.attrs["identity"])
    assert identity["spec"] == WHAT["spec"]
    assert identity["seed"] == 3


@pytest.mark.parametrize(("chunk", "batch"), [(30, 1), (4, 1), (8, 4)])
def test_results_do_not_depend_on_chunks_or_batches(chunk, batch):
    whole = sweep.run(_law, AXES, chunk=30, **WHAT)
    assert np.array_equal(sweep.run(_law, AXES, chunk=chunk, batch=batch, **WHAT)["sample"], whole["sample"])


def test_points_of_one_seed_share_their_random_numbers_and_others_do_not():
    noise = sweep.run(_law, AXES, **WHAT)
    noise = (noise["sample"] - noise["mean"]).values
    # The sum level·bits + noise rounds at 2⁻²² where it is near 6.
    assert np.allclose(noise, noise[0, 0], atol=1e-6)
    assert len(np.unique(noise[0, 0])) == 5
    free = sweep.run(lambda key, level: {"x": jax.random.normal(key)}, {"level": [0.0, 1.0, 2.0]}, **WHAT)
    assert len(np.unique(free["x"])) == 3


def test_a_store_opens_with_xarray_and_is_not_computed_twice(tmp_path):
    path = tmp_path / "results.zarr"
    first = sweep.run(_law, AXES, store=path, chunk=7, **WHAT)
    assert xarray.open_zarr(path, consolidated=False).load().equals(first)

    calls = []
    again = sweep.run(_law, AXES, store=path, chunk=7, progress=lambda done, total: calls.append((done, total)), **WHAT)
    assert calls == [(30, 30)]
    assert again.equals(first)


def test_an_interrupted_sweep_resumes_where_it_stopped(tmp_path):
    path = tmp_path / "results.zarr"

    def stop_after_two_chunks(done, total):
        if done >= 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep.run(_law, AXES, store=path, chunk=7, progress=stop_after_two_chunks, **WHAT)
    assert int(xarray.open_zarr(path, consolidated=False)["done"].sum()) == 14
    seen = []
    resumed = sweep.run(_law, AXES, store=path, chunk=7, progress=lambda done, total: seen.append(done), **WHAT)
    assert seen[0] == 14
    assert resumed.equals(sweep.run(_law, AXES, **WHAT))


def test_a_function_spans_axes_of_its_own_and_is_given_large_arrays(tmp_path):
    """Rows of a table, at every point: chunked, interrupted, stored and read back like scalars."""
    table = np.arange(6.0, dtype=np.float32).reshape(2, 3)
    asked = {"inner": {"kind": ["low", "high"], "time_s": [1.0, 2.0, 4.0]}, "operands": (table,), "notes": {"n": 7}}

    def rows(key, table, level):
        return {"value": level * table}

    path = tmp_path / "rows.zarr"
    found = sweep.run(rows, {"level": [1.0, 2.0, 3.0]}, store=path, chunk=2, **asked, **WHAT)
    assert found["value"].dims == ("level", "kind", "time_s")
    np.testing.assert_array_equal(found["value"], np.multiply.outer([1, 2, 3], table))
    assert float(found["value"].sel(level=2.0, kind="high", time_s=4.0)) == 10.0
    assert found.attrs["n"] == 7
    assert found["done"].dims == ("level",)
    assert found.identical(sweep.run(rows, {"level": [1.0, 2.0, 3.0]}, **asked, **WHAT))
    with pytest.raises(ValueError, match=r"axes\.kind is stored as"):
        sweep.check(
            {"level": [1.0, 2.0, 3.0]}, store=path, inner={"kind": ["low", "top"], "time_s": [1.0, 2.0, 4.0]}, **WHAT
        )
    with pytest.raises(ValueError, match=r"metric value must have the shape of the inner axes \['kind'\]"):
        sweep.run(rows, {"level": [1.0]}, **asked | {"inner": {"kind": ["low", "high"]}}, **WHAT)
    with pytest.raises(ValueError, match="axis kind must hold numbers, or words that differ"):
        sweep.run(rows, {"level": [1.0]}, **asked | {"inner": {"kind": ["low", "low"]}}, **WHAT)


SLOW_SWEEP = """
import jax, sys
from aimc import sweep
def law(key, level, seed):
    x = jax.lax.fori_loop(0, 40_000, lambda i, x: x + jax.random.normal(jax.random.fold_in(key, i)), 0.0)
    return {"x": x * level}
axes = {"level": [float(i) for i in range(12)], "seed": range(4)}
report = lambda done, total: print(done, flush=True)
sweep.run(law, axes, seed=1, spec={"law": "walk"}, store=sys.argv[1], chunk=4, progress=report)
"""


@pytest.mark.slow
def test_a_killed_sweep_resumes_to_the_same_numbers(tmp_path):
    def start(path):
        return subprocess.Popen([sys.executable, "-c", SLOW_SWEEP, path], stdout=subprocess.PIPE, text=True)

    with start(tmp_path / "killed.zarr") as killed:
        assert killed.stdout is not None
        for line in killed.stdout:
            if int(line) >= 12:
                os.kill(killed.pid, signal.SIGKILL)
                break
    for name in ("killed", "whole"):
        process = start(tmp_path / f"{name}.zarr")
        done = [int(line) for line in process.communicate()[0].split()]
        assert process.returncode == 0
        assert (done[0] >= 12) == (name == "killed")
    results = [xarray.open_zarr(tmp_path / f"{name}.zarr", consolidated=False).load() for name in ("killed", "whole")]
    assert results[0].equals(results[1])


def test_a_store_of_another_sweep_is_refused_with_the_difference_named(tmp_path):
    path = tmp_path / "results.zarr"
    sweep.run(_law, AXES, store=path, **WHAT)
    before = sorted((p.relative_to(path), p.stat().st_mtime_ns) for p in path.rglob("*"))
    named = r"axes\.level is stored as \[0\.0, 0\.5, 1\.0\] and asked for as \[0\.0, 0\.25, 1\.0\]"
    with pytest.raises(ValueError, match=named):
        sweep.run(_law, AXES | {"level": [0.0, 0.25, 1.0]}, store=path, **WHAT)
    with pytest.raises(ValueError, match="seed is stored as 3 and asked for as 4"):
        sweep.run(_law, AXES, store=path, **WHAT | {"seed": 4})
    with pytest.raises(ValueError, match=r"spec\.law"):
        sweep.run(_law, AXES, store=path, **WHAT | {"spec": {"law": "other"}})
    assert sorted((p.relative_to(path), p.stat().st_mtime_ns) for p in path.rglob("*")) == before
    other = tmp_path / "notes"
    other.mkdir()
    (other / "thesis.txt").write_text("do not lose me")
    with pytest.raises(ValueError, match="is not the store of a sweep"):
        sweep.run(_law, AXES, store=other, **WHAT)
    assert (other / "thesis.txt").read_text() == "do not lose me"


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({}, "axes must name at least one axis"),
        ({"level": []}, "axis level must be a list of finite numbers with at least one entry"),
        ({"level": [0.0, float("nan")]}, "axis level must be a list of finite numbers"),
        ({"level": [1.0, 1.0]}, "axis level names a value twice"),
        ({"level": [1.0, 1.0 + 1e-9]}, "axis level names a value twice"),
        ({"level": [2**31]}, "axis level must hold integers of 32 bits"),
    ],
)
def test_impossible_axes_are_refused(axes, message):
    with pytest.raises(ValueError, match=message):
        sweep.run(lambda key, level: {"x": level}, axes, **WHAT)


def test_the_time_left_can_be_told_from_the_calls():
    """Progress is called once at the start and after every chunk, and never goes back."""
    seen = []
    started = time.monotonic()
    sweep.run(_law, AXES, chunk=7, progress=lambda done, total: seen.append((done, total)), **WHAT)
    assert [done for done, _ in seen] == [0, 7, 14, 21, 28, 30]
    assert {total for _, total in seen} == {30}
    assert time.monotonic() > started
