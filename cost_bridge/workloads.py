"""The four units of work of the headline table: what each asks of a GPU, of an array, and what it took on this CPU.

The only file of this package that knows the other three.
"""

import time
from dataclasses import replace
from itertools import pairwise
from math import sqrt
from typing import NamedTuple

import jax

import aimc
import ebm.run
import ebm.settings
from aimc import digits
from aimc.counts import ADAM_BYTES, ADAM_FLOPS, Counts, matmul_counts, program_counts, tiles, training_step_counts
from ebm import data as binary_data
from ebm.counts import PHILOX_OPS, pcd_step_counts, pcd_step_operations
from hnn_sat import Problem, Schedule, solve
from hnn_sat.counts import check_counts, iteration_counts, sizes, walksat_counts
from hnn_sat.statistics import IterationsToSolution, iterations_to_solution

from .analog import AnalogWork
from .digital.flops import Transformer, model, parameters, training_ops
from .digital.gpu import Op
from .measure import cpu_seconds, rate
from .rates import load
from .uncertainty import Rate
from .work import Measured, Workload

GEOMETRY = {"reram": aimc.presets.reram_neurram(), "capacitor": aimc.presets.capacitor()}
"""Tile of each priced chip: the same arrays that are simulated."""

BATCH = 128
MORE_STEPS = Rate(1.3, 1.5, "assumption", "engineering estimate: steps on arrays for one digital step of equal quality")
"""Where nobody has measured what noise costs in steps."""


def mlp_step(cpu: Rate | None = None, *, widths: tuple[int, ...] = digits.WIDTHS, batch: int = BATCH) -> Workload:
    """One Adam step of the digits network at batch 128. `cpu`: measured CPU seconds of it, if there are any."""
    layers = list(pairwise(widths))
    n_parameters = sum(a * b + b for a, b in layers)

    def ops(batch: int) -> list[Op]:
        """Bias, ReLU and their derivatives ride on the product they follow."""
        found = []
        for i, (a, b) in enumerate(layers):
            product, moved = 2 * batch * a * b, 2 * (batch * a + a * b + batch * b)
            found.append(Op(f"layer {i}, forward", product, moved, vector_flops=2 * batch * b))
            found.append(Op(f"layer {i}, weight gradient", product, moved, vector_flops=batch * b))
            if i > 0:
                found.append(Op(f"layer {i}, input gradient", product, moved, vector_flops=batch * a))
        outputs = batch * widths[-1]
        found.append(Op("softmax, loss and its gradient", 0, 4 * outputs, vector_flops=10 * outputs))
        found.append(Op("Adam", 0, ADAM_BYTES * n_parameters, vector_flops=ADAM_FLOPS * n_parameters))
        return found

    # Noise-aware training is given twice the epochs; benchmarks/digits.py says what it reaches with as many.
    epochs = digits.NOISE_AWARE.epochs / digits.DIGITAL.epochs
    more_steps = Rate(
        sqrt(epochs), sqrt(epochs), "measured", "epochs of noise-aware over digital training on the digits"
    )
    return Workload(
        name="digits MLP step",
        unit=f"one optimiser step of the {'-'.join(map(str, widths))} network at batch {batch}",
        batch=batch,
        ops=ops,
        analog={
            chip: AnalogWork(
                counts=training_step_counts(widths, batch, rows=spec.rows, cols=spec.cols).as_dict(),
                tiles=sum(tiles(a, b, rows=spec.rows, cols=spec.cols) for a, b in layers),
                cells=2 * sum(a * b for a, b in layers),
                repeats=more_steps,
            )
            for chip, spec in GEOMETRY.items()
        },
        measured=_on_this_cpu(cpu),
    )


def rbm_step(cpu: Rate | None = None, *, settings: ebm.run.Settings | None = None, n_visible: int = 64) -> Workload:
    """One PCD step of the RBM, 10 Gibbs sweeps of 128 chains. `cpu`: measured CPU seconds of it, if there are any.

    Sampling has not been simulated on an array here; the array columns are prices of its products. Inputs are bits,
    outputs 8-bit codes, an operating point that NeuRRAM has not published: priced at 8-bit inputs, an upper bound.
    """
    chosen = ebm.run.Settings() if settings is None else settings

    def ops(chains: int) -> list[Op]:
        steps = pcd_step_operations(
            n_visible, chosen.hidden, batch=chains, chains=chains, gibbs_steps=chosen.gibbs_steps
        )
        return [Op(step.name, step.flops, step.bytes, vector_flops=step.vector_flops) for step in steps]

    return Workload(
        name="RBM PCD-10 step" if chosen.gibbs_steps == 10 else f"RBM PCD-{chosen.gibbs_steps} step",
        unit=f"one PCD-{chosen.gibbs_steps} step of an RBM({chosen.hidden}) with {chosen.chains} chains",
        batch=chosen.chains,
        ops=ops,
        analog={
            chip: AnalogWork(
                counts=pcd_step_counts(
                    n_visible,
                    chosen.hidden,
                    batch=chosen.batch,
                    chains=chosen.chains,
                    gibbs_steps=chosen.gibbs_steps,
                    rows=spec.rows,
                    cols=spec.cols,
                ).as_dict(),
                tiles=tiles(n_visible, chosen.hidden, rows=spec.rows, cols=spec.cols),
                cells=2 * n_visible * chosen.hidden,
                repeats=MORE_STEPS,
            )
            for chip, spec in GEOMETRY.items()
        },
        measured=_on_this_cpu(cpu),
    )


def sat_solution(
    problem: Problem, its: IterationsToSolution, flip: Rate | None = None, *, replicas: int = 128
) -> Workload:
    """A solution of one formula with probability 99 %: as many flips, over all replicas, as `its` says.

    The pass that is priced is one flip of each replica; an array makes them one after the other. The search ran
    digitally: the array columns are prices of the machine's two products, with an exact count of the violated clauses
    kept beside the arrays, at as many flips give or take. A saturated
    GPU has more replicas than one formula can use and has to search many formulas at once. `flip`: measured CPU
    seconds of one flip of one replica, if there are any. Raises ValueError if no run was solved: ITS is then unknown.
    """
    if its.n_solved == 0:
        raise ValueError(f"none of {its.n_runs} runs solved the formula, so its cost per solution is not known")
    repeats = Rate(
        its.value / replicas, sqrt(its.high / its.low), "measured", f"{its.n_solved} solved runs, exponential law"
    )
    n, m, _ = shape = sizes(problem)
    per_flip = walksat_counts(shape)

    def ops(replicas: int) -> list[Op]:
        arithmetic = per_flip.digital_ops + PHILOX_OPS * per_flip.random_bits // 32
        moved = replicas * per_flip.memory_bytes
        return [Op("one flip of every replica", 0, moved, vector_flops=replicas * arithmetic)]

    def incidence_tiles(rows: int, cols: int) -> int:
        return tiles(2 * n, m, rows=rows, cols=cols) + tiles(m, 2 * n, rows=rows, cols=cols)

    return Workload(
        name="3-SAT solution",
        unit=f"one 99 %-probability solution of {n} variables in {m} clauses ({its.value:,.0f} flips)",
        batch=replicas,
        ops=ops,
        repeats=repeats,
        analog={
            chip: AnalogWork(
                counts=(
                    replicas * (iteration_counts(shape, rows=spec.rows, cols=spec.cols) + check_counts(shape))
                ).as_dict(),
                tiles=incidence_tiles(spec.rows, spec.cols),
                cells=2 * 2 * 2 * n * m,
                binary_reads=True,
                repeats=Rate(
                    1.0, 1.5, "assumption", "engineering estimate: noise of the array changes the flips needed"
                ),
            )
            for chip, spec in GEOMETRY.items()
        },
        measured=_on_this_cpu(None if flip is None else flip._replace(value=flip.value * replicas), per_pass=True),
    )


def gpt3_step() -> Workload:
    """One training step of GPT-3 175B at its published batch of 3.2 M tokens, from shapes alone (Brown et al. 2020).

    On the array: every weight matrix, forward and for the input gradient. Digital: attention scores and values (both
    operands change with every token), weight gradients, Adam; the embedding is looked up and its transpose, the logits,
    is digital too. The quality of training such a model on arrays has not been measured by anyone: this is a price.
    """
    shape = model("gpt3")
    rates = load()
    sequences = round(rates["models.gpt3.batch_tokens"].value / shape.context)

    def analog(rows: int, cols: int) -> AnalogWork:
        return AnalogWork(
            counts=transformer_counts(shape, sequences, rows=rows, cols=cols).as_dict(),
            tiles=sum(tiles(a, b, rows=rows, cols=cols) for a, b in _matrices(shape)),
            cells=2 * sum(a * b for a, b in _matrices(shape)),
            repeats=MORE_STEPS,
        )

    return Workload(
        name="GPT-3 training step",
        unit=f"one optimiser step of GPT-3 175B at {sequences * shape.context / 1e6:.1f} M tokens",
        batch=sequences,
        ops=lambda sequences: training_ops(shape, sequences),
        analog={chip: analog(spec.rows, spec.cols) for chip, spec in GEOMETRY.items()},
        state_bytes=16 * parameters(shape),
    )


ON_ARRAY = ("query, key, value", "attention output", "feed-forward up", "feed-forward down")
"""The products of `training_ops` whose forward and input-gradient thirds an array does."""


def transformer_counts(shape: Transformer, sequences: int, *, rows: int, cols: int) -> Counts:
    """One training step of a decoder whose weight matrices live in arrays: see `gpt3_step` for what stays digital.

    All layers work at once on different tokens, so each direction takes one cycle a token, plus one a layer to fill.
    """
    tokens = sequences * shape.context
    total = Counts()
    for a, b in _matrices(shape):
        forward = matmul_counts(tokens, a, b, rows=rows, cols=cols)
        backward = matmul_counts(tokens, b, a, rows=cols, cols=rows)
        gradient = Counts(
            digital_flops=2 * tokens * a * b, memory_bytes=2 * (tokens * a + tokens * b + a * b), kernel_launches=1
        )
        total += _in_parallel(forward + backward + program_counts(a, b, rows=rows)) + gradient
    for op in training_ops(shape, sequences):
        if op.name not in ON_ARRAY:
            total += Counts(
                digital_flops=op.flops,
                vector_flops=op.vector_flops,
                memory_bytes=op.bytes,
                kernel_launches=op.launches,
            )
    return total + Counts(array_cycles=2 * (tokens + len(ON_ARRAY) * shape.layers), write_cycles=2 * rows)


def headline(problem: Problem, search: "SatRun") -> list[Workload]:
    """The four units of the table, the digits network and the RBM timed on this CPU now (about ten seconds)."""
    return [
        mlp_step(measured_mlp_step()),
        rbm_step(measured_rbm_step()),
        sat_solution(problem, search.its, search.flip),
        gpt3_step(),
    ]


def measured_mlp_step(*, epochs: int = 10) -> Rate:
    """CPU seconds of one step of training the digits network on this machine, as `aimc.digits.train` does it."""
    data = digits.load().development
    training = digits.DIGITAL._replace(epochs=epochs)
    train = jax.jit(lambda key: digits.train(key, data, training))
    key = jax.random.key(0)
    return cpu_seconds(lambda: jax.block_until_ready(train(key)), per=epochs * (data.y.size // training.batch))


def measured_rbm_step(*, chunks: int = 6) -> Rate:
    """CPU seconds of one PCD step on this machine, as `ebm train` does it."""
    settings = ebm.run.Settings(steps=chunks * ebm.settings.CHUNK)
    clock: list[float] = []
    train_rows = binary_data.digits().train
    ebm.run.fit(settings, train_rows, after_chunk=lambda state, info: clock.append(time.process_time()))
    # The first chunk contains the compilation.
    return rate([(end - begin) / ebm.settings.CHUNK for begin, end in pairwise(clock)][1:])


class SatRun(NamedTuple):
    """Independent searches of one formula: flips each took, whether it ended in a solution, CPU seconds a flip."""

    n_flips: list[int]
    solved: list[bool]
    flip: Rate
    its: IterationsToSolution


def measured_sat_run(key: jax.Array, problem: Problem, *, replicas: int = 128, time_limit_s: float = 60.0) -> SatRun:
    """Run every replica to its own solution, or to the time limit, and say what a solution takes.

    A flip is timed apart, while (nearly) all replicas are still searching: one that is done costs as much as the rest.
    """
    result = solve(key, problem, Schedule(replicas=replicas), until="all", time_limit_s=time_limit_s)
    short = Schedule(replicas=replicas, max_flips=2_000)
    flip = cpu_seconds(
        lambda: jax.block_until_ready(solve(key, problem, short, until="all")), per=replicas * short.max_flips
    )
    its = iterations_to_solution(result.n_flips, result.solved)
    return SatRun([int(n) for n in result.n_flips], [bool(one) for one in result.solved], flip, its)


def _matrices(shape: Transformer) -> list[tuple[int, int]]:
    d, f = shape.width, shape.feed_forward
    return [(d, 3 * d), (d, d), (d, f), (f, d)] * shape.layers


def _in_parallel(counts: Counts) -> Counts:
    """The same events without their time: it is that of the whole pipeline, counted once."""
    return replace(counts, array_cycles=0, write_cycles=0)


def _on_this_cpu(seconds: Rate | None, *, per_pass: bool = False) -> tuple[Measured, ...]:
    return () if seconds is None else (Measured(hardware="this CPU, one core", seconds=seconds, per_pass=per_pass),)
