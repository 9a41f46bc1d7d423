"""The trust report against what is known: exact likelihoods, temperatures put in by hand, chips, validation, sweeps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebm import analog, data, evaluate, exact, figures, gaussian, gibbs, hardware, models, rbm, run, sweep, trust
from ebm.hardware import Hardware
from ebm.likelihood import log_likelihood

GAUSSIAN = models.law(models.Settings(model="gaussian"), 2)
EFFORT = trust.Effort(chains=64, burn_in=100, sweeps=400, ais_chains=64, ais_betas=300)


def model(n_visible=8, n_hidden=5, scale=0.5):
    keys = jax.random.split(jax.random.key(5), 3)
    shapes = ((n_visible, n_hidden), (n_visible,), (n_hidden,))
    return rbm.Rbm(*(scale * jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True)))


@pytest.fixture(scope="module")
def rows():
    return np.asarray(jax.random.bernoulli(jax.random.key(0), 0.4, (200, 8)), np.float32)


def test_bounds_hold_the_exact_value_where_both_can_be_had(rows, monkeypatch):
    """The sandwich, forced on a model that enumeration can do: within 5 of its own errors of the exact mean."""
    params = model()
    parts = {"test": rows}
    known = trust.likelihood(jax.random.key(1), params, parts, rows, EFFORT)
    assert known["method"] == trust.EXACT
    monkeypatch.setattr(trust, "MAX_ENUMERATED_UNITS", 3)
    bounds = trust.likelihood(jax.random.key(1), params, parts, rows, EFFORT)
    assert bounds["method"] == trust.BOUNDED
    assert bounds["is_trusted"]
    assert abs(bounds["test_log_likelihood"] - known["test_log_likelihood"]) < 0.05
    assert bounds["test_standard_error"] == pytest.approx(known["test_standard_error"], rel=1e-5)
    assert (bounds["test_rows_used"], 0 < bounds["test_lower_error"] < 0.05) == (200, True)
    hard = params._replace(weights=20 * params.weights)
    short = trust.likelihood(jax.random.key(1), hard, parts, rows, EFFORT._replace(ais_betas=3))
    assert not short["is_trusted"]
    assert "do not trust" in short["test_verdict"]


def test_a_chip_reports_its_temperature_and_the_likelihood_at_it(rows):
    """A comparator of noise s is at beta 1.702 / s; the likelihood is then that of the same machine, tempered.

    The comparator's law differs from a sigmoid's by 0.0095 at most, which bounds beta's bias to about 2 %.
    """
    params = model()
    kinds = {"chosen": Hardware(array="plain", neuron="comparator"), "effort": EFFORT}
    found = evaluate.report(jax.random.key(2), params, {"test": rows}, rows, chips=2, **kinds)
    assert len(found["chips"]) == 2
    assert found["beta_eff"] == pytest.approx(1.0, abs=0.04 + 4 * found["beta_eff_error"])
    for chip in found["chips"]:
        machine = params.tempered(chip["beta_eff"])
        expected = trust.likelihood(jax.random.key(1), machine, {"test": rows}, rows)
        assert chip["test_log_likelihood"] == pytest.approx(expected["test_log_likelihood"], abs=1e-4)
    assert found["test_log_likelihood"] == pytest.approx(np.mean([c["test_log_likelihood"] for c in found["chips"]]))


def conditional(states, weights, bias, chosen):
    """P(unit on) for every state of the other layer on a plain array, by quadrature over the noise of a read.

    Both cells of a pair fluctuate in every driven line: variance 2 r^2 W_max^2 a line. Converters round in steps of
    range / (2^(bits - 1) - 1), range being in units of W_max.
    """
    nodes, shares = np.polynomial.hermite_e.hermegauss(41)
    largest = np.abs(weights).max() if chosen.read_noise is None else chosen.read_noise * np.abs(weights).max()
    sums = states @ weights
    if chosen.read_noise is not None:
        std = largest * np.sqrt(2 * states.sum(1))
        return (1 / (1 + np.exp(-(sums + bias)[..., None] - std[:, None, None] * nodes))) @ (shares / shares.sum())
    half, full = 2 ** (chosen.adc_bits - 1) - 1, chosen.adc_range * largest
    rounded = np.round(np.clip(sums / full, -1, 1) * half) / half * full
    return 1 / (1 + np.exp(-rounded - bias))


@pytest.mark.parametrize(
    "chosen",
    [Hardware(array="plain", read_noise=0.4), Hardware(array="plain", adc_bits=3, adc_range=3.0)],
    ids=["read noise", "converters"],
)
def test_a_chip_has_a_law_of_its_own_and_its_likelihood_is_found(chosen):
    """Against the stationary law of the chip's own chain, by enumeration, over all 32 visible states alike.

    The chip's own bound within 4 of its errors and 0.005; the fitted Boltzmann machine is named as such and untrusted,
    and is another machine by more than that.
    """
    params = model(5, 4, scale=1.2)
    weights, a, c = (np.asarray(leaf, np.float64) for leaf in params)
    visible, hidden = (np.asarray(exact.enumerate_binary(n), np.float64) for n in (5, 4))
    transition = exact.sweep_matrix(conditional(visible, weights, c, chosen), conditional(hidden, weights.T, a, chosen))
    truth = np.log(exact.stationary(transition)).mean()
    rows = visible.astype(np.float32)
    effort = EFFORT._replace(chains=256)
    found = evaluate.report(jax.random.key(3), params, {"test": rows}, rows, chosen=chosen, effort=effort)
    assert 0 < found["test_own_error"] < 0.02
    assert abs(found["test_own_lower"] - truth) < 4 * found["test_own_error"] + 0.005
    assert abs(found["test_own_rise"]) < 0.02
    assert found["method"] == f"{trust.EXACT}, {evaluate.AT_FITTED_BETA}"
    assert not found["is_trusted"]
    assert "another law" in found["distrust"]
    assert abs(found["test_log_likelihood"] - truth) > 4 * found["test_own_error"] + 0.005


def test_a_chip_of_still_errors_is_the_machine_of_its_written_weights_at_no_fitted_temperature():
    """Programming errors alone: the likelihood of the written weights exactly, trusted, and no fitted beta in it."""
    params = model(5, 4)
    rows = np.asarray(exact.enumerate_binary(5))
    chosen = Hardware(array="plain", write_noise=0.2)
    effort = EFFORT._replace(chains=256)
    found = evaluate.report(jax.random.key(3), params, {"test": rows}, rows, chosen=chosen, effort=effort)
    program_key = jax.random.split(jax.random.split(jax.random.key(3), 1)[0], 4)[0]
    chip = hardware.machine(program_key, params, chosen)
    written = params._replace(weights=analog.written(chip)[0])
    assert np.abs(written.weights - params.weights).max() > 0.05
    assert found["test_log_likelihood"] == pytest.approx(log_likelihood(written, rows).mean(), abs=1e-9)
    assert found["is_trusted"]
    assert found["method"] == f"{trust.EXACT}, {evaluate.AS_WRITTEN}"
    assert "test_own_lower" not in found


def test_no_boltzmann_machine_stands_for_a_noisy_chip_of_real_units_but_its_own_law_is_found():
    """Without couplings hidden units are fair coins, and n of them on add noise of variance 2 r^2 n to every mean (an
    array of zeros has the scale 1), so the law is a mixture of four normal ones. 4 errors and 0.002."""
    mean, sigma, noise = np.array([0.5, -1.0]), np.array([0.7, 2.0]), 0.3
    params = gaussian.GaussianRbm(
        jnp.zeros((2, 3)), jnp.asarray(mean, jnp.float32), jnp.zeros(3), jnp.asarray(np.log(sigma), jnp.float32)
    )
    rows = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    chosen = Hardware(array="plain", read_noise=noise, neuron="comparator")
    effort = EFFORT._replace(sweeps=200, burn_in=5)
    found = evaluate.report(jax.random.key(3), params, {"test": rows}, rows, GAUSSIAN, chosen=chosen, effort=effort)
    assert found["test_log_likelihood"] is None
    assert found["method"].startswith("not available: noise is no temperature of units that are not bits")
    assert not found["is_trusted"]
    terms = []
    for n, ways in enumerate((1, 3, 3, 1)):
        variance = sigma**2 + 2 * noise**2 * n
        terms.append(np.log(ways / 8) - 0.5 * ((rows - mean) ** 2 / variance + np.log(2 * np.pi * variance)).sum(1))
    truth = np.logaddexp.reduce(terms).mean()
    assert abs(found["test_own_lower"] - truth) < 4 * found["test_own_error"] + 0.002
    assert found["test_own_error"] < 0.005


def test_samples_without_a_temperature_leave_no_boltzmann_machine_and_the_worst_chip_speaks(rows):
    """beta of two chips is put in by hand: 0.9, and none. What one does not have is not averaged over the other."""
    params, parts = model(), {"test": rows}
    chip = hardware.machine(jax.random.key(0), params, Hardware(array="plain", neuron="comparator"))
    last = gibbs.init(jax.random.key(1), params, 64)
    effort = EFFORT._replace(sweeps=20)
    key = jax.random.key(2)
    good, bad, frozen = (
        evaluate.likelihood_of_chip(key, chip, parts, rows, last, beta, effort) for beta in (0.9, None, -0.1)
    )
    assert good["test_log_likelihood"] == pytest.approx(log_likelihood(params.tempered(0.9), rows).mean(), abs=1e-4)
    for found in (bad, frozen):
        assert found["test_log_likelihood"] is None
        assert "not available: the samples have no temperature, their β is" in found["method"]
    assert bad["test_own_lower"] == good["test_own_lower"]
    both = evaluate._mean([good, bad])
    assert both["test_log_likelihood"] is None
    assert both["method"] == bad["method"]
    wide = {"method": "m", "is_trusted": False, "test_gap": 3.0, "test_verdict": "do not trust"}
    near = {"method": "m", "is_trusted": True, "test_gap": 0.1, "test_verdict": "fine"}
    assert evaluate._mean([near, wide, near])["test_verdict"] == "do not trust"


def test_rounding_to_bits_is_the_formula_and_a_plain_array_without_numbers_is_ideal():
    params = model()
    half = 2**3 - 1
    largest = np.abs(np.asarray(params.weights)).max()
    expected = np.round(np.asarray(params.weights, np.float64) / largest * half) / half * largest
    np.testing.assert_allclose(hardware.rounded(params, 4).weights, expected, atol=1e-6)
    chip = hardware.machine(jax.random.key(0), params, Hardware(array="plain"))
    key = jax.random.key(3)
    start = gibbs.init(jax.random.key(4), params, 32)
    for left, right in zip(gibbs.step(key, chip, start), gibbs.step(key, params, start), strict=True):
        np.testing.assert_array_equal(left, right)
    for name in ("pcm_hermes", "reram_neurram", "capacitor"):
        assert hardware.machine(jax.random.key(0), params, Hardware(array=name)).n_hidden == 5


def test_copies_are_counted_and_told(rows):
    found = trust.duplicates(rows, np.concatenate([rows[:30], 1 - np.zeros((10, 8), np.float32)]))
    known = {row.tobytes() for row in rows}
    assert found["share_of_copies"] == (30 + 10 * (np.ones(8, np.float32).tobytes() in known)) / 40
    assert found["median_squared_distance_to_training"] == 0
    same = trust.two_samples(jax.random.key(0), rows[:100], rows[100:], "bits")
    assert same["mmd_p_value"] > 0.001
    other = trust.two_samples(jax.random.key(0), rows[:100], 1 - rows[100:], "bits")
    assert other["mmd_p_value"] < 0.01
    shifted = trust.two_samples(jax.random.key(0), rows[:100], rows[100:] + 0.5, "reals")
    assert shifted["mmd_p_value"] < 0.01


def test_validation_chooses_the_state_stops_and_resumes_to_the_same(tmp_path, monkeypatch):
    """Likelihoods on validation rows are replaced by a known series, so what is chosen and when it stops is known."""
    series = {100: -9.0, 200: -7.0, 300: -8.0, 400: -7.5, 500: -7.4, 600: -1.0}
    monkeypatch.setattr(run, "glance", lambda settings, params, rows, step: series[step])
    options = {
        "data": "planted-ising",
        "size": 3,
        "hidden": 3,
        "chains": 8,
        "batch": 32,
        "gibbs_steps": 1,
        "steps": 600,
    }
    settings = run.Settings(**options, validation=True, look_every=100, patience=3)
    state = run.train_in(tmp_path / "whole", settings, checkpoint_every=300)
    assert int(state.step) == 500  # three looks at or below -7.0
    chosen = run.model(tmp_path / "whole")
    assert (chosen.step, chosen.is_finished) == (200, True)
    assert [look["step"] for look in run.read_looks(tmp_path / "whole")] == [100, 200, 300, 400, 500]
    with pytest.raises(ValueError, match="holds a finished run of 500 steps"):
        run.train_in(tmp_path / "whole", settings)

    def stop(state, info):
        if int(state.step) == 400:
            raise RuntimeError

    with pytest.raises(RuntimeError):  # as a kill would: the newest saved state is that of step 300
        run.train_in(tmp_path / "killed", settings, checkpoint_every=300, after_chunk=stop)
    assert not run.model(tmp_path / "killed").is_finished
    run.train_in(tmp_path / "killed", settings, checkpoint_every=300)
    assert run.read_looks(tmp_path / "killed") == run.read_looks(tmp_path / "whole")
    again = run.model(tmp_path / "killed")
    assert again.step == 200
    for left, right in zip(again.params, chosen.params, strict=True):
        np.testing.assert_array_equal(left, right)
    unfinished = tmp_path / "unfinished"
    with pytest.raises(RuntimeError):
        run.train_in(unfinished, settings, checkpoint_every=300, after_chunk=stop)
    report = evaluate.evaluate(unfinished, effort=EFFORT)
    assert "test_log_likelihood" not in report  # of a run that may go on nothing is looked at but its own rows
    assert report["test_looks"] == 0
    assert report["n_validation"] == len(data.validation(data.load("planted-ising", size=3).train).test)


@pytest.mark.parametrize("name", ["gaussian", "potts"])
def test_models_of_reals_and_symbols_train_evaluate_and_improve(name, tmp_path):
    """Two hidden units on small data, through the run directory; the likelihood beats the biases alone by far."""
    rng = np.random.default_rng(0)
    which = rng.integers(0, 2, 400)
    values = np.stack([which, which, 1 - which], axis=1)
    values = values + 0.2 * rng.standard_normal((400, 3)) if name == "gaussian" else 2 * values
    np.save(tmp_path / "rows.npy", values)
    options = {"data": str(tmp_path / "rows.npy"), "model": name, "hidden": 2, "chains": 32, "batch": 64}
    settings = run.Settings(**options, gibbs_steps=2, steps=400, learning_rate=0.05, weight_decay=0.0)
    run.train_in(tmp_path / "run", settings)
    report = evaluate.evaluate(tmp_path / "run", effort=EFFORT._replace(chains=1024))
    _, parts = run.open_data(tmp_path / "run")
    found = run.model(tmp_path / "run")
    start = trust.likelihood(
        jax.random.key(0),
        run.new_params(settings, parts.train).independent(),
        {"test": parts.train},
        parts.train,
        law=found.law,
    )
    assert report["train_log_likelihood"] > start["test_log_likelihood"] + 0.5
    assert abs(report["beta_eff"] - 1) < 4 * report["beta_eff_error"] < 0.5


def test_a_sweep_measures_both_arms_and_goes_on_where_it_stopped(tmp_path):
    """Without noise and bits the ideal arm is the model itself; with read noise beta falls; the store resumes.

    beta from 2,048 states of 13 units has a standard error of about 0.02.
    """
    params = model(scale=0.7)
    train = np.asarray(gibbs.sweeps(jax.random.key(1), params, gibbs.init(jax.random.key(0), params, 256), 50).visible)
    calls = []
    options = {
        "read_noise": [0.0, 0.5],
        "write_noise": [0.0],
        "weight_bits": [24],
        "adc_bits": [24],
        "chips": 1,
        "seed": 0,
        "training": sweep.Training(steps=20, learning_rate=1e-3, batch=32, chains=32, gibbs_steps=2),
        "sampling": sweep.Sampling(chains=2048, burn_in=50, sweeps=60),
        "store": tmp_path / "store",
        "progress": lambda done, total: calls.append((done, total)),
    }
    found = sweep.noise_sweep(params, train, train, **options)
    truth = trust.likelihood(jax.random.key(0), params, {"test": train}, train)["test_log_likelihood"]
    quiet, noisy = (found.isel(read_noise=i, write_noise=0, weight_bits=0, adc_bits=0, seed=0) for i in (0, 1))
    assert float(quiet.ideal_trained_beta_eff) == pytest.approx(1.0, abs=0.09)
    assert float(quiet.ideal_trained_log_likelihood) == pytest.approx(truth, abs=1e-4)
    assert float(noisy.ideal_trained_beta_eff) < 0.9 * float(quiet.ideal_trained_beta_eff)
    assert float(noisy.ideal_trained_log_likelihood) < truth
    assert np.isfinite(float(quiet.in_the_loop_log_likelihood))
    assert calls[-1] == (2, 2)
    drawn = figures.sweep_figure(found, "two levels of noise")
    assert len(drawn.data) == 2 * len(figures.QUANTITIES)
    assert [list(trace.x) for trace in drawn.data] == [[0.0, 0.5]] * len(drawn.data)
    np.testing.assert_allclose(drawn.data[0].y, found.ideal_trained_log_likelihood.values.ravel(), rtol=1e-6)
    again = sweep.noise_sweep(params, train, train, **options)
    assert calls[-1] == (2, 2)
    assert calls.count((0, 2)) == 1  # nothing was evaluated twice
    assert again.identical(found)
    with pytest.raises(ValueError, match="belongs to another sweep"):
        sweep.noise_sweep(params, train, train, **options | {"chips": 2})
    for bad, message in (
        ({"weight_bits": [1]}, "weight_bits must be from 2 to 24"),
        ({"read_noise": [-0.1]}, "read_noise"),
        ({"chips": 0}, "chips must be at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            sweep.noise_sweep(params, train, train, **options | bad)


@pytest.mark.slow
def test_pseudo_likelihood_may_improve_while_the_likelihood_falls():
    """scikit-learn's BernoulliRBM(16) at learning rate 0.1, from 10 to 100 epochs on digits, means of 5 seeds.

    Its own pseudo-likelihood of the test rows rises; the exact likelihood, summed over all 65,536 hidden states, falls.
    """
    from sklearn.neural_network import BernoulliRBM

    from ebm.losses import pseudo_log_likelihood

    digits = data.digits()
    own, true = [], []
    for epochs in (10, 100):
        found = []
        for seed in (1, 2, 3, 4, 5):
            learnt = BernoulliRBM(16, learning_rate=0.1, n_iter=epochs, batch_size=10, random_state=seed).fit(
                digits.train
            )
            parts = (learnt.components_.T, learnt.intercept_visible_, learnt.intercept_hidden_)
            params = rbm.Rbm(*(jnp.asarray(part, jnp.float32) for part in parts))
            pseudo = pseudo_log_likelihood(rbm.free_energy, params, jnp.asarray(digits.test)).mean()
            found.append((float(pseudo), log_likelihood(params, digits.test).mean()))
        values = np.mean(found, axis=0)
        own.append(values[0])
        true.append(values[1])
    assert own[1] > own[0] + 0.5, own
    assert true[1] < true[0], true


def test_chips_without_an_array_are_refused():
    rows = np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match="chips are of an array, and none is named; add --array plain"):
        evaluate.report(jax.random.key(0), None, {"test": rows}, rows, chips=2)
