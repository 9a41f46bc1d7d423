"""The logarithmic number system: products are additions of codes."""

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from aimc.formats.base import Format


@dataclass(frozen=True)
class Logarithmic(Format):
    """A sign and a code c of `total_bits` − 1 bits: ±scale · 2^(−c/`steps`), the scale being the tensor's largest size.

    As LNS-Madam trains with 8 bits and 8 steps an octave (Zhao et al. 2022); nearest in the logarithm. The last code
    stands for zero and takes what is below half a step under the smallest number.
    Raises ValueError for a layout that cannot be.
    """

    total_bits: int = 8
    steps: int = 8

    def __post_init__(self) -> None:
        if not 3 <= self.total_bits <= 8 or self.steps < 1:
            raise ValueError(
                f"Logarithmic has total_bits from 3 to 8 and at least 1 step, got {self.total_bits} and {self.steps}"
            )

    @property
    def bits(self) -> float:
        """Of a number; the scale of a whole tensor is nothing beside it."""
        return float(self.total_bits)

    @property
    def zero(self) -> int:
        """The code of zero."""
        return 2 ** (self.total_bits - 1) - 1

    def round(self, x: Float[Array, "*shape"], axis: int, *, is_gradient: bool = False) -> Float[Array, "*shape"]:
        """The nearest numbers of the format; axis does not matter."""
        scale = self.scale(x)
        return self.decode(self.encode(x, scale), scale)

    def scale(self, x: Float[Array, "*shape"]) -> Float[Array, ""]:
        """Of a tensor: its largest size, 1 if that is zero."""
        largest = jnp.max(jnp.abs(x))
        return jnp.where(largest > 0, largest, 1.0)

    def encode(self, x: Float[Array, "*shape"], scale: Float[Array, ""]) -> UInt8[Array, "*shape"]:
        """The codes, sign first."""
        size = jnp.abs(x) / scale
        code = jnp.round(-self.steps * jnp.log2(jnp.maximum(size, 2.0**-120)))
        code = jnp.clip(code, 0, self.zero).astype(jnp.int32)
        return (code + (jnp.signbit(x).astype(jnp.int32) << (self.total_bits - 1))).astype(jnp.uint8)

    def decode(self, code: UInt8[Array, "*shape"], scale: Float[Array, ""]) -> Float[Array, "*shape"]:
        """The numbers that codes stand for."""
        size_code = code.astype(jnp.int32) & self.zero
        size = jnp.where(size_code == self.zero, 0.0, scale * jnp.exp2(-size_code.astype(jnp.float32) / self.steps))
        return jnp.where(code >> (self.total_bits - 1) == 1, -size, size)
