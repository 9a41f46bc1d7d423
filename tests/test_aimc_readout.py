"""Converters: uniform, successive approximation, ramp; where their range should end."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.stats

import aimc
from aimc.cam import ThresholdCell
from aimc.readout import CAM, SARADC, ChargeToPulse, Comparator, IntegrateAndFire, RampADC, UniformADC, calibrate
from aimc.readout.adc import INL_HARMONICS, inl_coefficients, smooth_inl
from aimc.readout.base import Readout
from aimc.readout.calibration import clipped_mse, lossless_bits, optimal_clip

KEY = jax.random.key(5)
ONE = jnp.float32(1.0)


@jax.jit
def read(readout, key, u, errors=None, unit=ONE):
    return readout.read(key, u, errors, unit)


@jax.jit
def codes(readout, key, u, errors=None):
    return readout.codes(key, u, errors)


@jax.jit
def slope(readout, key, u, errors=None):
    """Derivative of every output by its own input."""
    return jax.jvp(lambda u: readout.read(key, u, errors, ONE), (u,), (jnp.ones_like(u),))[1]


def columns(readout, key=KEY, n=64):
    """Frozen errors of one tile."""
    return jax.tree.map(lambda leaf: leaf[0], readout.fabricate(key, (1, n)))


U = jnp.asarray(np.random.default_rng(0).uniform(-1.3, 1.3, (200, 64)).astype(np.float32))


def test_the_plain_readout_passes_the_sum_on_and_has_no_code():
    assert jnp.array_equal(read(Readout(), KEY, U, None, jnp.float32(3.0)), 3.0 * U)
    with pytest.raises(ValueError, match="gives no codes"):
        Readout().codes(KEY, U, None)


@pytest.mark.parametrize(("bits", "clip", "sheet"), [(4, 2.5, 1.1543e-2), (8, 4.0, 8.82e-5)])
def test_mean_squared_error_of_a_clipping_converter_follows_the_closed_form(bits, clip, sheet):
    """|z| < 5 on 1e5 Gaussian sums; the 2**bits codes of the closed form are those of a CAM without errors."""
    assert clipped_mse(clip, 2.0**bits) == pytest.approx(sheet, rel=1e-3)
    sums = np.random.default_rng(bits).normal(size=(1000, 100)).astype(np.float32)
    for readout, n_codes in (
        (CAM(bits=bits, output=(-1.0, 1.0)), 2.0**bits),
        (UniformADC(n_levels=2.0**bits - 1), None),
    ):
        n_codes = n_codes or 2.0**bits - 1
        y = np.float64(read(readout, KEY, jnp.asarray(sums / clip), None, jnp.float32(clip)))
        squared = (y - sums) ** 2
        z = (squared.mean() - clipped_mse(clip, n_codes)) / (squared.std() / np.sqrt(squared.size))
        assert abs(z) < 5


def exact_mse(clip, n_codes):
    """The same mean squared error by quadrature over every step of the staircase."""
    levels = np.linspace(-clip, clip, n_codes)
    edges = np.concatenate([[-np.inf], 0.5 * (levels[1:] + levels[:-1]), [np.inf]])

    def part(level, low, high):
        return scipy.integrate.quad(lambda x: (x - level) ** 2 * scipy.stats.norm.pdf(x), low, high)[0]

    return sum(part(level, low, high) for level, low, high in zip(levels, edges[:-1], edges[1:], strict=True))


def test_the_best_clip_for_gaussian_sums_is_the_one_quadrature_finds():
    for n_codes, low, high in ((16, 2.5, 2.65), (64, 3.2, 3.4), (256, 3.85, 4.0)):
        assert low < optimal_clip(n_codes) < high
    best = scipy.optimize.minimize_scalar(lambda clip: exact_mse(clip, 15), bounds=(1.5, 4.0), method="bounded").x
    assert exact_mse(optimal_clip(15), 15) < 1.002 * exact_mse(best, 15)
    assert exact_mse(2.5, 16) == pytest.approx(clipped_mse(2.5, 16), rel=5e-3)


def test_calibration_from_data_finds_the_range_that_the_closed_form_does():
    sums = 7.0 * jax.random.normal(KEY, (20000, 3)) * jnp.asarray([1.0, 2.0, 0.0])
    chosen = calibrate(sums, method="mse", n_levels=15.0, per_column=True)
    assert chosen.shape == (3,)
    assert np.allclose(chosen[:2] / jnp.asarray([7.0, 14.0]), optimal_clip(15), atol=0.15)
    assert chosen[2] == 1.0  # a column that never moved has any range
    layer = calibrate(sums, method="percentile", percentile=99.0)
    assert layer == pytest.approx(np.percentile(np.abs(np.float64(sums)), 99.0), rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"method": "best"}, "method must be one of mse, percentile"),
        ({"percentile": 0.0}, "percentile must lie in"),
        ({"n_levels": 2.0}, "n_levels must be at least 3"),
    ],
)
def test_calibration_refuses_what_makes_no_sense(arguments, words):
    with pytest.raises(ValueError, match=words):
        calibrate(U, **arguments)
    with pytest.raises(ValueError, match="at least one sum"):
        calibrate(jnp.zeros((0, 3)))
    with pytest.raises(ValueError, match="clip must be above 0"):
        clipped_mse(0.0, 16)
    with pytest.raises(ValueError, match="weight_bits must be at least 2"):
        lossless_bits(4, 1, 8)


def test_the_lossless_number_of_bits_gives_back_every_integer_and_one_bit_less_does_not():
    rng = np.random.default_rng(3)
    x, w = rng.integers(-7, 8, (300, 64)), rng.integers(-7, 8, (64, 32))
    x[0], w[:, 0] = 7, 7  # the largest sum there is
    sums = x @ w
    bits = lossless_bits(4, 4, 64)
    assert bits == 13
    for lossless, b in ((True, bits), (False, bits - 1)):
        half = 2.0 ** (b - 1) - 1.0
        u = jnp.asarray(sums / half, jnp.float32)
        assert np.array_equal(codes(UniformADC(n_levels=2 * half + 1), KEY, u), sums) is lossless


def test_gain_and_offset_errors_are_frozen_per_column_with_the_stated_spread():
    readout = UniformADC(gain_std=0.02, offset_std=0.01)
    errors = readout.fabricate(KEY, (100, 1000))
    for value, std in ((errors.gain, 0.02), (errors.offset, 0.01)):
        value = np.float64(value)
        assert abs(value.mean()) < 5 * std / np.sqrt(value.size)
        assert abs(value.std() - std) < 5 * std / np.sqrt(2 * value.size)
    tile = jax.tree.map(lambda leaf: leaf[7, :64], errors)
    seen = np.clip(np.float32(U) * (1 + np.float32(tile.gain)) + np.float32(tile.offset), -1, 1)
    ours, oracle = np.asarray(codes(readout, KEY, U, tile)), np.round(seen * 127)
    near_edge = np.abs((seen * 127) % 1 - 0.5) < 1e-3
    assert np.array_equal(ours[~near_edge], oracle[~near_edge])
    assert np.allclose(read(readout, KEY, U, tile), ours / 127, atol=1e-6)


def test_inl_is_a_sine_series_that_ends_at_zero_and_has_the_stated_rms():
    amplitudes = inl_coefficients(KEY, (20000,), 0.03)
    u = np.linspace(-1, 1, 41)
    order = np.arange(1, INL_HARMONICS + 1)
    oracle = np.sin(np.pi * order * (u[:, None, None] + 1) / 2) @ np.float64(amplitudes[:5]).T
    ours = smooth_inl(jnp.asarray(np.repeat(u[:, None], 5, 1), jnp.float32), amplitudes[:5])
    assert np.allclose(ours, oracle[:, 0], atol=1e-6)
    assert np.allclose(smooth_inl(jnp.asarray([[-1.0], [1.0], [3.0]]), amplitudes[:1]), 0, atol=1e-7)
    power = 0.5 * np.sum(np.float64(amplitudes) ** 2, axis=-1)  # mean square of a sine series over its range
    assert abs(power.mean() - 0.03**2) < 5 * power.std() / np.sqrt(power.size)


def test_a_search_without_errors_gives_the_codes_of_the_uniform_converter():
    """The search itself, reached with an offset of zero; ties are not among the inputs."""
    for bits in (3, 8):
        searched = SARADC(bits=bits, offset_std=0.0)
        plain = UniformADC(n_levels=2.0**bits - 1)
        tie = np.abs((np.clip(np.float64(U), -1, 1) * (2.0 ** (bits - 1) - 1)) % 1 - 0.5) < 1e-4
        assert tie.mean() < 0.01
        assert np.array_equal(codes(searched, KEY, U, columns(searched))[~tie], codes(plain, KEY, U)[~tie])
        assert np.allclose(read(SARADC(bits=bits), KEY, U), read(plain, KEY, U), atol=2e-7)  # a rounding of 1 / 127


def test_a_search_with_mismatch_is_the_search_of_a_float64_rewrite():
    readout = SARADC(bits=6, capacitor_mismatch=0.3, offset_std=0.02, amplifier_gain=200.0)
    errors = columns(readout)
    weights, offset = np.float64(errors.weights), np.float64(errors.offset)
    ours, u = np.asarray(codes(readout, KEY, U, errors)), np.clip(np.float64(U), -1, 1)
    differ = 0
    for i, j in np.ndindex(u.shape):
        held, voltage = 0, u[i, j] * 31 + 31.5 + offset[j]
        for bit in (5, 4, 3, 2, 1, 0):
            trial = held | 1 << bit
            if voltage >= sum(weights[j, k] for k in range(6) if trial >> k & 1):
                held = trial
        differ += min(held, 62) - 31 != ours[i, j]
    assert differ <= 3  # of 12,800: voltages within float32 rounding of a threshold
    assert not np.array_equal(ours, codes(UniformADC(n_levels=63.0), KEY, U))


def test_capacitor_mismatch_spreads_the_weight_of_a_bit_as_propagation_of_errors_says():
    """Var w_n = σ² 2ⁿ (1 − 2ⁿ/2ᵇ) to first order: |z| < 5 at σ = 0.01, where the second order is 1e-4 of it."""
    weights = np.float64(SARADC(bits=6, capacitor_mismatch=0.01).fabricate(KEY, (100, 1000)).weights)
    nominal = 2.0 ** np.arange(6)
    variance = 1e-4 * nominal * (1 - nominal / 64)
    deviations = (weights - nominal).reshape(-1, 6)
    z = (np.mean(deviations**2, 0) - variance) / (variance * np.sqrt(2 / len(deviations)))
    assert np.all(np.abs(z) < 5)


def test_a_ramp_is_shared_by_the_columns_of_a_tile_and_comparators_are_not():
    readout = RampADC(inl_rms=0.05)
    same = jnp.broadcast_to(U[:, :1], U.shape)
    errors = readout.fabricate(KEY, (2, 64))
    tiles = [np.asarray(codes(readout, KEY, same, jax.tree.map(lambda leaf: leaf[i], errors))) for i in (0, 1)]  # noqa: B023
    assert np.all(tiles[0] == tiles[0][:, :1])
    assert not np.array_equal(tiles[0], tiles[1])
    offsets = RampADC(offset_std=0.05)
    spread = np.asarray(codes(offsets, KEY, same, columns(offsets)))
    assert np.any(spread != spread[:, :1])
    assert np.allclose(read(RampADC(), KEY, U), read(UniformADC(), KEY, U), atol=2e-7)


def test_a_ramp_serves_only_as_many_columns_as_it_is_said_to():
    """600 columns are three ramps of 256; every pair of ramps differs, in one tile and between tiles."""
    inl = np.asarray(RampADC(inl_rms=0.05).fabricate(KEY, (2, 600)).inl)
    assert inl.shape == (2, 600, INL_HARMONICS)
    ramps = np.unique(inl.reshape(-1, INL_HARMONICS), axis=0)
    assert len(ramps) == 6
    for tile in inl:
        changes = np.flatnonzero(np.any(tile[1:] != tile[:-1], axis=-1)) + 1
        assert changes.tolist() == [256, 512]
    few = np.asarray(RampADC(inl_rms=0.05, columns_per_ramp=3).fabricate(KEY, (1, 7)).inl)[0]
    assert [len(np.unique(few[low:high], axis=0)) for low, high in ((0, 3), (3, 6), (6, 7), (0, 7))] == [1, 1, 1, 3]
    for wrong in (0, -3, True):
        with pytest.raises(ValueError, match="columns_per_ramp must be a whole number of at least 1"):
            RampADC(columns_per_ramp=wrong)


def test_gradients_pass_straight_through_inside_the_range_and_stop_outside():
    inside = np.abs(np.asarray(U)) < 1
    for readout in (UniformADC(), SARADC(), SARADC(capacitor_mismatch=0.1), RampADC()):
        errors = columns(readout) if readout.fabricate(KEY, (1, 1)) is not None else None
        assert np.allclose(slope(readout, KEY, U, errors), inside, atol=1e-6)


def test_the_gradient_of_a_bent_converter_is_the_slope_of_its_transfer_curve():
    readout = UniformADC(gain_std=0.05, inl_rms=0.03, n_levels=2.0**20 - 1)  # so fine that the staircase is a curve
    errors, u = columns(readout, n=64), U * 0.6
    difference = (read(readout, KEY, u + 0.01, errors) - read(readout, KEY, u - 0.01, errors)) / 0.02
    assert np.allclose(slope(readout, KEY, u, errors), difference, atol=2e-3)


def test_changing_a_level_compiles_nothing_new():
    @jax.jit
    def run(readout, u):
        return readout.read(KEY, u, columns(readout), ONE)

    for readout, name in (
        (UniformADC(gain_std=0.1, offset_std=0.1, inl_rms=0.1), "n_levels"),
        (SARADC(capacitor_mismatch=0.1), "capacitor_mismatch"),
        (RampADC(inl_rms=0.1), "inl_rms"),
    ):
        before = run._cache_size()
        results = [run(replace(readout, **{name: level}), U) for level in map(jnp.float32, (3.0, 63.0, 0.5))]
        assert run._cache_size() == before + 1
        assert not jnp.array_equal(results[0], results[2])


def test_an_error_that_is_not_asked_for_costs_nothing():
    for readout in (UniformADC(), SARADC(), RampADC()):
        assert readout.fabricate(KEY, (2, 3)) is None
        program = str(jax.make_jaxpr(lambda u, readout=readout: readout.read(KEY, u, None, ONE))(U))
        assert "random" not in program
        assert "sin" not in program


def test_conversions_and_clock_ticks_are_counted():
    assert UniformADC().counts(7).as_dict() == (SARADC().counts(7)).as_dict()
    assert UniformADC().counts(7).adc_samples == 7
    assert (RampADC(bits=6).counts(7).adc_samples, RampADC(bits=6).counts(7).pulses) == (7, 7 * 64)


@pytest.mark.parametrize("bits", [1, 17, True])
@pytest.mark.parametrize("kind", [SARADC, RampADC])
def test_impossible_resolutions_are_refused(kind, bits):
    with pytest.raises(ValueError, match=f"{kind.__name__}.bits must be a whole number of bits from 2 to 16"):
        kind(bits=bits)


X = jax.random.uniform(jax.random.key(1), (20, 48), minval=-1.0)
W = jax.random.normal(jax.random.key(2), (48, 5))


def product(readout, rows):
    spec = aimc.crossbar(rows=rows, cols=8, dac_bits=None, input_range=1.0, readout=readout)
    state = jax.jit(aimc.program)(KEY, W, spec)
    return jax.jit(aimc.mvm)(KEY, X, state), jnp.max(jnp.abs(W))


@pytest.mark.parametrize(
    "readout",
    [
        UniformADC(), SARADC(), RampADC(), CAM(), ChargeToPulse(signed=True, n_levels=128.0),
        IntegrateAndFire(start="half"), SARADC(capacitor_mismatch=0.01), CAM(cell=ThresholdCell(mismatch=1e-3)),
    ],
    ids=str,
)  # fmt: skip
def test_behind_an_array_of_two_tiles_the_sums_are_right_to_the_steps_of_the_readout(readout):
    y, w_max = product(readout, rows=24)
    step = 10.0 * w_max / 127  # full scale is ten fully-on cells
    # Half a step a tile; mismatch of one unit in a hundred and thresholds off by an eighth of a step add less than one.
    is_exact = readout.fabricate(KEY, (1, 1)) is None
    assert jnp.max(jnp.abs(y - X @ W)) < 2 * step * (0.51 if is_exact else 1.5)


def test_behind_an_array_a_function_sees_the_sum_in_its_own_units_and_a_sign_has_none():
    exact = X @ W
    y, _ = product(CAM(function=jnp.tanh, window=(-3.0, 3.0)), rows=48)
    assert jnp.max(jnp.abs(y - jnp.tanh(jnp.clip(exact, -3, 3)))) < 2 / 255 * 0.51
    y, _ = product(Comparator(), rows=48)
    assert jnp.array_equal(y, jnp.sign(exact))
