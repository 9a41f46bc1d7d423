"""Labelled files of many families through the command: solved, checked by other code, and none refuted is "solved"."""

import json
import os
import tarfile
import time
from pathlib import Path

import pytest

from hnn_sat.__main__ import SATISFIABLE, UNSATISFIABLE, command

SATLIB = Path(os.environ.get("BARRIERLESS_DATA", Path(__file__).parents[2] / "shared" / "data")) / "satlib"
LIMIT_S = 20.0
SATISFIABLE_FILES = [
    ("uf20-91", 6, 0.5),
    ("uf250-1065", 4, 0.5),
    ("flat50-115", 4, 0.5),
    ("jnh", 2, 0.3),
    ("ssa-bf", 1, 0.3),
    ("logistics", 1, 0.3),
    ("rnd3-n1000-r4", 1, 0.5),
    ("rnd5-n100-r20", 2, 0.3),
]


def plain_clauses(text):
    """The clauses of a well-formed file, up to the % that ends some."""
    words = []
    for line in text.split("\n%")[0].splitlines():
        if line and line[0] not in "cp":
            words += map(int, line.split())
    ends = [i for i, word in enumerate(words) if word == 0]
    return [words[begin:end] for begin, end in zip([0, *(i + 1 for i in ends)], ends, strict=False) if end > begin]


def files(family, label, n, folder):
    """The first n files of a family with a label, unpacked."""
    if not (SATLIB / f"{family}.tar.xz").exists():
        pytest.skip(f"no {family}.tar.xz in {SATLIB}")
    rows = [line.split(",") for line in (SATLIB / "INDEX.csv").read_text().splitlines()]
    named, labelled = rows[0].index("name"), rows[0].index("satisfiable")
    wanted = {row[named].removesuffix(".cnf") for row in rows[1:] if row[0] == family and row[labelled] == label}
    with tarfile.open(SATLIB / f"{family}.tar.xz") as archive:
        members = sorted((m for m in archive if Path(m.name).stem in wanted), key=lambda m: m.name)[:n]
        assert len(members) == n
        found = []
        for member in members:
            file = archive.extractfile(member)
            assert file is not None
            found.append(folder / Path(member.name).name)
            found[-1].write_bytes(file.read())
        return found


@pytest.mark.slow
@pytest.mark.parametrize(("family", "n", "noise"), SATISFIABLE_FILES)
def test_satisfiable_files_are_solved_in_time_and_their_models_hold(family, n, noise, tmp_path, capsys):
    for path in files(family, "sat", n, tmp_path):
        began = time.process_time()
        code = command(["solve", str(path), "--json", "--replicas", "64", "--noise", str(noise)])
        seconds = time.process_time() - began
        report = json.loads(capsys.readouterr().out)
        assert (code, report["status"]) == (SATISFIABLE, "SATISFIABLE"), path.name
        assert seconds < LIMIT_S, f"{path.name} took {seconds:.1f} CPU-seconds"
        model = set(report["model"])
        assert not any(-literal in model for literal in model)
        assert all(not model.isdisjoint(clause) for clause in plain_clauses(path.read_text("latin-1"))), path.name


@pytest.mark.slow
@pytest.mark.parametrize(("family", "n"), [("uuf50-218", 4), ("jnh", 2), ("aim", 3), ("ssa-bf", 1)])
def test_no_unsatisfiable_file_ends_satisfiable(family, n, tmp_path, capsys):
    for path in files(family, "unsat", n, tmp_path):
        code = command(["solve", str(path), "--json", "--replicas", "32", "--max-flips", "3000"])
        assert code in (0, UNSATISFIABLE), path.name
        assert json.loads(capsys.readouterr().out)["status"] != "SATISFIABLE"
