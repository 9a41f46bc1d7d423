"""OCP microscaling (MX): 32 small numbers share one power of two."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from aimc.formats.base import Format
from aimc.formats.minifloat import Minifloat, power_of_two

LARGEST_INT8 = 127.0 / 64.0  # a sign, one integer bit and six fraction bits; −2 is left unused, as the spec allows


@dataclass(frozen=True)
class Microscaling(Format):
    """Blocks of `block` numbers along the summed axis with a shared scale X = 2^(floor(log2 max|v|) − e_max), e_max the
    exponent of the element's largest number; elements are the nearest to v/X, saturated (OCP Microscaling Formats
    Specification v1.0, 2023, section 6.3). `element`: a `Minifloat`, or None for INT8 (code/64). The last block of an
    axis may be short. Raises ValueError for a block that cannot be.

    Scales span 2^−126 to 2^127; the specification's 2^−127 would be a subnormal float32.
    """

    element: Minifloat | None
    block: int = 32

    def __post_init__(self) -> None:
        if self.block < 1:
            raise ValueError(f"Microscaling.block must be at least 1, got {self.block}")

    @property
    def bits(self) -> float:
        """An element and its share of the 8-bit scale."""
        return (8.0 if self.element is None else self.element.bits) + 8.0 / self.block

    def round(self, x: Float[Array, "*shape"], axis: int, *, is_gradient: bool = False) -> Float[Array, "*shape"]:
        """The nearest numbers of the format, scales shared along `axis`."""
        blocks, n = self._blocks(x, axis)
        scale = power_of_two(self._scale_exponent(blocks))
        rounded = self._element(blocks / scale) * scale
        flat = rounded.reshape(*rounded.shape[:-2], -1)[..., :n]
        return jnp.moveaxis(flat, -1, axis)

    def encode(self, x: Float[Array, " n"]) -> tuple[UInt8[Array, " n_blocks"], UInt8[Array, " n"]]:
        """The E8M0 scales and the element codes of one vector."""
        blocks, n = self._blocks(x, -1)
        exponent = self._scale_exponent(blocks)
        elements = self._element(blocks / power_of_two(exponent))
        if self.element is None:
            codes = (elements * 64.0).astype(jnp.int8).astype(jnp.uint8)
        else:
            codes = self.element.encode(elements)
        return (exponent[..., 0] + 127).astype(jnp.uint8), codes.reshape(-1)[:n]

    def decode(self, scales: UInt8[Array, " n_blocks"], codes: UInt8[Array, " n"]) -> Float[Array, " n"]:
        """The numbers they stand for; a scale of 255 is nan."""
        if self.element is None:
            elements = codes.astype(jnp.int8).astype(jnp.float32) / 64.0
        else:
            elements = self.element.decode(codes)
        scale = jnp.where(scales == 255, jnp.nan, power_of_two(scales.astype(jnp.int32) - 127))
        return elements * jnp.repeat(scale, self.block)[: codes.shape[0]]

    def _blocks(self, x: Array, axis: int) -> tuple[Array, int]:
        moved = jnp.moveaxis(x, axis, -1)
        n = moved.shape[-1]
        padded = jnp.pad(moved, [(0, 0)] * (moved.ndim - 1) + [(0, -n % self.block)])
        return padded.reshape(*moved.shape[:-1], -1, self.block), n

    def _scale_exponent(self, blocks: Array) -> Array:
        largest = jnp.max(jnp.abs(blocks), axis=-1, keepdims=True)
        field = jax.lax.bitcast_convert_type(largest, jnp.int32) >> 23
        reach = 0 if self.element is None else self.element.largest_exponent
        return jnp.clip(field - 127 - reach, -126, 127)

    def _element(self, x: Array) -> Array:
        if self.element is not None:
            return self.element.round(x)
        return jnp.clip(jnp.round(x * 64.0) / 64.0, -LARGEST_INT8, LARGEST_INT8)
