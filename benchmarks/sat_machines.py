"""Time and energy to a solution on the same instances in the same run: programs on this CPU, and simulated machines.

    BARRIERLESS_DATA=../shared/data python benchmarks/sat_machines.py [--walksat PATH] [--write]

--walksat: Henry Kautz's walksat (msoos/walksat, v56, `gcc -O3`), an executable that takes -seed, -tries, -cutoff and
-noise and prints a line a try. Local searches: ITS99 of 64 runs (exponential law) times CPU-seconds an iteration of
that run, reading and preparing included, compiling not. Complete solvers (python-sat): the longest of 20 copies (3 of
uf250) with variables, signs, literals and clauses shuffled. CPU joules: seconds times `cpu.watts_per_core` of
cost_bridge, an assumption. Simulated machines: ITS99 of exact runs times the price of an iteration. Medians over
instances, 90 % intervals over instances, runs and prices. --write: docs/sat-machines.json and the table in RESULTS.md.
"""

import argparse
import json
import random
import resource
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import jax
import numpy as np
from pysat.solvers import Solver
from record import record, table
from sat import DOCS, problems

from cost_bridge import load, searches
from cost_bridge.draws import lognormal, normals
from cost_bridge.uncertainty import Z_95
from hnn_sat import Problem, Schedule, solve, to_dimacs, unsatisfiable_ksat
from hnn_sat.__main__ import _iteration
from hnn_sat.dynamics import DYNAMICS
from hnn_sat.engines import BitPlanes
from hnn_sat.problem import original_clauses
from hnn_sat.statistics import IterationsToSolution, iterations_to_solution, its_draws, median_of_instances

RUNS, LONGEST, DRAWS = 64, 2_000_000, 2000
# Instances, shuffled copies for the complete solvers, and whether all-variable rules run.
FAMILIES = {"uf100-430": (20, 20, True), "uf250-1065": (10, 3, False)}
SIMULATED = (("klima", "gnsat-v"), ("klima", "gnsat-b"), ("reram", "walksat"), ("capacitor", "walksat"))
WATTS = load()["cpu.watts_per_core"]


def compiled(problem: Problem, engine) -> tuple[IterationsToSolution, float]:
    """Runs of our own WalkSAT, and CPU-seconds an iteration."""
    began = time.process_time()
    found = solve(jax.random.key(0), problem, Schedule(replicas=RUNS, max_flips=LONGEST), engine=engine, until="all")
    jax.block_until_ready(found.n_iterations)
    cpu_s = time.process_time() - began
    return iterations_to_solution(found.n_iterations, found.solved), cpu_s / int(np.asarray(found.n_iterations).sum())


def bit_planes_rate(problem: Problem) -> float:
    """CPU-seconds an iteration while all of 512 replicas search; a run to the last one would count idle ones."""
    n, m = problem.n_variables, problem.n_clauses
    endless = unsatisfiable_ksat(jax.random.key(0), n, (m - 8) / n)
    schedule = Schedule(replicas=512, max_flips=4000)

    def search() -> float:
        began = time.process_time()
        jax.block_until_ready(solve(jax.random.key(1), endless, schedule, engine=BitPlanes(), until="all").n_flips)
        return time.process_time() - began

    search()
    return float(np.median([search() for _ in range(3)])) / (512 * 4000)


def walksat_in_c(executable: Path, problem: Problem) -> tuple[IterationsToSolution, float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f.cnf"
        to_dimacs(problem, path)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        out = subprocess.run(
            [executable, path, "-seed", "1", "-tries", str(RUNS), "-cutoff", str(LONGEST), "-noise", "50"],
            capture_output=True, text=True, check=False,
        ).stdout  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    tries = [line.split() for line in out.splitlines() if len(line.split()) >= 8 and line.split()[0].isdigit()]
    flips, left = (np.array([int(row[column]) for row in tries]) for column in (5, 1))
    assert len(tries) == RUNS, out[-500:]
    return iterations_to_solution(flips, left == 0), cpu_s / flips.sum()


def complete(name: str, problem: Problem, seed: int, n_copies: int) -> float:
    """The longest CPU time over shuffled copies; every verdict must be satisfiable."""
    clauses, generator = original_clauses(problem), random.Random(seed)
    seconds = []
    for _ in range(n_copies):
        names = list(range(1, problem.n_variables + 1))
        generator.shuffle(names)
        image = {v: generator.choice((1, -1)) * w for v, w in enumerate(names, start=1)}
        copy = [[image[abs(l)] * (1 if l > 0 else -1) for l in clause] for clause in clauses]
        for clause in copy:
            generator.shuffle(clause)
        generator.shuffle(copy)
        began = time.process_time()
        with Solver(name=name, bootstrap_with=copy) as solver:
            assert solver.solve()
        seconds.append(time.process_time() - began)
    return max(seconds)


def row(name: str, evidence: str, its, tts: list, ets: list, generator: np.random.Generator) -> dict:
    """its, tts, ets: pairs of values and draws, a list over instances each."""
    medians = {
        what: median_of_instances([v for v, _ in pairs], [d for _, d in pairs], generator)
        for what, pairs in (("its99", its), ("tts99_s", tts), ("ets99_j", ets))
        if pairs
    }
    return {"machine": name, "evidence": evidence, "instances": len(tts)} | {k: list(v) for k, v in medians.items()}


def family_rows(family: str, n: int, n_copies: int, all_variables: bool, walksat: Path | None) -> list[dict]:
    formulas = problems(family, n)
    generator = np.random.default_rng(0)
    watts = np.asarray(lognormal(WATTS.value, np.log(WATTS.factor) / Z_95, normals("0/cpu.watts_per_core", DRAWS)))
    ones, rows = np.ones(DRAWS), []

    def on_this_cpu(name: str, found: list[tuple[IterationsToSolution, float]]) -> None:
        its = [(one.value, its_draws(one, generator, DRAWS)) for one, _ in found]
        tts = [(v * s, d * s) for (v, d), (_, s) in zip(its, found, strict=True)]
        ets = [(v * WATTS.value, d * watts) for v, d in tts]
        rows.append(row(name, "time measured, watts assumption", its, tts, ets, generator))
        print(rows[-1], flush=True)

    searched: list[IterationsToSolution] = []
    if find_spec("numba") is not None:
        from hnn_sat.engines import Numba

        compiled(formulas[0], Numba())  # compiles
        found = [compiled(problem, Numba()) for problem in formulas]
        searched = [its for its, _ in found]
        on_this_cpu("hnn_sat, numba, one core", found)
    rate = bit_planes_rate(formulas[0])
    found = [compiled(problem, BitPlanes()) for problem in formulas]
    searched = searched or [its for its, _ in found]
    on_this_cpu("hnn_sat, jnp bit planes, one core, 512 replicas", [(its, rate) for its, _ in found])
    if walksat is not None:
        on_this_cpu("WalkSAT v56 in C, one core", [walksat_in_c(walksat, problem) for problem in formulas])
    for name, label in (("cadical195", "CaDiCaL 1.9.5"), ("glucose4", "Glucose 4.0")):
        seconds = [complete(name, problem, i, n_copies) for i, problem in enumerate(formulas)]
        tts, ets = [(s, s * ones) for s in seconds], [(s * WATTS.value, s * watts) for s in seconds]
        rows.append(row(f"{label}, longest of {n_copies}", "time measured, watts assumption", [], tts, ets, generator))
        print(rows[-1], flush=True)
    for machine, rule in SIMULATED:
        if rule != "walksat" and not all_variables:
            continue
        found = searched if rule == "walksat" else [simulated(problem, rule) for problem in formulas]
        work = {str(i): _iteration(problem, machine, rule) for i, problem in enumerate(formulas)}
        priced = searches.iterations(machine, work, draws=DRAWS)
        its = [(one.value, its_draws(one, generator, DRAWS)) for one in found]
        at = [searches.at_medians(machine, one) for one in work.values()]
        tts = [(v * s, d * np.asarray(priced.seconds[i])) for (v, d), i, (_, s) in zip(its, work, at, strict=True)]
        ets = [(v * j, d * np.asarray(priced.joules[i])) for (v, d), i, (j, _) in zip(its, work, at, strict=True)]
        evidence = f"iterations simulated, price {priced.evidence}"
        rows.append(row(f"{machine}, {rule}, simulated", evidence, its, tts, ets, generator))
        print(rows[-1], flush=True)
    return rows


def simulated(problem: Problem, rule: str) -> IterationsToSolution:
    schedule = Schedule(replicas=24, max_flips=40_000)
    found = solve(jax.random.key(0), problem, schedule, dynamic=DYNAMICS[rule], engine=BitPlanes(), until="all")
    return iterations_to_solution(found.n_iterations, found.solved)


def cell(values: list[float] | None) -> str:
    return "-" if values is None else f"{values[0]:.2g} ({values[1]:.2g} to {values[2]:.2g})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--walksat", type=Path, help="the executable of WalkSAT in C")
    parser.add_argument("--families", nargs="*", default=list(FAMILIES))
    parser.add_argument("--write", action="store_true", help="docs/sat-machines.json and RESULTS.md")
    options = parser.parse_args()
    data = {family: family_rows(family, *FAMILIES[family], options.walksat) for family in options.families}
    cells = [
        (family, one["machine"], cell(one.get("its99")), cell(one["tts99_s"]), cell(one["ets99_j"]), one["evidence"])
        for family, rows in data.items()
        for one in rows
    ]
    if options.write:
        (DOCS / "sat-machines.json").write_text(json.dumps(data) + "\n")
    record(
        "k-SAT: machines",
        table(("family", "machine", "ITS99", "TTS99, s", "ETS99, J", "evidence"), cells),
        write=options.write,
    )
