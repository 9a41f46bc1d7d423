"""The units of work, counted with a pencil, and the same work on both sides of a ratio."""

import jax
import pytest

from cost_bridge import CHIPS, evaluate
from cost_bridge.digital.flops import model, parameters, training_ops
from cost_bridge.workloads import ON_ARRAY, gpt3_step, mlp_step, rbm_step, sat_solution, transformer_counts
from hnn_sat import random_ksat
from hnn_sat.statistics import IterationsToSolution

ITS = IterationsToSolution(46_051.7, 40_000.0, 53_000.0, 10_000.0, 0.99, 128, 128)
LAYERS = ((64, 128), (128, 128), (128, 10))
WEIGHTS = sum(a * b for a, b in LAYERS)
PARAMETERS = WEIGHTS + 128 + 128 + 10


def test_the_digits_step_is_what_a_pencil_says():
    """64-128-128-10 at batch 128; a ReRAM tile is 128 x 256 weights, a capacitor tile 64 x 64."""
    work = mlp_step()
    ops = work.ops(128)
    assert len(ops) == 3 + 3 + 2 + 2  # forward, weight gradient, input gradient but for the first layer, loss, Adam
    assert sum(op.flops for op in ops) == 2 * 128 * (3 * WEIGHTS - 64 * 128)
    assert sum(op.launches for op in ops) == 10
    adam = ops[-1]
    assert (adam.flops, adam.vector_flops, adam.bytes) == (0, 12 * PARAMETERS, 28 * PARAMETERS)
    reram, capacitor = work.analog["reram"], work.analog["capacitor"]
    assert (reram.tiles, capacitor.tiles) == (1 + 1 + 1, 2 + 4 + 2)
    assert reram.cells == capacitor.cells == reram.counts["cell_writes"] == 2 * WEIGHTS
    assert reram.counts["write_cycles"] == 256
    assert capacitor.counts["write_cycles"] == 128
    # Steps for equal quality: between as many as digital training takes and as many as were run, twice.
    assert reram.repeats.value * reram.repeats.factor == pytest.approx(2.0)
    assert reram.repeats.value / reram.repeats.factor == pytest.approx(1.0)


def test_a_step_computes_as_much_on_an_array_and_its_coprocessor_as_on_a_gpu():
    """Products on the array plus digital products equal the GPU's; so does the optimiser's arithmetic and traffic."""
    for work, batch in ((mlp_step(), 128), (rbm_step(), 128)):
        ops = work.ops(batch)
        for analog in work.analog.values():
            counts = analog.counts
            assert 2 * counts["analog_macs"] + counts["digital_flops"] == sum(op.flops for op in ops)
            assert counts["vector_flops"] == ops[-1].vector_flops
            assert counts["buffer_bytes"] > ops[-1].bytes  # Adam's state passes through on-chip memory, and more


def test_gpt3_leaves_to_the_gpu_what_the_array_does_not_do():
    shape, sequences = model("gpt3"), 1562
    tokens = sequences * 2048
    ops = training_ops(shape, sequences)
    counts = transformer_counts(shape, sequences, rows=128, cols=256)
    weights = 96 * 12 * 12288**2
    assert counts.analog_macs == 2 * tokens * weights
    assert 2 * counts.analog_macs + counts.digital_flops == sum(op.flops for op in ops)
    assert counts.vector_flops == sum(op.vector_flops for op in ops)
    on_gpu = [op for op in ops if op.name not in ON_ARRAY]
    gradients = 96 * sum(2 * (tokens * a + tokens * b + a * b) for a, b in _matrices())
    assert counts.memory_bytes == sum(op.bytes for op in on_gpu) + gradients
    assert counts.kernel_launches == sum(op.launches for op in on_gpu) + 96 * 4
    assert len(ON_ARRAY) + len(on_gpu) == len(ops)
    assert counts.array_cycles == 2 * (tokens + 4 * 96)
    work = gpt3_step()
    assert work.state_bytes == 16 * parameters(shape)
    assert work.analog["capacitor"].tiles == weights // 64**2
    assert work.analog["reram"].tiles == weights // (128 * 256)


def _matrices():
    return (12288, 3 * 12288), (12288, 12288), (12288, 4 * 12288), (4 * 12288, 12288)


def test_a_solution_takes_its_flips_and_tiles_for_both_directions():
    problem = random_ksat(jax.random.key(0), 250, 4.2)
    work = sat_solution(problem, ITS)
    assert work.repeats.value * work.batch == pytest.approx(ITS.value)
    assert work.repeats.factor == pytest.approx((ITS.high / ITS.low) ** 0.5)
    reram = work.analog["reram"]
    assert reram.binary_reads
    assert reram.tiles == 4 * 5 + 9 * 2  # 500 x 1050 and 1050 x 500 weights on tiles of 128 x 256
    assert reram.counts["analog_macs"] == 128 * 2 * 500 * 1050
    with pytest.raises(ValueError, match="none of 8 runs solved the formula"):
        sat_solution(problem, ITS._replace(n_solved=0, n_runs=8))


@pytest.mark.parametrize("unit", [mlp_step, rbm_step, gpt3_step])
def test_every_machine_of_a_unit_has_a_row_at_every_boundary_it_has(unit):
    rows = evaluate(unit(), draws=200).rows
    gpus = {row["hardware"] for row in rows if "H100" in row["hardware"]}
    chips = {chip.label for chip in CHIPS.values()}
    assert len(gpus) == (1 if unit is gpt3_step else 2)  # GPT-3's published batch saturates already
    assert {(row["hardware"], row["boundary"]) for row in rows} == {
        (hardware, boundary) for hardware in gpus | chips for boundary in ("array", "chip", "wall plug")
    }


def test_a_timing_is_its_median_with_a_factor_that_spans_what_was_seen():
    from cost_bridge.measure import cpu_seconds, rate

    seen = rate([0.4, 0.1, 0.2])
    assert seen.value == 0.2
    assert seen.factor == pytest.approx(2.0)
    assert rate([1.0, 1.0]).factor == 1.05
    with pytest.raises(ValueError, match="time more work at once"):
        rate([0.0, 1.0])
    calls = []
    busy = cpu_seconds(lambda: calls.append(sum(range(200_000))), per=4, rounds=3)
    assert len(calls) == 1 + 3  # the first one warms up
    assert busy.value > 0
