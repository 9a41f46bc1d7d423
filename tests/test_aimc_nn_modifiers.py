"""Disturbances of weights in training: their moments in closed form, what shares a draw, and that gradients pass."""

from dataclasses import replace
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from crossbar_oracle import transfer
from flax import nnx

import aimc
from aimc import nn
from aimc.nn.modifiers import modified

N = 4000
Z = 5.0  # of about 1,000 comparisons below, less than one in a thousand suites errs
W = jnp.asarray(np.random.default_rng(0).normal(size=(12, 5)), jnp.float32)
IDEAL = aimc.presets.ideal()


def _draws(modifier, spec=IDEAL):
    """Modified weights of N independent writes."""
    draw = jax.jit(jax.vmap(lambda key: modified(key, W, modifier, spec)))
    return np.asarray(draw(jax.random.split(jax.random.key(1), N)), np.float64)


def _check_moments(draws, mean, variance, fourth=3.0):
    """Means and variances of all weights within Z standard errors; `fourth` is the largest kurtosis."""
    mean, variance = np.broadcast_to(mean, W.shape), np.broadcast_to(variance, W.shape)
    assert (np.abs(draws.mean(0) - mean) <= Z * np.sqrt(variance / N) + 1e-6 * np.abs(mean)).all()
    error = variance * np.sqrt(np.maximum(fourth - 1.0, 0.0) / N)
    assert (np.abs(draws.var(0) - variance) <= Z * error + 1e-9).all()


@pytest.mark.parametrize("relative_to", ["column", "tensor"])
def test_write_noise_is_gaussian_noise_relative_to_the_largest_weight(relative_to):
    w = np.asarray(W, np.float64)
    largest = np.abs(w).max(axis=0) if relative_to == "column" else np.abs(w).max()
    draws = _draws(nn.Modifier(sigma=0.05, scale=2.0, relative_to=relative_to))
    _check_moments(draws, w, np.broadcast_to((2.0 * 0.05 * largest) ** 2, w.shape))
    z = (draws - w) / (0.1 * largest)
    assert abs(np.mean(z**4) - 3.0) < Z * np.sqrt(96.0 / z.size)  # Gaussian: Var z⁴ = 96
    rows = z.reshape(N, -1)  # every weight has its own draw: off-diagonal correlations are N(0, 1/N)
    correlation = np.corrcoef(rows.T)[np.triu_indices(rows.shape[1], 1)]
    assert np.abs(correlation).max() < Z / np.sqrt(N)


@pytest.mark.parametrize(("relative_to", "size"), [("column", 0.0), ("tensor", 0.1 * float(jnp.abs(W[:, 1:]).max()))])
def test_a_column_of_zeros_gets_the_noise_of_the_tensor_and_none_of_its_own(relative_to, size):
    modifier = nn.Modifier(sigma=0.1, relative_to=relative_to)
    draw = jax.jit(jax.vmap(lambda key: modified(key, W.at[:, 0].set(0.0), modifier, IDEAL)))
    zeros = np.asarray(draw(jax.random.split(jax.random.key(1), N)), np.float64)[:, :, 0]
    assert abs(zeros.var() - size**2) <= Z * size**2 * np.sqrt(2.0 / zeros.size)
    assert (np.asarray(draw(jax.random.split(jax.random.key(1), 1))[0, :, 1:]) != W[:, 1:]).all()


def test_dropped_connections_are_zero_with_the_stated_probability():
    w, p = np.asarray(W, np.float64), 0.2
    draws = _draws(nn.Modifier(drop_connect=0.1, scale=2.0))
    assert set(np.unique(draws == 0.0)) == {False, True}
    np.testing.assert_array_equal(draws[draws != 0], np.broadcast_to(w.astype(np.float32), draws.shape)[draws != 0])
    kurtosis = 1.0 / (p * (1 - p)) - 3.0  # of a Bernoulli number
    _check_moments(draws, (1 - p) * w, p * (1 - p) * w**2, kurtosis)


def test_dropped_bits_have_the_moments_of_their_enumeration():
    """All subsets of the three places behind the sign, each with its probability, in plain Python."""
    w, p, largest = np.asarray(W, np.float64), 0.25, np.abs(np.asarray(W, np.float64)).max(axis=0)
    draws = _draws(nn.Modifier(bit_drop=p, bits=4))
    mean, variance = np.zeros_like(w), np.zeros_like(w)
    for (i, j), value in np.ndenumerate(w):
        code = min(int(np.float32(abs(value)) / np.float32(largest[j]) * 8), 7)
        places = [1 << k for k in range(3) if code >> k & 1]
        outcomes = []
        for which in product((False, True), repeat=len(places)):
            lost = sum(place for place, is_lost in zip(places, which, strict=True) if is_lost)
            chance = np.prod([p if is_lost else 1 - p for is_lost in which])
            outcomes.append((np.sign(value) * (abs(value) - largest[j] * lost / 8), chance))
        mean[i, j] = sum(v * q for v, q in outcomes)
        variance[i, j] = sum((v - mean[i, j]) ** 2 * q for v, q in outcomes)
    _check_moments(draws, mean, variance, fourth=1.0 / (p * (1 - p)))


def test_programming_noise_is_that_of_the_layers_own_cells():
    """Pairs on both sides of the middle, so that no conductance stops at zero: Var = σ²(G⁺) + σ²(G⁻)."""
    w = np.asarray(W, np.float64)
    largest = np.abs(w).max()
    spec = aimc.crossbar(dac_bits=None, adc_bits=None, device=aimc.devices.pcm(), mapping=aimc.Mapping("two_sided"))
    draws = _draws(nn.Modifier(programming=1.5), spec)
    variance = np.zeros_like(w)
    for sign in (1, -1):
        g = 0.5 + sign * 0.5 * w / largest
        variance += ((0.26348 + 1.9650 * g - 1.1731 * g**2) / 25.0) ** 2  # Joshi et al. 2020, as in IBM aihwkit
    inside = np.abs(w) < 0.8 * largest
    wanted = np.where(inside, (1.5 * largest) ** 2 * variance, draws.var(0))
    _check_moments(draws, np.where(inside, w, draws.mean(0)), wanted)
    # The array that is then written errs on its own, so that a chip errs by √(1 + 1.5²) of it.
    layer = nn.AnalogLinear(12, 5, spec, rngs=nnx.Rngs(0), use_bias=False)
    layer.kernel[...] = W
    nn.modify(layer, nn.Modifier(programming=1.5))
    graph, state = nnx.split(layer)

    @jax.jit
    @jax.vmap
    def chip(key):
        own = nnx.merge(graph, state, copy=True)
        own.deploy(key, modified=True)
        return own.chip.get_value().g[0] * own.chip.get_value().scale

    chips = np.asarray(chip(jax.random.split(jax.random.key(2), N)), np.float64)
    ratio = chips.var(0)[inside] / ((1.0 + 1.5**2) * largest**2 * variance[inside])
    # The second error is made at the modified conductances: second order in σ ≈ 0.04, below 2 % of the variance.
    assert np.abs(ratio - 1.0).max() < Z * np.sqrt(2.0 / N) + 0.02


def test_rounding_is_to_the_nearest_code_and_not_random():
    w = np.asarray(W, np.float64)
    largest = np.abs(w).max(axis=0)
    draws = _draws(nn.Modifier(n_levels=7.0))
    np.testing.assert_allclose(draws[0], np.round(w / largest * 3.0) * largest / 3.0, atol=1e-6)
    assert (draws == draws[0]).all()


def test_gradients_reach_the_clean_weights_straight_through():
    everything = nn.Modifier(n_levels=15.0, bit_drop=0.1, sigma=0.1, programming=1.0, drop_connect=0.3)
    spec = aimc.crossbar(write_noise=0.05)
    factor = jnp.asarray(np.random.default_rng(1).normal(size=W.shape), jnp.float32)
    gradient = jax.grad(lambda w: jnp.sum(factor * modified(jax.random.key(0), w, everything, spec)))(W)
    np.testing.assert_array_equal(gradient, factor)


def _layer(spec=IDEAL, modifier=None, seed=0):
    layer = nn.AnalogLinear(12, 5, spec, rngs=nnx.Rngs(0, noise=seed), use_bias=False)
    layer.kernel[...] = W
    nn.modify(layer, modifier)
    return layer


def test_vectors_of_a_call_share_a_draw_and_calls_do_not():
    layer = _layer(modifier=nn.Modifier(sigma=0.1))
    eye = jnp.tile(jnp.eye(12), (2, 1))
    first, second = np.asarray(layer(eye)), np.asarray(layer(eye))
    np.testing.assert_array_equal(first[:12], first[12:])
    graph, state = nnx.split(layer)

    def calls(state, _):
        own = nnx.merge(graph, state, copy=True)
        weights = own(jnp.eye(12))
        return nnx.state(own), weights

    series = np.asarray(jax.lax.scan(calls, state, None, length=1000)[1], np.float64) - np.asarray(W, np.float64)
    lag = np.sum(series[1:] * series[:-1]) / np.sum(series**2)
    assert abs(lag) < Z / np.sqrt(series.size)
    assert not np.array_equal(first, second)
    groups = nn.AnalogConv(4, 4, (1,), IDEAL, rngs=nnx.Rngs(0), groups=2, use_bias=False)
    groups.kernel[...] = jnp.ones((1, 2, 4))
    nn.modify(groups, nn.Modifier(sigma=0.1))
    groups.deploy(jax.random.key(0), modified=True)
    written = np.asarray(groups.chip.get_value().g)
    assert not np.array_equal(written[0], written[1])  # the same weights on two arrays err on their own


def test_only_what_is_not_deployed_is_modified_unless_asked_for():
    layer, eye = _layer(modifier=nn.Modifier(sigma=0.1)), jnp.eye(12)
    layer.deploy(jax.random.key(0))
    np.testing.assert_allclose(layer(eye), W, atol=1e-6)
    layer.deploy(jax.random.key(0), modified=True)
    np.testing.assert_array_equal(layer(eye), layer(eye))
    assert np.abs(np.asarray(layer(eye) - W)).max() > 0.05
    nn.undeploy(layer)
    nn.modify(layer, None)
    np.testing.assert_allclose(layer(eye), W, atol=1e-6)
    nn.modify(layer, lambda path: None)
    assert layer.modifier is None


def test_a_ramp_is_one_program_and_scales_the_noise():
    layer = _layer(modifier=nn.Modifier(sigma=0.1))
    traces = []

    @nnx.jit
    def call(layer, scale):
        traces.append(scale)
        nn.set_modifier_scale(layer, scale)
        return layer(jnp.eye(12))

    spread = [np.std(np.asarray(call(layer, jnp.asarray(s))) - np.asarray(W)) for s in (0.0, 0.5, 1.0)]
    assert len(traces) == 1
    assert spread[0] < 1e-6
    assert 0.03 < spread[1] < spread[2]


def test_wires_fold_the_modified_weights():
    """Against Kirchhoff's laws for the cells that the modified weights made, one array for each side of the pairs."""
    wires = {"r_row": 20.0, "r_col": 30.0, "r_drv": 5.0, "r_sense": 3.0}
    wired = replace(IDEAL, wiring=aimc.Wiring(layout="separate", refold_every=3, **wires))
    layer = _layer(wired, nn.Modifier(sigma=0.2, drop_connect=0.2))
    changes, cells = [], []
    for call in range(4):
        layer.deploy(jax.random.key(call), modified=True)
        state = layer.chip.get_value()
        plus, minus = (np.asarray(side, np.float64)[0] for side in aimc.conductances(state))
        changes.append(np.asarray(state.g[0], np.float64) - (plus - minus))
        cells.append((plus, minus))
        assert np.abs((plus - minus) * np.asarray(state.scale) - np.asarray(W)).max() > 0.1
    g_max = 25e-6
    for call in (0, 3):  # solved at these calls, and carried over in between
        plus, minus = cells[call]
        folded = (transfer(plus * g_max, **wires) - transfer(minus * g_max, **wires)) / g_max
        np.testing.assert_allclose(changes[call], folded - (plus - minus), atol=2e-6)
    for call in (1, 2):
        np.testing.assert_allclose(changes[call], changes[0], atol=1e-6)
    assert np.abs(changes[3] - changes[0]).max() > 1e-4


def test_the_protocol_of_rasch_2023_has_its_published_numbers():
    spec, modifier, ranges, batches = nn.rasch2023(wires=True, refold_every=50)
    assert (spec.rows, spec.mapping.scaling, spec.inputs.n_levels, spec.readout.n_levels) == (512, "column", 255, 255)
    assert (spec.readout.full_scale, spec.readout.noise, spec.device.read_noise) == (10.0, 0.04, 0.0175)
    assert (ranges["deviations"], ranges["learn"], batches) == (3.0, True, 100)
    np.testing.assert_allclose(spec.wiring.r_col * spec.device.g_max, 0.35 * 5e-6)
    assert spec.wiring.refold_every == 50
    # Errors three times those of programming, as variances: the modifier's and the array's own.
    np.testing.assert_allclose(modifier.programming**2 + 1.0, 9.0)
    layer = nn.AnalogLinear(12, 5, nn.rasch2023().spec, rngs=nnx.Rngs(0))
    nn.modify(layer, modifier)
    x = jax.random.normal(jax.random.key(0), (200, 12))
    nn.calibrate(layer, [x], **ranges)
    np.testing.assert_allclose(layer.input_range[...], 3.0 * jnp.sqrt(jnp.mean(x**2)), rtol=1e-6)
    y, exact = np.asarray(layer(x)), np.asarray(x @ layer.kernel[...])
    assert 0.8 < np.corrcoef(y.ravel(), exact.ravel())[0, 1] < 0.9999


def test_levels_that_cannot_be_are_said():
    for arguments, what in (
        ({"drop_connect": 1.5}, "modifier.drop_connect must be a number from 0 to 1"),
        ({"sigma": -0.1}, "modifier.sigma must be a number from 0 to inf"),
        ({"n_levels": 1.0}, "modifier.n_levels must be a number from 3 to 65536"),
    ):
        with pytest.raises(ValueError, match=what):
            nn.modify(_layer(), nn.Modifier(**arguments))
    with pytest.raises(ValueError, match="relative_to must be one of"):
        nn.Modifier(relative_to="row")
    with pytest.raises(ValueError, match="bits must be a whole number"):
        nn.Modifier(bits=1)
    with pytest.raises(ValueError, match="no analog layer to modify"):
        nn.modify(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), nn.Modifier())
