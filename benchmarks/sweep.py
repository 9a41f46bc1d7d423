"""A noise sweep as one compiled program against one compiled call per point, in CPU time.

    python benchmarks/sweep.py [--write]

10 noise levels × 3 ADC resolutions × 5 seeds of the digits network on fresh chips. Rival: a Python loop over the same
jitted point. Compilations are counted by tracing.
"""

import sys
import time
from statistics import median

import jax
import jax.numpy as jnp
from record import record, table

import aimc
from aimc import digits, sweep
from aimc.spec import with_levels

AXES = {"read_noise": [0.02 * i for i in range(10)], "adc_bits": [4, 6, 8]}
N_SEEDS, MORE_SEEDS = 5, 50
ROUNDS = 5


def main() -> None:
    data = digits.load()
    noisy = aimc.crossbar(write_noise=0.05, read_noise=1.0)
    parameters = jax.jit(lambda key: digits.train(key, data.fit))(jax.random.key(0))
    traces = []

    def point(key, read_noise, adc_bits, seed):
        traces.append(1)
        spec = with_levels(noisy, read_noise=read_noise, adc_levels=2.0 ** adc_bits.astype(jnp.float32) - 1.0)
        return {"accuracy": digits.accuracy(key, parameters, data.test, spec)}

    def one_program(n_seeds=N_SEEDS):
        traces.clear()
        sweep.run(point, AXES | {"seed": range(n_seeds)}, seed=0, spec={"study": "benchmark"}, chunk=150)
        return len(traces)

    compiled = jax.jit(point)
    points = [(s, b, i) for s in AXES["read_noise"] for b in AXES["adc_bits"] for i in range(N_SEEDS)]

    def loop():
        for s, b, i in points:
            key = jax.random.fold_in(jax.random.key(0), i)
            compiled(key, jnp.float32(s), jnp.int32(b), jnp.int32(i))["accuracy"].block_until_ready()

    def timed(run):
        start = time.process_time()
        run()
        return time.process_time() - start

    n_traces = one_program()
    loop()
    short, long, called = ([timed(run) for _ in range(ROUNDS)] for run in
                           (one_program, lambda: one_program(MORE_SEEDS), loop))  # fmt: skip
    more = len(points) * (MORE_SEEDS // N_SEEDS - 1)
    rows = [
        [f"one program, {len(points)} points, compilation included", f"{median(short):.2f} s", ""],
        ["one program, each further point", f"{1e3 * (median(long) - median(short)) / more:.2f} ms",
         f"{more / (median(long) - median(short)):.0f}"],
        ["a call per point, compiled before", f"{1e3 * median(called) / len(points):.2f} ms",
         f"{len(points) / median(called):.0f}"],
    ]  # fmt: skip
    text = (
        f"{len(points)} points, each programs a 64-128-128-10 network into a fresh chip and classifies 360 images. "
        f"The sweep traced its function {n_traces} time(s), so it compiled once.\n\n"
        + table(["variant", "CPU time", "points/s"], rows)
    )
    record("Sweep of the digits network", text, write="--write" in sys.argv)


if __name__ == "__main__":
    main()
