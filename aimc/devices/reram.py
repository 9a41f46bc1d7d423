"""Resistive memory."""

from aimc.devices.base import Device
from aimc.devices.gaussian import Gaussian


def neurram() -> Device:
    """The NeuRRAM chip's HfOx cell, 130 nm, one second after write-verify.

    Programming with its first relaxation: σ(µS) = 0.348 + 16.030 g − 43.853 g² + 45.393 g³ − 16.815 g⁴ at
    g_max = 40 µS (Wan et al., Nature 2022; quartic of IBM aihwkit 4545f11, `ReRamWan2022NoiseModel`; an independent
    digitisation differs by 7–50 %). Class: silicon, digitised. Read: 1 % of the conductance (same file's comment;
    class: assumption).
    """
    g_max = 40.0
    coefficients = (0.348, 16.030, -43.853, 45.393, -16.815)
    return Gaussian(
        g_max=g_max * 1e-6,
        programming_std=tuple(c / g_max for c in coefficients),
        read_variance_of_g=(0.0, 0.0, 0.01**2),
    )
