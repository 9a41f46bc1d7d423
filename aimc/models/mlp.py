"""Linear layers with ReLU between them."""

from itertools import pairwise
from math import prod

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from aimc.data.base import Data

HIDDEN = (128, 128)


class MLP(nnx.Module):
    """Linear layers of `widths` with ReLU between them; the last `n_axes` axes of an input are flattened first."""

    def __init__(self, widths: tuple[int, ...], *, rngs: nnx.Rngs, n_axes: int = 1) -> None:
        self.n_axes = n_axes
        self.layers = nnx.List([nnx.Linear(a, b, rngs=rngs) for a, b in pairwise(widths)])

    def __call__(self, x: Float[Array | np.ndarray, "..."]) -> Float[Array, "*batch n_out"]:
        x = jnp.asarray(x).reshape(*x.shape[: x.ndim - self.n_axes], -1)
        for layer in self.layers[:-1]:
            x = nnx.relu(layer(x))
        return self.layers[-1](x)


def mlp(rngs: nnx.Rngs, data: Data) -> MLP:
    """Two hidden layers of 128, for images of any shape."""
    shape = data.train.x.shape[1:]
    return MLP((prod(shape), *HIDDEN, data.n_classes), rngs=rngs, n_axes=len(shape))
