"""How far straight-through gradients are from those of the expected loss.

    python benchmarks/gradient_bias.py [--write]

A short step along a gradient promises that the mean loss falls by so much. Measured here, by central differences with
common random numbers over fresh inputs and noise: the share of that promise that is kept. A network 24-24-10 with ReLU
and cross-entropy is asked at random weights, all matrices on arrays; inputs and sums have as many bits, ranges of three
root mean squares and of the least error. Rows differ in the noise. Bias has three causes: rounding before what is no
parabola, noise whose size follows inputs or weights (a constant to the gradient), and cells that stop at zero (the
gradient goes on).
"""

import sys
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from record import record, table

import aimc

SIZES, BATCH, GROUPS, STEP = (24, 24, 10), 512, 400, 0.05
BITS = (2, 3, 4, 6, 8)
TWO_SIDED = aimc.Mapping("two_sided")
NOISES: dict[str, dict[str, Any]] = {
    "none": {},
    "output noise 0.2 cells": {"output_noise": 0.2},
    "read noise 0.05": {"read_noise": 0.05},
    "write noise 0.05, pairs around the middle": {"write_noise": 0.05, "mapping": TWO_SIDED},
    "write noise 0.05, one cell of a pair at zero": {"write_noise": 0.05},
    "phase-change cells": {"device": aimc.devices.pcm()},
}


class Net(nnx.Module):
    def __init__(self, rngs):
        self.layers = nnx.List([nnx.Linear(a, b, rngs=rngs) for a, b in pairwise(SIZES)])

    def __call__(self, x):
        return self.layers[1](nnx.relu(self.layers[0](x)))


def kept(bits: int | None, noise: dict[str, Any]) -> tuple[float, float]:
    """Share of the promised descent that is kept, and its standard error over groups."""
    model = aimc.convert(Net(nnx.Rngs(0)), aimc.crossbar(dac_bits=bits, adc_bits=bits, **noise))
    data = 0.5 * jax.random.normal(jax.random.key(8), (2000, SIZES[0]))
    aimc.nn.calibrate(model, [data], inputs="std", outputs=None if bits is None else "gaussian")
    graph, weights, rest = nnx.split(model, nnx.Param, ...)
    teacher = jax.random.normal(jax.random.key(9), (SIZES[0], SIZES[-1]))

    def loss(weights, key):
        input_key, label_key, noise_key = jax.random.split(key, 3)
        x = 0.5 * jax.random.normal(input_key, (BATCH, SIZES[0]))
        labels = jnp.argmax(x @ teacher + jax.random.normal(label_key, (BATCH, SIZES[-1])), axis=-1)
        model = nnx.merge(graph, weights, rest, copy=True)
        streams = nnx.Rngs(noise=noise_key)
        for _, layer in aimc.nn.analog_layers(model):
            layer.noise = streams.noise.fork()
        scores = jax.nn.log_softmax(model(x))
        return -jnp.mean(jnp.take_along_axis(scores, labels[:, None], axis=-1))

    def over_groups(f, seed):
        keys = jax.random.split(jax.random.key(seed), GROUPS)
        return jax.jit(lambda: jax.lax.map(f, keys))()

    def along(gradient):
        return sum(jnp.vdot(g, d) for g, d in zip(jax.tree.leaves(gradient), jax.tree.leaves(direction), strict=True))

    def group(key):
        def shifted(step):
            return loss(jax.tree.map(lambda w, d: w + step * d, weights, direction), key)

        return (shifted(STEP) - shifted(-STEP)) / (2.0 * STEP), along(jax.grad(loss)(weights, key))

    mean = jax.tree.map(lambda g: g.mean(0), over_groups(lambda key: jax.grad(loss)(weights, key), 1))
    length = jnp.sqrt(sum(jnp.vdot(g, g) for g in jax.tree.leaves(mean)))
    direction = jax.tree.map(lambda g: g / length, mean)
    found, promised = (np.asarray(values, np.float64) for values in over_groups(group, 2))  # fresh: no winner's curse
    share = found.mean() / promised.mean()
    return share, np.std(found - share * promised, ddof=1) / np.sqrt(GROUPS) / promised.mean()


def main() -> None:
    rows = []
    for name, noise in NOISES.items():
        found = [kept(bits, noise) for bits in (*BITS, None)]
        rows.append([name, *[f"{share:.3f} ± {error:.3f}" for share, error in found]])
        print(rows[-1], flush=True)
    text = (
        "Share of the descent promised by the straight-through gradient that the mean loss keeps, ± standard error: 1 "
        f"is no bias along the gradient. Network {'-'.join(map(str, SIZES))}, ReLU, cross-entropy, "
        f"{BATCH * GROUPS:,} inputs a number. Input ranges of three root mean squares, converter ranges of least "
        "error for Gaussian sums.\n\n" + table(["noise", *[f"{b} bits" for b in BITS], "no converters"], rows)
    )
    record("Straight-through gradients", text, write="--write" in sys.argv)


if __name__ == "__main__":
    main()
