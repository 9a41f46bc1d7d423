"""Number formats against ml_dtypes and the bit patterns of the OCP specifications, exhaustively; products in them."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest
from flax import nnx

from aimc import formats
from aimc.formats import E2M1, E2M3, E3M2, E4M3, E5M2

ORACLES = {
    "e4m3": (E4M3, ml_dtypes.float8_e4m3fn, 8),
    "e5m2": (E5M2, ml_dtypes.float8_e5m2, 8),
    "e3m2": (E3M2, ml_dtypes.float6_e3m2fn, 6),
    "e2m3": (E2M3, ml_dtypes.float6_e2m3fn, 6),
    "e2m1": (E2M1, ml_dtypes.float4_e2m1fn, 4),
}


@pytest.mark.parametrize("name", ORACLES)
def test_every_code_decodes_and_encodes_as_in_ml_dtypes(name):
    form, dtype, bits = ORACLES[name]
    codes = np.arange(2**bits, dtype=np.uint8)
    values = codes.view(dtype).astype(np.float32)
    np.testing.assert_array_equal(form.decode(jnp.asarray(codes)), values)
    finite = np.isfinite(values)
    np.testing.assert_array_equal(form.encode(jnp.asarray(values[finite])), codes[finite])
    assert float(values[finite].max()) == form.largest


@pytest.mark.parametrize("name", ORACLES)
def test_rounding_is_to_nearest_with_ties_to_even_and_saturates(name):
    form, dtype, _ = ORACLES[name]
    grid = np.unique(np.abs(form.decode(jnp.arange(2 ** int(form.bits), dtype=jnp.uint8))))
    grid = grid[np.isfinite(grid)].astype(np.float32)
    middle = (grid[1:] + grid[:-1]) / 2  # exact in float32
    x = np.concatenate([grid, middle, np.nextafter(middle, np.inf), np.nextafter(middle, -np.inf)])
    x = np.concatenate([x, -x, np.random.default_rng(0).normal(size=4000) * form.largest / 3]).astype(np.float32)
    x = np.clip(x, -form.largest, form.largest)
    np.testing.assert_array_equal(form.round(jnp.asarray(x)), x.astype(dtype).astype(np.float32))
    assert float(form.round(jnp.float32(1e30))) == form.largest


def test_bfloat16_is_that_of_ml_dtypes():
    x = np.random.default_rng(0).normal(size=4000).astype(np.float32) * 10.0 ** np.arange(-20, 20).repeat(100)
    x = x.astype(np.float32)
    expected = x.astype(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_array_equal(formats.FORMATS["bf16"].round(jnp.asarray(x), 0), expected)


def test_the_bit_patterns_of_the_specifications():
    """OFP8 rev. 1.0 table 1 and MX v1.0 section 5: largest, smallest normal and subnormal numbers."""
    for form, code, value in (
        (E4M3, 0b0_1111_110, 448.0),
        (E4M3, 0b0_0001_000, 2.0**-6),
        (E4M3, 0b0_0000_001, 2.0**-9),
        (E5M2, 0b0_11110_11, 57344.0),
        (E5M2, 0b0_00001_00, 2.0**-14),
        (E5M2, 0b0_00000_01, 2.0**-16),
        (E3M2, 0b0_111_11, 28.0),
        (E3M2, 0b0_000_01, 0.0625),
        (E2M3, 0b0_11_111, 7.5),
        (E2M3, 0b0_00_001, 0.125),
        (E2M1, 0b0_11_1, 6.0),
        (E2M1, 0b0_00_1, 0.5),
        (E4M3, 0b1_0000_000, -0.0),
    ):
        assert float(form.decode(jnp.uint8(code))) == value
        assert int(form.encode(jnp.float32(value))) == code
    assert np.isnan(E4M3.decode(jnp.uint8(0b0_1111_111)))
    assert np.isinf(E5M2.decode(jnp.uint8(0b0_11111_00)))
    assert np.isnan(E5M2.decode(jnp.uint8(0b0_11111_01)))


@pytest.mark.parametrize("name", ["mxfp8", "mxfp6", "mxfp6_e3m2", "mxfp4", "mxint8"])
def test_microscaling_follows_its_specification(name):
    """Section 6.3, written out in numpy with ml_dtypes: the scale by frexp, the elements by casting."""
    form = formats.FORMATS[name]
    rng = np.random.default_rng(1)
    x = (rng.normal(size=(3, 70)) * 2.0 ** rng.integers(-30, 30, (3, 1))).astype(np.float32)
    x[1, :32] = 0.0
    expected = np.zeros_like(x)
    for row in range(3):
        for start in range(0, 70, 32):
            block = x[row, start : start + 32].astype(np.float64)
            largest = np.abs(block).max()
            if largest == 0:
                continue
            shared = np.frexp(largest)[1] - 1
            if form.element is None:
                scale = 2.0**shared
                element = np.clip(np.round(block / scale * 64), -127, 127) / 64
            else:
                dtype = next(d for f, d, _ in ORACLES.values() if f == form.element)
                scale = 2.0 ** (shared - np.floor(np.log2(form.element.largest)))
                inside = np.clip(block / scale, -form.element.largest, form.element.largest)
                element = inside.astype(dtype).astype(np.float64)
            expected[row, start : start + 32] = element * scale
    np.testing.assert_array_equal(form.round(jnp.asarray(x), 1), expected)
    np.testing.assert_array_equal(form.round(jnp.asarray(x.T), 0), expected.T)
    scales, codes = form.encode(jnp.asarray(x[0]))
    assert scales.dtype == codes.dtype == jnp.uint8
    np.testing.assert_array_equal(form.decode(scales, codes), expected[0])
    assert np.isnan(form.decode(jnp.full(3, 255, jnp.uint8), codes)).all()
    assert form.bits == {"mxfp8": 8.25, "mxfp6": 6.25, "mxfp6_e3m2": 6.25, "mxfp4": 4.25, "mxint8": 8.25}[name]


def test_shared_scales_are_the_e8m0_of_ml_dtypes():
    codes = np.arange(1, 255, dtype=np.uint8)
    scale = codes.view(ml_dtypes.float8_e8m0fnu).astype(np.float32)
    form = formats.Microscaling(element=None, block=1)
    ones = jnp.full(codes.shape, 64, jnp.uint8)  # 64/64 = 1
    np.testing.assert_array_equal(form.decode(jnp.asarray(codes), ones), scale)


def test_logarithmic_numbers_are_the_nearest_in_the_logarithm():
    form = formats.Logarithmic()
    codes = np.arange(256, dtype=np.uint8)
    size = (codes & 127).astype(float)
    values = np.where(size == 127, 0.0, 3.0 * 2.0 ** (-size / 8.0)) * np.where(codes >> 7, -1, 1)
    decoded = form.decode(jnp.asarray(codes), jnp.float32(3.0))
    np.testing.assert_allclose(decoded, values, rtol=1e-6)
    np.testing.assert_array_equal(form.encode(decoded, jnp.float32(3.0)), codes)
    x = np.append(np.random.default_rng(2).normal(size=3000), [1e-6, -1e-6]).astype(np.float32)
    rounded = np.asarray(form.round(jnp.asarray(x), 0), np.float64)
    kept = rounded != 0
    # Half a step, and float32's rounding of the logarithm.
    assert np.abs(np.log2(np.abs(rounded[kept] / x[kept]))).max() <= 1 / 16 + 1e-5
    assert not kept[-2:].any()
    assert np.abs(x[~kept]).max() < np.abs(x).max() * 2.0 ** (-126.4 / 8)


@pytest.mark.parametrize("name", ["float32", "fp8", "mxfp8", "lns8"])
def test_a_product_rounds_its_operands_along_the_sum_and_its_gradients_too(name):
    form = formats.FORMATS[name]
    keys = jax.random.split(jax.random.key(0), 3)
    x, w, error = (jax.random.normal(k, s) for k, s in zip(keys, ((7, 40), (40, 5), (7, 5)), strict=True))
    y, pull = jax.vjp(lambda x, w: formats.matmul(x, w, form), x, w)
    exact = lambda a, b: np.asarray(a, np.float64) @ np.asarray(b, np.float64)  # noqa: E731
    np.testing.assert_allclose(y, exact(form.round(x, 1), form.round(w, 0)), atol=1e-4)
    dx, dw = pull(error)
    np.testing.assert_allclose(dx, exact(form.round(error, 1, is_gradient=True), form.round(w, 1).T), atol=1e-4)
    np.testing.assert_allclose(dw, exact(form.round(x, 0).T, form.round(error, 0, is_gradient=True)), atol=1e-4)


class Mixed(nnx.Module):
    def __init__(self, rngs):
        self.conv = nnx.Conv(2, 4, (3, 3), feature_group_count=2, strides=2, rngs=rngs)
        self.mix = nnx.Einsum("...c,cd->...d", (4, 6), (6,), rngs=rngs)
        self.out = nnx.LinearGeneral((3, 3, 6), 2, axis=(-3, -2, -1), rngs=rngs)
        self.last = nnx.Linear(2, 2, rngs=rngs)

    def __call__(self, x):
        return self.last(self.out(jnp.tanh(self.mix(jnp.tanh(self.conv(x))))))


def test_a_model_in_single_precision_is_itself_and_in_eight_bits_still_learns():
    x = jax.random.normal(jax.random.key(1), (32, 6, 6, 2))
    target = jnp.stack([x[:, :3].mean((1, 2, 3)), x[:, 3:].mean((1, 2, 3))], -1) * 5
    model = Mixed(nnx.Rngs(0))
    with jax.default_matmul_precision("highest"):
        np.testing.assert_allclose(formats.in_format(model, formats.Single())(x), model(x), atol=1e-5)
    small = formats.in_format(model, formats.FORMATS["mxfp8"])
    assert np.abs(np.asarray(small(x) - model(x))).max() > 1e-3
    optimizer = nnx.Optimizer(small, optax.adam(1e-2), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer):
        loss, gradient = nnx.value_and_grad(lambda m: jnp.mean((m(x) - target) ** 2))(model)
        optimizer.update(model, gradient)
        return loss

    losses = [float(step(small, optimizer)) for _ in range(60)]
    assert losses[-1] < 0.3 * losses[0]


def test_formats_refuse_what_cannot_be():
    for make, what in (
        (lambda: formats.Minifloat(9, 3, 1.0), "1 to 8 exponent_bits"),
        (lambda: formats.Microscaling(element=None, block=0), "block must be at least 1"),
        (lambda: formats.Logarithmic(total_bits=9), "total_bits from 3 to 8"),
        (lambda: formats.in_format(nnx.BatchNorm(2, rngs=nnx.Rngs(0)), formats.Single()), "has no layer whose product"),
    ):
        with pytest.raises(ValueError, match=what):
            make()
