"""Small flax networks to put on arrays: plain nnx modules, no better supported than the user's own.

Each maps a batch to logits (..., n_classes): images to (batch, n_classes), text to (batch, window, n_classes).
"""

from collections.abc import Callable

from flax import nnx

from aimc.data.base import Data
from aimc.models.cnn import CNN as CNN
from aimc.models.cnn import cnn as cnn
from aimc.models.lstm import LSTM as LSTM
from aimc.models.lstm import lstm as lstm
from aimc.models.mlp import MLP as MLP
from aimc.models.mlp import mlp as mlp
from aimc.models.transformer import Transformer as Transformer
from aimc.models.transformer import transformer as transformer

MODELS: dict[str, Callable[[nnx.Rngs, Data], nnx.Module]] = {
    "mlp": mlp,
    "cnn": cnn,
    "lstm": lstm,
    "transformer": transformer,
}


def build(name: str, rngs: nnx.Rngs, data: Data) -> nnx.Module:
    """The model of this name for the data. Raises ValueError for another name, and for data it cannot read."""
    if name not in MODELS:
        raise ValueError(f"model must be one of {', '.join(MODELS)}, got {name!r}")
    if data.kind == "text" and name in ("mlp", "cnn"):
        raise ValueError(f"model {name} reads images, and {data.name} is text; choose lstm or transformer")
    return MODELS[name](rngs, data)
