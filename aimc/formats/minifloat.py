"""Floating point of few bits: sign, exponent, mantissa, subnormals, and what the largest codes mean."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from aimc.formats.base import Format


@dataclass(frozen=True)
class Minifloat(Format):
    """1 sign, `exponent_bits`, `mantissa_bits`; `largest` is the largest finite number.

    Rounds to nearest, ties to even, and saturates: what a hardware conversion for training does with numbers that are
    too large (OCP 8-bit Floating Point Specification, OFP8, rev. 1.0, 2023, section 5.2.1). Subnormals are kept.
    Raises ValueError for layouts that float32 cannot hold.
    """

    exponent_bits: int
    mantissa_bits: int
    largest: float

    def __post_init__(self) -> None:
        if not (1 <= self.exponent_bits <= 8 and 0 <= self.mantissa_bits <= 22):
            raise ValueError(
                "a minifloat has 1 to 8 exponent_bits and 0 to 22 mantissa_bits, got "
                f"{self.exponent_bits} and {self.mantissa_bits}"
            )

    @property
    def bits(self) -> float:
        """All of them."""
        return 1.0 + self.exponent_bits + self.mantissa_bits

    @property
    def bias(self) -> int:
        """Of the exponent: 2^(e − 1) − 1, which makes code 1 the smallest normal exponent."""
        return 2 ** (self.exponent_bits - 1) - 1

    @property
    def largest_exponent(self) -> int:
        """Of the largest number: floor(log2)."""
        exponent = 0
        while 2.0 ** (exponent + 1) <= self.largest:
            exponent += 1
        return exponent

    def round(self, x: Float[Array, "*shape"], axis: int = -1, *, is_gradient: bool = False) -> Float[Array, "*shape"]:
        """The nearest numbers of the format; axis does not matter."""
        if self.exponent_bits == 8:  # as wide as float32: its own conversion knows subnormals
            return jnp.clip(x, -self.largest, self.largest).astype(jnp.bfloat16).astype(jnp.float32)
        size = jnp.minimum(jnp.abs(x), self.largest)
        step = power_of_two(self._exponent(size) - self.mantissa_bits)
        return jnp.copysign(jnp.minimum(jnp.round(size / step) * step, self.largest), x)

    def encode(self, x: Float[Array, "*shape"]) -> UInt8[Array, "*shape"]:
        """The codes of the rounded numbers, sign first: for formats of at most 8 bits."""
        rounded = jnp.abs(self.round(x))
        exponent = self._exponent(rounded)
        units = (rounded / power_of_two(exponent - self.mantissa_bits)).astype(jnp.int32)  # with the leading 1
        # A subnormal has no leading 1, so that its exponent field falls to 0 by itself.
        code = units + ((exponent + self.bias - 1) << self.mantissa_bits)
        sign = jnp.signbit(x).astype(jnp.int32) << (self.exponent_bits + self.mantissa_bits)
        return (code + sign).astype(jnp.uint8)

    def decode(self, code: UInt8[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The numbers that codes of at most 8 bits stand for; nan and infinity where a code is one (E4M3: all ones;
        E5M2: as IEEE; the 6- and 4-bit formats have neither)."""
        code = code.astype(jnp.int32)
        mantissa = code & (2**self.mantissa_bits - 1)
        field = (code >> self.mantissa_bits) & (2**self.exponent_bits - 1)
        negative = (code >> (self.exponent_bits + self.mantissa_bits)) & 1
        exponent = jnp.maximum(field, 1) - self.bias - self.mantissa_bits
        units = jnp.where(field > 0, mantissa + 2**self.mantissa_bits, mantissa)
        value = units.astype(jnp.float32) * power_of_two(exponent)
        is_infinite = (value > self.largest) & (mantissa == 0)
        value = jnp.where(value > self.largest, jnp.where(is_infinite, jnp.inf, jnp.nan), value)
        return jnp.where(negative == 1, -value, value)

    def _exponent(self, size: Array) -> Array:
        """floor(log2 size), no less than that of the smallest normal number."""
        field = jax.lax.bitcast_convert_type(size.astype(jnp.float32), jnp.int32) >> 23
        return jnp.maximum(field - 127, 1 - self.bias)


@dataclass(frozen=True)
class Scaled(Format):
    """Minifloats with one scale a tensor, which puts the largest entry at the largest number: FP8 training with
    E4M3 forward and E5M2 for errors (Micikevicius et al. 2022), scaled at every use."""

    forward: Minifloat
    backward: Minifloat

    @property
    def bits(self) -> float:
        """Of a number; the scale of a whole tensor is nothing beside it."""
        return self.forward.bits

    def round(self, x: Float[Array, "*shape"], axis: int, *, is_gradient: bool = False) -> Float[Array, "*shape"]:
        """The nearest numbers of the format at a scale that is a power of two."""
        element = self.backward if is_gradient else self.forward
        largest = jnp.max(jnp.abs(x))
        field = jax.lax.bitcast_convert_type(largest, jnp.int32) >> 23
        exponent = jnp.clip(field - 127 - element.largest_exponent, -100, 100)
        scale = power_of_two(exponent)
        return element.round(x / scale) * scale


def power_of_two(exponent: Array) -> Array:
    """2^exponent by its bits; exact, where a library's exp2 may not be. Exponents of normal float32 numbers only."""
    return jax.lax.bitcast_convert_type((exponent + 127) << 23, jnp.float32)


E5M2 = Minifloat(5, 2, 57344.0)
E4M3 = Minifloat(4, 3, 448.0)
E3M2 = Minifloat(3, 2, 28.0)
E2M3 = Minifloat(2, 3, 7.5)
E2M1 = Minifloat(2, 1, 6.0)
BFLOAT16 = Minifloat(8, 7, 3.3895313892515355e38)
