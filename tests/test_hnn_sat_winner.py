"""Winner-take-all on bit slices: its law against an integral of the definition, its state against plain counting."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import chi2, norm

from hnn_sat import Schedule, from_clauses, model, random_ksat, solve, violated_clauses
from hnn_sat import state as replicas_of
from hnn_sat.dynamics import DYNAMICS, WalkSAT
from hnn_sat.dynamics.base import unpack
from hnn_sat.engines import BitPlanes, BitSliced
from hnn_sat.engines.sliced_winner import ByWorth, SlicedGains, paired, transpose
from hnn_sat.problem import original_clauses

MIXED = [[1], [-1, 2], [2, -3], [3, -4, 5], [1, -2, 4, -6], [-1, -2, 3, 4, 5], [6, -5], [-6, -3, 1], [5, 6], [-5, 1, 4]]
START = (True, False, False, True, False, True)
ADVANCE = jax.jit(replicas_of.advance)


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


def one_step(problem, rule, xs, level):
    """Which variables change, and the state after it."""
    engine, dynamic = paired(BitSliced(by_worth=True), DYNAMICS[rule], problem)
    assert isinstance(engine, SlicedGains)
    tables = engine.prepare(jax.random.key(0), problem)
    state = replicas_of.start(engine, tables, jnp.asarray(xs))
    draw = jax.tree.map(lambda leaf: leaf[0], dynamic.draw(jax.random.key(3), (1, len(xs)), problem.n_variables))
    moved = ADVANCE(engine, dynamic, tables, (), draw, jax.random.key(0), jnp.float32(level), jnp.int32(0), state)
    after = np.asarray(jax.vmap(lambda words: unpack(words, problem.n_variables))(moved.x))
    return after != np.asarray(xs), moved


@pytest.mark.parametrize("rule", ["mnsat", "gnsat-n", "gnsat-u"])
@pytest.mark.parametrize("sigma", [0.0, 0.8, 3.0])
def test_one_noise_for_each_worth_gives_the_law_of_one_for_each_variable(rule, sigma):
    """Chi-square at the 1e-4 level over 50,000 replicas; nine laws, so a false alarm comes once in 1,000 versions."""
    n_runs = 50_000
    changed, _ = one_step(from_clauses(MIXED), rule, np.tile(START, (n_runs, 1)), sigma)
    assert (changed.sum(axis=1) == 1).all()
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


@pytest.mark.parametrize("rule", ["mnsat", "gnsat-n"])
@pytest.mark.parametrize("kind", ["3-SAT", "mixed"])
def test_worths_and_energies_stay_those_of_plain_counting(rule, kind):
    """37 replicas fill no word; 40 variables take two. Every variable of every replica, before and after a flip."""
    problem = random_ksat(jax.random.key(1), 40, 4.0) if kind == "3-SAT" else mixed_formula()
    clauses, xs = original_clauses(problem), np.random.default_rng(5).random((37, 40)) < 0.5
    changed, moved = one_step(problem, rule, xs, 0.8)
    bound = max(sum(v in map(abs, clause) for clause in clauses) for v in range(1, 41))
    planes = [[np.asarray(words) for words in plane] for plane in moved.engine.worth]
    for r, x in enumerate((xs ^ changed).tolist()):
        both = [worths(clauses, x, v) for v in range(1, 41)]
        for v, (make, break_) in enumerate(both):
            read = sum(int(plane[v // 32][r] >> (v % 32) & 1) << j for j, plane in enumerate(planes))
            assert read == (make if rule == "mnsat" else make - break_ + bound)
        assert int(moved.n_violated[r]) == len(violated_clauses(problem, model(problem, np.array(x))))


def test_a_long_run_never_drifts_and_ends_only_on_a_solution():
    problem = random_ksat(jax.random.key(2), 50, 4.0)
    schedule = Schedule(replicas=48, max_flips=1500, restart_after=700)
    result = solve(
        jax.random.key(1), problem, schedule, dynamic=DYNAMICS["gnsat-n"], engine=BitSliced(by_worth=True), until="all"
    )
    assert result.solved.any()
    for x, least in zip(np.asarray(result.assignments), result.n_unsatisfied.tolist(), strict=True):
        assert len(violated_clauses(problem, model(problem, x))) == least


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
            for s, e in ((8, BitSliced(by_worth=True)), (9, BitPlanes()))
        ]
        spread = math.sqrt(sum(p * (1 - p) for p in shares) / 2000)
        assert 0.02 < shares[1] < 0.98
        assert abs(shares[0] - shares[1]) < 4 * spread


def test_blocks_are_transposed():
    blocks = np.random.default_rng(0).integers(0, 2**32, (3, 32, 5), dtype=np.uint32)
    bits = blocks[:, :, None, :] >> np.arange(32, dtype=np.uint32)[None, None, :, None] & 1
    turned = (np.swapaxes(bits, 1, 2).astype(np.uint64) << np.arange(32, dtype=np.uint64)[None, None, :, None]).sum(
        axis=2
    )
    np.testing.assert_array_equal(transpose(jnp.asarray(blocks)), turned.astype(np.uint32))


def test_other_rules_and_larger_formulas_keep_their_engine():
    problem, engine = from_clauses(MIXED), BitSliced(by_worth=True)
    assert paired(engine, WalkSAT(), problem) == (engine, WalkSAT())
    own = BitSliced()
    assert paired(own, DYNAMICS["mnsat"], problem) == (own, DYNAMICS["mnsat"])
    assert paired(engine, DYNAMICS["gnsat-u"], problem) == (SlicedGains(worth="gain"), ByWorth(source="uniform"))
    large = from_clauses([[1, 2, 3000]], n_variables=3000)
    assert paired(engine, DYNAMICS["mnsat"], large) == (engine, DYNAMICS["mnsat"])
