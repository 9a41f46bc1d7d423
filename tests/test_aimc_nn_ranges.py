"""Ranges from data or learned, and what a report says of a layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import aimc
from aimc import nn
from aimc.readout.calibration import optimal_clip

DATA = jax.random.normal(jax.random.key(0), (400, 32))


def _layer(**spec):
    return nn.AnalogLinear(32, 16, aimc.crossbar(**spec), rngs=nnx.Rngs(0))


def test_calibration_finds_the_quantiles_the_deviations_and_the_largest():
    size = np.abs(np.asarray(DATA))
    for method, expected in (
        ("percentile", np.percentile(size, 99)),
        ("std", 2.5 * np.sqrt(np.mean(size**2))),
        ("max", size.max()),
    ):
        layer = _layer()
        nn.calibrate(layer, [DATA[:200], DATA[200:]], inputs=method, percent=99.0, deviations=2.5)
        # A histogram's bins are 1.7 % wide.
        np.testing.assert_allclose(layer.spec.inputs.range, expected, rtol=0.02 if method == "percentile" else 1e-6)
    layer = _layer(adc_bits=6)
    nn.calibrate(layer, [DATA], inputs="max", outputs="gaussian")
    w = np.asarray(layer.kernel[...], np.float64)
    sums = np.asarray(DATA, np.float64) / size.max() @ (w / np.abs(w).max())
    np.testing.assert_allclose(layer.spec.readout.full_scale, optimal_clip(63.0) * np.sqrt(np.mean(sums**2)), rtol=0.01)
    layer.deploy(jax.random.key(1))
    before = layer(DATA)
    nn.calibrate(layer, [DATA], inputs="percentile", percent=50.0)  # a chip that stands there takes the new range
    assert np.abs(np.asarray(layer(DATA) - before)).max() > 0.1
    zeros = _layer()
    nn.calibrate(zeros, [jnp.zeros((3, 32))])
    assert float(zeros.spec.inputs.range) == 1.0


def test_watching_leaves_the_model_as_it_was_but_for_its_random_streams():
    """In training, so that batch normalisation gathers statistics; with wires, whose circuit a layer carries on."""

    class Net(nnx.Module):
        def __init__(self):
            self.first, self.norm = nnx.Linear(32, 4, rngs=nnx.Rngs(0)), nnx.BatchNorm(4, rngs=nnx.Rngs(0))

        def __call__(self, x):
            return self.norm(self.first(x))

    def kept():
        variables = nnx.to_flat_state(nnx.state(model, nnx.Any(nnx.Param, nnx.BatchStat, nn.base.Carried)))
        return [np.asarray(leaf) for _, own in variables for leaf in jax.tree.leaves(own)]

    model = nn.convert(Net(), aimc.crossbar(read_noise=0.02, wiring=aimc.Wiring(refold_every=2)))
    model.train()
    before = kept()
    seen = nn.watch(model, [DATA[:200], DATA[200:]])
    assert int(seen["first"].n_vectors) == 400
    nn.calibrate(model, [DATA[:200]], inputs="max")
    assert len(before) > 6  # the kernel, four of the normalisation, a carried circuit
    for own, found in zip(before, kept(), strict=True):
        np.testing.assert_array_equal(found, own)
    assert float(model.first.spec.inputs.range) == pytest.approx(float(jnp.abs(DATA[:200]).max()))


def test_a_kernel_is_cut_at_its_deviations_unless_its_entries_are_alike():
    kernel = np.random.default_rng(0).normal(size=(30, 20)).astype(np.float32)
    expected = np.clip(kernel, -1.5 * kernel.std(), 1.5 * kernel.std())
    np.testing.assert_allclose(nn.clip_kernel(jnp.asarray(kernel), 1.5), expected, rtol=1e-5)
    for alike in (jnp.full((30, 20), 0.1), jnp.ones((1, 1)), jnp.zeros((2, 2))):
        np.testing.assert_array_equal(nn.clip_kernel(alike, 2.0), alike)


def test_a_recurrent_model_is_watched_at_every_step():
    class Net(nnx.Module):
        def __init__(self):
            self.rnn = nnx.RNN(nnx.SimpleCell(32, 4, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(carry=0))

        def __call__(self, x):
            return self.rnn(x)

    model = nn.convert(Net(), aimc.presets.ideal())
    seen = nn.watch(model, [DATA.reshape(8, 50, 32)])
    inner = seen["rnn/cell/dense_i"]
    assert int(inner.n_vectors) == 400
    np.testing.assert_allclose(inner.inputs.sum_of_squares, np.sum(np.asarray(DATA) ** 2), rtol=1e-5)


def test_learned_ranges_get_the_gradient_of_the_expected_loss():
    """Against central differences of the mean over 4,000 inputs with common random numbers: rounding makes the loss of
    one input a staircase in the range, the mean over inputs is smooth."""
    x = jax.random.uniform(jax.random.key(1), (4000, 32), minval=-1.0, maxval=1.0)
    layer = nn.AnalogLinear(32, 16, aimc.crossbar(dac_bits=4, adc_bits=4, read_noise=0.02), rngs=nnx.Rngs(0))
    target = jnp.asarray(np.asarray(x, np.float64) @ np.asarray(layer.kernel[...], np.float64), jnp.float32)
    nn.calibrate(layer, [x], inputs="std", outputs="std", deviations=1.5, learn=True)
    graph, ranges, rest = nnx.split(layer, nn.base.Range, ...)

    @jax.jit
    def loss(ranges):
        return jnp.mean((nnx.merge(graph, ranges, rest, copy=True)(x) - target) ** 2)

    gradient = nnx.to_pure_dict(jax.jit(jax.grad(loss))(ranges))
    for name in ("input_range", "output_range"):
        value = float(getattr(layer, name)[...])
        assert value > 0
        shifted = []
        for sign in (1, -1):
            moved = nnx.to_pure_dict(ranges)
            moved[name] = moved[name] * (1 + sign * 0.1)
            state = jax.tree.map(lambda leaf: leaf, ranges)
            nnx.replace_by_pure_dict(state, moved)
            shifted.append(float(loss(state)))
        slope = (shifted[0] - shifted[1]) / (0.2 * value)
        # Straight-through is exact for the clipped share and for rounding errors independent of the input; the rest of
        # the difference is the curvature over the step of ±10 %.
        np.testing.assert_allclose(float(gradient[name]), slope, rtol=0.2, atol=0.02 * abs(slope) + 1e-4)


def test_the_report_agrees_with_the_closed_form():
    rng = np.random.default_rng(0)
    layer = nn.AnalogLinear(
        256, 64, aimc.crossbar(rows=128, write_noise=0.03, read_noise=0.02, dac_bits=6, adc_bits=7), rngs=nnx.Rngs(0)
    )
    x = jnp.asarray(rng.uniform(-1, 1, (2000, 256)), jnp.float32)
    nn.calibrate(layer, [x], inputs="max", outputs="std", deviations=4.0)
    layer.deploy(jax.random.key(2))
    (row,) = nn.report(layer, [x])
    assert (row.tiles, row.n_vectors, row.path) == (2, 2000, "") or row.tiles == 2
    assert row.utilisation == 256 * 64 / (2 * 128 * 256)
    assert row.counts.analog_macs == 2000 * 256 * 64
    # The closed form takes weights and inputs as independent; 64 columns of 256 cells: 3 % of the power, 0.15 dB.
    assert row.predicted_snr_db == pytest.approx(row.snr_db, abs=0.3)
    # 4 root mean squares of a Gaussian: 6.3e-5 of the sums clip, of 256,000 of them 16 ± 4.
    assert row.clipped_inputs == 0.0
    assert 0 < row.clipped_sums < 2e-4
    sliced = nn.AnalogLinear(8, 4, aimc.crossbar(mapping=aimc.Mapping(n_slices=2, slice_bits=4)), rngs=nnx.Rngs(0))
    assert nn.report(sliced, [jnp.ones((1, 8))])[0].predicted_snr_db is None


def test_what_cannot_be_calibrated_is_said():
    for arguments, what in (
        ({"inputs": "mode"}, "inputs must be"),
        ({"inputs": "gaussian"}, "inputs must be"),
        ({"percent": 0.0}, "percent must lie in"),
        ({"inputs": "std", "deviations": 0.0}, "deviations must be above 0"),
    ):
        with pytest.raises(ValueError, match=what):
            nn.calibrate(_layer(), [DATA], **arguments)
    with pytest.raises(ValueError, match="batches must hold"):
        nn.watch(_layer(), [])
    with pytest.raises(ValueError, match="no analog layer to watch"):
        nn.watch(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), [DATA])
