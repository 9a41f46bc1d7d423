"""WalkSAT compiled by numba: the law of an independent C implementation, exact bookkeeping, limits, and refusals."""

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2, ks_2samp

from hnn_sat import (
    Schedule,
    from_clauses,
    from_dimacs,
    model,
    random_ksat,
    solve,
    to_dimacs,
    unsatisfiable_ksat,
    violated_clauses,
)
from hnn_sat.dynamics import ProbSAT
from hnn_sat.engines import Numba
from hnn_sat.levels import Linear

pytest.importorskip("numba")

SATLIB = Path(os.environ.get("BARRIERLESS_DATA", Path(__file__).parents[2] / "shared" / "data")) / "satlib"
EASY = random_ksat(jax.random.key(1), 20, 4.0)
MIXED = from_clauses(
    [[1], [-1, 2], [2, -3], [3, -4, 5], [1, -2, 4, -6], [-1, -2, 3, 4, 5], [6, -5], [-6, -3, 1], [5, 6], [7], [-7]]
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "name", "flips", "replicas", "reference", "error"),
    [
        ("uf50-218", "uf50-01.cnf", 500, 4_096, 0.624, 0.0015),
        ("uf100-430", "uf100-01.cnf", 2_000, 4_096, 0.581, 0.0016),
        ("uf200-860", "uf200-01.cnf", 20_000, 4_096, 0.335, 0.0075),
        ("uf250-1065", "uf250-01.cnf", 20_000, 4_096, 0.9945, 0.0012),
    ],
)
def test_satlib_is_solved_as_often_as_by_an_independent_walksat_in_c(
    family, name, flips, replicas, reference, error, tmp_path
):
    """P(solved within a number of flips) at p = 0.5, within 4 standard errors of both."""
    if not (SATLIB / f"{family}.tar.xz").exists():
        pytest.skip(f"no {family}.tar.xz in {SATLIB}")
    with tarfile.open(SATLIB / f"{family}.tar.xz") as archive:
        file = archive.extractfile(next(m for m in archive if Path(m.name).name == name))
        assert file is not None
        (tmp_path / name).write_bytes(io.BytesIO(file.read()).getvalue())
    problem = from_dimacs(tmp_path / name)
    schedule = Schedule(replicas=replicas, max_flips=flips)
    result = solve(jax.random.key(0), problem, schedule, engine=Numba(), until="all")
    share = float(result.solved.mean())
    assert abs(share - reference) < 4 * np.hypot(np.sqrt(share * (1 - share) / replicas), error)
    solved = np.flatnonzero(np.asarray(result.solved))[:20]
    assert all(violated_clauses(problem, model(problem, result.assignments[i])) == [] for i in solved)


def test_its_run_lengths_have_the_law_of_the_engine_in_jax():
    schedule = Schedule(replicas=4000, max_flips=5000)
    ours = solve(jax.random.key(4), EASY, schedule, engine=Numba(), until="all")
    other = solve(jax.random.key(5), EASY, schedule, until="all")
    assert bool(ours.solved.all())
    assert ks_2samp(ours.n_flips, other.n_flips).pvalue > 1e-3  # a false alarm once in a thousand
    assert len(set(ours.n_flips.tolist())) > 50


@pytest.mark.parametrize("word", [16, 32])
@pytest.mark.parametrize("problem", [unsatisfiable_ksat(jax.random.key(0), 50, 4.26), MIXED], ids=["random", "mixed"])
def test_what_is_kept_flip_by_flip_equals_a_recount_after_thousands_of_flips(problem, word):
    engine = Numba()
    tables = engine.prepare(jax.random.key(0), problem)
    assert tables.clause_literal.dtype == tables.occurrence.dtype == np.uint16
    if word == 32:  # as in formulas of more than 2^16 variables or clauses
        wide = {"half": np.uint64(32), "clause_literal": tables.clause_literal.astype(np.uint32)}
        tables = tables._replace(occurrence=tables.occurrence.astype(np.uint32), **wide)
    xs = jax.random.bernoulli(jax.random.key(1), shape=(8, problem.n_variables))
    state = engine.begin(jax.random.key(2), tables, xs)
    level = Schedule(noise=0.5)
    from hnn_sat.levels import as_level

    state, reached = engine.run(state, tables, as_level(level.noise, most=1.0), 0, 3000, "all")
    assert reached == 3000
    assert state.n_flips.tolist() == state.n_iterations.tolist() == [3000] * 8
    kept = jax.tree.map(np.copy, state._asdict())
    again = engine.again(tables, jnp.asarray(state.x.astype(bool)), state)
    for name in ("words", "breaks", "n_violated"):
        np.testing.assert_array_equal(kept[name], getattr(again, name))
    for r in range(8):
        n = int(kept["n_violated"][r])
        assert set(kept["false"][r, :n].tolist()) == set(again.false[r, :n].tolist())
        np.testing.assert_array_equal(kept["where"][r, kept["false"][r, :n]], np.arange(n))
        assert n == len(violated_clauses(problem, model(problem, kept["x"][r].astype(bool))))
        best = model(problem, kept["best"][r].astype(bool))
        assert len(violated_clauses(problem, best)) == kept["n_best"][r] <= n


def test_the_violated_clause_and_its_variable_are_picked_uniformly():
    """From all-false every one of 30 disjoint clauses of 3 is violated and every flip is free: 90 equal choices."""
    problem = from_clauses([[3 * i + 1, 3 * i + 2, 3 * i + 3] for i in range(30)])
    engine, replicas = Numba(), 40_000
    tables = engine.prepare(jax.random.key(0), problem)
    state = engine.begin(jax.random.key(1), tables, jnp.zeros((replicas, 90), bool))
    from hnn_sat.levels import as_level

    state, _ = engine.run(state, tables, as_level(0.5, most=1.0), 0, 1, "all")
    assert (state.x.sum(axis=1) == 1).all()
    expected = replicas / 90
    assert chi2.sf(((state.x.sum(axis=0) - expected) ** 2 / expected).sum(), 89) > 1e-4


def test_a_walk_is_as_frequent_as_its_level():
    """Of clause (1 or 2), violated, 1 breaks one clause and 2 breaks two: 2 is flipped with probability p / 2."""
    problem = from_clauses([[1, 2], [-1, 3], [-2, 3], [-2, 4]])
    engine, replicas, p = Numba(), 40_000, 0.3
    tables = engine.prepare(jax.random.key(0), problem)
    from hnn_sat.levels import as_level

    state = engine.begin(jax.random.key(3), tables, jnp.zeros((replicas, 4), bool))
    state, _ = engine.run(state, tables, as_level(p, most=1.0), 0, 1, "all")
    share = state.x[:, 1].mean()
    assert abs(share - p / 2) < 4 * np.sqrt(p / 2 * (1 - p / 2) / replicas)
    assert state.x[:, :2].sum() == replicas


def test_a_key_fixes_the_result_however_the_run_is_cut(monkeypatch):
    import importlib

    solver = importlib.import_module("hnn_sat.solve")
    problem = random_ksat(jax.random.key(21), 100, 4.2)
    schedule = Schedule(replicas=8, max_flips=9000, restart_after=4000)
    for until in ("first", "all"):
        one = solve(jax.random.key(1), problem, schedule, engine=Numba(), until=until)
        monkeypatch.setattr(solver, "CHUNK_S", 0.0)
        again = solve(jax.random.key(1), problem, schedule, engine=Numba(), until=until)
        monkeypatch.undo()
        jax.tree.map(np.testing.assert_array_equal, one, again)
        other = solve(jax.random.key(2), problem, schedule, engine=Numba(), until=until)
        assert not np.array_equal(one.assignments, other.assignments)


def test_a_restart_is_a_fresh_run():
    p, n = [], 4000
    for seed, restart_after, max_flips in ((1, None, 20), (2, 20, 40)):
        schedule = Schedule(replicas=n, max_flips=max_flips, restart_after=restart_after)
        p.append(float(solve(jax.random.key(seed), EASY, schedule, engine=Numba(), until="all").solved.mean()))
    expected = 1 - (1 - p[0]) ** 2
    sigma = np.hypot(np.sqrt(p[1] * (1 - p[1]) / n), 2 * (1 - p[0]) * np.sqrt(p[0] * (1 - p[0]) / n))
    assert 0.1 < p[0] < 0.9
    assert abs(p[1] - expected) < 4 * sigma


def test_a_watch_or_a_time_limit_stops_it_between_pieces():
    problem, seen = unsatisfiable_ksat(jax.random.key(0), 50, 4.26), []
    result = solve(
        jax.random.key(0),
        problem,
        Schedule(replicas=4),
        engine=Numba(),
        watch=lambda progress: seen.append(progress) or len(seen) == 3,
    )
    assert seen[0].n_flips == 1024
    assert result.n_flips.tolist() == [seen[-1].n_flips] * 4
    late = solve(jax.random.key(0), problem, Schedule(replicas=4), engine=Numba(), time_limit_s=0.0)
    assert late.n_flips.tolist() == [1024] * 4


@pytest.mark.parametrize(
    ("clauses", "n_unsatisfied"), [([], 0), ([[]], 1), ([[1], [], [-1, 2]], 1), ([[1], [-1]], 1), ([[1, -1]], 0)]
)
def test_degenerate_formulas_end_with_the_least_number_of_violated_clauses(clauses, n_unsatisfied):
    result = solve(jax.random.key(0), from_clauses(clauses), Schedule(replicas=4, max_flips=50), engine=Numba())
    assert int(result.n_unsatisfied.min()) == n_unsatisfied


def test_what_it_cannot_run_is_refused_in_one_sentence(monkeypatch):
    with pytest.raises(ValueError, match="engine Numba runs the rule WalkSAT only, got ProbSAT"):
        solve(jax.random.key(0), EASY, dynamic=ProbSAT(), engine=Numba())
    with pytest.raises(ValueError, match="keeps its noise level constant, got Linear"):
        solve(jax.random.key(0), EASY, Schedule(noise=Linear(0.6, 0.3, 100)), engine=Numba())
    monkeypatch.setattr("hnn_sat.engines.numba_engine.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"barrierless\[numba\]"):
        solve(jax.random.key(0), EASY, engine=Numba())


def test_the_command_solves_with_it(tmp_path):
    to_dimacs(EASY, tmp_path / "easy.cnf")
    command = [sys.executable, "-m", "hnn_sat", "solve", str(tmp_path / "easy.cnf"), "--engine", "numba"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 10, found.stderr
    assert "c engine numba" in found.stdout
    literals = [int(w) for line in found.stdout.splitlines() if line.startswith("v ") for w in line[2:].split()]
    assert violated_clauses(EASY, literals[:-1]) == []
