"""Rules that choose which variable to flip. A new one subclasses `Dynamic` in a file of its own."""

from hnn_sat.dynamics.annealing import Glauber as Glauber
from hnn_sat.dynamics.annealing import Metropolis as Metropolis
from hnn_sat.dynamics.base import Dynamic as Dynamic
from hnn_sat.dynamics.base import Look as Look
from hnn_sat.dynamics.gsat import GsatWalk as GsatWalk
from hnn_sat.dynamics.gsat import ViolatedWinner as ViolatedWinner
from hnn_sat.dynamics.probsat import ProbSAT as ProbSAT
from hnn_sat.dynamics.walksat import WalkSAT as WalkSAT
from hnn_sat.dynamics.winner import WinnerTakeAll as WinnerTakeAll
from hnn_sat.dynamics.winner import gnsat as gnsat
from hnn_sat.dynamics.winner import mnsat as mnsat

DYNAMICS = {
    "walksat": WalkSAT(),
    "probsat": ProbSAT(),
    "mnsat": mnsat(),
    "gnsat-n": gnsat("normal"),
    "gnsat-u": gnsat("uniform"),
    "gnsat-v": ViolatedWinner(),
    "gnsat-b": GsatWalk(),
    "metropolis": Metropolis(),
    "glauber": Glauber(),
}
"""Every rule by the name that the command line knows."""

__all__ = [
    "DYNAMICS",
    "Dynamic",
    "Glauber",
    "GsatWalk",
    "Look",
    "Metropolis",
    "ProbSAT",
    "ViolatedWinner",
    "WalkSAT",
    "WinnerTakeAll",
    "gnsat",
    "mnsat",
]
