"""The CMOS capacitor chip: the gain-cell arrays of Leroux 2025 (28 nm, circuit simulation), holding weights.

One attention head reads 2 x 1024 x 64 cells a token: 1120 + 700 pJ and 65 ns for the two products, so 13.9 fJ per
cell and 32.5 ns per read; driving its 64 queries and writing its 64 keys and 64 values take 330 pJ, so 1.72 pJ per
driven value of 16 levels. A signed weight is a pair of cells, as in the arrays that `aimc` simulates. The published
design has no ADC; here one 8-bit converter of ISAAC reads the 64 columns of a tile in turn, after the read.

A write charges the cell and its bit line, (C_cell + C_line) V^2, and converts one value. Charge leaks with the
retention time, so every cell that holds a weight is rewritten, from a digital copy in the buffer, many times per
retention time for as long as the step runs.
"""

from collections.abc import Mapping

from ..price import Number, Price
from .chip import Chip

TILE = 64
CELLS_PER_WEIGHT = 2


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
        "analog_macs": Price(CELLS_PER_WEIGHT * head_pj / table["head_macs"] * 1e-12),
        "dac_samples": Price(prices_of_values(table)),
        "adc_samples": Price(table["adc_pj"] * 1e-12),
        "comparator_decisions": Price(table["comparator_fj"] * 1e-15),
        "array_cycles": Price(0.0, (table["two_reads_ns"] / 2 + TILE / table["adc_gs_per_s"]) * 1e-9),
        "cell_writes": Price(write_energy_j(table)),
        "write_cycles": Price(0.0, table["row_write_ns"] * 1e-9),
        "digital_ops": Price(table["digital_op_pj"] * 1e-12),
        "random_bits": Price(table["random_bit_fj"] * 1e-15),
        "buffer_bytes": Price(table["buffer_pj_per_byte"] * 1e-12),
    }


def tile_area_mm2(table: Mapping[str, Number]) -> Number:
    """A tile of 64 x 64 weights: its cells' share of the head's area, and its converter."""
    cells = CELLS_PER_WEIGHT * TILE * TILE
    return cells * table["head_area_mm2"] / table["head_macs"] + table["adc_area_um2"] * 1e-6


def refresh_w_per_cell(table: Mapping[str, Number]) -> Number:
    """One rewrite, and one byte fetched for it, every retention * interval fraction."""
    interval_s = table["retention_ms"] * 1e-3 * table["refresh_interval_fraction"]
    return (write_energy_j(table) + table["buffer_pj_per_byte"] * 1e-12) / interval_s


CHIP = Chip("capacitor", "CMOS capacitor array (28 nm, simulated)", prices, tile_area_mm2, refresh_w_per_cell)
