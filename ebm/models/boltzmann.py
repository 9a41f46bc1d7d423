"""`--model boltzmann`: bits on a graph, with or without hidden nodes, moved by chromatic Gibbs sampling."""

import hashlib
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebm import ais, analog, chip_law, graph_likelihood, hardware, layouts, rules
from ebm.ais.graph_path import MAX_DRAWN_UNITS
from ebm.analog import GraphChip
from ebm.data import Kind, Rows
from ebm.energies import boltzmann
from ebm.energies.boltzmann import Boltzmann, Graph
from ebm.energies.rbm import bias_of
from ebm.hardware import Hardware
from ebm.likelihood import MAX_ENUMERATED_UNITS
from ebm.models import graphs
from ebm.models.base import Family
from ebm.models.settings import Settings
from ebm.samplers import chromatic


@dataclass(frozen=True, kw_only=True, eq=False)
class OnGraph:
    """A Boltzmann machine: rows of data are bits, its own states spins."""

    graph: Graph
    layout: layouts.Layout
    name: str

    kind: Kind = "bits"

    def init(self, key: Key[Array, ""], rows: Rows) -> Boltzmann:
        """Small couplings, and the bias that alone gives every visible node its mean."""
        start = boltzmann.init(key, self.graph)
        return start._replace(bias=start.bias.at[self.graph.visible].set(bias_of(jnp.asarray(rows.mean(axis=0))) / 2))

    def rule(self, settings: Settings, sigma: float) -> rules.Rule:
        if settings.rule == "pseudo-likelihood":
            return rules.PseudoLikelihood(energy=partial(boltzmann.energy, self.graph), units="spins")
        chosen = settings.hardware
        return rules.BoltzmannLearning(
            graph=self.graph,
            layout=self.layout,
            chains=settings.chains,
            gibbs_steps=settings.gibbs_steps,
            positive_steps=settings.gibbs_steps,
            machine=None if chosen.array is None else partial(self.program, chosen=chosen),
        )

    def encode(self, params: Boltzmann, rows: Any) -> Any:
        """Bits as spins."""
        return 2 * rows - 1

    def is_weight(self, params: Boltzmann) -> Boltzmann:
        return jax.tree.map(lambda leaf: False, params)._replace(couplings=True)

    def start(self, key: Key[Array, ""], machine: Boltzmann | GraphChip, n: int) -> chromatic.Chains:
        return chromatic.init(key, self.layout, n)

    def sweeps(
        self, key: Key[Array, ""], machine: Boltzmann | GraphChip, state: chromatic.Chains, n: int
    ) -> chromatic.Chains:
        layout = machine.layout if isinstance(machine, GraphChip) else self.layout
        return chromatic.sweeps(key, layout, machine, state, n)

    def visible(self, params: Boltzmann, state: chromatic.Chains) -> Array:
        return (1 + state.spins[:, self.graph.visible]) / 2

    def energy(self, params: Boltzmann, state: chromatic.Chains) -> Float[Array, " n_chains"]:
        """Of all nodes, the hidden ones too."""
        return boltzmann.energy(self.graph, params, state.spins)

    def fields(self, params: Boltzmann, state: chromatic.Chains) -> tuple[Any, Any]:
        return state.spins, 2 * boltzmann.fields(self.graph, params, state.spins)

    def n_enumerated(self, params: Boltzmann) -> int:
        return self.graph.n_nodes

    def log_partition(self, params: Boltzmann) -> float:
        return graph_likelihood.graph_log_partition(self.graph, params)

    def log_alone(self, params: Boltzmann) -> float:
        return float(np.logaddexp(*np.asarray([params.bias, -params.bias], np.float64)).sum())

    def log_likelihood(self, params: Boltzmann, rows: Any, log_z: float) -> Float[np.ndarray, " n"] | None:
        """None where more than 16 hidden nodes hang together, whose sum for every row is dear, and of a graph too large
        for it log Z is not known either."""
        is_small = self.graph.n_nodes <= MAX_ENUMERATED_UNITS
        if not is_small and graph_likelihood.largest_piece(self.graph) > MAX_DRAWN_UNITS:
            return None
        return graph_likelihood.graph_log_likelihood(self.graph, params, self.encode(params, rows), log_z=log_z)

    def bounds(self, key: Key[Array, ""], params: Boltzmann, rows: Any, train: Rows, **options: Any) -> ais.Sandwich:
        path = ais.graph(self.graph, params, self.encode(params, train.mean(axis=0)), layout=self.layout)
        return ais.log_likelihood(key, path, self.encode(params, rows), **options)

    def filters(self, params: Boltzmann) -> tuple[str, Any]:
        matrix = np.zeros((self.graph.n_nodes,) * 2, np.float32)
        first, second = np.asarray(self.graph.edges).T
        matrix[first, second] = matrix[second, first] = np.asarray(params.couplings)
        return "Couplings", matrix.reshape(1, -1)

    def program(self, key: Key[Array, ""], params: Boltzmann, chosen: Hardware) -> GraphChip:
        chip = hardware.graph_machine(key, self.graph, params, chosen)
        assert isinstance(chip, GraphChip)  # an array is named
        return chip

    def written(self, chip: GraphChip) -> tuple["OnGraph", Boltzmann]:
        """A machine of all pairs where cells of pairs that are not coupled err like others, arrays being dense; of the
        graph itself where these are all 0. Of two cells a coupling the mean."""
        matrix, bias = analog.written_graph(chip)
        couplings = (matrix + matrix.T) / 2
        first, second = self.graph.edges.T
        strays = couplings.at[first, second].set(0.0).at[second, first].set(0.0)
        held = all_pairs(self) if bool(jnp.any(strays)) else self
        first, second = held.graph.edges.T
        return held, Boltzmann(couplings[first, second], bias)

    def is_still(self, key: Key[Array, ""], chip: GraphChip, state: chromatic.Chains) -> bool:
        held, params = self.written(chip)
        meant = held.fields(params, state)[1]
        return chip_law.draws_exactly(chip.neuron) and chip_law.is_rounding(chip.logits(key, state.spins), meant)

    def tempered(self, params: Boltzmann, beta: float) -> Boltzmann:
        return jax.tree.map(lambda leaf: beta * leaf, params)

    def own(self, key: Key[Array, ""], chip: GraphChip, rows: Any, state: Any, n_sweeps: int) -> None:
        """No bound is known: spins of one colour do not tell the law of the others."""

    def facts(self) -> dict[str, Any]:
        """The edges: a file that changed is another graph."""
        edges = np.asarray(self.graph.edges, np.int32)
        return {"n_edges": len(edges), "edges_sha256": hashlib.sha256(edges.tobytes()).hexdigest()}

    def words(self) -> str:
        return f"{self.name} of {self.graph.n_nodes} nodes, {len(self.graph.hidden)} hidden, {self.graph.n_edges} edges"


def _check(settings: Settings) -> None:
    if settings.rule == "pseudo-likelihood" and settings.hidden:
        raise ValueError(f"pseudo-likelihood is for graphs without hidden nodes, got {settings.hidden} hidden ones")


def law(settings: Settings, n_visible: int) -> OnGraph:
    """The machine on the graph that the settings name, in the layout that should be fastest."""
    return named(settings.graph, n_visible, settings.hidden)


@cache
def named(name: str, n_visible: int, n_hidden: int) -> OnGraph:
    """The same object for the same numbers: rules are compiled for its graph."""
    graph = graphs.build(name, n_visible, n_hidden)
    return OnGraph(graph=graph, layout=layouts.choose(graph), name=name)


@cache
def all_pairs(law: OnGraph) -> OnGraph:
    """The same nodes, each coupled to every other."""
    n = law.graph.n_nodes
    graph = law.graph._replace(edges=np.stack(np.triu_indices(n, 1), axis=1).astype(np.int32))
    return OnGraph(graph=graph, layout=layouts.dense(graph), name=f"{law.name}, every pair on an array,")


FAMILY = Family(
    name="boltzmann",
    kinds=("bits",),
    rules=("pcd", "pseudo-likelihood"),
    law=law,
    options=("graph",),
    least_hidden=0,
    learns_on_array=True,
    check_own=_check,
)
