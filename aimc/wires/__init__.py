"""Wires of a crossbar, solved exactly: input by input, or folded into one matrix; noise, dynamics and power with them.

`lines` says what the circuit is and is where a reader begins. `solve` takes any cell law, input by input; `sweep`
eliminates ohmic cells row by row, and on it stand the fold (`transfer`), the noise (`noise`), the delay (`dynamics`)
and what the circuits around see (`readout`). Resistances are in ohm, conductances in siemens.
"""

from aimc.wires import laws as laws
from aimc.wires.dynamics import Modes as Modes
from aimc.wires.dynamics import elmore_delay as elmore_delay
from aimc.wires.dynamics import modes as modes
from aimc.wires.dynamics import settling_time as settling_time
from aimc.wires.dynamics import step_response as step_response
from aimc.wires.noise import NoiseErrors as NoiseErrors
from aimc.wires.noise import NoiseFold as NoiseFold
from aimc.wires.noise import fold_noise as fold_noise
from aimc.wires.noise import folded_variance as folded_variance
from aimc.wires.noise import noise_covariance as noise_covariance
from aimc.wires.noise import noise_errors as noise_errors
from aimc.wires.noise import noise_variance as noise_variance
from aimc.wires.pairs import fold_pairs as fold_pairs
from aimc.wires.pairs import interleave as interleave
from aimc.wires.pairs import pair_inputs as pair_inputs
from aimc.wires.pairs import pair_voltages as pair_voltages
from aimc.wires.readout import Amplifier as Amplifier
from aimc.wires.readout import amplifier as amplifier
from aimc.wires.readout import array_power as array_power
from aimc.wires.readout import column_conductance as column_conductance
from aimc.wires.readout import input_admittance as input_admittance
from aimc.wires.solve import Solution as Solution
from aimc.wires.solve import output_currents as output_currents
from aimc.wires.solve import solve as solve
from aimc.wires.transfer import transfer_matrix as transfer_matrix
