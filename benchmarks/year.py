"""A network on 1,000 chips × 10 times of a year, against its bare products and random draws, in CPU time.

    python benchmarks/year.py [--write] [CHIPS]

Rivals, compiled loops over the same chips and times. One does the products of a read, nothing else: inputs times matrix
in float32, squared inputs times variances in bfloat16, for every layer, row tile and time. Two draw normal numbers
(`aimc.noise.normal`) and add them up, by products with ones: two a cell at the write, 15 a cell (the components of 1/f
noise), and one a sum at each read. The 15 are drawn once a chip, as the evaluation does, whose chips age with the same
numbers to every time; or anew at each time, as a chip that walks from time to time would need. All run in one process
in turn; ratios are of sums of process CPU time over all rounds.
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from math import prod

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from record import record, table

import aimc
from aimc import digits
from aimc.devices.flicker import COMPONENTS
from aimc.evaluation import follow
from aimc.noise import normal

TIMES = jnp.logspace(0.0, np.log10(3.1536e7), 10)
ROUNDS = 5
HIGHEST = jax.lax.Precision.HIGHEST


def tiles(widths: tuple[int, ...], rows: int) -> list[tuple[int, int]]:
    """Rows and columns of every row tile of every layer; a layer with fewer rows than a tile is one of its own size."""
    return [(min(n_in, rows), n_out) for n_in, n_out in pairwise(widths) for _ in range(-(-n_in // rows))]


def products(key: jax.Array, shapes: list[tuple[int, int]], n: int) -> jax.Array:
    """The matrix products of reading one chip at all times."""
    xs = [jnp.ones((n, n_row)) * jax.random.uniform(key, (n_row,)) for n_row, _ in shapes]
    ws = [jax.random.uniform(key, shape) for shape in shapes]
    halves = [w.astype(jnp.bfloat16) for w in ws]

    def at(total: jax.Array, _: jax.Array) -> tuple[jax.Array, None]:
        for x, w, half in zip(xs, ws, halves, strict=True):
            now = x + 1e-30 * total  # another input at every time, so that no product is reused
            y = jnp.matmul(now, w, precision=HIGHEST)
            v = jnp.matmul((now * now).astype(jnp.bfloat16), half, preferred_element_type=jnp.float32)
            total = total + jnp.sum(y + v)
        return total, None

    return jax.lax.scan(at, jnp.zeros(()), TIMES)[0]


def draws(key: jax.Array, shapes: list[tuple[int, int]], n: int, *, anew: bool) -> jax.Array:
    """The normal numbers of one chip at all times, added up; those of ageing once, or `anew` at each time."""

    def drawn(key: jax.Array, *shape: int) -> jax.Array:
        numbers = normal(key, (prod(shape) // shape[-1], shape[-1]))
        return jnp.sum(jnp.matmul(numbers, jnp.ones(shape[-1])))  # a plain sum would draw them one by one, far slower

    def aged(key: jax.Array) -> jax.Array:
        keys = jax.random.split(key, len(shapes))
        return sum((drawn(k, 2, *shape, COMPONENTS) for k, shape in zip(keys, shapes, strict=True)), jnp.zeros(()))

    write_key, age_key, read_key = jax.random.split(key, 3)
    total = jnp.zeros(())
    for k, shape in zip(jax.random.split(write_key, len(shapes)), shapes, strict=True):
        total = total + drawn(k, 4, *shape)

    def at(total: jax.Array, key: jax.Array) -> tuple[jax.Array, None]:
        for k, (_, n_out) in zip(jax.random.split(key, len(shapes)), shapes, strict=True):
            total = total + drawn(k, n, n_out)
        return total + (aged(jax.random.fold_in(key, 1)) if anew else 0.0), None

    start = total if anew else total + aged(age_key)
    return jax.lax.scan(at, start, jax.random.split(read_key, len(TIMES)))[0]


def evaluation(widths: tuple[int, ...], x: jax.Array, y: jax.Array) -> Callable[[jax.Array], jax.Array]:
    """What `over_time` does with a chip."""
    model = aimc.convert(digits.MLP(widths, rngs=nnx.Rngs(0)), aimc.presets.pcm_hermes())
    graph, state = nnx.split(model)

    @jax.jit
    def run(keys: jax.Array, state: nnx.State, x: jax.Array, y: jax.Array) -> jax.Array:
        return jax.lax.map(lambda k: follow(k, nnx.merge(graph, state, copy=True), x, y, TIMES).loss, keys)

    return lambda keys: run(keys, state, x, y)


def measure(widths: tuple[int, ...], n_chips: int, n_images: int) -> list[str]:
    x = jax.random.uniform(jax.random.key(0), (n_images, widths[0]))
    y = jax.random.randint(jax.random.key(1), (n_images,), 0, widths[-1])
    shapes = tiles(widths, aimc.presets.pcm_hermes().rows)
    sizes = {"shapes": shapes, "n": n_images}
    parts = {
        "products": partial(products, **sizes),
        "draws": partial(draws, **sizes, anew=False),
        "anew": partial(draws, **sizes, anew=True),
    }
    bare = {name: jax.jit(partial(jax.lax.map, part)) for name, part in parts.items()}
    runs = {"evaluation": evaluation(widths, x, y), **bare}
    spent = dict.fromkeys(runs, 0.0)
    rounds = jax.random.split(jax.random.key(2), (ROUNDS, n_chips // ROUNDS))
    for run in runs.values():
        run(rounds[0]).block_until_ready()  # compiled here
    for keys in rounds:
        for name, run in runs.items():
            start = time.process_time()
            run(keys).block_until_ready()
            spent[name] += time.process_time() - start
    ratios = [f"{spent['evaluation'] / (spent['products'] + spent[kind]):.2f}" for kind in ("draws", "anew")]
    each = {name: f"{1e3 * seconds / rounds.size:.2f}" for name, seconds in spent.items()}
    return ["-".join(map(str, widths)), f"{rounds.size:,}", str(n_images), *each.values(), *ratios]


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    chips = numbers[0] if numbers else 1000
    rows = [measure((64, 128, 128, 10), chips, 360), measure((784, 512, 512, 10), max(ROUNDS, chips // 40), 360)]
    header = ["network", "chips", "images", "evaluation, ms a chip", "products", "draws", "draws, anew at each time",
              "ratio", "ratio to anew"]  # fmt: skip
    text = (
        "Phase-change arrays (`presets.pcm_hermes`), 10 times from 1 s to a year, no compensation; `over_time` without "
        "its store. Ageing draws 15 numbers a cell once a chip, and reuses them at every time; a chip that walks from "
        "time to time would draw them anew. Aim: at most 1.3 × the sum of products and draws.\n\n" + table(header, rows)
    )
    record("A year of drift on many chips", text, write="--write" in sys.argv)
