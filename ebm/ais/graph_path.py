"""The path to a Boltzmann machine on a graph, whose move is a sweep of chromatic Gibbs sampling."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebm import graph_likelihood, layouts
from ebm.ais.annealing import anneal
from ebm.ais.path import Completed
from ebm.energies import boltzmann
from ebm.energies.boltzmann import Boltzmann, Graph
from ebm.energies.rbm import EXACT, bias_of
from ebm.samplers import chromatic

MAX_DRAWN_UNITS = 16


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class GraphPath:
    """Positions and states are joint spins in {-1, 1} of all nodes. Made by `graph`."""

    structure: Graph
    params: Boltzmann
    layout: Any
    bias: Float[Array, " n_nodes"]  # of the independent spins
    clamped: Any = None  # nodes that keep their spins, a mask, or None

    def log_z_base(self) -> float:
        """Of the spins that are free."""
        bias = np.abs(np.asarray(self.bias, np.float64))
        free = np.ones(len(bias), bool) if self.clamped is None else ~np.asarray(self.clamped)
        return float((bias + np.log1p(np.exp(-2 * bias)))[free].sum())

    def draw(self, key: Key[Array, ""], n: int) -> Array:
        alone = Boltzmann(jnp.zeros_like(self.params.couplings), self.bias)
        return chromatic.step(key, self.layout, alone, chromatic.Chains(jnp.ones((n, len(self.bias))))).spins

    def state(self, position: Array) -> Array:
        return position

    def position(self, state: Array) -> Array:
        return state

    def increment(self, state: Array, end: Array, step: Array) -> Array:
        base = -jnp.matmul(state, self.bias, precision=EXACT)
        return step * (base - boltzmann.energy(self.structure, self.params, state))

    def move(self, key: Key[Array, ""], state: Array, beta: Array) -> Array:
        couplings, bias = self.params
        between = Boltzmann(beta * couplings, (1.0 - beta) * self.bias + beta * bias)
        return chromatic.step(key, self.layout, between, chromatic.Chains(state), clamped=self.clamped).spins

    def complete(self, key: Key[Array, ""], rows: np.ndarray, betas: np.ndarray) -> Completed:
        """Hidden spins drawn exactly where no piece of them has more than 16 nodes, else annealed with rows clamped."""
        graph = self.structure
        if graph_likelihood.largest_piece(graph) <= MAX_DRAWN_UNITS:
            hidden, log_f = graph_likelihood.draw_hidden(key, graph, self.params, rows)
            position = boltzmann.clamp(graph, jnp.asarray(rows), jnp.asarray(hidden, jnp.float32))
            return Completed(position, log_f, log_f, log_f)
        graph_likelihood.check_rows(graph, rows)
        draw_key, up_key, down_key = jax.random.split(key, 3)
        mask = np.zeros(graph.n_nodes, bool)
        mask[np.asarray(graph.visible)] = True
        path = replace(self, clamped=mask)
        n, twice = len(rows), np.concatenate([rows, rows])  # the second half for an independent upper bound alone
        spins = boltzmann.clamp(graph, jnp.asarray(twice), self.draw(draw_key, 2 * n)[:, np.asarray(graph.hidden)])
        # Base law of the free spins, times exp(-E_base) of the clamped ones.
        log_base = path.log_z_base() + np.asarray(rows, np.float64) @ np.asarray(self.bias, np.float64)[graph.visible]
        there, gain = anneal(up_key, path, spins, betas)
        _, back = anneal(down_key, path, there, betas, is_reverse=True)
        return Completed(there[:n], log_base + gain[:n], log_base + back[:n], log_base + back[n:])


def graph(
    structure: Graph,
    params: Boltzmann,
    mean: Float[Array, " n_visible"] | Float[np.ndarray, " n_visible"] | None = None,
    *,
    layout: layouts.Layout | None = None,
    beta: float = 1.0,
) -> GraphPath:
    """From independent spins to the law exp(-beta E) of a Boltzmann machine, hidden nodes included.

    `mean` is that of the visible spins in data, from -1 to 1, which the independent spins then have (within ±0.98; the
    hidden ones are fair); without it all are fair. `layout` is `layouts.choose(structure)` unless given.
    Raises ValueError for parameters of another graph, and a mean of another size or beyond ±1.
    """
    boltzmann.check_sizes(params, structure.n_edges, structure.n_nodes)
    visible = np.asarray(structure.visible)
    bias = jnp.zeros(structure.n_nodes)
    if mean is not None:
        if mean.shape != visible.shape or not (np.abs(np.asarray(mean)) <= 1).all():
            raise ValueError(
                f"mean must have one number from -1 to 1 for each of the {len(visible)} visible nodes, got shape "
                f"{mean.shape}"
            )
        bias = bias.at[visible].set(bias_of((1 + jnp.asarray(mean, jnp.float32)) / 2) / 2)
    chosen = layouts.choose(structure) if layout is None else layout
    return GraphPath(structure, Boltzmann(*(beta * leaf for leaf in params)), chosen, bias)
