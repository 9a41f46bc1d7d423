"""The command as a competition or a script sees it: exit codes, lines, sentences."""

import json
import os
import signal
import subprocess
import sys
import threading

import jax
import pytest
from pysat.solvers import Cadical195

from hnn_sat import from_dimacs, random_ksat, to_dimacs, unsatisfiable_ksat, violated_clauses
from hnn_sat.__main__ import command
from hnn_sat.problem import original_clauses


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "hnn_sat", *map(str, arguments)], capture_output=True, text=True, timeout=120, **options
    )


def test_a_generated_formula_is_solved_in_competition_format(tmp_path):
    path = tmp_path / "random.cnf"
    made = run("generate", "--n", 100, "--ratio", 3.8, "--seed", 5, "--out", path)
    assert (made.returncode, made.stderr) == (0, "")
    solved = run("solve", path, "--seed", 3)
    assert solved.returncode == 10, solved.stderr
    assert solved.stderr == ""
    lines = solved.stdout.splitlines()
    assert all(line[:2] in ("c ", "s ", "v ") for line in lines)
    assert all(len(line) < 79 for line in lines if line.startswith("v "))
    assert [line for line in lines if line.startswith("s ")] == ["s SATISFIABLE"]
    words = " ".join(line[2:] for line in lines if line.startswith("v ")).split()
    literals = list(map(int, words))
    assert literals[-1] == 0
    assert list(map(abs, literals[:-1])) == list(range(1, 101))
    problem = from_dimacs(path)
    assert violated_clauses(problem, literals[:-1]) == []
    with Cadical195(bootstrap_with=original_clauses(problem)) as complete:
        assert complete.solve(assumptions=literals[:-1])
    assert run("solve", path, "--seed", 3, "--json").returncode == 10


def test_an_unsatisfiable_formula_ends_unknown_and_never_sat(tmp_path):
    path = tmp_path / "unsat.cnf"
    assert run("generate", "--n", 30, "--ratio", 3, "--unsatisfiable", "--out", path).returncode == 0
    with Cadical195(bootstrap_with=original_clauses(from_dimacs(path))) as complete:
        assert not complete.solve()
    answer = run("solve", path, "--max-flips", 500, "--replicas", 16)
    assert answer.returncode == 0, answer.stderr
    assert "s UNKNOWN" in answer.stdout.splitlines()
    assert "SATISFIABLE" not in answer.stdout
    assert "\nv " not in answer.stdout


def test_only_an_empty_clause_is_called_unsatisfiable(tmp_path):
    path = tmp_path / "empty.cnf"
    path.write_text("p cnf 2 1\n1 2 0\n0\n")
    answer = run("solve", path)
    assert answer.returncode == 20
    assert "s UNSATISFIABLE" in answer.stdout.splitlines()
    assert any(line.startswith("c warning: ") and "1 clauses" in line for line in answer.stdout.splitlines())


@pytest.mark.parametrize(
    ("text", "arguments", "sentence"),
    [
        (None, [], "No such file or directory"),
        ("p cnf 2 1\n1 x 0\n", [], "line 2 holds 'x'"),
        ("p cnf 1 1\n1 0\n", ["--noise", "2"], "Schedule.noise must be"),
        ("p cnf 1 1\n1 0\n", ["--time-limit", "0"], "--time-limit must be"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(text, arguments, sentence, tmp_path):
    path = tmp_path / "file.cnf"
    if text is not None:
        path.write_text(text)
    answer = run("solve", path, *arguments)
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert answer.stderr.startswith("hnn-sat: ")
    assert answer.stderr.count("\n") == 1
    assert sentence in answer.stderr


def test_generate_never_replaces_a_file(tmp_path):
    path = tmp_path / "kept.cnf"
    path.write_text("mine")
    answer = run("generate", "--out", path)
    assert (answer.returncode, path.read_text()) == (2, "mine")
    assert answer.stderr == f"hnn-sat: {path}: exists already; give another name or remove it\n"


def test_version_and_help_answer():
    assert run("--version").stdout.startswith("hnn-sat ")
    answer = run("solve", "--help")
    assert answer.returncode == 0
    assert all(flag in answer.stdout for flag in ("--seed", "--time-limit", "--replicas", "--noise", "--json"))


def test_json_holds_the_same_answer(tmp_path, capsys):
    path = tmp_path / "small.cnf"
    to_dimacs(random_ksat(jax.random.key(1), 20, 3.0), path)
    assert command(["solve", str(path), "--json"]) == 10
    answer = json.loads(capsys.readouterr().out)
    assert answer["status"] == "SATISFIABLE"
    assert answer["n_unsatisfied"] == 0
    assert violated_clauses(from_dimacs(path), answer["model"]) == []
    assert {"n_variables", "n_clauses", "n_flips", "seconds", "seed", "replicas", "warnings"} <= set(answer)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_with_unknown_and_the_best_so_far(number, tmp_path, capsys):
    path = tmp_path / "unsat.cnf"
    to_dimacs(unsatisfiable_ksat(jax.random.key(0), 30, 3.0), path)
    before = signal.getsignal(number)
    timer = threading.Timer(2.0, os.kill, (os.getpid(), number))
    timer.start()
    assert command(["solve", str(path), "--replicas", "16"]) == 0
    timer.join()
    out = capsys.readouterr().out.splitlines()
    assert "s UNKNOWN" in out
    assert "c reason interrupted" in out
    (line,) = [line for line in out if line.startswith("c n_unsatisfied ")]
    (best,) = [line for line in out if line.startswith("c best ")]
    literals = [int(word) for word in best.split()[2:]]
    assert len(violated_clauses(from_dimacs(path), literals)) == int(line.split()[2]) > 0
    assert signal.getsignal(number) == before
