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

AXES = {"read_noise": [0.02 * i for i in range(10)], "adc_bits": [4, 6, 8], "seed": range(5)}
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

    def one_program():
        traces.clear()
        sweep.run(point, AXES, seed=0, spec={"study": "benchmark"}, chunk=150)
        return len(traces)

    compiled = jax.jit(point)
    points = [(s, b, i) for s in AXES["read_noise"] for b in AXES["adc_bits"] for i in AXES["seed"]]

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
    seconds = {"one program, compilation included": [], "a call per point, compiled before": []}
    for _ in range(ROUNDS):
        seconds["one program, compilation included"].append(timed(one_program))
        seconds["a call per point, compiled before"].append(timed(loop))
    rows = [[name, f"{median(values):.2f}", f"{len(points) / median(values):.0f}"] for name, values in seconds.items()]
    text = (
        f"{len(points)} points, each programs a 64-128-128-10 network into a fresh chip and classifies 360 images. "
        f"The sweep traced its function {n_traces} time(s), so it compiled once.\n\n"
        + table(["variant", "CPU s", "points/s"], rows)
    )
    record("Sweep of the digits network", text, write="--write" in sys.argv)


if __name__ == "__main__":
    main()
