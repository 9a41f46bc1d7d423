"""Readouts of a bit or a few: comparators, partial sums, pulses, counters."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.special
import scipy.stats

from aimc.readout import ChargeToPulse, Comparator, IntegrateAndFire, PartialSum
from aimc.readout.counter import STARTS
from aimc.readout.partial_sum import optimal_alpha
from aimc.readout.pulse import kt_c_noise

KEY = jax.random.key(23)
ONE = jnp.float32(1.0)


@jax.jit
def read(readout, u, errors=None, unit=ONE, key=KEY):
    return readout.read(key, u, errors, unit)


@jax.jit
def codes(readout, u, errors=None, key=KEY):
    return readout.codes(key, u, errors)


@jax.jit
def slope(readout, u, errors=None):
    return jax.jvp(lambda u: readout.read(KEY, u, errors, ONE), (u,), (jnp.ones_like(u),))[1]


GRID = np.linspace(-1.25, 1.25, 11)
DRAWS = jnp.broadcast_to(jnp.asarray(GRID, jnp.float32), (20_000, 11))
U = jnp.asarray(np.random.default_rng(0).uniform(-1.4, 1.4, (300, 40)), jnp.float32)


@pytest.mark.parametrize("repeats", [1, 5])
def test_decisions_follow_the_error_function_law_in_mean_and_variance(repeats):
    """P(+1) = Φ((u − θ)/s) at 11 sums, 20,000 draws: |z| < 5 of the mean, and of the variance (1 − erf²)/repeats."""
    readout = Comparator(repeats=repeats, decision_noise=jnp.float32(0.4))
    theta = jnp.full(11, 0.1)
    y = np.float64(read(readout, DRAWS, theta))
    p = scipy.stats.norm.cdf((GRID - np.float64(theta)) / 0.4)
    mean = scipy.special.erf((GRID - 0.1) / (0.4 * np.sqrt(2)))
    assert np.allclose(2 * p - 1, mean)
    variance = (1 - mean**2) / repeats
    assert np.all(np.abs(y.mean(0) - mean) < 5 * np.sqrt(variance / len(y)))
    squared = (y - mean) ** 2
    assert np.all(np.abs(squared.mean(0) - variance) < 5 * squared.std(0) / np.sqrt(len(y)) + 1e-7)
    assert np.array_equal(codes(readout, DRAWS, theta), np.round(y * repeats))
    # Decisions of different draws and columns have nothing in common.
    assert np.abs(np.corrcoef(y.T[3:8]) - np.eye(5)).max() < 5 / np.sqrt(len(y))


def test_a_comparator_without_decision_noise_is_a_sign_with_a_frozen_threshold():
    readout = Comparator(offset_std=0.2)
    theta = readout.fabricate(KEY, (50, 2000))
    assert abs(float(jnp.std(theta)) - 0.2) < 5 * 0.2 / np.sqrt(2e5)
    assert np.array_equal(read(readout, U, theta[0, :40]), np.where(np.asarray(U) > np.asarray(theta[0, :40]), 1, -1))
    assert np.array_equal(read(Comparator(), jnp.zeros((1, 3))), -np.ones((1, 3)))
    assert np.array_equal(slope(Comparator(), U), np.abs(np.asarray(U)) < 1)


def test_the_gradient_of_a_random_decision_is_the_slope_of_its_mean():
    readout, theta, h = Comparator(decision_noise=jnp.float32(0.3)), jnp.full(40, -0.2), 1e-4
    u = np.float64(U) + 0.2
    law = lambda u: scipy.special.erf(u / (0.3 * np.sqrt(2)))  # noqa: E731
    assert np.allclose(slope(readout, U, theta), (law(u + h) - law(u - h)) / (2 * h), atol=1e-4)
    by_noise = jax.jit(jax.grad(lambda s: jnp.sum(replace(readout, decision_noise=s).read(KEY, U, theta, ONE))))(0.3)
    total = lambda s: np.sum(scipy.special.erf(u / (s * np.sqrt(2))))  # noqa: E731
    assert by_noise == pytest.approx((total(0.3 + h) - total(0.3 - h)) / (2 * h), rel=1e-3)


def test_partial_sums_are_the_sign_or_the_nearest_of_three_levels_times_alpha():
    u, unit = np.float64(U), jnp.float32(3.0)
    binary = PartialSum(alpha=jnp.full(40, 0.5))
    assert np.allclose(read(binary, U, None, unit), 1.5 * np.where(u > 0, 1, -1))
    levels = np.array([-0.6, 0.0, 0.6])
    nearest = levels[np.argmin(np.abs(u[..., None] - levels), axis=-1)]
    assert np.allclose(read(PartialSum(kind="ternary", alpha=0.6), U, None, unit), 3 * nearest, atol=1e-6)
    moved = PartialSum(offset_std=0.1)
    offsets = moved.fabricate(KEY, (2, 40))[0]
    assert np.array_equal(codes(moved, U, offsets), np.where(np.asarray(U + offsets) > 0, 1, -1))


@pytest.mark.parametrize("kind", ["binary", "ternary"])
def test_gradients_of_partial_sums_are_those_of_learned_step_sizes(kind):
    readout = PartialSum(kind=kind, alpha=jnp.float32(0.6), window=0.9)
    inside = np.abs(np.asarray(U)) <= 0.9
    assert np.array_equal(slope(readout, U), inside)
    found = jax.jit(jax.jvp, static_argnums=0)(
        lambda alpha: replace(readout, alpha=alpha).read(KEY, U, None, ONE), (readout.alpha,), (ONE,)
    )[1]
    v = np.float64(U) / np.float64(np.float32(0.6))
    digit = np.where(v > 0, 1, -1) if kind == "binary" else np.clip(np.round(v), -1, 1)
    expected = digit if kind == "binary" else np.where(inside, digit - v, digit)
    assert np.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["binary", "ternary"])
def test_the_starting_alpha_is_the_one_of_least_squared_error_for_gaussian_sums(kind):
    def error(alpha):
        edge = 0.0 if kind == "binary" else alpha / 2
        square = lambda x, level: (x - level) ** 2 * scipy.stats.norm.pdf(x)  # noqa: E731
        outer = scipy.integrate.quad(square, edge, np.inf, args=(alpha,))[0]
        return 2 * (outer + scipy.integrate.quad(square, 0, edge, args=(0.0,))[0])

    best = scipy.optimize.minimize_scalar(error, bounds=(0.3, 3), method="bounded", options={"xatol": 1e-8}).x
    assert float(optimal_alpha(2.0, kind)) == pytest.approx(2 * best, rel=2e-5)


def test_training_alpha_on_one_bit_sums_finds_the_mean_magnitude():
    sums = jax.random.normal(KEY, (5000, 1)) * 0.3

    @jax.jit
    def step(alpha):
        loss = lambda alpha: jnp.mean((PartialSum(alpha=alpha).read(KEY, sums, None, ONE) - sums) ** 2)  # noqa: E731
        return alpha - 0.3 * jax.grad(loss)(alpha)

    alpha = ONE
    for _ in range(40):
        alpha = step(alpha)
    assert float(alpha) == pytest.approx(float(jnp.mean(jnp.abs(sums))), rel=1e-4)


def test_a_charge_becomes_a_pulse_that_a_clock_counts():
    u = np.float64(U)
    assert np.allclose(read(ChargeToPulse(n_levels=None), U, None, 2 * ONE), 2 * np.clip(u, 0, 1), atol=1e-6)
    assert np.array_equal(codes(ChargeToPulse(n_levels=16.0), U), np.round(np.clip(u, 0, 1) * 15))
    assert np.array_equal(codes(ChargeToPulse(signed=True), U), np.round(np.clip(u, -1, 1) * 15))
    assert np.allclose(read(ChargeToPulse(signed=True), U), np.round(np.clip(u, -1, 1) * 15) / 15, atol=1e-6)
    assert np.allclose(slope(ChargeToPulse(), U), (u > 0) & (u < 1))
    assert np.allclose(slope(ChargeToPulse(signed=True), U), np.abs(u) < 1)
    assert not ChargeToPulse().is_linear
    assert ChargeToPulse(signed=True).is_linear
    with pytest.raises(ValueError, match="gives a pulse and no code"):
        ChargeToPulse(n_levels=None).codes(KEY, U, None)


def test_jitter_moves_the_end_of_a_pulse_and_makes_none_where_there_is_none():
    """Half-way pulses: mean and standard deviation of the stated Gaussian, |z| < 5; full ones cannot grow."""
    readout = ChargeToPulse(n_levels=None, jitter=jnp.float32(0.05), signed=True)
    u = jnp.broadcast_to(jnp.asarray([-1.0, -0.5, 0.0, 0.5, 1.0]), (20_000, 5))
    y = np.float64(read(readout, u))
    for column, middle in ((1, -0.5), (3, 0.5)):
        assert abs(y[:, column].mean() - middle) < 5 * 0.05 / np.sqrt(len(y))
        assert abs(y[:, column].std() - 0.05) < 5 * 0.05 / np.sqrt(2 * len(y))
    assert np.all(y[:, 2] == 0)
    assert y.max() == 1
    assert abs(np.mean(y[:, 4]) - (1 - 0.05 / np.sqrt(2 * np.pi))) < 5 * 0.05 / np.sqrt(len(y))


def test_kt_over_c_of_a_picofarad_is_64_microvolts():
    """√(kT/C) at 300 K and 1 pF: 64.4 µV, the textbook number."""
    assert kt_c_noise(1e-12, 1.0) == pytest.approx(64.4e-6, rel=1e-3)
    assert kt_c_noise(4e-12, 0.5, 75.0) == pytest.approx(2 * 64.4e-6 / 4, rel=1e-3)
    with pytest.raises(ValueError, match="capacitance must be positive, got 0"):
        kt_c_noise(0.0, 1.0)


def test_packets_are_counted_from_an_empty_and_from_a_half_full_integrator():
    u = np.float64(U)
    clear = np.abs((np.abs(u) * 31) % 0.5) > 1e-4
    for start, rounded in (("empty", np.floor(np.abs(u) * 31)), ("half", np.floor(np.abs(u) * 31 + 0.5))):
        found = codes(IntegrateAndFire(max_count=31.0, start=start), U)
        assert np.array_equal(found[clear], (np.sign(u) * np.minimum(rounded, 31))[clear])
    readout = IntegrateAndFire(max_count=31.0)
    assert np.allclose(read(readout, U, None, 2 * ONE), 2 * np.asarray(codes(readout, U)) / 31, atol=1e-6)
    assert np.allclose(slope(readout, U), np.abs(u) < 1)


@pytest.mark.parametrize("start", ["random", "carried"])
def test_counting_is_unbiased_when_the_first_charge_is_uniform(start):
    """Mean over 20,000 reads within 5 standard errors of |u| max_count, below the maximum count. Carried residues lie
    on a lattice for equal inputs, so a small dither that is known is added."""
    rng = np.random.default_rng(1)
    inside = GRID[1:-1] * 0.9 + 0.0137
    u = jnp.asarray(inside + rng.uniform(-0.02, 0.02, (20_000, 9)), jnp.float32)
    found = np.float64(codes(IntegrateAndFire(max_count=20.0, start=start), u))
    error = found - 20 * np.float64(u)
    assert np.all(np.abs(error.mean(0)) < 5 * error.std(0) / np.sqrt(len(error)) + 1e-6)
    assert np.abs(error).max() < 1.001
    biased = np.float64(codes(IntegrateAndFire(max_count=20.0, start="empty"), u)) - 20 * np.float64(u)
    assert np.all(np.abs(biased.mean(0)) > 0.2)


def test_residues_that_are_carried_lose_nothing_in_a_long_row_of_reads():
    """The total of 5,000 reads is that of the charge to one packet; starting afresh it is off by thousands."""
    u = jnp.abs(jnp.asarray(np.random.default_rng(2).uniform(0, 0.5, (50, 100, 4)), jnp.float32))
    readout = IntegrateAndFire(max_count=10.0, start="carried")
    charge = np.sum(10 * np.float64(u), axis=(0, 1))
    assert np.all(np.abs(np.sum(codes(readout, u), axis=(0, 1)) - charge) < 1.01)
    lost = charge - np.sum(codes(replace(readout, start="empty"), u), axis=(0, 1))
    assert np.all(lost > 2000)
    # Turn by turn it is the integrator a loop would simulate.
    signed = u[0] * jnp.where(jnp.arange(100) % 3 == 0, -1.0, 1.0)[:, None]
    ours = np.asarray(codes(readout, signed))
    start = np.float64(jax.random.uniform(KEY, (2, 4)))
    for column in range(4):
        held = list(start[:, column])
        for turn, value in enumerate(np.float64(signed[:, column])):
            which = 0 if value > 0 else 1
            held[which] += abs(value) * 10
            fired = int(held[which] + 1e-5)
            held[which] -= fired
            assert ours[turn, column] == (fired if value > 0 else -fired)


def test_charge_is_carried_within_one_call_and_not_to_the_next():
    """Two calls with one key begin with the same charge; two halves of one call do not."""
    readout = IntegrateAndFire(max_count=10.0, start="carried")
    u = jnp.asarray(np.random.default_rng(3).uniform(0.0, 0.5, (40, 30)), jnp.float32)
    whole = codes(readout, u)
    assert np.array_equal(whole[:20], codes(readout, u[:20]))
    assert not np.array_equal(whole[20:], codes(readout, u[20:]))


def test_the_two_integrators_of_a_column_have_their_own_gain():
    readout = IntegrateAndFire(max_count=10_000.0, mismatch_std=0.05)
    errors = readout.fabricate(KEY, (100, 1000))
    assert errors.shape == (100, 1000, 2)
    assert abs(float(jnp.std(errors)) - 0.05) < 5 * 0.05 / np.sqrt(2 * errors.size)
    assert abs(np.corrcoef(np.reshape(errors, (-1, 2)).T)[0, 1]) < 5 / np.sqrt(100_000)
    u, gains = U[:, :40] * 0.5, errors[0, :40]
    expected = np.float64(u) * (1 + np.where(np.asarray(u) > 0, gains[:, 0], gains[:, 1]))
    assert np.allclose(read(readout, u, gains), expected, atol=2e-4)


def test_events_are_counted_and_bounds_said_to_be_bounds():
    assert Comparator().counts(6).comparator_decisions == 6
    assert Comparator(repeats=4, decision_noise=0.1).counts(6).comparator_decisions == 24
    assert PartialSum().counts(6).comparator_decisions == 6
    assert PartialSum(kind="ternary").counts(6).comparator_decisions == 12
    assert ChargeToPulse().counts(6).pulses == 6 * 15
    assert ChargeToPulse(n_levels=None).counts(6).pulses == 6
    assert IntegrateAndFire(max_count=50.0).counts(6).pulses == 300
    assert int(jnp.max(jnp.abs(codes(IntegrateAndFire(max_count=50.0), 9 * U)))) == 50


def test_only_signs_and_rectifiers_are_not_linear():
    assert not Comparator().is_linear
    assert PartialSum().is_linear
    assert IntegrateAndFire().is_linear


@pytest.mark.parametrize("readout", [
    Comparator(decision_noise=0.1, offset_std=0.1), PartialSum(kind="ternary", offset_std=0.1),
    ChargeToPulse(jitter=0.1), IntegrateAndFire(mismatch_std=0.1),
], ids=lambda readout: type(readout).__name__)  # fmt: skip
def test_changing_levels_compiles_nothing_new(readout):
    @jax.jit
    def run(readout, u):
        errors = readout.fabricate(KEY, (1, 40))
        return readout.read(KEY, u, None if errors is None else errors[0], ONE)

    other = jax.tree.map(lambda level: 2.0 * level, readout)
    assert not jnp.array_equal(run(readout, U), run(other, U))
    assert run._cache_size() == 1


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Comparator(repeats=0), "Comparator.repeats must be a whole number, at least 1, got 0"),
        (lambda: Comparator(repeats=3), "Comparator.repeats = 3 decisions are all the same without decision_noise"),
        (lambda: PartialSum(kind="2-bit"), "PartialSum.kind must be one of binary, ternary, got '2-bit'"),
        (lambda: optimal_alpha(1.0, "2-bit"), "kind must be one of binary, ternary"),
        (lambda: IntegrateAndFire(start="full"), f"IntegrateAndFire.start must be one of {', '.join(STARTS)}"),
    ],
)
def test_what_cannot_be_built_is_refused(build, words):
    with pytest.raises(ValueError, match=words):
        build()
