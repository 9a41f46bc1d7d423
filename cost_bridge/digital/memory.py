"""The memory wall: when the state of a model outgrows a device, and what separating capacity from bandwidth buys.

Arithmetic only, except where years are compared: arrays pass through.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from ..price import Number, larger

ADAM_STATE_BYTES = 16.0
"""Weight, gradient, 32-bit master copy and Adam's two moments, mixed precision (Rajbhandari 2020, ZeRO)."""


def state_gb(parameters: Number, *, bytes_per_parameter: Number = ADAM_STATE_BYTES) -> Number:
    """What training has to hold besides activations."""
    return parameters * bytes_per_parameter / 1e9


def wall_year(
    years: Sequence[float], parameters: Sequence[float], capacity_gb: float, bytes_per_parameter: float
) -> float:
    """When the state of the largest model first exceeds one device, interpolated between models on a log scale.

    Models in order of `years`. Infinity where it never does; the first year where it always did.
    """
    limit = capacity_gb * 1e9 / bytes_per_parameter
    if parameters[0] >= limit:
        return years[0]
    for (y0, p0), (y1, p1) in zip(
        zip(years, parameters, strict=True), zip(years[1:], parameters[1:], strict=False), strict=False
    ):
        if p0 < limit <= p1:
            return y0 + (y1 - y0) * math.log(limit / p0) / math.log(p1 / p0)
    return math.inf


class Device(NamedTuple):
    """What a kernel meets: FLOP/s, bytes/s and capacity in GB."""

    flops: Number
    bytes_per_s: Number
    memory_gb: Number


def roofline_s(flops: Number, moved_bytes: Number, device: Device) -> Number:
    """The longer of computing and moving (Williams 2009)."""
    return larger(flops / device.flops, moved_bytes / device.bytes_per_s)


def balance(device: Device) -> Number:
    """FLOP per byte at which a kernel is bound by both."""
    return device.flops / device.bytes_per_s


def decoupled(device: Device, *, bandwidth_gain: Number = 1.0, capacity_gain: Number = 1.0) -> Device:
    """The device with its memory on a photonic fabric: capacity and bandwidth chosen apart (Faraboschi 2024, 3.6)."""
    return Device(device.flops, device.bytes_per_s * bandwidth_gain, device.memory_gb * capacity_gain)


def devices_to_hold(gb: Number, device: Device) -> Number:
    """How many devices' memories `gb` fills, not rounded."""
    return gb / device.memory_gb
