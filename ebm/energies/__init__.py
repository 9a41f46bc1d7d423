"""Energies, one file each: parameters as a NamedTuple and pure functions of (params, x)."""
