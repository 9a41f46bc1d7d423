"""Random formulas, drawn on the host from a NumPy generator seeded by the key."""

from collections.abc import Sequence
from itertools import product

import jax
import numpy as np
from jaxtyping import Array, Int64, Key

from hnn_sat.problem import Problem, from_clauses


def random_ksat(key: Key[Array, ""], n: int, ratio: float, k: int = 3) -> Problem:
    """Uniform random k-SAT: round(ratio n) clauses, each k distinct variables of n with fair signs.

    Clauses are independent, so one may repeat. No assignment is planted. Near ratio 4.27 (k = 3) about half are
    satisfiable (Mitchell, Selman and Levesque 1992).
    Raises ValueError if a clause cannot have k distinct variables or the ratio is not positive.
    """
    return from_clauses(_uniform_clauses(_generator(key), n, ratio, k).tolist(), n_variables=n)


def unsatisfiable_ksat(key: Key[Array, ""], n: int, ratio: float, k: int = 3) -> Problem:
    """Uniform random k-SAT that no assignment satisfies: to round(ratio n) clauses are added all 2^k sign patterns
    over one random set of k variables, and the order is shuffled.

    Raises ValueError as `random_ksat` does.
    """
    generator = _generator(key)
    clauses = _uniform_clauses(generator, n, ratio, k)
    variables = generator.choice(n, size=k, replace=False) + 1
    signs = 1 - 2 * ((np.arange(2**k)[:, None] >> np.arange(k)[None, :]) & 1)
    return from_clauses(generator.permutation(np.concatenate([clauses, signs * variables])).tolist(), n_variables=n)


def planted_ksat(key: Key[Array, ""], n: int, ratio: float, k: int = 3) -> tuple[Problem, list[int]]:
    """Uniform random k-SAT among the formulas that one random assignment satisfies, and that assignment as literals.

    Every clause is uniform over the 2^k − 1 sign patterns that hold. Such formulas are easier than random ones of the
    same ratio, which the planted state draws the search to. Raises ValueError as `random_ksat` does.
    """
    generator = _generator(key)
    clauses = _uniform_clauses(generator, n, ratio, k)
    value = generator.choice(np.array([-1, 1]), size=n)
    while True:
        is_violated = np.all(np.sign(clauses) != value[np.abs(clauses) - 1], axis=1)
        if not is_violated.any():
            break
        signs = generator.choice(np.array([-1, 1]), size=(int(is_violated.sum()), k))
        clauses[is_violated] = np.abs(clauses[is_violated]) * signs
    return from_clauses(clauses.tolist(), n_variables=n), (value * np.arange(1, n + 1)).tolist()


def xor_clauses(variables: Sequence[int], parity: bool) -> list[list[int]]:
    """The 2^(k−1) clauses that together say: of these variables (DIMACS numbers) an odd number is true, or an even one.

    A literal −v stands for the negation of v. Raises ValueError for more than 16 of them, or a variable that repeats.
    """
    if len({abs(v) for v in variables}) != len(variables) or 0 in variables:
        raise ValueError(f"variables of an XOR must be different and not 0, got {list(variables)}")
    if len(variables) > 16:
        raise ValueError(
            f"an XOR of {len(variables)} variables has 2^{len(variables) - 1} clauses; split it at 16 or less"
        )
    # A clause forbids the one pattern in which all its literals are false: each pattern of the wrong parity.
    return [
        [-v if value else v for v, value in zip(variables, pattern, strict=True)]
        for pattern in product((False, True), repeat=len(variables))
        if (sum(pattern) % 2 == 1) != parity
    ]


def random_xorsat(key: Key[Array, ""], n: int, ratio: float, k: int = 3) -> tuple[Problem, list[int]]:
    """round(ratio n) parities of k distinct variables each, all satisfied by one random assignment, which comes second.

    Each parity becomes 2^(k−1) clauses. Easy for elimination and hard for local search, which sees no slope. Raises
    ValueError as `random_ksat` does, and for k above 16.
    """
    generator = _generator(key)
    variables = np.abs(_uniform_clauses(generator, n, ratio, k))
    value = generator.random(n) < 0.5
    parity = np.sum(value[variables - 1], axis=1) % 2 == 1
    clauses = [
        clause for row, odd in zip(variables.tolist(), parity.tolist(), strict=True) for clause in xor_clauses(row, odd)
    ]
    return from_clauses(clauses, n_variables=n), (np.where(value, 1, -1) * np.arange(1, n + 1)).tolist()


def _generator(key: Key[Array, ""]) -> np.random.Generator:
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))


def _uniform_clauses(generator: np.random.Generator, n: int, ratio: float, k: int) -> Int64[np.ndarray, "m k"]:
    if not 1 <= k <= n:
        raise ValueError(f"k must be from 1 to n = {n} for k distinct variables in a clause, got {k}")
    if not 0 < ratio < float("inf"):
        raise ValueError(f"ratio must be a positive number of clauses per variable, got {ratio}")
    variables = generator.integers(n, size=(round(ratio * n), k))
    while True:
        ordered = np.sort(variables, axis=1)
        repeated = np.any(ordered[:, 1:] == ordered[:, :-1], axis=1)
        if not repeated.any():
            break
        variables[repeated] = generator.integers(n, size=(int(repeated.sum()), k))
    return (variables + 1) * generator.choice(np.array([-1, 1]), size=variables.shape)
