"""The models that ship: shapes, causality, and that ideal arrays compute what the digital model computes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import aimc
from aimc import data, models

DATA = {"digits": data.load("digits"), "text": data.load("text")}
CASES = [
    ("mlp", "digits", 3),
    ("cnn", "digits", 3),
    ("lstm", "digits", 3),
    ("lstm", "text", 3),
    ("transformer", "digits", 14),
    ("transformer", "text", 13),
]

call = nnx.jit(lambda model, x: model(x))


@pytest.mark.parametrize(("name", "on", "n_layers"), CASES)
def test_ideal_arrays_compute_the_digital_model_to_float32_rounding(name, on, n_layers):
    """Noiseless, many bits: the same sums in another order of additions, through at most 13 layers."""
    of = DATA[on]
    model = models.build(name, nnx.Rngs(0), of)
    model.eval()
    x = jnp.asarray(of.train.x[:4])
    analog = aimc.convert(model, aimc.presets.ideal())
    assert len(aimc.nn.analog_layers(analog)) == n_layers
    with jax.default_matmul_precision("highest"):
        expected = np.asarray(call(model, x))
    assert expected.shape == ((4, 10) if on == "digits" else (4, 64, of.n_classes))
    # Relative to the size of the logits: a few hundred roundings (2^-24 each), that is 2^-16.
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(call(analog, x), expected, atol=2**-16 * np.abs(expected).max(), rtol=0)


@pytest.mark.parametrize("name", ["lstm", "transformer"])
def test_no_step_sees_the_symbols_that_follow(name):
    of = DATA["text"]
    model = models.build(name, nnx.Rngs(0), of)
    x = of.train.x[:2]
    changed = x.copy()
    changed[:, 30:] = (changed[:, 30:] + 1) % of.n_classes
    first, second = (np.asarray(call(model, jnp.asarray(own))) for own in (x, changed))
    np.testing.assert_allclose(first[:, :30], second[:, :30], atol=1e-5)  # another tiling of the same sums
    assert (np.abs(first[:, 30:] - second[:, 30:]).max(axis=-1) > 1e-3).all()


def test_a_cnn_normalises_by_the_batch_in_training_and_by_what_it_has_seen_in_evaluation():
    of = DATA["digits"]
    model = models.cnn(nnx.Rngs(0), of)
    x = jnp.asarray(of.train.x[:64])
    model.train()
    model(x)
    norm = model.norms[0]
    after_conv = np.asarray(model.convolutions[0](x[..., None]))
    # flax: 0.99 of the old mean (0) and 0.01 of the batch's.
    np.testing.assert_allclose(norm.mean[...], 0.01 * after_conv.mean(axis=(0, 1, 2)), atol=1e-6)
    model.eval()
    alone, together = model(x[:1]), model(x)[:1]
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_colour_images_and_vectors_fit_the_models_that_can_read_them():
    rng = np.random.default_rng(0)
    colour = DATA["digits"]._replace(train=data.Split(rng.random((5, 6, 4, 3), np.float32), np.zeros(5, np.int32)))
    for name in models.MODELS:
        made = models.build(name, nnx.Rngs(0), colour)
        assert nnx.eval_shape(lambda m, x: m(x), made, jnp.asarray(colour.train.x)).shape == (5, 10)
    flat = colour._replace(train=data.Split(rng.random((5, 7), np.float32), np.zeros(5, np.int32)), name="mine.npy")
    assert models.build("mlp", nnx.Rngs(0), flat)(jnp.asarray(flat.train.x)).shape == (5, 10)
    for name, message in (("cnn", "a height and a width, got mine.npy"), ("lstm", "rows of pixels, got mine.npy")):
        with pytest.raises(ValueError, match=message):
            models.build(name, nnx.Rngs(0), flat)


def test_a_model_that_does_not_exist_or_cannot_read_the_data_is_refused():
    with pytest.raises(ValueError, match="model must be one of mlp, cnn, lstm, transformer, got 'gru'"):
        models.build("gru", nnx.Rngs(0), DATA["digits"])
    with pytest.raises(ValueError, match="model cnn reads images, and text is text; choose lstm or transformer"):
        models.build("cnn", nnx.Rngs(0), DATA["text"])


@pytest.mark.parametrize(("name", "on"), [case[:2] for case in CASES])
def test_rows_of_the_data_are_read_as_they_are(name, on):
    """`data` hands out numpy arrays; only types and shapes are followed here, so nothing is compiled."""
    rows = DATA[on].test.x[:5]
    assert isinstance(rows, np.ndarray)
    shape = nnx.eval_shape(lambda model: model(rows), models.build(name, nnx.Rngs(0), DATA[on])).shape
    assert shape == ((5, 10) if on == "digits" else (5, 64, DATA[on].n_classes))
