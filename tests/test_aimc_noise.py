"""The normal numbers: the bits of jax.random, the quantiles of SciPy, the moments of a Gaussian."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from aimc.noise import normal, random_bits, uniform

KEY = jax.random.key(11)


@pytest.mark.parametrize("shape", [(), (7,), (33, 129), (2, 3, 5)])
def test_the_bits_are_those_of_jax_random(shape):
    for key in (KEY, *jax.random.split(KEY, 3), jax.random.fold_in(KEY, 2**31)):
        assert np.array_equal(random_bits(key, shape), jax.random.bits(key, shape))
        assert np.array_equal(uniform(key, shape), jax.random.uniform(key, shape))


def test_the_transformation_is_the_gaussian_quantile_function():
    """Against SciPy in float64 on the same bits: within 2e-4 up to 4 standard deviations, 1e-2 beyond (float32 of 1
    − u²)."""
    n = 400_000
    u = (np.asarray(random_bits(KEY, (n,))) >> 9).astype(np.float64) * 2.0**-22 - (1 - 2.0**-23)
    exact = stats.norm.ppf(0.5 * (1 + u))
    ours = np.asarray(jax.jit(lambda key: normal(key, (n,)))(KEY), np.float64)
    error = np.abs(ours - exact)
    assert error[np.abs(exact) < 4].max() < 2e-4
    assert error.max() < 1e-2


def test_a_large_sample_has_the_moments_and_the_law_of_a_gaussian():
    """4.2 M numbers: mean, variance, skewness, kurtosis, tail counts with |z| < 4.5, Kolmogorov–Smirnov p > 1e-4."""
    n = 2**22
    x = np.asarray(jax.jit(lambda key: normal(key, (2048, n // 2048)))(KEY), np.float64)
    flat = x.ravel()
    assert abs(flat.mean() * np.sqrt(n)) < 4.5
    assert abs((flat.var() - 1) / np.sqrt(2 / n)) < 4.5
    assert abs(stats.skew(flat) / np.sqrt(6 / n)) < 4.5
    assert abs(stats.kurtosis(flat) / np.sqrt(24 / n)) < 4.5
    for threshold in (1.0, 3.0, 4.0, 4.75):
        expected = 2 * n * stats.norm.sf(threshold)
        assert abs((np.abs(flat) > threshold).sum() - expected) / np.sqrt(expected) < 4.5
    assert stats.kstest(flat, "norm").pvalue > 1e-4
    for a, b in ((flat[:-1], flat[1:]), (x[:-1].ravel(), x[1:].ravel())):  # neighbours in a row and in a column
        assert abs(np.mean(a * b) * np.sqrt(a.size)) < 4.5
    other = np.asarray(normal(jax.random.split(KEY)[0], x.shape), np.float64)
    assert abs(np.mean(x * other) * np.sqrt(n)) < 4.5


def test_keys_of_another_generator_are_served_by_jax_random():
    key = jax.random.key(3, impl="rbg")
    assert np.array_equal(normal(key, (5, 4)), jax.random.normal(key, (5, 4)))
    assert np.array_equal(uniform(key, (5, 4)), jax.random.uniform(key, (5, 4)))


def test_nothing_is_stored_between_bits_and_use():
    """Drawing and adding takes no temporary memory, and vmap over keys agrees with key by key."""
    x = jnp.zeros((64, 512))
    compiled = jax.jit(lambda key, x: x + normal(key, x.shape)).lower(KEY, x).compile()
    assert compiled.memory_analysis().temp_size_in_bytes <= 64
    keys = jax.random.split(KEY, 3)
    together = jax.vmap(lambda key: normal(key, (8,)))(keys)
    assert np.array_equal(together, np.stack([normal(key, (8,)) for key in keys]))
