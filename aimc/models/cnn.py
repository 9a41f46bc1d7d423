"""Two convolutions, each followed by batch normalisation and ReLU, and a linear layer."""

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from aimc.data.base import Data

CHANNELS = (16, 32)


class CNN(nnx.Module):
    """3 × 3 convolutions with stride 2 from the second on, batch normalisation, ReLU; all positions into one linear
    layer. `size`: height, width and channels of an image, whose axis of channels may be left out if it is 1."""

    def __init__(
        self, size: tuple[int, int, int], n_classes: int, *, rngs: nnx.Rngs, channels: tuple[int, ...] = CHANNELS
    ) -> None:
        self.size = size
        height, width, n_in = size
        self.convolutions, self.norms = nnx.List([]), nnx.List([])
        for i, n_out in enumerate(channels):
            stride = 2 if i else 1
            # No bias: the normalisation that follows would subtract it.
            conv = nnx.Conv(n_in, n_out, (3, 3), strides=stride, use_bias=False, rngs=rngs)
            self.convolutions.append(conv)
            self.norms.append(nnx.BatchNorm(n_out, rngs=rngs))
            height, width, n_in = -(-height // stride), -(-width // stride), n_out
        self.out = nnx.Linear(height * width * n_in, n_classes, rngs=rngs)

    def __call__(self, x: Float[Array | np.ndarray, "batch ..."]) -> Float[Array, "batch n_classes"]:
        x = jnp.asarray(x).reshape(-1, *self.size)
        for conv, norm in zip(self.convolutions, self.norms, strict=True):
            x = nnx.relu(norm(conv(x)))
        return self.out(x.reshape(x.shape[0], -1))


def cnn(rngs: nnx.Rngs, data: Data) -> CNN:
    """16 and 32 channels. Raises ValueError for data that has no height and width."""
    shape = data.train.x.shape[1:]
    if len(shape) not in (2, 3):
        raise ValueError(f"model cnn needs images with a height and a width, got {data.name} with rows of {shape}")
    height, width, n_channels = (*shape, 1)[:3]
    return CNN((height, width, n_channels), data.n_classes, rngs=rngs)
