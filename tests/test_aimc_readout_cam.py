"""Analog content-addressable memory: as a readout without a converter, and as a memory of decision rules."""

from dataclasses import dataclass, replace
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special
from sklearn.datasets import load_digits
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from aimc import forest as forests
from aimc.cam import ThresholdCell, match
from aimc.devices import PCM
from aimc.devices.base import Device
from aimc.devices.gaussian import Gaussian
from aimc.readout.cam import CAM

KEY = jax.random.key(11)
ONE = jnp.float32(1.0)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Sloppy(Device):
    """A test cell: Gaussian error of one standard deviation, losing a tenth of its conductance every second."""

    std: float = 0.0

    def write(self, key, target):
        return target + self.std * jax.random.normal(key, target.shape)

    def conductance(self, cells, elapsed):
        return cells * (1.0 - 0.1 * elapsed)


@jax.jit
def codes(readout, u, errors=None, unit=ONE, key=KEY):
    return readout.codes(key, u, errors, unit)


@jax.jit
def read(readout, u, errors=None, unit=ONE, key=KEY):
    return readout.read(key, u, errors, unit)


def nominal(readout, n_columns):
    """The bounds of all columns as they should be: takes the row-by-row path."""
    bounds = np.stack([readout.rows.lo, readout.rows.hi], axis=-1)
    return jnp.broadcast_to(bounds, (n_columns, *bounds.shape))


def row_by_row(readout, x, bounds):
    """Code words of a float64 rewrite with Python loops; bounds (n_columns, n_rows, 2)."""
    x, bounds = np.clip(np.float64(x), *readout.window), np.float64(bounds)
    words = np.zeros(x.shape, int)
    for column in range(x.shape[1]):
        for bit, (lo, hi) in zip(readout.rows.bit, bounds[column], strict=True):
            words[:, column] |= ((x[:, column] >= lo) & (x[:, column] < hi)).astype(int) << bit
    if readout.code == "gray":
        words = np.vectorize(lambda word: int("0" + "".join(decode(f"{word:b}")), 2))(words)
    return words


def decode(digits):
    """Gray to binary: every digit is the parity of those up to it."""
    ones = 0
    for digit in digits:
        ones += digit == "1"
        yield str(ones % 2)


@pytest.mark.parametrize("bits", [1, 2, 3, 6, 8, 10])
def test_the_identity_takes_a_row_for_every_second_threshold_in_gray_code_and_one_for_each_in_binary(bits):
    assert len(CAM(bits=bits).rows.bit) == 2 ** (bits - 1)
    assert len(CAM(bits=bits, code="binary").rows.bit) == 2**bits - 1
    bounds = np.concatenate([CAM(bits=bits).rows.lo, CAM(bits=bits).rows.hi])
    assert np.unique(bounds[np.isfinite(bounds)]).size == np.isfinite(bounds).sum() == 2**bits - 1
    assert CAM(bits=bits).counts(5).cam_searches == 5 * 2 ** (bits - 1)


def test_match_lines_of_three_bits_are_the_columns_of_the_truth_table_of_gray_code():
    readout = CAM(bits=3)
    x = jnp.arange(-4, 4, dtype=jnp.float32)[:, None] / 4
    lines = match(x, jnp.asarray(readout.rows.lo)[:, None], jnp.asarray(readout.rows.hi)[:, None])
    bits = np.stack([np.any(lines[:, readout.rows.bit == bit], axis=1) for bit in (2, 1, 0)], axis=1)
    table = ["000", "001", "011", "010", "110", "111", "101", "100"]
    assert ["".join(map(str, row)) for row in bits.astype(int)] == table
    assert np.array_equal(np.sum(lines, axis=1), [text.count("1") for text in table])


@pytest.mark.parametrize(
    ("x", "lines"),
    [
        ((0.0, 0.0), (1, 1, 1, 0)),
        ((0.5, 0.0), (1, 1, 1, 0)),  # at a lower bound: matches
        ((1.0, 0.0), (1, 0, 1, 0)),  # at an upper bound: does not
        ((0.5, 9.0), (1, 1, 0, 1)),
        ((-3.0, 2.0), (1, 0, 0, 1)),
    ],
)
def test_a_row_matches_where_every_one_of_its_cells_does(x, lines):
    infinite = np.inf
    lo = jnp.asarray([[-infinite, -infinite], [0.0, -infinite], [0.0, -1.0], [-infinite, 2.0]])
    hi = jnp.asarray([[infinite, infinite], [1.0, infinite], [2.0, 2.0], [infinite, infinite]])
    assert np.array_equal(match(jnp.asarray(x), lo, hi), np.asarray(lines, bool))


def wave(x):
    """Neither monotone nor smooth."""
    return jnp.abs(jnp.sin(2.5 * x)) - 0.2 * x


@pytest.mark.parametrize("code", ["gray", "binary"])
@pytest.mark.parametrize("function", [None, jnp.tanh, jax.nn.relu, wave])
def test_the_fast_path_gives_what_comparing_row_by_row_gives_and_both_what_the_definition_says(function, code):
    window = (-1.0, 1.0) if function is None else (-3.0, 2.0)
    readout = CAM(bits=6, code=code, function=function, window=window)
    u = np.random.default_rng(1).uniform(-4.0, 4.0, (2000, 4)).astype(np.float32)
    unit = jnp.float32(0.7)
    x = np.clip(np.float64(u) * (1.0 if function is None else np.float64(unit)), *window)
    low, high = readout.levels
    y = x if function is None else np.float64(function(jnp.asarray(x, jnp.float32)))
    steps = (y - low) / (high - low) * 63
    expected = np.clip(np.round(steps), 0, 63)
    clear = np.abs(steps % 1 - 0.5) > 1e-3
    assert clear.mean() > 0.99
    fast, slow = codes(readout, jnp.asarray(u), None, unit), codes(readout, jnp.asarray(u), nominal(readout, 4), unit)
    assert np.array_equal(fast[clear], expected[clear])
    assert np.array_equal(slow[clear], expected[clear])
    back = (low + (high - low) * expected / 63) * (np.float64(unit) if function is None else 1.0)
    assert np.allclose(np.asarray(read(readout, jnp.asarray(u), None, unit))[clear], back[clear], atol=1e-5)


@pytest.mark.parametrize("code", ["gray", "binary"])
def test_erroneous_thresholds_are_read_as_a_rewrite_with_loops_reads_them(code):
    readout = CAM(bits=5, code=code, cell=ThresholdCell(mismatch=0.02))
    bounds = readout.fabricate(KEY, (2, 6))[1]
    u = jnp.asarray(np.random.default_rng(2).uniform(-1.2, 1.2, (500, 6)), jnp.float32)
    assert np.array_equal(codes(readout, u, bounds), row_by_row(readout, u, bounds))
    assert not np.array_equal(codes(readout, u, bounds), codes(readout, u))


def oracle_errors(rng, bits, sigma, code, n_columns, n_inputs):
    """Code errors of a staircase of 2**bits steps of width 1, built here from the code table alone: a run of ones in
    the table is an interval, each of its ends has an error of its own. Returns (n_columns, n_inputs)."""
    values = np.arange(2**bits)
    table = values ^ (values >> 1) if code == "gray" else values
    x = rng.uniform(0, 2**bits, (n_columns, n_inputs))
    found = np.zeros(x.shape, int)
    for bit in range(bits):
        up, value = np.zeros(x.shape, bool), 0
        while value < 2**bits:
            if not table[value] >> bit & 1:
                value += 1
                continue
            end = value
            while end < 2**bits and table[end] >> bit & 1:
                end += 1
            lo = value + sigma * rng.normal(size=(n_columns, 1)) if value else -1.0
            hi = end + sigma * rng.normal(size=(n_columns, 1)) if end < 2**bits else 2.0**bits + 1
            up |= (x >= lo) & (x < hi)
            value = end
        found |= up.astype(int) << bit
    place = {word: value for value, word in enumerate(table)}
    return np.vectorize(place.__getitem__)(found) - np.floor(x).astype(int)


def our_errors(rng, bits, sigma, code, n_columns, n_inputs):
    readout = CAM(
        bits=bits, code=code, output=(-1 + 2.0**-bits, 1 - 2.0**-bits), cell=ThresholdCell(mismatch=sigma / 2**bits)
    )
    bounds = readout.fabricate(jax.random.key(int(10 * sigma)), (1, n_columns))[0]
    x = rng.uniform(0, 2**bits, (n_inputs, n_columns))
    word = np.asarray(codes(readout, jnp.asarray(x / 2 ** (bits - 1) - 1, jnp.float32), bounds))
    return (word - np.floor(x).astype(int)).T


# Code errors in LSB of one chip of another model, with the same noise: (rms, share of codes off by more than one).
ELSEWHERE = {
    ("binary", 0.1): (1.18, 0.062),
    ("gray", 0.1): (0.27, 0.0),
    ("binary", 0.3): (2.06, None),
    ("gray", 0.3): (0.53, None),
}


@pytest.mark.parametrize(("code", "sigma"), ELSEWHERE)
def test_gray_code_tolerates_threshold_noise_that_binary_code_does_not(code, sigma):
    """6 bits, sigma in LSB, 2,000 columns. Ours against the rewrite: |z| < 5 of the mean square and of the share off by
    more than one. Both against one column of another model, within the central 99 % of columns."""
    found = []
    for errors in (oracle_errors, our_errors):
        off = errors(np.random.default_rng(4), 6, sigma, code, 2000, 100)
        square, beyond = np.mean(off**2, axis=1), np.mean(np.abs(off) > 1, axis=1)
        found.append((square, beyond))
        rms, share = ELSEWHERE[code, sigma]
        low, high = np.sqrt(np.quantile(square, [0.005, 0.995]))
        assert low < rms < high
        if share is not None:
            assert np.quantile(beyond, 0.005) <= share <= np.quantile(beyond, 0.995)
        if (code, sigma) == ("gray", 0.1):
            assert np.abs(off).max() == 1
            # A bound that moves by d makes 1/64 of the range wrong by one with probability |d|, and E|d| = σ √(2/π).
            z = (square.mean() - 63 / 64 * 0.1 * np.sqrt(2 / np.pi)) / (square.std() / np.sqrt(square.size))
            assert abs(z) < 5
    for ours, theirs in zip(*found, strict=True):
        assert abs(ours.mean() - theirs.mean()) <= 5 * np.sqrt((ours.var() + theirs.var()) / ours.size)


SIX = CAM(bits=6)
STAIRS = jnp.asarray(np.linspace(-0.99, 0.98, 997), jnp.float32)[:, None]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.49, 0.3, 0.05]), st.booleans())
def test_gray_code_is_never_off_by_more_than_one_while_thresholds_move_less_than_half_a_step(seed, most, extreme):
    rng = np.random.default_rng(seed)
    shape = nominal(SIX, 1).shape
    moved = rng.choice([-most, most], shape) if extreme else rng.uniform(-most, most, shape)
    off = codes(SIX, STAIRS, nominal(SIX, 1) + jnp.asarray(moved / 32, jnp.float32)) - codes(SIX, STAIRS)
    assert jnp.max(jnp.abs(off)) <= 1


@pytest.mark.parametrize("law", ["linear", "log"])
def test_threshold_noise_is_the_cells_own_times_the_slope_of_the_threshold_law(law):
    """σ(τ) = σ(g) dτ/dg at σ(g) = 1e-4, where the second order is below 1e-3 of it; |z| < 5."""
    cell = ThresholdCell(device=Sloppy(std=1e-4), law=law, on_off=20.0)
    for tau in (0.2, 0.5, 0.9):
        g = 0.05 + 0.95 * tau if law == "linear" else 20.0 ** (tau - 1)
        by_g = 1 / 0.95 if law == "linear" else 1 / (g * np.log(20.0))
        built = np.float64(cell.fabricate(KEY, jnp.full(200_000, tau))) - tau
        assert abs(built.std() - 1e-4 * by_g) < 5 * 1e-4 * by_g / np.sqrt(2 * built.size)
        assert abs(built.mean()) < 5 * 1e-4 * by_g / np.sqrt(built.size) + 1e-7
    both = replace(cell, mismatch=jnp.float32(3e-4))
    spread = np.float64(both.fabricate(KEY, jnp.full(200_000, 0.5))).std()
    g = 0.525 if law == "linear" else 20.0**-0.5
    slope = 1 / 0.95 if law == "linear" else 1 / (g * np.log(20.0))
    assert spread == pytest.approx(np.hypot(3e-4, 1e-4 * slope), rel=5 / np.sqrt(2 * 200_000))


def test_thresholds_drift_with_the_conductances_that_store_them():
    tau = jnp.asarray([0.3, 0.8])
    linear = ThresholdCell(device=Sloppy(), elapsed=2.0).fabricate(KEY, tau)  # 0.8 of each conductance is left
    assert np.allclose(linear, (0.8 * (0.05 + 0.95 * np.asarray(tau)) - 0.05) / 0.95, atol=1e-6)
    log = ThresholdCell(device=Sloppy(), elapsed=2.0, law="log").fabricate(KEY, tau)
    assert np.allclose(log, tau + np.log(0.8) / np.log(20.0), atol=1e-6)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Ageing(Sloppy):
    """Whose conductance also spreads by 1e-3 of the range a root second, which only `age` can know."""

    def age(self, key, cells, elapsed, seconds):
        return cells + 1e-3 * seconds**0.5 * jax.random.normal(key, cells.shape)


def test_thresholds_of_old_cells_are_those_of_aged_cells():
    """σ(τ) = 1e-3 √t · 0.6/0.95 after t = 4 s, |z| < 5; none without a time, and PCM's 1/f noise with one."""
    tau = jnp.full(200_000, 0.5)
    old = np.float64(ThresholdCell(device=Ageing(), elapsed=4.0).fabricate(KEY, tau))
    assert abs(old.std() - 1.2e-3 / 0.95) < 5 * 1.2e-3 / 0.95 / np.sqrt(2 * old.size)
    assert old.mean() == pytest.approx((0.6 * 0.525 - 0.05) / 0.95, abs=5 * 2e-3 / np.sqrt(old.size))
    assert np.ptp(ThresholdCell(device=Ageing()).fabricate(KEY, tau)) == 0
    still = PCM(programming_std=(0.0,), drift_scale=0.0)
    for elapsed in (0.0, 3600.0):
        built = np.float64(ThresholdCell(device=still, elapsed=jnp.float32(elapsed)).fabricate(KEY, tau))
        q_s = 0.0088 / 0.525**0.65
        stated = 0.525 * q_s * np.sqrt(np.log((elapsed + 20.0) / 500e-9)) / 0.95
        assert abs(built.std() - stated) < 5 * stated / np.sqrt(2 * built.size)


@pytest.mark.parametrize("law", ["linear", "log"])
def test_read_noise_of_the_cells_moves_a_threshold_at_every_comparison(law):
    """One threshold near the middle, 40,000 reads of each of 9 sums: P(up) = Φ((x − τ)/σ), σ = σ(g) dτ/dg from the law
    written out again; |z| < 5. Reads are independent, the neighbour's too: no excess of pairs, |z| < 5."""
    variance = (1e-5, 4e-5)
    cell = ThresholdCell(device=Gaussian(read_variance_of_g=variance), law=law)
    readout = CAM(bits=1, window=(-1.0, 1.0), cell=cell)
    bounds = np.float64(readout.fabricate(KEY, (1, 9))[0])
    assert bounds[..., 0] == pytest.approx(-0.5, abs=1e-6)  # -1/2 ≤ u is code 1; the other end is open
    assert np.all(np.isinf(bounds[..., 1]))
    tau = 0.25
    g = 0.05 + 0.95 * tau if law == "linear" else 20.0 ** (tau - 1)
    by_g = 1 / 0.95 if law == "linear" else 1 / (g * np.log(20.0))
    sigma = 2 * by_g * np.sqrt(variance[0] + variance[1] * g)
    assert float(cell.read_std(jnp.float32(tau))) == pytest.approx(sigma / 2, rel=1e-5)
    x = -0.5 + sigma * np.linspace(-2, 2, 9)
    u = jnp.broadcast_to(jnp.asarray(x, jnp.float32), (40_000, 9))
    up = np.asarray(codes(readout, u, jnp.asarray(bounds, jnp.float32)), np.float64)
    p = special.ndtr((x + 0.5) / sigma)
    assert np.all(np.abs(up.mean(0) - p) < 5 * np.sqrt(p * (1 - p) / len(up)))
    for other in (up[:, 1:] - p[1:], (up - p)[1:, :-1]):
        pairs = (up - p)[: len(other), :-1] * other
        assert np.all(np.abs(pairs.mean(0)) < 5 * pairs.std(0) / np.sqrt(len(pairs)))
    again = codes(readout, u, jnp.asarray(bounds, jnp.float32), ONE, jax.random.key(1))
    assert not np.array_equal(up, again)


def test_both_ends_of_a_row_have_read_noise_of_their_own():
    """The joint law of a row is Φ((x − lo)/σ) Φ((hi − x)/σ); |z| < 5 of 40,000 reads. Soft matches come on top."""
    cell = ThresholdCell(device=Gaussian(read_variance_of_g=(0.01,)))
    readout = CAM(bits=1, function=lambda x: -(x**2), window=(-1.0, 1.0), cell=cell)
    bounds = readout.fabricate(KEY, (1, 9))[0]
    (lo, hi), sigma = np.float64(bounds[0, 0]), 2 * 0.1 / 0.95
    x = np.linspace(-0.9, 0.9, 9)
    u = jnp.broadcast_to(jnp.asarray(x, jnp.float32), (40_000, 9))
    up = np.asarray(codes(readout, u, bounds)).mean(0)
    p = special.ndtr((x - lo) / sigma) * special.ndtr((hi - x) / sigma)
    assert np.all(np.abs(up - p) < 5 * np.sqrt(p * (1 - p) / 40_000))
    soft = np.asarray(codes(replace(readout, match_width=jnp.float32(0.05)), u, bounds)).mean(0)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)

    def softened(distance):
        return (1 / (1 + np.exp(-(distance[:, None] + sigma * nodes) / 0.1))) @ weights / weights.sum()

    p = softened(x - lo) * softened(hi - x)
    assert np.all(np.abs(soft - p) < 5 * np.sqrt(p * (1 - p) / 40_000))


def test_cells_without_read_noise_are_compared_without_random_numbers():
    readout = CAM(bits=4, cell=ThresholdCell(mismatch=0.01))
    bounds = nominal(readout, 3)
    program = str(jax.make_jaxpr(lambda u: readout.codes(KEY, u, bounds))(jnp.zeros((5, 3))))
    noisy = replace(readout, cell=ThresholdCell(device=Gaussian(read_variance_of_g=(1e-4,))))
    assert "erf" not in program
    assert "log" not in program
    loud = str(jax.make_jaxpr(lambda u: noisy.codes(KEY, u, bounds))(jnp.zeros((5, 3))))
    assert "log" in loud
    rows = len(readout.rows.bit)
    assert f"f32[{rows},5,3]" not in loud  # a row at a time


def test_a_full_scale_beside_a_function_is_refused():
    """It would have no effect: the window is in units of the product. Arrays and tracers pass, as jax makes them."""
    for scale in (5.0, 5, np.float32(5.0)):
        with pytest.raises(ValueError, match=r"CAM\.full_scale has no effect with a function"):
            CAM(function=jnp.tanh, full_scale=scale)
    assert CAM(full_scale=5.0).full_scale == 5.0
    readout = CAM(function=jnp.tanh, full_scale=10.0)
    slopes = jax.grad(lambda readout: jnp.sum(readout.read(KEY, jnp.ones((2, 1)), None, ONE)))(
        replace(readout, full_scale=jnp.float32(10.0))
    )
    assert slopes.full_scale == 0.0


def test_the_bounds_of_a_chip_are_one_cell_each_and_a_bound_that_is_not_there_stays_away():
    readout = CAM(bits=4, function=wave, window=(0.0, 3.0), cell=ThresholdCell(mismatch=0.01))
    bounds = np.asarray(readout.fabricate(KEY, (50, 200)))
    assert bounds.shape == (50, 200, len(readout.rows.bit), 2)
    intended = np.stack([readout.rows.lo, readout.rows.hi], axis=-1)
    finite = np.isfinite(intended)
    assert np.array_equal(np.isfinite(bounds[0, 0]), finite)
    errors = (bounds[..., finite] - intended[finite]).reshape(10_000, -1)
    assert np.all(np.abs(errors.std(0) - 0.03) < 5 * 0.03 / np.sqrt(2 * 10_000))
    correlation = np.corrcoef(errors.T) - np.eye(errors.shape[1])
    assert np.max(np.abs(correlation)) < 5.5 / np.sqrt(10_000)


def test_a_soft_match_is_a_sigmoid_of_the_distance_to_each_bound():
    """One row of two bounds; |z| < 5 of 20,000 draws for each input, and its mean law is what is drawn."""
    readout = CAM(bits=1, function=lambda x: -(x**2), window=(-1.0, 1.0), match_width=jnp.float32(0.05))
    assert len(readout.rows.bit) == 1
    lo, hi = readout.rows.lo[0], readout.rows.hi[0]
    x = np.linspace(-1, 1, 9)
    u = jnp.broadcast_to(jnp.asarray(x, jnp.float32), (20_000, 9))
    up = np.asarray(codes(readout, u)).mean(0)
    p = 1 / (1 + np.exp(-(x - lo) / 0.1)) / (1 + np.exp(-(hi - x) / 0.1))
    assert np.all(np.abs(up - p) < 5 * np.sqrt(p * (1 - p) / 20_000))
    assert not jnp.array_equal(codes(readout, u), codes(readout, u, None, ONE, jax.random.key(1)))


def test_the_gradient_is_the_functions_own_inside_the_window_and_zero_outside():
    x = jnp.asarray(np.random.default_rng(3).uniform(-4, 4, (300, 1)), jnp.float32)
    unit = jnp.float32(1.5)
    for readout in (
        CAM(function=jnp.tanh, window=(-2.0, 2.0)),
        CAM(function=jnp.tanh, window=(-2.0, 2.0), cell=ThresholdCell(mismatch=1e-3)),
    ):
        errors = None if readout.cell is None else readout.fabricate(KEY, (1, 1))[0]
        found = jax.jit(jax.grad(lambda u: jnp.sum(readout.read(KEY, u, errors, unit))))(x / unit)  # noqa: B023
        slope = np.where(np.abs(x) < 2, 1.5 * (1 - np.tanh(np.float64(x)) ** 2), 0.0)
        assert np.allclose(found, slope, atol=1e-5)
    linear = jax.jit(jax.grad(lambda u: jnp.sum(CAM().read(KEY, u, None, unit))))(x)
    assert np.array_equal(linear, np.where((x > -1) & (x < 1 - 2.0**-7), 1.5, 0.0))


def test_only_a_readout_without_a_function_is_linear():
    assert CAM().is_linear
    assert not CAM(function=jnp.tanh).is_linear


def test_changing_the_cells_or_the_match_width_compiles_nothing_new():
    @jax.jit
    def run(readout, u):
        return readout.read(KEY, u, readout.fabricate(KEY, (1, 4))[0], ONE)

    readout = CAM(bits=4, match_width=0.1, cell=ThresholdCell(device=Sloppy(std=0.1)))
    u = jnp.linspace(-1, 1, 64).reshape(16, 4)
    results = [
        run(replace(readout, match_width=width, cell=ThresholdCell(device=Sloppy(std=std))), u)
        for width, std in ((0.1, 0.1), (0.2, 0.1), (0.2, 0.3))
    ]
    assert run._cache_size() == 1
    assert not jnp.array_equal(results[1], results[2])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"bits": 0}, "CAM.bits must be a whole number of bits from 1 to 12, got 0"),
        ({"code": "unary"}, "CAM.code must be one of gray, binary, got 'unary'"),
        ({"window": (1.0, -1.0)}, "CAM.window must be two finite numbers, the lower first"),
        ({"output": (0.0, np.inf)}, "CAM.output must be two finite numbers, the lower first"),
    ],
)
def test_an_impossible_memory_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        CAM(**arguments)
    with pytest.raises(ValueError, match=r"ThresholdCell\.law must be linear or log, got 'cubic'"):
        ThresholdCell(law="cubic")


def test_a_function_that_is_constant_or_infinite_in_its_window_is_refused():
    for function in (jnp.zeros_like, jnp.log):
        with pytest.raises(ValueError, match=r"CAM\.function must be finite and not constant in the window"):
            _ = CAM(function=function).levels


DIGITS = load_digits()
TRAIN, TEST = slice(0, 1400), slice(1400, None)
MODEL = RandomForestClassifier(n_estimators=15, random_state=0).fit(DIGITS.data[TRAIN], DIGITS.target[TRAIN])
CONTENT = forests.from_sklearn(MODEL, (0.0, 16.0))
PREDICT = jax.jit(forests.predict)


@pytest.mark.parametrize(
    "model",
    [MODEL, DecisionTreeClassifier(max_depth=6, random_state=1).fit(DIGITS.data[TRAIN], DIGITS.target[TRAIN])],
    ids=["forest of pure leaves", "pruned tree"],
)
def test_without_noise_the_memory_decides_as_scikit_learn_does_on_the_whole_test_part(model):
    content = CONTENT if model is MODEL else forests.from_sklearn(model, (0.0, 16.0))
    x = DIGITS.data[TEST]
    assert np.array_equal(PREDICT(content, jnp.asarray(x, jnp.float32)), model.predict(x))


def test_every_vector_lights_one_row_a_tree():
    x = DIGITS.data[TEST][:100]
    lines = match(jnp.asarray(x, jnp.float32), CONTENT.lo, CONTENT.hi)
    assert np.all(np.sum(lines, axis=1) == len(MODEL.estimators_))
    leaves = sum(tree.tree_.n_leaves for tree in MODEL.estimators_)
    assert lines.shape[1] == leaves
    assert CONTENT.counts(100).cam_searches == 100 * leaves


def test_accuracy_falls_smoothly_with_threshold_noise():
    """Means over 4 chips, noise from none to half the window: monotone within 2 points, no step above 30 points, from
    the digital accuracy to below 60 %."""
    x, labels = jnp.asarray(DIGITS.data[TEST], jnp.float32), DIGITS.target[TEST]

    @jax.jit
    def accuracy(key, std):
        chip = forests.fabricate(key, CONTENT, ThresholdCell(mismatch=std))
        return jnp.mean(forests.predict(chip, x) == labels)

    levels = (0.0, 0.03, 0.1, 0.17, 0.25, 0.35, 0.5)
    means = [np.mean([accuracy(jax.random.key(chip), jnp.float32(std)) for chip in range(4)]) for std in levels]
    assert means[0] == pytest.approx(MODEL.score(DIGITS.data[TEST], labels), abs=1e-6)
    assert all(b < a + 0.02 for a, b in pairwise(means))
    assert max(a - b for a, b in pairwise(means)) < 0.3
    assert means[-1] < 0.6, means


def test_read_noise_of_the_cells_reaches_the_forest():
    """One stump, threshold at 0.5 of the window, 20,000 vectors at each of 5 distances: the rows left and right of it
    have cells of their own, and the first class wins a tie, so P(right) = Φ(z)²; |z| < 5."""
    x = np.array([[0.0], [1.0]])
    content = forests.from_sklearn(DecisionTreeClassifier().fit(x, [0, 1]), (0.0, 1.0))
    cell = ThresholdCell(device=Gaussian(read_variance_of_g=(1e-4,)))
    chip = forests.fabricate(KEY, content, cell)
    distance = np.linspace(-0.02, 0.02, 5)
    vectors = jnp.asarray(np.repeat(0.5 + distance, 20_000)[:, None], jnp.float32)
    with pytest.raises(ValueError, match="key must be given"):
        forests.predict(chip, vectors)
    right = np.asarray(forests.predict(chip, vectors, key=KEY, chunk=1000)).reshape(5, -1).mean(1)
    # Right wins where its row is up and the left one is not.
    p = special.ndtr(distance / (0.01 / 0.95)) ** 2
    assert np.all(np.abs(right - p) < 5 * np.sqrt(p * (1 - p) / 20_000))
    silent = forests.fabricate(KEY, content, ThresholdCell(mismatch=0.01))
    assert silent.lo_std is None


@pytest.mark.parametrize("kind", [DecisionTreeClassifier, RandomForestClassifier, ExtraTreesClassifier])
def test_labels_of_any_dtype_stay_on_the_host_and_predictions_are_indices_into_them(kind):
    names = np.array(["seven", "eight", "nine"])
    chosen = DIGITS.target >= 7
    data, labels = DIGITS.data[chosen], names[DIGITS.target[chosen] - 7]
    options = {} if kind is DecisionTreeClassifier else {"n_estimators": 5}
    model = kind(random_state=0, **options).fit(data[:300], labels[:300])
    content = forests.from_sklearn(model, (0.0, 16.0))
    assert content.classes.values.dtype.kind == "U"
    found = PREDICT(content, jnp.asarray(data[300:], jnp.float32))
    assert found.dtype == jnp.int32
    assert np.array_equal(content.classes.values[np.asarray(found)], model.predict(data[300:]))
    assert content.classes == forests.Labels(np.array(["eight", "nine", "seven"]))
    assert content.classes != forests.Labels(np.array([0, 1, 2]))


@pytest.mark.parametrize(
    "model",
    [
        AdaBoostClassifier(n_estimators=3),
        BaggingClassifier(n_estimators=3, max_features=0.5),
        GradientBoostingClassifier(n_estimators=2),
        DecisionTreeRegressor(),
    ],
    ids=lambda model: type(model).__name__,
)
def test_a_model_whose_trees_do_not_vote_alike_is_refused(model):
    model.fit(DIGITS.data[:200], DIGITS.target[:200])
    with pytest.raises(ValueError, match="fitted DecisionTreeClassifier, RandomForestClassifier or ExtraTrees"):
        forests.from_sklearn(model, (0.0, 16.0))


def test_what_is_no_forest_or_does_not_fit_the_data_lines_is_refused():
    with pytest.raises(ValueError, match="model must be a fitted DecisionTreeClassifier"):
        forests.from_sklearn(LogisticRegression(), (0.0, 1.0))
    with pytest.raises(ValueError, match="model must be a fitted DecisionTreeClassifier"):
        forests.from_sklearn(RandomForestClassifier(), (0.0, 1.0))
    with pytest.raises(ValueError, match=r"window \(0.0, 3.0\) must hold all thresholds"):
        forests.from_sklearn(MODEL, (0.0, 3.0))
