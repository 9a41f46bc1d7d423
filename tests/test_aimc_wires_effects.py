"""What else wires do: read noise, settling, power and load, against nodal analysis, sampling and ngspice."""

import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from crossbar_oracle import case, error, nodal

from aimc import wires

WIRES = {"r_row": 20.0, "r_col": 30.0, "r_drv": 100.0, "r_sense": 50.0}
M, N = 12, 9


def single(x):
    return jnp.asarray(x, jnp.float32)


@pytest.fixture(scope="module")
def circuit():
    """g, s², inputs of one sign and of both, and by nodal analysis d (inputs, cells) and λ (cells, outputs)."""
    rng = np.random.default_rng(0)
    g = rng.uniform(1e-6, 100e-6, (M, N))
    g[rng.random((M, N)) < 0.1] = 0
    v = {"one sign": rng.uniform(0, 0.2, (64, M)), "both signs": rng.uniform(-0.2, 0.2, (64, M))}
    a, b, o = nodal(g, **WIRES)
    x, half = np.linalg.solve(a, b), g.size
    back = np.linalg.solve(a, o.T)
    return g, (0.05 * g) ** 2, v, (x[:half] - x[half:]).T, back[half:] - back[:half]


def test_the_variance_of_every_output_is_the_first_order_law(circuit):
    g, s2, v, across, influence = circuit
    for inputs in v.values():
        true = (inputs @ across) ** 2 @ (s2.reshape(-1, 1) * influence**2)
        found = wires.noise_variance(single(inputs), single(g), single(s2), **WIRES)
        assert error(found, true) <= 3e-6


def test_the_first_order_law_is_what_sampled_arrays_show(circuit):
    """4,000 arrays with 1 % noise: a sample variance spreads by √(2/(n − 1)) of itself; within 5 standard errors."""
    g, _, v, _, _ = circuit
    s2, rng = (0.01 * g) ** 2, np.random.default_rng(1)
    drawn = g + np.sqrt(s2) * rng.standard_normal((4000, M, N))
    h = wires.transfer_matrix(single(drawn), **WIRES, tiles_at_once=500)
    currents = np.asarray(single(v["one sign"][0]) @ h, np.float64)
    found = np.asarray(wires.noise_variance(single(v["one sign"][0]), single(g), single(s2), **WIRES), np.float64)
    z = (currents.var(axis=0, ddof=1) / found - 1) / np.sqrt(2 / 3999)
    assert np.abs(z).max() <= 5, z


def test_the_covariance_between_outputs_is_the_first_order_law(circuit):
    g, s2, v, across, influence = circuit
    x = v["one sign"][0]
    true = influence.T @ (s2.reshape(-1, 1) * ((x @ across) ** 2)[:, None] * influence)
    assert error(wires.noise_covariance(single(x), single(g), single(s2), **WIRES), true) <= 3e-6
    off_diagonal = true[~np.eye(N, dtype=bool)]
    assert np.abs(off_diagonal).max() > 1e-3 * true.max()  # without wires there is none


def test_the_folded_diagonal_is_the_average_over_inputs_of_both_signs(circuit):
    """Averaged over all 2^M signs of an input, the exact variance is the diagonal's: cross terms cancel in pairs."""
    g, s2, v, across, influence = circuit
    x = v["one sign"][0]
    signs = 1 - 2 * ((np.arange(2**M)[:, None] >> np.arange(M)) & 1)
    true = np.mean(((signs * x) @ across) ** 2, axis=0) @ (s2.reshape(-1, 1) * influence**2)
    fold = wires.fold_noise(single(g), single(s2), **WIRES)
    assert error(wires.folded_variance(single(x), fold), true) <= 3e-6
    corrected = wires.fold_noise(single(g), single(s2), **WIRES, reference=jnp.ones(M))
    average = jnp.mean(wires.folded_variance(single(signs * x), corrected), axis=0)
    assert error(average, true) <= 1e-5


def test_the_correction_is_exact_for_its_reference_and_close_for_inputs_of_one_sign(circuit):
    g, s2, v, across, influence = circuit
    reference = np.full(M, 0.1)
    true = (reference @ across) ** 2 @ (s2.reshape(-1, 1) * influence**2)
    fold = wires.fold_noise(single(g), single(s2), **WIRES, reference=single(reference))
    assert error(wires.folded_variance(single(reference), fold), true) <= 1e-5
    how = {"reference": jnp.ones(M), **WIRES}
    one = wires.noise_errors(single(v["one sign"]), single(g), single(s2), **how)
    assert one.without_wires > 5 * one.diagonal  # not knowing of the wires at all is far worse than either fold
    assert one.diagonal > 0.1
    assert one.corrected < 0.01
    both = wires.noise_errors(single(v["both signs"]), single(g), single(s2), **how)
    assert both.diagonal < 0.1
    assert both.corrected < 0.02


def test_noise_of_interleaved_pairs_folds_with_their_inputs():
    rng = np.random.default_rng(5)
    plus, minus = (single(rng.uniform(1e-6, 100e-6, (5, 4))) for _ in range(2))
    g = wires.interleave(plus, minus)
    s2, v = (0.05 * g) ** 2, single(rng.uniform(-0.2, 0.2, (40, 5)))
    pairs = wires.pair_inputs(5)
    exact = wires.noise_variance(wires.pair_voltages(v), g, s2, **WIRES)
    fold = wires.fold_noise(g, s2, **WIRES, inputs=pairs)
    assert fold.diagonal.shape == (5, 4)
    one = jnp.zeros(5).at[2].set(0.1)  # one input has no cross terms, so its variance is exact
    alone = wires.noise_variance(wires.pair_voltages(one), g, s2, **WIRES)
    assert error(wires.folded_variance(one, fold), np.asarray(alone)) <= 3e-6
    assert float(jnp.sqrt(jnp.mean((wires.folded_variance(v, fold) / exact - 1) ** 2))) < 0.1


def test_noise_refuses_what_does_not_fit(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # users have no run-time checks of annotations
    g = jnp.ones((4, 3))
    with pytest.raises(ValueError, match="one entry for each of the 4 rows of g, got 5"):
        wires.fold_noise(g, g, **WIRES, inputs=jnp.ones((2, 5)))
    with pytest.raises(ValueError, match="reference must be one input of 4 entries"):
        wires.fold_noise(g, g, **WIRES, reference=jnp.ones(3))
    with pytest.raises(ValueError, match="sigma2 must have one variance for each cell"):
        wires.noise_variance(jnp.ones(4), g, jnp.ones((3, 3)), **WIRES)


@pytest.fixture(scope="module")
def transient():
    stored, resistances = case("tran_016x016_r5_c5fF")
    return stored, resistances, wires.modes(stored["G"], **resistances, c_wire=float(stored["c_wire"]))


def test_currents_settle_as_in_ngspice(transient):
    stored, _, modes = transient
    found = wires.step_response(stored["V"], modes, stored["t_grid"], rise_time=float(stored["t_rise"]))
    assert found.shape == stored["I_out"].shape
    assert error(found, stored["I_out"]) <= 2e-5


def test_settling_times_are_those_where_the_currents_enter_the_band(transient):
    stored, _, modes = transient
    v = stored["V"][0]
    final = wires.step_response(v, modes, np.array([1.0]))[0]
    for fraction in (0.1, 0.01, 0.001):
        time = wires.settling_time(v, modes, fraction=fraction)
        grid = np.linspace(0, 2e-9, 20001)
        outside = (np.abs(wires.step_response(v, modes, grid) - final) > fraction * np.abs(final).max()).any(axis=1)
        assert time == pytest.approx(grid[np.flatnonzero(outside)[-1]], abs=1e-12)
    slowest = 1 / modes.rates[0]
    assert slowest == pytest.approx(0.115e-9, rel=0.01)  # of the 0.58 ns to 1 %


def test_the_elmore_delay_is_the_first_moment_of_the_settling(transient):
    """∫ (I(∞) − I(t)) dt / I(∞): of ngspice's own samples to the 1 % of their grid, of the modes exactly."""
    stored, resistances, modes = transient
    how = {**resistances, "c_wire": float(stored["c_wire"])}
    found = wires.elmore_delay(single(stored["V"]), single(stored["G"]), **how)
    final = wires.step_response(stored["V"], modes, np.array([1.0]))
    exact = (stored["V"] @ (modes.excitation / modes.rates**2)) @ modes.readout / final[:, 0]
    assert error(found, exact) <= 1e-5
    times = np.concatenate([[0.0], stored["t_grid"]])  # nothing flows at the start
    rest = np.concatenate([np.ones_like(final), 1 - stored["I_out"] / final], axis=1)
    area = np.sum((rest[:, 1:] + rest[:, :-1]) / 2 * np.diff(times)[:, None], axis=1)
    area += rest[:, -1] / modes.rates[0]  # beyond the grid only the slowest mode is left
    assert error(found, area - float(stored["t_rise"]) / 2) <= 0.02
    assert 0.14e-9 < float(found.min()) < float(found.max()) < 0.16e-9


def test_settling_refuses_what_has_no_time_constant():
    g = np.full((2, 2), 1e-5)
    with pytest.raises(ValueError, match="r_sense must be finite and above 0"):
        wires.modes(g, **{**WIRES, "r_sense": 0.0}, c_wire=1e-15)
    with pytest.raises(ValueError, match="take elmore_delay"):
        wires.modes(np.full((64, 64), 1e-5), **WIRES, c_wire=1e-15)
    modes = wires.modes(g, **WIRES, c_wire=1e-15)
    with pytest.raises(ValueError, match="fraction must be between 0 and 1, got 1"):
        wires.settling_time(np.ones(2), modes, fraction=1.0)
    with pytest.raises(ValueError, match="no current flows"):
        wires.settling_time(np.zeros(2), modes, fraction=0.1)


def test_power_is_what_all_resistors_dissipate(circuit):
    g, _, v, _, _ = circuit
    inputs = v["both signs"][:4]
    a, b, _ = nodal(g, **WIRES)
    nodes = inputs @ np.linalg.solve(a, b).T
    word, bit = nodes[:, : M * N].reshape(4, M, N), nodes[:, M * N :].reshape(4, M, N)
    true = (
        np.sum(g * (word - bit) ** 2, axis=(1, 2))
        + np.sum(np.diff(word, axis=2) ** 2, axis=(1, 2)) / WIRES["r_row"]
        + np.sum(np.diff(bit, axis=1) ** 2, axis=(1, 2)) / WIRES["r_col"]
        + np.sum((inputs - word[:, :, 0]) ** 2, axis=1) / WIRES["r_drv"]
        + np.sum(bit[:, -1] ** 2, axis=1) / WIRES["r_sense"]
    )
    solution = wires.solve(single(inputs), single(g), **WIRES)
    assert error(wires.array_power(single(inputs), solution), true) <= 2e-6
    admittance = wires.input_admittance(single(g), **WIRES)
    assert error(single(inputs) @ admittance, np.asarray(solution.input_currents)) <= 2e-6


def test_an_amplifier_sees_its_column_through_the_wires(circuit):
    """Thévenin: 1 V in sense line j, all else grounded, draws the column's conductance."""
    g = circuit[0]
    a, _, o = nodal(g, **WIRES)
    nodes = np.linalg.solve(a, o.T)
    true = (1 - np.diag(nodes[-N:])) / WIRES["r_sense"]
    found = wires.column_conductance(single(g), **WIRES)
    assert error(found, true) <= 1e-5
    assert (found < g.sum(axis=0)).all()
    ideal = wires.column_conductance(single(g), **dict.fromkeys(WIRES, 0.0))
    assert error(ideal, g.sum(axis=0)) <= 1e-6
    amplifier = wires.amplifier(found, feedback=1e4, open_loop_gain=1e3, gain_bandwidth=1e9)
    # The textbook's divider: a virtual ground at −V/A₀ takes (V/A₀) (1 + R_f G) of the output.
    current, gain = 1e-5, 1e3
    output = np.array([np.linalg.solve([[1, gain], [-1 / 1e4, G + 1 / 1e4]], [0, current])[0] for G in true])
    assert error(amplifier.gain, output / (-1e4 * current)) <= 1e-5
    assert error(amplifier.time_constant, (1 + 1e4 * true) / (2 * np.pi * 1e9)) <= 1e-5
    with pytest.raises(ValueError, match="feedback must be above 0"):
        wires.amplifier(found, feedback=0.0, open_loop_gain=1e3, gain_bandwidth=1e9)
