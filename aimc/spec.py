"""What an array is: its geometry is static and checked, its noise and resolution are data that can be swept."""

from dataclasses import dataclass, field, is_dataclass, replace
from math import isfinite
from numbers import Number
from typing import TYPE_CHECKING, Any

import jax

from aimc.devices.base import Device, Level, ideal, static
from aimc.devices.gaussian import Gaussian
from aimc.faults import Faults
from aimc.inputs import Inputs
from aimc.mapping import Mapping
from aimc.readout.adc import UniformADC
from aimc.readout.base import Readout
from aimc.verify import WriteVerify
from aimc.wiring import Wiring

# Loose at run time, as `Level` is: jax puts placeholders in place of data.
if TYPE_CHECKING:
    OptionalVerify = WriteVerify | None
    OptionalFaults = Faults | None
    OptionalWiring = Wiring | None
else:
    OptionalVerify = OptionalFaults = OptionalWiring = Any

READ_PATHS = ("output", "device")
BACKWARDS = ("exact", "array")
ABSENT_LEVELS = (
    "noise",
    "gain_std",
    "offset_std",
    "inl_rms",
    "capacitor_mismatch",
    "mismatch_std",
    "decision_noise",
    "jitter",
    "match_width",
)
"""Levels that may be None, for something that does not exist; setting one makes it exist."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class CrossbarSpec:
    """A crossbar array, in the order a number passes it: inputs, cells (mapped, written, faulty), wires, readout.

    `rows`, `cols`: lines of one tile; larger weights are partitioned. `read_path`: "output" draws read noise at the
    outputs, exact for noise that is independent between cells and reads and never clipped; "device" draws every cell
    for every input vector, slowly. `clip_reads`: a cell's fluctuating conductance stops at zero, which needs the
    device path. `backward`: gradients return "exact" through the programmed weights, or as a read of the "array" from
    its columns. Geometry, paths and mapping are static; the rest is data.
    Build one with `crossbar` or take one from `aimc.presets`.

    Raises ValueError for sizes or choices that cannot exist or cannot be combined, naming the fields.
    """

    rows: int = static(256)
    cols: int = static(256)
    read_path: str = static("output")
    clip_reads: bool = static(False)
    backward: str = static("exact")
    mapping: Mapping = field(default=Mapping(), metadata={"static": True})
    inputs: Inputs = field(default_factory=Inputs)
    device: Device = field(default_factory=ideal)
    verify: OptionalVerify = None
    faults: OptionalFaults = None
    wiring: OptionalWiring = None
    readout: Readout = field(default_factory=UniformADC)

    def __post_init__(self) -> None:
        for name in ("rows", "cols"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be a whole number of lines, at least 1, got {value!r}")
        for name, allowed in (("read_path", READ_PATHS), ("backward", BACKWARDS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        self.mapping.check()
        _check_reads(self)
        _check_backward(self)
        _check_readout(self)
        _check_wiring(self)


def _check_reads(spec: CrossbarSpec) -> None:
    if spec.clip_reads and spec.read_path == "output":
        raise ValueError(
            "clip_reads=True makes read noise non-Gaussian near zero conductance, which read_path='output' cannot "
            "draw; use read_path='device', which draws every cell"
        )
    if spec.clip_reads and spec.mapping.encoding == "signed_cell":
        raise ValueError(
            "clip_reads=True stops conductances at zero, and those of mapping.encoding='signed_cell' go through it"
        )
    if spec.inputs.encoding == "bit_serial" and getattr(spec.readout, "start", None) == "carried":
        raise ValueError(
            "readout.start='carried' keeps charge from one vector to the next, and inputs.encoding='bit_serial' reads "
            "bit planes in between; use start='random'"
        )
    if spec.clip_reads and spec.inputs.encoding == "pulse_width":
        raise ValueError(
            "clip_reads=True needs the conductance of a whole read, and inputs.encoding='pulse_width' collects noise "
            "that is white on the scale of a pulse; use 'amplitude'"
        )


def _check_backward(spec: CrossbarSpec) -> None:
    if spec.backward == "exact":
        return
    mapping = spec.mapping
    if spec.read_path == "device":
        raise ValueError("backward='array' reads through read_path='output'; with 'device' use backward='exact'")
    for found, what in (
        (mapping.n_slices > 1, f"mapping.n_slices={mapping.n_slices}"),
        (mapping.scaling != "tensor", f"mapping.scaling={mapping.scaling!r}"),
        (not mapping.encoding.endswith("sided"), f"mapping.encoding={mapping.encoding!r}"),
        (spec.inputs.encoding != "amplitude", f"inputs.encoding={spec.inputs.encoding!r}"),
        (_has_columns(spec.readout), "a readout with levels of its own for every column"),
    ):
        if found:
            raise ValueError(
                "backward='array' drives the columns of one array of pairs with one scale by amplitudes, so "
                f"{what} cannot go with it; use backward='exact'"
            )


def _has_columns(readout: Any) -> bool:
    return any(getattr(leaf, "ndim", 0) > 0 for leaf in jax.tree.leaves(readout))


def _check_readout(spec: CrossbarSpec) -> None:
    if not isinstance(spec.readout, Readout) or spec.readout.is_linear:
        return
    name, mapping = type(spec.readout).__name__, spec.mapping
    for found, what in (
        (mapping.n_slices > 1, f"mapping.n_slices={mapping.n_slices} cannot be added up behind it"),
        (spec.inputs.encoding == "bit_serial", "inputs.encoding='bit_serial' cannot be added up behind it"),
        (mapping.encoding == "offset_digital", "mapping.encoding='offset_digital' cannot be subtracted behind it"),
        (spec.backward == "array", "backward='array' cannot read backwards through it"),
    ):
        if found:
            raise ValueError(f"readout={name} gives a function that is not proportional to the sum, so {what}")


def _check_wiring(spec: CrossbarSpec) -> None:
    if not isinstance(spec.wiring, Wiring):
        return
    wiring, encoding = spec.wiring, spec.mapping.encoding
    if wiring.law != "ohmic" and spec.read_path == "output":
        raise ValueError(
            f"wiring.law={wiring.law!r} has no folded matrix, which read_path='output' multiplies by; use "
            "read_path='device', which solves the circuit for every input"
        )
    if encoding == "signed_cell":
        raise ValueError("wiring needs cells that are resistors, and those of mapping.encoding='signed_cell' are not")
    if spec.backward == "array":
        raise ValueError(
            "backward='array' reads a circuit driven from its columns, which wiring does not have; use backward='exact'"
        )
    if wiring.layout == "separate" and wiring.noise == "reference" and encoding.endswith("sided"):
        raise ValueError(
            "wiring.noise='reference' keeps one typical input for one array, and wiring.layout='separate' has two; use "
            "'interleaved', or noise='exact'"
        )
    if spec.inputs.encoding == "pulse_width" and (wiring.noise != "diagonal" or spec.read_path == "device"):
        raise ValueError(
            "inputs.encoding='pulse_width' changes which rows are driven during a read, so through wiring its noise "
            "has only wiring.noise='diagonal' on read_path='output'"
        )


def check_range(spec: CrossbarSpec) -> None:
    """Raise ValueError for a readout that is given no fixed range though it needs one. Not part of the constructor,
    which jax also calls with other things than numbers in place of data."""
    if spec.inputs.range is None and not spec.readout.is_linear:
        raise ValueError(
            f"readout={type(spec.readout).__name__} gives a function that is not proportional to the sum, so "
            "inputs.range=None, a scale for every vector, cannot be undone behind it"
        )


def levels(bits: int | None, name: str = "bits") -> float | None:
    """Number of signed codes of a converter, 2**bits − 1; None for no converter. Raises ValueError outside 2 to 16."""
    if bits is None:
        return None
    if isinstance(bits, bool) or not isinstance(bits, int) or not 2 <= bits <= 16:
        raise ValueError(f"{name} must be a whole number of bits from 2 to 16, or None for no converter, got {bits!r}")
    return float(2**bits - 1)


def check_level(value: Level, name: str, *, least: float = 0.0, strictly: bool = False) -> float:
    """The value itself, if it is a finite number of at least `least` (or above it). Raises ValueError naming the
    field."""
    if not isinstance(value, Number) and getattr(value, "ndim", 1) != 0:
        raise ValueError(f"{name} must be one number, got {value!r}")
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
    input_encoding: str = "amplitude",
    input_noise: float = 0.0,
    write_noise: float = 0.0,
    read_noise: float = 0.0,
    output_noise: float = 0.0,
    device: Device | None = None,
    mapping: Mapping | None = None,
    verify: WriteVerify | None = None,
    faults: Faults | None = None,
    wiring: Wiring | None = None,
    readout: Readout | None = None,
    read_path: str = "output",
    clip_reads: bool = False,
    backward: str = "exact",
) -> CrossbarSpec:
    """A spec from plain numbers, every one of them checked.

    `write_noise` and `read_noise` are standard deviations of a cell in units of its g_max, the same for every
    conductance; for a real technology pass its `device` instead. `adc_range`, the full scale of the readout in fully-on
    cells at full input, is the output bound of Rasch et al. 2023; `output_noise`, the noise at its input, has the same
    unit; both and `adc_bits` describe the uniform converter that stands at the columns unless a `readout` is given. The
    other fields are those of `CrossbarSpec` and `Inputs`.

    Raises ValueError naming the field, what came and what is allowed.
    """
    for name, part, kind in (
        ("device", device, Device),
        ("mapping", mapping, Mapping),
        ("verify", verify, WriteVerify),
        ("faults", faults, Faults),
        ("wiring", wiring, Wiring),
        ("readout", readout, Readout),
    ):
        if part is not None and not isinstance(part, kind):
            raise ValueError(f"{name} must be a {kind.__name__} such as aimc.{kind.__name__}(...), got {part!r}")
    write, read = check_level(write_noise, "write_noise"), check_level(read_noise, "read_noise")
    if device is None:
        device = Gaussian(
            programming_std=(write,) if write else (),
            read_variance_of_g=(read**2,) if read else (),
            source="plain numbers",
        )
    elif write or read:
        raise ValueError("write_noise and read_noise describe a plain cell; with device=... state them in the device")
    n_adc = levels(adc_bits, "adc_bits")
    full_scale = check_level(adc_range, "adc_range", strictly=True)
    noise = check_level(output_noise, "output_noise") or None
    if readout is None:
        readout = (
            Readout(full_scale=full_scale, noise=noise)
            if n_adc is None
            else UniformADC(full_scale=full_scale, noise=noise, n_levels=n_adc)
        )
    elif (adc_bits, adc_range, output_noise) != (8, 10.0, 0.0):
        raise ValueError(
            "adc_bits, adc_range and output_noise describe a uniform converter; with readout=... state them in the "
            "readout"
        )
    if verify is not None:
        check_level(verify.acceptance, "verify.acceptance", strictly=True)
        check_level(verify.read_std, "verify.read_std")
    if faults is not None:
        for name in ("g_off", "g_on"):
            check_level(getattr(faults, name), f"faults.{name}")
        stuck = [check_level(getattr(faults, name), f"faults.{name}") for name in ("stuck_off", "stuck_on")]
        if sum(stuck) > 1:
            raise ValueError(
                f"faults.stuck_off and faults.stuck_on must add up to at most 1, got {stuck[0]} and {stuck[1]}"
            )
    if wiring is not None:
        for name in ("r_row", "r_col", "r_drv", "r_sense"):
            check_level(getattr(wiring, name), f"wiring.{name}")
    if input_encoding == "bit_serial" and dac_bits is None:
        raise ValueError("input_encoding='bit_serial' sends digits, so dac_bits must be a number of bits, got None")
    spec = CrossbarSpec(
        rows=rows,
        cols=cols,
        read_path=read_path,
        clip_reads=clip_reads,
        backward=backward,
        mapping=Mapping() if mapping is None else mapping,
        inputs=Inputs(
            encoding=input_encoding,
            bits=8 if dac_bits is None else dac_bits,
            n_levels=levels(dac_bits, "dac_bits"),
            range=None if input_range is None else check_level(input_range, "input_range", strictly=True),
            noise=check_level(input_noise, "input_noise") or None,
        ),
        device=device,
        verify=verify,
        faults=faults,
        wiring=wiring,
        readout=readout,
    )
    check_range(spec)
    return spec


def with_levels(
    spec: CrossbarSpec,
    *,
    write_noise: Level | None = None,
    read_noise: Level | None = None,
    adc_levels: Level | None = None,
) -> CrossbarSpec:
    """The same array with other plain levels, which may be traced: this is what a sweep calls inside one compiled
    function. Noise levels are those of a `Gaussian` cell, resolution that of a `UniformADC`; any other field is set
    with `with_field`."""
    if write_noise is not None:
        spec = with_field(spec, "device.programming_std", (write_noise,))
    if read_noise is not None:
        spec = with_field(spec, "device.read_variance_of_g", (read_noise * read_noise,))
    if adc_levels is not None:
        spec = with_field(spec, "readout.n_levels", adc_levels)
    return spec


def with_field(spec: Any, path: str, value: Any) -> Any:
    """The same array with one field changed, named by its path, such as "readout.full_scale" or "faults.stuck_on".

    The value may be traced where the field is data. Raises ValueError for a path that does not exist, naming those that
    do at that place.
    """
    name, _, rest = path.partition(".")
    if isinstance(spec, tuple) and not hasattr(spec, "_fields"):
        if not name.isdigit() or int(name) >= len(spec):
            raise ValueError(f"there is no entry {name!r} among {len(spec)} coefficients; entries count from 0")
        new = value if not rest else with_field(spec[int(name)], rest, value)
        return (*spec[: int(name)], new, *spec[int(name) + 1 :])
    known = _field_names(spec)
    if name not in known:
        raise ValueError(
            f"{type(spec).__name__} has no field {name!r}; it has {', '.join(known) if known else 'no fields'}"
        )
    new = value if not rest else with_field(getattr(spec, name), rest, value)
    return replace(spec, **{name: new}) if is_dataclass(spec) else spec._replace(**{name: new})


def numeric_fields(spec: Any, prefix: str = "") -> dict[str, float]:
    """Every number of the spec that is data, by its path: what `with_field` can sweep without compiling again.

    A level that is None, noise that does not exist, is listed as 0; setting it makes the noise exist.
    """
    if isinstance(spec, Number) and not isinstance(spec, bool):
        return {prefix: float(spec)}
    if isinstance(spec, tuple) and not hasattr(spec, "_fields"):
        parts = {str(i): entry for i, entry in enumerate(spec)}
    elif isinstance(spec, Mapping):
        parts = {}
    else:
        parts = {name: getattr(spec, name) for name in _field_names(spec) if not _is_static(spec, name)}
    found = {}
    for name, part in parts.items():
        path = f"{prefix}.{name}" if prefix else name
        found |= {path: 0.0} if part is None and name in ABSENT_LEVELS else numeric_fields(part, path)
    return found


def _field_names(spec: Any) -> list[str]:
    return list(getattr(spec, "__dataclass_fields__", getattr(spec, "_fields", ())))


def _is_static(spec: Any, name: str) -> bool:
    fields = getattr(spec, "__dataclass_fields__", {})
    return name in fields and bool(fields[name].metadata.get("static"))
