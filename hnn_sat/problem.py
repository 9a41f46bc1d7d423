"""A formula in conjunctive normal form as rectangular arrays, and the plain list of clauses it came from."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

LARGEST_VARIABLE = 2**31 - 1  # DIMACS numbers are kept as 32-bit integers
DENSE_LIMIT = 1_000_000  # unused variables up to here cost a byte or two each and keep v = index + 1


class Problem(NamedTuple):
    """Clauses over n variables; clause c holds if one of its literals is true.

    literal: code 2 v says x[v], code 2 v + 1 says not x[v], so `code ^ 1` negates and `code >> 1` is the variable.
      Short clauses are padded with the code 2 n, which is never true. No clause holds a literal twice, or a literal
      and its negation; an empty clause is a row of padding and can never hold.
    name: the DIMACS number of each variable, ascending.
    original: every clause as it was given, in DIMACS numbers, each ended by 0. This is what a model is checked against.
    """

    literal: Int[Array, "m k"]
    name: Int[Array, " n"]
    original: Int[Array, " t"]

    @property
    def n_variables(self) -> int:
        return self.name.shape[0]

    @property
    def n_clauses(self) -> int:
        """Clauses left after tautologies are gone; a tautology can never be violated."""
        return self.literal.shape[0]

    @property
    def n_original_clauses(self) -> int:
        return int(np.count_nonzero(np.asarray(self.original) == 0))

    @property
    def n_literals(self) -> int:
        """Literals in all clauses, padding not counted."""
        return int(np.count_nonzero(np.asarray(self.literal) < 2 * self.n_variables))

    @property
    def longest_clause(self) -> int:
        return self.literal.shape[1]

    @property
    def has_empty_clause(self) -> bool:
        """True proves that no assignment satisfies the formula."""
        return bool(np.any(np.all(np.asarray(self.literal) == 2 * self.n_variables, axis=1)))


def from_clauses(clauses: Iterable[Sequence[int]], n_variables: int | None = None) -> Problem:
    """The problem whose clauses are lists of non-zero DIMACS integers: v says variable v, -v says not v.

    Variables are 1 to n_variables (default: the largest that occurs). If that is more than a million beyond four
    times the number that occur, only those that occur are kept, so a number costs no memory by being large.
    Raises ValueError for a literal that is not a non-zero integer, or a variable above n_variables.
    """
    given = [tuple(clause) for clause in clauses]
    for index, clause in enumerate(given):
        for literal in clause:
            if not isinstance(literal, (int, np.integer)) or isinstance(literal, bool) or literal == 0:
                raise ValueError(
                    f"clause {index} holds {literal!r}; literals are non-zero DIMACS integers, "
                    "v for a variable and -v for its negation"
                )
            if abs(literal) > LARGEST_VARIABLE:
                raise ValueError(
                    f"clause {index} names variable {abs(literal)}; the largest number allowed is {LARGEST_VARIABLE}"
                )

    occurring = sorted({abs(literal) for clause in given for literal in clause})
    largest = occurring[-1] if occurring else 0
    declared = largest if n_variables is None else n_variables
    if declared < largest:
        raise ValueError(f"n_variables is {declared} but variable {largest} occurs; give at least {largest}")
    is_dense = declared <= DENSE_LIMIT + 4 * len(occurring)
    names = np.arange(1, declared + 1) if is_dense else np.array(occurring, dtype=np.int64)
    index_of = {v: v - 1 for v in occurring} if is_dense else {v: i for i, v in enumerate(occurring)}

    n = len(names)
    distinct = [tuple(dict.fromkeys(map(int, clause))) for clause in given]
    kept = [clause for clause in distinct if not any(-literal in clause for literal in clause)]
    longest = max((len(clause) for clause in kept), default=0)
    table = np.full((len(kept), max(longest, 1)), 2 * n, dtype=np.int32)
    for row, clause in zip(table, kept, strict=True):
        row[: len(clause)] = [2 * index_of[abs(literal)] + (literal < 0) for literal in clause]
    stream = [number for clause in given for number in (*clause, 0)]
    return Problem(
        literal=jnp.asarray(table),
        name=jnp.asarray(names.astype(np.int32)),
        original=jnp.asarray(np.array(stream, dtype=np.int32)),
    )


def original_clauses(problem: Problem) -> list[list[int]]:
    """The clauses as they were given, tautologies and repeated literals included."""
    clauses: list[list[int]] = [[]]
    for number in np.asarray(problem.original).tolist():
        if number:
            clauses[-1].append(number)
        else:
            clauses.append([])
    return clauses[:-1]


def model(problem: Problem, assignment: Bool[Array, " n"] | Bool[np.ndarray, " n"]) -> list[int]:
    """The assignment as DIMACS literals, one for each variable."""
    names = np.asarray(problem.name).tolist()
    values = np.asarray(assignment).tolist()
    return [name if value else -name for name, value in zip(names, values, strict=True)]


def violated_clauses(problem: Problem, literals: Iterable[int]) -> list[int]:
    """Indices of the original clauses that hold none of these true literals, found by plain Python."""
    true = set(literals)
    return [i for i, clause in enumerate(original_clauses(problem)) if true.isdisjoint(clause)]


def literal_values(x: Bool[Array, " n"]) -> Bool[Array, " codes"]:
    """Truth of each literal code from 0 to 2 n, where the last is the padding and false."""
    both = jnp.stack([x, ~x], axis=-1).reshape(-1)
    return jnp.concatenate([both, jnp.zeros(1, bool)])


def true_literal_counts(problem: Problem, x: Bool[Array, " n"]) -> Int[Array, " m"]:
    """How many literals of each clause are true."""
    truth = literal_values(x)
    # One column at a time: a table of all truths would be k times the memory of the answer.
    return jax.lax.fori_loop(
        0,
        problem.literal.shape[1],
        lambda j, count: count + truth[problem.literal[:, j]],
        jnp.zeros(problem.literal.shape[0], jnp.int32),
    )
