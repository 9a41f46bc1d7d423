"""probSAT (Balint and Schöning 2012): pick a violated clause, then a variable with a probability that falls with break.

Parameters by the length of the longest clause, as in the authors' code (adrianopolus/probSAT d5e1d4c): up to 3
polynomial, (0.9 + break)^−2.06; beyond, exponential, cb^−break with cb = 2.85, 3.7, 5.1 for 4, 5, 6 and 5.4 from 7 on.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt32

from aimc.noise import random_bits
from hnn_sat.dynamics.base import Dynamic, Look, unit
from hnn_sat.problem import Problem

EPSILON, POLYNOMIAL_CB = 0.9, 2.06
EXPONENTIAL_CB = {4: 2.85, 5: 3.7, 6: 5.1, 7: 5.4}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ProbSAT(Dynamic):
    """probSAT with the published parameters; a schedule's noise level has no meaning here."""

    def n_words(self, n_variables: int) -> int:
        """Clause, variable."""
        return 2

    def init(self, problem: Problem) -> Float[Array, " breaks"]:
        """The weight of every break count that can occur."""
        literal = np.asarray(problem.literal)
        most = int(np.bincount(literal.ravel(), minlength=2 * problem.n_variables + 1)[:-1].max(initial=0))
        breaks = np.arange(most + 1, dtype=np.float64)
        return jnp.asarray(weight(breaks, problem.longest_clause).astype(np.float32))

    def draw(self, key: Key[Array, ""], shape: tuple[int, int], n_variables: int) -> UInt32[Array, "t r 2"]:
        """Two words, independent and uniform; key is consumed."""
        return random_bits(key, (*shape, 2))

    def step(
        self, draw: UInt32[Array, "2"], look: Look, setup: Float[Array, " breaks"], level: Array, t: Array
    ) -> Array:
        """One flip, or none if no clause is seen violated."""
        literal = look.violated_clause(draw[0])
        breaks = jnp.clip(jnp.round(look.breaks(literal)).astype(jnp.int32), 0, setup.shape[0] - 1)
        weights = jnp.where(literal == look.nothing, 0.0, setup[breaks])
        up_to = jnp.stack([jnp.sum(weights[: j + 1]) for j in range(weights.shape[0])])
        # The last positive weight is the last chance, whatever the sums were rounded to.
        last = jnp.max(jnp.where(weights > 0, jnp.arange(weights.shape[0]), 0))
        return literal[jnp.minimum(jnp.sum(up_to <= unit(draw[1]) * up_to[-1], dtype=jnp.int32), last)]


def weight(breaks: Float[np.ndarray, " breaks"], longest_clause: int) -> Float[np.ndarray, " breaks"]:
    """f(break) up to a factor: a variable's probability is f over the sum of f over its clause."""
    if longest_clause <= 3:
        return (EPSILON + breaks) ** -POLYNOMIAL_CB
    return EXPONENTIAL_CB[min(longest_clause, 7)] ** -breaks
