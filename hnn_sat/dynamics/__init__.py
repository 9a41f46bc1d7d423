"""Rules that choose which variable to flip."""

from hnn_sat.dynamics import walksat as walksat

__all__ = ["walksat"]
