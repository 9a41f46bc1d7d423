"""What a workload asks of the hardware, counted on the host from shapes: exact Python ints, never traced.

Counts are kept outside `jit` because device integers are 32 bits wide and one GPT-3 step is 2e21 operations.
Prices live elsewhere: `cost_bridge.price` takes `counts.as_dict()`.
"""

from dataclasses import dataclass, fields


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Numbers of hardware events. Add them, or multiply by an int to repeat a workload.

    On the array: `analog_macs` (one input line times one weight, i.e. one differential pair, in one read),
    `dac_samples` and `adc_samples` (conversions), `comparator_decisions` (1-bit readouts),
    `array_cycles` (reads that have to follow each other: this is time, not energy),
    `cell_writes` (cells programmed) and `write_cycles` (row writes that have to follow each other).

    Beside the array: `digital_ops` (scalar integer or activation operations), `digital_flops` (dense
    floating-point work), `random_bits` drawn, `buffer_bytes` moved through on-chip memory.

    On a digital computer, in addition: `memory_bytes` (off-chip traffic) and `kernel_launches`.
    """

    analog_macs: int = 0
    dac_samples: int = 0
    adc_samples: int = 0
    comparator_decisions: int = 0
    array_cycles: int = 0
    cell_writes: int = 0
    write_cycles: int = 0
    digital_ops: int = 0
    digital_flops: int = 0
    random_bits: int = 0
    buffer_bytes: int = 0
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
