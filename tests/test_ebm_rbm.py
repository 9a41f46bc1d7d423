"""The RBM's energy, free energy, conditionals and partition function against sums over all states in plain Python."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ebm
from ebm import gibbs, losses, rbm


def states(n):
    return list(itertools.product((0, 1), repeat=n))


def plain_energy(params, v, h):
    """-v W h - a v - c h, term by term in Python floats."""
    weights, a, c = (np.asarray(leaf, np.float64).tolist() for leaf in params)
    total = 0.0
    for i, v_i in enumerate(v):
        total -= a[i] * v_i
        for j, h_j in enumerate(h):
            total -= v_i * weights[i][j] * h_j
    for j, h_j in enumerate(h):
        total -= c[j] * h_j
    return total


def plain_log_z(params):
    n_visible, n_hidden = params.weights.shape
    terms = [-plain_energy(params, v, h) for v in states(n_visible) for h in states(n_hidden)]
    largest = max(terms)
    return largest + math.log(math.fsum(math.exp(term - largest) for term in terms))


def model(n_visible, n_hidden, scale=1.0, seed=0):
    keys = jax.random.split(jax.random.key(seed), 3)
    shapes = ((n_visible, n_hidden), (n_visible,), (n_hidden,))
    return rbm.Rbm(*(scale * jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True)))


def test_energy_is_the_published_sum_of_terms():
    params = model(4, 3)
    for v in states(4):
        for h in states(3):
            ours = rbm.energy(params, jnp.array(v, jnp.float32), jnp.array(h, jnp.float32))
            assert float(ours) == pytest.approx(plain_energy(params, v, h), abs=1e-5)  # float32 sums of 19 terms


def test_free_energy_is_minus_the_log_of_the_sum_over_hidden_states():
    params = model(4, 3)
    for v in states(4):
        expected = -math.log(sum(math.exp(-plain_energy(params, v, h)) for h in states(3)))
        assert float(rbm.free_energy(params, jnp.array(v, jnp.float32))) == pytest.approx(expected, abs=1e-5)


def test_conditional_laws_match_the_joint_enumeration():
    params = model(4, 3)
    weight = {(v, h): math.exp(-plain_energy(params, v, h)) for v in states(4) for h in states(3)}
    for v in states(4):
        ours = jax.nn.sigmoid(rbm.hidden_logits(params, jnp.array(v, jnp.float32)))
        total = sum(weight[v, h] for h in states(3))
        for j in range(3):
            assert float(ours[j]) == pytest.approx(sum(weight[v, h] for h in states(3) if h[j]) / total, abs=1e-6)
    for h in states(3):
        ours = jax.nn.sigmoid(rbm.visible_logits(params, jnp.array(h, jnp.float32)))
        total = sum(weight[v, h] for v in states(4))
        for i in range(4):
            assert float(ours[i]) == pytest.approx(sum(weight[v, h] for v in states(4) if v[i]) / total, abs=1e-6)


@pytest.mark.parametrize(("n_visible", "n_hidden"), [(6, 4), (4, 6), (5, 5), (1, 1)])
@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0])
def test_log_partition_equals_the_sum_over_every_joint_state(n_visible, n_hidden, scale):
    params = model(n_visible, n_hidden, scale)
    assert ebm.log_partition(params) == pytest.approx(plain_log_z(params), rel=1e-12, abs=1e-12)


def test_log_partition_does_not_depend_on_how_the_sum_is_cut(monkeypatch):
    params = model(6, 5)
    whole = ebm.log_partition(params)
    monkeypatch.setattr("ebm.likelihood.CHUNK_VALUES", 20)  # 3 states at a time
    assert ebm.log_partition(params) == pytest.approx(whole, rel=1e-14)


def test_likelihoods_of_all_visible_states_sum_to_one():
    params = model(7, 3, scale=2.0)
    rows = np.array(states(7), np.float32)
    log_p = ebm.log_likelihood(params, rows)
    assert math.fsum(np.exp(log_p)) == pytest.approx(1.0, abs=1e-12)
    weight = math.fsum(math.exp(-plain_energy(params, tuple(rows[77].astype(int)), h)) for h in states(3))
    assert log_p[77] == pytest.approx(math.log(weight) - plain_log_z(params), abs=1e-12)


def test_hidden_units_without_weights_leave_independent_pixels():
    """W = 0: log p(v) is the sum of Bernoulli terms, whatever the size (closed form at 64 x 16)."""
    mean = np.linspace(0.05, 0.95, 64)
    params = rbm.init(jax.random.key(0), 64, 16, jnp.asarray(mean, jnp.float32))._replace(weights=jnp.zeros((64, 16)))
    rows = (np.random.default_rng(1).random((5, 64)) < mean).astype(np.float32)
    expected = (rows * np.log(mean) + (1 - rows) * np.log1p(-mean)).sum(axis=1)
    np.testing.assert_allclose(ebm.log_likelihood(params, rows), expected, atol=2e-5)  # biases are float32


def test_layers_beyond_22_units_are_refused_with_a_remedy():
    with pytest.raises(ValueError, match=r"at most 22 units, got 23 and 30; use at most 22 hidden units"):
        ebm.log_partition(model(30, 23))


def test_init_keeps_pixels_that_never_change_finite():
    params = rbm.init(jax.random.key(0), 3, 2, jnp.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(params.visible_bias, [-math.log(99), 0.0, math.log(99)], atol=1e-4)
    with pytest.raises(ValueError, match="n_hidden must be at least 1, got 0"):
        rbm.init(jax.random.key(0), 3, 0)


def dots(jaxpr):
    """Every dot_general of a jaxpr, those inside scans and calls included."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield equation
        for value in equation.params.values():
            for inner in value if isinstance(value, (tuple, list)) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    yield from dots(inner)


def test_every_product_keeps_full_float32_precision():
    params = model(5, 4)
    rows = jnp.ones((3, 5))
    chains = gibbs.Chains(rows, jnp.ones((3, 4)))
    functions = (
        lambda: gibbs.sweeps(jax.random.key(0), params, chains, 2),
        lambda: jax.grad(lambda p: losses.contrastive(rbm.free_energy, p, rows, rows))(params),
        lambda: rbm.energy(params, rows, chains.hidden),
    )
    for function in functions:
        found = list(dots(jax.make_jaxpr(function)().jaxpr))
        assert len(found) >= 2
        for equation in found:
            assert equation.params["precision"] == (jax.lax.Precision.HIGHEST, jax.lax.Precision.HIGHEST)
