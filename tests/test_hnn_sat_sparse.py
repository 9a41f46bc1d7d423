"""Occurrence lists: the same flips as the bit planes for every rule, also on ragged formulas; the choice by size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2

from hnn_sat import Schedule, from_clauses, model, random_ksat, solve, violated_clauses
from hnn_sat.dynamics import DYNAMICS, WalkSAT
from hnn_sat.engines import BitPlanes, Sparse, by_size, sparse
from hnn_sat.problem import true_literal_counts


def ragged(seed, n=40, m=400):
    """Clauses of 1 to 9 literals, one variable in nearly all of them, one in none, and a contradiction."""
    generator = np.random.default_rng(seed)
    clauses = [[1], [-1]]
    for _ in range(m):
        others = (generator.choice(n - 2, int(generator.integers(1, 9)), replace=False) + 2) * generator.choice([-1, 1])
        clauses.append([*others.tolist(), int(generator.choice([-1, 1]))])
    return from_clauses(clauses, n_variables=n)


def same_flips(problem, rule, flips, replicas):
    schedule = Schedule(replicas=replicas, max_flips=flips, restart_after=max(flips // 2, 1))
    one, other = (
        solve(jax.random.key(5), problem, schedule, dynamic=rule, engine=engine, until="all")
        for engine in (BitPlanes(), Sparse())
    )
    jax.tree.map(np.testing.assert_array_equal, one, other)
    return other


@pytest.mark.parametrize("rule", ["walksat", "probsat", "metropolis", "glauber"])
def test_it_makes_the_same_flips_as_the_bit_planes_for_every_kind_of_rule(rule):
    result = same_flips(ragged(0), DYNAMICS[rule], 300, 4)
    assert int(result.n_flips.min()) > 0


@pytest.mark.slow
def test_it_makes_the_same_ten_thousand_flips_on_a_ragged_formula():
    assert same_flips(ragged(1), WalkSAT(), 10_000, 2).n_flips.tolist() == [10_000] * 2


def test_the_state_kept_flip_by_flip_equals_a_recount():
    problem, engine = ragged(2), Sparse()
    tables = engine.prepare(jax.random.key(0), problem)
    xs = jax.random.bernoulli(jax.random.key(1), shape=(4, problem.n_variables))
    state = engine.start(tables, xs)
    xs, flip = np.array(xs), jax.jit(engine.flip)
    generator = np.random.default_rng(0)
    for _ in range(200):
        variable = generator.integers(0, problem.n_variables, 4)
        false_literal = 2 * variable + xs[np.arange(4), variable]
        false_literal[3] = 2 * problem.n_variables  # the last replica stays where it is
        state = flip(tables, state, jnp.asarray(false_literal.astype(np.int32)))
        xs[np.arange(3), variable[:3]] ^= True
    recount = engine.start(tables, jnp.asarray(xs))
    np.testing.assert_array_equal(state.breaks[:, :-1], recount.breaks[:, :-1])
    for name in ("clause", "in_word", "in_group"):
        np.testing.assert_array_equal(getattr(state, name), getattr(recount, name))
    for x, energy in zip(xs, engine.n_violated(tables, state).tolist(), strict=True):
        assert len(violated_clauses(problem, model(problem, x))) == energy


def test_a_violated_clause_of_forty_thousand_is_found_by_its_rank_each_as_often():
    problem = random_ksat(jax.random.key(0), 9600, 4.2)
    engine = Sparse()
    tables = engine.prepare(jax.random.key(0), problem)
    x = jax.random.bernoulli(jax.random.key(1), shape=(9600,))
    view = sparse.start(tables, x)
    violated = np.flatnonzero(np.asarray(true_literal_counts(problem, x)) == 0)
    pick = jax.jit(jax.vmap(lambda word: engine.pick_violated(tables, view, word)))
    in_order = pick(jnp.arange(len(violated), dtype=jnp.uint32))
    np.testing.assert_array_equal(in_order, np.asarray(problem.literal)[violated])
    words = jax.random.bits(jax.random.key(2), (200_000,), jnp.uint32)
    ranks = np.asarray(words) % len(violated)
    np.testing.assert_array_equal(pick(words[:4096]), np.asarray(problem.literal)[violated[ranks[:4096]]])
    expected = len(words) / len(violated)
    counts = np.bincount(ranks, minlength=len(violated))
    assert chi2.sf(((counts - expected) ** 2 / expected).sum(), len(violated) - 1) > 1e-4


def test_large_formulas_get_it_by_default_and_what_does_not_fit_a_word_is_refused():
    assert isinstance(by_size(random_ksat(jax.random.key(0), 100, 4.0)), BitPlanes)
    assert isinstance(by_size(random_ksat(jax.random.key(0), 3000, 4.0)), Sparse)
    long = from_clauses([list(range(1, 2000)), [-70_000, 1_000_000, 1]])
    shallow = long._replace(name=jnp.zeros(2**22, jnp.int32))
    with pytest.raises(ValueError, match="do not fit into one word of 32 bits"):
        Sparse().prepare(jax.random.key(0), shallow)
