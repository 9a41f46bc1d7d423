"""What a random number costs, and what it adds to a product, by generator.

    python benchmarks/random_numbers.py [--write]

Everything runs in one process, in turn, round after round; figures are medians of process CPU time (all threads). A
draw is added to an array, and the time of adding a constant is not taken off. The rival of the second table is
`jax.numpy.matmul` in float32.
"""

import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array
from record import record, table

from aimc import noise

ROUNDS = 15
DRAWS = [(1, (64, 512)), (1, (1024, 1024)), (256, (256,)), (4096, (16,)), (4096, ())]
PRODUCTS = [(512, 64), (512, 1024), (1024, 64), (1024, 1024), (4096, 64), (4096, 1024)]
KEYS = {"threefry": jax.random.key(0), "hash": jax.random.key(0, impl=noise.HASH)}


def medians(runs: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]], least: float) -> dict[str, float]:
    """Seconds of CPU time a call, each round repeating a call for about `least` seconds."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    repeats = dict.fromkeys(runs, 1)
    for round_ in range(ROUNDS + 2):  # the first compiles, the second says how often to repeat
        for name, (run, arguments) in runs.items():
            start = time.process_time()
            for _ in range(repeats[name]):
                result = run(*arguments)
            jax.block_until_ready(result)
            seconds[name].append((time.process_time() - start) / repeats[name])
            if round_ == 1:
                repeats[name] = max(1, round(least / max(seconds[name][-1], 1e-6)))
    return {name: median(values[2:]) for name, values in seconds.items()}


def draws() -> list[list[object]]:
    """Nanoseconds a number, by generator, by the function that draws, and by shape."""
    rows: list[list[object]] = []
    measured = {}
    for batch, shape in DRAWS:
        x = jnp.zeros((batch, *shape))
        runs: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {}
        for law in ("normal", "uniform"):
            for name, key in KEYS.items():
                for module in (jax.random, noise):
                    draw = getattr(module, law)
                    add = jax.jit(jax.vmap(lambda key, x, draw=draw: x + draw(key, x.shape)))
                    runs[f"{law}, {name}, {module.__name__}"] = (add, (jax.random.split(key, batch), x))
        runs["a constant"] = (jax.jit(lambda x: x + 1.0), (x,))
        measured[batch, shape] = {name: 1e9 * value / x.size for name, value in medians(runs, 0.01).items()}
    for name in next(iter(measured.values())):
        rows.append([name, *(f"{measured[case][name]:.2f}" for case in DRAWS)])
    return rows


def quantize(x: Array) -> Array:
    return jnp.round(jnp.clip(x, -1.0, 1.0) * 127.0) * (1 / 127.0)


def products() -> list[list[object]]:
    """Ratios to the plain product of y = quantize(quantize(x) @ w + σ normal)."""

    def noisy(draw: Callable[[Array, tuple[int, ...]], Array] | None) -> Callable[..., Any]:
        def run(key: Array, x: Array, w: Array) -> Array:
            y = quantize(x) @ w
            return quantize((y if draw is None else y + 0.04 * draw(key, y.shape)) * 0.01)

        return jax.jit(run)

    rows: list[list[object]] = []
    for n, batch in PRODUCTS:
        x = jax.random.normal(jax.random.key(1), (batch, n))
        w = jax.random.normal(jax.random.key(2), (n, n))
        threefry, cheap = ((key, x, w) for key in KEYS.values())
        runs = {
            "product": (jax.jit(lambda key, x, w: x @ w), threefry),
            "quantisers": (noisy(None), threefry),
            "jax.random": (noisy(jax.random.normal), threefry),
            "threefry": (noisy(noise.normal), threefry),
            "hash, jax.random": (noisy(jax.random.normal), cheap),
            "hash": (noisy(noise.normal), cheap),
        }
        middle = medians(runs, 0.02)
        ratios = [f"{middle[name] / middle['product']:.2f}" for name in runs if name != "product"]
        rows.append([n, batch, f"{1e3 * middle['product']:.2f}", *ratios])
    return rows


if __name__ == "__main__":
    cases = [f"{batch} × {' × '.join(map(str, shape)) or 1}" for batch, shape in DRAWS]
    text = (
        "Nanoseconds of CPU time a number when it is added to an array; a column is keys × numbers a key.\n\n"
        + table(["draw", *cases], draws())
        + "\n\nA noisy product, quantize(quantize(x) @ w + σ normal), as a multiple of the plain one; "
        "aims for `hash`: at most 1.3 at n = 512 and 1.15 from 1024 on.\n\n"
        + table(
            ["n", "batch", "product, ms", "quantisers", "+ jax.random", "+ threefry", "+ hash by jax.random", "+ hash"],
            products(),
        )
    )
    record("Random numbers", text, write="--write" in sys.argv)
