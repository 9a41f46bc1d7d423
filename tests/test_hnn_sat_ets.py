"""Joules and seconds to a solution from the command, the rules behind the published table, and what runs leave open."""

import json
import math

import jax
import numpy as np
import pytest
from scipy.stats import chi2
from test_hnn_sat_dynamics import MIXED, THREE, assert_law, makes_and_breaks, steps, winner_law

from cost_bridge import CHIPS, load, searches
from hnn_sat import Schedule, from_clauses, from_dimacs, random_ksat, solve, to_dimacs
from hnn_sat.__main__ import command
from hnn_sat.counts import check_counts, iteration_counts, winner_counts
from hnn_sat.dynamics import GsatWalk, ViolatedWinner
from hnn_sat.statistics import IterationsToSolution, iterations_to_solution, its_draws


def worths(clauses, x):
    both = {v: makes_and_breaks(clauses, x, v) for v in x}
    return {v: make for v, (make, _) in both.items()}, {v: make - broken for v, (make, broken) in both.items()}


STARTS = [
    (MIXED, dict(zip(range(1, 7), (False, True, True, False, True, False), strict=True))),
    (THREE, dict(zip(range(1, 7), (True, False, True, True, True, True), strict=True))),
]


@pytest.mark.parametrize("walk", [0.0, 0.4])
@pytest.mark.parametrize(("clauses", "x"), STARTS)
def test_gsat_with_walk_steps_as_it_is_defined(clauses, x, walk):
    """With probability p any variable of a violated clause, each as likely; else one of greatest gain."""
    make, gain = worths(clauses, x)
    seen, best = [v for v in x if make[v] > 0], [v for v in x if gain[v] == max(gain.values())]
    assert len(seen) > 0
    law = {v: walk * (v in seen) / len(seen) + (1 - walk) * (v in best) / len(best) for v in x}
    assert_law(steps(GsatWalk(), clauses, x, walk), law)


@pytest.mark.parametrize(("clauses", "x"), STARTS)
def test_the_winner_among_violated_variables_steps_as_it_is_defined(clauses, x):
    """The law of the winner, integrated over its noise, when nobody else competes."""
    normal = (lambda z: math.exp(-z * z / 2) / math.sqrt(2 * math.pi), lambda z: 0.5 * math.erfc(-z / math.sqrt(2)))
    make, gain = worths(clauses, x)
    law = winner_law({v: gain[v] for v in x if make[v] > 0}, 1.3, *normal, (-9, 9))
    assert_law(steps(ViolatedWinner(), clauses, x, 1.3), {v: law.get(v, 0.0) for v in x})


def test_the_draws_of_its_spread_as_the_chi_square_interval_says():
    its = iterations_to_solution(np.array([30, 70, 10, 90, 200]), np.ones(5, bool))
    drawn = its_draws(its, np.random.default_rng(1), 40_000)
    total = 400 * math.log(100)
    for q in (0.05, 0.5, 0.95):
        exact = 2 * total / chi2.ppf(1 - q, 10)
        # 5 standard errors of a share of 40,000 draws.
        assert abs(np.mean(drawn <= exact) - q) < 5 * math.sqrt(q * (1 - q) / 40_000)
    assert (its.low, its.high) == pytest.approx([2 * total / chi2.ppf(q, 10) for q in (0.95, 0.05)])
    cut = iterations_to_solution(np.array([30, 70, 100]), np.array([True, True, False]))
    low, high = np.quantile(its_draws(cut, np.random.default_rng(2), 40_000), [0.05, 0.95])
    assert cut.low < low < cut.value < high < cut.high
    none = IterationsToSolution(math.inf, 1.0, math.inf, math.inf, 0.99, 0, 3)
    assert np.isinf(its_draws(none, np.random.default_rng(0), 4)).all()


def test_the_counts_of_a_winner_by_hand():
    problem = from_clauses([[1, -2], [2, 3], [-1]])  # n = 3, m = 3; on one tile no partial sums are added
    three, two = winner_counts(problem), winner_counts(problem, "make")
    assert (three.analog_macs, two.analog_macs) == (3 * 18, 2 * 18)
    assert (three.array_cycles, two.array_cycles) == (3, 2)
    assert (three.digital_ops, two.digital_ops) == (2 * 3 + 3 + 3 + 2 + 1, 2 * 3 + 3 + 2 + 1)
    assert (three.random_bits, winner_counts(problem, random_words=3).random_bits) == (96, 96)
    assert (three.adc_samples, two.adc_samples) == (3 + 2 * 3, 3 + 3)
    tiled = winner_counts(problem, rows=2, cols=2)  # the backward pass adds 2 row tiles, forward 3
    assert tiled.digital_ops == three.digital_ops + 2 * 3 + 2 * 3
    assert winner_counts(problem, "make", rows=2, cols=2).digital_ops == two.digital_ops + 2 * 3 + 3
    assert winner_counts((250, 1065, 3195)).random_bits == 32 * 250
    with pytest.raises(ValueError, match="worth must be"):
        winner_counts(problem, "loss")


@pytest.fixture(scope="module")
def formulas(tmp_path_factory):
    folder = tmp_path_factory.mktemp("formulas")
    for seed in range(3):
        to_dimacs(random_ksat(jax.random.key(seed), 20, 3.6), folder / f"f{seed}.cnf")
    return folder


def priced(capsys, *arguments):
    assert command(["cost", *map(str, arguments), "--max-flips", "2000", "--replicas", "32"]) == 0
    return capsys.readouterr().out


def test_joules_are_iterations_times_the_published_energy_of_one(formulas, capsys):
    """116 pJ at 150 variables, in proportion, and 6 ns: figures of the source, by hand."""
    report = json.loads(priced(capsys, formulas, "--machine", "klima", "--dynamics", "gnsat-v", "--json"))
    assert report["evidence"] == "simulation"
    assert [row["file"] for row in report["files"]] == ["f0.cnf", "f1.cnf", "f2.cnf"]
    for row in report["files"]:
        problem = from_dimacs(formulas / row["file"])
        result = solve(
            jax.random.key(0), problem, Schedule(replicas=32, max_flips=2000), dynamic=ViolatedWinner(), until="all"
        )
        total, solved = int(result.n_iterations.sum()), int(result.solved.sum())
        its = math.log(100) * total / solved
        assert row["its99"][0] == pytest.approx(its)
        assert row["tts99_s"][0] == pytest.approx(its * 6e-9)
        assert row["ets99_j"][0] == pytest.approx(its * 116e-12 * 20 / 150)
        for what in ("its99", "tts99_s", "ets99_j"):
            assert row[what][1] < row[what][0] < row[what][2]
        # The prices' doubt comes on top of the runs': joules are known within wider bounds than iterations.
        assert row["ets99_j"][2] / row["ets99_j"][1] > row["its99"][2] / row["its99"][1]
    middle = sorted(row["its99"][0] for row in report["files"])[1]
    low, high = report["median"]["its99"][1:]
    assert report["median"]["its99"][0] == middle
    assert low < min(row["its99"][2] for row in report["files"])
    assert high > max(row["its99"][1] for row in report["files"])


def test_joules_on_a_chip_are_the_sum_over_its_events(formulas, capsys):
    report = json.loads(priced(capsys, formulas / "f1.cnf", "--machine", "reram", "--json"))
    problem = from_dimacs(formulas / "f1.cnf")
    values = {name.partition(".")[2]: rate.value for name, rate in load().items() if name.startswith("reram.")}
    counts = (iteration_counts(problem, rows=128, cols=256) + check_counts(problem)).as_dict()
    prices = CHIPS["reram"].prices(values, True)
    on_chip = sum(counts[event] * prices[event].energy_j for event in counts if counts[event])
    seconds = 2 * values["binary_cycle_us"] * 1e-6  # two reads follow each other; all else is in their shadow or free
    tiles = 1 + 1  # 40 x 72 and 72 x 40 in tiles of 128 x 256
    standing = tiles * CHIPS["reram"].tile_area_mm2(values) * values["standing_mw_per_mm2"] * 1e-3 * seconds
    (row,) = report["files"]
    assert row["tts99_s"][0] == pytest.approx(row["its99"][0] * seconds)
    joules = on_chip * (1 + values["periphery_fraction"]) + standing
    assert row["ets99_j"][0] == pytest.approx(row["its99"][0] * joules)
    assert report["evidence"] == "assumption"  # the weakest of what moves the joules, here standing power
    text = priced(capsys, formulas, "--machine", "capacitor", "--dynamics", "mnsat")
    assert "median of the files" in text
    assert "evidence of the prices" in text


def test_what_no_run_solved_is_null_with_a_sentence(tmp_path, capsys):
    (tmp_path / "all.cnf").write_text("p cnf 2 4\n1 2 0\n1 -2 0\n-1 2 0\n-1 -2 0\n")
    arguments = ["cost", str(tmp_path), "--dynamics", "probsat", "--max-flips", "20", "--replicas", "4", "--json"]
    assert command(arguments) == 0

    def refuse(word):
        raise AssertionError(word)

    report = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert report["median"]["its99"][0] is None
    assert report["files"][0]["ets99_j"][2] is None
    assert "no run solved all.cnf within 20 iterations" in report["warning"]


def test_what_has_no_price_is_said_in_a_sentence(formulas, tmp_path):
    for arguments, sentence in (
        (["--machine", "klima"], "klima is priced for mnsat"),
        (["--dynamics", "glauber"], "an iteration of glauber"),
    ):
        with pytest.raises(ValueError, match=sentence):
            command(["cost", str(formulas), *arguments])
    with pytest.raises(ValueError, match=r"holds no file that ends in \.cnf"):
        command(["cost", str(tmp_path)])
    four = from_clauses([[1, 2, 3, 4]])
    work = searches.Iteration("mnsat", 4, four.longest_clause, {}, 1, 0)
    with pytest.raises(ValueError, match="klima is priced for 3-SAT only"):
        searches.iterations("klima", {"four": work})
    with pytest.raises(ValueError, match="machine must be one of"):
        searches.iterations("abacus", {"four": work})
