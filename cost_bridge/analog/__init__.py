"""The analog chips that can be priced, by name: one file and one table each."""

from . import capacitor, reram
from .chip import AnalogWork, Chip

CHIPS: dict[str, Chip] = {one.name: one for one in (reram.CHIP, capacitor.CHIP)}

__all__ = ["CHIPS", "AnalogWork", "Chip"]
