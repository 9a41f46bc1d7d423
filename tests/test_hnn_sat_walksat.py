"""The law of WalkSAT/SKC, flip by flip and run by run, against the rule written in plain Python."""

import importlib
import io
import os
import random
import tarfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pysat.solvers import Cadical195
from scipy.stats import chi2, ks_2samp

from hnn_sat import Schedule, from_clauses, from_dimacs, model, random_ksat, solve, unsatisfiable_ksat, violated_clauses
from hnn_sat.dynamics import WalkSAT
from hnn_sat.dynamics.base import unpack
from hnn_sat.engines import BitPlanes, bit_planes
from hnn_sat.levels import Constant
from hnn_sat.problem import original_clauses, true_literal_counts

SATLIB = Path(os.environ.get("BARRIERLESS_DATA", Path(__file__).parents[2] / "shared" / "data")) / "satlib"
solver = importlib.import_module("hnn_sat.solve")

MIXED = [[1], [-1, 2], [2, -3], [3, -4, 5], [1, -2, 4, -6], [-1, -2, 3, 4, 5], [6, -5], [-6, -3, 1], [5, 6], [-5, 1, 4]]


def is_true(literal, x):
    return x[abs(literal)] == (literal > 0)


def breaks(clauses, x, variable):
    """Clauses that hold now and do not hold once the variable is flipped."""
    flipped = {**x, variable: not x[variable]}
    return sum(
        any(is_true(l, x) for l in clause) and not any(is_true(l, flipped) for l in clause) for clause in clauses
    )


def skc_run(clauses, n, noise, rng, cutoff):
    """Flips to a solution by the rule as it is written."""
    x = {v: rng.random() < 0.5 for v in range(1, n + 1)}
    for flips in range(cutoff):
        violated = [clause for clause in clauses if not any(is_true(l, x) for l in clause)]
        if not violated:
            return flips
        clause = rng.choice(violated)
        cost = {abs(l): breaks([c for c in clauses if l in c or -l in c], x, abs(l)) for l in clause}
        if min(cost.values()) > 0 and rng.random() < noise:
            v = rng.choice(list(cost))
        else:
            v = rng.choice([v for v in cost if cost[v] == min(cost.values())])
        x[v] = not x[v]
    return cutoff


@pytest.mark.parametrize("m", [40, 700, 4000])
def test_every_violated_clause_is_picked_equally_often(m):
    problem = random_ksat(jax.random.key(m), 50, m / 50)
    tables = bit_planes.tables(problem)
    x = jax.random.bernoulli(jax.random.key(1), shape=(50,))
    planes = bit_planes.start(tables, x)
    violated = np.flatnonzero(np.asarray(true_literal_counts(problem, x)) == 0)
    assert int(bit_planes.n_violated(planes)) == len(violated) > 1
    words = jax.random.bits(jax.random.key(2), (200_000,), jnp.uint32)
    picks = np.asarray(jax.jit(jax.vmap(bit_planes.pick_violated, in_axes=(None, 0)))(planes, words))
    counts = np.bincount(picks, minlength=m)
    assert counts.sum() == counts[violated].sum()
    expected = 200_000 / len(violated)
    assert chi2.sf(((counts[violated] - expected) ** 2 / expected).sum(), len(violated) - 1) > 1e-4
    # Ranks in order reach every violated clause once, in order.
    in_order = [int(bit_planes.pick_violated(planes, jnp.uint32(rank))) for rank in range(min(len(violated), 12))]
    assert in_order == violated[:12].tolist()


@pytest.mark.parametrize("name", ["random", "mixed"])
def test_the_state_kept_flip_by_flip_equals_a_recount_after_thousands_of_flips(name):
    if name == "random":
        problem = unsatisfiable_ksat(jax.random.key(0), 50, 4.26)
    else:
        problem = from_clauses([*MIXED, *[[a * 7, b * 8, c * 9] for a in (1, -1) for b in (1, -1) for c in (1, -1)]])
    tables = bit_planes.tables(problem)
    began = solver._start(jax.random.key(1), BitPlanes(), tables, 16)
    keys, times = (jax.random.key(2), jax.random.key(3)), jnp.array([0, 3000, 0], jnp.int32)
    args = (BitPlanes(), WalkSAT(), tables, (), Constant(0.5), times, "all")
    state = solver._run(keys, began, *args)
    np.testing.assert_array_equal(state.n_flips, 3000)
    clauses = original_clauses(problem)
    for replica in range(16):
        one = jax.tree.map(lambda leaf, replica=replica: leaf[replica], state._replace(missed_clauses=()))
        x = unpack(one.x, problem.n_variables)
        recount = bit_planes.start(tables, x)
        jax.tree.map(np.testing.assert_array_equal, recount, one.engine)
        assert int(one.n_violated) == len(violated_clauses(problem, model(problem, x)))
        best = unpack(one.best_x, problem.n_variables)
        assert int(one.n_best) == len(violated_clauses(problem, model(problem, best))) <= int(one.n_violated)
    assert len({tuple(x) for x in state.x.tolist()}) > 1
    assert len(clauses) == problem.n_original_clauses


SMALL = random_ksat(jax.random.key(1), 20, 4.0)  # satisfiable; median run about 20 flips


def test_the_run_length_law_is_that_of_a_plain_python_walksat():
    clauses = original_clauses(SMALL)
    rng = random.Random(5)
    plain = [skc_run(clauses, 20, 0.5, rng, 5000) for _ in range(500)]
    ours = solve(jax.random.key(4), SMALL, Schedule(replicas=2000, max_flips=5000), until="all")
    assert bool(ours.solved.all())
    # Two-sample Kolmogorov-Smirnov; a false alarm once in a thousand.
    assert ks_2samp(plain, np.asarray(ours.n_flips)).pvalue > 1e-3
    assert np.median(plain) > 5


def test_replicas_do_not_know_of_each_other():
    result = solve(jax.random.key(8), SMALL, Schedule(replicas=2000, max_flips=5000), until="all")
    logs = np.log1p(np.asarray(result.n_flips, dtype=np.float64))
    logs = (logs - logs.mean()) / logs.std()
    for lag in (1, 2, 16, 1000):
        r = np.mean(logs[lag:] * logs[:-lag])
        assert abs(r) < 4 / np.sqrt(2000 - lag), f"lag {lag}: r = {r}"
    assert len({tuple(x) for x in result.assignments.tolist()}) > 1 or len(set(result.n_flips.tolist())) > 100


def test_a_key_fixes_the_whole_result_however_the_run_is_cut(monkeypatch):
    problem = random_ksat(jax.random.key(21), 50, 4.2)
    schedule = Schedule(replicas=8, max_flips=200, restart_after=70)
    for until in ("first", "all"):
        one = solve(jax.random.key(1), problem, schedule, until=until)
        monkeypatch.setattr(solver, "FIRST_CHUNK_FLIPS", 13)
        monkeypatch.setattr(solver, "CHUNK_S", 0.0)
        again = solve(jax.random.key(1), problem, schedule, until=until)
        monkeypatch.undo()
        jax.tree.map(np.testing.assert_array_equal, one, again)
        other = solve(jax.random.key(2), problem, schedule, until=until)
        assert not np.array_equal(one.assignments, other.assignments)


def test_a_restart_is_a_fresh_run():
    p, n = [], 2000
    for seed, restart_after, max_flips in ((1, None, 20), (2, 20, 40)):
        schedule = Schedule(replicas=n, max_flips=max_flips, restart_after=restart_after)
        result = solve(jax.random.key(seed), SMALL, schedule, until="all")
        p.append(float(result.solved.mean()))
    expected = 1 - (1 - p[0]) ** 2
    sigma = np.hypot(np.sqrt(p[1] * (1 - p[1]) / n), 2 * (1 - p[0]) * np.sqrt(p[0] * (1 - p[0]) / n))
    assert 0.1 < p[0] < 0.9
    assert abs(p[1] - expected) < 4 * sigma


def test_every_model_satisfies_and_the_verdict_is_that_of_a_complete_solver():
    n_satisfiable = 0
    for seed in range(24):
        problem = random_ksat(jax.random.key(seed), 40, 4.25)
        clauses = original_clauses(problem)
        result = solve(jax.random.key(100 + seed), problem, Schedule(replicas=64, max_flips=20_000))
        with Cadical195(bootstrap_with=clauses) as complete:
            is_satisfiable = complete.solve()
            assert bool(result.solved.any()) == is_satisfiable
            n_satisfiable += is_satisfiable
            if is_satisfiable:
                found = model(problem, result.assignment)
                assert complete.solve(assumptions=found)
                assert violated_clauses(problem, found) == []
            else:
                assert int(result.n_unsatisfied.min()) > 0
    assert 4 <= n_satisfiable <= 20  # the ratio is near the threshold, so both cases were tried


def test_an_unsatisfiable_formula_is_never_solved():
    for seed in range(4):
        problem = unsatisfiable_ksat(jax.random.key(seed), 40, 3.0)
        with Cadical195(bootstrap_with=original_clauses(problem)) as complete:
            assert not complete.solve()
        result = solve(jax.random.key(seed), problem, Schedule(replicas=64, max_flips=2000))
        assert not bool(result.solved.any())
        assert result.n_flips.tolist() == [2000] * 64


def test_every_replica_runs_to_its_own_solution_and_its_model_holds():
    result = solve(jax.random.key(3), SMALL, Schedule(replicas=64, max_flips=5000), until="all")
    for x, n_unsatisfied in zip(result.assignments, result.n_unsatisfied.tolist(), strict=True):
        assert violated_clauses(SMALL, model(SMALL, x)) == []
        assert n_unsatisfied == 0


@pytest.mark.parametrize(
    ("clauses", "n_unsatisfied"), [([], 0), ([[]], 1), ([[1], [], [-1, 2]], 1), ([[1], [-1]], 1), ([[1, -1]], 0)]
)
def test_degenerate_formulas_end_with_the_least_number_of_violated_clauses(clauses, n_unsatisfied):
    result = solve(jax.random.key(0), from_clauses(clauses), Schedule(replicas=4, max_flips=50))
    assert int(result.n_unsatisfied.min()) == n_unsatisfied
    assert bool(result.solved.any()) == (n_unsatisfied == 0)


def test_a_watch_or_a_time_limit_stops_the_search():
    problem = unsatisfiable_ksat(jax.random.key(0), 50, 4.26)
    seen = []
    result = solve(
        jax.random.key(0),
        problem,
        Schedule(replicas=16),
        watch=lambda progress: seen.append(progress) or len(seen) == 3,
    )
    assert seen[0].n_flips == 64
    assert int(result.n_flips[0]) == seen[-1].n_flips
    assert seen[-1].n_unsatisfied == int(result.n_unsatisfied.min())
    late = solve(jax.random.key(0), problem, Schedule(replicas=16), time_limit_s=0.0)
    assert int(late.n_flips[0]) == 64


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("noise", -0.5),
        ("noise", float("nan")),
        ("restarts", "often"),
        ("restarts", "luby"),
        ("replicas", 0),
        ("max_flips", -1),
        ("restart_after", 0),
    ],
)
def test_a_schedule_that_cannot_be_meant_is_refused(field, value):
    with pytest.raises(ValueError, match=f"Schedule.{field} must be"):
        Schedule(**{field: value})


def test_a_formula_too_large_for_the_bit_planes_is_refused_in_a_sentence():
    problem = from_clauses([[1, 40_000]] * 220_000)
    with pytest.raises(ValueError, match="GiB"):
        solve(jax.random.key(0), problem, engine=BitPlanes())


def satlib_problem(family, name, tmp_path):
    if not (SATLIB / f"{family}.tar.xz").exists():
        pytest.skip(f"no {family}.tar.xz in {SATLIB}")
    with tarfile.open(SATLIB / f"{family}.tar.xz") as archive:
        member = next(m for m in archive if Path(m.name).name == name)
        file = archive.extractfile(member)
        assert file is not None
        (tmp_path / name).write_bytes(io.BytesIO(file.read()).getvalue())
    return from_dimacs(tmp_path / name)


@pytest.mark.parametrize("number", range(1, 5))
def test_satlib_uf50_is_solved(number, tmp_path):
    problem = satlib_problem("uf50-218", f"uf50-0{number}.cnf", tmp_path)
    result = solve(jax.random.key(number), problem, Schedule(replicas=64, max_flips=20_000))
    assert violated_clauses(problem, model(problem, result.assignment)) == []


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
    problem = satlib_problem(family, name, tmp_path)
    result = solve(jax.random.key(0), problem, Schedule(replicas=replicas, max_flips=flips), until="all")
    share = float(result.solved.mean())
    assert abs(share - reference) < 4 * np.hypot(np.sqrt(share * (1 - share) / replicas), error)


@pytest.mark.slow
@pytest.mark.parametrize(("m", "draws"), [(10, 200_000), (40_000, 200_000)])
def test_violated_clauses_are_picked_equally_often_among_few_and_many(m, draws):
    """At all-false every clause is violated: chi-square over all of them, and each rank in order."""
    problem = from_clauses([[1 + i % 7, 8 + i % 11, 19 + i % 13] for i in range(m)])
    planes = bit_planes.start(bit_planes.tables(problem), jnp.zeros(problem.n_variables, bool))
    pick = jax.jit(jax.vmap(bit_planes.pick_violated, in_axes=(None, 0)))
    np.testing.assert_array_equal(pick(planes, jnp.arange(m, dtype=jnp.uint32)), np.arange(m))
    counts = np.bincount(
        np.asarray(pick(planes, jax.random.bits(jax.random.key(0), (draws,), jnp.uint32))), minlength=m
    )
    expected = draws / m
    assert chi2.sf(((counts - expected) ** 2 / expected).sum(), m - 1) > 1e-4
