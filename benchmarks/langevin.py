"""Langevin sampling of an MLP energy beside TorchEBM, on one core.

    python -m venv rival && rival/bin/pip install -e . torch torchebm==0.8.9
    taskset -c 1 rival/bin/python benchmarks/langevin.py [--write]

Rival: `torchebm.samplers.LangevinDynamics` with its default integrator, on the same network with the same weights, in
the same process; torch has one thread. Both report steps of all 256 chains a second of process CPU time: medians of
interleaved rounds. "floor" is the matrix products of one step alone, timed in the same way: no implementation in
float32 that computes the gradient by them can be faster.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import sys
import time
from collections.abc import Callable
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np
import torch  # ty: ignore[import-not-found]
from flax import nnx
from record import record, table
from torchebm.core import BaseModel  # ty: ignore[import-not-found]
from torchebm.samplers import LangevinDynamics  # ty: ignore[import-not-found]

from aimc.noise import HASH
from ebm.energies import neural
from ebm.samplers import langevin

CASES = ((2, 64, 256, 200), (64, 256, 256, 100))  # dimension, width, chains, steps
STEP_SIZE, ROUNDS = 0.01, 11


class Rival(BaseModel):
    """The same energy, f(x) + |x|²/2, in torch."""

    def __init__(self, module: neural.Mlp) -> None:
        super().__init__()
        layers = [*module.hidden, module.out]
        self.layers = torch.nn.ModuleList(torch.nn.Linear(*layer.kernel.shape) for layer in layers)
        with torch.no_grad():
            for ours, theirs in zip(layers, self.layers, strict=True):
                theirs.weight.copy_(torch.tensor(np.array(ours.kernel[...]).T))
                theirs.bias.copy_(torch.tensor(np.array(nnx.to_pure_dict(nnx.state(ours))["bias"])))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for layer in self.layers[:-1]:
            y = torch.nn.functional.silu(layer(y))
        return self.layers[-1](y).squeeze(-1) + 0.5 * (x * x).sum(-1)


def variants(dimension: int, width: int, chains: int, steps: int) -> dict[str, Callable[[], object]]:
    module = neural.Mlp(dimension, (width, width), rngs=nnx.Rngs(0))
    energy, params = neural.pure(module)
    x = jax.random.normal(jax.random.key(1), (chains, dimension))
    rival = Rival(module)
    check(rival, energy, params, x)

    def ours(key: jax.Array, **options: object) -> Callable[[], object]:
        run = jax.jit(
            lambda key, params, x: (
                langevin.sweeps(key, energy, params, langevin.init(x), steps, step_size=STEP_SIZE).position
            ),
            compiler_options=options or None,
        )
        return lambda: run(key, params, x).block_until_ready()

    first, second = (layer.kernel[...] for layer in module.hidden)

    @jax.jit
    def products(x: jax.Array, first: jax.Array, second: jax.Array) -> jax.Array:
        def body(_: int, x: jax.Array) -> jax.Array:
            return (((x @ first) @ second) @ second.T) @ first.T

        return jax.lax.fori_loop(0, steps, body, x)

    sampler = LangevinDynamics(rival, step_size=STEP_SIZE, noise_scale=1.0)
    start = torch.tensor(np.array(x))
    return {
        "TorchEBM": lambda: sampler.sample(x=start, n_steps=steps),
        "ebm, default keys (Threefry)": ours(jax.random.key(2)),
        "ebm, `HASH` keys": ours(jax.random.key(2, impl=HASH)),
        "ebm, `HASH` keys, 512-bit vectors": ours(jax.random.key(2, impl=HASH), xla_cpu_prefer_vector_width=512),
        "floor: the products alone": lambda: products(x, first, second).block_until_ready(),
    }


def check(rival: Rival, energy: Callable, params: object, x: jax.Array) -> None:
    """Both sides have the same gradient, to float32."""
    ours = jax.grad(lambda x: jnp.sum(energy(params, x)))(x)
    theirs = rival.gradient(torch.tensor(np.array(x))).detach().numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def medians(functions: dict[str, Callable[[], object]]) -> dict[str, float]:
    for function in functions.values():
        function()
        function()
    seconds = {name: [] for name in functions}
    for _ in range(ROUNDS):
        for name, function in functions.items():
            start = time.process_time()
            function()
            seconds[name].append(time.process_time() - start)
    return {name: float(np.median(times)) for name, times in seconds.items()}


def main() -> None:
    torch.set_num_threads(1)
    rows = []
    for case in CASES:
        dimension, width, _, steps = case
        times = medians(variants(*case))
        for name, seconds in times.items():
            ratio = times["TorchEBM"] / seconds
            rows.append([f"{dimension}-{width}-{width}-1", name, f"{steps / seconds:,.0f}", f"{ratio:.2f}"])
    text = (
        f"`python benchmarks/langevin.py`: {CASES[0][2]} chains, SiLU, E = f(x) + |x|²/2, against TorchEBM "
        f"{version('torchebm')} on torch {version('torch')}, one core, same process; aim: ≥ 3 × TorchEBM."
        " The floor is the matrix products of a step alone: where it is below 3, the aim is out of reach of float32 "
        "products on this core.\n\n" + table(["network", "sampler", "steps/s", "× TorchEBM"], rows)
    )
    record("Langevin on an MLP energy", text, write="--write" in sys.argv)


if __name__ == "__main__":
    main()
