"""The studies of networks print what their committed numbers say, and reproduce them at reduced size."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
POINTS = 3.0  # percentage points: other processors round otherwise, and eleven of 360 images may change sides


@pytest.fixture(scope="module")
def study():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import network_study
    finally:
        sys.path.pop(0)
    return network_study


@pytest.mark.slow
@pytest.mark.parametrize("name", ["noise", "mapping", "drift", "recurrent", "formats"])
def test_a_study_reproduces_its_committed_numbers_at_reduced_size(study, name):
    run, _ = study.STUDIES[name]
    found = run(study.Sizes(is_reduced=True, seeds=2, models=("mlp",)))
    kept = json.loads((ROOT / "docs" / f"networks-{name}-reduced.json").read_text())
    labels = ("model", "data", "seed", "case")
    assert [[row[label] for label in labels] for row in found] == [[row[label] for label in labels] for row in kept]
    numbers = [[row[key] for key in row if key not in labels] for row in found]
    expected = [[row[key] for key in row if key not in labels] for row in kept]
    assert numbers == [pytest.approx(row, abs=POINTS) for row in expected]
    assert len({tuple(row) for row in expected}) > 1  # they are measurements, not a constant


def table_of(page: str, first: str) -> list[str]:
    """Rows of the table whose header begins so."""
    lines = (ROOT / "docs" / page).read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(first))
    end = next((i for i, line in enumerate(lines[start:], start) if not line.startswith("|")), len(lines))
    return lines[start:end]


@pytest.mark.parametrize(
    ("name", "page", "first"),
    [
        ("noise", "network-study.md", "| model, data | at | expected to cost more"),
        ("mapping", "network-study.md", "| model, data | at | offset"),
        ("drift", "network-study.md", "| model, data | at | trained digitally"),
        ("recurrent", "network-study.md", "| model, data | at | CNN"),
        ("formats", "networks.md", "| format | mlp"),
        ("year", "networks.md", "| trained | compensation"),
        ("layers", "networks.md", "| layer | alone"),
    ],
)
def test_the_pages_tables_are_those_of_the_committed_numbers(study, name, page, first):
    _, show = study.STUDIES[name]
    assert table_of(page, first) == show(study.read(name)).splitlines()
