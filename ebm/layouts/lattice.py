"""Fields by shifts, on a torus whose couplings reach the same few offsets from every site.

The sites of a chequerboard's two colours are stored apart, each as (rows, cols / 2), with a halo that repeats the other
side: a neighbour is then a static slice. Colours are written in place; a program that rebuilt the halo by concatenation
would compute every spin twice. An open grid, or a torus with holes, is a torus on which some couplings are zero.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ebm import coloring
from ebm.energies.boltzmann import Boltzmann, Graph, check_sizes

NEAREST = ((0, 1), (1, 0))


@jax.tree_util.register_static
@dataclass(frozen=True)
class Torus:
    """Size, and the offsets (rows, cols) of coupled sites; rows + cols of an offset is odd, so two colours suffice."""

    rows: int
    cols: int
    offsets: tuple[tuple[int, int], ...] = NEAREST

    def __post_init__(self) -> None:
        for name in ("rows", "cols"):
            if (size := getattr(self, name)) < 2 or size % 2:
                raise ValueError(
                    f"Torus.{name} must be even and at least 2, got {size}: chequerboards close; use PaddedSparse"
                )
        for offset in self.offsets:
            if sum(offset) % 2 == 0:
                raise ValueError(f"Torus.offsets must have an odd sum each, got {offset}; use PaddedSparse")

    @property
    def halo(self) -> tuple[int, int]:
        """Rows and packed columns repeated on each side."""
        reach = [abs(shift) for dr, dc in self.offsets for d in (dc, -dc) for shift in (d // 2, (d + 1) // 2)]
        return max(abs(dr) for dr, _ in self.offsets), max(reach)


class Lattice(NamedTuple):
    """A torus with a coupling of its own for every edge. Made by `lattice` and `torus`."""

    torus: Torus
    edges: Int[Array, "2 n_offsets 2 rows half"] | Int[np.ndarray, "2 n_offsets 2 rows half"]
    """Of each site of each colour, the edge forward and backward along each offset; n_edges where there is none."""
    numbers: Int[Array, " n_edges"] | Int[np.ndarray, " n_edges"]  # 0 to n_edges - 1

    @property
    def n_nodes(self) -> int:
        return self.torus.rows * self.torus.cols

    @property
    def n_colors(self) -> int:
        return 2

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the spins of one colour, in each chain."""
        return (self.torus.rows, self.torus.cols // 2)

    def arrange(self, params: Boltzmann) -> Boltzmann:
        """The coupling of each entry of `edges`, 0 where there is none, and the bias of each colour.

        Raises ValueError for parameters of another graph.
        """
        check_sizes(params, self.numbers.shape[0], self.n_nodes)
        extended = jnp.pad(params.couplings, (0, 1))
        bias = split_colors(params.bias.reshape(self.torus.rows, self.torus.cols))
        return Boltzmann(jnp.take(extended, jnp.asarray(self.edges)), jnp.stack(bias))

    def pack(self, spins: Float[Array, "n_chains n_nodes"]) -> tuple[Array, Array]:
        """The two colours, each with its halo."""
        even, odd = split_colors(spins.reshape(-1, self.torus.rows, self.torus.cols))
        return with_halo(even, self.torus.halo), with_halo(odd, self.torus.halo)

    def unpack(self, packed: tuple[Array, Array]) -> Float[Array, "n_chains n_nodes"]:
        """The inverse of `pack`."""
        spins = join_colors(self.window(packed, 0), self.window(packed, 1))
        return spins.reshape(-1, self.n_nodes)

    def fields(
        self, arranged: Boltzmann, packed: tuple[Array, Array], color: int
    ) -> Float[Array, "n_chains rows half"]:
        """f_i = sum_j J_ij s_j + h_i of the nodes of one colour."""
        total = jnp.broadcast_to(arranged.bias[color], (packed[0].shape[0], *self.shape))
        for i, offset in enumerate(self.torus.offsets):
            for j, sign in enumerate((1, -1)):
                neighbor = shifted(packed[1 - color], color, sign * offset[0], sign * offset[1], self.torus.halo)
                total = total + arranged.couplings[color, i, j] * neighbor
        return total

    def window(self, packed: tuple[Array, Array], color: int) -> Float[Array, "n_chains rows half"]:
        """The spins of one colour."""
        return interior(packed[color], self.torus.halo)

    def replace(self, packed: tuple[Array, Array], new: Array, color: int) -> tuple[Array, Array]:
        """All spins with those of one colour replaced."""
        stored = store(packed[color], new, self.torus.halo)
        return (stored, packed[1]) if color == 0 else (packed[0], stored)


def lattice(graph: Graph, rows: int, cols: int) -> Lattice:
    """The lattice layout of a graph whose node r cols + c lies at (r, c) of a torus; offsets are read off its edges.

    Raises ValueError when the size is not that of the graph or is odd, when an edge joins sites of one colour, and for
    graphs that `coloring.check_graph` refuses.
    """
    coloring.check_graph(graph)
    if rows * cols != graph.n_nodes:
        raise ValueError(f"rows x cols must be the {graph.n_nodes} nodes of the graph, got {rows} x {cols}")
    first, second = np.asarray(graph.edges).T
    dr, dc = (second // cols - first // cols) % rows, (second % cols - first % cols) % cols
    dr, dc = np.where(dr > rows // 2, dr - rows, dr), np.where(dc > cols // 2, dc - cols, dc)
    is_backward = (dr < 0) | ((dr == 0) & (dc < 0))
    source, target = np.where(is_backward, second, first), np.where(is_backward, first, second)
    ways = np.stack([np.where(is_backward, -dr, dr), np.where(is_backward, -dc, dc)], 1)
    offsets, which = np.unique(ways, axis=0, return_inverse=True)
    found = tuple((int(a), int(b)) for a, b in offsets)
    torus = Torus(rows, cols, found or NEAREST)
    at = np.full((len(torus.offsets), 2, graph.n_nodes), graph.n_edges, np.int32)
    at[which.reshape(-1), 0, source] = np.arange(graph.n_edges)
    at[which.reshape(-1), 1, target] = np.arange(graph.n_edges)
    even, odd = (np.asarray(half) for half in split_colors(at.reshape(*at.shape[:2], rows, cols)))
    return Lattice(torus, np.stack([even, odd]), np.arange(graph.n_edges, dtype=np.int32))


def recognise(graph: Graph) -> Lattice | None:
    """The lattice layout if the graph is a nearest-neighbour grid with rows of nodes in order, open or periodic.

    None for anything else, for grids of odd size, and where more than half of the torus's couplings are absent.
    """
    if graph.n_edges < graph.n_nodes:
        return None
    first, second = np.sort(np.asarray(graph.edges), axis=1).T
    for cols in np.unique(second - first).tolist():
        rows = graph.n_nodes // cols
        if cols < 2 or cols % 2 or rows < 2 or rows % 2 or rows * cols != graph.n_nodes:
            continue
        down, right = second // cols - first // cols, (second % cols - first % cols) % cols
        is_row = (down == 0) & ((right == 1) | (right == cols - 1))
        is_column = (right == 0) & ((down == 1) | (down == rows - 1))
        if (is_row | is_column).all():
            return lattice(graph, rows, cols)
    return None


def torus(rows: int, cols: int, offsets: tuple[tuple[int, int], ...] = NEAREST) -> Graph:
    """The periodic lattice as a graph without hidden nodes: the edge of site i along offset k is k rows cols + i.

    Raises ValueError for odd sizes or offsets, and where an offset and its opposite would reach the same site.
    """
    Torus(rows, cols, offsets)
    for dr, dc in offsets:
        if 2 * dr % rows == 0 and 2 * dc % cols == 0:
            raise ValueError(f"offset {(dr, dc)} is its own opposite on {rows} x {cols} sites; take a larger torus")
    r, c = np.divmod(np.arange(rows * cols), cols)
    edges = [np.stack([r * cols + c, (r + dr) % rows * cols + (c + dc) % cols], 1) for dr, dc in offsets]
    visible = np.arange(rows * cols, dtype=np.int32)
    return Graph(np.concatenate(edges).astype(np.int32), visible, np.zeros(0, np.int32))


def split_colors(sites: Array | np.ndarray) -> tuple[Any, Any]:
    """(*batch, rows, cols) as the two colours of a chequerboard, (*batch, rows, cols / 2) each, (0, 0) in the first."""
    rows, cols = sites.shape[-2:]
    pairs = sites.reshape(*sites.shape[:-1], cols // 2, 2)
    is_odd_row = (np.arange(rows) % 2 == 1)[:, None]
    left, right = pairs[..., 0], pairs[..., 1]
    where = np.where if isinstance(sites, np.ndarray) else jnp.where
    return where(is_odd_row, right, left), where(is_odd_row, left, right)


def join_colors(even: Array, odd: Array) -> Array:
    """The inverse of `split_colors`."""
    is_odd_row = (np.arange(even.shape[-2]) % 2 == 1)[:, None]
    pairs = jnp.stack([jnp.where(is_odd_row, odd, even), jnp.where(is_odd_row, even, odd)], axis=-1)
    return pairs.reshape(*even.shape[:-1], 2 * even.shape[-1])


def with_halo(half: Array, halo: tuple[int, int]) -> Array:
    """(batch, rows, half) in the middle of an array that repeats the other side on each side."""
    padded = jnp.zeros((half.shape[0], half.shape[1] + 2 * halo[0], half.shape[2] + 2 * halo[1]), half.dtype)
    return store(padded, half, halo)


def store(padded: Array, half: Array, halo: tuple[int, int]) -> Array:
    """Replace the middle and all four sides, in place inside a compiled loop."""
    (_, rows, cols), (above, beside) = half.shape, halo
    put = jax.lax.dynamic_update_slice
    padded = put(padded, half, (0, above, beside))
    padded = put(padded, padded[:, above : 2 * above], (0, above + rows, 0))
    padded = put(padded, padded[:, rows : rows + above], (0, 0, 0))
    padded = put(padded, padded[:, :, beside : 2 * beside], (0, 0, beside + cols))
    return put(padded, padded[:, :, cols : cols + beside], (0, 0, 0))


def interior(padded: Array, halo: tuple[int, int]) -> Array:
    """What `store` stored."""
    above, beside = halo
    return padded[:, above : padded.shape[1] - above, beside : padded.shape[2] - beside]


def shifted(padded: Array, color: int, dr: int, dc: int, halo: tuple[int, int]) -> Array:
    """For every site of `color`, the value at (r + dr, c + dc), which has the other colour.

    A site of packed column j lies in column 2 j or 2 j + 1, by the parity of its row: an odd dc shifts the two kinds
    of row differently.
    """
    rows, cols = padded.shape[1] - 2 * halo[0], padded.shape[2] - 2 * halo[1]

    def at(shift: int) -> Array:
        top, left = halo[0] + dr, halo[1] + shift
        return padded[:, top : top + rows, left : left + cols]

    if dc % 2 == 0:
        return at(dc // 2)
    is_right = ((np.arange(rows) + color) % 2 == 1)[:, None]
    return jnp.where(is_right, at((dc + 1) // 2), at((dc - 1) // 2))
