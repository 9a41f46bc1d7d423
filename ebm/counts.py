"""What sampling and training ask of the hardware, as exact Python ints from shapes: on crossbars and on p-bit chips.

Counts only; `cost_bridge.sampling` has the prices.
"""

from dataclasses import replace
from fractions import Fraction
from math import ceil, isfinite
from typing import NamedTuple

from aimc.counts import ADAM_BYTES, ADAM_FLOPS, Counts, matmul_counts, program_counts

RANDOM_BITS = 32  # a unit: one threefry word
PHILOX_OPS = 20  # integer operations a 32-bit word: ten rounds of about 8 make four words (Salmon et al. 2011)
ACTIVATION_OPS = 3  # a drawn unit: add the bias, sigmoid, compare
NEURONS = ("adc", "comparator")
NOTHING = Counts()
LEAST_SWEEPS = 50
"""Sweeps a chain needs per autocorrelation time before that time may be believed (after Sokal 1997, who asks for a
run of many τ; the estimate of a chain that is stuck is too low)."""


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
    neuron: str = "adc",
    random_bits: int = RANDOM_BITS,
) -> Counts:
    """One PCD step whose products run on crossbar tiles that hold W once and are read in both directions.

    Negative phase: every chain takes `gibbs_steps` sweeps, each a read v W and a read h W^T; units are bits, so each
    input conversion is one bit, counted in `dac_samples`. Outputs pass an ADC and the digital side adds partial
    sums, bias, sigmoid and comparison (one random word a unit). Positive phase: one read of every data row, and one
    of every chain's last state, for the hidden probabilities of the gradient, which needs no random numbers.
    Chains follow each other on the one array, so `array_cycles` is every read. The gradient, two outer products
    with bias sums, and Adam are digital, their operands passing through on-chip memory. All weights are written once
    a step: an upper bound, since a real programmer skips weights that move less than a level. With `neuron`
    "comparator" the sweeps are those of `sweep_counts`, while the gradient's probabilities still need a converter.
    Raises ValueError when a size is below 1, for another neuron, and as `sweep_counts` for comparators.
    """
    _check(n_visible, n_hidden, batch, chains, gibbs_steps, rows, cols)
    drawn = chains * gibbs_steps
    reads = drawn * sweep_counts(n_visible, n_hidden, rows=rows, cols=cols, neuron=neuron, random_bits=random_bits)
    reads += (batch + chains) * _read(n_visible, n_hidden, rows, cols)
    n_probabilities = (batch + chains) * n_hidden
    digital = Counts(
        digital_ops=(ACTIVATION_OPS - 1) * n_probabilities,
        digital_flops=_gradient_flops(n_visible, n_hidden, batch + chains),
        vector_flops=_update_flops(_parameters(n_visible, n_hidden)),
        buffer_bytes=2 * (batch + chains) * (n_visible + n_hidden) + ADAM_BYTES * _parameters(n_visible, n_hidden),
    )
    return reads + digital + program_counts(n_visible, n_hidden, rows=rows)


def sweep_counts(
    n_visible: int,
    n_hidden: int,
    *,
    rows: int = 256,
    cols: int = 256,
    chains: int = 1,
    neuron: str = "adc",
    random_bits: int = RANDOM_BITS,
) -> Counts:
    """One Gibbs sweep of every chain on one array: a read from each side and a decision for every unit.

    "adc": outputs are converted and the digital side adds partial sums and bias, takes the sigmoid and compares it with
    a number of `random_bits` bits. "comparator": every unit is one decision, of noise that physics supplies: no
    conversion, no random bits, no digital work. It decides on one analog sum, so one array must hold all units: this
    counts what `ebm.analog.program` can build. Chains follow each other.
    Raises ValueError when a size is below 1, for another neuron, and for comparators on an array with fewer rows than
    visible or fewer columns than hidden units.
    """
    _check(n_visible, n_hidden, rows=rows, cols=cols, chains=chains, random_bits=random_bits)
    if neuron not in NEURONS:
        raise ValueError(f"neuron must be one of {', '.join(NEURONS)}, got {neuron!r}")
    reads = _read(n_visible, n_hidden, rows, cols) + _read(n_hidden, n_visible, cols, rows)
    units = n_visible + n_hidden
    if neuron == "adc":
        drawn = Counts(digital_ops=ACTIVATION_OPS * units, random_bits=random_bits * units)
        return chains * (reads + drawn)
    for side, n, lines in (("rows", n_visible, rows), ("cols", n_hidden, cols)):
        if n > lines:
            raise ValueError(
                f"neuron='comparator' decides on one analog sum, so {side} must hold all {n} inputs, got {lines}"
            )
    codes = ceil(n_visible / 8) + ceil(n_hidden / 8)
    decided = replace(reads, adc_samples=0, digital_ops=0, buffer_bytes=codes, comparator_decisions=units)
    return chains * decided


def pbit_counts(nodes: int, *, sweeps: int, chains: int = 1, reads: int = 0, writes: int = 0) -> Counts:
    """`chains` runs of `sweeps` sweeps of a chip of p-bits: every node updated once a sweep, chain after chain.

    `reads`: how often the state of all nodes is taken off the chip; `writes`: how often the parameters of all nodes are
    put on it. Raises ValueError for no nodes, sweeps or chains, or negative reads or writes.
    """
    for name, size, least in (
        ("nodes", nodes, 1),
        ("sweeps", sweeps, 1),
        ("chains", chains, 1),
        ("reads", reads, 0),
        ("writes", writes, 0),
    ):
        if size < least:
            raise ValueError(f"{name} must be at least {least}, got {size}")
    return Counts(
        pbit_updates=chains * sweeps * nodes,
        array_cycles=chains * sweeps,
        node_reads=reads * nodes,
        node_writes=writes * nodes,
    )


def pbit_step_counts(n_visible: int, n_hidden: int, *, chains: int, gibbs_steps: int) -> Counts:
    """The negative phase of one PCD step on a chip of p-bits, as if the RBM's graph fitted on it: `gibbs_steps` sweeps
    of every chain, every chain read out once, and all parameters written once.

    Chains take turns on one chip, which has to be given the state of each when its turn comes; that is left out. The
    gradient and the optimiser are digital and the same as anywhere: see `pcd_step_counts`.
    """
    _check(n_visible, n_hidden, chains=chains, gibbs_steps=gibbs_steps)
    return pbit_counts(n_visible + n_hidden, sweeps=gibbs_steps, chains=chains, reads=chains, writes=1)


def per_effective_sample(
    sweep: Counts, *, tau: float, n_sweeps: int, burn_in: int = 0, readout: Counts = NOTHING
) -> Counts:
    """What one independent sample costs: τ sweeps with their share of the burn-in, and its read-out once.

    `sweep`: the counts of one sweep, conversions that happen in every sweep included. `readout`: what taking one state
    off the machine costs; a chip of p-bits pays it in `node_reads`, a crossbar's units are digital already. `tau`:
    integrated autocorrelation time in sweeps, n_effective = n / τ, so 1 for independent samples. `n_sweeps`: length of
    the chain it was estimated from, burn-in left out: n sweeps are n / τ samples, so that each of them bears
    τ · burn_in / n sweeps of the burn-in. Events of the sweeps are rounded up. Raises ValueError for a chain shorter
    than 50 τ, whose τ nobody should believe, for a τ that is no positive number, and for a `sweep` that reads nodes.
    """
    if sweep.node_reads:
        raise ValueError(
            f"sweep must hold no node_reads, which an effective sample needs once and not τ times, got "
            f"{sweep.node_reads}; pass them as readout"
        )
    if not (isfinite(tau) and tau > 0):
        raise ValueError(f"tau must be a positive number of sweeps, got {tau}")
    if burn_in < 0:
        raise ValueError(f"burn_in must be at least 0 sweeps, got {burn_in}")
    if n_sweeps < LEAST_SWEEPS * tau:
        raise ValueError(
            f"n_sweeps={n_sweeps} is shorter than {LEAST_SWEEPS} autocorrelation times of tau={tau:g}, too short to "
            f"believe that time; run at least {ceil(LEAST_SWEEPS * tau)} sweeps"
        )
    sweeps = Fraction(tau) * (1 + Fraction(burn_in, n_sweeps))
    return Counts(**{event: ceil(count * sweeps) for event, count in sweep.as_dict().items()}) + readout


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


def _check(*sizes: int, **named: int) -> None:
    names = ("n_visible", "n_hidden", "batch", "chains", "gibbs_steps", "rows", "cols")
    for name, size in [*zip(names, sizes, strict=False), *named.items()]:
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
