"""Counts of a PCD step against a published example, sums done by hand, and XLA's own count of floating-point work."""

from collections import Counter

import jax
import jax.numpy as jnp
import pytest

from ebm.counts import pcd_step_counts, pcd_step_operations

MNIST = {"n_visible": 784, "n_hidden": 500, "batch": 128, "chains": 128, "gibbs_steps": 10}


def test_a_step_on_784_by_500_units_counts_what_a_pencil_does():
    """784 rows are 4 tiles of 256 and 500 columns are 2; 1.64e6 unit updates a step."""
    counts = pcd_step_counts(**MNIST)
    updates = 128 * 10 * (784 + 500)
    assert updates == 1_643_520
    assert counts.random_bits == 32 * updates
    reads_forward, reads_backward = 1280 + 128 + 128, 1280
    assert counts.array_cycles == reads_forward + reads_backward == 2816
    assert counts.analog_macs == 2816 * 784 * 500
    assert counts.dac_samples == reads_forward * 784 * 2 + reads_backward * 500 * 4
    assert counts.adc_samples == reads_forward * 500 * 4 + reads_backward * 784 * 2
    partial_sums = reads_forward * 500 * 3 + reads_backward * 784 * 1
    assert counts.digital_ops == 3 * updates + 2 * 256 * 500 + partial_sums
    assert counts.cell_writes == 2 * 784 * 500
    assert counts.write_cycles == 256
    parameters = 784 * 500 + 784 + 500
    assert counts.digital_flops == 256 * (2 * 784 * 500 + 784 + 500) + 12 * parameters
    assert counts.comparator_decisions == counts.memory_bytes == 0


def test_one_unit_each_way_counts_one_of_everything():
    counts = pcd_step_counts(1, 1, batch=1, chains=1, gibbs_steps=1)
    assert (counts.analog_macs, counts.array_cycles, counts.dac_samples, counts.adc_samples) == (4, 4, 4, 4)
    assert counts.digital_ops == 3 * 2 + 2 * 2
    assert (counts.cell_writes, counts.write_cycles) == (2, 1)


def test_tiles_change_conversions_and_sums_but_not_the_multiplications():
    whole = pcd_step_counts(**MNIST, rows=1024, cols=1024)
    cut = pcd_step_counts(**MNIST, rows=128, cols=128)
    assert whole.analog_macs == cut.analog_macs
    assert whole.digital_flops == cut.digital_flops
    assert whole.adc_samples < cut.adc_samples
    assert whole.digital_ops < cut.digital_ops
    assert whole.write_cycles == 784


def test_flops_of_the_gibbs_products_agree_with_xla():
    """An unrolled sweep on given uniforms: XLA adds bias, sigmoid and comparison, below 1 % of the products."""

    def sweep(visible, weights, visible_bias, hidden_bias, hidden_uniform, visible_uniform):
        hidden = (hidden_uniform < jax.nn.sigmoid(visible @ weights + hidden_bias)).astype(jnp.float32)
        return (visible_uniform < jax.nn.sigmoid(hidden @ weights.T + visible_bias)).astype(jnp.float32)

    shapes = ((128, 784), (784, 500), (784,), (500,), (128, 500), (128, 784))
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    xla = jax.jit(sweep).lower(*arguments).compile().cost_analysis()["flops"]
    operations = pcd_step_operations(**MNIST | {"gibbs_steps": 1})
    ours = sum(operation.flops for operation in operations if operation.name in ("hidden draw", "visible draw"))
    products = 2 * 2 * 128 * 784 * 500
    assert 0 <= ours - products <= 0.01 * products
    assert xla == pytest.approx(ours, rel=0.01)


def test_flops_of_the_gradient_agree_with_xla():
    from ebm import losses, rbm

    params = rbm.Rbm(*(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((784, 500), (784,), (500,))))
    rows = jax.ShapeDtypeStruct((128, 784), jnp.float32)
    gradient = jax.grad(lambda p, data, samples: losses.contrastive(rbm.free_energy, p, data, samples))
    xla = jax.jit(gradient).lower(params, rows, rows).compile().cost_analysis()["flops"]
    names = ("data probabilities", "chain probabilities", "data statistics", "chain statistics")
    ours = sum(operation.flops for operation in pcd_step_operations(**MNIST) if operation.name in names)
    assert xla == pytest.approx(ours, rel=0.02)  # XLA's softplus derivative costs a few more operations a unit


def test_operations_are_the_kernels_of_a_step_with_their_traffic():
    operations = pcd_step_operations(**MNIST)
    assert Counter(operation.name for operation in operations) == {
        "random numbers": 20,
        "hidden draw": 10,
        "visible draw": 10,
        "data probabilities": 1,
        "chain probabilities": 1,
        "data statistics": 1,
        "chain statistics": 1,
        "Adam": 1,
    }
    draw = next(operation for operation in operations if operation.name == "hidden draw")
    assert draw.bytes == 4 * (128 * 784 + 784 * 500 + 500 + 128 * 500) + 4 * 128 * 500
    half = next(
        operation for operation in pcd_step_operations(**MNIST, bytes_per_value=2) if operation.name == draw.name
    )
    assert half.bytes == draw.bytes - 2 * (128 * 784 + 784 * 500 + 500 + 128 * 500)
    assert half.flops == draw.flops
    assert all(isinstance(number, int) and number > 0 for operation in operations for number in operation[1:])


@pytest.mark.parametrize("name", ["n_visible", "n_hidden", "batch", "chains", "gibbs_steps"])
def test_empty_sizes_are_refused(name):
    for function in (pcd_step_counts, pcd_step_operations):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            function(**MNIST | {name: 0})
