"""Unit propagation: what follows at once from clauses of one literal; perhaps that nothing satisfies them all."""

from collections.abc import Sequence
from typing import NamedTuple


class Propagation(NamedTuple):
    """Literals that every solution must have, the clauses that are left without them, and whether two contradict."""

    fixed: list[int]
    clauses: list[list[int]]
    is_contradiction: bool


def propagate(clauses: Sequence[Sequence[int]]) -> Propagation:
    """Make the only literal of a clause true, drop the clauses it satisfies, shorten the others; until nothing changes.

    Not random. A contradiction (an empty clause, given or derived) proves that no assignment satisfies the formula.
    """
    left = [list(dict.fromkeys(clause)) for clause in clauses]
    left = [clause for clause in left if not any(-literal in clause for literal in clause)]
    where: dict[int, list[int]] = {}
    for index, clause in enumerate(left):
        for literal in clause:
            where.setdefault(literal, []).append(index)
    length = [len(clause) for clause in left]
    is_satisfied = [False] * len(left)
    queue = [clause[0] for clause in left if len(clause) == 1]
    true: dict[int, None] = {}
    is_contradiction = 0 in length
    while queue and not is_contradiction:
        literal = queue.pop()
        if literal in true:
            continue
        if -literal in true:
            is_contradiction = True
            break
        true[literal] = None
        for index in where.get(literal, ()):
            is_satisfied[index] = True
        for index in where.get(-literal, ()):
            length[index] -= 1
            if is_satisfied[index]:
                continue
            if length[index] == 0:
                is_contradiction = True
            elif length[index] == 1:
                queue.extend(other for other in left[index] if -other not in true)
    kept = [
        [literal for literal in clause if -literal not in true]
        for clause, satisfied in zip(left, is_satisfied, strict=True)
        if not satisfied
    ]
    return Propagation(sorted(true, key=abs), kept, is_contradiction)
