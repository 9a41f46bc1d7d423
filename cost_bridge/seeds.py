"""The ledger: what the seed documents claim, recomputed by the library, with a verdict that the numbers give.

A row quotes the document word for word, names the rates that its value depends on, computes it, and holds bounds that
follow from the quotation. The verdict is not typed in: all bounds met is 'reproduces' ('under a stated reading' where
the document does not state everything that the value needs), some met is 'partly', none is 'does not'. What rests on
data that the documents do not contain and no bound tests is 'external'; what has no number is a 'bare claim'.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .price import Number
from .rates import load, tables
from .uncertainty import Rate, medians

VERDICTS = ("reproduces", "under a stated reading", "partly", "does not", "external", "bare claim")
DOCUMENTS = {
    "A": "000_57aa8636182536ef.txt",
    "B": "001_66b9f4eed8534322.txt",
    "C": "002_af3c23a5d544aa1b.txt",
    "D": "003_71293cbb84ee1c4a.txt",
}
"""First letter of a row's id: the paper, its summary, the essay, the report; and the file that holds the text."""

Tables = Mapping[str, Mapping[str, Number]]
Values = Mapping[str, Number]


class Bound(NamedTuple):
    """What the quotation says about one of the values: at least `low`, at most `high`."""

    value: str
    low: float
    high: float


def near(value: str, said: float, within: float) -> Bound:
    """The document's number, give or take a relative error that its rounding or its words allow."""
    return Bound(value, said * (1 - within), said * (1 + within))


def at_least(value: str, said: float) -> Bound:
    """A claim of more than."""
    return Bound(value, said, float("inf"))


def at_most(value: str, said: float) -> Bound:
    """A claim of less than."""
    return Bound(value, -float("inf"), said)


class Row(NamedTuple):
    """One claim. compute: rates as tables in, named values out, by functions of the library; None for a bare claim.

    inputs: dotted names of the rates that the value depends on. reading: what has to be supposed that the document does
    not say; empty where it says everything. external: the row only puts numbers beside a claim about outside data.
    """

    id: str
    seed_words: str
    reason: str
    formula: str = ""
    assumptions: str = ""
    inputs: tuple[str, ...] = ()
    compute: Callable[[Tables], Values] | None = None
    bounds: tuple[Bound, ...] = ()
    reading: bool = False
    external: bool = False


class Found(NamedTuple):
    """A row with its values and the verdict that they give."""

    row: Row
    values: dict[str, Number]
    verdict: str


def rows() -> tuple[Row, ...]:
    """Every row, in the order of the documents."""
    from .claims import ROWS

    return ROWS


def row(identifier: str) -> Row:
    """One row. Raises ValueError that names the nearest ids for one that is not there."""
    from difflib import get_close_matches

    by_id = {one.id: one for one in rows()}
    if identifier not in by_id:
        near_by = get_close_matches(identifier, by_id, n=3, cutoff=0.3) or list(by_id)[:3]
        raise ValueError(f"there is no row {identifier!r}; nearest are {', '.join(near_by)}, ids are A1 to D33")
    return by_id[identifier]


def evaluate(one: Row, values: Mapping[str, float]) -> Found:
    """Compute a row at some value of every rate."""
    if one.compute is None:
        return Found(one, {}, "bare claim")
    computed = dict(one.compute(tables(values)))
    met = [bound.low <= computed[bound.value] <= bound.high for bound in one.bounds]
    if one.external:
        verdict = "external"
    elif all(met):
        verdict = "under a stated reading" if one.reading else "reproduces"
    else:
        verdict = "partly" if any(met) else "does not"
    return Found(one, computed, verdict)


def ledger(overrides: Mapping[str, Rate] | None = None) -> list[Found]:
    """Every row at the medians of the tables, with a user's own rates in place of theirs."""
    values = medians({**load(), **(overrides or {})})
    return [evaluate(one, values) for one in rows()]


def as_json(found: Found) -> dict[str, Any]:
    """A row of `cost-bridge seeds --json`: one value is a number, several are named, a bare claim has null."""
    values = {name: float(value) for name, value in found.values.items()}
    value: Any = values or None
    if len(values) == 1:
        (value,) = values.values()
    one = found.row
    return {
        "id": one.id,
        "seed_words": one.seed_words,
        "formula": one.formula,
        "assumptions": one.assumptions,
        "value": value,
        "verdict": found.verdict,
        "reason": one.reason,
    }
