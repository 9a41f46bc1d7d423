"""Convolutions, einsums, recurrent cells and attention on arrays, against flax's own layers and plain definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import aimc
from aimc import nn

X = jax.random.normal(jax.random.key(0), (2, 6, 5, 4))
IDEAL = aimc.presets.ideal()
LAYERS = {
    "conv 1d causal": lambda r: nnx.Conv(4, 6, (3,), padding="CAUSAL", rngs=r),
    "conv 2d": lambda r: nnx.Conv(4, 8, (3, 2), strides=(2, 1), padding=((1, 2), (0, 1)), rngs=r),
    "conv 2d dilated": lambda r: nnx.Conv(4, 8, (3, 2), kernel_dilation=2, padding="VALID", rngs=r),
    "conv 2d grouped, same": lambda r: nnx.Conv(4, 8, (3, 3), strides=2, feature_group_count=2, rngs=r),
    "conv 2d depthwise, circular": lambda r: nnx.Conv(
        4, 4, (3, 2), feature_group_count=4, padding="CIRCULAR", use_bias=False, rngs=r
    ),
    "conv 3d": lambda r: nnx.Conv(4, 3, (2, 2, 2), padding="REFLECT", rngs=r),
    "einsum": lambda r: nnx.Einsum("...i,io->...o", (4, 5), (5,), rngs=r),
    "einsum with groups": lambda r: nnx.Einsum("abgi,gio->obag", (5, 4, 3), (3, 5), rngs=r),
    "linear over two axes": lambda r: nnx.LinearGeneral((6, 4), (2, 3), axis=(1, -1), rngs=r),
}


class Attention(nnx.Module):
    def __init__(self, rngs):
        self.attention = nnx.MultiHeadAttention(2, 4, 8, decode=False, rngs=rngs)

    def __call__(self, x):
        return self.attention(x)


class Recurrent(nnx.Module):
    def __init__(self, cell):
        self.rnn = nnx.RNN(cell, rngs=nnx.Rngs(carry=0))

    def __call__(self, x):
        return self.rnn(x)


CELLS = {
    cell.__name__: lambda r, cell=cell: Recurrent(cell(4, 6, rngs=r))
    for cell in (nnx.LSTMCell, nnx.OptimizedLSTMCell, nnx.GRUCell, nnx.SimpleCell)
}


@pytest.mark.parametrize("name", [*LAYERS, *CELLS, "attention"])
def test_on_ideal_arrays_every_layer_computes_what_flax_computes_and_comes_back(name):
    make = {**LAYERS, **CELLS, "attention": Attention}[name]
    model = make(nnx.Rngs(0))
    if (bias := getattr(model, "bias", None)) is not None:
        bias[...] = jax.random.normal(jax.random.key(1), bias.shape)
    x = X if name.startswith(("einsum", "linear", "conv")) else X[0]
    x = X[None] if name == "conv 3d" else x
    with jax.default_matmul_precision("highest"):
        expected = model(x)
    # Sums of at most 36 products of order 1, in another order of additions: 36 roundings of values up to 4.
    atol = 36 * 4 * 2**-23
    np.testing.assert_allclose(nn.convert(model, IDEAL)(x), expected, atol=atol)
    as_rows = nn.convert(model, IDEAL, analog_bias=True)
    np.testing.assert_allclose(as_rows(x), expected, atol=2 * atol)
    back = nn.to_digital(as_rows)
    assert jax.tree.structure(nnx.state(back, nnx.Param)) == jax.tree.structure(nnx.state(model, nnx.Param))
    jax.tree.map(np.testing.assert_array_equal, nnx.state(back, nnx.Param), nnx.state(model, nnx.Param))


def test_a_grouped_convolution_follows_its_definition():
    layer = nn.AnalogConv(4, 6, (2, 3), IDEAL, rngs=nnx.Rngs(0), strides=(2, 1), padding="VALID", groups=2)
    x, k = np.asarray(X, np.float64), np.asarray(layer.kernel[...], np.float64)
    expected = np.zeros((2, 3, 3, 6))
    for b, i, j, o in np.ndindex(*expected.shape):
        own = slice(2 * (o // 3), 2 * (o // 3) + 2)  # input channels of this output's group
        expected[b, i, j, o] = sum(x[b, 2 * i + a, j + c, own] @ k[a, c, :, o] for a in range(2) for c in range(3))
    np.testing.assert_allclose(layer(X), expected, atol=12 * 4 * 2**-23)


def test_each_group_and_each_time_step_has_noise_of_its_own():
    spec = aimc.crossbar(read_noise=0.05, adc_bits=16)
    grouped = nn.AnalogConv(2, 2, (1,), spec, rngs=nnx.Rngs(0), groups=2, use_bias=False)
    grouped.kernel[...] = jnp.ones_like(grouped.kernel[...])
    y = grouped(jnp.ones((4000, 1, 2)))[:, 0] - 1.0
    # 4000 pairs of Gaussians of equal, known spread: correlation within 4/sqrt(4000), variance within 4 sqrt(2/4000).
    sigma = 0.05 * np.sqrt(2)  # two cells a weight
    assert abs(np.corrcoef(y.T)[0, 1]) < 4 / np.sqrt(4000)
    np.testing.assert_allclose(np.var(y, axis=0) / sigma**2, 1.0, atol=4 * np.sqrt(2 / 4000))
    recurrent = nn.convert(Recurrent(nnx.SimpleCell(4, 3, residual=False, rngs=nnx.Rngs(0))), spec)
    nn.deploy(jax.random.key(0), recurrent)
    first, second = (np.asarray(recurrent(jnp.zeros((1, 5, 4)) + 0.5)) for _ in range(2))
    assert len(np.unique(np.round(first - second, 7))) > 10  # every step, every unit, every call another draw


def test_conversion_by_path_keeps_shared_layers_shared_and_names_what_it_refuses():
    class Tied(nnx.Module):
        def __init__(self):
            self.a = nnx.Linear(4, 4, rngs=nnx.Rngs(0))
            self.b = self.a
            self.up = nnx.ConvTranspose(4, 4, (3,), rngs=nnx.Rngs(1))

        def __call__(self, x):
            return self.up(self.b(self.a(x)))

    with pytest.raises(ValueError, match="layer up is a ConvTranspose, which has a kernel but no analog form"):
        nn.convert(Tied(), IDEAL)
    model = nn.convert(Tied(), lambda path: None if path == "up" else IDEAL)
    assert model.a is model.b
    assert isinstance(model.up, nnx.ConvTranspose)
    with pytest.raises(ValueError, match="layer up is a ConvTranspose"):
        nn.convert(model, IDEAL)
    assert nn.to_digital(model).a.kernel.shape == (4, 4)
    for layer, what in (
        (nnx.Conv(4, 4, (3,), input_dilation=2, rngs=nnx.Rngs(0)), "input dilation"),
        (nnx.Conv(4, 4, (3,), mask=jnp.ones((3, 4, 4)), rngs=nnx.Rngs(0)), "a mask over its kernel"),
        (nnx.LinearGeneral(4, 4, axis=-1, batch_axis={0: 2}, rngs=nnx.Rngs(0)), "batch axes"),
    ):
        with pytest.raises(ValueError, match=what):
            nn.convert(layer, IDEAL)
    with pytest.raises(ValueError, match="no analog layer"):
        nn.to_digital(nnx.Linear(4, 4, rngs=nnx.Rngs(0)))


def test_layers_refuse_what_cannot_be():
    rngs = nnx.Rngs(0)
    for make, what in (
        (lambda: nn.AnalogConv(4, 6, (3, 3, 3, 3), IDEAL, rngs=rngs), "kernel_size must have 1 to 3 axes"),
        (lambda: nn.AnalogConv(4, 6, (3,), IDEAL, rngs=rngs, groups=3), "groups must divide n_in=4 and n_out=6"),
        (lambda: nn.AnalogConv(4, 6, (3,), IDEAL, rngs=rngs, padding="FULL"), "padding must be one of SAME, VALID"),
        (lambda: nn.AnalogConv(4, 6, (3,), IDEAL, rngs=rngs, strides=0), "strides must be a number of at least 1"),
        (lambda: nn.AnalogConv(4, 6, (9,), IDEAL, rngs=rngs, padding="VALID")(X), "at least as large as the kernel"),
        (lambda: nn.AnalogConv(3, 6, (2,), IDEAL, rngs=rngs)(X), "3 channels"),
        (lambda: nn.AnalogEinsum("ij,jk,kl->il", (4, 5), IDEAL, rngs=rngs), "equation must contract x with a kernel"),
        (lambda: nn.AnalogEinsum("bi,io->b", (4, 5), IDEAL, rngs=rngs), "equation must contract"),
        (lambda: nn.AnalogLinear((4, 5), 3, IDEAL, rngs=rngs), "axis must name an axis for each"),
        (lambda: nn.AnalogLinear(3, 3, IDEAL, rngs=rngs)(X), "x must have"),
    ):
        with pytest.raises(ValueError, match=what):
            make()


def test_the_factors_of_a_layer_are_its_gradient():
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.conv = nnx.Conv(4, 3, (2,), rngs=rngs)
            self.out = nnx.Linear(3, 2, rngs=rngs)

        def __call__(self, x):
            return self.out(jnp.tanh(self.conv(x)))

    model = nn.convert(Net(nnx.Rngs(0)), aimc.crossbar(write_noise=0.02, read_noise=0.02))

    def loss(model, x):
        return jnp.mean(model(x) ** 2)

    value, found = nn.factors(loss, model, X)
    expected, gradient = nnx.value_and_grad(loss)(model, X)  # the streams are where they were: the same noise
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    for path in ("conv", "out"):
        x, delta = (np.asarray(part, np.float64).reshape(-1, part.shape[-1]) for part in found[path])
        kernel = np.asarray(gradient[path]["kernel"][...]).reshape(x.shape[1], delta.shape[1])
        # The array multiplies by codes of its inputs, 8 bits: x itself is within half a step of them.
        step = np.abs(x).max() / 254
        np.testing.assert_allclose(x.T @ delta, kernel, atol=step * np.abs(delta).sum(0).max())
    recurrent = nn.convert(Recurrent(nnx.SimpleCell(4, 3, rngs=nnx.Rngs(0))), IDEAL)
    with pytest.raises(ValueError, match="factors"):
        nn.factors(loss, recurrent, X[0])
