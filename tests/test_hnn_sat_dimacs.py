"""Files in circulation, sound and broken, against what their text says."""

import csv
import io
import os
import tarfile
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hnn_sat import from_clauses, from_dimacs, model, to_dimacs, violated_clauses
from hnn_sat.problem import original_clauses

SATLIB = Path(os.environ.get("BARRIERLESS_DATA", Path(__file__).parents[2] / "shared" / "data")) / "satlib"

TRAPS = {
    "comments anywhere": ("c a\np cnf 3 2\nc b\n1 -2\nc c\n3 0\ncomment 5 0\n-1 0\n", [[1, -2, 3], [-1]]),
    "the percent trailer": ("p cnf 2 2\n1 2 0\n-1 0\n%\n0\n\n", [[1, 2], [-1]]),
    "a missing final zero": ("p cnf 2 2\n1 2 0\n-1", [[1, 2], [-1]]),
    "several clauses on a line": ("p cnf 2 3\n1 0 2 0 -1 -2 0\n", [[1], [2], [-1, -2]]),
    "a clause over several lines": ("p cnf 3 1\n1\n\n 2\n\t3 0\n", [[1, 2, 3]]),
    "an empty clause": ("p cnf 2 2\n1 0\n0\n", [[1], []]),
    "no clause": ("p cnf 5 0\n", []),
    "windows line ends": ("p cnf 2 1\r\n1 -2 0\r\n", [[1, -2]]),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_the_reader_survives(trap, tmp_path):
    text, clauses = TRAPS[trap]
    path = tmp_path / "trap.cnf"
    path.write_text(text, newline="")
    assert original_clauses(from_dimacs(path)) == clauses


def test_tautologies_and_repeated_literals_leave_the_search_but_not_the_check(tmp_path):
    path = tmp_path / "aim.cnf"
    path.write_text("p cnf 3 4\n1 -1 2 0\n2 2 -3 2 0\n-2 0\n3 -3 0\n")
    problem = from_dimacs(path)
    assert problem.literal.tolist() == [[2, 5], [3, 6]]  # 2 or not 3; not 2 and padding
    assert original_clauses(problem) == [[1, -1, 2], [2, 2, -3, 2], [-2], [3, -3]]
    assert violated_clauses(problem, [1, 2, 3]) == [2]
    assert violated_clauses(problem, [1, -2, 3]) == [1]
    assert not problem.has_empty_clause


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("p cnf 2 1\n1 0\n2 0\n", "declares 1 clauses but the file holds 2"),
        ("p cnf 2 1\n1 7 0\n", "declares 2 variables but variable 7 occurs"),
    ],
)
def test_a_header_that_disagrees_is_warned_about_and_overruled(text, message, tmp_path):
    path = tmp_path / "header.cnf"
    path.write_text(text)
    with pytest.warns(UserWarning, match=message):
        problem = from_dimacs(path)
    assert problem.n_original_clauses == text.count(" 0\n")


def test_a_file_with_fewer_clauses_than_it_declares_is_taken_for_truncated(tmp_path):
    path = tmp_path / "half.cnf"
    path.write_text("p cnf 2 3\n1 0\n2 0\n")
    with pytest.raises(ValueError, match=r"half\.cnf, line 3: the file ends after 2 of the 3 clauses"):
        from_dimacs(path)


def test_a_claimed_billion_variables_cost_no_memory(tmp_path):
    path = tmp_path / "huge.cnf"
    path.write_text("p cnf 1000000000 3\n1 -999999999 0\n5 0\n-5 0\n")
    problem = from_dimacs(path)
    assert problem.name.tolist() == [1, 5, 999999999]
    assert model(problem, problem.name == 5) == [-1, 5, -999999999]


def test_variables_that_occur_nowhere_keep_their_place_in_the_model(tmp_path):
    path = tmp_path / "gaps.cnf"
    path.write_text("p cnf 9 1\n7 0\n")
    problem = from_dimacs(path)
    assert model(problem, problem.name == 7) == [-1, -2, -3, -4, -5, -6, 7, -8, -9]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"p cnf 2 1\n1 two 0\n", "line 2 holds 'two', which is not an integer"),
        (b"p cnf 2 1\n1 1_0 0\n", "line 2 holds '1_0'"),
        (b"p cnf 2 1\n1 - 0\n", "line 2 holds '-'"),
        (b"p cnf 2 1\n1 99999999999 0\n", "line 2 holds"),
        (b"p cnf 2 1\n1 4000000000 0\n", "line 2 holds 4000000000; the largest"),
        (b"c\n1 2 0\np cnf 2 1\n", "line 2 is '1 2 0' before any header"),
        (b"c nothing else\n", "line 1: the file ends without a header"),
        (b"", "line 0: the file ends without a header"),
        (b"p wcnf 2 1\n", "line 1 is 'p wcnf 2 1'; a header must be"),
        (b"p cnf 2\n", "line 1 is 'p cnf 2'; a header must be"),
        (b"p cnf -2 1\n", "line 1 declares -2 variables"),
        (b"p cnf 1 1\np cnf 1 1\n", "line 2 is a second header"),
        (b"p cnf 1 1\n\xff\xfe 0\n", r"line 2 holds '\\\\xff\\\\xfe'"),
        (b"p cnf 1 1\n\x00\x01 0\n", "line 2 is binary data"),
        (b"\x1f\x8b\x08 rest", "line 1 is binary data"),
    ],
)
def test_a_broken_file_is_one_sentence_with_its_name_and_line(data, message, tmp_path):
    path = tmp_path / "broken.cnf"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message) as caught:
        from_dimacs(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_comment_may_be_in_any_encoding(tmp_path):
    path = tmp_path / "latin.cnf"
    path.write_bytes(b"c f\xfcr Sch\xf6ning\np cnf 1 1\n1 0\n")
    assert original_clauses(from_dimacs(path)) == [[1]]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(-9, 9).filter(bool), max_size=5), max_size=8))
def test_writing_and_reading_keeps_every_clause_as_it_was(tmp_path_factory, clauses):
    path = tmp_path_factory.mktemp("round") / "trip.cnf"
    problem = from_clauses(clauses)
    to_dimacs(problem, path, comment="two\nlines")
    again = from_dimacs(path)
    assert original_clauses(again) == clauses
    assert again.n_variables == problem.n_variables == max((abs(v) for c in clauses for v in c), default=0)
    assert again.literal.tolist() == problem.literal.tolist()


def test_an_existing_file_is_never_replaced_and_nothing_is_left_behind(tmp_path):
    path = tmp_path / "mine.cnf"
    path.write_text("precious")
    with pytest.raises(FileExistsError):
        to_dimacs(from_clauses([[1]]), path)
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("clauses", "n", "message"),
    [
        ([[1, 0]], None, "clause 0 holds 0; literals are non-zero"),
        ([[1], [True]], None, "clause 1 holds True"),
        ([[2**31]], None, "names variable 2147483648"),
        ([[3]], 2, "n_variables is 2 but variable 3 occurs"),
    ],
)
def test_a_clause_that_cannot_be_meant_is_refused(clauses, n, message):
    with pytest.raises(ValueError, match=message):
        from_clauses(clauses, n)


@pytest.mark.parametrize("family", ["uf20-91", "aim", "jnh", "bmc", "logistics"])
def test_every_file_of_a_satlib_family_has_the_sizes_its_index_says(family, tmp_path):
    if not (SATLIB / f"{family}.tar.xz").exists():
        pytest.skip(f"no {family}.tar.xz in {SATLIB}")
    with (SATLIB / "INDEX.csv").open() as file:
        index = {row["name"]: row for row in csv.DictReader(file) if row["family"] == family}
    seen = 0
    for name, data in satlib_files(family):
        row = index[name]
        path = tmp_path / "file.cnf"
        path.write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # headers that disagree are part of these collections
            problem = from_dimacs(path)
        clauses = original_clauses(problem)
        n_tautologies = sum(any(-literal in clause for literal in clause) for clause in clauses)
        assert len(clauses) == int(row["n_clauses"]), name
        assert problem.n_variables == int(row["n_vars"]), name
        assert problem.n_clauses == len(clauses) - n_tautologies, name
        assert n_tautologies == int(row["tautologies"]), name
        assert sum(len(set(c)) < len(c) for c in clauses) == int(row["dup_literal_clauses"]), name
        assert (min(map(len, clauses)), max(map(len, clauses))) == (int(row["k_min"]), int(row["k_max"])), name
        seen += 1
    assert seen == len(index) > 0


def satlib_files(family):
    with tarfile.open(SATLIB / f"{family}.tar.xz") as archive:
        for member in archive:
            if member.isfile() and (file := archive.extractfile(member)) is not None:
                yield Path(member.name).name, io.BytesIO(file.read()).getvalue()
