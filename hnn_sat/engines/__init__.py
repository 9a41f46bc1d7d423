"""Ways to keep or compute the state of all clauses; every exact engine yields the same counts."""

from hnn_sat.engines.base import Engine as Engine
from hnn_sat.engines.bit_planes import BitPlanes as BitPlanes
from hnn_sat.engines.bit_sliced import BitSliced as BitSliced
from hnn_sat.engines.cam import CamSearch as CamSearch
from hnn_sat.engines.numba_engine import Numba as Numba
from hnn_sat.engines.sparse import Sparse as Sparse
from hnn_sat.engines.two_products import TwoProducts as TwoProducts
from hnn_sat.problem import Problem

MOST_CLAUSES_SCANNED = 8192  # from about here on a walk through occurrence lists costs less than all clauses' words


def by_size(problem: Problem) -> Engine:
    """The exact engine that is fast for a formula of this size: `BitPlanes` up to 8,192 clauses, `Sparse` beyond."""
    return BitPlanes() if problem.n_clauses <= MOST_CLAUSES_SCANNED else Sparse()


__all__ = ["BitPlanes", "BitSliced", "CamSearch", "Engine", "Numba", "Sparse", "TwoProducts", "by_size"]
