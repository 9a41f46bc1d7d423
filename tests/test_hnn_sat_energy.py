"""Energies and gains against plain enumeration."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hnn_sat import from_clauses, random_ksat
from hnn_sat.energy import energy, incidence, two_product_gains
from hnn_sat.problem import original_clauses

MIXED = [[1], [-1, 2], [2, 2, -3], [3, -4, 5], [1, -2, 4, -6], [-1, -2, 3, 4, 5], [6, -5], [4, -4], [-6, -3, 1]]


def violated(clauses, x):
    """E(x) = sum_c prod_l (1 - l(x)), term by term."""
    return sum(
        int(np.prod([1 - (x[abs(literal) - 1] == (literal > 0)) for literal in clause])) if clause else 1
        for clause in clauses
    )


FORMULAS = [random_ksat(jax.random.key(k), 7 if k < 6 else 9, 30 / 7, k) for k in range(1, 8)] + [from_clauses(MIXED)]


@pytest.mark.parametrize("problem", FORMULAS, ids=["k1", "k2", "k3", "k4", "k5", "k6", "k7", "mixed"])
def test_energy_and_every_gain_equal_the_enumeration_on_all_assignments(problem):
    clauses = original_clauses(problem)
    matrix = incidence(problem)
    everything = jnp.array(list(itertools.product([False, True], repeat=problem.n_variables)))
    energies = jax.jit(jax.vmap(lambda x: energy(problem, x)))(everything)
    gains = jax.jit(jax.vmap(lambda x: two_product_gains(matrix, x)))(everything)
    table = {tuple(x): violated(clauses, x) for x in everything.tolist()}
    for row, x in enumerate(everything.tolist()):
        assert int(energies[row]) == table[tuple(x)]
        assert int(gains.energy[row]) == table[tuple(x)]
    flipped = np.array(
        [
            [table[tuple(x)] - table[(*x[:v], not x[v], *x[v + 1 :])] for v in range(problem.n_variables)]
            for x in everything.tolist()
        ]
    )
    np.testing.assert_array_equal(gains.gain, flipped)
    assert (np.asarray(gains.makes) >= 0).all()
    assert (np.asarray(gains.breaks) >= 0).all()


def monomials(clauses):
    """Coefficients of sum_c prod_l (1 - l(x)) by sets of variables: 1 - x_v and, for not v, x_v, multiplied out."""
    polynomial = {}
    for clause in clauses:
        product = {frozenset(): 1}
        for literal in set(clause):
            times = {}
            for variables, coefficient in product.items():
                with_v = variables | {abs(literal)}
                if literal > 0:
                    times[variables] = times.get(variables, 0) + coefficient
                times[with_v] = times.get(with_v, 0) + (-coefficient if literal > 0 else coefficient)
            product = times
        for variables, coefficient in product.items():
            polynomial[variables] = polynomial.get(variables, 0) + coefficient
    return {variables: coefficient for variables, coefficient in polynomial.items() if coefficient}


@pytest.mark.parametrize("problem", FORMULAS, ids=["k1", "k2", "k3", "k4", "k5", "k6", "k7", "mixed"])
def test_the_energy_is_its_polynomial_on_all_assignments_without_auxiliary_variables(problem):
    clauses, n = original_clauses(problem), problem.n_variables
    polynomial = monomials(clauses)
    assert max(map(len, polynomial)) <= problem.longest_clause
    everything = np.array(list(itertools.product([0, 1], repeat=n)))
    values = sum(c * np.prod(everything[:, [v - 1 for v in vs]], axis=1) for vs, c in polynomial.items())
    energies = jax.jit(jax.vmap(lambda x: energy(problem, x)))(jnp.asarray(everything == 1))
    np.testing.assert_array_equal(energies, values)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.integers(-5, 5).filter(bool), max_size=5), min_size=6, max_size=6),
    st.lists(st.booleans(), min_size=5, max_size=5),
)
def test_energy_counts_violated_clauses_of_any_formula(clauses, x):
    problem = from_clauses(clauses, n_variables=5)
    assert int(energy(problem, jnp.array(x))) == violated(clauses, x)


def test_the_products_whose_exactness_is_claimed_are_taken_in_full_precision():
    jaxpr = str(jax.make_jaxpr(two_product_gains)(incidence(FORMULAS[2]), jnp.zeros(7, bool)))
    products = [line for line in jaxpr.splitlines() if "precision=" in line]
    assert len(products) == 3
    assert all("HIGHEST" in line for line in products)


def test_a_random_formula_has_distinct_variables_fair_signs_and_fair_variables():
    n, k = 20, 3
    problem = random_ksat(jax.random.key(3), n, 300.0, k)
    clauses = np.array(original_clauses(problem))
    assert clauses.shape == (6000, k)
    assert all(len(set(map(abs, clause))) == k for clause in clauses.tolist())
    # 18,000 literals: |z| < 4 for the signs; chi-square of the variables (19 degrees) below its 1 - 1e-4 quantile 51.
    assert abs((clauses > 0).sum() - 9000) < 4 * np.sqrt(18000 / 4)
    counts = np.bincount(np.abs(clauses).ravel(), minlength=n + 1)[1:]
    assert ((counts - 900) ** 2 / 900).sum() < 51
    # Pairs of variables, too: 190 pairs, 18,000 of them, quantile 1 - 1e-4 of chi-square(189) is 267.
    pairs = np.zeros((n + 1, n + 1))
    for clause in np.abs(clauses).tolist():
        for a, b in itertools.combinations(sorted(clause), 2):
            pairs[a, b] += 1
    observed = pairs[np.triu_indices(n + 1, 1)].reshape(-1)[n:]
    assert ((observed - 18000 / 190) ** 2 / (18000 / 190)).sum() < 267


def test_the_same_key_gives_the_same_formula_and_another_key_another():
    one, same, other = (random_ksat(jax.random.key(seed), 30, 4.0) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.original, same.original)
    assert not np.array_equal(one.original, other.original)


@pytest.mark.parametrize(
    ("n", "ratio", "k", "message"), [(2, 4.0, 3, "k must be from 1 to n = 2"), (5, 0.0, 3, "ratio")]
)
def test_a_family_that_cannot_exist_is_refused(n, ratio, k, message):
    with pytest.raises(ValueError, match=message):
        random_ksat(jax.random.key(0), n, ratio, k)
