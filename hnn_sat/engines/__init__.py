"""Ways to keep or compute the state of all clauses; every exact engine yields the same counts."""

from hnn_sat.engines import bit_planes as bit_planes

__all__ = ["bit_planes"]
