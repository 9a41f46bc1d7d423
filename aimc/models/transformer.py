"""A small causal transformer: digital attention scores, normalisation before each part (Radford et al. 2019)."""

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from aimc.data.base import Data
from aimc.models.sequence import Rows, Symbols, reader

WIDTH, HEADS, BLOCKS = 64, 4, 2


class Block(nnx.Module):
    """x + attention(norm(x)), then x + linear(gelu(linear(norm(x)))), the hidden layer four times as wide."""

    def __init__(self, width: int, n_heads: int, *, rngs: nnx.Rngs) -> None:
        self.norms = nnx.List([nnx.LayerNorm(width, rngs=rngs) for _ in range(2)])
        self.attention = nnx.MultiHeadAttention(n_heads, width, decode=False, rngs=rngs)
        self.up = nnx.Linear(width, 4 * width, rngs=rngs)
        self.down = nnx.Linear(4 * width, width, rngs=rngs)

    def __call__(self, x: Float[Array, "batch n_steps width"]) -> Float[Array, "batch n_steps width"]:
        causal = nnx.make_causal_mask(jnp.ones(x.shape[:2]))
        x = x + self.attention(self.norms[0](x), mask=causal)
        return x + self.down(nnx.gelu(self.up(self.norms[1](x))))


class Transformer(nnx.Module):
    """Blocks over symbols or over the rows of an image, with learned positions up to `n_steps`; a linear layer on every
    step for text, on the last for images. Embeddings, positions, normalisation and scores are digital."""

    def __init__(
        self,
        read: Symbols | Rows,
        n_steps: int,
        n_classes: int,
        *,
        rngs: nnx.Rngs,
        width: int = WIDTH,
        n_heads: int = HEADS,
        n_blocks: int = BLOCKS,
    ) -> None:
        self.read = read
        self.enter = None if read.n_out == width else nnx.Linear(read.n_out, width, rngs=rngs)
        self.positions = nnx.Embed(n_steps, width, rngs=rngs)
        self.blocks = nnx.List([Block(width, n_heads, rngs=rngs) for _ in range(n_blocks)])
        self.norm = nnx.LayerNorm(width, rngs=rngs)
        self.out = nnx.Linear(width, n_classes, rngs=rngs)

    def __call__(self, x: Array | np.ndarray) -> Float[Array, "batch ..."]:
        x = self.read(jnp.asarray(x))
        if self.enter is not None:
            x = self.enter(x)
        x = x + self.positions(jnp.arange(x.shape[1]))
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return self.out(x if isinstance(self.read, Symbols) else x[:, -1])


def transformer(rngs: nnx.Rngs, data: Data) -> Transformer:
    """Two blocks of width 64 with four heads, as long as a row of the data. Raises ValueError for images without
    rows."""
    return Transformer(reader(rngs, data, WIDTH), data.train.x.shape[1], data.n_classes, rngs=rngs)
