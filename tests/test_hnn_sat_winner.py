"""Winner-take-all on bit slices: its law against an integral of the definition, its state against plain counting."""

import math
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import chi2, norm

from hnn_sat import Schedule, from_clauses, model, random_ksat, solve, violated_clauses
from hnn_sat.dynamics import DYNAMICS, WalkSAT
from hnn_sat.engines import BitPlanes, BitSliced
from hnn_sat.engines.bit_sliced import counter_values, slice_replicas, unslice
from hnn_sat.engines.sliced_winner import SlicedWinner, count_rows, largest_noise, nth_member, paired, worth_planes
from hnn_sat.levels import Constant, Linear
from hnn_sat.problem import original_clauses

MIXED = [[1], [-1, 2], [2, -3], [3, -4, 5], [1, -2, 4, -6], [-1, -2, 3, 4, 5], [6, -5], [-6, -3, 1], [5, 6], [-5, 1, 4]]
START = (True, False, False, True, False, True)


def worths(clauses, x, v):
    """What flipping variable v makes and breaks, by looking at every clause before and after."""
    other = [*x[: v - 1], not x[v - 1], *x[v:]]
    holds = [[any(y[abs(l) - 1] == (l > 0) for l in clause) for clause in clauses] for y in (x, other)]
    pairs = list(zip(*holds, strict=True))
    return sum(not a and b for a, b in pairs), sum(a and not b for a, b in pairs)


def winner_law(worth, sigma, source):
    """P(v has the largest worth + σ η), one η for every variable, by integrating over the winner's."""
    if sigma == 0:
        best = [v for v in worth if worth[v] == max(worth.values())]
        return {v: (v in best) / len(best) for v in worth}
    root = math.sqrt(3.0)
    density, share, ends = {
        "normal": (norm.pdf, norm.cdf, (-9.0, 9.0)),
        "uniform": (lambda z: 1 / (2 * root), lambda z: min(max((z + root) / (2 * root), 0.0), 1.0), (-root, root)),
    }[source]

    def integrand(z, v):
        return density(z) * math.prod(share((worth[v] - worth[u]) / sigma + z) for u in worth if u != v)

    return {v: quad(integrand, *ends, args=(v,), limit=400)[0] for v in worth}


def one_step(problem, rule, xs, level, seed=3):
    """Which variables change in one iteration, and the state after it."""
    engine = paired(BitSliced(), DYNAMICS[rule], problem)
    assert isinstance(engine, SlicedWinner)
    tables = engine.prepare(jax.random.key(0), problem)
    state = engine.begin(jax.random.key(seed), tables, jnp.asarray(xs))
    moved, reached = engine.run(state, tables, Constant(jnp.float32(level)), 0, 1, "all")
    assert reached == 1
    x = jnp.moveaxis(moved.replicas.x, 1, 0).reshape(problem.n_variables, -1)
    return np.asarray(unslice(x, len(xs))) != np.asarray(xs), moved


@pytest.mark.parametrize("rule", ["mnsat", "gnsat-n", "gnsat-u"])
@pytest.mark.parametrize("sigma", [0.0, 0.8, 3.0])
def test_one_noise_for_each_worth_gives_the_law_of_one_for_each_variable(rule, sigma):
    """Chi-square at the 1e-4 level over 50,000 replicas; nine laws, so a false alarm comes once in 1,000 versions."""
    n_runs = 50_000
    changed, moved = one_step(from_clauses(MIXED), rule, np.tile(START, (n_runs, 1)), sigma)
    assert (changed.sum(axis=1) == 1).all()
    assert moved.n_flips.tolist() == [1] * n_runs
    assert int(moved.replicas.n_flips.sum()) == n_runs  # those that fill the last word rest
    one, two = np.split(changed[: 2 * 32 * moved.replicas.x.shape[2]].argmax(axis=1), 2)
    assert sigma == 0 or (one != two).any()  # blocks of replicas have noise of their own
    both = {v: worths(MIXED, START, v) for v in range(1, 7)}
    worth = {v: make if rule == "mnsat" else make - break_ for v, (make, break_) in both.items()}
    assert len(set(worth.values())) < 6  # some are equal
    law = np.array(list(winner_law(worth, sigma, "uniform" if rule == "gnsat-u" else "normal").values()))
    observed, expected = changed.sum(axis=0), n_runs * law
    assert (observed[expected < 1e-9] == 0).all()
    possible = expected > 1e-9
    statistic = ((observed - expected)[possible] ** 2 / expected[possible]).sum()
    assert possible.sum() == 1 or chi2.sf(statistic, possible.sum() - 1) > 1e-4


def mixed_formula(n=40):
    generator = np.random.default_rng(4)
    clauses = []
    for k in generator.integers(1, 6, 150).tolist():
        clauses.append(((generator.choice(n, k, replace=False) + 1) * generator.choice([-1, 1], k)).tolist())
    return from_clauses(clauses, n_variables=n)


@pytest.mark.parametrize(("kind", "rule"), [("3-SAT", "gnsat-n"), ("mixed", "mnsat")])
def test_worths_and_energies_are_those_of_plain_counting(rule, kind):
    """37 replicas fill no word. Every variable of every replica, and the energy after a flip."""
    problem = random_ksat(jax.random.key(1), 40, 4.0) if kind == "3-SAT" else mixed_formula()
    clauses, xs = original_clauses(problem), np.random.default_rng(5).random((37, 40)) < 0.5
    changed, moved = one_step(problem, rule, xs, 0.8)
    assert (changed.sum(axis=1) == 1).all()
    engine = paired(BitSliced(), DYNAMICS[rule], problem)
    tables = engine.prepare(jax.random.key(0), problem)
    planes, added = jax.jit(worth_planes, static_argnums=1)(tables, engine.worth, slice_replicas(jnp.asarray(xs)))
    read = np.asarray(counter_values(planes, len(xs))) - int(added)
    for r, x in enumerate(xs.tolist()):
        both = [worths(clauses, x, v) for v in range(1, 41)]
        assert read[r].tolist() == [make if rule == "mnsat" else make - break_ for make, break_ in both]
        after = model(problem, np.array(x) ^ changed[r])
        assert int(moved.replicas.n_violated[0, r % 32, r // 32]) == len(violated_clauses(problem, after))


@pytest.mark.parametrize("source", ["normal", "uniform"])
@pytest.mark.parametrize("count", [1, 7, 200])
def test_the_largest_of_equal_noises_is_its_quantile(source, count):
    """Against float64 quantiles: 0.002, where single precision and 24 bits of u allow it."""
    word = np.linspace(0, 2**32 - 2**20, 4001).astype(np.uint32)
    tail = -np.expm1(np.log1p(-((word >> 8) + 0.5) / 2**24) / count)
    exact = np.minimum(norm.isf(tail), 5.3) if source == "normal" else math.sqrt(3.0) * (1 - 2 * tail)
    got = np.asarray(largest_noise(jnp.asarray(word), jnp.full(word.shape, float(count)), source))
    np.testing.assert_allclose(got, exact, atol=2e-3)


def test_a_long_run_never_drifts_and_ends_only_on_a_solution():
    """Restarts, a level that changes with time, and cuts into stretches that change nothing."""
    problem = random_ksat(jax.random.key(2), 50, 4.0)
    schedule = Schedule(replicas=48, max_flips=1500, restart_after=700, noise=Linear(1.0, 0.6, 500))
    result = solve(jax.random.key(1), problem, schedule, dynamic=DYNAMICS["gnsat-n"], engine=BitSliced(), until="all")
    assert result.solved.any()
    for x, least in zip(np.asarray(result.assignments), result.n_unsatisfied.tolist(), strict=True):
        assert len(violated_clauses(problem, model(problem, x))) == least
    engine = paired(BitSliced(), DYNAMICS["gnsat-n"], problem)
    tables, xs = engine.prepare(jax.random.key(0), problem), np.random.default_rng(0).random((48, 50)) < 0.5
    ends = []
    for cuts in ([0, 40], [0, 7, 8, 40]):
        state = engine.begin(jax.random.key(5), tables, jnp.asarray(xs))
        for begin, stop in pairwise(cuts):
            state, _ = engine.run(state, tables, schedule.noise, begin, stop, "all")
        ends.append(np.asarray(state.replicas.x))
    np.testing.assert_array_equal(*ends)


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["mnsat", "gnsat-n", "gnsat-u"])
def test_run_lengths_agree_with_those_of_a_noise_for_each_variable(rule):
    """Shares solved within 60 and 240 flips by 2,000 replicas of each kind: |z| < 4 for the difference."""
    problem = random_ksat(jax.random.key(6), 20, 4.2)
    for flips in (60, 240):
        schedule = Schedule(replicas=2000, max_flips=flips, noise=1.0)
        shares = [
            float(
                solve(jax.random.key(s), problem, schedule, dynamic=DYNAMICS[rule], engine=e, until="all").solved.mean()
            )
            for s, e in ((8, BitSliced()), (9, BitPlanes()))
        ]
        spread = math.sqrt(sum(p * (1 - p) for p in shares) / 2000)
        assert 0.02 < shares[1] < 0.98
        assert abs(shares[0] - shares[1]) < 4 * spread


@pytest.mark.parametrize("n", [1, 6, 33, 140])
def test_the_nth_member_of_each_replica(n):
    """And how many there are, against sorting on the host; 140 rows are more than one chunk of bytes."""
    is_member = np.random.default_rng(n).random((64, n)) < 0.4
    is_member[:, -1] = True
    rank = np.random.default_rng(n + 1).integers(0, is_member.sum(axis=1))
    rows = slice_replicas(jnp.asarray(is_member))
    np.testing.assert_array_equal(count_rows(rows).T.reshape(-1), is_member.sum(axis=1))
    bits = nth_member(rows, jnp.asarray(rank.reshape(2, 32).T, jnp.int32), jnp.bool_(True))
    found = counter_values([bit[None] for bit in bits], 64)[:, 0] if bits else np.zeros(64, int)
    np.testing.assert_array_equal(found, [np.flatnonzero(row)[k] for row, k in zip(is_member, rank, strict=True)])


def test_other_rules_and_larger_formulas_keep_their_engine():
    problem, engine = from_clauses(MIXED), BitSliced()
    assert paired(engine, WalkSAT(), problem) is engine
    exact = BitSliced(by_worth=False)
    assert paired(exact, DYNAMICS["mnsat"], problem) is exact
    assert paired(engine, DYNAMICS["gnsat-u"], problem) == SlicedWinner(worth="gain", source="uniform")
    large = from_clauses([[1, 2, 3000]], n_variables=3000)
    assert paired(engine, DYNAMICS["mnsat"], large) is engine
    with pytest.raises(ValueError, match="winner-take-all"):
        SlicedWinner().check(WalkSAT(), 0.5)
