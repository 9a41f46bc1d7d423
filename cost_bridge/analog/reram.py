"""The ReRAM chip: NeuRRAM as built (Wan 2022, 130 nm, 48 cores of 256 x 256 cells), at 8-bit inputs and 10-bit outputs.

Fig. 12 of the paper (as digitised in CiMLoop) gives three shares of the energy, per operation, two operations to a
multiply-accumulate. A core holds 128 x 256 signed weights (two cells each, in adjacent rows), so one read is 32,768
MACs, 128 inputs and 256 conversions. From that:

    analog_macs   2 * word line                       the lines that gate every cell
    dac_samples   2 * input pulses * 256              one input serves 256 outputs
    adc_samples   2 * (neuron + control) * 128        one conversion sums 128 signed weights

and a full core costs the published energy again. A 1-bit decision takes the neuron share of the point with the
fewest bits. Work with binary inputs and sums of at most 4 bits is priced at the point of 2 bits in and 4 out, the
nearest that is not below it, in energy and in time. The array is read in both directions at the same price
(transposable neurons).
"""

from collections.abc import Mapping

from ..price import Number, Price
from .chip import Chip


def prices(table: Mapping[str, Number], binary_reads: bool = False) -> dict[str, Price]:
    """Joules and seconds per event; `table` is reram.toml at some value of each rate."""
    point = "binary_" if binary_reads else ""
    inputs, outputs = table["core_inputs"], table["core_outputs"]
    write_pj = table["cell_write_pj"] * (1 + table["write_overhead_fraction"])
    return {
        "analog_macs": Price(2 * table[f"{point}word_line_fj_per_op"] * 1e-15),
        "dac_samples": Price(2 * table[f"{point}input_pulse_fj_per_op"] * outputs * 1e-15),
        "adc_samples": Price(2 * table[f"{point}neuron_fj_per_op"] * inputs * 1e-15),
        "comparator_decisions": Price(2 * table["neuron_one_bit_fj_per_op"] * inputs * 1e-15),
        "array_cycles": Price(0.0, table[f"{point}cycle_us"] * 1e-6),
        "cell_writes": Price(write_pj * 1e-12),
        "write_cycles": Price(0.0, table["row_write_us"] * (1 + table["write_overhead_fraction"]) * 1e-6),
        "digital_ops": Price(table["digital_op_pj"] * 1e-12),
        "random_bits": Price(table["random_bit_fj"] * 1e-15),
        "buffer_bytes": Price(table["buffer_pj_per_byte"] * 1e-12),
    }


CHIP = Chip("reram", "ReRAM array (130 nm, as built)", prices, lambda table: table["tile_area_mm2"])
