"""E[gradient] against central differences of E[loss], with common random numbers.

A quantised loss is a staircase in every weight; its mean over inputs and noise is smooth, and straight-through
gradients are meant to be right on average. Where sums are spread over more than a step they are, for a square loss, up
to exp(−2π² σ²/step²) (Bennett 1948, Widrow 1956): so small are the mean of the rounding error and its correlation with
the sum. So the two agree within the error of their paired differences, over independent groups of inputs and noise.
Where they do not agree, benchmarks/gradient_bias.py says by how much.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import aimc
from aimc import nn

N_IN, N_OUT, BATCH, GROUPS = 24, 6, 256, 600
TARGET = np.random.default_rng(1).normal(size=(N_IN, N_OUT)) * 0.3
Z = 4.5  # 16 comparisons: right gradients fail one choice of seeds in 8,000
# Pairs on both sides of the middle: a cell near zero stops there, which the gradient does not know.
NOISES = {"write_noise": 0.05, "read_noise": 0.03, "output_noise": 0.05, "mapping": aimc.Mapping("two_sided")}


def _layer(spec, **ranges):
    layer = nn.AnalogLinear(N_IN, N_OUT, spec, rngs=nnx.Rngs(0))
    w = np.random.default_rng(0).normal(size=(N_IN, N_OUT)) * 0.2
    w[0] = np.where(np.arange(N_OUT) % 2, 1.0, -1.0)  # drives a cell fully, whatever the others do
    layer.kernel[...] = jnp.asarray(w, jnp.float32)
    for name, value in ranges.items():
        setattr(layer, name, nn.base.Range(jnp.asarray(value)))
    return layer


def _paired(layer, kind, direction, h, n_groups=GROUPS):
    """Gradient along `direction` and central difference of the same loss, a pair for each group of inputs and noise.

    The difference is that of steps h and 2h, extrapolated: what is left is of fourth order.
    """
    graph, moving, rest = nnx.split(layer, kind, ...)
    target = jnp.asarray(TARGET, jnp.float32)

    def group(key):
        input_key, noise_key = jax.random.split(key)
        x = 0.45 * jax.random.normal(input_key, (BATCH, N_IN))  # smooth: a sharp edge would fall inside a step

        def loss(moving):
            own = nnx.merge(graph, moving, rest, copy=True)
            own.noise = nnx.Rngs(noise=noise_key).noise  # the same draws at every shift
            return jnp.mean((own(x) - x @ target) ** 2)

        def shifted(step):
            return loss(jax.tree.map(lambda leaf, d: leaf + step * d, moving, direction))

        gradient = jax.grad(loss)(moving)
        along = sum(jnp.vdot(g, d) for g, d in zip(jax.tree.leaves(gradient), jax.tree.leaves(direction), strict=True))
        near = (shifted(h) - shifted(-h)) / (2 * h)
        far = (shifted(2 * h) - shifted(-2 * h)) / (4 * h)
        return along, (4 * near - far) / 3

    run = jax.jit(lambda: jax.lax.map(group, jax.random.split(jax.random.key(5), n_groups)))
    return tuple(np.asarray(values, np.float64) for values in run())


def _agree(along, difference, bias=0.0):
    """`bias`: that of the gradient in closed form, relative to the difference."""
    gap = along - difference * (1.0 + bias)
    error = gap.std(ddof=1) / np.sqrt(len(gap))
    scale = abs(difference.mean())
    assert error < 0.02 * scale, (error, scale)  # so any other bias of more than 9 % is seen
    assert abs(gap.mean()) < Z * error + 1e-5 * scale, (along.mean(), difference.mean(), error)


def _direction(layer, seed):
    """All weights at random, but for those that set the scale: moving them changes the noise too, by design a constant
    to the gradient."""
    direction = np.random.default_rng(seed).normal(size=(N_IN, N_OUT))
    direction[0] = 0.0
    state = jax.tree.map(jnp.zeros_like, nnx.state(layer, nnx.Param))
    kernel = jnp.asarray(direction / np.linalg.norm(direction), jnp.float32)
    nnx.replace_by_pure_dict(state, nnx.to_pure_dict(state) | {"kernel": kernel})
    return state


SPECS = {
    # 15 codes over ±6 cells: steps of 0.86, sums of standard deviation 0.7
    "quantised": {"dac_bits": 5, "adc_bits": 4, "adc_range": 6.0, "input_range": 1.0},
    "noisy": {"dac_bits": None, "adc_bits": None, **NOISES},
    "quantised and noisy": {"dac_bits": 5, "adc_bits": 4, "adc_range": 6.0, "input_range": 1.0, **NOISES},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SPECS))
def test_gradients_of_weights_are_those_of_the_expected_loss(name):
    layer = _layer(aimc.crossbar(**SPECS[name]))
    for seed in range(2):
        _agree(*_paired(layer, nnx.Param, _direction(layer, seed), h=0.1))


@pytest.mark.slow
@pytest.mark.parametrize("p", [None, 0.1])
def test_so_are_those_under_a_modifier_but_for_the_weights_it_drops(p):
    """With weights kept with probability 1 − p and white inputs, E[loss] has the slope 2 E[x²] (1 − p)(w − t), and the
    gradient, to which what was dropped is a constant, the mean 2 E[x²] ((1 − p) w − t), t the weights aimed at."""
    layer = _layer(aimc.crossbar(dac_bits=None, adc_bits=6, adc_range=6.0))
    nn.modify(layer, nn.Modifier(sigma=0.05, drop_connect=p))
    direction, bias = _direction(layer, 3), 0.0
    if p is not None:
        w, d = np.asarray(layer.kernel[...], np.float64), np.asarray(direction["kernel"][...], np.float64)
        bias = -p * np.vdot(TARGET, d) / ((1 - p) * np.vdot(w - TARGET, d))
    _agree(*_paired(layer, nnx.Param, direction, h=0.1, n_groups=2 * GROUPS), bias)


@pytest.mark.slow
@pytest.mark.parametrize("noises", [{}, NOISES | {"read_noise": 0.0}], ids=["quantised", "quantised and noisy"])
@pytest.mark.parametrize(
    ("which", "value", "more"),
    [("input_range", 0.8, 1), ("input_range", 1.3, 5), ("output_range", 1.2, 1), ("output_range", 1.8, 6)],
)
def test_gradients_of_learned_ranges_are_those_of_the_expected_loss(which, value, more, noises):
    """Ranges that clip much and that clip little. Without read noise: it follows the inputs, whatever their range,
    which the gradient, to which noise is a constant, does not know."""
    layer = _layer(aimc.crossbar(dac_bits=4, adc_bits=4, input_range=1.0, adc_range=3.0, **noises), **{which: value})
    ones = jax.tree.map(jnp.ones_like, nnx.state(layer, nn.base.Range))
    _agree(*_paired(layer, nn.base.Range, ones, h=0.1 * value, n_groups=more * GROUPS))
