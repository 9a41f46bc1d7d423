"""What goes into a model of sequences: symbols, embedded, or the rows of an image as they are."""

from flax import nnx
from jaxtyping import Array, Float, Int

from aimc.data.base import Data


class Symbols(nnx.Module):
    """Each symbol's vector, looked up digitally."""

    def __init__(self, n_symbols: int, n_out: int, *, rngs: nnx.Rngs) -> None:
        self.n_out = n_out
        self.embed = nnx.Embed(n_symbols, n_out, rngs=rngs)

    def __call__(self, x: Int[Array, "batch n_steps"]) -> Float[Array, "batch n_steps n_out"]:
        return self.embed(x)


class Rows(nnx.Module):
    """Each row of pixels as one step, its channels side by side."""

    def __init__(self, n_out: int) -> None:
        self.n_out = n_out

    def __call__(self, x: Float[Array, "batch n_steps ..."]) -> Float[Array, "batch n_steps n_out"]:
        return x.reshape(*x.shape[:2], self.n_out)


def reader(rngs: nnx.Rngs, data: Data, n_out: int) -> Symbols | Rows:
    """The steps of a batch as vectors: of `n_out` entries for text, of a row's pixels for images.

    Raises ValueError for images without rows.
    """
    if data.kind == "text":
        return Symbols(data.n_classes, n_out, rngs=rngs)
    shape = data.train.x.shape[1:]
    if len(shape) not in (2, 3):
        raise ValueError(f"a model of sequences needs images with rows of pixels, got {data.name} with {shape}")
    return Rows(shape[1] if len(shape) == 2 else shape[1] * shape[2])
