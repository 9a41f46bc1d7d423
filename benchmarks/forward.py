"""A noisy product on one array against the plain product it stands for, in CPU time.

    python benchmarks/forward.py [--write]

Rival: `jax.numpy.matmul` in float32 of the same shape; for slices and bit planes, of the shape they stand for. All
variants run in one process, in turn, round after round; ratios are of medians of process CPU time (all threads). Memory
is what the compiler reserves beside arguments and results.
"""

import sys
import time
from statistics import median
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from record import record, table

import aimc
from aimc.noise import HASH

SHAPES = [(512, 64), (512, 1024), (1024, 64), (1024, 1024), (4096, 64)]
ROUNDS = 15


class Variant(NamedTuple):
    name: str
    spec: aimc.CrossbarSpec
    keys: str = "none"
    slices: int = 1
    planes: int = 1
    aim: str = ""


def variants(n: int) -> list[Variant]:
    def array(**kwargs: Any) -> aimc.CrossbarSpec:
        return aimc.crossbar(rows=n, cols=n, **kwargs)

    small = n == 512
    devices = {"NeuRRAM": aimc.devices.neurram(), "HERMES": aimc.devices.hermes()}
    digits = aimc.Mapping(n_slices=4, slice_bits=2)
    found = [Variant("converters only", array())]
    for keys in ("threefry", "hash"):
        aims = ("≤ 1.3" if small else "≤ 1.15", "≤ 2.2" if n == 4096 else "≤ 1.9") if keys == "hash" else ("", "")
        found.append(Variant("+ output noise", array(output_noise=0.04), keys, aim=aims[0]))
        found += [Variant(f"+ read noise of {k} cells", array(device=d), keys, aim=aims[1]) for k, d in devices.items()]
    found.append(Variant("+ output noise, tiles of 256", aimc.crossbar(output_noise=0.04), "hash"))
    if n <= 1024:
        found.append(Variant("4 slices of 2 bits", array(mapping=digits), slices=4, aim="≤ 1.3"))
        found.append(Variant("8-bit inputs, bit by bit", array(input_encoding="bit_serial"), planes=7, aim="≤ 1.3"))
    return found


def cpu(run: Any, arguments: tuple, repeats: int) -> float:
    jax.block_until_ready(run(*arguments))  # whatever ran before has had the caches
    start = time.process_time()
    for _ in range(repeats):
        result = run(*arguments)
    jax.block_until_ready(result)
    return (time.process_time() - start) / repeats


def measure(n: int, batch: int) -> list[list[object]]:
    roots = {"threefry": jax.random.key(0), "hash": jax.random.key(0, impl=HASH), "none": jax.random.key(0)}
    x = jax.random.normal(jax.random.key(1), (batch, n))
    w = jax.random.normal(jax.random.key(2), (n, n))
    plain = jax.jit(jnp.matmul)
    rivals: dict[tuple[int, int], tuple[Any, tuple]] = {}
    runs: list[tuple[Variant, Any, tuple, float, float]] = []
    for variant in variants(n):
        key = roots[variant.keys]
        state = jax.jit(aimc.program)(key, w, variant.spec)
        read = jax.jit(aimc.mvm)
        memory = read.lower(key, x, state).compile().memory_analysis()
        outputs = 4 * batch * n * variant.planes * (1 + variant.slices)
        temporary = memory.temp_size_in_bytes / outputs if memory else float("nan")
        held = sum(leaf.nbytes for leaf in jax.tree.leaves(state)) / w.nbytes
        runs.append((variant, read, (key, x, state), temporary, held))
        shape = (variant.planes, variant.slices)
        if shape not in rivals:
            rivals[shape] = (plain, (jnp.tile(x, (variant.planes, 1)), jnp.tile(w, (1, variant.slices))))
    repeats = max(2, round(3e8 / (batch * n * n)))
    rival_s: dict[tuple[int, int], list[float]] = {shape: [] for shape in rivals}
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(ROUNDS + 1):
        for shape, (run, arguments) in rivals.items():
            rival_s[shape].append(cpu(run, arguments, repeats))
        for i, (_, run, arguments, _, _) in enumerate(runs):
            seconds[i].append(cpu(run, arguments, repeats))
    bare = {shape: median(values[1:]) for shape, values in rival_s.items()}  # the first round warms up
    rows: list[list[object]] = [[f"{n} × {n}", batch, "matmul", "", f"{1e3 * bare[1, 1]:.3f}", "1.00", "", "", ""]]
    for (variant, _, _, temporary, held), values in zip(runs, seconds, strict=True):
        own = median(values[1:])
        rows.append(
            [f"{n} × {n}", batch, variant.name, variant.keys.replace("none", ""), f"{1e3 * own:.3f}",
             f"{own / bare[variant.planes, variant.slices]:.2f}", variant.aim, f"{temporary:.2f}", f"{held:.2f}"]
        )  # fmt: skip
    return rows


if __name__ == "__main__":
    rows = [row for n, batch in SHAPES for row in measure(n, batch)]
    header = ["weights", "batch", "variant", "keys", "CPU ms", "× matmul", "aim", "temporary / (in + out)",
              "state / weights"]  # fmt: skip
    text = (
        "8-bit inputs and outputs. One tile holds all rows unless said otherwise; slices and bit planes are compared "
        "with the product they stand for (4 times the columns, 7 times the vectors). Bound: an input pass, an output "
        "pass and one random normal an output beside the product; read noise adds a second product, in bfloat16. Keys: "
        "the default Threefry, or `aimc.noise.HASH`.\n\n" + table(header, rows)
    )
    record("Noisy product against plain product", text, write="--write" in sys.argv)
