"""A hundred chips over a year at ten noise levels, as one compiled call.

    python benchmarks/chips.py [--write]

256 × 256 HERMES cells (programming error, drift, 1/f noise, read noise), 256 input vectors, 8-bit converters: 100 chips
× 20 times × 10 levels of readout noise. Every chip is programmed once, aged from time to time, and read at every
level; what is kept is the error of each read. Rivals, in the same run: the bare products and the bare random numbers
that this takes, and a Python loop over the jitted verbs. Process CPU time; the loop and the bare parts are measured on
a part of the chips and scaled.
"""

import resource
import sys
import time
from dataclasses import replace
from statistics import median

import jax
import jax.numpy as jnp
import numpy as np
from record import record, table

import aimc
from aimc.noise import HASH, normal
from aimc.spec import with_field

N, N_VECTORS = 256, 256
N_CHIPS, N_TIMES, N_LEVELS = 100, 20, 10
TIMES = np.diff(np.concatenate([[0.0], np.logspace(0, np.log10(3.15e7), N_TIMES)])).astype(np.float32)
LEVELS = np.linspace(0.0, 0.5, N_LEVELS).astype(np.float32)
FLICKER = 15  # components of the 1/f noise that every cell carries
SPEC = replace(aimc.presets.pcm_hermes(), readout=aimc.readout.UniformADC(noise=1.0))
ROUNDS = 5


def at_level(state: aimc.State, level: jax.Array) -> aimc.State:
    return state._replace(spec=with_field(state.spec, "readout.noise", level))


def survey(keys: jax.Array, x: jax.Array, w: jax.Array) -> jax.Array:
    """Relative errors, (chips, times, levels)."""
    exact = jnp.matmul(x, w)

    def error(key, state, level):
        y = aimc.mvm(key, x, at_level(state, level))
        return jnp.sqrt(jnp.mean((y - exact) ** 2) / jnp.mean(exact**2))

    def reads(key, state):
        return jax.lax.map(
            lambda kl: error(kl[0], state, kl[1]), (jax.random.split(key, N_LEVELS), jnp.asarray(LEVELS))
        )

    def later(state, step):
        key, seconds = step
        age_key, read_key = jax.random.split(key)
        state = aimc.age(age_key, state, seconds)
        return state, reads(read_key, state)

    def chip(key):
        write_key, first_key, life_key = jax.random.split(key, 3)
        state = aimc.program(write_key, w, SPEC)
        state, first = later(state, (first_key, TIMES[0]))  # apart: the first second makes the 1/f components
        rest = jax.lax.scan(later, state, (jax.random.split(life_key, N_TIMES - 1), jnp.asarray(TIMES[1:])))[1]
        return jnp.concatenate([first[None], rest])

    return jax.lax.map(chip, keys)


def loop(keys: jax.Array, x: jax.Array, w: jax.Array, verbs: tuple) -> list[float]:
    """The same, verb by verb from Python, every verb jitted."""
    program, age, mvm, error = verbs
    found = []
    for key in keys:
        write_key, life_key = jax.random.split(key)
        state = program(write_key, w)
        for t, seconds in enumerate(TIMES):
            age_key, read_key = jax.random.split(jax.random.fold_in(life_key, t))
            state = age(age_key, state, seconds)
            read_keys = jax.random.split(read_key, N_LEVELS)
            found += [error(mvm(k, x, state, level)) for k, level in zip(read_keys, LEVELS, strict=True)]
    return [float(value) for value in found]


def cpu(run) -> float:
    start = time.process_time()
    jax.block_until_ready(run())
    return time.process_time() - start


def measure(kind: str, root: jax.Array) -> list[list[object]]:
    x = jax.random.normal(jax.random.key(1), (N_VECTORS, N))
    w = jax.random.normal(jax.random.key(2), (N, N))
    exact = jnp.matmul(x, w)
    whole = jax.jit(survey).lower(jax.random.split(root, N_CHIPS), x, w).compile()
    small = jax.jit(survey).lower(jax.random.split(root, 4), x, w).compile()

    verbs = (
        jax.jit(lambda k, w: aimc.program(k, w, SPEC)),
        jax.jit(aimc.age),
        jax.jit(lambda key, x, state, level: aimc.mvm(key, x, at_level(state, level))),
        jax.jit(lambda y: jnp.sqrt(jnp.mean((y - exact) ** 2) / jnp.mean(exact**2))),
    )
    squares = jnp.square(x).astype(jnp.bfloat16)
    variance = jnp.square(w).astype(jnp.bfloat16)
    product = jax.jit(jnp.matmul)
    bf16 = jax.jit(lambda a, b: jnp.matmul(a, b, preferred_element_type=jnp.float32))
    drawn = jax.jit(lambda k: normal(k, (N, N)))
    parts = {
        "product": lambda: [product(x, w) for _ in range(200)],
        "variance product (bf16)": lambda: [bf16(squares, variance) for _ in range(200)],
        "65,536 normals": lambda: [drawn(root) for _ in range(200)],
        "4 chips": lambda: small(jax.random.split(root, 4), x, w),
        "4 chips, loop": lambda: loop(jax.random.split(root, 4), x, w, verbs),
    }
    for run in parts.values():
        run()  # compiles
    seconds = {name: [] for name in parts}
    for _ in range(ROUNDS):
        for name, run in parts.items():
            seconds[name].append(cpu(run))
    one = {name: median(values) for name, values in seconds.items()}
    # The compiler finds that a product does not depend on the noise level and lifts it out of that loop.
    points, executed = N_CHIPS * N_TIMES * N_LEVELS, N_CHIPS * N_TIMES
    normals = N_CHIPS * (4 + N_TIMES * 2 * FLICKER + N_TIMES * N_LEVELS)  # in units of 65,536
    products = executed * one["product"] / 200
    variances = executed * one["variance product (bf16)"] / 200
    draws = normals * one["65,536 normals"] / 200
    bare = products + variances + draws
    total = cpu(lambda: whole(jax.random.split(root, N_CHIPS), x, w))
    memory = analysis.temp_size_in_bytes / 2**20 if (analysis := whole.memory_analysis()) else float("nan")
    return [
        [kind, "one compiled call, 100 chips", f"{total:.2f}", f"{total / bare:.2f}", f"temporaries {memory:.0f} MiB"],
        [kind, "the same from 4 chips", f"{25 * one['4 chips']:.2f}", f"{25 * one['4 chips'] / bare:.2f}", ""],
        [kind, "bare: products", f"{products:.2f}", "", f"{executed:,} of 256 × 256 × 256, for {points:,} reads"],
        [kind, "bare: variance products", f"{variances:.2f}", "", "in bfloat16"],
        [kind, "bare: random numbers", f"{draws:.2f}", "", f"{normals * N * N:,} normals"],
        [kind, "Python loop over the jitted verbs", f"{25 * one['4 chips, loop']:.2f}",
         f"{25 * one['4 chips, loop'] / bare:.2f}", f"{one['4 chips, loop'] / one['4 chips']:.2f} × the one call"],
    ]  # fmt: skip


if __name__ == "__main__":
    rows = measure("threefry", jax.random.key(0)) + measure("hash", jax.random.key(0, impl=HASH))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    text = (
        "100 chips × 20 times × 10 noise levels, 256 × 256 weights, 256 vectors. Aims: at most 1.3 × the sum of the "
        "bare products and bare random numbers, and at most half the time of the Python loop.\n\n"
        + table(["keys", "what", "CPU s", "× bare", ""], rows)
        + f"\n\nPeak memory of the whole process: {peak:.2f} GiB."
    )
    record("A hundred chips over a year", text, write="--write" in sys.argv)
