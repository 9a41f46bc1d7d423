"""Learning of a Boltzmann machine on a graph, hidden nodes and all (Ackley, Hinton & Sejnowski 1985)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebm import layouts
from ebm.analog import GraphChip
from ebm.energies import boltzmann
from ebm.energies.boltzmann import Boltzmann, Graph
from ebm.rules.contrastive import contrast
from ebm.samplers import chromatic

PROGRAM = 7  # of the key of a step: writing the chip, so that its sweeps take the keys of the ideal ones


@dataclass(frozen=True, kw_only=True, eq=False)
class BoltzmannLearning:
    """What nodes do when the visible ones are held at the data, minus what they do when all are free.

    The gradient of the mean negative log-likelihood of p(s) = exp(-beta E(s)) / Z is
    beta (<s_i s_j>_free - <s_i s_j>_held) an edge, and beta (<s_i>_free - <s_i>_held) a node. Both means are over
    chains of chromatic Gibbs sampling. Held, positive phase: one chain a row of the batch, hidden nodes starting from
    fair coins, after `positive_steps` sweeps; exact, whatever their number, where no two hidden nodes are coupled, and
    skipped where there are none. Free, negative phase: `chains` chains that go on from step to step, `gibbs_steps`
    sweeps each (persistent, Tieleman 2008; Salakhutdinov & Hinton 2009 for both phases in deep machines).

    Parameters are `ebm.boltzmann.Boltzmann`, rows the spins in {-1, 1} of the visible nodes in the order of
    `graph.visible`, memory the `chromatic.Chains` of the free phase. `layout` is `layouts.choose(graph)` unless given.
    The free phase runs on the parameters themselves, unless `machine(key, params)` makes an `analog.GraphChip` of them,
    anew at every step: learning then works against its errors, as in `Contrastive`; beta has to be 1.
    Two rules are equal when they are one object: keep it to resume without compiling again.
    Raises ValueError for sizes below 1, a layout of another size, and at `init` for rows that are no spins of the
    visible nodes.
    """

    graph: Graph
    layout: layouts.Layout | None = None
    chains: int = 128
    gibbs_steps: int = 10
    positive_steps: int = 10
    beta: float = 1.0
    machine: Callable[[Key[Array, ""], Boltzmann], GraphChip] | None = None

    def __post_init__(self) -> None:
        for name in ("chains", "gibbs_steps", "positive_steps"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if not 0 < self.beta < np.inf:
            raise ValueError(f"beta must be a positive number, got {self.beta}")
        if self.layout is None:
            object.__setattr__(self, "layout", layouts.choose(self.graph))  # once, not at every trace
        elif self.layout.n_nodes != self.graph.n_nodes:
            raise ValueError(f"layout must have the {self.graph.n_nodes} nodes of graph, got {self.layout.n_nodes}")

    def init(self, key: Key[Array, ""], params: Boltzmann, data: Array) -> chromatic.Chains:
        """Free chains of independent fair spins."""
        boltzmann.check_sizes(params, self.graph.n_edges, self.graph.n_nodes)
        n_visible = self.graph.visible.shape[0]
        if data.ndim != 2 or data.shape[1] != n_visible or not bool((np.abs(np.asarray(data)) == 1).all()):
            raise ValueError(
                f"data must be rows of {n_visible} spins in {{-1, 1}}, one a visible node, got shape {data.shape} "
                f"with values from {np.min(data)} to {np.max(data)}; bits x are spins 2 x - 1"
            )
        return chromatic.init(key, self._layout, self.chains)

    def step(
        self, key: Key[Array, ""], params: Boltzmann, memory: chromatic.Chains, rows: Float[Array, "batch n_visible"]
    ) -> tuple[Any, chromatic.Chains, Float[Array, ""]]:
        """beta times the difference of the energy gradients at the held and the free chains; the gap is that of the
        energies of their joint states, times beta."""
        positive_key, negative_key = jax.random.split(key)
        held = self.held(positive_key, params, rows)
        machine, layout = params, self._layout
        if self.machine is not None:
            machine = self.machine(jax.random.fold_in(key, PROGRAM), params)
            layout = machine.layout
        free = chromatic.sweeps(negative_key, layout, machine, memory, self.gibbs_steps, beta=self.beta)
        gradient, gap = contrast(partial(boltzmann.energy, self.graph), params, held.spins, free.spins)
        return jax.tree.map(lambda leaf: self.beta * leaf, gradient), free, self.beta * gap

    def held(self, key: Key[Array, ""], params: Boltzmann, rows: Float[Array, "batch n_visible"]) -> chromatic.Chains:
        """The positive phase: joint spins, a chain a row, visible nodes at the row. Key is consumed."""
        start_key, sweep_key = jax.random.split(key)
        start = chromatic.init(start_key, self._layout, len(rows)).spins
        start = chromatic.Chains(boltzmann.clamp(self.graph, rows, start[:, self.graph.hidden]))
        if self.graph.hidden.shape[0] == 0:
            return start
        clamped = jnp.zeros(self.graph.n_nodes, bool).at[self.graph.visible].set(True)
        return chromatic.sweeps(
            sweep_key, self._layout, params, start, self.positive_steps, beta=self.beta, clamped=clamped
        )

    @property
    def _layout(self) -> layouts.Layout:
        assert self.layout is not None  # chosen when the rule was made
        return self.layout
