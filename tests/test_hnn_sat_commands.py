"""Options of `hnn-sat solve`, unit propagation, a folder of files, and sweeps."""

import hashlib
import itertools
import json
import math

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hnn_sat import from_dimacs, random_ksat, to_dimacs, violated_clauses
from hnn_sat.__main__ import command
from hnn_sat.engines import TwoProducts
from hnn_sat.propagate import propagate
from hnn_sat.sweeps import _halves, noise_sweep


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.integers(-5, 5).filter(bool), max_size=4), max_size=9))
def test_propagation_keeps_exactly_the_solutions(clauses):
    found = propagate(clauses)

    def holds(rows, x):
        return all(any(x[abs(l) - 1] == (l > 0) for l in clause) for clause in rows)

    everything = list(itertools.product([False, True], repeat=5))
    solutions = [x for x in everything if holds(clauses, x)]
    if found.is_contradiction:
        assert solutions == []
        return
    fixed = [x for x in everything if all(x[abs(l) - 1] == (l > 0) for l in found.fixed)]
    assert [x for x in fixed if holds(found.clauses, x)] == solutions
    assert all(len(clause) > 1 for clause in found.clauses)
    assert {abs(l) for l in found.fixed}.isdisjoint(abs(l) for clause in found.clauses for l in clause)


def test_propagation_of_a_long_chain_is_linear():
    n = 100_000
    found = propagate([[1], *[[-v, v + 1] for v in range(1, n)]])
    assert found.fixed == list(range(1, n + 1))
    assert propagate([[1], *[[-v, v + 1] for v in range(1, n)], [-n]]).is_contradiction


def answer(capsys, *arguments):
    code = command([str(a) for a in arguments])
    return code, capsys.readouterr().out


def test_every_rule_and_engine_can_be_named(tmp_path, capsys):
    path = tmp_path / "a.cnf"
    to_dimacs(random_ksat(jax.random.key(1), 12, 3.0), path)
    for option, names in (
        (
            "--dynamics",
            ("walksat", "probsat", "mnsat", "gnsat-n", "gnsat-u", "gnsat-v", "gnsat-b", "metropolis", "glauber"),
        ),
        ("--engine", ("bit-planes", "sparse", "numba", "bit-sliced", "array", "cam")),
    ):
        for name in names:
            code, out = answer(capsys, "solve", path, option, name, "--replicas", 4, "--json")
            report = json.loads(out)
            assert code == 10
            assert report[option[2:]] == name
            assert violated_clauses(from_dimacs(path), report["model"]) == []
    code, out = answer(capsys, "solve", path, "--luby", "--restart-after", 5, "--noise", 0.3, "--max-flips", 500)
    assert code == 10


def test_what_propagation_fixed_is_part_of_the_model(tmp_path, capsys):
    path = tmp_path / "units.cnf"
    path.write_text("p cnf 7 6\n-1 0\n1 2 0\n-2 3 4 0\n3 -4 5 0\n-3 -5 0\n6 6 -6 0\n")
    code, out = answer(capsys, "solve", path, "--json")
    report = json.loads(out)
    assert (code, report["n_propagated"]) == (10, 2)
    assert list(map(abs, report["model"])) == [1, 2, 3, 4, 5, 6, 7]
    assert {-1, 2} <= set(report["model"])
    assert violated_clauses(from_dimacs(path), report["model"]) == []
    path.write_text("p cnf 2 2\n1 0\n-1 2 0\n")  # nothing is left to search
    assert answer(capsys, "solve", path, "--json")[0] == 10


def test_unsatisfiable_is_said_where_propagation_proves_it_and_only_there(tmp_path, capsys):
    path = tmp_path / "chain.cnf"
    path.write_text("p cnf 3 4\n1 0\n-1 2 0\n-2 3 0\n-2 -3 0\n")
    code, out = answer(capsys, "solve", path)
    assert code == 20
    assert "s UNSATISFIABLE" in out
    assert "c reason unit propagation derives the empty clause" in out
    assert answer(capsys, "solve", path, "--no-propagation", "--max-flips", 50)[0] == 0
    path.write_text("p cnf 2 4\n1 2 0\n1 -2 0\n-1 2 0\n-1 -2 0\n")
    assert answer(capsys, "solve", path, "--max-flips", 50)[0] == 0


def test_a_folder_is_solved_file_by_file_and_resumed(tmp_path, capsys):
    for i in range(3):
        to_dimacs(random_ksat(jax.random.key(i), 15, 3.0), tmp_path / f"f{i}.cnf")
    (tmp_path / "g.cnf").write_text("p cnf 1 2\n1 0\n-1 0\n")
    (tmp_path / "notes.txt").write_text("not a formula")
    out = tmp_path / "rows.jsonl"
    arguments = ("bench", tmp_path, "--out", out, "--replicas", 4, "--json")
    code, printed = answer(capsys, *arguments)
    rows = [json.loads(line) for line in printed.splitlines()]
    assert code == 0
    assert [row["file"] for row in rows] == ["f0.cnf", "f1.cnf", "f2.cnf", "g.cnf"]
    assert [row["status"] for row in rows] == ["SATISFIABLE"] * 3 + ["UNSATISFIABLE"]
    assert [json.loads(line) for line in out.read_text().splitlines()] == rows
    # Killed within the second row: only what is missing is run again, and the first row stays as it was.
    lines = out.read_text().splitlines(keepends=True)
    out.write_text(lines[0].replace('"seconds": ', '"seconds": 77') + lines[1][:20])
    again = [json.loads(line) for line in answer(capsys, *arguments)[1].splitlines()]
    assert str(again[0]["seconds"]).startswith("77")
    assert [{**row, "seconds": 0} for row in again] == [{**row, "seconds": 0} for row in rows]
    assert len(out.read_text().splitlines()) == 4
    # Other options are other rows; a table is printed without --json.
    table = answer(capsys, "bench", tmp_path, "--out", out, "--replicas", 2)[1].splitlines()
    assert len(table) == 5
    assert len(out.read_text().splitlines()) == 8
    # Another content under the same name is another formula; a file that is none does not hold up the others.
    (tmp_path / "g.cnf").write_text("p cnf 1 1\n-1 0\n")
    (tmp_path / "f1.cnf").write_text("p cnf 2 1\n1 x 0\n")
    code, printed = answer(capsys, *arguments)
    rows = [json.loads(line) for line in printed.splitlines()]
    assert code == 2
    assert [row["status"] for row in rows] == ["SATISFIABLE", "ERROR", "SATISFIABLE", "SATISFIABLE"]
    assert "f1.cnf, line 2 holds 'x'" in rows[1]["error"]
    assert rows[3]["size"] == 15
    assert rows[3]["sha256"] == hashlib.sha256(b"p cnf 1 1\n-1 0\n").hexdigest()
    assert len(out.read_text().splitlines()) == 10
    with pytest.raises(ValueError, match=r"Schedule\.noise must be a probability"):
        command(["bench", str(tmp_path), "--noise", "1.5"])
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match=r"no file that ends in \.cnf"):
        command(["bench", str(empty)])


def test_sums_of_a_sweep_go_beyond_32_bits():
    counts = np.array([2**31 - 33] * 5 + [7, 65_536, 65_535])
    halves = _halves("n", jax.numpy.asarray(counts, jax.numpy.int32))
    assert 2**16 * int(halves["n_upper"]) + int(halves["n_lower"]) == counts.sum() > 2**33


def test_a_sweep_shares_draws_between_levels_and_resumes(tmp_path, capsys):
    problem = random_ksat(jax.random.key(1), 20, 4.0)
    engine = TwoProducts(rows=64, cols=128)
    common = {"dynamic": "walksat", "engine": engine, "name": "a", "replicas": 8, "max_flips": 300, "n_seeds": 2}
    found = noise_sweep(problem, {"read_noise": [0.0, 0.3], "noise": [0.5]}, store=tmp_path / "store", **common)
    assert dict(found.sizes) == {"read_noise": 2, "noise": 1, "seed": 2}
    assert (found["n_solved"].values <= 8).all()
    assert int(found["n_solved"].sel(read_noise=0.0).sum()) > 0
    # Seeds differ, and a level changes what happens.
    assert len(set(found["n_iterations"].values.ravel().tolist())) == 4
    again = noise_sweep(problem, {"read_noise": [0.0, 0.3], "noise": [0.5]}, store=tmp_path / "store", **common)
    np.testing.assert_array_equal(found["n_iterations"], again["n_iterations"])
    for axes, sentence in (
        ({"colour": [1.0]}, "no level 'colour'"),
        ({"noise": [0.5, 1.5]}, "Schedule.noise must be a probability from 0 to 1, got 1.5"),
        ({"read_noise": [-0.1]}, "TwoProducts.read_noise must be a finite number of at least 0, got -0.1"),
        ({"stuck_on": [1.1]}, "TwoProducts.stuck_on must be a share from 0 to 1, got 1.1"),
    ):
        with pytest.raises(ValueError, match=sentence):
            noise_sweep(problem, axes, **common)

    to_dimacs(problem, tmp_path / "a.cnf")
    code, out = answer(
        capsys, "sweep", tmp_path / "a.cnf", "--vary", "line_noise=0,0.4", "--engine", "cam", "--seeds", 1,
        "--max-flips", 200, "--replicas", 8,
    )  # fmt: skip
    assert code == 0
    header, *rows = [line.split() for line in out.splitlines()]
    assert header == ["line_noise", "solved", "its99", "missed"]
    assert [float(row[0]) for row in rows] == pytest.approx([0.0, 0.4])
    assert all(0 <= float(row[1]) <= 1 for row in rows)
    assert all(math.isinf(float(row[2].replace(",", ""))) or float(row[2].replace(",", "")) > 0 for row in rows)
    with pytest.raises(ValueError, match="--vary takes"):
        command(["sweep", str(tmp_path / "a.cnf"), "--vary", "noise=a"])
