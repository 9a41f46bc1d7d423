"""What passes a layer while data is shown to it, in numbers of fixed size, whatever the amount of data."""

from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

N_BINS = 2048
LOW, HIGH = -24.0, 24.0  # log2 of the sizes that the first and the last bin hold


class Sizes(NamedTuple):
    """Of many numbers: how many, their mean square (as a sum), their largest size, and a histogram of log2 |x|."""

    n: Float[Array, ""]
    sum_of_squares: Float[Array, ""]
    largest: Float[Array, ""]
    histogram: Float[Array, " n_bins"]
    n_beyond: Float[Array, ""]
    """How many were larger than the range in force."""


class Seen(NamedTuple):
    """Of a layer: its inputs, the sums its converters were given (in fully-on cells), the digital product of the same
    inputs and weights, and what the arrays made of it less that (squared, summed)."""

    inputs: Sizes
    sums: Sizes
    driven: Float[Array, ""]
    """Σ of squares of the inputs as the rows are driven, full input being 1."""
    signal: Float[Array, ""]
    error: Float[Array, ""]
    n_vectors: Float[Array, ""]


class Monitor(nnx.Variable):
    """Holds a `Seen` while a model is watched."""


def nothing() -> Seen:
    """Before any data."""
    zero = jnp.zeros(())
    blank = Sizes(zero, zero, zero, jnp.zeros(N_BINS), zero)
    return Seen(blank, blank, zero, zero, zero, zero)


def add(sizes: Sizes, x: Array, largest: Array) -> Sizes:
    """The same with the entries of x; `largest` is the range they had to fit into."""
    size = jnp.abs(x.reshape(-1))
    bins = jnp.clip((jnp.log2(jnp.maximum(size, 2.0**LOW)) - LOW) / (HIGH - LOW) * N_BINS, 0, N_BINS - 1)
    return Sizes(
        sizes.n + size.size,
        sizes.sum_of_squares + jnp.sum(size * size),
        jnp.maximum(sizes.largest, jnp.max(size)),
        sizes.histogram.at[bins.astype(jnp.int32)].add(1.0),
        sizes.n_beyond + jnp.sum(jnp.abs(x) > largest),
    )


def percentile(sizes: Sizes, percent: float) -> Float[Array, ""]:
    """The size that `percent` of the numbers do not exceed: exact up to the width of a bin, 1.7 %, or the largest."""
    up_to = jnp.cumsum(sizes.histogram)
    index = jnp.searchsorted(up_to, percent / 100.0 * sizes.n)
    edge = 2.0 ** (LOW + (index + 1) * (HIGH - LOW) / N_BINS)
    return jnp.minimum(edge, sizes.largest)


def rms(sizes: Sizes) -> Float[Array, ""]:
    """Root of the mean square."""
    return jnp.sqrt(sizes.sum_of_squares / jnp.maximum(sizes.n, 1.0))
