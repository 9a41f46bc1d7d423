"""From an analog sum to a digital number, one readout a file."""

from aimc.readout.adc import UniformADC as UniformADC
from aimc.readout.base import Readout as Readout
from aimc.readout.calibration import calibrate as calibrate
from aimc.readout.cam import CAM as CAM
from aimc.readout.comparator import Comparator as Comparator
from aimc.readout.counter import IntegrateAndFire as IntegrateAndFire
from aimc.readout.partial_sum import PartialSum as PartialSum
from aimc.readout.pulse import ChargeToPulse as ChargeToPulse
from aimc.readout.ramp import RampADC as RampADC
from aimc.readout.sar import SARADC as SARADC
