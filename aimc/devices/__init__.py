"""Cells of an array, one technology a file: how far a programmed conductance misses, how much a read fluctuates."""

from aimc.devices.base import Device as Device
from aimc.devices.base import ideal as ideal
from aimc.devices.cmos import capacitor as capacitor
from aimc.devices.gaussian import Gaussian as Gaussian
from aimc.devices.pcm import hermes as hermes
from aimc.devices.reram import neurram as neurram
