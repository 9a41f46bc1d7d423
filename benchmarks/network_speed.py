"""A step of noise-aware training against the same step of the plain flax model, in CPU time on one core.

    taskset -c 1 python benchmarks/network_speed.py [--write] [part of a model's name]

Noise-aware: 8-bit inputs and outputs, output noise of 0.04 fully-on cells, Gaussian write noise of 0.05 of the largest
weight injected anew at every step, as in the comparison that gave IBM aihwkit's best 2.2 times its own step. Both steps
are stochastic gradient descent on cross-entropy, compiled by one function, in turn in one process, round after round;
ratios are of medians. The floor is what any such step must add: one random normal a weight and one an output, added up
in one pass; ratios of it are to the plain step plus that.
"""

import sys
import time
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from record import record, table

import aimc
from aimc.data import load
from aimc.models import MLP, build
from aimc.noise import HASH, normal

ROUNDS, SECONDS = 9, 0.15
SIGMA = 0.05
CASES = {
    "MLP 784-512-512-10": (128, 512, 2.0),
    "CNN, 8 × 8 digits": (128, 512, 2.5),
    "transformer, text": (32, 512, 2.5),
}


def case(name: str) -> tuple[nnx.Module, Any, Any]:
    """A plain model and a batch of what it reads."""
    rng, batch = np.random.default_rng(0), CASES[name][0]
    if name.startswith("MLP"):
        x = jnp.asarray(rng.uniform(size=(batch, 784)), jnp.float32)
        return MLP((784, 512, 512, 10), rngs=nnx.Rngs(0)), x, jnp.asarray(rng.integers(10, size=batch))
    kind, data = ("cnn", load("digits")) if name.startswith("CNN") else ("transformer", load("text"))
    rows = rng.permutation(len(data.train.y))[:batch]
    return build(kind, nnx.Rngs(0), data), jnp.asarray(data.train.x[rows]), jnp.asarray(data.train.y[rows])


def on_arrays(model: nnx.Module, rows: int, key: Any) -> nnx.Module:
    spec = aimc.crossbar(rows=rows, cols=rows, dac_bits=8, adc_bits=8, output_noise=0.04)
    analog = aimc.convert(model, spec, rngs=nnx.Rngs(noise=key))
    aimc.nn.modify(analog, aimc.nn.Modifier(sigma=SIGMA))
    return analog


def stepper(model: nnx.Module, x: Any, y: Any) -> Any:
    """A compiled step that keeps its own state."""
    graph, params, rest = nnx.split(model, nnx.Param, ...)

    @jax.jit
    def step(params, rest, x, y):
        def loss(params):
            own = nnx.merge(graph, params, rest, copy=True)
            value = optax.softmax_cross_entropy_with_integer_labels(own(x), y).mean()
            return value, nnx.split(own, nnx.Param, ...)[2]

        gradient, rest_after = jax.grad(loss, has_aux=True)(params)
        return jax.tree.map(lambda p, g: p - 0.01 * g, params, gradient), rest_after

    state = [params, rest]

    def run() -> None:
        state[:] = step(*state, x, y)  # the batch is data: as a constant its rounding would be folded away
        jax.block_until_ready(state)

    return run


def draws(model: nnx.Module, x: Any, key: Any) -> Any:
    """As many random normals as a step needs, each drawn and added to something that is there."""
    seen = aimc.nn.watch(model, [x])
    shapes = []
    for path, layer in aimc.nn.analog_layers(model):
        shapes += [layer.matrices().shape, (int(seen[path].n_vectors), layer.matrices().shape[-1])]
    bases = [jnp.zeros(shape) for shape in shapes]

    @jax.jit
    def draw(bases, key):
        keys = jax.random.split(key, len(bases))
        return [base + normal(k, base.shape) for k, base in zip(keys, bases, strict=True)]

    def run() -> None:
        jax.block_until_ready(draw(bases, key))

    return run


def cpu(run: Any, repeats: int) -> float:
    run()
    start = time.process_time()
    for _ in range(repeats):
        run()
    return (time.process_time() - start) / repeats


def measure(name: str) -> list[list[object]]:
    model, x, y = case(name)
    _, rows, aim = CASES[name]
    keys = {"threefry": jax.random.key(0), "hash": jax.random.key(0, impl=HASH)}
    runs = {"plain": stepper(model, x, y)}
    for kind, key in keys.items():
        runs[f"noise-aware, {kind}"] = stepper(on_arrays(model, rows, key), x, y)
        runs[f"draws, {kind}"] = draws(on_arrays(model, rows, key), x, key)
    seconds: dict[str, list[float]] = {kind: [] for kind in runs}
    repeats = {kind: max(1, round(SECONDS / max(cpu(run, 3), 1e-5))) for kind, run in runs.items()}
    for _ in range(ROUNDS):
        for kind, run in runs.items():
            seconds[kind].append(cpu(run, repeats[kind]))
    own = {kind: median(values) for kind, values in seconds.items()}
    found: list[list[object]] = []
    for kind in keys:
        step, floor = own[f"noise-aware, {kind}"], own["plain"] + own[f"draws, {kind}"]
        found.append(
            [name, kind, f"{1e3 * own['plain']:.2f}", f"{1e3 * step:.2f}", f"{step / own['plain']:.2f}", f"≤ {aim:g}",
             f"{floor / own['plain']:.2f}"]
        )  # fmt: skip
        print(found[-1], flush=True)
    return found


if __name__ == "__main__":
    wanted = [part for part in sys.argv[1:] if not part.startswith("-")]
    names = [name for name in CASES if all(part in name for part in wanted)]
    rows = [row for name in names for row in measure(name)]
    header = ["model", "keys", "plain step, CPU ms", "noise-aware, CPU ms", "×", "aim", "× with the bare draws"]
    record("A step of noise-aware training", table(header, rows), write="--write" in sys.argv)
