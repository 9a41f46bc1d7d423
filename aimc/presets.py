"""Arrays as published: every number stands with its source and its evidence class."""

from collections.abc import Callable

from aimc.devices import capacitor as capacitor_cell
from aimc.devices import hermes, neurram
from aimc.spec import CrossbarSpec, crossbar


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


PRESETS: dict[str, Callable[[], CrossbarSpec]] = {
    "ideal": ideal,
    "pcm_hermes": pcm_hermes,
    "reram_neurram": reram_neurram,
    "capacitor": capacitor,
}


def preset(name: str) -> CrossbarSpec:
    """The preset of that name. Raises ValueError listing the known ones."""
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}; known presets are {', '.join(PRESETS)}")
    return PRESETS[name]()
