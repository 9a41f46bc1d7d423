"""Floating-point operations and kernels of one transformer training step, from its shape, as exact Python ints.

One multiply-add is 2 FLOPs. Per token and layer, a forward pass spends 2 (4 d^2 + 2 d f) on weights and 4 s d on
attention over the full square of s positions (the convention of Narayanan 2021, eq. 2; a causal kernel may skip
half of that); the logits add 2 d V. The backward pass costs twice the forward pass.
"""

from typing import NamedTuple

from ..rates import load, table, tables
from .gpu import Op

ADAM_FLOPS = 12
ADAM_BYTES = 28


class Transformer(NamedTuple):
    """The shape of a decoder: layers, width d, heads, feed-forward width f, vocabulary V, context s in tokens."""

    layers: int
    width: int
    heads: int
    feed_forward: int
    vocabulary: int
    context: int


class StepFlops(NamedTuple):
    """FLOPs of one training step; attention (score and value products) stands apart from the weights."""

    forward: int
    backward: int
    attention_forward: int
    attention_backward: int

    @property
    def total(self) -> int:
        """All four."""
        return sum(self)


def model(name: str) -> Transformer:
    """A published shape from models.toml, such as 'gpt3'. Raises ValueError naming the known ones."""
    found = tables(load())
    shape = table(found, f"models.{name}")
    if missing := [field for field in Transformer._fields if field not in shape]:
        whole = [one for one in found if one.startswith("models.") and set(Transformer._fields) <= set(found[one])]
        raise ValueError(f"models.{name} has no {', '.join(missing)}; with a whole shape there are {', '.join(whole)}")
    return Transformer(*(int(shape[field].value) for field in Transformer._fields))


def parameters(shape: Transformer) -> int:
    """Weights, biases, layer norms, token and position embeddings; output weights tied to the embedding.

    For f = 4 d this is 12 l d^2 (1 + 13 / 12 d + (V + s) / 12 l d) of Narayanan 2021, eq. 1, plus the last norm.
    """
    d, f = shape.width, shape.feed_forward
    layer = 4 * d * d + 4 * d + 2 * d * f + f + d + 4 * d
    return shape.layers * layer + (shape.vocabulary + shape.context) * d + 2 * d


def step_flops(shape: Transformer, sequences: int) -> StepFlops:
    """FLOPs of one training step on `sequences` full contexts, nothing recomputed."""
    tokens = sequences * shape.context
    d = shape.width
    weights = shape.layers * 2 * (4 * d * d + 2 * d * shape.feed_forward) + 2 * d * shape.vocabulary
    attention = shape.layers * 4 * shape.context * d
    return StepFlops(tokens * weights, 2 * tokens * weights, tokens * attention, 2 * tokens * attention)


def pointwise_values(shape: Transformer, sequences: int) -> int:
    """Values that norms, activations and residuals pass: the width, 10 times a layer forward and 20 times backward.

    Each is read or written once and takes one operation.
    """
    return 30 * shape.layers * shape.width * sequences * shape.context


def training_ops(shape: Transformer, sequences: int, *, bytes_per_value: int = 2) -> list[Op]:
    """The fused kernels of one Adam step: products forward and backward, fused attention, norms, the optimiser.

    A product of (t x a) by (a x b) moves each operand once, three times over (forward, input and weight gradient).
    Adam reads and writes 28 bytes a parameter (gradient 2, weight 2, master and two moments 12 read and 12 written).
    """
    tokens, d, f, layers = sequences * shape.context, shape.width, shape.feed_forward, shape.layers

    def product(name: str, a: int, b: int, repeats: int) -> Op:
        moved = 3 * bytes_per_value * (tokens * a + a * b + tokens * b)
        return Op(name, repeats * 6 * tokens * a * b, repeats * moved, 3 * repeats)

    step = step_flops(shape, sequences)
    pointwise = pointwise_values(shape, sequences)
    return [
        product("query, key, value", d, 3 * d, layers),
        product("attention output", d, d, layers),
        product("feed-forward up", d, f, layers),
        product("feed-forward down", f, d, layers),
        product("logits", d, shape.vocabulary, 1),
        Op(
            "attention",
            step.attention_forward + step.attention_backward,
            layers * 12 * bytes_per_value * tokens * d,
            2 * layers,
        ),
        Op("norms and activations", 0, bytes_per_value * pointwise, 12 * layers, vector_flops=pointwise),
        Op("Adam", 0, ADAM_BYTES * parameters(shape), vector_flops=ADAM_FLOPS * parameters(shape)),
    ]
