"""Number formats that share a scale among a block: bits per value, and memory saved.

MX of Rouhani 2023 (shared microexponents): 1 sign + m mantissa bits, 8 bits of scale in a block of 16 and 1 bit of
second-level scale in pairs. OCP Microscaling 1.0: an element format and one 8-bit scale in a block of 32.
"""

from typing import NamedTuple

from ..price import Number


class Format(NamedTuple):
    """element_bits with their own sign; scale_bits shared by `block` values; pair_bits shared by two."""

    name: str
    element_bits: Number
    scale_bits: Number = 0.0
    block: Number = 1.0
    pair_bits: Number = 0.0


FORMATS = {
    one.name: one
    for one in (
        Format("FP32", 32.0),
        Format("BF16", 16.0),
        Format("FP8", 8.0),
        Format("MX4", 3.0, 8.0, 16.0, 1.0),
        Format("MX6", 5.0, 8.0, 16.0, 1.0),
        Format("MX9", 8.0, 8.0, 16.0, 1.0),
        Format("MXFP4", 4.0, 8.0, 32.0),
        Format("MXFP6", 6.0, 8.0, 32.0),
        Format("MXFP8", 8.0, 8.0, 32.0),
    )
}
"""Rouhani 2023, Table 2 (MX4, MX6, MX9) and OCP Microscaling specification 1.0 (MXFP4, MXFP6, MXFP8)."""


def bits(one: Format) -> Number:
    """Average bits of a value with its share of the scales."""
    return one.element_bits + one.scale_bits / one.block + one.pair_bits / 2


def memory_saved(one: Format, before: Format = FORMATS["BF16"]) -> Number:
    """Fraction of the memory of values in `before` that `one` does not need."""
    return 1 - bits(one) / bits(before)


def state_saved(one: Format, *, bytes_per_parameter: Number = 16.0) -> Number:
    """Fraction of Adam's whole state saved when 16-bit weights and gradients become `one` and the rest stays."""
    return 2 * (2 - bits(one) / 8) / bytes_per_parameter
