"""What one step of persistent contrastive divergence asks of the hardware, as exact Python ints from shapes."""

from dataclasses import replace
from math import ceil
from typing import NamedTuple

from aimc.counts import Counts, matmul_counts, program_counts

ADAM_FLOPS = 12  # a parameter: two moments (7), their corrections and the step (5)
RANDOM_BITS = 32  # a unit: one threefry word
THREEFRY_OPS = 120  # integer operations a 32-bit word: 20 rounds of 5, key injections (Salmon et al. 2011)
ACTIVATION_OPS = 3  # a drawn unit: add the bias, sigmoid, compare


class Operation(NamedTuple):
    """One fused operation of a digital computer: `flops` of arithmetic and `bytes` moved to and from memory."""

    name: str
    flops: int
    bytes: int


def pcd_step_counts(
    n_visible: int,
    n_hidden: int,
    *,
    batch: int,
    chains: int,
    gibbs_steps: int,
    rows: int = 256,
    cols: int = 256,
) -> Counts:
    """One PCD step whose products run on crossbar tiles that hold W once and are read in both directions.

    Negative phase: every chain takes `gibbs_steps` sweeps, each a read v W and a read h W^T; units are bits, so each
    input conversion is one bit, counted in `dac_samples`. Outputs pass an ADC and the digital side adds partial
    sums, bias, sigmoid and comparison (one random word a unit). Positive phase: one read of every data row, and one
    of every chain's last state, for the hidden probabilities of the gradient, which needs no random numbers.
    Chains follow each other on the one array, so `array_cycles` is every read. The gradient, two outer products
    with bias sums, and Adam are digital. All weights are written once a step: an upper bound, since a real
    programmer skips weights that move less than a level.
    Raises ValueError when a size is below 1.
    """
    _check(n_visible, n_hidden, batch, chains, gibbs_steps, rows, cols)
    drawn = chains * gibbs_steps
    forward = _read(n_visible, n_hidden, rows, cols)
    backward = _read(n_hidden, n_visible, cols, rows)
    reads = (drawn + batch + chains) * forward + drawn * backward
    n_drawn_units = drawn * (n_visible + n_hidden)
    n_probabilities = (batch + chains) * n_hidden
    digital = Counts(
        digital_ops=ACTIVATION_OPS * n_drawn_units + (ACTIVATION_OPS - 1) * n_probabilities,
        random_bits=RANDOM_BITS * n_drawn_units,
        digital_flops=_gradient_flops(n_visible, n_hidden, batch + chains)
        + ADAM_FLOPS * _parameters(n_visible, n_hidden),
    )
    return reads + digital + program_counts(n_visible, n_hidden, rows=rows)


def pcd_step_operations(
    n_visible: int,
    n_hidden: int,
    *,
    batch: int,
    chains: int,
    gibbs_steps: int,
    bytes_per_value: int = 4,
) -> list[Operation]:
    """The same step as a digital computer would run it, operation after operation, for a roofline.

    Each product reads its inputs and weights and writes its outputs once; bias, sigmoid and comparison ride on the
    product that feeds them. Random numbers are written once by the generator and read once by their product, 4 bytes
    each whatever `bytes_per_value` (4 for float32, 2 for bfloat16) of states, weights and gradients. Adam keeps two
    moments and its parameters in float32. Nothing is assumed to stay in a cache between operations.
    Raises ValueError when a size is below 1.
    """
    _check(n_visible, n_hidden, batch, chains, gibbs_steps)
    if bytes_per_value < 1:
        raise ValueError(f"bytes_per_value must be at least 1, got {bytes_per_value}")

    def product(name: str, n_rows: int, n_in: int, n_out: int, ops: int, random: bool) -> Operation:
        n_values = n_rows * n_in + n_in * n_out + n_out + n_rows * n_out
        return Operation(
            name,
            2 * n_rows * n_in * n_out + ops * n_rows * n_out,
            bytes_per_value * n_values + (4 * n_rows * n_out if random else 0),
        )

    def random_numbers(n_numbers: int) -> Operation:
        return Operation("random numbers", THREEFRY_OPS * n_numbers, 4 * n_numbers)

    sweep = [
        random_numbers(chains * n_hidden),
        product("hidden draw", chains, n_visible, n_hidden, ACTIVATION_OPS, True),
        random_numbers(chains * n_visible),
        product("visible draw", chains, n_hidden, n_visible, ACTIVATION_OPS, True),
    ]
    n_parameters = _parameters(n_visible, n_hidden)
    gradient = [
        Operation(
            name,
            _gradient_flops(n_visible, n_hidden, n_rows),
            bytes_per_value * (n_rows * (n_visible + n_hidden) + n_parameters),
        )
        for name, n_rows in (("data statistics", batch), ("chain statistics", chains))
    ]
    return [
        *(gibbs_steps * sweep),
        product("data probabilities", batch, n_visible, n_hidden, ACTIVATION_OPS - 1, False),
        product("chain probabilities", chains, n_visible, n_hidden, ACTIVATION_OPS - 1, False),
        *gradient,
        Operation(
            "Adam",
            (ADAM_FLOPS + 1) * n_parameters,  # one more for data minus chain statistics
            n_parameters * (6 * 4 + 2 * bytes_per_value),  # moments and parameters in and out; both statistics in
        ),
    ]


def _read(n_in: int, n_out: int, rows: int, cols: int) -> Counts:
    """One vector of bits through the array; the digital side only adds the partial sums of the row tiles."""
    row_tiles, col_tiles = ceil(n_in / rows), ceil(n_out / cols)
    return replace(
        matmul_counts(1, n_in, n_out, rows=rows, cols=cols),
        digital_ops=(row_tiles - 1) * n_out,
        buffer_bytes=ceil(n_in / 8) * col_tiles + 2 * n_out * row_tiles,
    )


def _parameters(n_visible: int, n_hidden: int) -> int:
    return n_visible * n_hidden + n_visible + n_hidden


def _gradient_flops(n_visible: int, n_hidden: int, n_rows: int) -> int:
    """Sums over rows of v h^T (multiply and add) and of v and h (add)."""
    return n_rows * (2 * n_visible * n_hidden + n_visible + n_hidden)


def _check(*sizes: int) -> None:
    names = ("n_visible", "n_hidden", "batch", "chains", "gibbs_steps", "rows", "cols")
    for name, size in zip(names, sizes, strict=False):
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
