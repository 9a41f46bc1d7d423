"""The array's own power and settling, against Joule's law in float64 node voltages and the delay of single circuits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from crossbar_oracle import nodal

import aimc
from aimc import Mapping, Wiring
from aimc.power import read_power, settling_time

KEY = jax.random.key(3)
RNG = np.random.default_rng(2)
X = jnp.asarray(RNG.uniform(-1, 1, size=(3, 10)), jnp.float32).at[:, 0].set(1.0)
W = jnp.asarray(RNG.normal(size=(10, 5)), jnp.float32)
OHM = {"r_row": 40.0, "r_col": 60.0, "r_drv": 100.0, "r_sense": 30.0}


def _plain(**kwargs) -> aimc.CrossbarSpec:
    return aimc.crossbar(**({"dac_bits": None, "adc_bits": None, "rows": 10, "cols": 5, "input_range": 1.0} | kwargs))


@pytest.mark.parametrize("mapping", [Mapping(), Mapping("offset_column"), Mapping("offset_digital")], ids=str)
def test_power_without_wires_is_that_of_the_cells(mapping):
    """Σ v² G over all cells of all sides, on one tile and on several."""
    for rows in (10, 4):
        state = aimc.program(KEY, W, _plain(rows=rows, mapping=mapping))
        sides = [np.asarray(side, np.float64).reshape(-1, side.shape[-1])[:10] for side in aimc.conductances(state)]
        true = [sum(0.3**2 * 25e-6 * np.sum(np.square(x)[:, None] * side) for side in sides) for x in np.asarray(X)]
        np.testing.assert_allclose(read_power(state, X, v_read=0.3), true, rtol=1e-5)


@pytest.mark.parametrize("layout", ["interleaved", "separate"])
def test_power_with_wires_is_what_the_sources_deliver(layout):
    """Σ v_i I_i with I_i = (v_i − W_i0)/r_drv from node voltages in float64."""
    state = aimc.program(KEY, W, _plain(wiring=Wiring(**OHM, layout=layout, v_read=0.3)))
    sides = [np.asarray(side[0], np.float64) * 25e-6 for side in aimc.conductances(state)]
    if layout == "interleaved":
        arrays = [(np.stack(sides, axis=1).reshape(20, 5), lambda v: np.stack([v, -v], axis=1).ravel())]
    else:
        arrays = [(side, lambda v: v) for side in sides]
    true = []
    for x in np.asarray(X, np.float64):
        total = 0.0
        for g, drive in arrays:
            v = drive(0.3 * x)
            a, b, _ = nodal(g, **OHM)
            nodes = np.linalg.solve(a, b @ v)
            total += np.sum(v * (v - nodes[np.arange(g.shape[0]) * g.shape[1]]) / OHM["r_drv"])
        true.append(total)
    np.testing.assert_allclose(read_power(state, X), true, rtol=1e-4)


def test_bit_planes_and_tiles_add_up():
    serial = aimc.program(KEY, W, _plain(dac_bits=3, input_encoding="bit_serial"))
    code = np.round(np.abs(np.asarray(X, np.float64)) * 3).astype(int)
    load = sum(np.asarray(side[0], np.float64).sum(-1) for side in aimc.conductances(serial)) * 25e-6
    true = [0.2**2 * np.sum(((c >> 1) + (c & 1)) * load) for c in code]
    np.testing.assert_allclose(read_power(serial, X), true, rtol=1e-5)
    wired = aimc.program(KEY, W, _plain(rows=4, cols=3, wiring=Wiring(r_row=0.0, r_col=0.0)))
    np.testing.assert_allclose(read_power(wired, X), read_power(aimc.program(KEY, W, _plain(rows=4)), X), rtol=1e-5)


def test_lines_settle_as_slowly_as_the_slowest_circuit():
    state = aimc.program(KEY, W, _plain(rows=4, cols=3, wiring=Wiring(**OHM, layout="separate")))
    slowest = 0.0
    for side in aimc.conductances(state):
        for tile in range(side.shape[0]):
            for start in (0, 3):
                g = np.asarray(side[tile][:, start : start + 3], np.float64) * 25e-6
                g = np.pad(g, ((0, 0), (0, 3 - g.shape[1])))
                a, b, o = nodal(g, **OHM)
                x = np.linalg.solve(a, b @ np.ones(g.shape[0]))
                for out in o:
                    if out @ x > 0:
                        slowest = max(slowest, 5e-15 * (np.linalg.solve(a, out) @ x) / (out @ x))
    assert float(settling_time(state, c_wire=5e-15)) == pytest.approx(np.log(100) * slowest, rel=1e-4)
    assert float(settling_time(state, c_wire=5e-15, fraction=0.001)) == pytest.approx(np.log(1000) * slowest, rel=1e-4)


def test_what_has_no_power_or_no_wires_says_so():
    with pytest.raises(ValueError, match="cells are none"):
        read_power(aimc.program(KEY, W, _plain(mapping=Mapping("signed_cell"))), X)
    with pytest.raises(ValueError, match="wiring must be given"):
        settling_time(aimc.program(KEY, W, _plain()), c_wire=1e-15)
    with pytest.raises(ValueError, match="fraction must be between 0 and 1"):
        settling_time(aimc.program(KEY, W, _plain(wiring=Wiring(**OHM))), c_wire=1e-15, fraction=2.0)
