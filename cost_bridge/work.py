"""One unit of work, said in the terms of every kind of machine."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from .analog import CHIPS, AnalogWork
from .analog.chip import ONCE
from .digital.gpu import Op
from .uncertainty import Rate, check


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A program timed on a CPU in this run.

    seconds: per unit of work, whole; with per_pass, of one pass, so that `Workload.repeats` and its doubt apply to it
    as they do to the other machines. cores: how many were busy.
    joules: what a counter said for the chip; without one, `cpu.watts_per_core` is assumed.
    """

    hardware: str
    seconds: Rate
    cores: float = 1.0
    joules: Rate | None = None
    per_pass: bool = False

    def __post_init__(self) -> None:
        check(f"seconds of {self.hardware!r}", self.seconds)
        if self.joules is not None:
            check(f"joules of {self.hardware!r}", self.joules)
        if not self.cores > 0:
            raise ValueError(f"cores of {self.hardware!r} must be more than 0, got {self.cores}")


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One unit of work and what it asks of each kind of machine.

    ops: fused kernels of one pass at a given batch (the GPU side), or None where nobody would use a GPU.
    batch: the batch of one unit; the GPU is also priced at the multiple of it that saturates the device, per unit.
    analog: events, tiles and cells by chip name. state_bytes: what GPU memory has to hold, which sets how many GPUs
    unless `devices` says so. repeats: passes per unit, with its doubt (runs to a 99 % solution); it multiplies GPU
    and analog alike. measured: programs timed in this run.
    """

    name: str
    unit: str
    batch: int = 1
    ops: Callable[[int], Sequence[Op]] | None = None
    analog: Mapping[str, AnalogWork] = field(default_factory=dict)
    state_bytes: int = 0
    devices: int = 0
    repeats: Rate = ONCE
    measured: tuple[Measured, ...] = ()

    def __post_init__(self) -> None:
        if self.batch < 1 or self.state_bytes < 0 or self.devices < 0:
            raise ValueError(
                f"Workload {self.name!r} needs batch >= 1, state_bytes >= 0 and devices >= 0, "
                f"got {self.batch}, {self.state_bytes} and {self.devices}"
            )
        check(f"repeats of {self.name!r}", self.repeats)
        unknown = sorted(set(self.analog) - set(CHIPS))
        if unknown:
            raise ValueError(f"unknown chips {', '.join(unknown)}; known chips are {', '.join(CHIPS)}")
        if self.ops is None and not self.measured:
            raise ValueError(f"Workload {self.name!r} has no digital baseline: give ops, or measured, or both")
        names = [program.hardware for program in self.measured]
        if len(set(names)) < len(names):
            raise ValueError(f"Workload {self.name!r} measured two programs of one name: {', '.join(names)}")
