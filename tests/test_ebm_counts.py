"""Counts of a PCD step against a published example, sums done by hand, and XLA's own count of floating-point work."""

import jax
import jax.numpy as jnp
import pytest

from ebm.counts import pbit_counts, pcd_step_counts, pcd_step_operations, sweep_counts

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
    assert counts.write_cycles == 2 * 256  # a pair in two neighbouring rows
    bits_and_sums = reads_forward * (98 * 2 + 2 * 500 * 4) + reads_backward * (63 * 4 + 2 * 784 * 2)
    parameters = 784 * 500 + 784 + 500
    assert counts.buffer_bytes == bits_and_sums + 2 * 256 * 1284 + 28 * parameters
    assert counts.comparator_decisions == counts.memory_bytes == 0


def test_one_unit_each_way_counts_one_of_everything():
    counts = pcd_step_counts(1, 1, batch=1, chains=1, gibbs_steps=1)
    assert (counts.analog_macs, counts.array_cycles, counts.dac_samples, counts.adc_samples) == (4, 4, 4, 4)
    assert counts.digital_ops == 3 * 2 + 2 * 2
    assert (counts.cell_writes, counts.write_cycles) == (2, 2)


def test_tiles_change_conversions_and_sums_but_not_the_multiplications():
    whole = pcd_step_counts(**MNIST, rows=1024, cols=1024)
    cut = pcd_step_counts(**MNIST, rows=128, cols=128)
    assert whole.analog_macs == cut.analog_macs
    assert whole.digital_flops == cut.digital_flops
    assert whole.adc_samples < cut.adc_samples
    assert whole.digital_ops < cut.digital_ops
    assert whole.write_cycles == 2 * 784


def test_one_sweep_of_a_step_is_the_difference_of_two_steps_with_and_without_it():
    for neuron, array in (("adc", {}), ("comparator", {"rows": 784, "cols": 500})):
        one, two = (pcd_step_counts(**MNIST | array | {"gibbs_steps": steps}, neuron=neuron) for steps in (1, 2))
        sweep = sweep_counts(784, 500, chains=128, neuron=neuron, **array).as_dict()
        assert {name: two.as_dict()[name] - count for name, count in one.as_dict().items()} == sweep
    assert sweep["comparator_decisions"] == 128 * 1284
    assert sweep["buffer_bytes"] == 128 * (98 + 63)  # one bit an input: 784 and 500 of them, in whole bytes
    assert sweep_counts(784, 500, random_bits=8).random_bits == 8 * 1284


def test_comparators_are_not_counted_where_they_cannot_be_built():
    """An array with fewer lines than inputs is what `analog.program` refuses too, by the same name."""
    for array, said in (
        ({}, "rows must hold all 784 inputs, got 256"),
        ({"rows": 784}, "cols must hold all 500 .* 256"),
    ):
        with pytest.raises(ValueError, match=said):
            sweep_counts(784, 500, neuron="comparator", **array)
        with pytest.raises(ValueError, match=said):
            pcd_step_counts(**MNIST, neuron="comparator", **array)


@pytest.mark.parametrize("name", ["nodes", "sweeps", "chains", "reads", "writes"])
def test_a_chip_of_p_bits_needs_whole_sizes(name):
    sizes = {"nodes": 1, "sweeps": 1, "chains": 1, "reads": 0, "writes": 0}
    with pytest.raises(ValueError, match=f"{name} must be at least"):
        pbit_counts(**sizes | {name: sizes[name] - 1})
    with pytest.raises(ValueError, match="neuron must be one of adc, comparator, got 'sigmoid'"):
        sweep_counts(2, 2, neuron="sigmoid")


def test_flops_of_a_sweep_agree_with_xla():
    """An unrolled sweep on given uniforms against one sweep more in ours, its random numbers left out."""

    def sweep(visible, weights, visible_bias, hidden_bias, hidden_uniform, visible_uniform):
        hidden = (hidden_uniform < jax.nn.sigmoid(visible @ weights + hidden_bias)).astype(jnp.float32)
        return (visible_uniform < jax.nn.sigmoid(hidden @ weights.T + visible_bias)).astype(jnp.float32)

    shapes = ((128, 784), (784, 500), (784,), (500,), (128, 500), (128, 784))
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    xla = jax.jit(sweep).lower(*arguments).compile().cost_analysis()["flops"]
    one, two = (pcd_step_operations(**MNIST | {"gibbs_steps": steps})[0] for steps in (1, 2))
    assert two.flops - one.flops == 2 * 2 * 128 * 784 * 500
    assert xla == pytest.approx(two.flops - one.flops, rel=0.01)
    drawn = 128 * (784 + 500)
    assert two.vector_flops - one.vector_flops == (20 + 3) * drawn
    assert two.bytes == one.bytes  # weights and chains stay on chip between sweeps


def test_flops_of_the_gradient_agree_with_xla():
    from ebm import losses, rbm

    params = rbm.Rbm(*(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((784, 500), (784,), (500,))))
    rows = jax.ShapeDtypeStruct((128, 784), jnp.float32)
    gradient = jax.grad(lambda p, data, samples: losses.contrastive(rbm.free_energy, p, data, samples))
    xla = jax.jit(gradient).lower(params, rows, rows).compile().cost_analysis()["flops"]
    one, two = (pcd_step_operations(**MNIST | {"gibbs_steps": steps})[0].flops for steps in (1, 2))
    assert xla == pytest.approx(one - (two - one), rel=0.02)  # what is left of the step without its sweep


def test_the_kernels_of_a_step_move_what_a_pencil_says():
    parameters = 784 * 500 + 784 + 500
    sampling, adam = pcd_step_operations(**MNIST)
    assert sampling.bytes == 2 * (128 * 784 + 2 * 128 * 1284 + 3 * parameters)
    assert adam == ("Adam", 0, 13 * parameters, 28 * parameters)
    assert pcd_step_operations(**MNIST, bytes_per_value=4)[0].bytes == 2 * sampling.bytes
    # What the array keeps digital is what the GPU does after sampling: the same gradient and the same update.
    counts = pcd_step_counts(**MNIST)
    assert counts.vector_flops == adam.vector_flops
    assert counts.digital_flops == 256 * (2 * 784 * 500 + 784 + 500)
    assert 2 * counts.analog_macs + counts.digital_flops == sampling.flops


@pytest.mark.parametrize("name", ["n_visible", "n_hidden", "batch", "chains", "gibbs_steps"])
def test_empty_sizes_are_refused(name):
    for function in (pcd_step_counts, pcd_step_operations):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            function(**MNIST | {name: 0})
