"""What a list of kernels costs on a GPU: a roofline for the time, three terms for the energy.

time = sum over kernels of max(FLOP / (eta_c peak), bytes / (eta_m bandwidth)) + launches * launch time
energy = idle power * time + e_flop * FLOP + e_byte * bytes

Matrix products run on the tensor units at the peak of the number format, other arithmetic (random numbers, optimiser,
activations) on the vector units at theirs, both at the same time within a kernel.

e_flop is not published. It is what is left of the power limit when a large matrix product runs at its sustained
rate, (TDP - idle) / (eta_c peak), because such a product runs at the power limit, and likewise for the vector units;
it holds the registers and caches that feed the arithmetic. A device without a rate for a format (A100: fp8) is refused.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ..price import Cost, Number, Price, larger, total


class Op(NamedTuple):
    """One fused kernel, or `launches` like it, all together: operations of matrix products, off-chip bytes, and
    `vector_flops`, operations that are no matrix product."""

    name: str
    flops: int
    bytes: int
    launches: int = 1
    vector_flops: int = 0


def peak_flops(gpu: Mapping[str, Number], number_format: str) -> Number:
    """Dense peak in FLOP/s. `gpu` is one section of gpu.toml, at some value of each rate."""
    key = f"peak_{number_format}_tflops"
    if key not in gpu:
        peaks = {name for name in gpu if name.startswith("peak_") and name.endswith("_tflops")} - {"peak_vector_tflops"}
        known = ", ".join(sorted(name[5:-7] for name in peaks))
        raise ValueError(f"number_format must be one that this GPU has ({known}), got {number_format!r}")
    return gpu[key] * 1e12


def sustained_flops(gpu: Mapping[str, Number], number_format: str, devices: int) -> Number:
    """FLOP/s that `devices` GPUs sustain: large products on one, training runs with their communication on many."""
    fraction = gpu["compute_fraction"] if devices == 1 else gpu["training_mfu"]
    return devices * fraction * peak_flops(gpu, number_format)


def flop_energy_j(gpu: Mapping[str, Number], number_format: str) -> Number:
    """Joules per FLOP: (TDP - idle) / (eta_c peak)."""
    return (gpu["tdp_w"] - gpu["idle_power_w"]) / (gpu["compute_fraction"] * peak_flops(gpu, number_format))


def vector_rate(gpu: Mapping[str, Number], devices: int) -> Number:
    """FLOP/s that the vector units of `devices` GPUs sustain."""
    return devices * gpu["compute_fraction"] * gpu["peak_vector_tflops"] * 1e12


def vector_energy_j(gpu: Mapping[str, Number]) -> Number:
    """Joules per FLOP of the vector units: (TDP - idle) / (eta_c peak)."""
    return (gpu["tdp_w"] - gpu["idle_power_w"]) / vector_rate(gpu, 1)


def devices_needed(state_bytes: int, gpu: Mapping[str, Number]) -> int:
    """The fewest GPUs whose memory holds `state_bytes` (16 B a parameter: weight, gradient, master, Adam's moments)."""
    return max(1, math.ceil(state_bytes / (gpu["memory_gb"] * 1e9)))


def seconds(ops: Sequence[Op], gpu: Mapping[str, Number], *, number_format: str = "bf16", devices: int = 1) -> Number:
    """Time of `ops` one after the other, each spread over `devices`."""
    compute = sustained_flops(gpu, number_format, devices)
    bandwidth = devices * gpu["bandwidth_fraction"] * gpu["memory_tb_per_s"] * 1e12
    vector = vector_rate(gpu, devices)
    launches = sum(op.launches for op in ops)
    work_s = sum(
        larger(larger(float(op.flops) / compute, float(op.vector_flops) / vector), float(op.bytes) / bandwidth)
        for op in ops
    )
    return work_s + launches * gpu["launch_us"] * 1e-6


def cost(
    ops: Sequence[Op],
    gpu: Mapping[str, Number],
    *,
    boundary: str = "chip",
    number_format: str = "bf16",
    devices: int = 1,
) -> Cost:
    """Joules and seconds of `ops`; at the array boundary only the arithmetic's joules count, the time is the same."""
    time_s = seconds(ops, gpu, number_format=number_format, devices=devices)
    items = {
        "digital_flops": float(sum(op.flops for op in ops)) * flop_energy_j(gpu, number_format),
        "vector_flops": float(sum(op.vector_flops for op in ops)) * vector_energy_j(gpu),
    }
    if boundary != "array":
        items["memory_bytes"] = float(sum(op.bytes for op in ops)) * gpu["memory_pj_per_byte"] * 1e-12
        items["standing"] = devices * gpu["idle_power_w"] * time_s
    return total(items, time_s)


def prices(gpu: Mapping[str, Number], *, number_format: str = "bf16", devices: int = 1) -> dict[str, Price]:
    """The GPU as a coprocessor beside an analog array: what a FLOP, a byte and a launch cost there.

    It is charged only while it works, as a share of a GPU that serves others meanwhile; its idle power in that time
    is charged by the caller from the same seconds.
    """
    bandwidth = devices * gpu["bandwidth_fraction"] * gpu["memory_tb_per_s"] * 1e12
    return {
        "digital_flops": Price(flop_energy_j(gpu, number_format), 1 / sustained_flops(gpu, number_format, devices)),
        "vector_flops": Price(vector_energy_j(gpu), 1 / vector_rate(gpu, devices)),
        "memory_bytes": Price(gpu["memory_pj_per_byte"] * 1e-12, 1 / bandwidth),
        "kernel_launches": Price(0.0, gpu["launch_us"] * 1e-6),
    }


def saturating_multiple(
    ops: Callable[[int], Sequence[Op]],
    batch: int,
    gpu: Mapping[str, float],
    *,
    number_format: str = "bf16",
    devices: int = 1,
) -> int:
    """The smallest power of two k at which doubling a batch of k * `batch` saves less than 5 % of the time per unit.

    At most 2**24, where something in `ops` grows without bound.
    """

    def per_unit(k: int) -> float:
        return seconds(ops(k * batch), gpu, number_format=number_format, devices=devices) / k

    k = 1
    while k < 2**24 and per_unit(2 * k) < 0.95 * per_unit(k):
        k *= 2
    return k
