"""Two hundred thousand draws through the whole comparison: every machine, boundary, ratio, tornado and Sobol index.

    python benchmarks/uncertainty.py [--write]

The four units of work of the headline table, each rate drawn from its belief, priced on the GPU at two batches, on a
CPU whose timing is given, and on two analog chips at three boundaries. Timings on the CPU and the search of the formula
are not part of it. Beside it the same with one draw after the other, without numpy, for a hundredth of the draws.
"""

import json
import subprocess
import sys
import time

import jax
import numpy as np
from record import record, table

from cost_bridge import Rate, evaluate, workloads
from hnn_sat import random_ksat
from hnn_sat.statistics import iterations_to_solution

DRAWS = 200_000
TIMED = Rate(1e-3, 1.2, "measured", "given to this benchmark")


def units():
    """The four units, with CPU timings and iterations to solution that are given, not measured."""
    problem = random_ksat(jax.random.key(0), 250, 4.2)
    its = iterations_to_solution(np.full(100, 10_000), np.full(100, True))
    return [
        workloads.mlp_step(TIMED),
        workloads.rbm_step(TIMED),
        workloads.sat_solution(problem, its, TIMED),
        workloads.gpt3_step(),
    ]


def timed(draws):
    """CPU and wall seconds of all evaluations, and per unit the rates, cells and wall seconds."""
    rows, cpu, wall = [], time.process_time(), time.perf_counter()
    for unit in units():
        start = time.perf_counter()
        found = evaluate(unit, draws=draws)
        rows.append([unit.name, len(found.rates), len(found.rows), f"{time.perf_counter() - start:.2f} s"])
    return time.process_time() - cpu, time.perf_counter() - wall, rows


def without_numpy(draws):
    """CPU seconds in a process of its own."""
    code = (
        f"import sys; sys.path[:0] = {sys.path[:1]!r}\nimport json, uncertainty\nfrom cost_bridge import draws\n"
        f"draws._numpy = lambda: None\nprint(json.dumps(uncertainty.timed({draws})[0]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    timed(1000)  # loads numpy
    cpu, wall, rows = timed(DRAWS)
    slow = without_numpy(DRAWS // 100) * 100
    text = (
        f"{DRAWS:,} draws of every rate through all four units: {wall:.1f} s by the clock, {cpu:.1f} s of CPU time. "
        f"One draw after the other without numpy would take {slow:.0f} s of CPU time ({slow / cpu:.0f} times it).\n\n"
        + table(["unit of work", "rates", "cells", "wall time"], rows)
    )
    record("Uncertainty of the comparison", text, write="--write" in sys.argv)


if __name__ == "__main__":
    main()
