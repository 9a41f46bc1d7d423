"""`ebm` on energies that are networks, end to end, against a forward pass in NumPy, enumeration and quadrature."""

import json

import jax
import numpy as np
import pytest
from ebm_runs import assert_resumes, done, ebm, refused, report

from ebm import data, models, run

QUICK = ("--chains", 128, "--sweeps", 200, "--ais-betas", 300)
TINY = ("--batch", 64, "--chains", 64, "--weight-decay", 0, "--learning-rate", 0.01)


def forward(params, x):
    """The perceptron of `params` on encoded rows: SiLU layers and a last linear one, in float64."""
    leaves = {jax.tree_util.keystr(path): np.asarray(leaf, np.float64) for path, leaf in leaves_of(params.network)}
    y = x
    for i in range(sum("hidden" in name and "kernel" in name for name in leaves)):
        y = y @ leaves[f"['hidden'][{i}]['kernel'].value"] + leaves[f"['hidden'][{i}]['bias'].value"]
        y = y / (1 + np.exp(-y))
    return (y @ leaves["['out']['kernel'].value"] + leaves["['out']['bias'].value"])[:, 0]


def leaves_of(network):
    return jax.tree_util.tree_flatten_with_path(network)[0]


@pytest.fixture(scope="module")
def bits(tmp_path_factory):
    """A perceptron on the 9 spins of a planted grid, by PCD with Gibbs with gradients."""
    directory = tmp_path_factory.mktemp("neural") / "bits"
    options = ("--model", "mlp", "--units", "bits", "--hidden", 12, "--data", "planted-ising", "--size", 3)
    done("train", *options, "--steps", 300, "--gibbs-steps", 2, "--out", directory, *TINY)
    return directory


def test_bits_have_the_enumerated_likelihood_of_the_network(bits):
    """log Z over all 512 rows, the energy of independent bits added; the data's own law gives -4.95 nats."""
    found, said = run.model(bits), report(bits, *QUICK)
    rows = data.load("planted-ising", size=3)
    mean = np.clip(rows.train.mean(0, dtype=np.float64), 0.01, 0.99)
    x = (np.arange(512)[:, None] >> np.arange(9) & 1).astype(float)
    minus = x @ np.log(mean / (1 - mean)) - forward(found.params, 2 * x - 1)
    log_p = minus - np.logaddexp.reduce(minus)
    expected = log_p[rows.test.astype(int) @ (1 << np.arange(9))].mean()
    assert said["test_log_likelihood"] == pytest.approx(expected, abs=1e-4)
    alone = (rows.test @ np.log(mean) + (1 - rows.test) @ np.log1p(-mean)).mean()
    assert expected > alone + 0.3
    assert abs(said["beta_eff"] - 1) < 4 * said["beta_eff_error"]
    assert said["is_trusted"]
    assert said["r_hat"] < 1.05
    assert 0 < said["mmd_p_value"] <= 1
    assert (bits / "pictures.html").stat().st_size > 10_000


@pytest.fixture(scope="module")
def reals(tmp_path_factory):
    """A perceptron on two columns of different scales in two clumps, by PCD with Langevin steps."""
    folder = tmp_path_factory.mktemp("neural")
    rng = np.random.default_rng(0)
    clump = rng.choice([-1.0, 1.0], (1500, 1))
    np.save(
        folder / "rows.npy", np.array([3.0, -20.0]) + np.array([1.0, 10.0]) * (clump + 0.4 * rng.normal(size=(1500, 2)))
    )
    options = ("--model", "mlp", "--hidden", 16, "--data", folder / "rows.npy", "--step-size", 0.05)
    done("train", *options, "--steps", 400, "--out", folder / "run", *TINY)
    return folder / "run"


def density(found, x):
    """Minus the energy: the network of z, and |z|^2 / 2."""
    z = (x - np.asarray(found.params.mean, np.float64)) / np.asarray(found.params.std, np.float64)
    return -forward(found.params, z) - 0.5 * (z**2).sum(1)


def test_bounds_of_reals_hold_the_value_by_quadrature(reals):
    """A sum over 601 x 601 points, 12 deviations wide; bounds within 5 of their errors and 0.02 nat of it."""
    found, said = run.model(reals), report(reals, *QUICK)
    std, mean = (np.asarray(leaf, np.float64) for leaf in (found.params.std, found.params.mean))
    axis = np.linspace(-6, 6, 601)
    points = mean + std * np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    log_z = np.logaddexp.reduce(density(found, points)) + np.log(std * 0.02).sum()
    rows = run.open_data(reals)[0].test.astype(np.float64)
    exact = (density(found, rows) - log_z).mean()
    for side, sign in (("lower", 1), ("upper", -1)):
        assert sign * (said[f"test_{side}"] - exact) < 5 * said[f"test_{side}_error"] + 0.02
    assert said["test_gap"] < 0.1
    assert said["is_trusted"]
    whitened = np.linalg.inv(np.cov(rows.T))
    normal = -0.5 * (
        np.einsum("ni,ij,nj->n", rows - mean, whitened, rows - mean).mean() - np.linalg.slogdet(whitened)[1]
    )
    assert exact > normal - np.log(2 * np.pi) + 0.1  # two clumps are better than one normal law
    assert said["beta_eff"] is None
    assert said["mmd_p_value"] > 0
    assert said["r_hat"] < 1.1


def test_the_log_partition_under_a_bound_does_not_depend_on_the_rows_it_is_of(reals):
    """Upper bound plus mean energy is minus the estimate of log Z: the same for other rows, in another order, far out,
    and with others appended, as the step of the paths is found on the rows of training."""
    found, (data_, parts) = run.model(reals), run.open_data(reals)
    rows = np.asarray(data_.test[:100])
    far = rows.mean(0) + 5 * (rows - rows.mean(0))
    estimates = []
    for chosen in (rows, rows[::-1], far, np.concatenate([far, rows])):
        bounds = found.law.bounds(
            jax.random.key(2), found.params, chosen, parts.train, n_chains=64, betas=np.linspace(0, 1, 20)
        )
        estimates.append(bounds.upper - found.law.log_likelihood(found.params, chosen, 0.0).mean())
    np.testing.assert_allclose(estimates, estimates[0], rtol=1e-9)


def test_samples_of_reals_are_in_the_units_of_the_data(reals, tmp_path):
    """Mean and deviation of 2,000 samples are those of the rows to a quarter of a deviation; a report beside them."""
    out = tmp_path / "samples.npy"
    done("sample", reals, "--n", 2000, "--sweeps", 200, "--out", out)
    samples, rows = np.load(out, allow_pickle=False), run.open_data(reals)[0].train
    assert samples.dtype == np.float32
    assert np.abs((samples.mean(0) - rows.mean(0)) / rows.std(0)).max() < 0.25
    assert np.abs(samples.std(0) / rows.std(0) - 1).max() < 0.25
    assert json.loads((tmp_path / "samples.json").read_text())["share_of_copies"] == 0
    printed = done("evaluate", reals, *QUICK)
    for words in ("2 layers of 16 units", "at least", "at most", "not defined for"):
        assert words in printed


@pytest.mark.parametrize(
    "chosen",
    [
        {"model": "mlp", "units": "bits"},
        {"model": "mlp", "units": "bits", "rule": "nce"},
        {"model": "conv", "units": "bits", "rule": "cd", "hidden": 3, "layers": 1},
        {"model": "mlp", "data": "REALS", "sampler": "mala"},
    ],
    ids=["bits pcd", "bits nce", "conv cd", "reals mala"],
)
def test_a_run_resumed_after_its_death_ends_on_the_same_bits(chosen, tmp_path):
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(100, 3)))
    options = {
        "data": "planted-ising",
        "size": 3,
        "hidden": 4,
        "chains": 16,
        "batch": 16,
        "gibbs_steps": 1,
        "steps": 200,
    }
    options |= chosen
    if options["data"] == "REALS":
        options["data"] = str(tmp_path / "rows.npy")
    assert_resumes(tmp_path, run.Settings(**options))


def test_score_matching_finds_the_width_of_the_noisy_data():
    """Normal data and noise of half a deviation: the slope at z learnt is that of variance 1.25, -z / 1.25."""
    rows = np.random.default_rng(1).normal(5.0, 2.0, (4000, 1)).astype(np.float32)
    settings = run.Settings(
        model="mlp", rule="score-matching", hidden=16, noise=0.5, steps=600, weight_decay=0.0, learning_rate=0.01
    )
    params = run.fit(settings, rows).params
    law = models.law(settings, 1)
    z = np.linspace(-1.5, 1.5, 7, dtype=np.float32)[:, None]
    slope = jax.grad(lambda z: law.encoded_energy(params, z).sum())(z)
    np.testing.assert_allclose(slope, z / 1.25, atol=0.1)


def test_training_that_runs_away_names_its_step_and_keeps_the_state_before(tmp_path):
    """Unadjusted Langevin steps of a whole variance on an energy that grows steep leave the finite numbers."""
    options = ("--model", "mlp", "--hidden", 8, "--steps", 2000, "--step-size", 1, "--learning-rate", 1)
    arguments = ("train", *options, "--batch", 16, "--chains", 16, "--out", tmp_path / "run")
    refused(ebm(*arguments), "diverged at step", "last good state")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--model", "conv", "--data", "THREE"), ("square images, got 3 values a row",)),
        (("--units", "symbols"), ("units must be reals or bits, got 'symbols'",)),
        (("--units", "bits", "--rule", "score-matching"), ("score-matching is for real units",)),
        (("--units", "bits", "--step-size", 0.1), ("step_size describes chains of real units, got 0.1",)),
        (("--sampler", "hmc", "--rule", "nce"), ("rule 'nce' moves no chains, got sampler 'hmc'",)),
        (("--sampler", "mala", "--rule", "score-matching"), ("moves no chains, got sampler 'mala'",)),
        (("--units", "bits", "--sampler", "hmc"), ("bits move by Gibbs with gradients",)),
        (("--sampler", "nuts"), ("sampler must be 'langevin' or 'mala' or 'hmc', got 'nuts'",)),
        (("--array", "plain"), ("learns on an array, got 'mlp'",)),
        (("--layers", 0), ("layers must be at least 1",)),
        (("--step-size", 0), ("step_size must be above 0",)),
        (("--graph", "grid"), ("graph does not describe model 'mlp'",)),
        (("--chains", 5000), ("chains start at rows of the data, of which there are 1437, got 5000",)),
        (("--rule", "tempered"), ("trains model 'rbm' or 'gaussian' or 'potts', got 'mlp'",)),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_no_directory(arguments, words, tmp_path, monkeypatch):
    np.save(tmp_path / "THREE.npy", np.zeros((10, 3)))
    monkeypatch.chdir(tmp_path)
    arguments = [str(tmp_path / "THREE.npy") if argument == "THREE" else argument for argument in arguments]
    start = ("train", "--model", "mlp", "--batch", 2, "--out", "run")
    refused(ebm(*start, *arguments), *words)
    assert not (tmp_path / "run").exists()
