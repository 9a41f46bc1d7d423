"""Arrays as published: every number stands with its source and its evidence class."""

from collections.abc import Callable

from aimc.devices import capacitor as capacitor_cell
from aimc.devices import gain_cell as gain_cell_device
from aimc.devices import hermes, neurram, pcm, taox
from aimc.mapping import Mapping
from aimc.readout.cam import CAM, ThresholdCell
from aimc.readout.pulse import ChargeToPulse
from aimc.spec import CrossbarSpec, crossbar
from aimc.wiring import Wiring


def ideal() -> CrossbarSpec:
    """No noise, no converters: `mvm` equals `x @ w` up to the last bits of a float32. For tests and as a baseline."""
    return crossbar(dac_bits=None, adc_bits=None)


def pcm_hermes() -> CrossbarSpec:
    """HERMES: 256 × 256 unit cells, 8-bit inputs and outputs (Khaddam-Aljameh et al., JSSC 2022; silicon).

    The readout range of 10 fully-on cells is that of Rasch et al., Nat. Commun. 2023 (simulation).
    """
    return crossbar(rows=256, cols=256, dac_bits=8, adc_bits=8, adc_range=10.0, device=hermes())


def reram_neurram() -> CrossbarSpec:
    """NeuRRAM: 256 × 256 cells a core, a weight on two neighbouring rows, so 128 weights deep (Wan et al., Nature
    2022; silicon).

    8-bit inputs, 8-bit outputs, of the chip's reconfigurable 1–8 and 1–10 bits; range: see `pcm_hermes`.
    """
    return crossbar(rows=128, cols=256, dac_bits=8, adc_bits=8, adc_range=10.0, device=neurram())


def capacitor() -> CrossbarSpec:
    """A CMOS-capacitor array for training: 64 × 64 sub-tiles as in Leroux et al., Nat. Comput. Sci. 2025 (SPICE).

    Inputs have the 16 pulse widths of their array, with a sign (5 bits); outputs pass an 8-bit converter, where theirs
    has 32 signed levels (assumption). Cell: see `aimc.devices.capacitor`.
    """
    return crossbar(rows=64, cols=64, dac_bits=5, adc_bits=8, adc_range=10.0, device=capacitor_cell())


def gain_cell() -> CrossbarSpec:
    """A gain-cell array for attention, 64 × 64, as in Leroux et al., Nat. Comput. Sci. 2025 (SPICE).

    One cell a weight, whose current changes sign with the stored voltage; 16 pulse widths with a sign; outputs as
    pulses that a clock counts in 31 signed levels, clipped at 3.9 fully-on cells (their scale of 40 over a largest cell
    current of 10.3). Cell and leak: see `aimc.devices.gain_cell`.
    """
    return crossbar(
        rows=64,
        cols=64,
        dac_bits=5,
        input_encoding="pulse_width",
        mapping=Mapping("signed_cell"),
        device=gain_cell_device(),
        readout=ChargeToPulse(full_scale=3.9, signed=True),
    )


def reram_cam() -> CrossbarSpec:
    """A TaOx array read by an analog CAM instead of converters, in the manner of RACE-IT (arXiv 2312.06532) and NL-DPE
    (arXiv 2511.13950).

    Differential pairs on 128 × 128 tiles, 8-bit inputs of a fixed range, 6-bit Gray-coded match lines whose thresholds
    are TaOx cells too and miss as those do. Sizes, bits, window and every number of the cells are assumptions.
    """
    return crossbar(
        rows=128,
        cols=128,
        dac_bits=8,
        input_range=3.0,
        device=taox(),
        readout=CAM(full_scale=10.0, bits=6, cell=ThresholdCell(device=taox())),
    )


def rasch2023(*, wires: bool = False, refold_every: int = 1) -> CrossbarSpec:
    """The standard array of Rasch et al., Nat. Commun. 14, 5282 (2023), on which they train and judge networks
    (simulation): phase-change pairs, 512 rows, each column with a scale of its own.

    All numbers as in `StandardHWATrainingPreset` of IBM aihwkit: 254 steps over the range of inputs and of outputs (8
    bits), outputs bounded at 10 fully-on cells with noise of 0.04, cells of `aimc.devices.pcm` with their read noise of
    1.75 %. Its tiles have any number of columns, ours 512. With `wires` the array has its IR drop of 1.0, which there
    is a formula along columns for 0.35 Ω between cells of 5 µS, and here the circuit: the same product of resistance
    and conductance, 0.07 Ω at 25 µS, along columns only, each side of the pairs on lines of its own. `refold_every`:
    see `aimc.Wiring`.
    """
    wiring = Wiring(r_row=0.0, r_col=0.35 * 5.0 / 25.0, layout="separate", refold_every=refold_every)
    return crossbar(
        rows=512,
        cols=512,
        dac_bits=8,
        adc_bits=8,
        adc_range=10.0,
        output_noise=0.04,
        device=pcm(),
        mapping=Mapping(scaling="column"),
        wiring=wiring if wires else None,
    )


PRESETS: dict[str, Callable[[], CrossbarSpec]] = {
    "ideal": ideal,
    "pcm_hermes": pcm_hermes,
    "reram_neurram": reram_neurram,
    "capacitor": capacitor,
    "gain_cell": gain_cell,
    "reram_cam": reram_cam,
    "rasch2023": rasch2023,
}


def preset(name: str) -> CrossbarSpec:
    """The preset of that name. Raises ValueError listing the known ones."""
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}; known presets are {', '.join(PRESETS)}")
    return PRESETS[name]()
