"""Ways to keep or compute the state of all clauses; every exact engine yields the same counts."""

from hnn_sat.engines.base import Engine as Engine
from hnn_sat.engines.bit_planes import BitPlanes as BitPlanes
from hnn_sat.engines.bit_sliced import BitSliced as BitSliced
from hnn_sat.engines.cam import CamSearch as CamSearch
from hnn_sat.engines.numba_engine import Numba as Numba
from hnn_sat.engines.two_products import TwoProducts as TwoProducts

__all__ = ["BitPlanes", "BitSliced", "CamSearch", "Engine", "Numba", "TwoProducts"]
