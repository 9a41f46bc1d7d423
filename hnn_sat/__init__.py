"""Higher-order Hopfield networks for k-SAT: the clause energy in its native order, and searches over it."""

from hnn_sat.dimacs import from_dimacs as from_dimacs
from hnn_sat.dimacs import to_dimacs as to_dimacs
from hnn_sat.families import random_ksat as random_ksat
from hnn_sat.families import unsatisfiable_ksat as unsatisfiable_ksat
from hnn_sat.problem import Problem as Problem
from hnn_sat.problem import from_clauses as from_clauses
from hnn_sat.problem import model as model
from hnn_sat.problem import violated_clauses as violated_clauses
from hnn_sat.schedule import Schedule as Schedule
from hnn_sat.solve import Progress as Progress
from hnn_sat.solve import Result as Result
from hnn_sat.solve import solve as solve

__all__ = [
    "Problem",
    "Progress",
    "Result",
    "Schedule",
    "from_clauses",
    "from_dimacs",
    "model",
    "random_ksat",
    "solve",
    "to_dimacs",
    "unsatisfiable_ksat",
    "violated_clauses",
]
