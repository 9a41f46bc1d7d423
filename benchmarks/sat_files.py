"""Solve every satisfiable file of the labelled families in a folder of archives, 20 CPU-seconds each if not said.

    BARRIERLESS_DATA=../shared/data python benchmarks/sat_files.py --out rows.jsonl [--write]

A row a file; a file that has a row is not solved again. Every model is checked clause by clause against the file's own
text, read by a few lines of Python here. Unsatisfiable files are searched for 2 CPU-seconds each: none may be "solved".
"""

import argparse
import csv
import json
import os
import tarfile
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import jax
from record import record, table

import hnn_sat
from hnn_sat.problem import original_clauses
from hnn_sat.propagate import propagate

SATLIB = Path(os.environ.get("BARRIERLESS_DATA", "../shared/data")) / "satlib"
LIMIT_UNSATISFIABLE_S = 2.0


def plain_clauses(text: str) -> list[list[int]]:
    """The clauses of a well-formed file, for the check."""
    words = []
    for line in text.splitlines():
        if line.startswith("%"):
            break
        if line and line[0] not in "cp":
            words += map(int, line.split())
    clauses: list[list[int]] = [[]]
    for word in words:
        clauses[-1].append(word) if word else clauses.append([])
    return [clause for clause in clauses if clause]


def solve_file(path: Path, limit_s: float, use_propagation: bool) -> dict:
    """One search; status, CPU-seconds (compiling included) and flips."""
    began = time.process_time()
    problem = hnn_sat.from_dimacs(path)
    fixed, searched = [], problem
    if use_propagation:
        found = propagate(original_clauses(problem))
        if found.is_contradiction:
            return {"status": "UNSATISFIABLE", "cpu_s": time.process_time() - began, "flips": 0}
        fixed, searched = found.fixed, hnn_sat.from_clauses(found.clauses) if found.fixed else problem
    noise = {3: 0.5, 4: 0.4, 5: 0.3, 6: 0.25, 7: 0.2}.get(problem.longest_clause, 0.3)
    result = hnn_sat.solve(
        jax.random.key(0),
        searched,
        hnn_sat.Schedule(replicas=64, noise=noise, max_flips=2**30),
        watch=lambda progress: time.process_time() - began > limit_s,
    )
    model = {*fixed, *hnn_sat.model(searched, result.assignment)}
    cpu_s = time.process_time() - began
    solved = bool(result.solved.any())
    if solved:
        assert all(not model.isdisjoint(clause) for clause in plain_clauses(path.read_text("latin-1"))), path
    return {"status": "SATISFIABLE" if solved else "UNKNOWN", "cpu_s": cpu_s, "flips": int(result.n_flips.sum())}


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--out", type=Path, required=True)
parser.add_argument("--families", nargs="*", help="only these; all by default")
parser.add_argument("--limit", type=float, default=20.0, help="CPU-seconds for a satisfiable file")
parser.add_argument("--minutes", type=float, default=1e9, help="stop after so long; the next run goes on")
parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md")
options = parser.parse_args()

rows = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
done = {(row["family"], row["file"], row["propagation"]) for row in rows}
with (SATLIB / "INDEX.csv").open() as lines:
    index = [row for row in csv.DictReader(lines) if (SATLIB / f"{row['family']}.tar.xz").exists()]
began = time.monotonic()
by_family = defaultdict(list)
for entry in index:
    by_family[entry["family"]].append(entry)
for family, entries in by_family.items():
    if options.families and family not in options.families:
        continue
    with tarfile.open(SATLIB / f"{family}.tar.xz") as archive:
        members = {Path(member.name).name: member for member in archive if member.isfile()}
        for entry in entries:
            name = next((n for n in members if n in (entry["name"], f"{entry['name']}.cnf")), None)
            for use in (True, False) if family in ("aim", "bmc", "parity") else (True,):
                if name is None or (family, name, use) in done or time.monotonic() - began > 60 * options.minutes:
                    continue
                is_satisfiable = entry["satisfiable"].strip().lower() in ("sat", "satisfiable")
                file = archive.extractfile(members[name])
                assert file is not None
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(folder) / name
                    path.write_bytes(file.read())
                    try:
                        found = solve_file(path, options.limit if is_satisfiable else LIMIT_UNSATISFIABLE_S, use)
                    except ValueError as error:
                        found = {"status": "REFUSED", "cpu_s": 0.0, "flips": 0, "why": str(error)}
                assert is_satisfiable or entry["satisfiable"] not in ("0", "unsat") or found["status"] != "SATISFIABLE"
                row = {"family": family, "file": name, "label": entry["satisfiable"], "propagation": use, **found}
                rows.append(row)
                with options.out.open("a") as out:
                    out.write(json.dumps(row) + "\n")

groups = defaultdict(list)
for row in rows:
    groups[row["family"], row["label"], row["propagation"]].append(row)
cells = []
for (family, label, use), found in sorted(groups.items()):
    seconds = sorted(row["cpu_s"] for row in found)
    count = {status: sum(row["status"] == status for row in found) for status in ("SATISFIABLE", "UNSATISFIABLE")}
    cells.append(
        (family, label, "yes" if use else "no", len(found), count["SATISFIABLE"], count["UNSATISFIABLE"],
         f"{seconds[len(seconds) // 2]:.2f}", f"{seconds[-1]:.1f}")
    )  # fmt: skip
header = ("family", "label", "propagation", "files tried", "solved", "refuted", "CPU-s, median", "most")
record("Labelled files", table(header, cells), write=options.write)
