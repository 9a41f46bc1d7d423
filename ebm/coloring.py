"""Colours of a graph: nodes of one colour are not coupled, so they can be drawn all at once.

Two colours where the graph is bipartite, else the greedy colouring that takes nodes of high degree first (Welsh &
Powell 1967), both from networkx. Fewer colours mean fewer steps a sweep; any proper colouring samples the same law.
"""

from collections.abc import Sequence

import networkx as nx
import numpy as np

from ebm.energies.boltzmann import Graph


def color(graph: Graph) -> tuple[np.ndarray, ...]:
    """The nodes of each colour in ascending order, the colour of node 0 first and so on by smallest node.

    Raises ValueError for what `check_graph` refuses.
    """
    check_graph(graph)
    g = nx.Graph()
    g.add_nodes_from(range(graph.n_nodes))
    g.add_edges_from(np.asarray(graph.edges).tolist())
    colors = nx.bipartite.color(g) if nx.is_bipartite(g) else nx.greedy_color(g, strategy="largest_first")
    found = np.array([colors[node] for node in range(graph.n_nodes)])
    _, first = np.unique(found, return_index=True)
    return tuple(np.flatnonzero(found == found[node]).astype(np.int32) for node in np.sort(first))


def check(graph: Graph, classes: Sequence[np.ndarray]) -> None:
    """Raises ValueError unless the classes hold every node once and no edge joins two nodes of one class, and for what
    `check_graph` refuses."""
    check_graph(graph)
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


def check_graph(graph: Graph) -> None:
    """Raises ValueError unless every node is listed once, visible or hidden, and every edge joins two different nodes
    of the graph and no two edges the same two: a layout has one place for the coupling of a pair."""
    n = graph.n_nodes
    listed = np.concatenate([np.asarray(graph.visible), np.asarray(graph.hidden)])
    if not np.array_equal(np.sort(listed), np.arange(n)):
        raise ValueError(f"graph.visible and graph.hidden must together hold each of the nodes 0 to {n - 1} once")
    edges = np.asarray(graph.edges, np.int64).reshape(-1, 2)
    strange = edges[((edges < 0) | (edges >= n)).any(axis=1)]
    if len(strange):
        raise ValueError(f"graph.edges must join nodes from 0 to {n - 1}, got {tuple(strange[0].tolist())}")
    low, high = np.sort(edges, axis=1).T
    loops = low[low == high]
    if len(loops):
        raise ValueError(
            f"graph.edges must join different nodes, got one from node {loops[0]} to itself: s_i s_i is constant; "
            "remove it"
        )
    pairs, counts = np.unique(low * n + high, return_counts=True)
    if (counts > 1).any():
        i, j = divmod(int(pairs[counts > 1][0]), n)
        raise ValueError(f"graph.edges must hold each pair of nodes once, got {i} and {j} twice; add their couplings")
