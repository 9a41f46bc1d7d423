"""The ledger: every quotation, every verdict, and that every value is computed from its inputs."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from cost_bridge import load, seeds
from cost_bridge.seeds import Bound, Row, evaluate, row, rows
from cost_bridge.uncertainty import medians

ROOT = Path(__file__).parent.parent
SEEDS = Path(os.environ.get("BARRIERLESS_SEEDS", ROOT.parent / "shared" / "seeds"))
BASE = medians(load())

VERDICTS = {
    "reproduces": "A1 A2 A4 A10 A11 A13 A17 A21 A22 A25 A30 A37 C2 D1 D2 D3 D4 D7 D11 D13 D15 D19 D20 D23 D24 D26 D27 "
    "D28 D29 D30",
    "under a stated reading": "A3 A16 A18 A24 A27 A31 A33 B2 C3 D6 D8 D9 D17 D25 D33",
    "partly": "A12 A15 A19 A26 A29 A34 A38 B1 C1 D18",
    "does not": "A6 A7 A28 A30b A41 A42 C6 D14",
    "external": "A9 A14 A20 A23 A32 A36 D10 D12 D16 D21 D22",
    "bare claim": "A5 A8 A35 A39 C4 C5 D5 D31 D32",
}
"""What a reader of the documents found, row by row; the code has to come to the same."""


def test_there_are_83_rows_with_ids_of_their_own() -> None:
    assert len(rows()) == 83
    assert len({one.id for one in rows()}) == 83
    assert sorted(one.id for one in rows()) == sorted(" ".join(VERDICTS.values()).split())


@pytest.mark.parametrize("one", rows(), ids=lambda one: one.id)
def test_the_words_of_a_row_stand_in_its_document(one: Row) -> None:
    """White space apart, which page breaks have scattered."""
    if not SEEDS.is_dir():
        pytest.skip(f"the seed documents are not in {SEEDS}; set BARRIERLESS_SEEDS to their folder")
    document = " ".join((SEEDS / seeds.DOCUMENTS[one.id[0]]).read_text(encoding="utf-8").split())
    assert " ".join(one.seed_words.split()) in document


@pytest.mark.parametrize("verdict", VERDICTS)
def test_the_numbers_give_the_verdict_that_reading_gave(verdict: str) -> None:
    found = {identifier: evaluate(row(identifier), BASE).verdict for identifier in VERDICTS[verdict].split()}
    assert found == dict.fromkeys(VERDICTS[verdict].split(), verdict)


@pytest.mark.parametrize("one", rows(), ids=lambda one: one.id)
def test_every_input_of_a_row_moves_its_value_and_a_bare_claim_has_none(one: Row) -> None:
    before = evaluate(one, BASE)
    if before.verdict == "bare claim":
        assert (before.values, one.inputs, one.bounds, one.formula) == ({}, (), (), "")
        return
    assert one.inputs
    assert one.formula
    for name in one.inputs:
        step = 1.0 if name.endswith("_groups") else 0.07 * BASE[name]
        assert evaluate(one, BASE | {name: BASE[name] + step}).values != before.values, name


@pytest.mark.parametrize("one", rows(), ids=lambda one: one.id)
def test_a_row_says_why_and_its_bounds_are_of_values_it_has(one: Row) -> None:
    found = evaluate(one, BASE)
    assert len(one.reason) > 3
    assert one.reason.endswith((".", "%", ";"))
    assert {bound.value for bound in one.bounds} <= set(found.values)
    assert bool(one.bounds) == (found.verdict not in ("external", "bare claim"))
    if found.verdict == "under a stated reading":
        assert one.assumptions, "a reading has to be stated"


def test_what_does_not_follow_is_a_mismatch_whatever_the_tolerance_of_rounding() -> None:
    """None of the bounds of a row that does not follow would be met if they were a tenth wider."""
    for identifier in VERDICTS["does not"].split():
        found = evaluate(row(identifier), BASE)
        for bound in found.row.bounds:
            value = found.values[bound.value]
            wider = Bound(bound.value, bound.low - 0.001 * abs(bound.low), bound.high + 0.001 * abs(bound.high))
            assert not wider.low <= value <= wider.high, (identifier, bound)


def test_the_verdict_follows_the_numbers_when_they_change() -> None:
    assert evaluate(row("D14"), BASE | {"report.compute.laptop_gb": 250.0}).verdict == "reproduces"
    assert evaluate(row("D11"), BASE | {"gpu.h100.peak_fp8_tflops": 3958.0}).verdict == "does not"
    assert evaluate(row("A16"), BASE | {"paper.projection.parameter_exponent": 1.91}).verdict == "partly"
    mtbf = {"paper.cluster.gpu_mtbf_hours": 50.7e3}
    assert evaluate(row("A21"), BASE | mtbf).verdict in ("partly", "does not")


def run(*command: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "cost_bridge", "seeds", *command], capture_output=True, text=True)


def test_the_command_prints_every_row_as_json_in_less_than_ten_seconds() -> None:
    start = time.perf_counter()
    shown = run("--json")
    assert time.perf_counter() - start < 10
    assert shown.returncode == 0, shown.stderr
    answer = json.loads(shown.stdout)
    assert list(answer) == ["rows"]
    assert len(answer["rows"]) == 83
    for one in answer["rows"]:
        assert list(one) == ["id", "seed_words", "formula", "assumptions", "value", "verdict", "reason"]
        assert one["verdict"] in seeds.VERDICTS
        assert (one["value"] is None) == (one["verdict"] == "bare claim")
        if isinstance(one["value"], dict):
            assert len(one["value"]) > 1
            assert all(isinstance(value, float) for value in one["value"].values())
    assert Counter(one["verdict"] for one in answer["rows"]) == {
        verdict: len(ids.split()) for verdict, ids in VERDICTS.items()
    }


def test_the_command_prints_one_row_and_a_table_and_takes_other_values() -> None:
    one = run("A21")
    assert one.returncode == 0, one.stderr
    assert "gain at 50k GPUs" in one.stdout
    assert "1.995" in one.stdout
    everything = run()
    assert "83 claims: 30 reproduces, 15 under a stated reading, 10 partly, 8 does not" in " ".join(
        everything.stdout.split()
    )
    changed = json.loads(run("A21", "--json", "--set", "paper.cluster.gpu_mtbf_hours=500e3").stdout)
    assert changed["rows"][0]["value"]["slow-down without resilience"] == pytest.approx(2.72, abs=0.01)
    wrong = run("A99")
    assert wrong.returncode == 2
    assert "there is no row 'A99'; nearest are" in wrong.stderr


def test_the_review_has_every_row_under_its_verdict_with_its_reason_and_its_command() -> None:
    text = (ROOT / "docs" / "seeds.md").read_text(encoding="utf-8")
    sections = {
        "reproduces": "What holds",
        "under a stated reading": "What needs an assumption, stated",
        "partly": "What holds in part",
        "does not": "What does not follow",
        "external": "Numbers beside statements about outside data",
        "bare claim": "Claims without a number",
    }
    for one in rows():
        title = sections[evaluate(one, BASE).verdict]
        section = text.split(f"\n## {title}\n")[1].split("\n## ")[0]
        (line,) = [line for line in section.splitlines() if line.startswith(f"| `cost-bridge seeds {one.id}` |")]
        assert line.endswith(f"| {one.reason} |"), one.id
