"""Event counts against a tile-by-tile walk and a count by hand."""

import jax
import pytest

from hnn_sat import from_clauses, random_ksat
from hnn_sat.counts import (
    annealing_counts,
    cam_counts,
    check_counts,
    iteration_counts,
    placed_counts,
    probsat_counts,
    sizes,
    walksat_counts,
)
from hnn_sat.placement import place


def tiles(length, size):
    return [min(size, length - start) for start in range(0, length, size)]


@pytest.mark.parametrize(("rows", "cols"), [(256, 256), (64, 32), (7, 1000)])
def test_the_products_cost_what_a_walk_over_their_tiles_costs(rows, cols):
    problem = random_ksat(jax.random.key(0), 50, 4.0)
    n, m = 50, 200
    macs = drives = conversions = adds = 0
    for lines, outputs, converted, passes in ((2 * n, m, m, 1), (m, 2 * n, n, 1)):
        for row_index, height in enumerate(tiles(lines, rows)):
            for width in tiles(outputs, cols):
                macs += passes * height * width
                drives += passes * height
            conversions += passes * converted
            adds += passes * converted * (row_index > 0)
    counts = iteration_counts(problem, rows=rows, cols=cols)
    assert counts.analog_macs == macs == 2 * 2 * n * m
    assert counts.dac_samples == drives
    assert counts.adc_samples == conversions
    without_adds = iteration_counts(problem, rows=10**6, cols=cols).digital_ops
    assert counts.digital_ops == without_adds + adds
    assert counts.array_cycles == 2


def test_a_small_machine_by_hand():
    problem = from_clauses([[1, -2], [2, 3], [-1]])  # n = 3, m = 3, 5 literals, so k = 2 and d = 2
    assert sizes(problem) == (3, 3, 5)
    counts = iteration_counts(problem, rows=4, cols=2)
    # forward: 6 lines on 2 row tiles, 3 columns on 2 column tiles; backward: 3 lines on 1 row tile, 6 columns on 3.
    assert counts.analog_macs == 18 + 18
    assert counts.dac_samples == 6 * 2 + 3 * 3
    assert counts.adc_samples == 2 * 3 + 1 * 3
    assert counts.digital_ops == (3 + 6) + 0 + (3 + 6 + 3)
    assert counts.buffer_bytes == (4 * 1 + 1) + 12
    assert counts.random_bits == 96
    digital = walksat_counts(problem)
    assert digital.memory_bytes == 20 * 2 + 8 * 2 + 17
    assert digital.digital_ops == 6 * 2 + 3 * 2 + 6
    assert walksat_counts((3, 3, 5)) == digital


def test_counts_are_exact_integers_beyond_32_bits():
    counts = 10**9 * iteration_counts((250, 1065, 3195))
    assert counts.analog_macs == 2 * 2 * 250 * 1065 * 10**9


@pytest.mark.parametrize(
    ("shape", "rows", "message"),
    [((0, 3, 3), 256, "n_variables"), ((3, 0, 0), 256, "n_clauses"), ((3, 3, 5), 0, "rows")],
)
def test_a_machine_that_cannot_exist_is_refused(shape, rows, message):
    with pytest.raises(ValueError, match=message):
        iteration_counts(shape, rows=rows)


def test_placed_tiles_are_counted_row_by_row():
    problem = random_ksat(jax.random.key(0), 40, 4.0)
    placement = place(problem, 32, 24)
    macs = drives = 0
    for rows, columns in zip(placement.literals, placement.clauses, strict=True):
        n_rows = sum(1 for code in rows if code != 80)
        drives += n_rows
        macs += n_rows * sum(1 for clause in columns if clause != 160)
    counts = placed_counts(problem, placement)
    assert counts.analog_macs == 2 * macs
    assert counts.dac_samples == drives + 160
    assert counts.adc_samples == drives
    assert counts.comparator_decisions == 2 * 160
    assert counts.array_cycles == 2
    assert counts.digital_ops == (drives - 80) + 160 + 9 + 3
    converted = placed_counts(problem, placement, readout="adc")
    assert (converted.adc_samples, converted.comparator_decisions) == (drives + 160, 0)
    with pytest.raises(ValueError, match="readout must be"):
        placed_counts(problem, placement, readout="eye")


def test_searches_are_counted_bank_by_bank():
    counts = cam_counts((250, 1065, 3195), 3)
    assert counts.cam_searches == 4 * 1065
    assert counts.array_cycles == 4
    assert counts.digital_ops == 3 * 1065 + 1065 + 12
    assert counts.buffer_bytes == 4 * (2 * 134 + 32) + 1000
    with pytest.raises(ValueError, match="longest_clause"):
        cam_counts((250, 1065, 3195), 0)


def test_the_other_rules_by_hand():
    """n = 3, m = 3, k = 2 on tiles of 2 x 4: 3 row tiles of 6 lines forward; 2 row tiles, 2 column tiles backward."""
    shape = (3, 3, 5)
    forward_adds, flags = (3 - 1) * 3 + 2 * 3, 4 * 1 + 1
    probsat = probsat_counts(shape, rows=2, cols=4)
    assert probsat.analog_macs == 2 * 18
    assert probsat.dac_samples == 6 * 1 + 3 * 2
    assert probsat.adc_samples == 3 * 3 + 2 * 3
    assert probsat.digital_ops == forward_adds + (2 - 1) * 3 + 3 + 4 * 2 + 2
    assert (probsat.array_cycles, probsat.random_bits, probsat.buffer_bytes) == (2, 64, flags + 12)
    # WalkSAT makes the same two reads, and no subtractions: it never asks what a flip makes.
    walksat = iteration_counts(shape, rows=2, cols=4)
    assert walksat.as_dict() == probsat.as_dict() | {"random_bits": 96, "digital_ops": probsat.digital_ops - 2 + 1}
    metropolis = annealing_counts(shape, rows=2, cols=4)
    assert metropolis.analog_macs == 3 * 18
    assert metropolis.dac_samples == 6 * 1 + 2 * 3 * 2
    assert metropolis.adc_samples == 3 * 3 + 2 * 2 * 1
    assert metropolis.digital_ops == forward_adds + 2 * (2 - 1) * 1 + 3
    assert (metropolis.array_cycles, metropolis.random_bits, metropolis.buffer_bytes) == (3, 64, flags + 8)
    glauber = annealing_counts(shape, 2, rows=2, cols=4)
    assert glauber.adc_samples == 3 * 3 + 2 * 2 * 2
    assert glauber.digital_ops == forward_adds + 2 * (2 - 1) * 2 + 6
    assert (glauber.random_bits, glauber.buffer_bytes) == (64, flags + 16)
    with pytest.raises(ValueError, match="n_deciding must be from 1 to n_variables = 3"):
        annealing_counts(shape, 4)


def test_the_exact_check_visits_the_clauses_of_the_flipped_variable():
    check = check_counts((3, 3, 5))  # 5 literals of 3 variables: 2 visits
    assert {name: n for name, n in check.as_dict().items() if n} == {"digital_ops": 3 * 2 + 1, "buffer_bytes": 6 * 2}
    with pytest.raises(ValueError, match="n_variables must be at least 1"):
        check_counts((0, 3, 5))
