"""Energies that are neural networks, flax nnx modules of one number a row, and the pure form that training takes.

A network alone need not have a normalisable law: with smooth units that grow linearly, adding confinement |x|^2 / 2
makes exp(-E) integrable over all of space, whatever the weights, since a square outgrows any line.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from ebm.energies.rbm import EXACT


class Mlp(nnx.Module):
    """A multilayer perceptron with SiLU units (Elfwing, Uchibe & Doya 2018): E(x) = f(x) + confinement |x|^2 / 2."""

    def __init__(self, n_visible: int, widths: Sequence[int] = (64, 64), *, confinement: float = 1.0, rngs: nnx.Rngs):
        """Dense layers of the given widths, then one output.

        Raises ValueError when a width is below 1 or the confinement is negative.
        """
        _check(confinement, n_visible=n_visible, **{f"widths[{i}]": width for i, width in enumerate(widths)})
        self.confinement = confinement
        sizes = [n_visible, *widths]
        self.hidden = nnx.List(nnx.Linear(n_in, n_out, precision=EXACT, rngs=rngs) for n_in, n_out in pairwise(sizes))
        self.out = nnx.Linear(sizes[-1], 1, precision=EXACT, rngs=rngs)

    def __call__(self, x: Float[Array, "*batch n_visible"]) -> Float[Array, "*batch"]:
        y = x
        for layer in self.hidden:
            y = jax.nn.silu(layer(y))
        return self.out(y)[..., 0] + _confine(self.confinement, x)


class Conv(nnx.Module):
    """A convolutional energy of images: 3 x 3 filters, SiLU, stride 2 from the second layer on, then the sum.

    Images come as rows of height * width * channels values, channels last, as data and samplers keep them.
    """

    def __init__(
        self,
        image: tuple[int, int, int],
        channels: Sequence[int] = (16, 32),
        *,
        confinement: float = 1.0,
        rngs: nnx.Rngs,
    ):
        """`image` is (height, width, channels); `channels` are the filters of each layer.

        Raises ValueError when a size is below 1, there is no layer or the confinement is negative.
        """
        if not channels:
            raise ValueError("channels must name at least 1 layer, got none; use Mlp for a network without filters")
        height, width, colours = image
        _check(confinement, height=height, width=width, colours=colours)
        _check(confinement, **{f"channels[{i}]": count for i, count in enumerate(channels)})
        self.image = image
        self.confinement = confinement
        sizes = [colours, *channels]
        self.filters = nnx.List(
            nnx.Conv(n_in, n_out, (3, 3), strides=1 if i == 0 else 2, precision=EXACT, rngs=rngs)
            for i, (n_in, n_out) in enumerate(pairwise(sizes))
        )
        self.out = nnx.Linear(sizes[-1], 1, precision=EXACT, rngs=rngs)

    def __call__(self, x: Float[Array, "*batch n_visible"]) -> Float[Array, "*batch"]:
        y = x.reshape(-1, *self.image)
        for layer in self.filters:
            y = jax.nn.silu(layer(y))
        return self.out(y.sum(axis=(1, 2)))[:, 0].reshape(x.shape[:-1]) + _confine(self.confinement, x)


@dataclass(frozen=True)
class Energy:
    """The pure form `energy(params, x)` of a module; equal for modules of one architecture, so it compiles once."""

    graph: nnx.GraphDef

    def __call__(self, params: Any, x: Float[Array, "*batch n_visible"]) -> Float[Array, "*batch"]:
        return nnx.merge(self.graph, params)(x)


def pure(module: nnx.Module) -> tuple[Energy, nnx.State]:
    """`(energy, params)` of a module: a function and a pytree of arrays that optax, jax.grad and orbax take.

    The module is any that maps `(*batch, n_visible)` to `(*batch,)` and keeps all its arrays in nnx.Param.
    Raises ValueError when it keeps others: a pure energy has no counters, running means or random streams.
    """
    graph, params, rest = nnx.split(module, nnx.Param, ...)
    if jax.tree.leaves(rest):
        kinds = sorted({type(variable).__name__ for _, variable in nnx.to_flat_state(rest)})
        raise ValueError(
            f"module must keep its arrays in nnx.Param alone, got {', '.join(kinds)}; leave such layers out"
        )
    return Energy(graph), params


def _confine(confinement: float, x: Array) -> Array:
    return 0.5 * confinement * jnp.sum(x**2, axis=-1)


def _check(confinement: float, **sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
    if not (confinement >= 0 and math.isfinite(confinement)):
        raise ValueError(f"confinement must be finite and at least 0, got {confinement}")
