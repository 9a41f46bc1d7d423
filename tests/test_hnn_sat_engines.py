"""One energy, five engines fed the same draws: the same flips where readings are exact, known laws of misreading."""

import io
import os
import tarfile
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from aimc.cam import ThresholdCell
from aimc.devices import Gaussian
from hnn_sat import Schedule, from_clauses, from_dimacs, model, random_ksat, solve, unsatisfiable_ksat, violated_clauses
from hnn_sat.dynamics import DYNAMICS, WalkSAT, gnsat
from hnn_sat.engines import BitPlanes, BitSliced, CamSearch, Sparse, TwoProducts, bit_sliced
from hnn_sat.placement import place
from hnn_sat.problem import original_clauses

SATLIB = Path(os.environ.get("BARRIERLESS_DATA", Path(__file__).parents[2] / "shared" / "data")) / "satlib"
EXACT = {
    "sparse": Sparse(),
    "bit-sliced": BitSliced(by_worth=False),
    "two products, 7 tiles": TwoProducts(rows=128, cols=128),
    "two products, whole clauses, comparators": TwoProducts(rows=128, cols=64, placement="whole", readout="comparator"),
    "two products, half counts": TwoProducts(adc_step=0.5),
    "CAM": CamSearch(),
}


def satlib_problem(family, name, tmp_path):
    if not (SATLIB / f"{family}.tar.xz").exists():
        pytest.skip(f"no {family}.tar.xz in {SATLIB}")
    with tarfile.open(SATLIB / f"{family}.tar.xz") as archive:
        member = next(m for m in archive if Path(m.name).name == name)
        file = archive.extractfile(member)
        assert file is not None
        (tmp_path / name).write_bytes(io.BytesIO(file.read()).getvalue())
    return from_dimacs(tmp_path / name)


def mixed(seed, n=30):
    generator = np.random.default_rng(seed)
    clauses = []
    for _ in range(120):
        k = int(generator.integers(1 if generator.random() < 0.02 else 2, 8))
        clauses.append((generator.choice(n, k, replace=False) + 1) * generator.choice([-1, 1], k))
    return from_clauses([clause.tolist() for clause in clauses], n_variables=n)


def never_solved(problem):
    """The same with one contradiction more, so that every replica goes on."""
    return from_clauses([*original_clauses(problem), [1], [-1]], n_variables=problem.n_variables)


def same_flips(problem, engine, dynamic, flips, replicas, chip_key=None):
    schedule = Schedule(replicas=replicas, max_flips=flips)
    one = solve(jax.random.key(5), problem, schedule, dynamic=dynamic, engine=BitPlanes(), until="all")
    other = solve(jax.random.key(5), problem, schedule, dynamic=dynamic, engine=engine, until="all", chip_key=chip_key)
    # Where they stand at the end depends on every flip; the best met may have been met early.
    for name in ("final", "assignments", "n_unsatisfied", "n_flips", "n_iterations", "n_missed"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    return one


@pytest.mark.parametrize(
    ("name", "rule"),
    [*[(name, rule) for name in EXACT for rule in ("walksat", "gnsat-n")]]
    + [("CAM", rule) for rule in ("probsat", "mnsat", "gnsat-u", "metropolis", "glauber")],
)
def test_all_engines_make_the_same_flips_for_every_rule(name, rule):
    result = same_flips(never_solved(mixed(1)), EXACT[name], DYNAMICS[rule], 300, 4)
    assert int(result.n_flips.min()) > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize(("family", "file"), [("uf100-430", "uf100-01.cnf"), ("jnh", "jnh1.cnf")])
def test_all_engines_make_the_same_ten_thousand_flips_on_benchmark_files(name, family, file, tmp_path):
    problem = never_solved(satlib_problem(family, file, tmp_path))
    result = same_flips(problem, EXACT[name], WalkSAT(), 10_000, 2)
    assert result.n_flips.tolist() == [10_000] * 2


@pytest.mark.parametrize(
    "problem",
    [mixed(3), random_ksat(jax.random.key(2), 12, 20.0, 7), random_ksat(jax.random.key(2), 30, 4.0)],
    ids=["mixed", "7-SAT", "3-SAT"],
)
def test_bit_sliced_counts_equal_plain_counting(problem):
    """12 variables in 240 clauses of 7 have over 100 occurrences each, so the loop of blocks is run, too."""
    generator = np.random.default_rng(0)
    xs = generator.random((40, problem.n_variables)) < 0.5
    tables = bit_sliced.tables(problem)
    words = bit_sliced.slice_replicas(jnp.asarray(xs))
    violated, critical = bit_sliced.clause_flags(problem, words)
    reading = BitSliced().look(jax.random.key(0), tables, BitSliced().start(tables, jnp.asarray(xs)))
    planes, offset = bit_sliced.gain_planes(tables, words)
    d = np.asarray(bit_sliced.counter_values(planes, 40)) - np.asarray(offset)
    clauses = original_clauses(problem)
    for replica, x in enumerate(xs):
        true = [sum(x[abs(l) - 1] == (l > 0) for l in clause) for clause in clauses]
        makes, breaks = np.zeros((2, problem.n_variables), int)
        for clause, count in zip(clauses, true, strict=True):
            for l in clause:
                makes[abs(l) - 1] += count == 0
                breaks[abs(l) - 1] += count == 1 and x[abs(l) - 1] == (l > 0)
        np.testing.assert_array_equal(reading.makes[replica], makes)
        np.testing.assert_array_equal(reading.breaks[replica], breaks)
        np.testing.assert_array_equal(np.where(x, -d[replica], d[replica]), makes - breaks)
        np.testing.assert_array_equal(reading.violated[replica], [count == 0 for count in true])
    assert violated.shape == critical.shape == (problem.n_clauses, 2)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 12, 64])
def test_the_adders_count_set_bits(count):
    bits = np.random.default_rng(count).integers(0, 2**32, (count, 3, 2), dtype=np.uint32)
    planes = bit_sliced.add_bits([jnp.asarray(b) for b in bits])
    for position in range(32):
        total = sum(((np.asarray(plane) >> position) & 1).astype(int) << j for j, plane in enumerate(planes))
        np.testing.assert_array_equal(total, ((bits >> position) & 1).astype(int).sum(axis=0))


def test_a_placement_holds_every_clause_once_with_all_its_literals():
    problem = random_ksat(jax.random.key(0), 100, 4.2)
    placement = place(problem, 64, 48)
    held = placement.clauses[placement.clauses < problem.n_clauses]
    assert sorted(held.tolist()) == list(range(problem.n_clauses))
    literal = np.asarray(problem.literal)
    for rows, columns in zip(placement.literals, placement.clauses, strict=True):
        used = rows[rows < 200].tolist()
        assert len(set(used)) == len(used)
        assert set(literal[columns[columns < problem.n_clauses]].ravel().tolist()) == set(used)
    cells = placement.n_tiles * 64 * 48
    assert placement.utilisation == pytest.approx(problem.n_literals / cells)
    assert placement.row_use == pytest.approx((placement.literals < 200).mean())
    assert placement.column_use == pytest.approx((placement.clauses < 420).mean())
    # One tile cannot hold them, and each tile but the last is full in rows or columns.
    assert placement.n_tiles >= 420 / 48


def test_a_comparator_across_tiles_and_a_clause_longer_than_a_tile_are_refused():
    problem = random_ksat(jax.random.key(0), 60, 4.0, 5)
    with pytest.raises(ValueError, match="comparator cannot decide on the parts of 120 literals on rows=64"):
        solve(jax.random.key(0), problem, engine=TwoProducts(rows=64, readout="comparator"))
    with pytest.raises(ValueError, match=r"CamSearch\.cols=59 has no room for a row of 60 variables"):
        solve(jax.random.key(0), problem, engine=CamSearch(cols=59))
    with pytest.raises(ValueError, match="more than the 4 rows"):
        place(problem, 4, 4)
    with pytest.raises(ValueError, match=r"TwoProducts\.placement must be split or whole"):
        TwoProducts(placement="folded")


def readings(engine, problem, xs, n_chips=1):
    """True counts of every clause, and what the engine sees, over chips and reads."""
    true = np.array([[sum(x[abs(l) - 1] == (l > 0) for l in c) for c in original_clauses(problem)] for x in xs])
    seen = []
    for chip in range(n_chips):
        tables = engine.prepare(jax.random.key(chip), problem)
        state = engine.start(tables, jnp.asarray(xs))
        seen.append(np.asarray(LOOK(engine, jax.random.key(100 + chip), tables, state).violated))
    return true, np.array(seen)


def assert_share(hits, total, p):
    """Within 4 standard errors of a binomial (one for small p)."""
    assert abs(hits - total * p) < 4 * math_sqrt(total * p * (1 - p)) + 1, (hits, total, p)


def math_sqrt(x):
    return float(np.sqrt(x))


LOOK = jax.jit(lambda engine, key, tables, state: engine.look(key, tables, state))
XS = np.random.default_rng(7).random((400, 30)) < 0.5


def test_read_noise_misreads_a_clause_as_its_gaussian_says():
    """L = 1 is read below 1/2 with Φ(−1/(2σ)), L = 2 with Φ(−3/(2 √2 σ)); L = 0 has no conducting cell and is exact."""
    problem, sigma = random_ksat(jax.random.key(0), 30, 4.0), 0.3
    true, seen = readings(TwoProducts(read_noise=sigma, adc_step=None), problem, XS)
    for count, p in ((0, 1.0), (1, norm.cdf(-0.5 / sigma)), (2, norm.cdf(-1.5 / (np.sqrt(2) * sigma)))):
        picked = seen[0][true == count]
        assert_share(picked.sum(), picked.size, p)


def test_line_noise_of_a_search_follows_its_law():
    problem, sigma = random_ksat(jax.random.key(0), 30, 4.0), 0.4
    true, seen = readings(CamSearch(line_noise=sigma), problem, XS)
    for count in range(4):
        picked = seen[0][true == count]
        assert_share(picked.sum(), picked.size, norm.cdf((0.5 - count) / sigma))


def test_static_errors_stay_and_read_noise_comes_anew():
    """A frozen error misreads the same clause every time; a fresh one does not. Chips differ by the chip's key only."""
    problem = random_ksat(jax.random.key(0), 30, 4.0)
    xs = np.repeat(XS[:1], 200, axis=0)
    true, frozen = readings(TwoProducts(readout="comparator", readout_offset=0.4), problem, xs, n_chips=2)
    wrong = frozen != (true == 0)
    assert wrong.any()
    assert (wrong.all(axis=1) | ~wrong.any(axis=1)).all()
    assert not np.array_equal(wrong[0], wrong[1])
    _, fresh = readings(TwoProducts(read_noise=0.4, adc_step=None), problem, xs)
    wrong = fresh[0] != (true == 0)
    mean = wrong.mean(axis=0)
    assert ((mean > 0) & (mean < 0.5)).sum() > 20


def test_comparator_offsets_and_sense_offsets_follow_their_law():
    problem, sigma = random_ksat(jax.random.key(0), 30, 4.0), 0.35
    xs = XS[:2]
    for engine, law in (
        (TwoProducts(readout="comparator", readout_offset=sigma), lambda count: norm.cdf((0.5 - count) / sigma)),
        (CamSearch(sense_offset=sigma), lambda count: norm.cdf((0.5 - count) / sigma)),
    ):
        true, seen = readings(engine, problem, xs[:1], n_chips=20)
        for count in (0, 1, 2):
            picked = seen[:, 0, :][:, true[0] == count]
            assert_share(picked.sum(), picked.size, law(count))


def test_stuck_cells_are_misread_as_often_as_cells_are_stuck():
    """A clause with one true literal is read as violated if that cell is stuck at zero; nothing else can do it."""
    problem = random_ksat(jax.random.key(0), 30, 4.0)
    true, seen = readings(TwoProducts(stuck_off=0.2), problem, XS[:1], n_chips=40)
    for count in (1, 2):
        picked = seen[:, 0, :][:, true[0] == count]
        assert_share(picked.sum(), picked.size, 0.2**count)


def test_off_currents_hide_violated_clauses_once_their_sum_reaches_half_a_count():
    problem = random_ksat(jax.random.key(0), 30, 4.0)
    for off, is_hidden in ((0.4 / 30, False), (0.6 / 30, True)):  # 30 of 60 literals are true
        true, seen = readings(TwoProducts(off_current=off, adc_step=None), problem, XS[:20])
        tables = TwoProducts(off_current=off, adc_step=None).prepare(jax.random.key(0), problem)
        state = TwoProducts(off_current=off, adc_step=None).start(tables, jnp.asarray(XS[:20]))
        reading = TwoProducts(off_current=off, adc_step=None).look(jax.random.key(0), tables, state)
        # Where all are hidden the machine reports a solution, and the check finds the truth.
        assert bool((np.asarray(reading.missed) > 0).all()) == is_hidden
        np.testing.assert_array_equal(seen[0], true == 0)


def test_clauses_that_a_memory_hides_all_are_found_by_the_check_and_can_be_made():
    problem = random_ksat(jax.random.key(0), 30, 4.0)
    engine, xs = CamSearch(), jnp.asarray(XS[:8])
    tables = engine.prepare(jax.random.key(0), problem)
    deaf = tables._replace(violated=tables.violated._replace(offset=jnp.ones(problem.n_clauses)))
    state = engine.start(tables, xs)
    heard, checked = (engine.look(jax.random.key(1), t, state) for t in (tables, deaf))
    assert checked.missed.tolist() == [1] * 8
    assert int(heard.makes.max()) > 0
    np.testing.assert_array_equal(checked.makes, heard.makes)


def test_a_bound_of_a_cam_cell_may_wander_by_less_than_half_the_window():
    problem = random_ksat(jax.random.key(0), 30, 4.0)
    cell = ThresholdCell(device=Gaussian(programming_std=(0.02,)))
    true, seen = readings(CamSearch(cell=cell), problem, XS[:20])
    np.testing.assert_array_equal(seen[0], true == 0)
    _, seen = readings(CamSearch(cell=ThresholdCell(mismatch=0.5)), problem, XS[:20])
    assert (seen[0] != (true == 0)).any()


def test_read_noise_of_cam_cells_follows_its_law_in_every_search_anew():
    """A cell that is not to conduct does, and one that is does not, with q = Φ(−1/(2 s)) for a bound at half the window
    with noise s = σ/(1 − g_0); a line of d wrong cells stays up with (1 − q)^(3 − d) q^d."""
    problem, on_off, sigma = random_ksat(jax.random.key(0), 30, 4.0), 20.0, 0.3
    device = Gaussian(read_variance_of_g=(sigma**2,))
    engine = CamSearch(cell=ThresholdCell(device=device, on_off=on_off))
    q = norm.cdf(-0.5 / (sigma / (1 - 1 / on_off)))
    true, seen = readings(engine, problem, XS)
    for count in range(4):
        picked = seen[0][true == count]
        assert_share(picked.sum(), picked.size, (1 - q) ** (3 - count) * q**count)
    true, seen = readings(engine, problem, np.repeat(XS[:1], 200, axis=0))
    shares = (seen[0] != (true == 0)).mean(axis=0)
    assert (shares < 0.6).all()
    assert (shares > 0).sum() > 20


def test_rows_of_a_memory_that_miss_their_clause_are_moved_to_spare_rows():
    """As for the arrays: of these four clauses one is always violated, and sense amplifiers hide some of them."""
    problem = from_clauses([[1, 2], [-1, 2], [1, -2], [-1, -2]])
    missed, repaired = [], []
    for every in (None, 50):
        engine = CamSearch(sense_offset=0.5, repair_every=every)
        results = [
            solve(
                jax.random.key(1),
                problem,
                Schedule(replicas=4, max_flips=400),
                engine=engine,
                chip_key=jax.random.key(chip),
                until="all",
            )
            for chip in range(12)
        ]
        missed.append(sum(int(result.n_missed.sum()) for result in results))
        repaired.append(sum(result.n_repaired for result in results))
    assert repaired[0] == 0 < repaired[1]
    assert 0 < missed[1] < 0.5 * missed[0]
    assert engine.repair_writes(problem, 3) == 6
    with pytest.raises(ValueError, match=r"CamSearch\.repair_every must be at least 1"):
        CamSearch(repair_every=0)


def test_reads_of_occupied_cells_have_the_law_of_the_dense_product():
    """Backward sums of one chip with every error that leaves empty cells empty: means within 5 standard errors of the
    cells' own sum, variances of σ² Σ g² within 5 of theirs. The dense product of the same chip stands beside it."""
    problem, sigma = random_ksat(jax.random.key(0), 30, 4.0), 0.3
    engine = TwoProducts(rows=48, cols=64, programming_error=0.2, read_noise=sigma, adc_step=None)
    tables = engine.prepare(jax.random.key(3), problem)
    n_runs = 4000
    xs = jnp.broadcast_to(jnp.asarray(XS[0]), (n_runs, 30))
    view = engine.look(jax.random.key(4), tables, engine.start(tables, xs))
    one = jax.tree.map(lambda leaf: leaf[0], view)
    literal = 2 * jnp.arange(30) + xs[0]
    breaks = jax.jit(jax.vmap(lambda v: engine.break_counts(tables, one._replace(word=v.word), literal)))(view)
    g = np.asarray(tables.backward.g)[0].reshape(-1, 60)[: problem.n_clauses, np.asarray(literal ^ 1)]
    driven = np.asarray(one.critical)
    mean, variance = driven @ g, sigma**2 * (driven @ g**2)
    z = (np.asarray(breaks).mean(axis=0) - mean)[variance > 0] / np.sqrt(variance[variance > 0] / n_runs)
    assert np.abs(z).max() < 5
    ratio = np.asarray(breaks).var(axis=0)[variance > 0] / variance[variance > 0]
    assert np.abs(ratio - 1).max() < 5 * np.sqrt(2 / n_runs)
    dense = engine._backward(jax.random.key(5), jnp.broadcast_to(one.critical, (n_runs, len(driven))), tables)
    ratio = np.asarray(dense)[:, np.asarray(literal ^ 1)].var(axis=0)[variance > 0] / variance[variance > 0]
    assert np.abs(ratio - 1).max() < 5 * np.sqrt(2 / n_runs) + 2**-7  # aimc keeps cell variances in bfloat16


@pytest.mark.parametrize("adc_step", [None, 1.0, 0.5])
def test_reads_of_occupied_cells_equal_the_dense_product_of_the_same_chip(adc_step):
    """Every frozen error and no noise: flags are the same, counts agree to rounding of their sums."""
    problem = random_ksat(jax.random.key(0), 30, 4.0)
    frozen = {"programming_error": 0.2, "stuck_off": 0.1, "readout_offset": 0.3}
    engine = TwoProducts(rows=48, cols=64, adc_step=adc_step, **frozen)
    tables, xs = engine.prepare(jax.random.key(3), problem), jnp.asarray(XS[:50])
    view = LOOK(engine, jax.random.key(4), tables, engine.start(tables, xs))
    dense = LOOK(engine, jax.random.key(4), tables._replace(occurrences=None), engine.start(tables, xs))
    np.testing.assert_array_equal(view.violated, dense.violated)
    np.testing.assert_array_equal(view.missed, dense.missed)
    literal = 2 * jnp.arange(30)[None] + xs
    for count, expected in ((engine.break_counts, dense.breaks), (engine.make_counts, dense.makes)):
        asked = jax.jit(jax.vmap(partial(count, tables)))(view, literal)
        np.testing.assert_allclose(asked, expected, rtol=1e-6, atol=1e-6)
        assert len(np.unique(np.asarray(expected))) > 4


@pytest.mark.parametrize("engine", [TwoProducts(read_noise=0.2, off_current=0.03), CamSearch(line_noise=0.3)])
def test_a_noisy_machine_stops_only_on_what_satisfies_the_formula(engine):
    problem = random_ksat(jax.random.key(1), 20, 4.0)
    for dynamic in (WalkSAT(), gnsat()):
        result = solve(
            jax.random.key(2),
            problem,
            Schedule(replicas=32, max_flips=400),
            dynamic=dynamic,
            engine=engine,
            until="all",
        )
        for x, solved in zip(result.assignments, result.solved.tolist(), strict=True):
            assert (violated_clauses(problem, model(problem, x)) == []) == solved
        assert int(result.n_missed.sum()) > 0
        assert bool(result.solved.any())
    contradiction = unsatisfiable_ksat(jax.random.key(0), 20, 3.0)
    result = solve(jax.random.key(0), contradiction, Schedule(replicas=32, max_flips=300), engine=engine)
    assert not bool(result.solved.any())


def test_clauses_that_a_chip_misses_are_moved_to_fresh_cells_and_counted():
    """Of these four clauses one is always violated. On a chip where stuck cells hide it, it is missed again and again
    unless it is moved; over twelve chips repair must save most misses, whatever the single draws are."""
    problem = from_clauses([[1, 2], [-1, 2], [1, -2], [-1, -2]])
    for placement in ("split", "whole"):
        missed, repaired = [], []
        for every in (None, 50):
            engine = TwoProducts(rows=4, cols=4, stuck_on=0.06, placement=placement, repair_every=every)
            results = [
                solve(
                    jax.random.key(1),
                    problem,
                    Schedule(replicas=4, max_flips=400),
                    engine=engine,
                    chip_key=jax.random.key(chip),
                    until="all",
                )
                for chip in range(12)
            ]
            missed.append(sum(int(result.n_missed.sum()) for result in results))
            repaired.append(sum(result.n_repaired for result in results))
        assert repaired[0] == 0 < repaired[1]
        assert 0 < missed[1] < 0.5 * missed[0]
        assert engine.repair_writes(problem, 1) == 16


def test_repair_changes_only_what_is_suspected():
    problem = random_ksat(jax.random.key(0), 30, 4.0)
    for placement in ("split", "whole"):
        engine = TwoProducts(rows=40, cols=32, placement=placement, programming_error=0.1)
        old = engine.prepare(jax.random.key(0), problem)
        suspect = jnp.zeros(problem.n_clauses, bool).at[jnp.array([5, 77])].set(True)
        new = engine.repair(jax.random.key(1), old, suspect)
        changed = np.asarray(old.forward.g != new.forward.g)
        columns = np.asarray(jnp.moveaxis(jnp.asarray(changed.any(axis=(1, 2))), 0, 0)).reshape(-1)
        of_clause = columns[np.asarray(old.where)]
        assert np.flatnonzero(of_clause).tolist() == [5, 77]
        n_back = int((np.asarray(old.backward.g) != np.asarray(new.backward.g)).sum())
        assert n_back == int((np.asarray(old.forward.g) != np.asarray(new.forward.g)).sum()) == 6


def test_the_arrays_of_uf250_are_counted_in_tiles():
    problem = random_ksat(jax.random.key(0), 250, 4.26)
    # 500 x 1065 in tiles of 256 x 256: 2 x 5 forward, 5 x 2 backward.
    assert TwoProducts().n_tiles(problem) == 20
    whole = TwoProducts(placement="whole")
    assert whole.n_tiles(problem) == 2 * whole.layout(problem).n_tiles
