"""The vocabulary of prices: every event that hardware can be charged for, with its unit and where it first counts.

The names are those of `aimc.counts.Counts`; a workload is a mapping from these names to whole numbers.
"""

from collections.abc import Mapping
from typing import NamedTuple

BOUNDARIES = ("array", "chip", "wall plug")
"""Nested, from inside out.

array: the arithmetic alone, whoever does it (cells, converters, and the arithmetic energy of digital operations);
chip: the whole device (buffers, memory traffic, periphery, standing power too);
wall plug: the chip times the rest of its computer times cooling.
"""


class Event(NamedTuple):
    """What is counted, in which unit, and the innermost boundary that pays for it."""

    meaning: str
    unit: str
    boundary: str


EVENTS: dict[str, Event] = {
    "analog_macs": Event("one input line times one weight, in one read", "MAC", "array"),
    "dac_samples": Event("one value driven onto an input line", "conversion", "array"),
    "adc_samples": Event("one output line turned into a multi-bit code", "conversion", "array"),
    "comparator_decisions": Event("one output line turned into one bit", "decision", "array"),
    "cam_searches": Event("one value compared with one row of a content-addressable memory", "comparison", "array"),
    "pulses": Event("one pulse or clock tick counted at an output line", "pulse", "array"),
    "array_cycles": Event("reads that have to follow each other: time, not energy", "cycle", "array"),
    "cell_writes": Event("one cell programmed, its drivers included", "cell", "array"),
    "write_cycles": Event("row writes that have to follow each other: time, not energy", "cycle", "array"),
    "digital_ops": Event("one scalar integer or activation operation beside the array", "operation", "array"),
    "digital_flops": Event("one floating-point operation of a digital matrix product", "FLOP", "array"),
    "vector_flops": Event("one floating-point operation of other digital work", "FLOP", "array"),
    "random_bits": Event("one random bit drawn", "bit", "array"),
    "buffer_bytes": Event("one byte through on-chip memory", "byte", "chip"),
    "pbit_updates": Event("one probabilistic bit drawn anew given its neighbours", "update", "array"),
    "node_reads": Event("the state of one probabilistic bit taken off the chip", "node", "chip"),
    "node_writes": Event("bias and couplings of one probabilistic bit put on the chip", "node", "chip"),
    "memory_bytes": Event("one byte to or from off-chip memory", "byte", "chip"),
    "kernel_launches": Event("one program started on a digital processor: time, not energy", "launch", "chip"),
}


def check(counts: Mapping[str, int]) -> None:
    """Raise ValueError, in one sentence, for an event that is not in the vocabulary or a count that is not >= 0."""
    unknown = sorted(set(counts) - set(EVENTS))
    if unknown:
        raise ValueError(f"unknown events {', '.join(unknown)}; known events are {', '.join(EVENTS)}")
    for name, count in counts.items():
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise ValueError(f"the count of {name} must be a whole number, at least 0, got {count!r}")
