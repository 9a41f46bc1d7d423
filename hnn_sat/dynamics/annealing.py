"""Simulated annealing on the clause energy at the temperature of the schedule.

`Metropolis` proposes one variable, uniformly, an iteration. `Glauber` lets a whole set of variables decide at once; no
two of a set are in one clause (a colouring of the graph of variables that share clauses), so none changes what
another's flip is worth and the step is a product of exact single-variable ones. Without that, two neighbours would flip
back and forth forever.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, UInt32

from aimc.noise import random_bits, uniform
from hnn_sat.dynamics.base import Dynamic, Look, unit
from hnn_sat.problem import Problem

COLDEST = 1e-30  # in place of a temperature of zero


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Metropolis(Dynamic):
    """Flip a uniformly random variable with probability min(1, e^(gain / T)) (Metropolis et al. 1953)."""

    noise = 0.3

    def n_words(self, n_variables: int) -> int:
        """Variable, coin."""
        return 2

    def draw(self, key: Key[Array, ""], shape: tuple[int, int], n_variables: int) -> UInt32[Array, "t r 2"]:
        """Two words, independent and uniform; key is consumed."""
        return random_bits(key, (*shape, 2))

    def step(self, draw: UInt32[Array, "2"], look: Look, setup: Any, level: Array, t: Array) -> Array:
        """The flip, or none if it is refused."""
        variable = (draw[0] % jnp.uint32(look.problem.n_variables)).astype(jnp.int32)
        literal = look.flips(variable[None])
        gain = (look.makes(literal) - look.breaks(literal))[0].astype(jnp.float32)
        is_accepted = unit(draw[1]) < jnp.exp(jnp.minimum(gain / jnp.maximum(level, COLDEST), 0.0))
        return jnp.where(is_accepted, literal[0], look.nothing)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Glauber(Dynamic):
    """Variables of one colour at a time, all at once, each flipped with probability 1 / (1 + e^(−gain / T))."""

    noise = 0.3
    is_parallel = True

    def n_words(self, n_variables: int) -> int:
        """One for each variable."""
        return n_variables

    def init(self, problem: Problem) -> tuple[Int[Array, " n"], Int[Array, ""]]:
        """The colour of every variable, and how many there are."""
        return colours(problem)

    def draw(self, key: Key[Array, ""], shape: tuple[int, int], n_variables: int) -> Float[Array, "t r n"]:
        """A uniform number for each variable; key is consumed."""
        return uniform(key, (*shape, n_variables))

    def step(self, draw: Float[Array, " n"], look: Look, setup: Any, level: Array, t: Array) -> Bool[Array, " n"]:
        """Which variables flip; colours take turns."""
        colour, n_colours = setup
        literal = look.all_flips()
        gain = (look.makes(literal) - look.breaks(literal)).astype(jnp.float32)
        flips = draw < jax.nn.sigmoid(gain / jnp.maximum(level, COLDEST))
        return flips & (colour == t % n_colours)


def colours(problem: Problem) -> tuple[Int[Array, " n"], Int[Array, ""]]:
    """A greedy colouring, largest degree first, of the graph whose edges are pairs of variables in one clause."""
    graph = nx.Graph()
    graph.add_nodes_from(range(problem.n_variables))
    for clause in np.asarray(problem.literal).tolist():
        variables = [code >> 1 for code in clause if code != 2 * problem.n_variables]
        graph.add_edges_from(combinations(variables, 2))
    colour = nx.greedy_color(graph)
    found = np.array([colour[v] for v in range(problem.n_variables)], dtype=np.int32)
    return jnp.asarray(found), jnp.int32(found.max(initial=0) + 1)
