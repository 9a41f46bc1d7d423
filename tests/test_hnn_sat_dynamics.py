"""One step of every rule against an enumeration of its definition in plain Python, and the schedules they follow."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import chi2, norm

from hnn_sat import Schedule, from_clauses, model, random_ksat, solve, violated_clauses
from hnn_sat import state as replicas_of
from hnn_sat.dynamics import Glauber, Metropolis, ProbSAT, WalkSAT, gnsat, mnsat
from hnn_sat.dynamics.annealing import colours
from hnn_sat.dynamics.base import unpack
from hnn_sat.engines import BitPlanes, bit_planes
from hnn_sat.levels import Constant, Geometric, Linear, Logarithmic
from hnn_sat.problem import original_clauses
from hnn_sat.schedule import luby

MIXED = [[1], [-1, 2], [2, -3], [3, -4, 5], [1, -2, 4, -6], [-1, -2, 3, 4, 5], [6, -5], [-6, -3, 1], [5, 6], [-5, 1, 4]]
THREE = [[1, 2, 3], [-1, 4, 5], [2, -4, 6], [-2, -3, 5], [1, -5, -6], [3, 4, -6], [-1, -2, 6], [-3, -4, -5], [2, 5, 6]]
CHAIN = [[1, 2], [-2, 3], [-3, -4], [4, 5], [5, -6], [6, 7], [1, -2]]
N_STEPS = 100_000


def is_true(literal, x):
    return x[abs(literal)] == (literal > 0)


def holds(clause, x):
    return any(is_true(l, x) for l in clause)


def makes_and_breaks(clauses, x, v):
    flipped = {**x, v: not x[v]}
    before, after = ([holds(clause, values) for clause in clauses] for values in (x, flipped))
    return sum(a and not b for b, a in zip(before, after, strict=True)), sum(
        b and not a for b, a in zip(before, after, strict=True)
    )


def skc_law(clauses, x, noise):
    """WalkSAT/SKC as Selman, Kautz and Cohen state it."""
    law = dict.fromkeys(x, 0.0)
    violated = [clause for clause in clauses if not holds(clause, x)]
    for clause in violated:
        cost = {abs(l): makes_and_breaks(clauses, x, abs(l))[1] for l in clause}
        least = [v for v in cost if cost[v] == min(cost.values())]
        greedy = 1.0 if min(cost.values()) == 0 else 1.0 - noise
        for v in least:
            law[v] += greedy / len(least) / len(violated)
        for v in cost:
            law[v] += (1 - greedy) / len(cost) / len(violated)
    return law


def probsat_law(clauses, x, weight):
    law = dict.fromkeys(x, 0.0)
    violated = [clause for clause in clauses if not holds(clause, x)]
    for clause in violated:
        f = {abs(l): weight(makes_and_breaks(clauses, x, abs(l))[1]) for l in clause}
        for v in f:
            law[v] += f[v] / sum(f.values()) / len(violated)
    return law


def winner_law(worth, sigma, density, distribution, bounds):
    """P(v has the largest worth + σ η) by integrating over the winner's η."""
    if sigma == 0:
        best = [v for v in worth if worth[v] == max(worth.values())]
        return {v: (v in best) / len(best) for v in worth}

    def integrand(z, v):
        others = (distribution((worth[v] - worth[u]) / sigma + z) for u in worth if u != v)
        return density(z) * math.prod(others)

    return {v: quad(integrand, *bounds, args=(v,), limit=400)[0] for v in worth}


def steps(dynamic, clauses, x, level, n=N_STEPS, t=0):
    """What each of n replicas at x changes in one iteration, as a table of booleans."""
    problem = from_clauses(clauses, n_variables=len(x))
    engine, tables = BitPlanes(), bit_planes.tables(problem)
    one = replicas_of.start(engine, tables, jnp.array([list(x.values())]))
    state = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (n, *leaf.shape[1:])), one._replace(missed_clauses=()))
    state = state._replace(missed_clauses=one.missed_clauses)
    draw = jax.tree.map(lambda leaf: leaf[0], dynamic.draw(jax.random.key(17), (1, n), len(x)))
    moved = jax.jit(replicas_of.advance)(
        engine, dynamic, tables, dynamic.init(problem), draw, jax.random.key(0), jnp.float32(level), jnp.int32(t), state
    )
    before = np.array(list(x.values()))
    after = np.asarray(jax.vmap(lambda words: unpack(words, len(x)))(moved.x))
    return after != before


def assert_law(changed, law):
    """Each replica flips one variable, or none (key None), as often as the law says: chi-square, at the 1e-4 level; 27
    laws are tested here, so a false alarm comes in one of 400 versions of this file."""
    assert (changed.sum(axis=1) <= 1).all()
    observed = np.array([(~changed.any(axis=1)).sum() if v is None else changed[:, v - 1].sum() for v in law])
    expected = np.array([p * len(changed) for p in law.values()])
    assert abs(sum(law.values()) - 1) < 1e-6
    assert observed.sum() == len(changed)
    assert (observed[expected < 1e-9] == 0).all()
    possible = expected > 1e-9
    if possible.sum() > 1:
        statistic = ((observed - expected)[possible] ** 2 / expected[possible]).sum()
        assert chi2.sf(statistic, possible.sum() - 1) > 1e-4


def assignment(bits, n=6):
    return {v: bool(bits >> (v - 1) & 1) for v in range(1, n + 1)}


@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("bits", [0b000000, 0b101001, 0b011011])
def test_one_walksat_flip_has_the_law_of_the_rule(bits, noise):
    x = assignment(bits)
    assert_law(steps(WalkSAT(), MIXED, x, noise), skc_law(MIXED, x, noise))


@pytest.mark.parametrize("bits", [0b000000, 0b110010])
def test_one_probsat_flip_has_the_law_of_the_published_parameters(bits):
    x = assignment(bits)
    # Longest clause 3: polynomial; 5: exponential with 3.7.
    assert_law(steps(ProbSAT(), THREE, x, 0.0), probsat_law(THREE, x, lambda b: (0.9 + b) ** -2.06))
    assert_law(steps(ProbSAT(), MIXED, x, 0.0), probsat_law(MIXED, x, lambda b: 3.7**-b))


@pytest.mark.parametrize(("k", "cb"), [(4, 2.85), (6, 5.1), (7, 5.4), (9, 5.4)])
def test_probsat_takes_its_parameter_from_the_longest_clause(k, cb):
    table = np.asarray(ProbSAT().init(random_ksat(jax.random.key(k), 12, 5.0, k)))
    np.testing.assert_allclose(table, cb ** -np.arange(len(table), dtype=float), rtol=1e-6)


@pytest.mark.parametrize("sigma", [0.0, 0.8, 3.0])
@pytest.mark.parametrize("rule", ["mnsat", "gnsat-n", "gnsat-u"])
def test_one_winner_take_all_flip_has_the_law_of_the_largest_noisy_worth(rule, sigma):
    x = assignment(0b101001)
    both = {v: makes_and_breaks(MIXED, x, v) for v in x}
    worth = {v: make if rule == "mnsat" else make - break_ for v, (make, break_) in both.items()}
    root = math.sqrt(3.0)
    if rule == "gnsat-u":
        law = winner_law(
            worth, sigma, lambda z: 1 / (2 * root), lambda z: min(max((z + root) / (2 * root), 0), 1), (-root, root)
        )
    else:
        law = winner_law(worth, sigma, norm.pdf, norm.cdf, (-9, 9))
    dynamic = {"mnsat": mnsat(), "gnsat-n": gnsat(), "gnsat-u": gnsat("uniform")}[rule]
    assert_law(steps(dynamic, MIXED, x, sigma), law)


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_one_metropolis_step_has_the_law_of_metropolis(temperature):
    x = assignment(0b101001)
    law = {}
    for v in x:
        make, break_ = makes_and_breaks(MIXED, x, v)
        accept = (make >= break_) if temperature == 0 else min(1.0, math.exp((make - break_) / temperature))
        law[v] = accept / len(x)
    law[None] = 1 - sum(law.values())
    assert_law(steps(Metropolis(), MIXED, x, temperature), law)


def test_one_glauber_step_flips_the_variables_of_one_colour_independently():
    x, temperature = assignment(0b0110100, 7), 0.9
    colour, n_colours = (np.asarray(leaf) for leaf in colours(from_clauses(CHAIN)))
    for clause in CHAIN:
        assert len({int(colour[abs(l) - 1]) for l in clause}) == len(clause)
    assert set(colour.tolist()) == set(range(int(n_colours)))
    changed = steps(Glauber(), CHAIN, x, temperature, t=int(n_colours) + 1)  # the second colour's turn
    mine = [v for v in x if colour[v - 1] == 1]
    assert not changed[:, [v - 1 for v in x if v not in mine]].any()
    p = {}
    for v in mine:
        make, break_ = makes_and_breaks(CHAIN, x, v)
        p[v] = 1 / (1 + math.exp(-(make - break_) / temperature))
    assert len(mine) >= 2
    observed, expected = [], []
    for pattern in itertools.product([False, True], repeat=len(mine)):
        observed.append((changed[:, [v - 1 for v in mine]] == pattern).all(axis=1).sum())
        expected.append(len(changed) * math.prod(p[v] if on else 1 - p[v] for v, on in zip(mine, pattern, strict=True)))
    statistic = ((np.array(observed) - expected) ** 2 / np.array(expected)).sum()
    assert chi2.sf(statistic, len(observed) - 1) > 1e-4


def test_metropolis_settles_into_the_law_of_boltzmann():
    """All 2^6 states against e^(−E/T), from a formula that no state satisfies, so that nobody stops."""
    clauses, temperature, n = [*THREE, [1], [-1]], 0.8, 4000
    schedule = Schedule(replicas=n, max_flips=300, noise=temperature)
    problem = from_clauses(clauses)
    tables = bit_planes.tables(problem)
    from hnn_sat.solve import _run, _start

    state = _start(jax.random.key(1), BitPlanes(), tables, schedule.replicas)
    keys, times = (jax.random.key(2), jax.random.key(3)), jnp.array([0, 300, 0], jnp.int32)
    state = _run(keys, state, BitPlanes(), Metropolis(), tables, (), Constant(temperature), times, "all")
    codes = np.asarray(state.x)[:, 0] & 63  # a refused flip toggles a bit beyond the last variable
    energy = [sum(not holds(c, assignment(bits)) for c in clauses) for bits in range(64)]
    weight = np.exp(-np.array(energy) / temperature)
    expected = n * weight / weight.sum()
    statistic = ((np.bincount(codes, minlength=64) - expected) ** 2 / expected).sum()
    assert chi2.sf(statistic, 63) > 1e-4


@pytest.mark.parametrize("dynamic", [ProbSAT(), mnsat(), gnsat(), gnsat("uniform"), Metropolis(), Glauber()])
def test_every_rule_finds_a_model_that_holds(dynamic):
    problem = random_ksat(jax.random.key(1), 20, 4.0)
    result = solve(jax.random.key(2), problem, Schedule(replicas=32, max_flips=20_000), dynamic=dynamic)
    assert violated_clauses(problem, model(problem, result.assignment)) == []
    assert len(original_clauses(problem)) == 80
    assert (np.asarray(result.n_iterations) <= 20_000).all()


def test_noise_levels_follow_their_formulas():
    t = jnp.arange(0, 40)
    at = lambda level: np.asarray(jax.vmap(level.at)(t), dtype=np.float64)  # noqa: E731
    share = np.minimum(np.arange(40) / 20, 1.0)
    np.testing.assert_allclose(at(Constant(0.3)), 0.3, rtol=1e-6)
    np.testing.assert_allclose(at(Linear(2.0, 0.5, 20)), 2.0 - 1.5 * share, rtol=1e-6)
    np.testing.assert_allclose(at(Geometric(2.0, 0.5, 20)), 2.0 * 0.25**share, rtol=1e-5)
    np.testing.assert_allclose(at(Logarithmic(2.0, 5.0)), 2.0 / np.log(math.e + np.arange(40) / 5.0), rtol=1e-5)


def test_a_level_is_counted_from_the_last_restart():
    """With p = 0 after five iterations, a search that restarts every five is as random as one that always walks."""
    problem = random_ksat(jax.random.key(1), 20, 4.0)
    common = {"replicas": 64, "max_flips": 40, "restart_after": 5}
    always, annealed, other = (
        solve(jax.random.key(1), problem, Schedule(noise=noise, **common), until="all")
        for noise in (0.5, Linear(0.5, 0.5, 5), Linear(0.5, 0.0, 5))
    )
    jax.tree.map(np.testing.assert_array_equal, always, annealed)
    assert not np.array_equal(always.assignments, other.assignments)


def test_luby_is_the_sequence_of_its_authors():
    """t_i = 2^(k−1) if i = 2^k − 1, else t_{i − 2^(k−1) + 1} for 2^(k−1) ≤ i < 2^k − 1 (Luby et al. 1993)."""
    assert [luby(i) for i in range(1, 16)] == [1, 1, 2, 1, 1, 2, 4, 1, 1, 2, 1, 1, 2, 4, 8]

    def recursive(i):
        k = i.bit_length()
        return 2 ** (k - 1) if i == 2**k - 1 else recursive(i - 2 ** (k - 1) + 1)

    assert all(luby(i) == recursive(i) for i in range(1, 2000))
    ends = Schedule(restart_after=10, restarts="luby").ends()
    assert list(itertools.islice(ends, 7)) == [10, 20, 40, 50, 60, 80, 120]


def test_luby_restarts_happen_where_the_sequence_says():
    """One replica on a formula that is never solved: it jumps by more than a variable exactly at the ends of runs."""
    clauses = [[a * 1, b * 2] for a in (1, -1) for b in (1, -1)] + [[v, v + 1] for v in range(3, 40)]
    seen = []
    for n in range(1, 17):
        schedule = Schedule(replicas=1, max_flips=n, restart_after=2, restarts="luby", noise=0.0)
        problem = from_clauses(clauses)
        watched = []
        solve(
            jax.random.key(3), problem, schedule, until="all", watch=lambda p, w=watched: w.append(p.n_flips) and False
        )
        seen.append(watched)
    # Stretches may end anywhere, but never across the end of a run: 2, 4, 8, 10, 12, 16.
    assert [end for end in (2, 4, 8, 10, 12) if end not in seen[-1]] == []


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        (Geometric(0.0, 0.5, 10), "Schedule.noise.first must be above 0"),
        (Linear(0.5, float("nan"), 10), "Schedule.noise.last must be"),
        (Logarithmic(1.0, 0.0), "Schedule.noise.iterations must be a positive number"),
        (-1.0, "Schedule.noise must be"),
    ],
)
def test_a_level_that_cannot_be_meant_is_refused(noise, message):
    with pytest.raises(ValueError, match=message):
        Schedule(noise=noise)


def test_a_probability_above_one_is_refused_by_the_rule_that_needs_one():
    problem = random_ksat(jax.random.key(1), 20, 4.0)
    with pytest.raises(ValueError, match="probability"):
        solve(jax.random.key(1), problem, Schedule(noise=1.5))
    with pytest.raises(ValueError, match=r"WinnerTakeAll\.source"):
        gnsat("pink")
