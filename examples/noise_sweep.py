"""Read a matrix on two published arrays, compare its noise with the closed form, then sweep noise and resolution.

    python examples/noise_sweep.py [--small]

About 10 seconds on two CPU cores; JAX_PLATFORMS=cpu, cuda or tpu chooses where it runs.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm
from rich.console import Console
from rich.table import Table

from aimc import conductances, crossbar, mvm, presets, program, sweep
from aimc.readout import UniformADC
from aimc.spec import with_levels

jax.config.update("jax_default_matmul_precision", "highest")  # the reference product, on accelerators too
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--small", action="store_true", help="fewer draws and points, for a quick check")
is_small = parser.parse_args().small

# Standard deviation of a write, as published: polynomials in g, in units of g_max (Le Gallo 2023, Wan 2022).
PRESETS = {
    "pcm_hermes": [c / 20.7 for c in (0.16603, 4.71806, -8.48101, 4.68961)],
    "reram_neurram": [c / 40.0 for c in (0.348, 16.030, -43.853, 45.393, -16.815)],
}
N_IN, N_OUT, N_VECTORS = 256, 128, 32
N_CHIPS, N_READS = (16, 16) if is_small else (64, 256)
READ_NOISE = [0.0, 0.05, 0.1] if is_small else [0.0, 0.02, 0.05, 0.1, 0.2]
ADC_BITS = [4, 8] if is_small else [4, 5, 6, 8]
SEEDS = range(2) if is_small else range(10)

# The problem: a Gaussian matrix, Gaussian inputs, and the product to be had.
weight_key, input_key, chip_key, read_key = jax.random.split(jax.random.key(0), 4)
w = jax.random.normal(weight_key, (N_IN, N_OUT)) / N_IN**0.5
x = jax.random.normal(input_key, (N_VECTORS, N_IN))
exact = jnp.matmul(x, w)


def write_error(std):
    """Expected squared error of x @ w when every cell is max(g + σ z, 0) in place of g."""
    scale = jnp.max(jnp.abs(w))
    g = jnp.abs(w) / scale
    bias, square = jnp.zeros_like(w), jnp.zeros_like(w)
    for target, sign in ((g, jnp.sign(w)), (jnp.zeros_like(g), -jnp.sign(w))):  # one cell of a pair is meant to be 0
        sigma = sum(coefficient * target**power for power, coefficient in enumerate(std))
        inside, density = norm.cdf(target / sigma), norm.pdf(target / sigma)
        mean = target * inside + sigma * density
        square += (target**2 + sigma**2) * inside + target * sigma * density - mean**2
        bias += sign * (mean - target)
    return scale**2 * jnp.mean(jnp.matmul(x**2, square) + jnp.matmul(x, bias) ** 2)


def read_error(state):
    """Expected squared error of one read of this chip: cells, input rounding and the rounding of every row tile."""
    inputs, readout, device, n_tiles = state.spec.inputs, state.spec.readout, state.spec.device, state.g.shape[0]
    largest = jnp.max(jnp.abs(x), axis=-1, keepdims=True)
    variances = [device.read_variance(side, state.elapsed) for side in conductances(state)]
    pair = sum((jnp.zeros(()) if v is None else v for v in variances), jnp.zeros_like(state.g))
    dac = 0.0 if inputs.n_levels is None else (2 / (inputs.n_levels - 1)) ** 2 / 12
    is_digital = isinstance(readout, UniformADC)
    adc = (2 * readout.full_scale / (readout.n_levels - 1)) ** 2 / 12 if is_digital else 0.0
    cells = jnp.matmul(x**2, pair.reshape(N_IN, N_OUT))
    rounding = dac * jnp.sum(state.g.reshape(N_IN, N_OUT) ** 2, axis=0) + n_tiles * adc
    return state.scale[0, 0] ** 2 * jnp.mean(cells + largest**2 * rounding)


def decibels(error):
    """Signal-to-noise ratio of an expected squared error."""
    return f"{10 * np.log10(float(jnp.mean(exact**2) / error)):.2f}"


@jax.jit
def measure(spec, std):
    """Squared errors of writing, over chips, and of reading, over reads of one chip."""
    chips = jax.lax.map(lambda key: program(key, w, spec), jax.random.split(chip_key, N_CHIPS))
    written = jnp.matmul(x, (chips.scale * chips.g.reshape(N_CHIPS, N_IN, N_OUT)))
    state = program(chip_key, w, spec)
    still = jnp.matmul(x, state.scale[0, 0] * state.g.reshape(N_IN, N_OUT))
    reads = jax.lax.map(lambda key: mvm(key, x, state), jax.random.split(read_key, N_READS))
    return jnp.mean((written - exact) ** 2), jnp.mean((reads - still) ** 2), write_error(std), read_error(state)


def point(key, read_noise, adc_bits, seed):
    """Relative error of the product on one freshly written chip."""
    write_key, read_key = jax.random.split(key)
    spec = with_levels(
        crossbar(write_noise=0.02, read_noise=1.0), read_noise=read_noise, adc_levels=2.0**adc_bits - 1.0
    )
    y = mvm(read_key, x, program(write_key, w, spec))
    return {"error": jnp.sqrt(jnp.mean((y - exact) ** 2) / jnp.mean(exact**2))}


# Run it.
console = Console(width=100)
console.print(f"Running on {jax.devices()[0].device_kind} ({jax.default_backend()}, 1 of {jax.device_count()} devices)")
table = Table("array", "write, measured", "closed form", "read, measured", "closed form", title="Signal to noise, dB")
for name, std in PRESETS.items():
    write, read, write_law, read_law = measure(presets.preset(name), std)
    table.add_row(name, *map(decibels, (write, write_law, read, read_law)))
console.print(table)

errors = sweep.run(
    point,
    {"read_noise": READ_NOISE, "adc_bits": ADC_BITS, "seed": SEEDS},
    seed=0,
    spec={"study": "relative error of a Gaussian product, write noise 0.02"},
)["error"]
title = f"Error of the product in %, mean ± spread over {len(SEEDS)} chips"
table = Table("read noise", *(f"{bits}-bit ADC" for bits in ADC_BITS), title=title)
for noise in READ_NOISE:
    cells = [100 * errors.sel(read_noise=noise, adc_bits=bits, method="nearest") for bits in ADC_BITS]
    table.add_row(f"{noise:g}", *(f"{float(c.mean()):.1f} ± {float(c.std()):.1f}" for c in cells))
console.print(table)
