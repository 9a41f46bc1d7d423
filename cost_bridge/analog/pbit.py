"""Chips of probabilistic bits: every node is a random bit whose bias its neighbours set: no converter is needed.

`z1`: a planar, two-colourable lattice of 269,568 p-bits of degree 16 (arXiv 2608.01615, circuit simulation before
silicon). `dtm`: the cell projected for denoising thermodynamic models (arXiv 2510.23972), of which only the update is
published. Both are lattices: a model that is not one, such as a dense RBM, is priced as if its nodes cost the same.

Their dearest events are not the updates: on z1 a read costs 239 of them and a write 21,664.
"""

from collections.abc import Mapping

from ..price import Number, Price

NAMES = ("z1", "dtm")
"""Sections of pbit.toml."""


def prices(table: Mapping[str, Number]) -> dict[str, Price]:
    """Joules and seconds per event; `table` is one section of pbit.toml at some value of each rate.

    `array_cycles` are sweeps: all p-bits of a chip are updated once a cycle. Reads take their share of the frame in
    which a whole chip is read out; how long a write takes is not published and counts as nothing.
    """
    found = {
        "pbit_updates": Price(table["update_fj"] * 1e-15),
        "array_cycles": Price(0.0, table["sweep_ns"] * 1e-9),
    }
    if "node_read_pj" in table:
        found["node_reads"] = Price(table["node_read_pj"] * 1e-12, table["frame_us"] * 1e-6 / table["pbits"])
        found["node_writes"] = Price(table["node_write_pj"] * 1e-12)
    return found
