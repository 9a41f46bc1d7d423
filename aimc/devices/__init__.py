"""Cells of an array, one technology a file: what a write leaves behind, how cells age, how much a read fluctuates."""

from collections.abc import Callable

from aimc.devices.base import Device as Device
from aimc.devices.base import ideal as ideal
from aimc.devices.capacitor import Capacitor as Capacitor
from aimc.devices.capacitor import capacitor as capacitor
from aimc.devices.cmo import CMO as CMO
from aimc.devices.cmo import cmo as cmo
from aimc.devices.cmo import cmo_2_percent as cmo_2_percent
from aimc.devices.gain_cell import GainCell as GainCell
from aimc.devices.gain_cell import gain_cell as gain_cell
from aimc.devices.gaussian import Gaussian as Gaussian
from aimc.devices.hermes import Hermes as Hermes
from aimc.devices.hermes import hermes as hermes
from aimc.devices.hermes import hermes_one as hermes_one
from aimc.devices.measured import Measured as Measured
from aimc.devices.measured import measured as measured
from aimc.devices.neurram import NeuRRAM as NeuRRAM
from aimc.devices.neurram import neurram as neurram
from aimc.devices.neurram import neurram_refit as neurram_refit
from aimc.devices.oxram import iv_coefficients as iv_coefficients
from aimc.devices.oxram import oxram_milo as oxram_milo
from aimc.devices.pcm import PCM as PCM
from aimc.devices.pcm import pcm as pcm
from aimc.devices.pcm import pcm_refit as pcm_refit
from aimc.devices.sonos import SONOS as SONOS
from aimc.devices.sonos import sonos as sonos
from aimc.devices.taox import TaOx as TaOx
from aimc.devices.taox import taox as taox

DEVICES: dict[str, Callable[[], Device]] = {
    "ideal": ideal,
    "pcm": pcm,
    "pcm_refit": pcm_refit,
    "hermes": hermes,
    "hermes_one": hermes_one,
    "neurram": neurram,
    "neurram_refit": neurram_refit,
    "cmo": cmo,
    "cmo_2_percent": cmo_2_percent,
    "oxram_milo": oxram_milo,
    "sonos": sonos,
    "taox": taox,
    "capacitor": capacitor,
    "gain_cell": gain_cell,
}
"""Every technology by name; one line each."""
