"""Analog in-memory computing: crossbar products with noise and digital readout.

A weight's way: `mapping` (conductances, tiles), `devices` (what a cell does), `program` (write), `aging` (wait),
`inputs` (drive), `matmul` (read), `readout` (digitise), `nn` (layers). `counts` says what it asks of the hardware.
"""

from aimc import presets as presets
from aimc import wires as wires
from aimc.aging import age as age
from aimc.aging import compensate as compensate
from aimc.aging import drift_reference as drift_reference
from aimc.counts import Counts as Counts
from aimc.devices import Device as Device
from aimc.faults import Faults as Faults
from aimc.inputs import Inputs as Inputs
from aimc.mapping import Mapping as Mapping
from aimc.matmul import analog_matmul as analog_matmul
from aimc.matmul import column_sums as column_sums
from aimc.matmul import mvm as mvm
from aimc.nn import AnalogLinear as AnalogLinear
from aimc.nn import convert as convert
from aimc.nn import deploy as deploy
from aimc.nn import grow_old as grow_old
from aimc.program import State as State
from aimc.program import conductances as conductances
from aimc.program import program as program
from aimc.readout.base import Readout as Readout
from aimc.spec import CrossbarSpec as CrossbarSpec
from aimc.spec import crossbar as crossbar
from aimc.verify import WriteVerify as WriteVerify
from aimc.wiring import Wiring as Wiring

__all__ = [
    "AnalogLinear",
    "Counts",
    "CrossbarSpec",
    "Device",
    "Faults",
    "Inputs",
    "Mapping",
    "Readout",
    "State",
    "Wiring",
    "WriteVerify",
    "age",
    "analog_matmul",
    "column_sums",
    "compensate",
    "conductances",
    "convert",
    "crossbar",
    "deploy",
    "drift_reference",
    "grow_old",
    "mvm",
    "presets",
    "program",
    "wires",
]
