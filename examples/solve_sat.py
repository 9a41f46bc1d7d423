"""Solve a random 3-SAT formula with many replicas, check the answer, and say how many flips a solution takes.

    python examples/solve_sat.py [--small]

About 10 seconds on two CPU cores; JAX_PLATFORMS=cpu, cuda or tpu chooses where it runs.
"""

import argparse

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from hnn_sat import Schedule, model, random_ksat, solve, violated_clauses
from hnn_sat.energy import incidence, two_product_gains
from hnn_sat.statistics import iterations_to_solution

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--small", action="store_true", help="a smaller formula, for a quick check")
is_small = parser.parse_args().small

N_VARIABLES = 50 if is_small else 150
RATIO = 4.2  # clauses per variable; the hardest formulas have 4.27
SCHEDULE = Schedule(replicas=32 if is_small else 128, max_flips=200_000)

# The problem.
formula_key, search_key, start_key = jax.random.split(jax.random.key(3), 3)
problem = random_ksat(formula_key, N_VARIABLES, RATIO)

# Run every replica to its own solution, or to the limit.
console = Console(width=100)
console.print(f"Running on {jax.devices()[0].device_kind} ({jax.default_backend()}, 1 of {jax.device_count()} devices)")
result = solve(search_key, problem, SCHEDULE, until="all")
its = iterations_to_solution(result.n_flips, result.solved)

# Check the best answer and all others clause by clause in plain Python.
answers = np.asarray(result.assignments)
n_verified = sum(not violated_clauses(problem, model(problem, answer)) for answer in answers)

# At a random assignment, what two matrix products say a flip is worth, and what flipping does.
x = jax.random.bernoulli(start_key, shape=(N_VARIABLES,))
gains = two_product_gains(incidence(problem), x)
energy = len(violated_clauses(problem, model(problem, x)))
flipped = [len(violated_clauses(problem, model(problem, x ^ one))) for one in np.eye(N_VARIABLES, dtype=bool)]
n_right = int(np.sum(energy - np.array(flipped) == np.asarray(gains.gain)))

table = Table(f"random 3-SAT, {N_VARIABLES} variables, {problem.n_clauses} clauses", "")
table.add_row("replicas solved", f"{its.n_solved} of {its.n_runs}")
table.add_row("solutions that hold in every clause", f"{n_verified}")
table.add_row("different solutions", f"{len(np.unique(answers[np.asarray(result.solved)], axis=0))}")
table.add_row(
    "flips of a replica: least, median, most", ", ".join(f"{n:,.0f}" for n in np.quantile(result.n_flips, [0, 0.5, 1]))
)
table.add_row(
    "flips to a solution with 99 % probability", f"{its.value:,.0f} (90 % interval {its.low:,.0f} to {its.high:,.0f})"
)
table.add_row("flips whose gain the two products have right", f"{n_right} of {N_VARIABLES}")
console.print(table)
