"""Gibbs sampling of the Ising model on a torus: spin updates a second, beside thrml.

    pip install thrml==0.1.4
    taskset -c 1 python benchmarks/ising.py [--write]

Rival: `thrml.sample_states` of the same model in the two blocks of the chequerboard, vmapped over 32 chains, after its
warm-up schedule, compiled. All variants run in one process on one core, interleaved; each value is the median of the
rounds' process CPU time. thrml builds its program in Python first, which is not counted. Chains start from random
spins; the energy of every variant is checked against the exact value before its speed is believed.
"""

import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from record import record, table
from thrml import Block, SamplingSchedule, SpinNode, sample_states  # ty: ignore[import-not-found]
from thrml.models.ising import IsingEBM, IsingSamplingProgram  # ty: ignore[import-not-found]

from aimc.noise import HASH
from ebm import layouts
from ebm.energies.boltzmann import Boltzmann
from ebm.samplers import chromatic, multispin

BETA = 0.3
CHAINS = 32
ROUNDS = 5
EXACT = -0.7044991  # energy a site of the 64 x 64 and 256 x 256 tori (Kaufman 1949)
AIMS = {"float": {64: 3, 256: 2}, "words": {256: 150}}

AIMED = ("chromatic, Lattice", "multi-spin")


class Variant(NamedTuple):
    """What is timed: from a seed to the last spins, by so many sweeps; times the gauge they follow the ferromagnet."""

    run: Callable[[int], object]
    sweeps: int
    gauge: np.ndarray | float = 1.0


def main() -> None:
    rows = []
    for size, sweeps in ((64, 60), (256, 16)):
        variants = {
            "thrml, float couplings": rival(size, sweeps),
            "chromatic, Lattice": colored(size, 2 * sweeps),
            "chromatic, Lattice, HASH keys": colored(size, 2 * sweeps, HASH),
            "chromatic, PaddedSparse": colored(size, sweeps, padded=True),
            "multi-spin": words(size, 50 * sweeps),
            "multi-spin, random signs": words(size, 50 * sweeps, signs=True),
        }
        rate = measure(variants, size)
        for name, value in rate.items():
            aim = AIMS["words" if name == "multi-spin" else "float"].get(size, "") if name in AIMED else ""
            ratio = value / rate["thrml, float couplings"]
            rows.append([f"{size} × {size}", name, f"{value:.3g}", f"{ratio:.2f}", f"≥ {aim}" if aim else ""])
    text = (
        f"`python benchmarks/ising.py --write`. 2-D Ising torus, β = {BETA}, {CHAINS} chains, one core; thrml "
        f"{version('thrml')} from PyPI in the same process. Spin updates a second of process CPU time, median of "
        f"{ROUNDS} interleaved rounds.\n\n"
    )
    text += table(["torus", "variant", "updates/s", "× thrml", "aim"], rows)
    record("Ising torus", text, write="--write" in sys.argv)


def rival(size: int, sweeps: int) -> Variant:
    nodes = [SpinNode() for _ in range(size * size)]
    edges = [(nodes[i], nodes[j]) for i, j in layouts.torus(size, size).edges.tolist()]
    model = IsingEBM(nodes, edges, jnp.zeros(len(nodes)), jnp.ones(len(edges)), jnp.float32(BETA))
    is_even = np.add(*np.divmod(np.arange(size * size), size)) % 2 == 0
    blocks = [Block([nodes[i] for i in np.flatnonzero(color)]) for color in (is_even, ~is_even)]
    program = IsingSamplingProgram(model, blocks, [])
    schedule = SamplingSchedule(n_warmup=sweeps - 1, n_samples=1, steps_per_sample=1)
    start = [jax.random.bernoulli(jax.random.key(0), 0.5, (CHAINS, size * size // 2))] * 2

    @jax.jit
    def run(key: jax.Array) -> jax.Array:
        def one(key: jax.Array, state: list[jax.Array]) -> list[jax.Array]:
            return sample_states(key, program, schedule, state, [], blocks)

        even, odd = jax.vmap(one)(jax.random.split(key, CHAINS), start)
        spins = jnp.zeros((CHAINS, size * size)).at[:, is_even].set(even[:, 0]).at[:, ~is_even].set(odd[:, 0])
        return 2 * spins - 1

    return Variant(lambda seed: run(jax.random.key(seed)), sweeps)


def colored(size: int, sweeps: int, impl: object = None, padded: bool = False) -> Variant:
    graph = layouts.torus(size, size)
    layout = layouts.padded_sparse(graph) if padded else layouts.choose(graph)
    params = Boltzmann(jnp.ones(graph.n_edges), jnp.zeros(graph.n_nodes))
    state = chromatic.init(jax.random.key(0), layout, CHAINS)
    run = jax.jit(lambda key, layout, params: chromatic.sweeps(key, layout, params, state, sweeps, beta=BETA).spins)
    return Variant(lambda seed: run(jax.random.key(seed, impl=impl), layout, params), sweeps)


def words(size: int, sweeps: int, signs: bool = False) -> Variant:
    graph = layouts.torus(size, size)
    rng = np.random.default_rng(0)
    gauge = rng.choice([-1.0, 1.0], size * size) if signs else np.ones(size * size)
    first, second = graph.edges.T
    params = Boltzmann(jnp.asarray(gauge[first] * gauge[second], jnp.float32), jnp.zeros(size * size))
    model = multispin.from_boltzmann(layouts.lattice(graph, size, size), params)
    state = multispin.init(jax.random.key(0), CHAINS, size, size)
    run = jax.jit(lambda key, model: multispin.sweeps(key, model, state, sweeps, beta=BETA))
    # Words are what a caller goes on with; they are unpacked here to check the energy, outside the time.
    return Variant(lambda seed: run(jax.random.key(seed), model), sweeps, gauge)


def measure(variants: dict[str, Variant], size: int) -> dict[str, float]:
    """Updates a second of each variant."""
    for variant in variants.values():
        jax.block_until_ready(variant.run(0))
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    last = {}
    for seed in range(1, ROUNDS + 1):
        for name, variant in variants.items():
            start = time.process_time()
            last[name] = jax.block_until_ready(variant.run(seed))
            seconds[name].append(time.process_time() - start)
    for name, state in last.items():
        check(name, state, variants[name].gauge, size)
    return {
        name: variants[name].sweeps * size**2 * CHAINS / float(np.median(values)) for name, values in seconds.items()
    }


def check(name: str, state: object, gauge: np.ndarray | float, size: int) -> None:
    """Refuses a speed whose energy is wrong."""
    spins = np.asarray(multispin.unpack(state) if isinstance(state, multispin.Spins) else state) * gauge
    sites = spins.reshape(-1, size, size)
    energy = -sum((sites * np.roll(sites, 1, axis)).mean((1, 2)) for axis in (1, 2))
    error = energy.std(ddof=1) / np.sqrt(len(energy))
    print(f"{size} {name}: energy {energy.mean():.5f} ± {error:.5f}, exact {EXACT}")
    if abs(energy.mean() - EXACT) > 5 * error + 0.002:
        raise SystemExit(f"{name} has a wrong energy; its speed means nothing")


if __name__ == "__main__":
    main()
