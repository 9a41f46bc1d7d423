"""Layers, conversion and the digits study."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import aimc
from aimc import digits


class Nested(nnx.Module):
    """A model with linear layers as an attribute, in a list and inside another module."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first = nnx.Linear(12, 8, rngs=rngs)
        self.rest = nnx.List([nnx.Linear(8, 8, use_bias=False, rngs=rngs), digits.MLP((8, 6, 5), rngs=rngs)])

    def __call__(self, x):
        x = jnp.tanh(self.first(x))
        for layer in self.rest:
            x = layer(x)
        return x


X = jnp.asarray(np.random.default_rng(0).normal(size=(16, 12)), jnp.float32)


def _kinds(model: nnx.Module) -> list[type]:
    return [type(m) for _, m in nnx.iter_modules(model) if isinstance(m, nnx.Linear | aimc.AnalogLinear)]


def test_an_ideal_conversion_computes_what_the_model_computes():
    model = Nested(nnx.Rngs(0))
    analog = aimc.convert(model, aimc.presets.ideal())
    assert _kinds(analog) == [aimc.AnalogLinear] * 4
    assert _kinds(model) == [nnx.Linear] * 4  # the original is untouched
    named = nnx.Dict(
        a=nnx.Linear(12, 8, rngs=nnx.Rngs(0)), b=nnx.Sequential(nnx.Linear(8, 3, rngs=nnx.Rngs(1)), nnx.relu)
    )
    assert _kinds(aimc.convert(named, aimc.presets.ideal())) == [aimc.AnalogLinear] * 2
    assert isinstance(aimc.convert(nnx.Linear(12, 8, rngs=nnx.Rngs(0)), aimc.presets.ideal()), aimc.AnalogLinear)
    with jax.default_matmul_precision("highest"):
        # Two chains of four float32 products of up to 12 terms each: 4·12 roundings relative to values of order 1.
        np.testing.assert_allclose(analog(X), model(X), atol=4 * 12 * 2**-23)


def test_a_deployed_model_is_one_chip_with_fresh_reads():
    frozen = aimc.convert(Nested(nnx.Rngs(0)), aimc.crossbar(write_noise=0.05), rngs=nnx.Rngs(noise=1))
    assert not np.array_equal(frozen(X), frozen(X))  # undeployed: programmed anew at every call
    aimc.deploy(jax.random.key(2), frozen)
    assert np.array_equal(frozen(X), frozen(X))
    noisy = aimc.convert(Nested(nnx.Rngs(0)), aimc.crossbar(write_noise=0.05, read_noise=0.05))
    aimc.deploy(jax.random.key(2), noisy)
    assert not np.array_equal(noisy(X), noisy(X))


def test_an_analog_layer_learns_with_an_nnx_optimizer_and_keeps_its_chip_out_of_it():
    layer = aimc.AnalogLinear(12, 3, aimc.crossbar(read_noise=0.01, backward="array"), rngs=nnx.Rngs(0))
    target = X @ jnp.ones((12, 3))
    optimizer = nnx.Optimizer(layer, optax.adam(3e-2), wrt=nnx.Param)

    @nnx.jit
    def step(layer, optimizer):
        loss, gradient = nnx.value_and_grad(lambda layer: jnp.mean((layer(X) - target) ** 2))(layer)
        optimizer.update(layer, gradient)
        return loss

    losses = [float(step(layer, optimizer)) for _ in range(150)]
    assert losses[-1] < 0.05 * losses[0]
    aimc.deploy(jax.random.key(0), layer)
    assert set(nnx.to_pure_dict(nnx.state(layer, nnx.Param))) == {"kernel", "bias"}


def test_conversion_refuses_what_it_cannot_do():
    class Half(nnx.Module):
        def __init__(self):
            self.inner = nnx.Linear(4, 4, param_dtype=jnp.bfloat16, rngs=nnx.Rngs(0))

    with pytest.raises(ValueError, match="layer inner has weights in bfloat16"):
        aimc.convert(Half(), aimc.crossbar())
    with pytest.raises(ValueError, match="layer Linear computes in bfloat16"):
        aimc.convert(nnx.Linear(4, 4, dtype=jnp.bfloat16, rngs=nnx.Rngs(0)), aimc.crossbar())
    with pytest.raises(ValueError, match="has no layer to put on an array"):
        aimc.convert(nnx.BatchNorm(4, rngs=nnx.Rngs(0)), aimc.crossbar())
    with pytest.raises(ValueError, match="convert it first"):
        aimc.deploy(jax.random.key(0), digits.MLP(digits.WIDTHS, rngs=nnx.Rngs(0)))


def test_the_digits_are_split_without_overlap_and_by_a_fixed_rule():
    data = digits.load()
    assert [part.y.size for part in data] == [1149, 288, 1437, 360]
    seen = [{image.tobytes() for image in part.x} for part in (data.fit, data.validation, data.test)]
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]
    assert data.test.y[:10].tolist() == [2, 8, 2, 6, 6, 7, 1, 9, 8, 5]  # scikit-learn's random_state=0


@pytest.fixture(scope="module")
def trained():
    """Five digital networks, and five trained on noisy arrays at a noise that hurts the digital ones."""
    data = digits.load()
    noisy = aimc.crossbar(write_noise=0.05, read_noise=0.1, backward="array")
    keys = jax.random.split(jax.random.key(0), (2, 5))
    plain = jax.jit(jax.vmap(lambda key: digits.train(key, data.fit)))(keys[0])
    aware = jax.jit(jax.vmap(lambda key: digits.train(key, data.fit, digits.NOISE_AWARE, noisy)))(keys[1])
    return noisy, plain, aware


def _mean_accuracy(parameters, spec=None) -> float:
    keys = jax.random.split(jax.random.key(5), 5)
    data = digits.load().validation
    measure = jax.jit(jax.vmap(lambda key, parameters: digits.accuracy(key, parameters, data, spec)))
    return float(measure(keys, parameters).mean())


@pytest.mark.slow
def test_noise_aware_training_recovers_most_of_what_noise_costs(trained):
    """On the validation part; the full protocol with intervals is benchmarks/digits.py."""
    noisy, plain, aware = trained
    clean, hurt, recovered = _mean_accuracy(plain), _mean_accuracy(plain, noisy), _mean_accuracy(aware, noisy)
    assert clean >= 0.97
    assert clean - hurt > 0.05
    assert recovered - hurt > 0.5 * (clean - hurt)


@pytest.mark.slow
def test_training_is_a_pure_function_of_its_key(trained):
    _, plain, _ = trained
    key = jax.random.split(jax.random.key(0), (2, 5))[0, 3]
    alone = jax.jit(lambda key: digits.train(key, digits.load().fit))(key)
    for ours, stacked in zip(jax.tree.leaves(alone), jax.tree.leaves(plain), strict=True):
        # The same computation in another batch layout: equal up to float32 rounding amplified by 540 optimiser steps.
        np.testing.assert_allclose(ours, stacked[3], atol=2e-2)
