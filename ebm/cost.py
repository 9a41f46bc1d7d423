"""What a run asked of the hardware, for the command line to price: events a step and an effective sample, nats gained.

Counts are exact, from shapes; CPU seconds are measured here. No price enters.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aimc.counts import Counts, tiles
from ebm import counts, diagnostics, hardware, run, settings, train, trust
from ebm import evaluate as evaluation
from ebm.counts import Operation
from ebm.evaluate import DIGITAL
from ebm.hardware import Hardware
from ebm.likelihood import log_likelihood, log_partition_independent
from ebm.samplers import gibbs
from ebm.trust import EFFORT

TIMED_STEPS = 200
TIMED_SWEEPS = 500
IDEAL = "the ideal chain"


class OnArray(NamedTuple):
    """Events of a training step and of an effective sample (None where tau_int is not known), on tiles of a size."""

    step: Counts
    sample: Counts | None
    tiles: int


class Mixing(NamedTuple):
    """Integrated autocorrelation time of chains in sweeps: None where they were too short, which `refused` then says.

    `of`: the machine whose chains they were, in words.
    """

    tau_int: float | None
    refused: str | None
    of: str


class Work(NamedTuple):
    """What has to be paid for, an effective sample being τ sweeps and its share of the burn-in, read out once.

    `mixing`: of the ideal chain, which stands for p-bits, GPU and CPU. `array_mixing`: of the crossbars, measured on
    a simulated chip where hardware was named. `burn_in_share`: sweeps of burn-in for each sweep that was looked at.
    `gained_nats`: log-likelihood of a row of `gained_on`, over that of the model of the biases alone. The GPU's
    operations of a sample are those of `chains` chains at once.
    """

    steps: int
    chains: int
    gained_nats: float
    gained_on: str
    mixing: Mixing
    array_mixing: Mixing
    burn_in_share: float
    arrays: dict[str, OnArray]
    pbits: OnArray  # the negative phase alone: the gradient is digital anyway
    gpu_step: list[Operation]
    gpu_sample: list[Operation] | None
    cpu_step_s: float
    cpu_sample_s: float | None


def work(directory: Path, sizes: Mapping[str, tuple[int, int]], chosen_hardware: Hardware = DIGITAL) -> Work:
    """The work of a finished run, on arrays of `sizes` (rows, columns of a tile) among other machines.

    With an array in `chosen_hardware`, crossbars sample with its neurons at the τ of such a chip, simulated here.
    Without, at the τ of the ideal chain, which no chip need have. No row of data is looked at for that.
    Nats are those of validation rows, without validation those of the test rows. Raises ValueError for a run that is
    not finished, or was not trained by chains of a Bernoulli RBM.
    """
    found = run.model(directory)
    chosen = found.settings
    if chosen.model != "rbm" or chosen.rule not in ("pcd", "cd", "tempered"):
        raise ValueError(f"costs are counted for chains of an rbm, got rule {chosen.rule!r} of model {chosen.model!r}")
    if not found.is_finished:
        raise ValueError(f"{directory} is not finished; go on with `ebm train` before asking what it cost")
    hardware.check(chosen_hardware)
    report = evaluation.evaluate(directory)
    data, parts = run.open_data(directory)
    part, rows = ("validation", parts.test) if len(parts.test) else ("test", data.test)
    bare = settings.new_params(chosen, parts.train).independent()
    gained = report[f"{part}_log_likelihood"] - log_likelihood(bare, rows, log_partition_independent(bare)).mean()
    mixing = _mixing(report["tau_int_sweeps"], report["tau_int_at_least"], IDEAL)
    array_mixing = mixing if chosen_hardware.array is None else _measured(found.params, chosen_hardware)
    tau, burn_in_share = mixing.tau_int, EFFORT.burn_in / EFFORT.sweeps
    chains = chosen.chains * (chosen.temperatures if chosen.rule == "tempered" else 1)
    chains = chosen.batch if chosen.rule == "cd" else chains
    n_visible, n_hidden = found.params.n_visible, found.params.n_hidden

    def worth(sweep: Counts, mixing: Mixing, readout: Counts = counts.NOTHING) -> Counts | None:
        if mixing.tau_int is None:
            return None
        return counts.per_effective_sample(
            sweep, tau=mixing.tau_int, n_sweeps=EFFORT.sweeps, burn_in=EFFORT.burn_in, readout=readout
        )

    arrays = {}
    for name, (n_rows, n_cols) in sizes.items():
        step = counts.pcd_step_counts(
            n_visible,
            n_hidden,
            batch=chosen.batch,
            chains=chains,
            gibbs_steps=chosen.gibbs_steps,
            rows=n_rows,
            cols=n_cols,
        )
        sweep = counts.sweep_counts(
            n_visible,
            n_hidden,
            rows=n_rows,
            cols=n_cols,
            neuron=chosen_hardware.neuron,
            random_bits=chosen_hardware.random_bits or counts.RANDOM_BITS,
        )
        arrays[name] = OnArray(step, worth(sweep, array_mixing), tiles(n_visible, n_hidden, rows=n_rows, cols=n_cols))
    step_s, sweep_s = _timed(chosen, found.params, parts.train, chains)
    return Work(
        steps=found.step,
        chains=chains,
        gained_nats=float(gained),
        gained_on=part,
        mixing=mixing,
        array_mixing=array_mixing,
        burn_in_share=burn_in_share,
        arrays=arrays,
        pbits=OnArray(
            counts.pbit_step_counts(n_visible, n_hidden, chains=chains, gibbs_steps=chosen.gibbs_steps),
            worth(counts.pbit_counts(n_visible + n_hidden, sweeps=1), mixing, Counts(node_reads=n_visible + n_hidden)),
            1,
        ),
        gpu_step=counts.pcd_step_operations(
            n_visible, n_hidden, batch=chosen.batch, chains=chains, gibbs_steps=chosen.gibbs_steps
        ),
        gpu_sample=None if tau is None else [sweeps_on_gpu(n_visible, n_hidden, chains, tau * (1 + burn_in_share))],
        cpu_step_s=step_s,
        cpu_sample_s=None if tau is None else tau * (1 + burn_in_share) * sweep_s,
    )


def _mixing(tau: float | None, at_least: float | None, of: str) -> Mixing:
    if tau is not None:
        return Mixing(tau, None, of)
    least = "not known" if at_least is None else f"at least {at_least:.0f} sweeps"
    return Mixing(None, f"tau_int of {of} is {least}, the chains are shorter than 50 of it", of)


def _measured(params: Any, chosen: Hardware) -> Mixing:
    """τ of the free energy, in the weights as written, on one chip with the errors of `chosen`."""
    program_key, sample_key = jax.random.split(jax.random.key(0))
    machine = hardware.machine(program_key, params, chosen)
    sampled = trust.sample(sample_key, machine, hardware.written_params(machine))
    tau = diagnostics.tau_int(sampled.energy)
    value, least = (float(number) if np.isfinite(number) else None for number in (tau.value, tau.at_least))
    return _mixing(value, least, f"a simulated chip ({chosen.array}, {chosen.neuron})")


def sweeps_on_gpu(n_visible: int, n_hidden: int, chains: int, tau: float) -> Operation:
    """tau sweeps of all chains in one kernel, parameters and chains staying on chip as in `pcd_step_operations`."""
    units = chains * (n_visible + n_hidden)
    return Operation(
        "sweeps",
        flops=round(tau * 4 * chains * n_visible * n_hidden),
        vector_flops=round(tau * (counts.PHILOX_OPS + counts.ACTIVATION_OPS) * units),
        bytes=2 * (2 * units + n_visible * n_hidden + n_visible + n_hidden),
    )


def _timed(chosen: settings.Settings, params: Any, rows: np.ndarray, chains: int) -> tuple[float, float]:
    """CPU seconds of a training step, and of a sweep of one chain, on the ideal machine; compilation not counted."""
    rule, optimizer = settings.learning_rule(chosen, float(rows.std())), settings.optimizer(chosen)
    data = jnp.asarray(rows)
    state = train.init(jax.random.key(0), settings.new_params(chosen, rows), data, rule=rule, optimizer=optimizer)

    def steps(state: train.TrainState) -> Any:
        after, _ = train.advance(state, data, n_steps=TIMED_STEPS, rule=rule, optimizer=optimizer, batch=chosen.batch)
        return after.params

    def sweeps(key: Any) -> gibbs.Chains:
        return gibbs.sweeps(key, params, gibbs.init(key, params, chains), TIMED_SWEEPS)

    step_s = _cpu_seconds(jax.jit(steps), state) / TIMED_STEPS
    return step_s, _cpu_seconds(jax.jit(sweeps), jax.random.key(1)) / (TIMED_SWEEPS * chains)


def _cpu_seconds(function: Any, argument: Any) -> float:
    jax.block_until_ready(function(argument))
    start = time.process_time()
    jax.block_until_ready(function(argument))
    return time.process_time() - start
