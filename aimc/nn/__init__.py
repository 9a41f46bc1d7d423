"""Layers of flax nnx whose products run on simulated arrays."""

from aimc.nn.convert import convert as convert
from aimc.nn.convert import deploy as deploy
from aimc.nn.convert import grow_old as grow_old
from aimc.nn.layers import AnalogLinear as AnalogLinear
