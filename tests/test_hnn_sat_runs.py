"""The page on runs shows the numbers of the data files beside it, and the published ones are as it says."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from hnn_sat.run_lengths import cutoff_its

DOCS = Path(__file__).parent.parent / "docs"


def page():
    return (DOCS / "sat.md").read_text(encoding="utf-8")


def data(name):
    return json.loads((DOCS / f"sat-{name}.json").read_text())


def interval(values):
    return "-" if values is None else f"{values[0]:.2g} ({values[1]:.2g} to {values[2]:.2g})"


@pytest.mark.parametrize("name", ["klima", "noise", "curve"])
def test_the_tables_of_the_page_hold_the_numbers_of_the_runs(name):
    """Each row of the data, formatted as a row of the page's table, occurs there."""
    found = data(name)
    assert len(found) >= 8
    for key, row in found.items():
        where, what = key.split()
        value, low, high = (f"{row[field]:,.0f}" for field in ("its99", "low", "high"))
        if name == "curve":
            line = f"| {where} | {what} | {value} | {low} to {high} | {row['solved']:.3f} |"
        else:
            floor = " †" if row["its99"] <= row["cutoff"] else ""  # all runs of the median instances were solved
            line = f"| {where} | {what} | {row['level']:g} | {row['cutoff']:,} | {value}{floor} | {low} to {high} |"
        if "exponential" in row:
            middle, least, most = (f"{end:,.0f}" for end in row["exponential"])
            line += f" {middle} ({least} to {most}) |"
        assert line in page(), line
        assert row["low"] <= row["its99"] <= row["high"]


def test_what_the_page_says_of_rows_at_the_floor_follows_from_the_estimate():
    """1.18 and 1.41 cutoffs: all of 24, and of 12, runs solved."""
    for n, stated in ((24, "1.18 times its cutoff for 24 runs"), (12, "1.41 times for 12")):
        solved = np.ones((1, n), bool)
        assert f"{cutoff_its(solved.astype(int), solved, 1)[0]:.2f}" == stated[:4]
        assert stated in page()


def test_the_machines_beside_each_other_are_those_of_one_run():
    for family, rows in data("machines").items():
        assert len({row["instances"] for row in rows}) == 1
        assert len(rows) >= 3
        for row in rows:
            times, joules = (interval(row[what]) for what in ("tts99_s", "ets99_j"))
            line = f"| {family} | {row['machine']} | {interval(row.get('its99'))} | {times} | {joules} |"
            assert line in page(), line
            assert 0 < row["ets99_j"][1] <= row["ets99_j"][0] <= row["ets99_j"][2] < math.inf


def test_the_pictured_energies_begin_alike_and_never_go_below_zero():
    found = data("energy")
    assert set(found) == {"walksat", "gnsat-n", "mnsat"}
    assert len({values[0] for values in found.values()}) == 1
    assert all(len(values) == 601 and min(values) >= 0 for values in found.values())


def test_the_errors_of_the_published_data_are_as_the_page_says():
    """CountryCrab 8c25245, data/npj_uc_figures: medians of fig3_its, fig4_tts, fig4_ets and fig4_energy_per_cycle."""
    # (a) CPU WalkSAT, 3-SAT, N = 20, 50, 100, 150: nanojoules over microseconds are milliwatts.
    cpu_nj, cpu_us = (3688, 1.046e4, 3.86e4, 8.26e4), (228, 658, 2458, 5210)
    assert all(15.5 < nj / us < 16.5 for nj, us in zip(cpu_nj, cpu_us, strict=True))
    # (b) 4-SAT GNSAT-N, N = 50, 100, 150: microjoules over iterations are its energy a cycle, and it is GNSAT-U's.
    its, uj = (7433, 5.53e4, 2.06e5), (0.151, 2.24, 12.6)
    normal_pj, cheap_pj = (46.45, 92.61, 139.64), (20.24, 40.52, 61.34)
    for n, e, own, other in zip(its, uj, normal_pj, cheap_pj, strict=True):
        assert e * 1e6 / n == pytest.approx(other, rel=0.01)
        assert own / other == pytest.approx(2.28, abs=0.02)
    # (c) The best ratio of times to the CPU, over sizes and rules, and the range of ratios of energies.
    klima_us = ((5.57, 1.47, 1.22), (50.1, 17.8, 11.7), (382, 77.5, 55.5), (1099, 250, 125))
    assert max(t / min(rules) for t, rules in zip(cpu_us, klima_us, strict=True)) == pytest.approx(187, abs=0.5)
    klima_nj = ((12.7, 1.11, 3.16), (288, 32.0, 75.2), (4378, 278, 714), (1.90e4, 1362, 2428))
    ratios = [c / e for c, rules in zip(cpu_nj, klima_nj, strict=True) for e in rules]
    assert max(ratios) == pytest.approx(3300, rel=0.02)
    for stated in ("16 mW", "2.28 times", "187 ×", "3300 ×"):
        assert stated in page()
