"""The page on runs shows the numbers of the data files beside it."""

import json
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize("name", ["klima", "noise"])
def test_the_tables_of_the_page_hold_the_numbers_of_the_runs(name):
    """Each row of the data, formatted as a row of the page's table, occurs there."""
    page = (DOCS / "sat.md").read_text(encoding="utf-8")
    data = json.loads((DOCS / f"sat-{name}.json").read_text())
    assert len(data) >= 8
    for key, row in data.items():
        where, what = key.split()
        value, low, high = (f"{row[field]:,.0f}" for field in ("its99", "low", "high"))
        line = f"| {where} | {what} | {row['level']:g} | {row['cutoff']:,} | {value} | {low} to {high} |"
        assert line in page, line


def test_the_pictured_energies_begin_alike_and_never_go_below_zero():
    data = json.loads((DOCS / "sat-energy.json").read_text())
    assert set(data) == {"walksat", "gnsat-n", "mnsat"}
    assert len({values[0] for values in data.values()}) == 1
    assert all(len(values) == 601 and min(values) >= 0 for values in data.values())
