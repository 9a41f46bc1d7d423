"""A uniform converter with clipping, ideal or with the errors it was built with."""

from dataclasses import dataclass
from math import factorial, pi
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from aimc.counts import Counts
from aimc.devices.base import Level, polynomial
from aimc.noise import normal
from aimc.readout.base import PerColumn, Readout

INL_HARMONICS = 8


class ConverterErrors(NamedTuple):
    """Frozen errors of converters; None is an error that does not exist. Input-referred, in units of full scale."""

    gain: Array | None = None
    offset: Array | None = None
    inl: Array | None = None  # (..., INL_HARMONICS)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class UniformADC(Readout):
    """`n_levels` equidistant signed codes (2**bits − 1, so that zero is one) over ±`full_scale`; sums beyond clip.

    code = round(clip(v) (n_levels − 1)/2) with v = u (1 + gain) + offset + INL(u). Frozen, one converter a column:
    `gain_std` and `offset_std` (Gaussian; offset in units of full scale), `inl_rms` (see `smooth_inl`; an LSB is
    2/(n_levels − 1) of full scale). Each is None, which costs nothing, or a level to sweep. Fresh: nothing but
    `noise`. Gradient: straight-through, (1 + gain + INL') inside the range and 0 outside. Source: textbook definition.
    """

    n_levels: Level = 255.0
    gain_std: Level | None = None
    offset_std: Level | None = None
    inl_rms: Level | None = None

    def fabricate(self, key: Key[Array, ""], shape: tuple[int, int]) -> ConverterErrors | None:
        """Gain, offset and INL of every column; None if none of them is asked for. Random: all of it, frozen."""
        if self.gain_std is None and self.offset_std is None and self.inl_rms is None:
            return None
        gain_key, offset_key, inl_key = jax.random.split(key, 3)
        return ConverterErrors(
            gain=None if self.gain_std is None else self.gain_std * normal(gain_key, shape),
            offset=None if self.offset_std is None else self.offset_std * normal(offset_key, shape),
            inl=None if self.inl_rms is None else inl_coefficients(inl_key, shape, self.inl_rms),
        )

    def read(
        self, key: Key[Array, ""], u: Float[Array, "*batch n_columns"], errors: Any, unit: Float[Array, "..."]
    ) -> Float[Array, "*batch n_columns"]:
        """The nearest level times `unit`. Not random: key is not used."""
        return quantize(distort(u, errors), self.n_levels, unit)

    def codes(
        self, key: Key[Array, ""], u: Float[Array, "*batch n_columns"], errors: Any, unit: PerColumn = 1.0
    ) -> Int[Array, "*batch n_columns"]:
        """Signed codes, ±(n_levels − 1)/2 at most."""
        return quantize(distort(u, errors), self.n_levels, 0.5 * (self.n_levels - 1.0)).astype(jnp.int32)

    def counts(self, n: int) -> Counts:
        """A conversion a column."""
        return Counts(adc_samples=n)


def quantize(x: Float[Array, "*shape"], n_levels: Level, unit: PerColumn = 1.0) -> Float[Array, "*shape"]:
    """Round to `n_levels` equidistant codes on [−1, 1], zero among them, clip beyond, and give them as multiples of
    `unit`.

    Straight-through: the derivative is `unit` inside the range and 0 outside (Bengio et al. 2013). `n_levels` is
    2**bits − 1 and may be traced; it gets no gradient.
    """
    half = 0.5 * (n_levels - 1.0)
    return _code(x, half) * (unit / half)  # a product by one reciprocal: divisions would cost more than the rounding


@jax.custom_jvp
def _code(x: Array, half: Level) -> Array:
    return jnp.round(jnp.clip(x, -1.0, 1.0) * half)


@_code.defjvp
def _code_jvp(primals, tangents):
    x, half = primals
    return _code(x, half), jnp.where(jnp.abs(x) <= 1.0, tangents[0] * half, 0.0)


def distort(u: Float[Array, "*batch n_columns"], errors: ConverterErrors | None) -> Float[Array, "*batch n_columns"]:
    """What an ideal quantiser would have to see to give the codes of one with these errors."""
    if errors is None:
        return u
    v = u if errors.gain is None else u * (1.0 + errors.gain)
    if errors.offset is not None:
        v = v + errors.offset
    return v if errors.inl is None else v + smooth_inl(u, errors.inl)


def inl_coefficients(key: Key[Array, ""], shape: tuple[int, ...], rms: Level) -> Float[Array, "..."]:
    """Random smooth INL of converters: (*shape, INL_HARMONICS) amplitudes c_m ∝ ξ_m / m of sin(m π (u + 1)/2).

    These are the first terms of the Karhunen–Loève series of a Brownian bridge: a random walk of the code widths
    (white DNL), referred to the straight line through its ends (Loève 1978). `rms` is over the range and over chips,
    in units of full scale. key is consumed.
    """
    order = jnp.arange(1, INL_HARMONICS + 1, dtype=jnp.float32)
    weight = jnp.sqrt(2.0 / jnp.sum(order**-2)) / order
    return rms * weight * normal(key, (*shape, INL_HARMONICS))


def smooth_inl(u: Float[Array, "*batch n_columns"], amplitudes: Float[Array, "..."]) -> Float[Array, "..."]:
    """Σ_m c_m sin(m π (u + 1)/2) by Clenshaw's recurrence: zero at both ends of the range and beyond."""
    angle = (0.5 * pi) * jnp.clip(u, -1.0, 1.0)
    square = angle * angle
    # Taylor series, below 1e-7 up to π/2: the library's sine costs more than all the rest.
    sine = angle * polynomial(tuple((-1.0) ** k / factorial(2 * k + 1) for k in range(6)), square)
    cosine = polynomial(tuple((-1.0) ** k / factorial(2 * k) for k in range(7)), square)
    twice_cosine = -2.0 * sine  # of the shifted angle m π (u + 1)/2
    term, older = jnp.zeros_like(u), jnp.zeros_like(u)
    for m in reversed(range(INL_HARMONICS)):
        term, older = amplitudes[..., m] + twice_cosine * term - older, term
    return term * cosine
