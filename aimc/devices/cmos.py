"""Volatile analog CMOS memory: a charge on a capacitor drives a transistor."""

from math import sqrt

from aimc.devices.base import Device
from aimc.devices.gaussian import Gaussian

BOLTZMANN_J_PER_K = 1.380649e-23


def capacitor(capacitance_f: float = 10e-15, swing_v: float = 0.9, mismatch: float = 0.01) -> Device:
    """A capacitor cell, freshly written: thermal noise of the write and a fixed gain mismatch between cells.

    Writing leaves σ_V = √(kT/C) on the capacitor (Johnson–Nyquist, 300 K: 0.64 mV at 10 fF), a fraction of the voltage
    swing (0.9 V: Leroux et al., Nat. Comput. Sci. 2025). `mismatch` is the relative spread of the cells' gain; its
    default, like the capacitance, is an assumption, and the two standard deviations are added linearly, which
    overstates them by at most √2. Reads add nothing (an assumption); leakage is not part of this model. Raises
    ValueError for a size that cannot exist.
    """
    for name, value in (("capacitance_f", capacitance_f), ("swing_v", swing_v)):
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value}")
    if not mismatch >= 0:
        raise ValueError(f"mismatch must be at least 0, got {mismatch}")
    thermal = sqrt(BOLTZMANN_J_PER_K * 300.0 / capacitance_f) / swing_v
    return Gaussian(g_max=25e-6, programming_std=(thermal, mismatch))
