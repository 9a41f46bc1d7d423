"""What one step of persistent contrastive divergence asks of the hardware, as exact Python ints from shapes."""

from dataclasses import replace
from math import ceil
from typing import NamedTuple

from aimc.counts import ADAM_BYTES, ADAM_FLOPS, Counts, matmul_counts, program_counts

RANDOM_BITS = 32  # a unit: one threefry word
PHILOX_OPS = 20  # integer operations a 32-bit word: ten rounds of about 8 make four words (Salmon et al. 2011)
ACTIVATION_OPS = 3  # a drawn unit: add the bias, sigmoid, compare


class Operation(NamedTuple):
    """One fused operation of a digital computer: matrix and other arithmetic, and bytes moved to and from memory."""

    name: str
    flops: int
    vector_flops: int
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
    with bias sums, and Adam are digital, their operands passing through on-chip memory. All weights are written once
    a step: an upper bound, since a real programmer skips weights that move less than a level.
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
        digital_flops=_gradient_flops(n_visible, n_hidden, batch + chains),
        vector_flops=_update_flops(_parameters(n_visible, n_hidden)),
        buffer_bytes=2 * (batch + chains) * (n_visible + n_hidden) + ADAM_BYTES * _parameters(n_visible, n_hidden),
    )
    return reads + digital + program_counts(n_visible, n_hidden, rows=rows)


def pcd_step_operations(
    n_visible: int, n_hidden: int, *, batch: int, chains: int, gibbs_steps: int, bytes_per_value: int = 2
) -> list[Operation]:
    """The same step as a well-written GPU program runs it, for a roofline: one kernel for the sampling, one for Adam.

    Weights and chains stay on chip during all sweeps, and random numbers (Philox, Salmon et al. 2011) are made where
    they are used, so the first kernel reads data, chains and parameters and writes chains and both statistics, once
    each. That holds for models whose weights fit into the on-chip memory of a GPU; for others it flatters the GPU.
    Raises ValueError when a size is below 1.
    """
    _check(n_visible, n_hidden, batch, chains, gibbs_steps)
    if bytes_per_value < 1:
        raise ValueError(f"bytes_per_value must be at least 1, got {bytes_per_value}")
    n_parameters = _parameters(n_visible, n_hidden)
    n_products = 2 * chains * gibbs_steps + batch + chains
    n_drawn_units = chains * gibbs_steps * (n_visible + n_hidden)
    n_probabilities = (batch + chains) * n_hidden
    n_values = batch * n_visible + 2 * chains * (n_visible + n_hidden) + 3 * n_parameters
    return [
        Operation(
            "sweeps and statistics",
            flops=2 * n_products * n_visible * n_hidden + _gradient_flops(n_visible, n_hidden, batch + chains),
            vector_flops=(PHILOX_OPS + ACTIVATION_OPS) * n_drawn_units + (ACTIVATION_OPS - 1) * n_probabilities,
            bytes=bytes_per_value * n_values,
        ),
        Operation("Adam", flops=0, vector_flops=_update_flops(n_parameters), bytes=ADAM_BYTES * n_parameters),
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


def _update_flops(n_parameters: int) -> int:
    """Data minus chain statistics, then Adam."""
    return (ADAM_FLOPS + 1) * n_parameters


def _gradient_flops(n_visible: int, n_hidden: int, n_rows: int) -> int:
    """Sums over rows of v h^T (multiply and add) and of v and h (add)."""
    return n_rows * (2 * n_visible * n_hidden + n_visible + n_hidden)


def _check(*sizes: int) -> None:
    names = ("n_visible", "n_hidden", "batch", "chains", "gibbs_steps", "rows", "cols")
    for name, size in zip(names, sizes, strict=False):
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
