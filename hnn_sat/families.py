"""Random formulas, drawn on the host from a NumPy generator seeded by the key."""

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
