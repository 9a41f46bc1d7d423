"""Read and write formulas in the DIMACS CNF format, with the irregularities that files in circulation have."""

import errno
import os
import tempfile
import warnings
from pathlib import Path

from hnn_sat.problem import LARGEST_VARIABLE, Problem, from_clauses, original_clauses


def from_dimacs(path: str | Path) -> Problem:
    """Read a CNF file.

    Accepted: comments anywhere, several clauses on a line, a clause over several lines, a last clause without its 0,
    the `%` and `0` that end many SATLIB files, tautologies, repeated literals and empty clauses. A header that
    declares too few clauses or variables is only warned about, and memory follows the variables that occur
    (`from_clauses`). A file with fewer clauses than declared is taken for a truncated one and refused, since a solution
    of what is left need not satisfy what was lost.
    Raises ValueError, with file and line, for a missing or malformed header, a clause before it, a word that is not an
    integer, or missing clauses, and OSError if the file cannot be read.
    """
    path = Path(path)
    header: tuple[int, int] | None = None
    clauses: list[list[int]] = []
    clause: list[int] = []
    number = 0
    # Bytes, because comments come in any encoding; everything else must be ASCII and is checked word by word.
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            where = f"{path}, line {number}"
            if b"\0" in line or (number == 1 and line.startswith(b"\x1f\x8b")):
                raise ValueError(f"{where} is binary data; give an uncompressed text file in DIMACS CNF format")
            words = line.split()
            if not words or line.lstrip().startswith(b"c"):
                continue
            if words[0] == b"%":
                break
            if words[0] == b"p":
                if header is not None:
                    raise ValueError(f"{where} is a second header; a file has one line 'p cnf <variables> <clauses>'")
                header = _header(words, where)
                continue
            if header is None:
                raise ValueError(
                    f"{where} is {_shown(line)} before any header; "
                    "the first line that is not a comment must be 'p cnf <variables> <clauses>'"
                )
            for word in words:
                literal = _integer(word, where)
                if literal:
                    clause.append(literal)
                else:
                    clauses.append(clause)
                    clause = []
    if header is None:
        raise ValueError(f"{path}, line {number}: the file ends without a header 'p cnf <variables> <clauses>'")
    if clause:
        clauses.append(clause)

    declared_variables, declared_clauses = header
    largest = max((abs(literal) for clause in clauses for literal in clause), default=0)
    if len(clauses) < declared_clauses:
        raise ValueError(
            f"{path}, line {number}: the file ends after {len(clauses)} of the {declared_clauses} clauses that its "
            "header declares; fetch it again, or correct the header if these are all"
        )
    if len(clauses) > declared_clauses:
        warnings.warn(
            f"{path}: the header declares {declared_clauses} clauses but the file holds {len(clauses)}", stacklevel=2
        )
    if largest > declared_variables:
        warnings.warn(
            f"{path}: the header declares {declared_variables} variables but variable {largest} occurs", stacklevel=2
        )
    return from_clauses(clauses, n_variables=max(largest, declared_variables))


def to_dimacs(problem: Problem, path: str | Path, *, comment: str = "") -> None:
    """Write the clauses as they were given, under a comment of any number of lines.

    The file appears whole or not at all. Raises FileExistsError rather than replace one.
    """
    clauses = original_clauses(problem)
    largest = int(problem.name[-1]) if problem.n_variables else 0
    lines = [f"c {line}" for line in comment.splitlines()]
    lines.append(f"p cnf {largest} {len(clauses)}")
    lines.extend(" ".join(map(str, [*clause, 0])) for clause in clauses)
    path = Path(path)
    if path.exists():
        raise FileExistsError(errno.EEXIST, "exists already; give another name or remove it", str(path))
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        os.chmod(temporary, 0o644)  # mkstemp makes it private
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _header(words: list[bytes], where: str) -> tuple[int, int]:
    if len(words) != 4 or words[1] != b"cnf":
        raise ValueError(f"{where} is {_shown(b' '.join(words))}; a header must be 'p cnf <variables> <clauses>'")
    n_variables, n_clauses = _integer(words[2], where), _integer(words[3], where)
    if n_variables < 0 or n_clauses < 0:
        raise ValueError(f"{where} declares {n_variables} variables and {n_clauses} clauses; neither can be negative")
    return n_variables, n_clauses


def _integer(word: bytes, where: str) -> int:
    # int() alone would also take 1_000.
    if not word.lstrip(b"-").isdigit() or word.count(b"-") > 1 or len(word) > 11:
        raise ValueError(f"{where} holds {_shown(word)}, which is not an integer of at most {LARGEST_VARIABLE}")
    if abs(number := int(word)) > LARGEST_VARIABLE:
        raise ValueError(f"{where} holds {number}; the largest variable allowed is {LARGEST_VARIABLE}")
    return number


def _shown(data: bytes) -> str:
    text = data.strip().decode("ascii", errors="backslashreplace")
    return repr(text if len(text) <= 40 else text[:37] + "...")
