"""Colours of a graph: nodes of one colour are not coupled, so they can be drawn all at once.

Two colours where the graph is bipartite, else the greedy colouring that takes nodes of high degree first (Welsh &
Powell 1967), both from networkx. Fewer colours mean fewer steps a sweep; any proper colouring samples the same law.
"""

from collections.abc import Sequence

import networkx as nx
import numpy as np

from ebm.energies.boltzmann import Graph


def color(graph: Graph) -> tuple[np.ndarray, ...]:
    """The nodes of each colour in ascending order, the colour of node 0 first and so on by smallest node."""
    g = nx.Graph()
    g.add_nodes_from(range(graph.n_nodes))
    g.add_edges_from(np.asarray(graph.edges).tolist())
    colors = nx.bipartite.color(g) if nx.is_bipartite(g) else nx.greedy_color(g, strategy="largest_first")
    found = np.array([colors[node] for node in range(graph.n_nodes)])
    _, first = np.unique(found, return_index=True)
    return tuple(np.flatnonzero(found == found[node]).astype(np.int32) for node in np.sort(first))


def check(graph: Graph, classes: Sequence[np.ndarray]) -> None:
    """Raises ValueError unless the classes hold every node once and no edge joins two nodes of one class."""
    n_listed = sum(len(nodes) for nodes in classes)
    of_node = np.full(graph.n_nodes, -1)
    for index, nodes in enumerate(classes):
        of_node[nodes] = index
    if n_listed != graph.n_nodes or (of_node < 0).any():
        raise ValueError(
            f"classes must hold each of the {graph.n_nodes} nodes once, got {n_listed} entries for "
            f"{int((of_node >= 0).sum())} different nodes"
        )
    first, second = np.asarray(graph.edges).T
    clashes = np.flatnonzero(of_node[first] == of_node[second])
    if len(clashes):
        i, j = first[clashes[0]], second[clashes[0]]
        raise ValueError(f"classes must not hold both ends of an edge, got nodes {i} and {j} in class {of_node[i]}")
