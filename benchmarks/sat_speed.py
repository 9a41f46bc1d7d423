"""Flips of exact WalkSAT/SKC a CPU-second, all replicas together, against WalkSAT in C on the same formulas.

    BARRIERLESS_DATA=../shared/data python benchmarks/sat_speed.py --walksat PATH [--only uf250 ...] [--write]

PATH is a compiled WalkSAT (Kautz, version 56: `-walkprob`, `-cutoff`, `-tries`, `-seed` and "average flips per second"
of its own CPU time, reading not counted). Programs take turns on each formula; given are medians and their ratio to C.
What is timed of ours is `solve` once compiled, drawing and counting of the starts included.
"""

import argparse
import os
import re
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from record import record, table

from hnn_sat import Problem, Schedule, from_dimacs, solve, to_dimacs, unsatisfiable_ksat
from hnn_sat.engines import BitPlanes, Engine, Numba, Sparse
from hnn_sat.problem import original_clauses

SATLIB = Path(os.environ.get("BARRIERLESS_DATA", "../shared/data")) / "satlib"
ROUNDS = 3
# Name, level, flips in C, then (engine, replicas, flips of each). None has a solution, so that every flip is made.
RANDOM = {
    "uf250": ((250, 4.26 - 8 / 250, 3), 0.5, 3_000_000, (("numba", 64, 50_000), ("bit planes", 512, 5_000))),
    "n = 10,000, r = 4.2": (
        (10_000, 4.2, 3), 0.5, 2_000_000, (("numba", 8, 250_000), ("sparse", 64, 5_000), ("bit planes", 16, 500)),
    ),
    "7-SAT, n = 60": ((60, 85.0, 7), 0.2, 400_000, (("numba", 16, 25_000), ("bit planes", 256, 2_000))),
}  # fmt: skip
STRUCTURED = ("bmc", "logistics", "ssa-bf")
ENGINES: dict[str, Engine] = {"numba": Numba(), "bit planes": BitPlanes(), "sparse": Sparse()}


def largest_member(family: str) -> tuple[str, Problem]:
    """The file of a family with the most clauses, two contradictory units added so that no run ends early."""
    from hnn_sat import from_clauses

    with tarfile.open(SATLIB / f"{family}.tar.xz") as archive, tempfile.TemporaryDirectory() as folder:
        member = max((m for m in archive if m.isfile()), key=lambda m: m.size)
        file = archive.extractfile(member)
        assert file is not None
        path = Path(folder) / Path(member.name).name
        path.write_bytes(file.read())
        problem = from_dimacs(path)
    return path.name, from_clauses([*original_clauses(problem), [1], [-1]], n_variables=int(problem.name[-1]))


def in_c(program: Path, file: Path, level: float, flips: int) -> float:
    """Flips a CPU-second by the program's own account."""
    command = [str(program), str(file), "-walkprob", str(level), "-cutoff", str(flips), "-tries", "1", "-seed", "1"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    rate = re.search(r"average flips per second = ([\d.]+)", found.stdout)
    assert rate is not None, found.stdout
    return float(rate[1])


def ours(problem: Problem, engine: Engine, level: float, replicas: int, flips: int) -> float:
    """Flips a CPU-second, all replicas together."""
    schedule = Schedule(replicas=replicas, max_flips=flips, noise=level)
    began = time.process_time()
    result = solve(jax.random.key(1), problem, schedule, engine=engine, until="all")
    return int(np.asarray(result.n_flips, dtype=np.int64).sum()) / (time.process_time() - began)


def cases(only: list[str] | None):
    """Name, formula, level, flips in C, engines."""
    for name, (shape, level, flips, engines) in RANDOM.items():
        if not only or any(name.startswith(o) for o in only):
            n, ratio, k = shape
            yield name, unsatisfiable_ksat(jax.random.key(0), n, ratio, k), level, flips, engines
    for family in STRUCTURED:
        if not only or family in only:
            name, problem = largest_member(family)
            engines = (("numba", 8, 100_000), ("sparse", 32, 500), ("bit planes", 32, 200))
            yield name, problem, 0.5, 1_000_000, engines


def main(walksat: Path | None, only: list[str] | None) -> str:
    rows = []
    for name, problem, level, flips, engines in cases(only):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "formula.cnf"
            to_dimacs(problem, file)
            programs: dict[str, Callable[[], float]] = {}
            if walksat is not None:
                programs["WalkSAT in C"] = lambda f=file, p=level, n=flips: in_c(walksat, f, p, n)
            for engine, replicas, each in engines:
                programs[f"{engine}, {replicas} replicas"] = lambda e=engine, r=replicas, n=each, p=level, q=problem: (
                    ours(q, ENGINES[e], p, r, n)
                )
            for run in programs.values():
                run()  # compiles
            rates = {key: [] for key in programs}
            for _ in range(ROUNDS):
                for key, run in programs.items():
                    rates[key].append(run())
        occurrences = np.bincount(np.asarray(problem.literal).ravel() >> 1, minlength=problem.n_variables + 1)[:-1]
        base = float(np.median(rates["WalkSAT in C"])) if walksat is not None else float("nan")
        for key, values in rates.items():
            rate = float(np.median(values))
            rows.append((name, f"{problem.n_variables:,}", f"{problem.n_clauses:,}", f"{occurrences.max():,}", key,
                         f"{rate / 1e6:.2f} M", f"{rate / base:.2f}"))  # fmt: skip
            print(rows[-1], flush=True)
    header = ("formula", "variables", "clauses", "most occurrences", "program", "flips a CPU-second", "of C")
    return table(header, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--walksat", type=Path, help="a compiled WalkSAT, version 56")
    parser.add_argument("--only", nargs="+", help="first letters of formulas, or families")
    parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md")
    options = parser.parse_args()
    record("k-SAT: speed of exact WalkSAT", main(options.walksat, options.only), write=options.write)
