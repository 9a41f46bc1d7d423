"""Converters as published components: a regression over many, the envelope of the best, and the noise floor of any.

components.toml holds them, with cells, buses and memories of published designs. The regression is of the best
converters ever built; arrays measured in silicon need ten to a hundred times more for reading, clocks and control.
"""

import math
from collections.abc import Mapping, Sequence

from ..price import Number

BOLTZMANN_J_PER_K = 1.380649e-23
RESOLUTIONS = (4, 6, 8, 10)
Tables = Mapping[str, Mapping[str, Number]]


def nodes(tables: Tables) -> list[int]:
    """Nodes in nm for which the regression is tabulated, ascending."""
    return sorted(int(table["node_nm"]) for name, table in tables.items() if name.startswith("components.adc_") and
                  "node_nm" in table)  # fmt: skip


def adc_pj(tables: Tables, bits: float, node_nm: float) -> Number:
    """Energy of a conversion by the regression, pJ, interpolated on a log scale in bits and in the node.

    Raises ValueError outside 4 to 10 bits or the tabulated nodes: the regression says nothing there.
    """
    return _interpolated(tables, "pj", bits, node_nm)


def adc_um2(tables: Tables, bits: float, node_nm: float) -> Number:
    """Area of a converter by the regression, square micrometres; limits as for `adc_pj`."""
    return _interpolated(tables, "um2", bits, node_nm)


def adc_envelope_pj(tables: Tables, effective_bits: Number) -> Number:
    """The least energy of any published converter: 0.27 pJ + 0.145 aJ 4^ENOB (ADC survey, Murmann)."""
    own = tables["components.adc_survey"]
    return own["fixed_pj"] + own["thermal_aj"] * 1e-6 * 4.0**effective_bits


def noise_floor_j(bits: Number, kelvin: Number = 300.0) -> Number:
    """12 k T 4^b: a class-B sampler whose thermal noise equals the quantisation noise of b bits."""
    return 12 * BOLTZMANN_J_PER_K * kelvin * 4.0**bits


def _interpolated(tables: Tables, unit: str, bits: float, node_nm: float) -> Number:
    known = nodes(tables)
    if not RESOLUTIONS[0] <= bits <= RESOLUTIONS[-1]:
        raise ValueError(f"bits must be between {RESOLUTIONS[0]} and {RESOLUTIONS[-1]}, got {bits}")
    if not known[0] <= node_nm <= known[-1]:
        raise ValueError(f"node_nm must be between {known[0]} and {known[-1]}, got {node_nm}")
    b0, b1, at_bits = _between(RESOLUTIONS, bits)
    n0, n1, at_node = _between(known, node_nm, log=True)
    corner = {(b, n): tables[f"components.adc_{n}nm"][f"bits_{b}_{unit}"] for b in (b0, b1) for n in (n0, n1)}
    low, high = (corner[b0, n] ** (1 - at_bits) * corner[b1, n] ** at_bits for n in (n0, n1))
    return low ** (1 - at_node) * high**at_node


def _between(points: Sequence[int], value: float, log: bool = False) -> tuple[int, int, float]:
    """The tabulated neighbours of a value, and how far it is from the lower to the upper."""
    low = max(point for point in points if point <= value)
    high = min(point for point in points if point >= value)
    if low == high:
        return low, high, 0.0
    scale = math.log if log else float
    return low, high, (scale(value) - scale(low)) / (scale(high) - scale(low))
