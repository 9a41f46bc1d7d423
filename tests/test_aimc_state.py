"""A programmed array over its life: writing with checks, stuck cells, time, and what a chip does about drift."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm, truncnorm

import aimc
from aimc.devices import Device, Gaussian
from aimc.noise import normal
from aimc.spec import numeric_fields, with_field

KEY = jax.random.key(5)
RNG = np.random.default_rng(1)
W = jnp.asarray(RNG.uniform(-1, 1, (100, 80)), jnp.float32).at[0, 0].set(1.0)
X = jnp.asarray(RNG.normal(size=(4, 100)), jnp.float32)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Drifting(Device):
    """g (1 + t)^−ν with ν normal, frozen; and a random walk that ageing adds to."""

    mean: float = 0.05
    spread: float = 0.01
    walk: float = 0.0

    def write(self, key, target):
        return {"start": target, "nu": self.mean + self.spread * normal(key, target.shape), "walk": 0.0 * target}

    def age(self, key, cells, elapsed, seconds):
        step = self.walk * jnp.sqrt(jnp.asarray(seconds, jnp.float32)) * normal(key, cells["walk"].shape)
        return cells | {"walk": cells["walk"] + step}

    def conductance(self, cells, elapsed):
        return cells["start"] * (1.0 + elapsed) ** -cells["nu"] + cells["walk"]


def _plain(**kwargs) -> aimc.CrossbarSpec:
    return aimc.crossbar(**({"dac_bits": None, "adc_bits": None, "rows": 100, "cols": 80} | kwargs))


def test_a_users_own_device_drifts_as_it_says_and_gradients_still_reach_the_weights():
    """E[(1 + t)^−ν] = exp(−μL + σ²L²/2), relative spread √(exp(σ²L²) − 1); |z| < 4.5 on 8,000 weights."""
    state = aimc.program(KEY, W, _plain(device=Drifting()))
    np.testing.assert_allclose(aimc.mvm(KEY, X, state), X @ W, atol=1e-4)
    day = aimc.age(KEY, state, 86_400.0)
    assert float(day.elapsed) == 86_400.0
    span = np.log(86_401.0)
    expected = np.exp(-0.05 * span + 0.01**2 * span**2 / 2)
    big = np.abs(np.asarray(W)) > 0.05  # one cell of a pair is at zero and stays there
    kept = (np.asarray(day.g[0], np.float64) / np.asarray(W, np.float64))[big]
    assert abs(kept.mean() - expected) / (kept.std() / np.sqrt(kept.size)) < 4.5
    spread = expected * np.sqrt(np.exp(0.01**2 * span**2) - 1)
    assert abs(kept.std() / spread - 1) < 4.5 * np.sqrt(1 / kept.size)

    def aged(w):
        return jnp.sum(aimc.mvm(KEY, X, aimc.age(KEY, aimc.program(KEY, w, _plain(device=Drifting())), 86_400.0)))

    np.testing.assert_allclose(jax.grad(aged)(W), jnp.broadcast_to(X.sum(0)[:, None], W.shape), rtol=1e-4, atol=1e-5)


def test_two_ages_have_the_law_of_one_and_share_what_is_frozen():
    """Joint law of the readings at 10 s and 40 s along both routes: variances and covariance; |z| < 5."""
    spec = _plain(device=Drifting(walk=0.01), cols=80)
    keys = jax.random.split(KEY, 3)
    start = aimc.program(keys[0], W, spec)
    early = aimc.age(keys[1], start, 10.0)
    late = aimc.age(keys[2], early, 30.0)
    direct = aimc.age(keys[1], start, 40.0)
    still = aimc.age(keys[1], aimc.program(keys[0], W, _plain(device=Drifting())), 40.0)
    a, b, c = (
        np.asarray(s.g[0] - d.g[0], np.float64).ravel() for s, d in ((early, start), (late, still), (direct, still))
    )
    a = a - (np.asarray(aimc.age(keys[1], aimc.program(keys[0], W, _plain(device=Drifting())), 10.0).g[0], np.float64)
             - np.asarray(start.g[0], np.float64)).ravel()  # fmt: skip
    n = a.size
    unit = 2 * 0.01**2  # a pair, per second
    for sample, seconds in ((a, 10), (b, 40), (c, 40)):
        assert abs(sample.var() / (unit * seconds) - 1) < 5 * np.sqrt(2 / n)
    covariance = np.mean(a * b)
    assert abs(covariance - unit * 10) < 5 * unit * np.sqrt((10 * 40 + 10**2) / n)
    assert float(late.elapsed) == float(direct.elapsed) == 40.0


def test_chip_to_chip_and_run_to_run_spread_separate():
    """Reads of one chip differ only by what is fresh; chips read with one key differ only by what is frozen."""
    spec = _plain(write_noise=0.02, read_noise=0.01)
    chips = [aimc.program(k, W, spec) for k in jax.random.split(KEY, 2)]
    reads = [np.asarray([aimc.mvm(k, X, chip) for k in jax.random.split(KEY, 2)]) for chip in chips]
    fresh = [r[0] - r[1] for r in reads]
    np.testing.assert_allclose(fresh[0], fresh[1], atol=2e-5)  # the same noise on both chips: nothing frozen in it
    assert np.abs(fresh[0]).max() > 0.01
    frozen = [reads[0][i] - reads[1][i] for i in range(2)]
    np.testing.assert_allclose(frozen[0], frozen[1], atol=2e-5)
    assert np.abs(frozen[0]).max() > 0.01


@pytest.mark.parametrize("per_column", [False, True])
def test_compensation_restores_the_strength_it_read(per_column):
    """Mean decay is undone to the read's accuracy; what is left is the spread of exponents, √(exp(σ²L²) − 1)."""
    state = aimc.program(KEY, W, _plain(device=Drifting()))
    eye = jnp.eye(100)
    reference = aimc.drift_reference(KEY, state, eye, per_column=per_column)
    assert reference.shape == ((80,) if per_column else (1,))
    day = aimc.age(KEY, state, 86_400.0)
    fixed = aimc.compensate(KEY, day, eye, reference)
    now = aimc.drift_reference(KEY, fixed, eye, per_column=per_column)
    np.testing.assert_allclose(now, reference, rtol=1e-5)
    big = np.abs(np.asarray(W)) > 0.2
    kept = (np.asarray(aimc.mvm(KEY, eye, fixed), np.float64) / np.asarray(W, np.float64))[big]
    assert abs(kept.mean() - 1) < 0.01
    span = np.log(86_401.0)
    assert kept.std() == pytest.approx(np.sqrt(np.exp(0.01**2 * span**2) - 1), rel=0.05)
    twice = aimc.compensate(KEY, fixed, eye, reference)
    np.testing.assert_allclose(twice.gain, fixed.gain, rtol=1e-5)


def test_compensation_reads_through_the_arrays_own_converters():
    x = jnp.concatenate([X, -X])
    state = aimc.program(KEY, W, aimc.crossbar(rows=100, device=Drifting(), adc_bits=4))
    reference = aimc.drift_reference(KEY, state, x)
    assert float(reference[0]) == pytest.approx(float(jnp.mean(jnp.abs(aimc.mvm(KEY, x, state)))), rel=1e-6)
    dead = state._replace(g=jnp.zeros_like(state.g))
    assert np.array_equal(aimc.compensate(KEY, dead, x, reference).gain, state.gain)  # a silent array keeps its gain


def test_verified_writes_leave_a_cut_gaussian_and_take_a_geometric_number():
    """Moments of a Gaussian cut at ±a; mean number of writes Σ (1 − p)^k, k < max_writes; |z| < 4.5 on 80,000 cells."""
    w = jnp.full((400, 200), 0.5).at[0, 0].set(1.0)
    s, a = 0.05, 0.04
    device = Gaussian(programming_std=(s,))
    for verify in (aimc.WriteVerify(acceptance=a, max_writes=40), aimc.WriteVerify(acceptance=a, max_writes=2)):
        spec = _plain(rows=400, cols=200, device=device, verify=verify, mapping=aimc.Mapping("two_sided"))
        state = aimc.program(KEY, w, spec)
        plus, minus = (np.asarray(side[0], np.float64).ravel()[1:] for side in aimc.conductances(state))
        error = np.concatenate([plus - 0.75, minus - 0.25])
        p = 1 - 2 * norm.sf(a / s)
        missed = (1 - p) ** verify.max_writes
        inside = truncnorm(-a / s, a / s, scale=s).var()
        outside = (s**2 - p * inside) / (1 - p)
        expected = (1 - missed) * inside + missed * outside
        fourth = np.mean(error**4)
        assert abs(error.mean()) < 4.5 * error.std() / np.sqrt(error.size)
        assert abs(error.var() - expected) < 4.5 * np.sqrt((fourth - error.var() ** 2) / error.size)
        share = np.mean(np.abs(error) > a)
        assert abs(share - missed) <= 4.5 * np.sqrt(missed * (1 - missed) / error.size) + 1e-12
        mean_writes = (1 - missed) / p
        second = sum((2 * k + 1) * (1 - p) ** k for k in range(verify.max_writes))
        std_writes = np.sqrt(second - mean_writes**2)
        n = 2 * w.size
        assert abs(float(state.n_writes) / n - mean_writes) < 4.5 * std_writes / np.sqrt(n)


def test_verify_works_on_cells_that_remember_more_than_a_conductance():
    verify = aimc.WriteVerify(acceptance=0.5, max_writes=3, read_std=0.4)
    state = aimc.program(KEY, W, _plain(device=Drifting(), verify=verify))
    assert int(state.n_writes) > 2 * W.size  # the verifying read errs, so some cells are written again
    np.testing.assert_allclose(aimc.mvm(KEY, X, state), X @ W, atol=1e-4)


def test_stuck_cells_have_their_share_and_ignore_what_is_written():
    spec = _plain(faults=aimc.Faults(stuck_off=0.1, stuck_on=0.05), device=Gaussian(programming_std=(0.01,), g_min=0.1))
    states = [aimc.program(KEY, w, spec) for w in (W, -W)]
    for side in (0, 1):
        g, other = (np.asarray(aimc.conductances(s)[side]).ravel() for s in states)
        for value, share in ((0.0, 0.1), (1.0, 0.05)):
            stuck = states[0].sides[side].stuck.ravel() == (-1 if value == 0.0 else 1)
            assert np.all(g[stuck] == value)
            assert np.all(other[stuck] == value)  # the same cells of the same chip, whatever is written
            assert abs(stuck.mean() - share) < 4.5 * np.sqrt(share * (1 - share) / stuck.size)
    aged = aimc.age(KEY, states[0], 1e6)
    assert np.array_equal(aged.sides[0].stuck, states[0].sides[0].stuck)


def test_every_number_of_a_spec_can_be_named_and_set_without_compiling_again():
    spec = replace(aimc.crossbar(write_noise=0.02, read_noise=0.01, input_range=2.0), faults=aimc.Faults(stuck_off=0.1))
    fields = numeric_fields(spec)
    assert {
        "readout.full_scale",
        "device.g_max",
        "device.programming_std.0",
        "faults.stuck_off",
        "inputs.range",
    } <= set(fields)
    traces = []

    @jax.jit
    def read(values):
        traces.append(1)
        changed = spec
        for path, value in values.items():
            changed = with_field(changed, path, value)
        return aimc.analog_matmul(KEY, X[:, :20], W[:20], changed)

    read(fields)
    for path in fields:
        moved = read(fields | {path: fields[path] * 1.5 + 0.01})
        assert np.all(np.isfinite(moved))
    assert len(traces) == 1
    assert with_field(spec, "device.programming_std.0", 0.5).device.programming_std == (0.5,)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: aimc.age(KEY, aimc.program(KEY, W, _plain()), -1.0), "seconds must be a finite time of at least 0"),
        (lambda: aimc.WriteVerify(acceptance=0.1, max_writes=0), "verify.max_writes must be a whole number of writes"),
        (lambda: with_field(aimc.crossbar(), "device.nu", 1.0), "Gaussian has no field 'nu'; it has g_max"),
        (
            lambda: with_field(aimc.crossbar(read_noise=0.1), "device.read_variance_of_g.3", 1.0),
            "there is no entry '3'",
        ),
        (lambda: aimc.crossbar(faults=aimc.Faults(stuck_off=0.7, stuck_on=0.6)), "faults.stuck_off .* at most 1"),
        (lambda: aimc.crossbar(faults=aimc.Faults(stuck_on=-0.1)), "faults.stuck_on must be a finite number"),
        (
            lambda: aimc.crossbar(verify=aimc.WriteVerify(acceptance=0.0)),
            "verify.acceptance must be a finite number above",
        ),
    ],
)
def test_wrong_input_gets_one_sentence(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_stuck_cells_of_the_two_sides_are_independent():
    spec = _plain(faults=aimc.Faults(stuck_off=0.2, stuck_on=0.2))
    plus, minus = (np.asarray(side.stuck, np.float64).ravel() for side in aimc.program(KEY, W, spec).sides)
    assert abs(np.corrcoef(plus, minus)[0, 1]) * np.sqrt(plus.size) < 4.5


def test_read_noise_is_that_of_the_cells_as_they_are_now():
    """Variance of a read ∝ g² after drift, and of stuck cells at the conductance they are stuck at; |z| < 4.5."""
    device = Proportional(mean=0.1, spread=0.0, read=0.05)
    spec = _plain(device=device, faults=aimc.Faults(stuck_on=0.1))
    fresh = aimc.program(KEY, W, spec)
    x = jnp.eye(100)[:20]
    for state in (fresh, aimc.age(KEY, fresh, 1e6)):
        y = np.asarray(
            jax.jit(lambda ks, s=state: jax.lax.map(lambda k: aimc.mvm(k, x, s), ks))(jax.random.split(KEY, 400))
        )
        plus, minus = (np.asarray(g[0], np.float64)[:20] for g in aimc.conductances(state))
        law = 0.05**2 * (plus**2 + minus**2) * float(state.scale[0, 0]) ** 2
        kept = law > 1e-12
        ratio = (y.var(0, ddof=1) / np.where(kept, law, 1.0))[kept]
        assert abs(ratio.mean() - 1) < 4.5 * np.sqrt(2 / (400 * ratio.size)) + 2e-3  # the second: bfloat16


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Proportional(Drifting):
    """Drifting cells whose reads fluctuate in proportion."""

    read: float = 0.05

    def read_variance(self, g, elapsed):
        return (self.read * g) ** 2


@pytest.mark.parametrize("encoding", ["one_sided", "two_sided", "offset_column", "offset_digital", "signed_cell"])
@pytest.mark.parametrize("scaling", ["tensor", "column"])
def test_slices_of_remainders_hold_the_weights_they_were_given(encoding, scaling):
    """Each slice of noisy writes comes closer, in every layout, and stuck cells do not undo that."""
    spread = []
    for n_slices in (1, 2, 3):
        mapping = aimc.Mapping(encoding, scaling, n_slices=n_slices, residual=n_slices > 1)
        state = aimc.program(KEY, W, _plain(mapping=mapping, device=Gaussian(programming_std=(0.02,))))
        spread.append(float(jnp.std(aimc.mvm(KEY, jnp.eye(100), state) - W)))
    # σ (cσ)^(K − 1), c the largest of 8,000 remainders in standard deviations; clipping at zero makes σ smaller.
    assert spread[1] < 6 * spread[0] ** 2
    assert spread[2] < 6 * spread[0] * spread[1]
    if encoding == "offset_digital" and scaling == "tensor":
        mapping = aimc.Mapping(encoding, scaling, n_slices=2, residual=True)
        spec = _plain(mapping=mapping, device=Gaussian(programming_std=(0.02,)), faults=aimc.Faults(stuck_on=0.01))
        errors = np.abs(np.asarray(aimc.mvm(KEY, jnp.eye(100), aimc.program(KEY, W, spec)) - W))
        assert np.median(errors) < 8 * spread[0] ** 2


def test_a_compensated_array_has_the_gradient_of_what_it_computes():
    """Drift takes half of every weight, the gain gives it back: y((1 + e) w) = (1 + e) y(w), and the slope agrees."""
    spec = _plain(device=Drifting(mean=0.05, spread=0.0))
    error = jnp.asarray(np.random.default_rng(3).normal(size=(4, 80)), jnp.float32)

    def through(w):
        state = aimc.program(KEY, w, spec)
        reference = aimc.drift_reference(KEY, state, X)
        aged = aimc.compensate(KEY, aimc.age(KEY, state, 1e6), X, reference)
        return jnp.sum(aimc.mvm(KEY, X, aged) * error)

    np.testing.assert_allclose(jax.grad(through)(W), X.T @ error, rtol=1e-3, atol=1e-3)


def test_slow_noise_clips_where_reads_clip():
    """A cell at zero with slow noise σ reads σ/√(2π) on average, as it does with fresh noise."""
    sigma, w = 0.05, jnp.eye(20, 4)
    device = Gaussian(slow_std_of_g=(sigma,))
    state = aimc.program(KEY, w, _plain(rows=20, cols=4, device=device, read_path="device", clip_reads=True))
    x = jnp.ones((1, 20))
    y = np.asarray(jax.jit(lambda ks: jax.lax.map(lambda k: aimc.mvm(k, x, state), ks))(jax.random.split(KEY, 4_000)))
    expected = 1.0 - sigma / np.sqrt(2 * np.pi)
    assert np.abs((y.mean(0) - expected) / (y.std(0) / np.sqrt(4_000))).max() < 4.5


def test_a_programmed_array_survives_an_orbax_checkpoint(tmp_path):
    import orbax.checkpoint as ocp

    state = aimc.age(KEY, aimc.program(KEY, W, aimc.presets.pcm_hermes()), 10.0)
    arrays = jax.tree.map(jnp.asarray, state)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "chip", arrays)
        checkpointer.wait_until_finished()
        again = checkpointer.restore(tmp_path / "chip", jax.tree.map(ocp.utils.to_shape_dtype_struct, arrays))
    assert np.array_equal(aimc.mvm(KEY, X, again), aimc.mvm(KEY, X, state))


def test_sums_before_the_readout_calibrate_its_range():
    """They are what converters see: a tile's own sums, in fully-on cells; a range of the largest one clips nothing."""
    spec = _plain(rows=30, dac_bits=None)
    state = aimc.program(KEY, W, spec)
    sums = aimc.column_sums(KEY, X, state)
    assert sums.shape == (4, 4, 80)
    total = (
        np.asarray(sums, np.float64).sum(0) * float(state.scale[0, 0]) * np.abs(np.asarray(X)).max(-1, keepdims=True)
    )
    np.testing.assert_allclose(total, np.asarray(X, np.float64) @ np.asarray(W, np.float64), atol=1e-4)
    from aimc.readout import UniformADC, calibrate

    full_scale = float(calibrate(sums.reshape(-1, 80), method="percentile", percentile=100.0))
    assert full_scale == pytest.approx(float(jnp.abs(sums).max()), rel=1e-5)
    wide = aimc.program(KEY, W, _plain(rows=30, readout=UniformADC(full_scale=full_scale), adc_bits=8))
    assert float(jnp.abs(aimc.mvm(KEY, X, wide) - X @ W).max()) < 0.1 * float(jnp.abs(X @ W).max())


def test_whole_numbers_are_inputs_too():
    state = aimc.program(KEY, W, _plain(input_range=0.5))
    np.testing.assert_allclose(aimc.mvm(KEY, jnp.ones((2, 100)), state), jnp.ones((2, 100)) @ W, atol=1e-4)
