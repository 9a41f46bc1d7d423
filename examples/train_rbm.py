"""Train an RBM on binary digits, state its exact test log-likelihood, and sample it on every device there is.

    python examples/train_rbm.py [--small]

About 10 seconds on two CPU cores; JAX_PLATFORMS=cpu, cuda or tpu chooses where it runs.
"""

import argparse
import zlib
from math import gcd

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding, PartitionSpec
from rich.console import Console
from rich.table import Table

import ebm

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--small", action="store_true", help="fewer steps and chains, for a quick check")
is_small = parser.parse_args().small

N_HIDDEN = 16  # few enough to sum over all 65,536 hidden states
STEPS = 300 if is_small else 2000
N_SAMPLES = 128 if is_small else 1024
SWEEPS = 100 if is_small else 1000

# The problem: 8 x 8 digits, a pixel being on or off, and a model that starts with the right mean of every pixel.
init_key, fit_key, start_key, sweep_key = jax.random.split(jax.random.key(1), 4)
data = ebm.data.digits()
params = ebm.rbm.init(init_key, data.train.shape[1], N_HIDDEN, jnp.asarray(data.train.mean(axis=0)))
optimizer = optax.adamw(
    optax.cosine_decay_schedule(0.04, STEPS),
    weight_decay=0.02,
    mask=lambda params: jax.tree.map(lambda leaf: leaf.ndim == 2, params),  # weights, not biases
)

# Run it. Training stays on one device: spread over several, the sums of its gradient would round differently.
n_devices = gcd(N_SAMPLES, jax.device_count())
console = Console(width=100)
used = f"sampling on {n_devices} of {jax.device_count()} devices"
console.print(f"Running on {jax.devices()[0].device_kind} ({jax.default_backend()}, {used})")
before = ebm.log_likelihood(params, data.test)
state = ebm.fit(fit_key, params, data.train, optimizer=optimizer, steps=STEPS)
after = ebm.log_likelihood(state.params, data.test)

# Chains are independent rows: each device takes its share of them, and the samples are the same however many share.
mesh = jax.make_mesh((n_devices,), ("chains",), devices=jax.devices()[:n_devices])
rows, whole = NamedSharding(mesh, PartitionSpec("chains")), NamedSharding(mesh, PartitionSpec())
chains = jax.device_put(ebm.gibbs.init(start_key, state.params, N_SAMPLES), rows)
sample = jax.jit(ebm.gibbs.sweeps, static_argnums=3)
samples = np.asarray(sample(sweep_key, jax.device_put(state.params, whole), chains, SWEEPS).visible, np.uint8)

table = Table("exact test log-likelihood", "nats an image")
for name, values in (("before training, pixels independent", before), (f"after {STEPS:,} steps", after)):
    table.add_row(name, f"{values.mean():.2f} ± {values.std(ddof=1) / len(values) ** 0.5:.2f}")
table.add_section()
table.add_row("pixels on, in a test image", f"{data.test.sum(axis=1).mean():.2f}")
table.add_row(f"pixels on, in {N_SAMPLES:,} samples after {SWEEPS:,} sweeps", f"{samples.sum(axis=1).mean():.2f}")
table.add_row("checksum of the samples' bits", f"{zlib.crc32(samples.tobytes()):08x}")
console.print(table)
