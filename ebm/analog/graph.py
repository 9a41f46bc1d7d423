"""Boltzmann machines on graphs, the couplings of every colour on arrays: a chip that `chromatic` sweeps.

A colour's nodes are drawn all at once from their sums x = 2 f, f_i = sum_j J_ij s_j + h_i, the log odds of a spin.
Arrays are driven by spins, a line fully one way or the other. They are dense: pairs of nodes that are not coupled have
cells at zero, with errors and noise like the others.

A coupling is seen from both of its nodes. With `arrays` "one" it is one cell, read from its row and from its column:
each pair of colours has an array, read both ways, and where there are three colours or more a colour's sum is added up
digitally from several. Static errors then make another Boltzmann machine. With "two" each colour has an array of its
own, driven by all other nodes: J_ij as i sees it and as j sees it are two cells, which disagree, and the stationary law
of the sweep is not a Boltzmann law.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from aimc import aging
from aimc.devices.base import Level, static
from aimc.noise import normal
from aimc.program import State
from aimc.program import program as write
from aimc.spec import CrossbarSpec
from ebm.analog.arrays import (
    ARRAYS,
    BIASES,
    READ,
    bordered,
    check_both_ways,
    check_choice,
    check_comparator,
    full_drive,
    read,
    stored,
    turned,
)
from ebm.analog.neuron import Neuron
from ebm.energies.boltzmann import Boltzmann, Graph
from ebm.layouts.dense import Dense, dense


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class GraphChip:
    """A programmed machine: `params` are what was asked for, `parts` the arrays that are read for each colour, `bias`
    the digital biases, sorted by colour and 0 where they are in cells, and `offsets` the errors of thresholds, sorted
    too, or None. Made by `program_graph`, sampled by `chromatic` with `chip.layout`."""

    layout: Dense
    params: Boltzmann
    parts: Any
    bias: Float[Array, " n_positions"]
    offsets: Any
    neuron: Any
    sizes: tuple[int, ...] = static(())
    arrays: str = static("one")
    biases: str = static("digital")

    @property
    def n_nodes(self) -> int:
        """Visible and hidden nodes together."""
        return self.layout.n_nodes

    def draw_color(
        self, key: Key[Array, ""], packed: Float[Array, "n_chains n_positions"], color: int
    ) -> Float[Array, "n_chains width"]:
        """The spins of one colour: its reads and a decision a node. Key is consumed; random: both."""
        x = self._sums(jax.random.fold_in(key, READ), packed, color)
        offsets = None if self.offsets is None else self.layout.windows.cut(self.offsets, color, 0)
        return 2.0 * self.neuron.draw(key, x, offsets) - 1.0

    def logits(self, key: Key[Array, ""], spins: Float[Array, "n n_nodes"]) -> Float[Array, "n n_nodes"]:
        """x = 2 f of every node given all others, by one read of every array; key is consumed by the reads."""
        packed = found = self.layout.pack(spins)
        for color, color_key in enumerate(jax.random.split(key, len(self.sizes))):
            found = self.layout.replace(found, self._sums(color_key, packed, color), color)
        return self.layout.unpack(found)

    def _sums(self, key: Array, packed: Array, color: int) -> Array:
        """x of one colour, `(n_chains, width)`."""
        width, n = self.layout.windows.width, self.sizes[color]
        fields = self.layout.windows.cut(self.bias, color, 0)
        for place, array in enumerate(self.parts[color]):
            driven = packed[:, _drivers(self.sizes, color, place, self.arrays)]
            found = read(jax.random.fold_in(key, place), driven, array, n)
            fields = jnp.pad(found, [(0, 0), (0, width - n)]) + fields
        return 2.0 * fields


def program_graph(
    key: Key[Array, ""],
    graph: Graph,
    params: Boltzmann,
    spec: CrossbarSpec,
    neuron: Neuron | None = None,
    *,
    arrays: str = "one",
    biases: str = "digital",
    classes: Sequence[np.ndarray] | None = None,
) -> GraphChip:
    """Write the couplings of a Boltzmann machine into arrays, at beta = 1.

    `arrays`: "one" cell a coupling, read from both sides; or "two", one for each of its nodes. `biases`: "digital" ones
    are exact; those in "cells" are a line that is always driven, with all errors of cells. `neuron` decides on
    x = 2 f, the log odds of a spin, in whose units are its noise and offsets. `classes` as in `layouts.dense`, whose
    random numbers the chip shares: of ideal cells, wide converters and a digital sigmoid it draws what the graph's
    ideal sampler draws.

    Random, and frozen in the chip: programming, stuck cells, errors of converters and of thresholds. Raises ValueError
    for parameters of another graph, a graph without edges, and, naming the field, what a spec cannot do: see `Neuron`;
    one array has no meaning for slices, scales a column, dummy columns and wires; and a comparator decides on one
    array's sum, so that with "one" there may be two colours only.
    """
    neuron = Neuron() if neuron is None else neuron
    check_choice(arrays, "arrays", ARRAYS)
    check_choice(biases, "biases", BIASES)
    if graph.n_edges == 0:
        raise ValueError("graph must have at least 1 edge, got none: there is nothing to program")
    layout = dense(graph, classes)
    arranged = layout.arrange(params)
    sizes = tuple(int(size) for size in np.asarray(layout.windows.sizes))
    in_cells = biases == "cells"
    if neuron.kind == "comparator":
        if arrays == "one" and len(sizes) > 2:
            raise ValueError(
                f"neuron.kind='comparator' decides on one analog sum, and of {len(sizes)} colours arrays='one' adds up "
                "several digitally; use arrays='two', or a graph of two colours"
            )
        most = graph.n_nodes - min(sizes)
        check_comparator(spec, [("rows", most + in_cells), ("cols", most + in_cells if arrays == "one" else 0)])
    write_key, offset_key = jax.random.split(key)
    lines = replace(spec, inputs=full_drive(spec.inputs))
    bias = arranged.bias[: graph.n_nodes] if in_cells else None
    if arrays == "one":
        check_both_ways(spec)
        parts = _both_ways(write_key, arranged.couplings, bias, sizes, lines)
    else:
        parts = _by_color(write_key, arranged.couplings, bias, sizes, lines)
    offsets = None
    if neuron.offset_std is not None:
        offsets = layout.windows.sort(neuron.offset_std * normal(offset_key, (graph.n_nodes,)))
    return GraphChip(
        layout=layout,
        params=params,
        parts=parts,
        bias=jnp.zeros_like(arranged.bias) if in_cells else arranged.bias,
        offsets=offsets,
        neuron=neuron,
        sizes=sizes,
        arrays=arrays,
        biases=biases,
    )


def age_graph(key: Key[Array, ""], chip: GraphChip, seconds: Level) -> GraphChip:
    """The same chip `seconds` later (`aimc.age`); thresholds and converters do not age. Key is consumed."""
    keys = iter(jax.random.split(key, 2 * len(chip.sizes) ** 2))
    parts = [list(arrays) for arrays in chip.parts]
    for color, arrays in enumerate(parts):
        for place, array in enumerate(arrays):
            if chip.arrays == "two":
                arrays[place] = aging.age(next(keys), array, seconds)
            elif place < color:  # the side that was written; the other is the same cells
                other = parts[place][color - 1]
                arrays[place] = aging.age(next(keys), array, seconds)
                again = turned(next(keys), arrays[place], other.spec.inputs)
                parts[place][color - 1] = again._replace(errors=other.errors)
    return replace(chip, parts=tuple(map(tuple, parts)))


def written_graph(chip: GraphChip) -> tuple[Float[Array, "n_nodes n_nodes"], Float[Array, " n_nodes"]]:
    """The couplings that the chip really has, [j, i] what node i sees of node j, and its biases, less the errors of
    thresholds. Of "one" cell a coupling the matrix is symmetric."""
    n, ends = chip.n_nodes, np.cumsum(chip.sizes)
    matrix, bias = jnp.zeros((n, n)), chip.bias[:n]
    for color, arrays in enumerate(chip.parts):
        own = slice(ends[color] - chip.sizes[color], ends[color])
        for place, array in enumerate(arrays):
            drivers, cells = _drivers(chip.sizes, color, place, chip.arrays), stored(array)[:, : chip.sizes[color]]
            matrix = matrix.at[drivers, own].set(cells[: len(drivers)])
            if len(cells) > len(drivers):
                bias = bias.at[own].set(cells[-1])
    if chip.offsets is not None:
        bias = bias - 0.5 * chip.offsets[:n]
    place = np.asarray(chip.layout.windows.place)
    return matrix[place][:, place], bias[place]


def _both_ways(
    key: Array, couplings: Array, bias: Array | None, sizes: tuple[int, ...], spec: CrossbarSpec
) -> tuple[tuple[State, ...], ...]:
    """An array for each pair of colours, driven by the earlier one and, turned, by the later. Color 0 is in all pairs
    of the others and holds their biases; its own are a column of the pair (0, 1)."""
    n_colors, ends = len(sizes), np.cumsum(sizes)
    windows = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    parts: list[list[Any]] = [[None] * (n_colors - 1) for _ in sizes]
    keys = iter(jax.random.split(key, n_colors * (n_colors - 1)))
    for later in range(1, n_colors):
        for earlier in range(later):
            row = bias[windows[later]] if bias is not None and earlier == 0 else None
            column = bias[windows[0]] if bias is not None and (earlier, later) == (0, 1) else None
            forward = write(next(keys), bordered(couplings[windows[earlier], windows[later]], row, column), spec)
            parts[later][earlier] = forward
            parts[earlier][later - 1] = turned(next(keys), forward, spec.inputs)
    return tuple(map(tuple, parts))


def _by_color(
    key: Array, couplings: Array, bias: Array | None, sizes: tuple[int, ...], spec: CrossbarSpec
) -> tuple[tuple[State, ...], ...]:
    """An array for each colour, driven by the nodes of all others."""
    parts = []
    for color, (color_key, end) in enumerate(zip(jax.random.split(key, len(sizes)), np.cumsum(sizes), strict=True)):
        own = slice(end - sizes[color], end)
        weights = couplings[_drivers(sizes, color, 0, "two"), own]
        parts.append((write(color_key, bordered(weights, None if bias is None else bias[own], None), spec),))
    return tuple(parts)


def _drivers(sizes: tuple[int, ...], color: int, place: int, arrays: str) -> np.ndarray:
    """Positions of the nodes that drive an array of a colour: all others, or those of the colour at this place among
    the others."""
    color_of = np.repeat(np.arange(len(sizes)), sizes)
    if arrays == "two":
        return np.flatnonzero(color_of != color)
    return np.flatnonzero(color_of == (place if place < color else place + 1))
