"""Weights in cells: every layout multiplies exactly, and its errors have the closed forms of the layouts."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

import aimc
from aimc import Mapping
from aimc.devices import Gaussian
from aimc.mapping import digit_weights, digits
from aimc.readout import CAM, IntegrateAndFire, UniformADC

KEY = jax.random.key(11)
RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(3, 20)), jnp.float32)
W = jnp.asarray(RNG.normal(size=(20, 5)), jnp.float32)
EXACT = np.asarray(X, np.float64) @ np.asarray(W, np.float64)

ENCODINGS = ("one_sided", "two_sided", "offset_column", "offset_digital", "signed_cell")
LAYOUTS = [
    *(Mapping(encoding, scaling) for encoding in ENCODINGS for scaling in ("tensor", "column")),
    Mapping("one_sided", "column", n_slices=2, slice_bits=12),
    Mapping("two_sided", n_slices=2, residual=True),
    Mapping("offset_column", n_slices=2, slice_bits=12),
    Mapping("offset_column", "column", n_slices=2, residual=True),
    Mapping("offset_digital", "column", n_slices=2, residual=True),
]


def _plain(**kwargs) -> aimc.CrossbarSpec:
    return aimc.crossbar(**({"dac_bits": None, "adc_bits": None} | kwargs))


def _reads(x, state, n, key=KEY):
    return np.asarray(jax.jit(lambda ks: jax.lax.map(lambda k: aimc.mvm(k, x, state), ks))(jax.random.split(key, n)))


@pytest.mark.parametrize("mapping", LAYOUTS, ids=str)
def test_without_noise_every_layout_multiplies(mapping):
    """To float32 rounding of sums of up to 20 fully-on cells (slices of 12 bits each round at 2⁻²⁴)."""
    device = aimc.devices.Device(g_min=0.1)
    for rows in (20, 7):
        y = aimc.analog_matmul(KEY, X, W, _plain(rows=rows, cols=3, mapping=mapping, device=device))
        np.testing.assert_allclose(y, EXACT, atol=4e-5)
    gradient = jax.grad(lambda w: jnp.sum(aimc.analog_matmul(KEY, X, w, _plain(rows=7, mapping=mapping))))(W)
    np.testing.assert_allclose(gradient, jnp.broadcast_to(X.sum(0)[:, None], W.shape), rtol=1e-4, atol=1e-5)


def test_bits_in_series_pass_the_gradient_to_the_inputs():
    state = aimc.program(KEY, W, _plain(rows=7, dac_bits=6, input_encoding="bit_serial"))
    gradient = jax.grad(lambda x: jnp.sum(aimc.mvm(KEY, x, state)))(X)
    np.testing.assert_allclose(gradient, jnp.broadcast_to(W.sum(1), X.shape), rtol=1e-5, atol=1e-5)


def _spread_of_w(mapping: Mapping, device: Gaussian, w: np.ndarray) -> np.ndarray:
    """Weights that two hundred chips hold, less what was meant; (chips, n_in, n_out)."""
    spec = _plain(rows=w.shape[0], cols=w.shape[1], mapping=mapping, device=device)
    eye = jnp.eye(w.shape[0])

    def held(key):
        return aimc.mvm(key, eye, aimc.program(key, jnp.asarray(w), spec))

    keys = jax.random.split(KEY, 200)
    return np.asarray(jax.jit(lambda ks: jax.lax.map(held, ks))(keys), np.float64) - w


@pytest.mark.parametrize(
    ("mapping", "law", "expected"),
    [
        (Mapping("two_sided"), "constant", lambda a, w: 2 * a**2),
        (Mapping("offset_digital"), "constant", lambda a, w: 4 * a**2),
        (Mapping("signed_cell"), "constant", lambda a, w: 4 * a**2),
        (Mapping("offset_column"), "constant", lambda a, w: 8 * a**2),
        (Mapping("one_sided"), "proportional", lambda a, w: a**2 * w**2),
        (Mapping("offset_digital"), "proportional", lambda a, w: a**2 * (1 + w) ** 2),
        (Mapping("two_sided"), "proportional", lambda a, w: a**2 * (1 + w**2) / 2),
    ],
)
def test_a_layouts_write_error_has_its_closed_form(mapping, law, expected):
    """Variance of a weight in [−1, 1] for a cell error of a (constant) or a G (proportional); |z| < 4.5 on average.

    Differential constant 2a², offset 4a² (Xiao et al. 2022 in one line each); a dummy column as noisy as the rest
    doubles it. Proportional: a² w² for a pair, a² (1 + w)² with an offset, on average over signs a² (1 + w²); two-sided
    pairs drive each cell at (1 ± w)/2: a² (1 + w²)/2. Cells stay away from zero, where a
    conductance would clip: one-sided pairs are exactly there, so only their proportional law is testable this way.
    """
    w = np.random.default_rng(6).uniform(-0.8, 0.8, (30, 20)).astype(np.float32)
    w[0, 0] = 1.0
    a = 0.01
    device = Gaussian(programming_std=(a,) if law == "constant" else (0.0, a))
    error = _spread_of_w(mapping, device, w)
    z_mean = error.mean() / (error.std() / np.sqrt(error.size / (20 if "column" in mapping.encoding else 1)))
    assert abs(z_mean) < 4.5
    ratio = (error**2).mean(0) / expected(a, w.astype(np.float64))
    # Columns share their dummy cells, so only rows count as independent there.
    n = 200 * w.size / (20 if "column" in mapping.encoding else 1)
    assert abs(ratio.mean() - 1) < 4.5 * np.sqrt(2 / n)


def test_a_dummy_column_correlates_the_columns_of_its_tile_and_no_others():
    """Half of the write error's variance is the dummy's: correlation 1/2 within a block of 5 columns, 0 beyond."""
    w = np.random.default_rng(7).uniform(-0.8, 0.8, (30, 10)).astype(np.float32)
    spec = _plain(rows=30, cols=5, mapping=Mapping("offset_column"), device=Gaussian(programming_std=(0.01,)))
    eye = jnp.eye(30)
    keys = jax.random.split(KEY, 300)
    held = jax.jit(lambda ks: jax.lax.map(lambda k: aimc.mvm(k, eye, aimc.program(k, jnp.asarray(w), spec)), ks))(keys)
    error = np.asarray(held, np.float64).reshape(-1, 10) - np.tile(w, (300, 1))
    found = np.corrcoef(error.T)
    same = np.kron(np.eye(2), np.ones((5, 5)))
    expected = np.where(same == 1, 0.5, 0.0)
    z = (found - expected)[np.triu_indices(10, 1)] * np.sqrt(error.shape[0])
    assert np.abs(z).max() < 4.5


@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_digits_add_up_to_the_rounded_weight(n_slices, bits, seed):
    if n_slices == 1 and bits == 1:
        return
    mapping = Mapping(n_slices=n_slices, slice_bits=bits)
    w = np.random.default_rng(seed).uniform(-1, 1, 50).astype(np.float32)
    top = 2 ** (bits * n_slices) - 1
    parts = [np.asarray(p, np.float64) for p in digits(jnp.asarray(w), mapping)]
    assert all(np.isin(np.round(np.abs(p) * (2**bits - 1), 4), np.arange(2**bits)).all() for p in parts)
    total = sum(f * p for f, p in zip(digit_weights(mapping), parts, strict=True))
    assert np.abs(total - w).max() <= 0.5 / top + 1e-6


def test_slices_of_equal_quality_do_not_reduce_the_write_error_and_remainders_do():
    """Digits: variance 2a² Σ f². Remainders: deviation falls by the factor 4a or so a slice (Song et al. 2024)."""
    w = np.random.default_rng(8).uniform(-0.9, 0.9, (40, 30)).astype(np.float32)
    w[0, 0] = 1.0
    a = 0.01
    device = Gaussian(programming_std=(a,))
    mapping = Mapping("two_sided", n_slices=3, slice_bits=4)
    rounding = np.mean((np.round(w * 4095) / 4095 - w) ** 2)
    variance = np.mean(_spread_of_w(mapping, device, w) ** 2)
    law = 2 * a**2 * sum(f**2 for f in digit_weights(mapping)) + rounding
    assert abs(variance / law - 1) < 4.5 * np.sqrt(2 / (200 * w.size))
    sigma = [np.std(_spread_of_w(Mapping("two_sided"), device, w))]
    for n_slices in (2, 3):
        sigma.append(np.std(_spread_of_w(Mapping("two_sided", n_slices=n_slices, residual=True), device, w)))
    sigma = np.array(sigma)
    assert sigma[0] == pytest.approx(a * np.sqrt(2), rel=0.02)
    # The scale of a remainder is its largest of 1,200 entries: c standard deviations, c between 3 and 4.5.
    c = sigma[1:] / sigma[:-1] / sigma[0]
    assert np.all((c > 3.0) & (c < 4.5))


@pytest.mark.parametrize("encoding", ["amplitude", "pulse_width", "bit_serial"])
@pytest.mark.parametrize(
    "mapping",
    [
        Mapping(),
        Mapping("two_sided"),
        Mapping("offset_column"),
        Mapping("offset_digital"),
        Mapping("signed_cell"),
        Mapping(n_slices=2, slice_bits=3),
        Mapping("offset_column", "column", n_slices=2, residual=True),
    ],
    ids=str,
)
def test_noise_drawn_at_the_outputs_agrees_with_every_cell_drawn(mapping, encoding):
    """Means, variances and the correlations between outputs and between vectors, against float64 cell by cell.

    |z| < 5 over a few hundred comparisons a case. The oracle takes the conductances of a programmed array and draws
    each of its cells afresh for every vector and read (for pulses: white noise collected for as long as they last).
    """
    coefficients = (1e-4, 2e-4, 0.1**2)
    device = Gaussian(programming_std=(0.05,), read_variance_of_g=coefficients, g_min=0.1)
    common = {"rows": 7, "cols": 3, "dac_bits": 4 if encoding == "bit_serial" else None, "input_encoding": encoding}
    spec = _plain(mapping=mapping, device=device, output_noise=0.05, **common)
    state = aimc.program(KEY, W, spec)
    n = 6_000
    fast = _reads(X, state, n)
    slow = _oracle(np.random.default_rng(1), np.asarray(X, np.float64), state, coefficients, n)
    mean_z = (fast.mean(0) - slow.mean(0)) / np.sqrt((fast.var(0) + slow.var(0)) / n)
    log_z = np.log(fast.var(0) / slow.var(0)) / np.sqrt(4 / n)
    flat = [y.reshape(n, -1) for y in (fast, slow)]
    upper = np.triu_indices(flat[0].shape[1], 1)
    correlation = [np.corrcoef(y.T)[upper] for y in flat]
    assert np.abs(mean_z).max() < 5
    assert np.abs(log_z).max() < 5
    assert np.abs(correlation[0] - correlation[1]).max() / np.sqrt(2 / n) < 5
    if mapping.encoding == "offset_column":
        assert np.abs(correlation[1]).max() > 0.1  # there is something to agree on
    paths = aimc.program(
        KEY, W, _plain(mapping=mapping, device=device, output_noise=0.05, read_path="device", **common)
    )
    cells = _reads(X, paths, 1_500)
    assert np.abs((cells.mean(0) - slow.mean(0)) / np.sqrt(cells.var(0) / 1_500 + slow.var(0) / n)).max() < 5
    assert np.abs(np.log(cells.var(0) / slow.var(0)) / np.sqrt(2 / 1_500 + 2 / n)).max() < 5


def _oracle(rng, x, state, coefficients, n):
    """Reads in float64, every cell drawn: nothing of the library but the programmed conductances and scales."""
    spec, mapping = state.spec, state.spec.mapping
    g = [np.asarray(side, np.float64) for side in aimc.conductances(state)]
    n_tiles, n_row, n_column = g[0].shape
    n_slices, n_out = mapping.n_slices, n_column // mapping.n_slices
    scale = np.broadcast_to(np.asarray(state.scale, np.float64), (n_slices, n_out)).reshape(-1)
    std = [np.sqrt(sum(c * side**i for i, c in enumerate(coefficients))) for side in g]
    x_max = np.abs(x).max(-1, keepdims=True)
    u = np.pad(x / x_max, ((0, 0), (0, n_tiles * n_row - x.shape[1])))
    if spec.inputs.encoding == "bit_serial":
        top = 2 ** (spec.inputs.bits - 1) - 1
        code = np.round(np.abs(u) * top).astype(int)
        shifts = range(spec.inputs.bits - 2, -1, -1)
        planes = [(2**s / top, np.sign(u) * ((code >> s) & 1)) for s in shifts]
    else:
        planes = [(1.0, u)]
    y = np.zeros((n, x.shape[0], n_out))
    middle = 0.5 * (1 + spec.device.g_min) if mapping.encoding in ("offset_digital", "signed_cell") else 0.0
    for (weight, plane), tile in itertools.product(planes, range(n_tiles)):
        lines = plane[:, tile * n_row : (tile + 1) * n_row]
        felt = np.sqrt(np.abs(lines)) if spec.inputs.encoding == "pulse_width" else lines
        sums = []
        for side, deviation in zip(g, std, strict=True):
            noise = rng.normal(size=(n, *lines.shape, side.shape[-1])) * deviation[tile]
            sums.append(lines @ side[tile] + np.einsum("br,nbrc->nbc", felt, noise))
        total = sums[0]
        if len(sums) == 2 and mapping.encoding != "offset_column":
            total = total - sums[1]
        elif len(sums) == 2:
            blocks = sums[1].shape[-1] // n_slices
            for column in range(n_column):
                s, j = divmod(column, n_out)
                total[..., column] -= sums[1][..., s * blocks + j // spec.cols]
        total = total + 0.05 * rng.normal(size=total.shape) - middle * lines.sum(-1)[:, None]
        y += weight * (scale * total).reshape(n, x.shape[0], n_slices, n_out).sum(2)
    return y * x_max


def test_bit_planes_collect_less_read_noise_than_one_shot():
    """(4^B − 1)/3 against (2^B − 1)² for B planes driven fully: 0.336 at B = 8 (physics of shift and add)."""
    x, w = jnp.ones((1, 20)), jnp.ones((20, 400)) * 0.5
    spread = {}
    for encoding in ("amplitude", "bit_serial"):
        spec = _plain(rows=20, dac_bits=9, input_encoding=encoding, read_noise=0.05)
        spread[encoding] = _reads(x, aimc.program(KEY, w, spec), 200).var()
    ratio = spread["bit_serial"] / spread["amplitude"]
    expected = (4**8 - 1) / 3 / (2**8 - 1) ** 2
    assert abs(np.log(ratio / expected)) < 4.5 * np.sqrt(4 / (200 * 400))


def test_pulses_collect_noise_for_as_long_as_they_last():
    """Var = |x| σ² against x² σ² for a voltage, at x = 1/4; |z| < 4.5."""
    x, w = jnp.full((1, 20), 0.25), jnp.ones((20, 400)) * 0.5
    for encoding, weight in (("amplitude", 0.25**2), ("pulse_width", 0.25)):
        spec = _plain(rows=20, input_encoding=encoding, input_range=1.0, read_noise=0.05)
        y = _reads(x, aimc.program(KEY, w, spec), 200)
        z = np.log(y.var() / (weight * 20 * 2 * 0.05**2 * 0.5**2)) / np.sqrt(2 / y.size)
        assert abs(z) < 4.5


@pytest.mark.parametrize("encoding", ["amplitude", "pulse_width"])
def test_input_noise_is_common_to_all_columns(encoding):
    """Cov(y_i, y_j) = σ² Σ w_i w_j over rows (rows without a pulse have no jitter); |z| < 4.5."""
    x = X.at[:, ::3].set(0.0)
    spec = _plain(rows=20, input_encoding=encoding, input_noise=0.02, input_range=5.0)
    n = 20_000
    y = _reads(x, aimc.program(KEY, W, spec), n)[:, 0, :]
    w = np.asarray(W, np.float64) * (np.asarray(x[0] != 0)[:, None] if encoding == "pulse_width" else 1.0)
    expected = (5.0 * 0.02) ** 2 * w.T @ w
    found = np.cov(y.T)
    error = np.sqrt((expected**2 + np.outer(np.diag(expected), np.diag(expected))) / n)
    assert np.abs((found - expected) / error).max() < 4.5


def test_signal_to_noise_adds_up():
    """1/SNR = σ_w²/E[w²] + σ_in²/E[x²] + (σ_out² + MSE_adc)/(N E[w²] E[x²]) with all four terms on, to 3 %."""
    from scipy.stats import norm

    n, n_out, batch, sigma_w, sigma_in, sigma_out, bits = 256, 400, 300, 0.03, 0.02, 0.3, 6
    rng = np.random.default_rng(2)
    w, x = rng.uniform(-1, 1, (n, n_out)).astype(np.float32), rng.uniform(-1, 1, (batch, n)).astype(np.float32)
    w[0, 0] = 1.0
    power = n * np.mean(w**2) * np.mean(x**2)
    full_scale = float(3.3 * np.sqrt(power + sigma_out**2))
    spec = _plain(rows=n, cols=n_out, input_range=1.0, input_noise=sigma_in, read_noise=float(sigma_w / np.sqrt(2)),
                  adc_bits=bits, adc_range=full_scale, output_noise=sigma_out)  # fmt: skip
    y = np.asarray(aimc.analog_matmul(KEY, jnp.asarray(x), jnp.asarray(w), spec), np.float64)
    step, tail, clip = 2 * 3.3 / (2**bits - 2), norm.sf(3.3), 3.3
    mse = (step**2 / 12 * (1 - 2 * tail) + 2 * ((1 + clip**2) * tail - clip * norm.pdf(clip))) * (full_scale / 3.3) ** 2
    exact = x.astype(np.float64) @ w
    measured = np.mean((y - exact) ** 2) / np.mean(exact**2)
    cross = sigma_w**2 * sigma_in**2 / (np.mean(w**2) * np.mean(x**2))
    law = sigma_w**2 / np.mean(w**2) + sigma_in**2 / np.mean(x**2) + cross + (sigma_out**2 + mse) / power
    assert measured == pytest.approx(law, rel=0.03)


def test_a_lossless_converter_needs_the_bits_of_the_formula():
    """b_in + b_w + log2 N − 1 signed bits (all included) hold every sum of N products; one bit fewer clips or rounds.

    One-bit-serial inputs and digits keep every product an integer, so that lossless means equal.
    """
    n, b_in, b_w = 64, 3, 3
    top_x, top_w = 2 ** (b_in - 1) - 1, 2 ** (b_w - 1) - 1
    rng = np.random.default_rng(4)
    x = rng.integers(-top_x, top_x + 1, (50, n)).astype(np.float32)
    w = rng.integers(-top_w, top_w + 1, (n, 30)).astype(np.float32)
    x[0], w[:, 0], w[0, 0] = top_x, top_w, top_w
    w[:, 0], x[:, 0] = top_w, top_x
    exact = x.astype(np.int64) @ w.astype(np.int64)
    bits = b_in + b_w + int(np.log2(n)) - 1
    half = 2 ** (bits - 1) - 1
    spec = _plain(rows=n, dac_bits=b_in, input_range=float(top_x), adc_bits=bits, adc_range=half / (top_x * top_w))
    y = aimc.analog_matmul(KEY, jnp.asarray(x), jnp.asarray(w), spec)
    assert np.array_equal(np.round(np.asarray(y)), exact)
    fewer = _plain(rows=n, dac_bits=b_in, input_range=float(top_x), adc_bits=bits - 2,
                   adc_range=half / (top_x * top_w))  # fmt: skip
    lossy = aimc.analog_matmul(KEY, jnp.asarray(x), jnp.asarray(w), fewer)
    assert not np.array_equal(np.round(np.asarray(lossy)), exact)


def test_zero_conductance_and_one_row_arrays_work_in_every_layout():
    for mapping in LAYOUTS:
        spec = _plain(rows=1, cols=1, mapping=mapping)
        y = aimc.analog_matmul(KEY, X[:, :3], W[:3], spec)
        np.testing.assert_allclose(y, np.asarray(X[:, :3], np.float64) @ np.asarray(W[:3], np.float64), atol=4e-5)
        assert not np.any(np.asarray(aimc.analog_matmul(KEY, jnp.zeros_like(X), W, _plain(rows=7, mapping=mapping))))
        zero = aimc.analog_matmul(KEY, X, jnp.zeros_like(W), _plain(rows=7, mapping=mapping))
        assert np.abs(np.asarray(zero)).max() < 1e-5


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: _plain(mapping=Mapping("signed")), "mapping.encoding must be one of one_sided"),
        (lambda: _plain(mapping=Mapping(scaling="row")), "mapping.scaling must be one of tensor, column"),
        (lambda: _plain(mapping=Mapping(n_slices=0)), "mapping.n_slices must be a whole number from 1 to 16"),
        (lambda: _plain(mapping=Mapping(n_slices=2)), "needs mapping.slice_bits, or mapping.residual=True"),
        (lambda: _plain(mapping=Mapping(n_slices=4, slice_bits=7)), "at most 24 over all slices"),
        (lambda: _plain(mapping=Mapping(n_slices=2, slice_bits=2, residual=True)), "mapping.slice_bits must be None"),
        (lambda: _plain(mapping=Mapping(residual=True)), "mapping.residual=True needs mapping.n_slices"),
        (lambda: _plain(input_encoding="pulses"), "inputs.encoding must be one of amplitude, pulse_width, bit_serial"),
        (lambda: _plain(input_encoding="bit_serial"), "dac_bits must be a number of bits"),
        (
            lambda: aimc.crossbar(input_encoding="bit_serial", input_noise=0.1),
            "inputs.encoding='bit_serial' .* no inputs.noise",
        ),
        (
            lambda: _plain(mapping=Mapping(n_slices=2, slice_bits=2), backward="array"),
            "backward='array' .* mapping.n_slices=2",
        ),
        (
            lambda: _plain(mapping=Mapping("offset_column"), backward="array"),
            "backward='array' .* mapping.encoding='offset_column'",
        ),
        (
            lambda: aimc.crossbar(input_encoding="pulse_width", read_path="device", clip_reads=True),
            "clip_reads=True .* inputs.encoding='pulse_width'",
        ),
        (
            lambda: _plain(read_path="device", clip_reads=True, mapping=Mapping("signed_cell")),
            "clip_reads=True .* mapping.encoding='signed_cell'",
        ),
        (
            lambda: aimc.crossbar(input_encoding="bit_serial", readout=IntegrateAndFire(start="carried")),
            "readout.start='carried' .* inputs.encoding='bit_serial'",
        ),
        (lambda: aimc.Inputs(encoding="bit_serial", bits=1), "inputs.bits must be a whole number of bits from 2 to 16"),
        (
            lambda: aimc.crossbar(backward="array", readout=UniformADC(full_scale=jnp.ones(5))),
            "backward='array' .* a readout with levels of its own for every column",
        ),
        (
            lambda: aimc.crossbar(readout=CAM(function=jnp.tanh)),
            "readout=CAM gives a function .* inputs.range=None",
        ),
        (
            lambda: aimc.AnalogLinear(
                4, 3, aimc.crossbar(readout=CAM(function=jnp.tanh), input_range=1.0), rngs=nnx.Rngs(0)
            ),
            "readout=CAM gives a function of the sum, .* use_bias=False",
        ),
        (lambda: aimc.crossbar(readout=aimc.Readout(), adc_bits=6), "adc_bits, adc_range and output_noise describe"),
    ],
)
def test_what_cannot_be_combined_raises_when_it_is_built(build, message):
    with pytest.raises(ValueError, match=message) as caught:
        build()
    assert "\n" not in str(caught.value)
