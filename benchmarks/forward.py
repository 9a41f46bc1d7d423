"""A noisy product on one array against the plain product of the same shape, in CPU time.

    python benchmarks/forward.py [--write]

Rival: `jax.numpy.matmul` in float32. All variants run in one process, in turn, round after round; ratios are of
medians of process CPU time (all threads). Memory is what the compiler reserves beside arguments and results.
"""

import sys
import time
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
from record import record, table

import aimc

SHAPES = [(512, 64), (512, 1024), (1024, 64), (1024, 1024), (4096, 64)]
ROUNDS = 15


def variants(n: int) -> dict[str, aimc.CrossbarSpec]:
    return {
        "converters only": aimc.crossbar(rows=n, cols=n),
        "+ output noise": aimc.crossbar(rows=n, cols=n, output_noise=0.04),
        "+ read noise (NeuRRAM cells)": aimc.crossbar(rows=n, cols=n, device=aimc.devices.neurram()),
        "+ output noise, tiles of 256": aimc.crossbar(output_noise=0.04),
    }


def measure(n: int, batch: int) -> list[list[object]]:
    key = jax.random.key(0)
    x = jax.random.normal(jax.random.key(1), (batch, n))
    w = jax.random.normal(jax.random.key(2), (n, n))
    plain = jax.jit(jnp.matmul).lower(x, w).compile()
    runs: dict[str, tuple[Any, tuple[Any, ...], float, float]] = {"matmul": (plain, (x, w), 0.0, 0.0)}
    for name, spec in variants(n).items():
        state = jax.jit(aimc.program)(key, w, spec)
        read = jax.jit(aimc.mvm).lower(key, x, state).compile()
        memory = read.memory_analysis()
        temporary = memory.temp_size_in_bytes / (2 * 4 * batch * n) if memory else float("nan")
        held = sum(leaf.nbytes for leaf in jax.tree.leaves(state)) / w.nbytes
        runs[name] = (read, (key, x, state), temporary, held)
    repeats = max(1, round(3e8 / (batch * n * n)))
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS + 1):
        for name, (run, arguments, _, _) in runs.items():
            start = time.process_time()
            for _ in range(repeats):
                result = run(*arguments)
            jax.block_until_ready(result)
            seconds[name].append((time.process_time() - start) / repeats)
    middle = {name: median(values[1:]) for name, values in seconds.items()}  # the first round warms up
    return [
        [f"{n} × {n}", batch, name, f"{1e3 * middle[name]:.3f}", f"{middle[name] / middle['matmul']:.2f}",
         f"{memory:.2f}" if memory else "", f"{held:.2f}" if held else ""]
        for name, (_, _, memory, held) in runs.items()
    ]  # fmt: skip


if __name__ == "__main__":
    rows = [row for n, batch in SHAPES for row in measure(n, batch)]
    header = ["weights", "batch", "variant", "CPU ms", "× matmul", "temporary / (in + out)", "state / weights"]
    text = (
        "8-bit inputs and outputs. One tile holds all rows unless said otherwise; threefry random numbers. The "
        "limit is "
        "1.00 for converters alone; an output-noise draw costs one random normal an output, read noise a "
        "second product "
        "(in bfloat16) and the same normal. Aims: output noise ≤ 1.5 and read noise ≤ 2.5 at n ≥ 1024, ≤ 2 and "
        "≤ 3 at 512; "
        "temporaries ≤ 3, state ≤ 6.\n\n" + table(header, rows)
    )
    record("Noisy product against plain product", text, write="--write" in sys.argv)
