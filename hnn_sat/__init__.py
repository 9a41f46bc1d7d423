"""Higher-order Hopfield networks for k-SAT: the clause energy in its native order, and searches over it."""

from hnn_sat.dimacs import from_dimacs as from_dimacs
from hnn_sat.dimacs import to_dimacs as to_dimacs
from hnn_sat.families import planted_ksat as planted_ksat
from hnn_sat.families import random_ksat as random_ksat
from hnn_sat.families import random_xorsat as random_xorsat
from hnn_sat.families import unsatisfiable_ksat as unsatisfiable_ksat
from hnn_sat.families import xor_clauses as xor_clauses
from hnn_sat.graphs import colouring as colouring
from hnn_sat.graphs import max_cut as max_cut
from hnn_sat.problem import Problem as Problem
from hnn_sat.problem import from_clauses as from_clauses
from hnn_sat.problem import model as model
from hnn_sat.problem import violated_clauses as violated_clauses
from hnn_sat.schedule import Schedule as Schedule
from hnn_sat.solve import Progress as Progress
from hnn_sat.solve import Result as Result
from hnn_sat.solve import solve as solve
from hnn_sat.weighted import Weighted as Weighted
from hnn_sat.weighted import from_wcnf as from_wcnf
from hnn_sat.weighted import to_wcnf as to_wcnf
from hnn_sat.weighted import weighted as weighted

__all__ = [
    "Problem",
    "Progress",
    "Result",
    "Schedule",
    "Weighted",
    "colouring",
    "from_clauses",
    "from_dimacs",
    "from_wcnf",
    "max_cut",
    "model",
    "planted_ksat",
    "random_ksat",
    "random_xorsat",
    "solve",
    "to_dimacs",
    "to_wcnf",
    "unsatisfiable_ksat",
    "violated_clauses",
    "weighted",
    "xor_clauses",
]
