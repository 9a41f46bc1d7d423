"""What a workload asks of the hardware, counted on the host from shapes: exact Python ints, never traced.

Counts are kept outside `jit` because device integers are 32 bits wide and one GPT-3 step is 2e21 operations.
Prices live elsewhere: `cost_bridge.price` takes `counts.as_dict()`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aimc.program import State
    from aimc.spec import CrossbarSpec

ADAM_FLOPS = 12
"""A parameter and step: two moments (7), their corrections and the step (5)."""
ADAM_BYTES = 28
"""A parameter and step: gradient and weight in bfloat16, a float32 master copy and two moments, read and written."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Numbers of hardware events. Add them, or multiply by an int to repeat a workload.

    On the array: `analog_macs` (one input line times one weight, i.e. one differential pair, in one read),
    `dac_samples` and `adc_samples` (conversions), `comparator_decisions` (1-bit readouts), `cam_searches` (rows of a
    content-addressable memory that one value is compared with), `pulses` (spikes or clock ticks counted at an output),
    `array_cycles` (reads that have to follow each other: this is time, not energy),
    `cell_writes` (cells programmed) and `write_cycles` (row writes that have to follow each other).

    Beside the array: `digital_ops` (scalar integer or activation operations), `digital_flops` (matrix products),
    `vector_flops` (floating-point work that is no matrix product, such as an optimiser's), `random_bits` drawn,
    `buffer_bytes` moved through on-chip memory.

    On a chip of probabilistic bits: `pbit_updates` (one node drawn anew given its neighbours), `node_reads` (one node's
    state taken off the chip) and `node_writes` (the parameters of one node, its bias and couplings, put on it).

    On a digital computer, in addition: `memory_bytes` (off-chip traffic) and `kernel_launches`.
    """

    analog_macs: int = 0
    dac_samples: int = 0
    adc_samples: int = 0
    comparator_decisions: int = 0
    cam_searches: int = 0
    pulses: int = 0
    array_cycles: int = 0
    cell_writes: int = 0
    write_cycles: int = 0
    digital_ops: int = 0
    digital_flops: int = 0
    vector_flops: int = 0
    random_bits: int = 0
    buffer_bytes: int = 0
    pbit_updates: int = 0
    node_reads: int = 0
    node_writes: int = 0
    memory_bytes: int = 0
    kernel_launches: int = 0

    def __post_init__(self) -> None:
        for name, count in self.as_dict().items():
            if not isinstance(count, int) or count < 0:
                raise ValueError(f"Counts.{name} must be a whole number of events, at least 0, got {count!r}")

    def __add__(self, other: "Counts") -> "Counts":
        mine, theirs = self.as_dict(), other.as_dict()
        return Counts(**{name: mine[name] + theirs[name] for name in mine})

    def __mul__(self, times: int) -> "Counts":
        return Counts(**{name: count * times for name, count in self.as_dict().items()})

    __rmul__ = __mul__

    def as_dict(self) -> dict[str, int]:
        """Every event by name, zeros included."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def tiles(n_in: int, n_out: int, *, rows: int, cols: int) -> int:
    """Tiles of rows × cols weights that an n_in × n_out matrix occupies; this is capacity, hence area."""
    return ceil(n_in / rows) * ceil(n_out / cols)


def matmul_counts(
    batch: int, n_in: int, n_out: int, *, rows: int, cols: int, n_slices: int = 1, n_planes: int = 1
) -> Counts:
    """One product of `batch` vectors with an n_in × n_out matrix on tiles of rows × cols weights.

    All tiles and slices read at once and vector follows vector, bit plane follows bit plane, so a product takes
    batch · n_planes cycles. Every row of every tile has its input conversion, every column of every tile its output
    conversion (slices have columns of their own). Digital work per vector: the largest input (n_in compares), its
    division (n_in), and one addition or scale a conversion. One byte an input code, two an output code.
    """
    row_tiles, col_tiles = ceil(n_in / rows), n_slices * ceil(n_out / cols)
    driven, converted = n_in * col_tiles * n_planes, n_out * n_slices * row_tiles * n_planes
    return Counts(
        analog_macs=batch * n_in * n_out * n_slices * n_planes,
        dac_samples=batch * driven,
        adc_samples=batch * converted,
        array_cycles=batch * n_planes,
        digital_ops=batch * (2 * n_in + converted),
        buffer_bytes=batch * (driven + 2 * converted),
    )


def read_counts(spec: "CrossbarSpec", batch: int, n_in: int, n_out: int) -> Counts:
    """The same for an array as specified: its mapping, its inputs, its readout.

    A dummy column is read and not converted; an offset subtracted digitally costs the sum of the inputs and one
    operation an output.
    """
    mapping, n_planes = spec.mapping, spec.inputs.n_planes
    counts = matmul_counts(
        batch, n_in, n_out, rows=spec.rows, cols=spec.cols, n_slices=mapping.n_slices, n_planes=n_planes
    )
    extra = 0
    if mapping.encoding == "offset_column":
        blocks = mapping.n_slices * ceil(n_out / spec.cols)
        counts += Counts(analog_macs=batch * n_in * blocks * n_planes)
    elif mapping.encoding == "offset_digital":
        extra = batch * n_planes * (n_in + n_out)
    converted = spec.readout.counts(counts.adc_samples)
    return replace(counts, adc_samples=0, digital_ops=counts.digital_ops + extra) + converted


def write_counts(state: "State") -> Counts:
    """What programming this array took: the writes of its cells and the row cycles they needed, as they happened.

    With write-verify every write, and with slices of remainders every cell of all slices but the last, is followed by a
    read of the one cell, a conversion and a comparison. Raises jax's error for a state that is traced.
    """
    mapping, n_writes = state.spec.mapping, int(state.n_writes)
    read_back = n_writes if state.spec.verify is not None else 0
    if mapping.residual:
        tiles, rows, columns = state.g.shape
        sides = 2 if mapping.encoding in ("one_sided", "two_sided") else 1
        read_back += sides * tiles * rows * columns * (mapping.n_slices - 1) // mapping.n_slices
    return Counts(
        cell_writes=n_writes,
        write_cycles=int(state.n_cycles),
        analog_macs=read_back,
        adc_samples=read_back,
        digital_ops=read_back,
    )


def program_counts(n_in: int, n_out: int, *, rows: int) -> Counts:
    """Writing every weight once: two cells a weight in neighbouring rows, row after row, all tiles at once."""
    return Counts(cell_writes=2 * n_in * n_out, write_cycles=2 * min(n_in, rows))


def training_step_counts(widths: Sequence[int], batch: int, *, rows: int, cols: int) -> Counts:
    """One optimiser step of a multilayer perceptron whose products run on arrays and whose weights live in them.

    Forward and input-gradient products run on the array (the latter as reads from the column side; the first layer
    has no input gradient); weight gradients, 2·batch·n_in·n_out FLOP, biases, activations and Adam are digital, their
    operands (in bfloat16) and Adam's state passing through on-chip memory; then every weight is written once. Layers
    follow each other in a pipeline: forward and backward take batch + depth − 1 cycles each, writes of all layers
    happen at once (mixed-precision training of Nandakumar et al. 2020, in which a write a step is the upper bound).
    """
    layers = list(pairwise(widths))
    total = Counts()
    for depth, (n_in, n_out) in enumerate(layers):
        total += matmul_counts(batch, n_in, n_out, rows=rows, cols=cols)
        if depth > 0:
            total += matmul_counts(batch, n_out, n_in, rows=cols, cols=rows)
        total += program_counts(n_in, n_out, rows=rows)
        parameters = n_in * n_out + n_out
        total += Counts(
            digital_flops=2 * batch * n_in * n_out,
            vector_flops=ADAM_FLOPS * parameters,
            digital_ops=4 * batch * n_out,
            buffer_bytes=2 * (batch * (n_in + n_out) + n_in * n_out) + ADAM_BYTES * parameters,
        )
    n_backward = len(layers) - 1
    cycles = (batch + len(layers) - 1) + (batch + n_backward - 1 if n_backward else 0)
    writes = max(2 * min(n_in, rows) for n_in, _ in layers)
    return replace(total, array_cycles=cycles, write_cycles=writes)
