"""What a layer computes, and its gradients, against other simulators on fixed inputs: tests/data/peers/README.md."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import aimc

TABLES = sorted((Path(__file__).parent / "data" / "peers").glob("*.npz"))


def _layer(table):
    spec = aimc.crossbar(
        rows=int(table["rows"]),
        # Theirs are steps over a range, 2**bits − 2 of them, ours codes: one more.
        dac_bits=int(np.log2(table["input_steps"] + 2)),
        adc_bits=int(np.log2(table["output_steps"] + 2)),
        adc_range=float(table["bound"]),
        input_range=float(table["input_range"]) or None,
        mapping=aimc.Mapping(scaling="column" if table["columns"] else "tensor"),
    )
    layer = aimc.AnalogLinear(*table["w"].shape, spec, rngs=nnx.Rngs(0), use_bias=False)
    layer.kernel[...] = jnp.asarray(table["w"])
    return layer


@nnx.jit
def _run(layer, x, error):
    """y, and the gradients of Σ y · error in the kernel and in x."""

    def total(layer, x):
        y = layer(x)
        return jnp.sum(y * error), y

    (_, y), gradients = nnx.value_and_grad(total, argnums=(0, 1), has_aux=True)(layer, x)
    return y, gradients[0]["kernel"], gradients[1]


def test_there_are_tables():
    assert len(TABLES) == 22


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_a_layer_computes_what_its_peers_compute(path):
    with np.load(path) as file:
        table = dict(file)
    y, w_gradient, x_gradient = _run(_layer(table), jnp.asarray(table["x"]), jnp.asarray(table["error"]))
    np.testing.assert_allclose(y, table["y"], atol=1e-5)
    kept = np.ones_like(table["x"], bool)
    if not table["input_range"]:
        # The largest input of a vector is its scale: they differentiate through it, here scales are constants.
        kept = np.abs(table["x"]) < np.abs(table["x"]).max(axis=-1, keepdims=True)
    np.testing.assert_allclose(np.asarray(x_gradient)[kept], table["x_gradient"][kept], atol=1e-5)
    if "w_gradient" in table:
        np.testing.assert_allclose(w_gradient[...], table["w_gradient"], atol=1e-5)
