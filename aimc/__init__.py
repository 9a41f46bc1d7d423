"""Analog in-memory computing: crossbar products with noise and digital readout.

A weight's way: `mapping` (pairs of conductances, tiles), `devices` (what a cell does), `program` (write),
`matmul` (read), `readout` (digitise), `nn` (layers). `counts` says what it asks of the hardware.
"""

from aimc import presets as presets
from aimc.counts import Counts as Counts
from aimc.devices import Device as Device
from aimc.matmul import analog_matmul as analog_matmul
from aimc.matmul import mvm as mvm
from aimc.nn import AnalogLinear as AnalogLinear
from aimc.nn import convert as convert
from aimc.nn import deploy as deploy
from aimc.program import State as State
from aimc.program import program as program
from aimc.spec import Converters as Converters
from aimc.spec import CrossbarSpec as CrossbarSpec
from aimc.spec import crossbar as crossbar

__all__ = [
    "AnalogLinear",
    "Converters",
    "Counts",
    "CrossbarSpec",
    "Device",
    "State",
    "analog_matmul",
    "convert",
    "crossbar",
    "deploy",
    "mvm",
    "presets",
    "program",
]
