"""Arrays with wires: what a read multiplies by, its gradient and its noise, against nodal circuits in float64."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from crossbar_oracle import error, sinh_cells, transfer
from flax import nnx

import aimc
from aimc import Mapping, Wiring
from aimc.devices import Device, Gaussian

KEY = jax.random.key(3)
RNG = np.random.default_rng(2)
X = jnp.asarray(RNG.normal(size=(3, 10)), jnp.float32)
W = jnp.asarray(RNG.normal(size=(10, 5)), jnp.float32)
OHM = {"r_row": 40.0, "r_col": 60.0, "r_drv": 100.0, "r_sense": 30.0}
MAPPINGS = [
    Mapping(),
    Mapping("two_sided", "column"),
    Mapping("offset_column"),
    Mapping("offset_digital"),
    Mapping("offset_column", n_slices=2, residual=True),
    Mapping(n_slices=2, slice_bits=4),
]


def _plain(**kwargs) -> aimc.CrossbarSpec:
    return aimc.crossbar(**({"dac_bits": None, "adc_bits": None, "rows": 10, "cols": 5} | kwargs))


def _effective(state: aimc.State, drive: str = "left") -> np.ndarray:
    """What a read multiplies by, circuit by circuit from Kirchhoff's laws: (n_tiles, n_row, n_column), fully-on cells.

    Shares nothing with the library but the conductances of its cells.
    """
    spec, mapping, g_max = state.spec, state.spec.mapping, float(state.spec.device.g_max)
    sides = [np.asarray(side, np.float64) * g_max for side in aimc.conductances(state)]
    n_tiles, n_row, n_column = sides[0].shape
    n_out = n_column // mapping.n_slices
    h = np.zeros((n_tiles, n_row, n_column))
    for tile, s in itertools.product(range(n_tiles), range(mapping.n_slices)):
        for b, start in enumerate(range(0, n_out, spec.cols)):
            at = slice(s * n_out + start, s * n_out + min(start + spec.cols, n_out))
            # Blocks are of one width; the cells that a narrower last one lacks are open.
            used, width = at.stop - at.start, min(spec.cols, n_out)
            own = np.pad(sides[0][tile][:, at], ((0, 0), (0, width - used)))
            if len(sides) == 1:
                h[tile][:, at] = transfer(own, drive=drive, **OHM)[:, :used]
            elif mapping.encoding == "offset_column":
                n_block = -(-n_out // spec.cols)
                dummy = sides[1][tile][:, s * n_block + b]
                found = transfer(np.column_stack([own, dummy]), drive=drive, **OHM)
                h[tile][:, at] = found[:, :used] - found[:, -1:]
            elif spec.wiring.layout == "separate":
                other = np.pad(sides[1][tile][:, at], ((0, 0), (0, width - used)))
                found = transfer(own, drive=drive, **OHM) - transfer(other, drive=drive, **OHM)
                h[tile][:, at] = found[:, :used]
            else:
                other = np.pad(sides[1][tile][:, at], ((0, 0), (0, width - used)))
                rows = np.stack([own, other], axis=1).reshape(2 * n_row, -1)
                found = transfer(rows, drive=drive, **OHM)
                h[tile][:, at] = (found[0::2] - found[1::2])[:, :used]
    return h / g_max


@pytest.mark.parametrize("mapping", MAPPINGS, ids=str)
@pytest.mark.parametrize(("layout", "drive"), [("interleaved", "left"), ("separate", "left"), ("interleaved", "both")])
def test_a_read_multiplies_by_the_circuit(mapping, layout, drive):
    """To 5e-6 of the largest entry, on partial tiles too, with cells that err and stick."""
    device = Gaussian(programming_std=(0.02,), g_min=0.05)
    faults = aimc.Faults(stuck_off=0.05, stuck_on=0.05)
    for rows, cols in ((10, 5), (4, 3)):
        wiring = Wiring(**OHM, layout=layout, drive=drive)
        spec = _plain(rows=rows, cols=cols, mapping=mapping, device=device, faults=faults, wiring=wiring)
        state = aimc.program(KEY, W, spec)
        true = _effective(state, drive)
        assert error(state.g, true) < 5e-6
        bare = aimc.program(KEY, W, _plain(rows=rows, cols=cols, mapping=mapping, device=device, faults=faults))
        if rows == 10:
            assert error(bare.g, true) > 0.01  # the wires matter


def test_the_device_path_solves_the_same_circuit_input_by_input():
    for mapping in (Mapping(), Mapping("offset_column"), Mapping("offset_digital")):
        reads = [
            aimc.analog_matmul(KEY, X, W, _plain(rows=4, cols=3, mapping=mapping, wiring=Wiring(**OHM), read_path=path))
            for path in ("output", "device")
        ]
        np.testing.assert_allclose(reads[0], reads[1], atol=2e-5)


def test_nonlinear_cells_are_solved_for_every_input():
    """sinh cells against a Newton solution of the node voltages in float64, to 1e-5 of the largest output."""
    wiring = Wiring(**OHM, law="sinh", v0=0.2, v_read=0.3, layout="separate")
    spec = _plain(wiring=wiring, read_path="device", input_range=3.0)
    state = aimc.program(KEY, W, spec)
    y = np.asarray(aimc.mvm(KEY, X, state), np.float64)
    g_max = float(spec.device.g_max)
    sides = [np.asarray(side[0], np.float64) * g_max for side in aimc.conductances(state)]
    scale = float(state.scale[0, 0])
    for x, found in zip(np.asarray(X, np.float64), y, strict=True):
        v = 0.3 * np.clip(x / 3.0, -10, 10)
        true = sinh_cells(v, sides[0], 0.2, **OHM) - sinh_cells(v, sides[1], 0.2, **OHM)
        assert np.abs(found - true / (g_max * 0.3) * 3.0 * scale).max() < 1e-5 * np.abs(y).max()


@pytest.mark.parametrize("mapping", [Mapping(), Mapping("offset_column")], ids=str)
def test_gradients_pass_through_the_fold(mapping):
    """dL/dw of a fixed linear loss against central differences of the nodal circuit in float64, to 1e-4."""
    device = Device(g_min=0.1)
    spec = _plain(mapping=mapping, wiring=Wiring(**OHM), device=device)
    w = W.at[0, 0].set(4.0)  # the largest weight sets the scale, and is left alone
    cotangent = np.random.default_rng(0).normal(size=(10, 5))

    def loss(w):
        state = aimc.program(KEY, w, spec)
        return jnp.sum(state.g[0] * cotangent) * state.scale[0, 0]

    gradient = np.asarray(jax.grad(loss)(w), np.float64)
    g_max, largest = 25e-6, 4.0

    def exact(w):
        u = w / largest
        if mapping.encoding == "one_sided":
            sides = [0.1 + 0.9 * np.maximum(u, 0), 0.1 + 0.9 * np.maximum(-u, 0)]
            rows = np.stack(sides, axis=1).reshape(20, 5)
            h = transfer(rows * g_max, **OHM)
            h, contrast = h[0::2] - h[1::2], 0.9
        else:
            cells = np.column_stack([0.55 + 0.45 * u, np.full(10, 0.55)])
            h = transfer(cells * g_max, **OHM)
            h, contrast = h[:, :-1] - h[:, -1:], 0.45
        return np.sum(h / g_max * cotangent) * largest / contrast

    true = np.asarray(w, np.float64)
    for i, j in ((1, 1), (3, 4), (9, 0), (5, 2)):
        step = np.zeros((10, 5))
        step[i, j] = 1e-4
        slope = (exact(true + step) - exact(true - step)) / 2e-4
        assert gradient[i, j] == pytest.approx(slope, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("noise", ["exact", "reference", "diagonal"])
def test_read_noise_through_wires_has_the_variance_of_cells_drawn_one_by_one(noise):
    """Against circuits whose every cell is drawn, solved in float64; |z| < 5 for the exact law.

    The two folds are approximations: for these inputs within 10 and 30 % of the variance.
    """
    sigma = 0.02
    device = Gaussian(read_variance_of_g=(sigma**2,), g_min=0.2)
    state = aimc.program(KEY, W, _plain(wiring=Wiring(**OHM, noise=noise), device=device))
    read = jax.jit(lambda keys: jax.lax.map(lambda k: aimc.mvm(k, X, state), keys))
    ours = np.asarray(read(jax.random.split(KEY, 8_000)), np.float64)
    rng, g_max = np.random.default_rng(5), 25e-6
    sides = [np.asarray(side[0], np.float64) for side in aimc.conductances(state)]
    x = np.asarray(X, np.float64)
    x_max, scale = np.abs(x).max(-1, keepdims=True), float(state.scale[0, 0])
    drawn = []
    for _ in range(1_500):
        seen = [side + sigma * rng.normal(size=side.shape) for side in sides]
        h = transfer(np.stack(seen, axis=1).reshape(20, 5) * g_max, **OHM) / g_max
        drawn.append(x @ (h[0::2] - h[1::2]) * scale)
    drawn = np.array(drawn)
    ratio = ours.var(0) / drawn.var(0)
    if noise == "exact":
        assert np.abs(np.log(ratio) / np.sqrt(2 / 8_000 + 2 / 1_500)).max() < 5
        assert np.abs((ours.mean(0) - drawn.mean(0)) / np.sqrt(ours.var(0) / 8_000 + drawn.var(0) / 1_500)).max() < 5
    else:
        assert np.sqrt(np.mean((ratio - 1) ** 2)) < (0.1 if noise == "reference" else 0.3)
    assert x_max.shape == (3, 1)


def test_a_dummy_columns_noise_is_shared_through_wires_too():
    device = Gaussian(read_variance_of_g=(0.02**2,), g_min=0.2)
    spec = _plain(wiring=Wiring(**OHM), device=device, mapping=Mapping("offset_column"))
    state = aimc.program(KEY, W, spec)
    read = jax.jit(lambda keys: jax.lax.map(lambda k: aimc.mvm(k, X[:1], state), keys))
    y = np.asarray(read(jax.random.split(KEY, 4_000)), np.float64)[:, 0]
    found = np.corrcoef(y.T)[np.triu_indices(5, 1)]
    assert np.all((found > 0.3) & (found < 0.7))


def test_an_array_without_conductance_or_resistance_reads_as_it_should():
    zero = aimc.analog_matmul(KEY, X, jnp.zeros_like(W), _plain(wiring=Wiring(**OHM)))
    assert not np.any(np.asarray(zero))
    none = Wiring(r_row=0.0, r_col=0.0)
    np.testing.assert_allclose(aimc.analog_matmul(KEY, X, W, _plain(wiring=none)), X @ W, atol=2e-5)
    gradient = jax.grad(lambda w: jnp.sum(aimc.analog_matmul(KEY, X, w, _plain(wiring=Wiring(**OHM)))))
    assert np.all(np.isfinite(gradient(jnp.zeros_like(W))))


def test_ageing_solves_the_circuit_again():
    state = aimc.program(KEY, W, _plain(wiring=Wiring(**OHM), device=aimc.devices.pcm()))
    day = aimc.age(KEY, state, 86_400.0)
    assert error(day.g, _effective(day)) < 5e-6
    assert error(day.g, np.asarray(state.g, np.float64)) > 0.05


def test_a_layer_trains_through_wires_and_solves_them_every_kth_call():
    x = jax.random.normal(jax.random.key(0), (8, 10))
    target = x @ jnp.ones((10, 5))
    for k in (1, 3):
        spec = aimc.crossbar(rows=10, cols=5, read_noise=0.005, wiring=Wiring(**OHM, refold_every=k), input_range=3.0)
        layer = aimc.AnalogLinear(10, 5, spec, rngs=nnx.Rngs(0))

        @nnx.jit
        def step(layer):
            loss, gradient = nnx.value_and_grad(lambda layer: jnp.mean((layer(x) - target) ** 2))(layer)
            layer.kernel[...] = layer.kernel[...] - 0.05 * gradient["kernel"][...]
            return loss

        losses = [float(step(layer)) for _ in range(120)]
        assert losses[-1] < 0.05 * losses[0]
        if k == 3:
            assert int(layer.carried.get_value()[0]) == 120
    # Between two solutions the change that the wires made is carried over as it was.
    layer = aimc.AnalogLinear(10, 5, _plain(wiring=Wiring(**OHM, refold_every=2)), rngs=nnx.Rngs(0))
    first = layer(x)
    wires_changed = np.asarray(layer.carried.get_value()[1][0])
    layer.kernel[...] = layer.kernel[...].at[0].multiply(0.5)
    second = layer(x)
    np.testing.assert_array_equal(np.asarray(layer.carried.get_value()[1][0]), wires_changed)
    bare = x @ (layer.kernel[...] - 0.0)
    state = aimc.program(KEY, layer.kernel[...], _plain())
    expected = bare + (x @ wires_changed[0]) * float(state.scale[0, 0])
    np.testing.assert_allclose(second, expected, atol=1e-4)
    third = layer(x)
    assert np.abs(np.asarray(third - second)).max() > 1e-4
    assert first.shape == third.shape


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Wiring(layout="stacked"), "wiring.layout must be one of interleaved, separate"),
        (lambda: Wiring(noise="none"), "wiring.noise must be one of diagonal, reference, exact"),
        (lambda: Wiring(drive="right"), "wiring.drive must be one of left, both"),
        (lambda: Wiring(law="cubic"), "wiring.law must be one of ohmic, sinh, oxram_milo"),
        (lambda: Wiring(refold_every=0), "wiring.refold_every must be a whole number of calls"),
        (lambda: _plain(wiring=Wiring(law="sinh")), "wiring.law='sinh' has no folded matrix, .* read_path='output'"),
        (lambda: _plain(wiring=Wiring(), mapping=Mapping("signed_cell")), "wiring needs cells that are resistors"),
        (lambda: _plain(wiring=Wiring(), backward="array"), "backward='array' .* wiring does not have"),
        (
            lambda: _plain(wiring=Wiring(layout="separate", noise="reference")),
            "wiring.noise='reference' .* wiring.layout='separate'",
        ),
        (
            lambda: _plain(wiring=Wiring(noise="exact"), input_encoding="pulse_width"),
            "inputs.encoding='pulse_width' .* wiring.noise='diagonal'",
        ),
        (lambda: _plain(wiring=Wiring(r_row=-1.0)), "wiring.r_row must be a finite number of at least 0"),
    ],
)
def test_what_cannot_be_combined_raises_when_it_is_built(build, message):
    with pytest.raises(ValueError, match=message) as caught:
        build()
    assert "\n" not in str(caught.value)
