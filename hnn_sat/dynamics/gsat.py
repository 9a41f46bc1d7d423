"""GSAT over the variables of violated clauses: what is flipped can always make something true.

Two ways to leave a local minimum. `ViolatedWinner`: as `WinnerTakeAll`, but only variables that some violated clause
holds compete. `GsatWalk`: with probability p one of them at random, else one of greatest make − break of all variables
(GSAT with walk, Selman, Kautz and Cohen 1994; noise "bernoulli" of GNSAT in HewlettPackard/CountryCrab 8c25245). There
the walk draws each such variable with the same probability, however many violated clauses hold it, and so does it here;
equal gains are drawn evenly here, and go to the first variable there.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from aimc.noise import uniform
from hnn_sat.dynamics.base import Dynamic, Look
from hnn_sat.dynamics.winner import WinnerTakeAll

SEEN = 0.5  # a make above this counts as one clause or more, also where the reading is noisy


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class ViolatedWinner(WinnerTakeAll):
    """v* = argmax of worth_v + σ η_v over the variables v of violated clauses; σ is the level of the schedule."""

    noise = 2.0

    def step(self, draw: Float[Array, " n"], look: Look, setup: Any, level: Array, t: Array) -> Array:
        """One flip, or none if no clause is seen violated."""
        literal = look.all_flips()
        make = look.makes(literal)
        worth = make - look.breaks(literal) if self.worth == "gain" else make
        is_candidate = make > SEEN
        score = jnp.where(is_candidate, worth.astype(jnp.float32) + level * draw, -jnp.inf)
        best = literal[jnp.argmax(jnp.where(score == jnp.max(score), draw, -jnp.inf))]
        return jnp.where(jnp.any(is_candidate), best, look.nothing)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class GsatWalk(Dynamic):
    """GSAT with walk; the level is the probability of a random variable of those that violated clauses hold."""

    noise = 0.5
    most = 1.0

    def n_words(self, n_variables: int) -> int:
        """A coin, and one for each variable to decide among equals."""
        return n_variables + 1

    def draw(self, key: Key[Array, ""], shape: tuple[int, int], n_variables: int) -> Float[Array, "t r words"]:
        """Uniform numbers in [0, 1), independent; key is consumed."""
        return uniform(key, (*shape, n_variables + 1))

    def step(self, draw: Float[Array, " words"], look: Look, setup: Any, level: Array, t: Array) -> Array:
        """One flip, or none if no clause is seen violated."""
        literal = look.all_flips()
        make = look.makes(literal)
        gain = make - look.breaks(literal)
        is_seen = make > SEEN
        is_candidate = jnp.where(draw[0] < level, is_seen, gain == jnp.max(gain))
        best = literal[jnp.argmax(jnp.where(is_candidate, draw[1:], -1.0))]
        return jnp.where(jnp.any(is_seen), best, look.nothing)
