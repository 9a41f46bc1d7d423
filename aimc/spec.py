"""What an array is: its geometry is static and checked, its noise and resolution are data that can be swept."""

from dataclasses import dataclass, field, replace
from math import isfinite
from typing import NamedTuple

import jax

from aimc.devices.base import Device, Level, ideal

READ_PATHS = ("output", "device")
BACKWARDS = ("exact", "array")


class Converters(NamedTuple):
    """Resolution and ranges of the converters at both ends of an array.

    `dac_levels`, `adc_levels`: signed codes, 2**bits − 1 of them, so that zero is a code; None is no converter at all.
    `adc_range`: full scale of the readout, in units of one fully-on cell at full input; sums beyond it clip.
    `input_range`: the input that drives a row fully; None scales every input vector by its own largest entry.
    `output_noise`: standard deviation at the converter's input, in the unit of `adc_range`; None is no such noise.
    """

    dac_levels: Level | None = 255.0
    adc_levels: Level | None = 255.0
    adc_range: Level = 10.0
    input_range: Level | None = None
    output_noise: Level | None = None


def _static(default):
    return field(default=default, metadata={"static": True})


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class CrossbarSpec:
    """A crossbar array: geometry (static) with its cells and converters (data: sweep them without recompiling).

    `rows`, `cols`: lines of one tile; larger weights are partitioned. `read_path`: "output" draws read noise at the
    outputs, exact for noise that is independent between cells and reads and never clipped; "device" draws every cell
    for every input vector, slowly. `clip_reads`: a cell's fluctuating conductance stops at zero, which needs the
    device path.
    `backward`: gradients return "exact" through the programmed weights, or as a read of the "array" from its columns.
    Build one with `crossbar` or take one from `aimc.presets`.

    Raises ValueError for sizes or choices that cannot exist.
    """

    rows: int = _static(256)
    cols: int = _static(256)
    read_path: str = _static("output")
    clip_reads: bool = _static(False)
    backward: str = _static("exact")
    device: Device = field(default_factory=ideal)
    converters: Converters = field(default_factory=Converters)

    def __post_init__(self) -> None:
        for name in ("rows", "cols"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number of lines, at least 1, got {value!r}")
        for name, allowed in (("read_path", READ_PATHS), ("backward", BACKWARDS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        if self.read_path == "device" and self.backward == "array":
            raise ValueError("backward='array' reads through read_path='output'; with 'device' use backward='exact'")
        if self.clip_reads and self.read_path == "output":
            raise ValueError(
                "clip_reads=True makes read noise non-Gaussian near zero conductance, which read_path='output' cannot "
                "draw; use read_path='device', which draws every cell"
            )


def levels(bits: int | None, name: str = "bits") -> float | None:
    """Number of signed codes of a converter, 2**bits − 1; None for no converter. Raises ValueError outside 2 to 16."""
    if bits is None:
        return None
    if isinstance(bits, bool) or not isinstance(bits, int) or not 2 <= bits <= 16:
        raise ValueError(f"{name} must be a whole number of bits from 2 to 16, or None for no converter, got {bits!r}")
    return float(2**bits - 1)


def check_level(value: float, name: str, *, least: float = 0.0, strictly: bool = False) -> float:
    """The value itself, if it is a finite number of at least `least` (or above it). Raises ValueError naming the
    field."""
    if not isfinite(value) or value < least or (strictly and value == least):
        raise ValueError(
            f"{name} must be a finite number {'above' if strictly else 'of at least'} {least:g}, got {value}"
        )
    return float(value)


def crossbar(
    *,
    rows: int = 256,
    cols: int = 256,
    dac_bits: int | None = 8,
    adc_bits: int | None = 8,
    adc_range: float = 10.0,
    input_range: float | None = None,
    write_noise: float = 0.0,
    read_noise: float = 0.0,
    output_noise: float = 0.0,
    device: Device | None = None,
    read_path: str = "output",
    clip_reads: bool = False,
    backward: str = "exact",
) -> CrossbarSpec:
    """A spec from plain numbers, every one of them checked.

    `write_noise` and `read_noise` are standard deviations of a cell in units of its g_max, the same for every
    conductance; for a real technology pass its `device` instead. `adc_range` = 10 is the output bound of Rasch et
    al. 2023. The other fields are those of `CrossbarSpec` and `Converters`.

    Raises ValueError naming the field, what came and what is allowed.
    """
    write, read = check_level(write_noise, "write_noise"), check_level(read_noise, "read_noise")
    if device is None:
        device = ideal()._replace(programming_std=(write,) if write else (), read_variance=(read**2,) if read else ())
    elif write or read:
        raise ValueError("write_noise and read_noise describe a plain cell; with device=... state them in the device")
    converters = Converters(
        dac_levels=levels(dac_bits, "dac_bits"),
        adc_levels=levels(adc_bits, "adc_bits"),
        adc_range=check_level(adc_range, "adc_range", strictly=True),
        input_range=None if input_range is None else check_level(input_range, "input_range", strictly=True),
        output_noise=check_level(output_noise, "output_noise") or None,
    )
    return CrossbarSpec(
        rows=rows,
        cols=cols,
        read_path=read_path,
        clip_reads=clip_reads,
        backward=backward,
        device=device,
        converters=converters,
    )


def with_levels(
    spec: CrossbarSpec,
    *,
    write_noise: Level | None = None,
    read_noise: Level | None = None,
    adc_levels: Level | None = None,
) -> CrossbarSpec:
    """The same array at other levels, which may be traced: this is what a sweep calls inside one compiled function."""
    device, converters = spec.device, spec.converters
    if write_noise is not None:
        device = device._replace(programming_std=(write_noise,))
    if read_noise is not None:
        device = device._replace(read_variance=(read_noise * read_noise,))
    if adc_levels is not None:
        converters = converters._replace(adc_levels=adc_levels)
    return replace(spec, device=device, converters=converters)
