"""PCD on an RBM of 784-500 units, batch and chains 128: CPU time a step, beside rbms 0.5.0 and thrml 0.1.4.

    python -m venv /tmp/rivals && /tmp/rivals/bin/pip install -r requirements/run.txt torch rbms==0.5.0 thrml==0.1.4
    /tmp/rivals/bin/pip install --no-deps -e .
    export XLA_FLAGS=--xla_cpu_prefer_vector_width=512  # optional: wider loops where the processor has them
    OMP_NUM_THREADS=1 PYTHONPATH=. taskset -c 1 /tmp/rivals/bin/python benchmarks/rbm_speed.py [--write]

One process on one core; every round runs each program once, in turn; medians of CPU time. A step is `k` sweeps of 128
persistent chains, the gradient of 128 rows of data against them, and plain gradient ascent; rbms runs its own
`fit_batch_pcd` without centring and torch's SGD, compiled by torch.jit as it ships. thrml has no persistent chains and
no dense layout: it only samples, 16 chains, and its time is multiplied by 8, which flatters it if anything. Without
the rivals installed, only our own rows are measured.
"""

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec

import jax
import jax.numpy as jnp
import numpy as np
from record import record, table

import aimc
from aimc.noise import HASH
from ebm import analog, gibbs, losses, rbm

N_VISIBLE, N_HIDDEN, BATCH, ROUNDS, STEPS = 784, 500, 128, 15, 4
THRML_CHAINS = 16


def main() -> None:
    rng = np.random.default_rng(0)
    data = (rng.random((BATCH, N_VISIBLE)) < 0.2).astype(np.float32)
    weights = (0.05 * rng.normal(size=(N_VISIBLE, N_HIDDEN))).astype(np.float32)
    rows = []
    for k in (10, 1):
        programs = {
            "ours, HASH keys": ours(data, weights, k, jax.random.key(0, impl=HASH)),
            "ours, threefry keys (the default)": ours(data, weights, k, jax.random.key(0)),
        }
        if find_spec("rbms") and find_spec("torch"):
            programs[f"rbms {version('rbms')}, torch {version('torch').split('+')[0]}"] = theirs(data, weights, k)
        medians = timed(programs)
        slowest = list(medians.values())[-1] if len(programs) > 2 else None
        for name, seconds in medians.items():
            rows.append([name, k, f"{1e3 * seconds:.2f}", "" if slowest is None else f"{slowest / seconds:.2f}"])
    sweeps = {
        "ideal, HASH keys": sweep(rbm_of(weights), jax.random.key(0, impl=HASH)),
        "ideal, threefry keys": sweep(rbm_of(weights), jax.random.key(0)),
    }
    for name, spec, neuron in CHIPS:
        sweeps[name] = sweep(
            analog.program(jax.random.key(1), rbm_of(weights), spec, neuron), jax.random.key(0, impl=HASH)
        )
    if find_spec("rbms") and find_spec("torch"):
        sweeps[f"rbms {version('rbms')}, torch {version('torch').split('+')[0]}"] = their_sweep(weights)
    if find_spec("thrml"):
        sweeps[f"thrml {version('thrml')}, {THRML_CHAINS} chains, times {BATCH // THRML_CHAINS}"] = graph(weights)
    medians = timed(sweeps)
    ideal = medians["ideal, HASH keys"]
    each = [
        [name, f"{1e6 * seconds / BATCH:.2f}", f"{BATCH / seconds:.3g}", f"{seconds / ideal:.2f}"]
        for name, seconds in medians.items()
    ]
    text = (
        f"One training step, {N_VISIBLE}-{N_HIDDEN}, batch and chains {BATCH}; CPU ms, medians of {ROUNDS} rounds in "
        f"turn; aim: 3 × rbms. XLA_FLAGS={os.environ.get('XLA_FLAGS', '')!r}.\n\n"
        + table(["program", "k", "ms a step", "times rbms"], rows)
        + f"\n\nSampling alone, {BATCH} chains, 10 sweeps a call; aims: 3 × rbms, 25 × thrml.\n\n"
        + table(["machine", "µs a chain-sweep", "chain-sweeps/s", "of ideal"], each)
    )
    record("RBM 784-500: steps and sweeps", text, write="--write" in sys.argv)


CHIPS = (
    (
        "array: comparators, no noise but theirs",
        aimc.crossbar(rows=1024, cols=1024, dac_bits=None, adc_bits=None),
        analog.Neuron(kind="comparator"),
    ),
    (
        "array: 8-bit ADC",
        aimc.crossbar(rows=1024, cols=1024, dac_bits=None),
        analog.Neuron(),
    ),
    (
        "array: 8-bit ADC, equal read noise of all cells",
        aimc.crossbar(rows=1024, cols=1024, dac_bits=None, read_noise=0.01),
        analog.Neuron(),
    ),
    ("array: pcm_hermes, 256 x 256", aimc.presets.pcm_hermes(), analog.Neuron()),
)


def rbm_of(weights: np.ndarray) -> rbm.Rbm:
    return rbm.Rbm(jnp.asarray(weights), jnp.zeros(N_VISIBLE), jnp.zeros(N_HIDDEN))


def ours(data: np.ndarray, weights: np.ndarray, k: int, key: jax.Array) -> Callable[[], float]:
    """CPU seconds of a step, from a compiled chunk of them, as training runs it."""
    x = jnp.asarray(data)

    @partial(jax.jit, donate_argnums=(1, 2))
    def chunk(key, params, chains):
        def body(carry, step_key):
            params, chains = carry
            chains = gibbs.sweeps(step_key, params, chains, k)
            gradient = jax.grad(lambda p: losses.contrastive(rbm.free_energy, p, x, chains.visible))(params)
            return (jax.tree.map(lambda p, g: p - 0.01 * g, params, gradient), chains), None

        return jax.lax.scan(body, (params, chains), jax.random.split(key, STEPS))[0]

    params = rbm_of(weights)
    state = [params, gibbs.init(jax.random.key(1), params, BATCH)]

    def run() -> float:
        start = time.process_time()
        state[:] = jax.block_until_ready(chunk(key, *state))
        return (time.process_time() - start) / STEPS

    return run


def sweep(machine: gibbs.Machine, key: jax.Array) -> Callable[[], float]:
    """CPU seconds of one sweep of all chains, from compiled runs of ten."""
    run_ten = jax.jit(gibbs.sweeps, static_argnums=3)
    state = [gibbs.init(jax.random.key(1), machine, BATCH)]

    def run() -> float:
        start = time.process_time()
        state[0] = jax.block_until_ready(run_ten(key, machine, state[0], 10))
        return (time.process_time() - start) / 10

    return run


def theirs(data: np.ndarray, weights: np.ndarray, k: int) -> Callable[[], float]:
    """CPU seconds of a step of rbms."""
    import torch  # ty: ignore[import-not-found]
    from rbms.bernoulli_bernoulli.classes import BBRBM  # ty: ignore[import-not-found]
    from rbms.training.pcd import fit_batch_pcd  # ty: ignore[import-not-found]

    torch.set_num_threads(1)
    params = BBRBM(torch.tensor(weights), torch.zeros(N_VISIBLE), torch.zeros(N_HIDDEN))
    optimizer = torch.optim.SGD(params.parameters(), lr=0.01, maximize=True)
    for parameter in params.parameters():
        parameter.grad = torch.zeros_like(parameter)  # rbms writes into it
    rows, ones = torch.tensor(data), torch.ones(BATCH, 1)
    state = [params.init_chains(BATCH)]

    def step() -> None:
        with torch.no_grad():
            optimizer.zero_grad(set_to_none=False)
            state[0], _ = fit_batch_pcd(
                batch=(rows, ones), parallel_chains=state[0], params=params, gibbs_steps=k, beta=1.0, centered=False
            )
            optimizer.step()

    def run() -> float:
        start = time.process_time()
        for _ in range(STEPS):
            step()
        return (time.process_time() - start) / STEPS

    return run


def their_sweep(weights: np.ndarray) -> Callable[[], float]:
    """CPU seconds of a sweep of all chains in rbms."""
    import torch  # ty: ignore[import-not-found]
    from rbms.bernoulli_bernoulli.classes import BBRBM  # ty: ignore[import-not-found]

    torch.set_num_threads(1)
    params = BBRBM(torch.tensor(weights), torch.zeros(N_VISIBLE), torch.zeros(N_HIDDEN))
    state = [params.init_chains(BATCH)]

    def run() -> float:
        start = time.process_time()
        with torch.no_grad():
            state[0] = params.sample_state(chains=state[0], n_steps=10, beta=1.0)
        return (time.process_time() - start) / 10

    return run


def graph(weights: np.ndarray) -> Callable[[], float]:
    """CPU seconds of a sweep of `BATCH` chains in thrml, scaled up from fewer."""
    import equinox  # ty: ignore[import-not-found]
    from thrml import Block, SamplingSchedule, SpinNode, sample_states  # ty: ignore[import-not-found]
    from thrml.models import IsingEBM, IsingSamplingProgram  # ty: ignore[import-not-found]

    visible, hidden = ([SpinNode() for _ in range(n)] for n in (N_VISIBLE, N_HIDDEN))
    edges = [(v, h) for v in visible for h in hidden]
    energy = IsingEBM(
        [*visible, *hidden],
        edges,
        jnp.zeros(N_VISIBLE + N_HIDDEN),
        jnp.asarray(weights.reshape(-1) / 4),  # of spins
        jnp.asarray(1.0),
    )
    blocks = [Block(hidden), Block(visible)]
    program = IsingSamplingProgram(energy, blocks, clamped_blocks=[])
    schedule = SamplingSchedule(n_warmup=9, n_samples=1, steps_per_sample=1)
    start_state = [jnp.ones((THRML_CHAINS, len(block.nodes)), bool) for block in blocks]

    @equinox.filter_jit
    def sample(keys, program, state):
        return jax.vmap(lambda key, one: sample_states(key, program, schedule, one, [], [Block(visible)]))(keys, state)

    keys = jax.random.split(jax.random.key(0), THRML_CHAINS)

    def run() -> float:
        start = time.process_time()
        jax.block_until_ready(sample(keys, program, start_state))
        return (time.process_time() - start) / 10 * (BATCH // THRML_CHAINS)

    return run


def timed(programs: dict[str, Callable[[], float]]) -> dict[str, float]:
    """Medians, each program run once a round."""
    for run in programs.values():
        run()
        run()
    seen: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(ROUNDS):
        for name, run in programs.items():
            seen[name].append(run())
    return {name: float(np.median(values)) for name, values in seen.items()}


if __name__ == "__main__":
    main()
