"""Phase-change memory."""

from aimc.devices.base import Device
from aimc.devices.gaussian import Gaussian


def hermes() -> Device:
    """The HERMES chip's cell, two PCM devices a side, 14 nm, just after programming.

    Programming: σ(µS) = 0.16603 + 4.71806 g − 8.48101 g² + 4.68961 g³ at g_max = 20.7 µS (coefficients of
    `HermesNoiseModel` in IBM aihwkit 4545f11; chip: Le Gallo et al., Nat. Electron. 2023). Class: silicon, as fitted
    there. Read: variance proportional to the conductance, σ_w = 0.0175 at g = 1 (Rasch et al., Nat. Commun. 2023,
    preset for PCM short-term read noise). Drift is not part of this model.
    """
    g_max = 20.7
    coefficients = (0.16603, 4.71806, -8.48101, 4.68961)
    return Gaussian(
        g_max=g_max * 1e-6,
        programming_std=tuple(c / g_max for c in coefficients),
        read_variance_of_g=(0.0, 0.0175**2),
    )
