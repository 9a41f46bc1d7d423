"""A long short-term memory (Hochreiter and Schmidhuber 1997) over symbols or over the rows of an image."""

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from aimc.data.base import Data
from aimc.models.sequence import Rows, Symbols, reader

EMBEDDED, HIDDEN = 32, 128


class LSTM(nnx.Module):
    """One recurrent layer whose four gates are one matrix for the inputs and one for the state, and a linear layer on
    every step's state for text, on the last step's for images."""

    def __init__(self, read: Symbols | Rows, n_hidden: int, n_classes: int, *, rngs: nnx.Rngs) -> None:
        self.read = read
        self.recurrent = nnx.RNN(nnx.OptimizedLSTMCell(read.n_out, n_hidden, rngs=rngs), rngs=rngs)
        self.out = nnx.Linear(n_hidden, n_classes, rngs=rngs)

    def __call__(self, x: Array | np.ndarray) -> Float[Array, "batch ..."]:
        states = self.recurrent(self.read(jnp.asarray(x)))
        return self.out(states if isinstance(self.read, Symbols) else states[:, -1])


def lstm(rngs: nnx.Rngs, data: Data) -> LSTM:
    """128 units. Raises ValueError for images without rows."""
    return LSTM(reader(rngs, data, EMBEDDED), HIDDEN, data.n_classes, rngs=rngs)
