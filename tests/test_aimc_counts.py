"""Counting: by hand on small shapes, and against the compiler's own figure."""

import itertools

import jax
import jax.numpy as jnp
import pytest

import aimc
from aimc.counts import (
    Counts,
    matmul_counts,
    program_counts,
    read_counts,
    tiles,
    training_step_counts,
    write_counts,
)


def test_a_product_is_counted_by_hand():
    """5 vectors, 300 × 70 weights on 128 × 64 tiles: 3 row tiles, 2 column tiles."""
    counts = matmul_counts(5, 300, 70, rows=128, cols=64)
    assert counts.analog_macs == 5 * 300 * 70
    assert counts.dac_samples == 5 * 300 * 2
    assert counts.adc_samples == 5 * 70 * 3
    assert counts.array_cycles == 5
    assert counts.digital_ops == 5 * (2 * 300 + 3 * 70)
    assert counts.buffer_bytes == 5 * (300 * 2 + 2 * 70 * 3)
    assert tiles(300, 70, rows=128, cols=64) == 6
    assert program_counts(300, 70, rows=128) == Counts(cell_writes=42_000, write_cycles=256)


def test_products_agree_with_the_compilers_flop_count():
    batch, n_in, n_out = 32, 64, 16
    compiled = jax.jit(jnp.matmul).lower(jnp.ones((batch, n_in)), jnp.ones((n_in, n_out))).compile()
    assert compiled.cost_analysis()["flops"] == 2 * matmul_counts(batch, n_in, n_out, rows=8, cols=8).analog_macs


def test_a_training_step_counts_what_its_gradient_computes():
    """Forward, input gradient of all layers but the first, weight gradient: the products of `jax.grad`, unrolled."""
    widths, batch = (12, 8, 6, 5), 16
    counts = training_step_counts(widths, batch, rows=64, cols=64)

    def loss(weights, x):
        for w in weights:
            x = x @ w
        return jnp.sum(x)

    weights = [jnp.ones(shape) for shape in itertools.pairwise(widths)]
    flops = jax.jit(jax.grad(loss)).lower(weights, jnp.ones((batch, 12))).compile().cost_analysis()["flops"]
    parameters = sum(a * b + b for a, b in itertools.pairwise(widths))
    # The last forward product does not feed a gradient of a sum, so the compiler drops it.
    products = 2 * counts.analog_macs + counts.digital_flops - 2 * batch * 6 * 5
    assert flops == pytest.approx(products, rel=0.05)
    assert counts.array_cycles == (16 + 2) + (16 + 1)
    assert counts.cell_writes == 2 * (12 * 8 + 8 * 6 + 6 * 5)
    assert counts.write_cycles == 2 * 12  # a pair in two neighbouring rows
    assert counts.vector_flops == 12 * parameters
    moved = sum(2 * (batch * (a + b) + a * b) for a, b in itertools.pairwise(widths))
    forward = sum(batch * (a + 2 * b) for a, b in itertools.pairwise(widths))
    backward = sum(batch * (b + 2 * a) for a, b in itertools.pairwise(widths[1:]))
    assert counts.buffer_bytes == moved + 28 * parameters + forward + backward


def test_counts_are_exact_integers_of_any_size():
    step = matmul_counts(3_200_000, 12_288, 49_152, rows=256, cols=256)
    assert (step * 96).analog_macs == 3_200_000 * 12_288 * 49_152 * 96  # 1.9e17: beyond 32 bits, exact
    assert step + Counts() == step
    assert 2 * step == step + step


@pytest.mark.parametrize("count", [-1, 1.5])
def test_impossible_counts_are_refused(count):
    with pytest.raises(Exception, match="adc_samples"):
        Counts(adc_samples=count)


def test_a_read_counts_slices_planes_dummies_and_its_readout():
    """By hand for 300 inputs, 70 outputs on 128 x 32 tiles: 3 row tiles, 2 slices of 3 column blocks, 7 bit planes."""
    mapping = aimc.Mapping("offset_column", n_slices=2, slice_bits=4)
    spec = aimc.crossbar(rows=128, cols=32, mapping=mapping, input_encoding="bit_serial", dac_bits=8)
    counts = read_counts(spec, 5, 300, 70)
    assert counts.analog_macs == 5 * 7 * (300 * 70 * 2 + 300 * 6)
    assert counts.dac_samples == 5 * 7 * 300 * 6
    assert counts.adc_samples == 5 * 7 * 70 * 2 * 3
    assert counts.array_cycles == 35
    plain = aimc.crossbar(rows=128, cols=32)
    assert read_counts(plain, 5, 300, 70) == matmul_counts(5, 300, 70, rows=128, cols=32)
    bare = read_counts(aimc.crossbar(adc_bits=None), 5, 300, 70)
    assert bare.adc_samples == 0
    digital = aimc.crossbar(mapping=aimc.Mapping("offset_digital"))
    assert read_counts(digital, 5, 300, 70).digital_ops == 5 * (2 * 300 + 2 * 70) + 5 * (300 + 70)


def test_writes_are_counted_as_they_happened():
    key, w = jax.random.key(0), jnp.ones((20, 10))
    once = aimc.program(key, w, aimc.crossbar(rows=7, write_noise=0.1))
    assert write_counts(once) == Counts(cell_writes=2 * 21 * 10, write_cycles=14)
    verify = aimc.WriteVerify(acceptance=1e-6, max_writes=3)
    middle = jnp.zeros_like(w)  # both cells of a pair half on, where no write clips at zero
    thrice = aimc.program(
        key, middle, aimc.crossbar(rows=7, write_noise=0.1, verify=verify, mapping=aimc.Mapping("two_sided"))
    )
    assert write_counts(thrice) == Counts(
        cell_writes=3 * 420, write_cycles=42, analog_macs=1260, adc_samples=1260, digital_ops=1260
    )
    dummies = aimc.program(key, w, aimc.crossbar(rows=7, cols=4, mapping=aimc.Mapping("offset_column")))
    assert write_counts(dummies).cell_writes == 21 * 10 + 21 * 3
