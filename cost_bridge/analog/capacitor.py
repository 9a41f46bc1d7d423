"""The CMOS capacitor chip: the gain-cell arrays of Leroux 2025 (28 nm, circuit simulation), holding weights.

One attention head reads 2 x 1024 x 64 cells a token: 1120 + 700 pJ and 65 ns for the two products, so 13.9 fJ per
MAC and 32.5 ns per read; driving its 64 queries and writing its 64 keys and 64 values take 330 pJ, so 1.72 pJ per
driven value. The published design has no ADC; where a workload counts one, it is the 8-bit converter of ISAAC.

A write charges the cell and its bit line, (C_cell + C_line) V^2, and converts one value. Charge leaks with the
retention time, so every cell that holds a weight is rewritten, from a digital copy in the buffer, many times per
retention time for as long as the step runs.
"""

from collections.abc import Mapping

from ..price import Number, Price
from .chip import Chip

TILE_CELLS = 64 * 64


def write_energy_j(table: Mapping[str, Number]) -> Number:
    """One cell written: (C_cell + C_line) V^2 plus one conversion."""
    capacitance_f = (table["cell_capacitance_ff"] + table["line_capacitance_ff"]) * 1e-15
    return capacitance_f * table["write_voltage_v"] ** 2 + prices_of_values(table)


def prices_of_values(table: Mapping[str, Number]) -> Number:
    """Joules for one driven value, from the head's total."""
    return table["head_dac_pj"] / table["head_dac_samples"] * 1e-12


def prices(table: Mapping[str, Number], binary_reads: bool = False) -> dict[str, Price]:
    """Joules and seconds per event; `table` is capacitor.toml at some value of each rate (one operating point)."""
    head_pj = table["head_score_pj"] + table["head_value_pj"]
    return {
        "analog_macs": Price(head_pj / table["head_macs"] * 1e-12),
        "dac_samples": Price(prices_of_values(table)),
        "adc_samples": Price(table["adc_pj"] * 1e-12),
        "comparator_decisions": Price(table["comparator_fj"] * 1e-15),
        "array_cycles": Price(0.0, table["two_reads_ns"] / 2 * 1e-9),
        "cell_writes": Price(write_energy_j(table)),
        "write_cycles": Price(0.0, table["row_write_ns"] * 1e-9),
        "digital_ops": Price(table["digital_op_pj"] * 1e-12),
        "random_bits": Price(table["random_bit_fj"] * 1e-15),
        "buffer_bytes": Price(table["buffer_pj_per_byte"] * 1e-12),
    }


def tile_area_mm2(table: Mapping[str, Number]) -> Number:
    """A 64 x 64 tile's share of the head's area, converters included."""
    return TILE_CELLS * table["head_area_mm2"] / table["head_macs"]


def refresh_w_per_cell(table: Mapping[str, Number]) -> Number:
    """One rewrite, and one byte fetched for it, every retention * interval fraction."""
    interval_s = table["retention_ms"] * 1e-3 * table["refresh_interval_fraction"]
    return (write_energy_j(table) + table["buffer_pj_per_byte"] * 1e-12) / interval_s


CHIP = Chip("capacitor", "CMOS capacitor array (28 nm, simulated)", prices, tile_area_mm2, refresh_w_per_cell)
