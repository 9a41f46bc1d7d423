"""Clauses of unequal worth: weighted formulas, hard clauses, and the WCNF format of the MaxSAT evaluations."""

import errno
import warnings
from collections.abc import Iterable, Sequence
from math import gcd
from pathlib import Path
from typing import NamedTuple

from hnn_sat.problem import Problem, from_clauses

LARGEST_EXPANSION = 1_000_000  # clauses
LARGEST_WEIGHT = 2**63 - 1


class Weighted(NamedTuple):
    """Clauses as DIMACS numbers with positive whole weights; weight None is a hard clause."""

    clauses: tuple[tuple[int, ...], ...]
    weights: tuple[int | None, ...]

    def cost(self, literals: Iterable[int]) -> int:
        """Sum of the weights of soft clauses that hold none of these true literals, by plain Python."""
        true = set(literals)
        pairs = zip(self.clauses, self.weights, strict=True)
        return sum(weight for clause, weight in pairs if weight is not None and true.isdisjoint(clause))

    def n_hard_violated(self, literals: Iterable[int]) -> int:
        """Hard clauses that hold none of these true literals."""
        true = set(literals)
        pairs = zip(self.clauses, self.weights, strict=True)
        return sum(weight is None and true.isdisjoint(clause) for clause, weight in pairs)

    def expanded(self, hard: int | None = None) -> tuple[Problem, int]:
        """The problem in which each clause occurs as often as its weight says, and the unit of its energy.

        Weights are divided by their greatest common divisor, the unit: energy times unit is the cost as long as all
        hard clauses hold. hard: how often a hard clause occurs; by default once more than all soft ones together, so
        that no hard clause is worth violating. Every rule and engine then searches the weighted energy as it is.
        Raises ValueError if more than a million clauses would be needed; smaller weights, or a smaller `hard`, help.
        """
        soft = [weight for weight in self.weights if weight is not None]
        unit = gcd(*soft) if soft else 1
        n_hard = len(self.weights) - len(soft)
        times = sum(soft) // unit + 1 if hard is None else hard
        if times < 1:
            raise ValueError(f"hard must be at least 1, got {hard}")
        total = sum(soft) // unit + (times * n_hard if soft else n_hard)
        if total > LARGEST_EXPANSION:
            raise ValueError(
                f"weights of {total} units need as many clauses; at most {LARGEST_EXPANSION} are allowed, so "
                "scale them down, or give a smaller hard="
            )
        repeated = [
            clause
            for clause, weight in zip(self.clauses, self.weights, strict=True)
            for _ in range(weight // unit if weight is not None else (times if soft else 1))
        ]
        return from_clauses(repeated), unit


def weighted(clauses: Iterable[Sequence[int]], weights: Iterable[int | None]) -> Weighted:
    """Clauses with their weights, checked. Raises ValueError for a weight that is not a positive whole number or None,
    for lists of unequal length, and as `from_clauses` does."""
    rows = tuple(tuple(int(literal) for literal in clause) for clause in clauses)
    values = tuple(weights)
    if len(rows) != len(values):
        raise ValueError(f"weights has {len(values)} entries for {len(rows)} clauses; give one for each")
    for index, weight in enumerate(values):
        if weight is None:
            continue
        if isinstance(weight, bool) or not isinstance(weight, int) or not 1 <= weight <= LARGEST_WEIGHT:
            raise ValueError(
                f"weight {index} must be a whole number from 1 to 2^63 - 1, or None for hard, got {weight!r}"
            )
    from_clauses(rows)
    return Weighted(rows, values)


def from_wcnf(path: str | Path) -> Weighted:
    """Read a WCNF file, old or new.

    New (MaxSAT Evaluation 2022): no header, a clause a line, `h` or a weight before it. Old: `p wcnf <variables>
    <clauses> [<top>]`, a weight before each clause; the weight `top` is hard. Clauses of weight 0 are dropped.
    As `from_dimacs`: a line `%` ends the file, the last clause may lack its 0 (a warning where no header says how many
    clauses there are), a header that declares too few clauses or variables is warned about, and a file with fewer
    clauses than declared is taken for a truncated one and refused.
    Raises ValueError, with file and line, for anything else, and OSError if the file cannot be read.
    """
    path = Path(path)
    clauses: list[list[int]] = []
    weights: list[int | None] = []
    top: int | None = None
    declared: tuple[int, int] | None = None
    words: list[tuple[str, str]] = []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            where = f"{path}, line {number}"
            if b"\0" in line or (number == 1 and line.startswith(b"\x1f\x8b")):
                raise ValueError(f"{where} is binary data; give an uncompressed text file in WCNF format")
            if not line.strip() or line.lstrip().startswith(b"c"):
                continue
            if line.split()[0] == b"%":
                break
            text = [word.decode("ascii", errors="backslashreplace") for word in line.split()]
            if text[0] == "p":
                if declared is not None or words or len(text) not in (4, 5) or text[1] != "wcnf":
                    raise ValueError(
                        f"{where} is not one header 'p wcnf <variables> <clauses> [<top>]' before all clauses"
                    )
                counts = [_whole(word, where) for word in text[2:]]
                declared, top = (counts[0], counts[1]), counts[2] if len(counts) == 3 else None
                continue
            words.extend((word, where) for word in text)
    clause: list[int] | None = None
    weight: int | None = None
    where, n_read, largest = str(path), 0, 0
    for word, where in words:
        if clause is None:
            if word == "h":
                if declared is not None:
                    raise ValueError(
                        f"{where} holds 'h' under a header; with 'p wcnf' a hard clause has the weight top"
                    )
                weight = None
            else:
                weight = _whole(word, where)
                if top is not None and weight >= top:
                    weight = None
            clause = []
            continue
        literal = _whole(word, where, is_signed=True)
        if literal:
            clause.append(literal)
            largest = max(largest, abs(literal))
        else:
            n_read += 1
            if weight != 0:
                clauses.append(clause)
                weights.append(weight)
            clause = None
    if clause is not None:
        if not clause:
            raise ValueError(f"{where} ends within a clause, after its weight; every clause ends with 0")
        n_read += 1
        if weight != 0:
            clauses.append(clause)
            weights.append(weight)
        if declared is None:
            warnings.warn(f"{where}: the last clause has no 0 at its end; is the file whole?", stacklevel=2)
    if declared is None:
        if not words:
            raise ValueError(f"{path} holds no clause and no header, so it is not WCNF")
        return weighted(clauses, weights)
    declared_variables, declared_clauses = declared
    if n_read < declared_clauses:
        raise ValueError(
            f"{path}: the file ends after {n_read} of the {declared_clauses} clauses that its header declares; "
            "fetch it again, or correct the header if these are all"
        )
    if n_read > declared_clauses:
        warnings.warn(
            f"{path}: the header declares {declared_clauses} clauses but the file holds {n_read}", stacklevel=2
        )
    if largest > declared_variables:
        warnings.warn(
            f"{path}: the header declares {declared_variables} variables but variable {largest} occurs", stacklevel=2
        )
    return weighted(clauses, weights)


def to_wcnf(formula: Weighted, path: str | Path) -> None:
    """Write the new form. Raises FileExistsError rather than replace a file."""
    path = Path(path)
    if path.exists():
        raise FileExistsError(errno.EEXIST, "exists already; give another name or remove it", str(path))
    lines = [
        " ".join(["h" if weight is None else str(weight), *map(str, clause), "0"])
        for clause, weight in zip(formula.clauses, formula.weights, strict=True)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def _whole(word: str, where: str, *, is_signed: bool = False) -> int:
    digits = word[1:] if is_signed and word.startswith("-") else word
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 19 or int(digits) > LARGEST_WEIGHT:
        kind = "literal" if is_signed else "weight or count"
        raise ValueError(f"{where} holds {word[:40]!r}, which is not a {kind}")
    return int(word)
