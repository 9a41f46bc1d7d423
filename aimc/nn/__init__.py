"""Layers of flax nnx whose products run on simulated arrays."""

from aimc.nn.base import AnalogLayer as AnalogLayer
from aimc.nn.conv import AnalogConv as AnalogConv
from aimc.nn.convert import analog_layers as analog_layers
from aimc.nn.convert import convert as convert
from aimc.nn.convert import deploy as deploy
from aimc.nn.convert import grow_old as grow_old
from aimc.nn.convert import modify as modify
from aimc.nn.convert import set_modifier_scale as set_modifier_scale
from aimc.nn.convert import to_digital as to_digital
from aimc.nn.convert import undeploy as undeploy
from aimc.nn.einsum import AnalogEinsum as AnalogEinsum
from aimc.nn.factors import Factors as Factors
from aimc.nn.factors import factors as factors
from aimc.nn.linear import AnalogLinear as AnalogLinear
from aimc.nn.modifiers import Modifier as Modifier
from aimc.nn.protocols import Protocol as Protocol
from aimc.nn.protocols import rasch2023 as rasch2023
from aimc.nn.ranges import calibrate as calibrate
from aimc.nn.ranges import clip_kernel as clip_kernel
from aimc.nn.ranges import clip_weights as clip_weights
from aimc.nn.ranges import watch as watch
from aimc.nn.report import LayerReport as LayerReport
from aimc.nn.report import report as report
