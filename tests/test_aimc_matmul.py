"""Reading and writing an array, against float64 products, closed forms and a slow simulation of every cell."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import aimc
from aimc.devices import Gaussian
from aimc.readout.adc import quantize
from aimc.spec import levels, with_levels

KEY = jax.random.key(7)
N_IN, N_OUT = 20, 4


def _data(n_in: int = N_IN, n_out: int = N_OUT, batch: int = 3, seed: int = 0) -> tuple[jax.Array, jax.Array]:
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(batch, n_in)), rng.normal(size=(n_in, n_out))
    return jnp.asarray(x, jnp.float32), jnp.asarray(w, jnp.float32)


def _plain(**kwargs) -> aimc.CrossbarSpec:
    """Cells with noise but no converters, so that a closed form is exact."""
    return aimc.crossbar(dac_bits=None, adc_bits=None, **kwargs)


def _reads(x, state, n: int, key=KEY) -> np.ndarray:
    read = jax.jit(lambda keys: jax.lax.map(lambda k: aimc.mvm(k, x, state), keys))
    return np.asarray(read(jax.random.split(key, n)), np.float64)


def _cell_by_cell(rng, x, state, coefficients, n: int) -> np.ndarray:
    """Oracle: every conductance of every pair drawn for every vector and read, in float64, nothing drawn at outputs."""
    g_plus, g_minus = (np.asarray(g, np.float64).reshape(-1, N_OUT)[:N_IN] for g in aimc.conductances(state))
    x, scale = np.asarray(x, np.float64), float(state.scale[0, 0])
    variance = [sum(c * g**i for i, c in enumerate(coefficients)) for g in (g_plus, g_minus)]
    out = np.empty((n, x.shape[0], N_OUT))
    for i in range(n):
        for b in range(x.shape[0]):
            plus = g_plus + np.sqrt(variance[0]) * rng.normal(size=g_plus.shape)
            minus = g_minus + np.sqrt(variance[1]) * rng.normal(size=g_minus.shape)
            out[i, b] = scale * (x[b] @ (plus - minus))
    return out


def _z_variance(samples: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """z-score of a sample variance of Gaussian samples: its standard error is variance·√(2/(n−1))."""
    n = samples.shape[0]
    return (samples.var(axis=0, ddof=1) - variance) / (variance * np.sqrt(2 / (n - 1)))


@pytest.mark.parametrize(("n_in", "rows"), [(20, 256), (20, 20), (20, 7), (300, 128)])
def test_without_noise_or_converters_the_product_is_exact(n_in, rows):
    x, w = _data(n_in, 5)
    y = aimc.analog_matmul(KEY, x, w, _plain(rows=rows))
    exact = np.asarray(x, np.float64) @ np.asarray(w, np.float64)
    # Standard bound of a float32 sum of n terms: n eps |x|@|w|, plus one rounding for the scale of each vector.
    bound = (n_in + 3) * 2**-24 * (np.abs(x) @ np.abs(w))
    assert np.all(np.abs(y - exact) <= bound)


def test_zero_inputs_and_zero_weights_give_zero():
    x, w = _data()
    spec = aimc.crossbar(rows=7)
    assert not np.any(aimc.analog_matmul(KEY, jnp.zeros_like(x), w, spec))
    assert not np.any(aimc.analog_matmul(KEY, x, jnp.zeros_like(w), spec))


@pytest.mark.parametrize("rows", [20, 7])
@pytest.mark.parametrize("bits", [4, 8])
def test_converters_err_by_at_most_half_a_step_each(bits, rows):
    x, w = _data()
    y = aimc.analog_matmul(KEY, x, w, aimc.crossbar(rows=rows, dac_bits=bits, adc_bits=bits, adc_range=20.0))
    exact = np.asarray(x, np.float64) @ np.asarray(w, np.float64)
    x_max, w_max = np.abs(x).max(-1, keepdims=True), np.abs(w).max()
    half = (2**bits - 2) / 2
    n_tiles = -(-N_IN // rows)
    bound = x_max / half / 2 * np.abs(w).sum(0) + n_tiles * 20.0 * w_max * x_max / half / 2
    assert np.all(np.abs(y - exact) <= bound * (1 + 1e-5))
    assert np.any(np.abs(y - exact) > 0.05 * bound)  # they do quantise


def test_a_converter_has_its_number_of_codes_and_clips():
    x = jnp.linspace(-2.0, 2.0, 10_001)
    for bits in (2, 3, 8):
        codes = np.unique(np.asarray(quantize(x, levels(bits))))
        assert codes.size == 2**bits - 1
        assert (codes.min(), codes.max()) == (-1.0, 1.0)
        assert 0.0 in codes


@pytest.mark.parametrize(("bits", "clip"), [(4, 2.5), (8, 4.0)])
def test_quantisation_error_of_a_gaussian_has_its_closed_form(bits, clip):
    """MSE = D²/12 (1 − 2Q(A)) + 2[(1 + A²) Q(A) − A φ(A)] for a uniform clipped quantiser of a standard normal."""
    from scipy.stats import norm

    n = 200_000
    x = np.random.default_rng(3).normal(size=n).astype(np.float32)
    error = (np.asarray(quantize(jnp.asarray(x / clip), levels(bits)), np.float64) * clip - x) ** 2
    step, tail = 2 * clip / (2**bits - 2), norm.sf(clip)
    expected = step**2 / 12 * (1 - 2 * tail) + 2 * ((1 + clip**2) * tail - clip * norm.pdf(clip))
    z = (error.mean() - expected) / (error.std() / np.sqrt(n))
    # High-resolution theory itself is off by a fraction of a per cent at 4 bits.
    assert abs(error.mean() / expected - 1) < 0.006 or abs(z) < 4


@pytest.mark.parametrize("coefficients", [(0.02**2,), (0.0, 0.03**2), (1e-4, 2e-4, 0.1**2)])
@pytest.mark.parametrize("rows", [20, 7])
def test_read_noise_agrees_with_every_cell_drawn(coefficients, rows):
    """Mean, variance, correlation across the batch and across outputs; |z| < 4.5 over some 150 comparisons."""
    x, w = _data()
    device = Gaussian(programming_std=(0.05,), read_variance_of_g=coefficients)
    state = aimc.program(KEY, w, _plain(rows=rows, device=device))
    ours, cells = _reads(x, state, 20_000), _cell_by_cell(np.random.default_rng(1), x, state, coefficients, 3_000)
    n_ours, n_cells = ours.shape[0], cells.shape[0]
    mean_z = (ours.mean(0) - cells.mean(0)) / np.sqrt(ours.var(0) / n_ours + cells.var(0) / n_cells)
    log_z = np.log(ours.var(0) / cells.var(0)) / np.sqrt(2 / n_ours + 2 / n_cells)
    assert np.abs(mean_z).max() < 4.5
    assert np.abs(log_z).max() < 4.5
    for samples in (ours, cells):
        flat = samples.reshape(samples.shape[0], -1)
        correlation = np.corrcoef(flat.T)[np.triu_indices(flat.shape[1], 1)]
        assert np.abs(correlation).max() * np.sqrt(flat.shape[0]) < 4.5


def test_read_noise_has_the_variance_of_the_formula():
    """Var y = Σ x² (σ²(G+) + σ²(G−)) scale², evaluated in float64; |z| < 4.5."""
    x, w = _data()
    coefficients = (1e-4, 2e-4, 0.1**2)
    state = aimc.program(KEY, w, _plain(rows=7, device=Gaussian(read_variance_of_g=coefficients)))
    g = np.abs(np.asarray(w, np.float64)) / np.abs(w).max()
    pair = sum(c * g**i for i, c in enumerate(coefficients)) + coefficients[0]
    expected = (np.asarray(x, np.float64) ** 2) @ pair * float(np.abs(w).max()) ** 2
    samples = _reads(x, state, 20_000)
    # The variance is cached in float32 here; in bfloat16 (one tile) the bound below still holds at this sample size.
    assert np.abs(_z_variance(samples, expected)).max() < 4.5
    one_tile = _reads(x, aimc.program(KEY, w, _plain(device=Gaussian(read_variance_of_g=coefficients))), 20_000)
    assert np.abs(_z_variance(one_tile, expected)).max() < 4.5


def test_a_variance_in_bfloat16_is_within_its_rounding():
    """Two factors of 8 significant bits: 2⁻⁷ at most for any one output; under 1e-3 rms at 512 rows."""
    from aimc.matmul import _noise_variance

    x, w = _data(512, 64, batch=64)
    state = aimc.program(KEY, w, _plain(rows=512, device=aimc.devices.neurram()))
    assert state.read_variance.dtype == jnp.bfloat16
    ours = np.asarray(_noise_variance(x, state.read_variance[0], state.spec), np.float64)
    g = [np.asarray(side[0], np.float64) for side in aimc.conductances(state)]
    exact = (np.asarray(x, np.float64) ** 2) @ (0.01**2 * (g[0] ** 2 + g[1] ** 2))
    error = np.abs(ours / exact - 1)
    assert error.max() < 2**-7
    assert np.sqrt(np.mean(error**2)) < 1e-3


def test_output_noise_has_its_variance_per_row_tile():
    x, w = _data()
    samples = _reads(x, aimc.program(KEY, w, _plain(rows=7, output_noise=0.3)), 20_000)
    x_max = np.abs(x).max(-1, keepdims=True)
    expected = 3 * (0.3 * np.abs(w).max() * x_max) ** 2 * np.ones((1, N_OUT))
    assert np.abs(_z_variance(samples, expected)).max() < 4.5


def test_the_device_path_agrees_with_the_output_path():
    x, w = _data()
    device = Gaussian(programming_std=(0.05,), read_variance_of_g=(1e-4, 0.0, 0.1**2))
    output = aimc.program(KEY, w, _plain(rows=7, device=device))
    cells = aimc.program(KEY, w, _plain(rows=7, device=device, read_path="device"))
    a, b = _reads(x, output, 8_000), _reads(x, cells, 8_000)
    assert np.abs((a.mean(0) - b.mean(0)) / np.sqrt((a.var(0) + b.var(0)) / 8_000)).max() < 4.5
    assert np.abs(np.log(a.var(0) / b.var(0)) / np.sqrt(4 / 8_000)).max() < 4.5


def test_reads_that_clip_at_zero_are_biased_as_half_a_gaussian():
    """A cell at zero with noise σ reads σ/√(2π) on average; only the device path can say so."""
    sigma, x = 0.05, jnp.ones((1, N_IN))
    w = jnp.eye(N_IN, N_OUT)  # row j drives column j fully; all other cells are at zero
    state = aimc.program(KEY, w, _plain(read_noise=sigma, read_path="device", clip_reads=True))
    y = _reads(x, state, 4_000)
    # G+ of the driven cell is far from zero; its G− and nothing else differs from the cancelling pairs of zeros.
    expected = 1.0 - sigma / np.sqrt(2 * np.pi)
    assert np.abs((y.mean(0) - expected) / (y.std(0) / np.sqrt(4_000))).max() < 4.5
    with pytest.raises(ValueError, match="read_path='device'"):
        _plain(read_noise=sigma, clip_reads=True)


def test_slow_noise_is_shared_by_the_vectors_of_a_call():
    """Cov(y_b, y_c) = Σ x_b x_c · 2σ² scale² between vectors of one call, 0 between outputs; |z| < 4.5."""
    sigma, n = 0.05, 8_000
    x, w = _data()
    device = Gaussian(slow_std_of_g=(sigma,))
    y = _reads(x, aimc.program(KEY, w, _plain(rows=7, device=device)), n)
    y = y - y.mean(0)
    expected = np.asarray(x @ x.T, np.float64) * 2 * (sigma * np.abs(w).max()) ** 2
    for j in range(N_OUT):
        covariance = y[:, :, j].T @ y[:, :, j] / n
        error = np.sqrt((expected**2 + np.outer(np.diag(expected), np.diag(expected))) / n)
        assert np.abs((covariance - expected) / error).max() < 4.5
    across = np.corrcoef(y[:, 0, :].T)[np.triu_indices(N_OUT, 1)]
    assert np.abs(across).max() * np.sqrt(n) < 4.5


def test_programming_error_is_frozen_and_has_the_devices_spread():
    """Cells well above zero: standard deviation as stated; at zero: mean σ/√(2π) of a clipped Gaussian; |z| < 4.5."""
    w = jnp.where(jnp.arange(300)[:, None] % 2 == 0, 1.0, -0.6) * jnp.ones((300, 50))
    device = Gaussian(programming_std=(0.01, 0.04, -0.02))
    state = aimc.program(KEY, w, _plain(device=device, rows=300))
    plus, minus = aimc.conductances(state)
    for g, sign, target in ((plus, 1, 1.0), (minus, -1, 0.6)):
        on = np.asarray(g[0][np.asarray(jnp.sign(w) == sign)], np.float64)
        std = 0.01 + 0.04 * target - 0.02 * target**2
        assert abs((on.mean() - target) / (std / np.sqrt(on.size))) < 4.5
        assert abs(_z_variance(on, np.asarray(std**2))) < 4.5
        off = np.asarray(g[0][np.asarray(jnp.sign(w) == -sign)], np.float64)
        assert off.min() == 0.0
        assert abs((off.mean() - 0.01 / np.sqrt(2 * np.pi)) / (off.std() / np.sqrt(off.size))) < 4.5
    x, _ = _data(300)
    first, second = (aimc.mvm(key, x, state) for key in jax.random.split(KEY))
    assert np.array_equal(first, second)
    other = aimc.program(jax.random.key(8), w, state.spec)
    assert np.corrcoef(np.ravel(other.g - w), np.ravel(state.g[0] - w))[0, 1] * np.sqrt(w.size) < 4.5


def test_independent_weight_noise_sets_the_signal_to_noise_ratio():
    """SNR = E[w²]/σ_w², whatever the size and the inputs, σ_w² = 2 (σ w_max)²; here to 3 % at 40,000 outputs."""
    rng = np.random.default_rng(5)
    w = jnp.asarray(rng.uniform(-1, 1, (128, 200)), jnp.float32)
    x = jnp.asarray(rng.normal(size=(200, 128)), jnp.float32)
    y = aimc.analog_matmul(KEY, x, w, _plain(read_noise=0.1))
    exact = np.asarray(x, np.float64) @ np.asarray(w, np.float64)
    measured = np.mean(exact**2) / np.mean((y - exact) ** 2)
    assert measured == pytest.approx(float(np.mean(np.square(w)) / (2 * 0.1**2 * np.max(np.abs(w)) ** 2)), rel=0.03)


def test_gradients_pass_straight_through():
    x, w = _data()

    def squared(x, w, spec):
        return jnp.sum(aimc.analog_matmul(KEY, x, w, spec) ** 2)

    exact = jax.grad(lambda x, w: jnp.sum(jnp.matmul(x, w, precision="highest") ** 2), (0, 1))(x, w)
    for spec in (_plain(rows=7), _plain(rows=7, cols=3, backward="array"), _plain(rows=7, read_path="device")):
        for ours, true in zip(jax.grad(squared, (0, 1))(x, w, spec), exact, strict=True):
            np.testing.assert_allclose(ours, true, rtol=2e-5, atol=2e-5)
    # Noise is a constant to the gradient on either path: the input gradient is the exact one, pulled back from what
    # was read.
    error = jnp.asarray(np.random.default_rng(4).normal(size=(x.shape[0], N_OUT)), jnp.float32)
    for path in ("output", "device"):
        state = aimc.program(KEY, w, _plain(rows=7, read_path=path, read_noise=0.5))
        pulled = jax.vjp(lambda x, state=state: aimc.mvm(KEY, x, state), x)[1](error)[0]
        np.testing.assert_allclose(pulled, jnp.matmul(error, w.T, precision="highest"), rtol=2e-5, atol=2e-5)
    # Through converters and noise the derivative is that of the product at what was read: d(y²)/dw = 2 xᵀ y.
    spec = aimc.crossbar(rows=N_IN, adc_range=20.0, dac_bits=None, read_noise=0.05)
    y = aimc.analog_matmul(KEY, x, w, spec)
    np.testing.assert_allclose(jax.grad(squared, 1)(x, w, spec), 2 * x.T @ y, rtol=1e-4, atol=1e-4)


def test_gradients_stop_where_a_converter_clips():
    x, w = jnp.ones((1, N_IN)), jnp.ones((N_IN, N_OUT))
    spec = aimc.crossbar(adc_range=10.0)  # a sum of 20 fully-on cells is beyond 10
    gradient = jax.grad(lambda w: jnp.sum(aimc.analog_matmul(KEY, x, w, spec)))(w)
    assert not np.any(gradient)


@pytest.mark.parametrize("cols", [64, 3])
def test_a_gradient_read_from_the_array_is_noisy_and_unbiased(cols):
    """Mean of 4,000 reads within 4.5 standard errors of the exact gradient; spread as a transposed read predicts."""
    x, w = _data()
    sigma = 0.02
    spec = _plain(rows=7, cols=cols, read_noise=sigma, backward="array")
    state = aimc.program(KEY, w, spec)
    error = jnp.asarray(np.random.default_rng(2).normal(size=(x.shape[0], N_OUT)), jnp.float32)

    def pulled_back(key):
        return jax.vjp(lambda x: aimc.mvm(key, x, state), x)[1](error)[0]

    samples = np.asarray(jax.jit(jax.vmap(pulled_back))(jax.random.split(KEY, 4_000)), np.float64)
    exact = np.asarray(error, np.float64) @ np.asarray(w, np.float64).T
    assert np.abs((samples.mean(0) - exact) / (samples.std(0) / np.sqrt(4_000))).max() < 4.5
    variance = np.sum(np.square(error), -1, keepdims=True) * 2 * (sigma * np.abs(w).max()) ** 2 * np.ones((1, N_IN))
    assert np.abs(_z_variance(samples, variance)).max() < 4.5


def test_noise_and_resolution_sweep_without_recompiling():
    x, w = _data()
    traces = []

    @jax.jit
    def accuracy(key, read_noise, bits):
        traces.append(1)
        spec = with_levels(aimc.crossbar(rows=7), read_noise=read_noise, adc_levels=2.0**bits - 1)
        return jnp.std(aimc.analog_matmul(key, x, w, spec) - x @ w)

    spread = {(s, b): float(accuracy(KEY, s, b)) for s in (0.0, 0.02, 0.1) for b in (3.0, 6.0, 8.0)}
    assert len(traces) == 1
    assert spread[0.1, 8.0] > spread[0.02, 8.0] > spread[0.0, 8.0]
    assert spread[0.0, 3.0] > spread[0.0, 6.0] > spread[0.0, 8.0]


def _primitives(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from _primitives(inner)


def test_no_array_of_outputs_times_inputs_times_batch_exists_and_products_are_exact():
    batch, n_in, n_out = 96, 64, 48
    x, w = jnp.ones((batch, n_in)), jnp.ones((n_in, n_out))
    for rows in (64, 16):
        spec = aimc.crossbar(rows=rows, device=aimc.devices.neurram(), output_noise=0.1)
        jaxpr = jax.make_jaxpr(lambda k, x, w, spec=spec: aimc.analog_matmul(k, x, w, spec))(KEY, x, w).jaxpr
        found = list(_primitives(jaxpr))
        largest = max(v.aval.size for e in found for v in e.outvars if hasattr(v.aval, "size"))
        assert largest <= 2 * max(n_in * n_out, batch * n_in, batch * n_out)  # 2: the two words of a random key
        products = [e for e in found if e.primitive.name == "dot_general"]
        assert len(products) == 2  # the product, and that of the squares with the cells' variance
        highest = (jax.lax.Precision.HIGHEST, jax.lax.Precision.HIGHEST)
        assert [e.params["precision"] for e in products].count(highest) == 1


@pytest.mark.parametrize("device", [aimc.devices.ideal(), aimc.devices.neurram()])
def test_temporary_memory_stays_within_three_times_input_and_output(device):
    n, batch = 512, 64
    spec = aimc.crossbar(rows=n, cols=n, device=device, output_noise=0.1)
    w = jnp.ones((n, n))
    state = jax.jit(aimc.program)(KEY, w, spec)
    compiled = jax.jit(aimc.mvm).lower(KEY, jnp.ones((batch, n)), state).compile()
    assert compiled.memory_analysis().temp_size_in_bytes <= 3 * 2 * batch * n * 4
    assert sum(leaf.nbytes for leaf in jax.tree.leaves(state)) <= 6 * w.nbytes


def test_any_batch_shape_and_vmap_agree():
    x, w = _data(batch=6)
    spec = aimc.crossbar(rows=7)
    flat = aimc.analog_matmul(KEY, x, w, spec)
    assert np.array_equal(aimc.analog_matmul(KEY, x.reshape(2, 3, N_IN), w, spec), flat.reshape(2, 3, N_OUT))
    assert np.array_equal(aimc.analog_matmul(KEY, x[0], w, spec), flat[0])
    assert np.allclose(jax.vmap(lambda v: aimc.analog_matmul(KEY, v, w, spec))(x), flat, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: aimc.crossbar(adc_bits=1), "adc_bits must be a whole number of bits from 2 to 16"),
        (lambda: aimc.crossbar(dac_bits=17), "dac_bits must be a whole number of bits from 2 to 16"),
        (lambda: aimc.crossbar(rows=0), "rows must be a whole number of lines, at least 1, got 0"),
        (lambda: aimc.crossbar(read_noise=-0.1), "read_noise must be a finite number of at least 0, got -0.1"),
        (lambda: aimc.crossbar(write_noise=float("nan")), "write_noise must be a finite number"),
        (lambda: aimc.crossbar(adc_range=0.0), "adc_range must be a finite number above 0"),
        (lambda: aimc.crossbar(read_path="fast"), "read_path must be one of output, device, got 'fast'"),
        (lambda: aimc.crossbar(read_noise=0.1, device=aimc.devices.neurram()), "state them in the device"),
        (lambda: aimc.presets.preset("rram"), "known presets are ideal, pcm_hermes, reram_neurram, capacitor"),
        (lambda: aimc.devices.capacitor(capacitance_f=0.0), "capacitance_f must be positive"),
        (lambda: aimc.crossbar(read_path="device", backward="array"), "with 'device' use backward='exact'"),
        (lambda: aimc.program(KEY, jnp.zeros((0, 3)), aimc.crossbar()), "w must be a matrix"),
        (lambda: aimc.program(KEY, jnp.full((2, 3), jnp.nan), aimc.crossbar()), "w must be finite .* 6 entries"),
        (
            lambda: aimc.mvm(KEY, jnp.ones(258), aimc.program(KEY, jnp.ones((257, 4)), aimc.crossbar())),
            "x has 258 entries a vector, but this array was programmed for 257 inputs",
        ),
        (
            lambda: aimc.mvm(KEY, jnp.ones((2, 9)), aimc.program(KEY, jnp.ones((20, 4)), aimc.crossbar())),
            "x has 9 entries a vector, but this array was programmed for 20 inputs",
        ),
    ],
)
def test_wrong_input_gets_one_sentence(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", list(aimc.presets.PRESETS))
def test_every_preset_reads_close_to_the_product(name):
    """A preset is usable as it stands: correlation with the exact product above 0.9 on Gaussian data."""
    x, w = _data(300, 40, batch=64)
    y = aimc.analog_matmul(KEY, x, w, aimc.presets.preset(name))
    correlation = np.corrcoef(np.ravel(y), np.ravel(x @ w))[0, 1]
    assert correlation > (0.999 if name == "ideal" else 0.9)


def test_hermes_programming_error_has_its_published_size():
    """σ_P = 0.16603 + 4.71806/2 − 8.48101/4 + 4.68961/8 = 0.9911 µS at half scale: 4.788 % of 20.7 µS."""
    w = jnp.where(jnp.arange(40_000).reshape(200, 200) % 2 == 0, 0.5, -0.5).at[0, 0].set(1.0)
    state = aimc.program(KEY, w, replace(aimc.presets.pcm_hermes(), rows=200))
    cells = np.asarray(aimc.conductances(state)[0][0][np.asarray(w) == 0.5], np.float64)
    assert abs(_z_variance(cells, np.asarray((0.99109 / 20.7) ** 2))) < 4.5
