"""Nodes sorted by colour, so that a colour is a window of neighbouring positions.

All windows have the width of the largest colour: one program serves every colour, whether they are unrolled or looped
over. A window of a smaller colour runs on into the next one, or past the end, where its results are not stored.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

Indices = Int[Array, " n"] | Int[np.ndarray, " n"]


class Windows(NamedTuple):
    """Where each colour lies. Sizes are shapes: another graph of the same sizes does not compile again."""

    order: Indices  # the node at each position
    place: Indices  # the position of each node
    starts: Indices  # first position of each colour
    sizes: Indices  # nodes of each colour
    lanes: Indices  # 0 to width - 1

    @property
    def n_colors(self) -> int:
        return self.starts.shape[0]

    @property
    def width(self) -> int:
        """Nodes of the largest colour."""
        return self.lanes.shape[0]

    def cut(self, rows: Array, color: Array | int, axis: int) -> Array:
        """The window of a colour along an axis that holds positions, `width` more of them than there are nodes."""
        return jax.lax.dynamic_slice_in_dim(rows, jnp.asarray(self.starts)[color], self.width, axis)

    def paste(self, rows: Array, new: Array, color: Array | int, axis: int) -> Array:
        """`rows` with the nodes of a colour replaced."""
        is_node = jnp.asarray(self.lanes) < jnp.asarray(self.sizes)[color]
        shape = [1] * rows.ndim
        shape[axis] = self.width
        kept = jnp.where(is_node.reshape(shape), new, self.cut(rows, color, axis))
        return jax.lax.dynamic_update_slice_in_dim(rows, kept, jnp.asarray(self.starts)[color], axis)

    def sort(self, values: Array) -> Array:
        """Values a node, on the last axis, in the order of positions, and `width` zeros."""
        sorted_values = jnp.take(values, jnp.asarray(self.order), axis=-1)
        return jnp.pad(sorted_values, [(0, 0)] * (values.ndim - 1) + [(0, self.width)])


def windows(classes: Sequence[np.ndarray]) -> Windows:
    """The windows of a colouring."""
    sizes = np.array([len(nodes) for nodes in classes], np.int32)
    order = np.concatenate(list(classes)).astype(np.int32)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
    return Windows(order, np.argsort(order).astype(np.int32), starts, sizes, np.arange(sizes.max(), dtype=np.int32))
