"""The families of models that the command knows, one file each: to add one is to write its file and to list it here."""

from functools import cache

from ebm.models import boltzmann, gaussian, neural, potts, rbm
from ebm.models.base import Family, Law, OnArray, machine, on_array
from ebm.models.settings import Settings

__all__ = ["FAMILIES", "Family", "Law", "OnArray", "Settings", "family", "law", "machine", "on_array"]

FAMILIES: dict[str, Family] = {
    each.name: each for each in (rbm.FAMILY, gaussian.FAMILY, potts.FAMILY, boltzmann.FAMILY, neural.MLP, neural.CONV)
}


def family(settings: Settings) -> Family:
    """The family that the settings name."""
    return FAMILIES[settings.model]


@cache
def law(settings: Settings, n_visible: int) -> Law:
    """The law that the settings make of rows of `n_visible` columns; the same object for the same settings."""
    return family(settings).law(settings, n_visible)
