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
from ebm import counts, run, settings, train
from ebm import evaluate as evaluation
from ebm.counts import Operation
from ebm.likelihood import log_likelihood, log_partition_independent
from ebm.samplers import gibbs

TIMED_STEPS = 200
TIMED_SWEEPS = 500


class OnArray(NamedTuple):
    """Events of a training step and of an effective sample (None where tau_int is not known), on tiles of a size."""

    step: Counts
    sample: Counts | None
    tiles: int


class Work(NamedTuple):
    """What has to be paid for. `tau_int` in sweeps, None where the chains were too short: `refused` says so.

    `gained_nats`: log-likelihood of a row of `gained_on`, over that of the model of the biases alone. The GPU's
    operations of a sample are those of `chains` chains at once.
    """

    steps: int
    chains: int
    gained_nats: float
    gained_on: str
    tau_int: float | None
    refused: str | None
    arrays: dict[str, OnArray]
    pbits: OnArray  # the negative phase alone: the gradient is digital anyway
    gpu_step: list[Operation]
    gpu_sample: list[Operation] | None
    cpu_step_s: float
    cpu_sample_s: float | None


def work(directory: Path, sizes: Mapping[str, tuple[int, int]]) -> Work:
    """The work of a finished run, on arrays of `sizes` (rows, columns of a tile) among other machines.

    Nats are those of validation rows, without validation those of the test rows. Raises ValueError for a run that is
    not finished, or was not trained by chains of a Bernoulli RBM.
    """
    found = run.model(directory)
    chosen = found.settings
    if chosen.model != "rbm" or chosen.rule not in ("pcd", "cd", "tempered"):
        raise ValueError(f"costs are counted for chains of an rbm, got rule {chosen.rule!r} of model {chosen.model!r}")
    if not found.is_finished:
        raise ValueError(f"{directory} is not finished; go on with `ebm train` before asking what it cost")
    report = evaluation.evaluate(directory)
    data, parts = run.open_data(directory)
    part, rows = ("validation", parts.test) if len(parts.test) else ("test", data.test)
    bare = settings.new_params(chosen, parts.train).independent()
    gained = report[f"{part}_log_likelihood"] - log_likelihood(bare, rows, log_partition_independent(bare)).mean()
    tau, refused = report["tau_int_sweeps"], None
    if tau is None:
        refused = f"tau_int is at least {report['tau_int_at_least']:.0f} sweeps, the chains are shorter than 50 of it"
    chains = chosen.chains * (chosen.temperatures if chosen.rule == "tempered" else 1)
    chains = chosen.batch if chosen.rule == "cd" else chains
    n_visible, n_hidden = found.params.n_visible, found.params.n_hidden

    def worth(sweep: Counts) -> Counts | None:
        if tau is None:
            return None
        return counts.per_effective_sample(sweep, tau=tau, n_sweeps=evaluation.EFFORT.sweeps)

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
        sweep = counts.sweep_counts(n_visible, n_hidden, rows=n_rows, cols=n_cols)
        arrays[name] = OnArray(step, worth(sweep), tiles(n_visible, n_hidden, rows=n_rows, cols=n_cols))
    step_s, sweep_s = _timed(chosen, found.params, parts.train, chains)
    return Work(
        steps=found.step,
        chains=chains,
        gained_nats=float(gained),
        gained_on=part,
        tau_int=tau,
        refused=refused,
        arrays=arrays,
        pbits=OnArray(
            counts.pbit_step_counts(n_visible, n_hidden, chains=chains, gibbs_steps=chosen.gibbs_steps),
            worth(counts.pbit_counts(n_visible + n_hidden, sweeps=1)),
            1,
        ),
        gpu_step=counts.pcd_step_operations(
            n_visible, n_hidden, batch=chosen.batch, chains=chains, gibbs_steps=chosen.gibbs_steps
        ),
        gpu_sample=None if tau is None else [_sweeps_on_gpu(n_visible, n_hidden, chains, tau)],
        cpu_step_s=step_s,
        cpu_sample_s=None if tau is None else tau * sweep_s,
    )


def _sweeps_on_gpu(n_visible: int, n_hidden: int, chains: int, tau: float) -> Operation:
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
