"""Models whose couplings live on an analog array: machines that draw their units with the array's errors.

`program` writes a layered model once, `program_graph` a Boltzmann machine on a graph, with whatever the cells, stuck
cells and write-verify of an `aimc.CrossbarSpec` do to the weights. The `Chip` or `GraphChip` they return is sampled
like ideal parameters. Biases are digital, or in cells of a line that is always driven.

Static errors (quantised weights, programming error, stuck cells) make another Boltzmann machine, the one whose
weights are `written(chip)`, as long as every coupling is one cell read from both sides. Fresh noise of constant
strength is a temperature, to a good approximation (`effective_beta`). Noise that depends on the state, converters, and
two cells a coupling that disagree are neither: then the chain has a law of its own.
"""

from ebm.analog.arrays import ARRAYS, BIASES
from ebm.analog.graph import GraphChip, age_graph, program_graph, written_graph
from ebm.analog.layered import Chip, age, field_std, program, written, written_biases
from ebm.analog.neuron import KINDS, SIGMOID_NOISE, Neuron, effective_beta, restoring_gain

__all__ = [
    "ARRAYS",
    "BIASES",
    "KINDS",
    "SIGMOID_NOISE",
    "Chip",
    "GraphChip",
    "Neuron",
    "age",
    "age_graph",
    "effective_beta",
    "field_std",
    "program",
    "program_graph",
    "restoring_gain",
    "written",
    "written_biases",
    "written_graph",
]
