"""The clause energy in its native order, and its change under every flip by two matrix products.

E(x) = sum over clauses c of the product over its literals l of (1 - l(x)): the number of violated clauses, a
polynomial of the order of the longest clause with no auxiliary variables (Bhattacharya et al. 2024, Nat. Commun. 15,
8211). With the incidence matrix A (literals by clauses) and y the values of all literals, the forward product
L = A^T y counts the true literals of each clause; u = [L = 0] marks the violated clauses and r = [L = 1] the critical
ones. The gated backward products A u and A r hold, for each variable, the clauses that flipping it would make and
break. This is what the array runs; any clause length is the same two products.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from hnn_sat.problem import Problem, literal_values, true_literal_counts


class Gains(NamedTuple):
    """What each flip would do. gain = makes - breaks = E(x) - E(x with v flipped), exactly."""

    true_literals: Int[Array, "*batch m"]
    makes: Int[Array, "*batch n"]
    breaks: Int[Array, "*batch n"]

    @property
    def gain(self) -> Int[Array, "*batch n"]:
        return self.makes - self.breaks

    @property
    def energy(self) -> Int[Array, "*batch"]:
        return jnp.sum(self.true_literals == 0, axis=-1)


def energy(problem: Problem, x: Bool[Array, " n"]) -> Int[Array, ""]:
    """The number of violated clauses."""
    return jnp.sum(true_literal_counts(problem, x) == 0)


def incidence(problem: Problem) -> Float[Array, "literals m"]:
    """A: 1 where literal code l (2 v for x[v], 2 v + 1 for not x[v]) is in clause c. Dense: 8 n m bytes."""
    codes = jnp.arange(2 * problem.n_variables)[:, None]
    slots = (problem.literal[:, j] for j in range(problem.longest_clause))
    # A clause holds a literal at most once, so the slots add up to 0 or 1.
    return sum(((codes == slot[None, :]).astype(jnp.float32) for slot in slots), start=jnp.float32(0))


def two_product_gains(incidence: Float[Array, "literals m"], x: Bool[Array, " n"]) -> Gains:
    """Makes, breaks and gain of every variable from the forward and the gated backward products.

    Exact while no sum exceeds 2^24: the entries are 0 and 1 and the products are taken in full float32.
    """
    y = literal_values(x)[:-1].astype(jnp.float32)
    true_literals = _product(y, incidence)
    violated = (true_literals == 0).astype(jnp.float32)
    critical = (true_literals == 1).astype(jnp.float32)
    makes = _product(incidence, violated).reshape(-1, 2)
    breaks = _product(incidence, critical).reshape(-1, 2)
    # Columns are (x, not x): a flip makes the clauses of the literal that is false now, and breaks those of the other.
    return Gains(
        true_literals=true_literals.astype(jnp.int32),
        makes=jnp.where(x, makes[:, 1], makes[:, 0]).astype(jnp.int32),
        breaks=jnp.where(x, breaks[:, 0], breaks[:, 1]).astype(jnp.int32),
    )


def _product(a: Float[Array, "..."], b: Float[Array, "..."]) -> Float[Array, "..."]:
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
