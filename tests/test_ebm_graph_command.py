"""`ebm` on Boltzmann machines on graphs, end to end, against enumeration of all states in NumPy."""

import dataclasses
import json
import math

import jax
import numpy as np
import pytest
from ebm_runs import assert_resumes, done, ebm, refused, report

from aimc.presets import PRESETS
from ebm import data, evaluate, models, planted, run
from ebm.hardware import Hardware
from ebm.models import graphs

SMALL = ("--chains", 64, "--batch", 128, "--gibbs-steps", 3, "--weight-decay", 0, "--learning-rate", 0.03)
QUICK = ("--chains", 256, "--sweeps", 400, "--ais-betas", 300)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """A 4 x 4 grid without hidden nodes that learnt a planted machine of that grid."""
    directory = tmp_path_factory.mktemp("graph") / "learnt"
    options = ("--model", "boltzmann", "--graph", "grid", "--hidden", 0, "--data", "planted-ising", "--steps", 600)
    done("train", *options, "--out", directory, *SMALL)
    return directory


def law(found):
    """log p of every joint state of the nodes, bit i of its number being node i up; a loop over edges in float64."""
    n = found.law.graph.n_nodes
    spins = 2.0 * (np.arange(1 << n)[:, None] >> np.arange(n) & 1) - 1
    log_p = spins @ np.asarray(found.params.bias, np.float64)
    for (i, j), coupling in zip(found.law.graph.edges, np.asarray(found.params.couplings, np.float64), strict=True):
        log_p += coupling * spins[:, i] * spins[:, j]
    return log_p - np.logaddexp.reduce(log_p)


def test_a_grid_learns_the_planted_machine_down_to_its_entropy(learnt):
    """Kullback-Leibler divergence from the truth, summed over 65,536 states: at most 0.02 nat.

    Maximum likelihood itself is 40 parameters / (2 x 4,096 rows) = 0.005 away in the mean.
    """
    truth = planted.ising(4)
    known, found = planted.log_law(truth), law(run.model(learnt))
    assert 0 < np.exp(known) @ (known - found) < 0.02
    params = run.model(learnt).params
    assert np.corrcoef(params.couplings, truth.params.couplings)[0, 1] > 0.99


def test_evaluate_gives_the_enumerated_likelihood_and_what_samples_show(learnt):
    found = report(learnt, *QUICK)
    log_p, rows = law(run.model(learnt)), data.load("planted-ising")
    for name, part in (("test", rows.test), ("train", rows.train)):
        values = log_p[part.astype(int) @ (1 << np.arange(16))]
        assert found[f"{name}_log_likelihood"] == pytest.approx(values.mean(), abs=1e-6)
        assert found[f"{name}_standard_error"] == pytest.approx(values.std(ddof=1) / np.sqrt(len(part)), rel=1e-6)
    assert found["is_trusted"]
    assert found["method"] == "exact, by enumeration"
    assert abs(found["beta_eff"] - 1) < 4 * found["beta_eff_error"] < 0.2
    assert 1 < found["tau_int_sweeps"] < 8
    assert found["r_hat"] < 1.02
    assert found["mmd_p_value"] > 0.001
    assert abs(found["adversarial_accuracy"] - found["adversarial_accuracy_expected"]) < 0.1
    assert found["correlation_error_excess"] < 0.05
    printed = done("evaluate", learnt, *QUICK)
    assert "grid of 16 nodes, 0 hidden, 24 edges" in printed
    assert f"{found['test_log_likelihood']:.3f}" in printed


def test_samples_have_the_means_and_products_of_the_machine(learnt, tmp_path):
    """4,000 chains: 16 means and 24 products of coupled spins, all within 4.5 standard errors."""
    out = tmp_path / "samples.npy"
    done("sample", learnt, "--n", 4000, "--sweeps", 100, "--out", out, "--seed", 3)
    spins = 2.0 * np.load(out, allow_pickle=False) - 1
    found = run.model(learnt)
    p = np.exp(law(found))
    states = 2.0 * (np.arange(1 << 16)[:, None] >> np.arange(16) & 1) - 1
    i, j = found.law.graph.edges.T
    for sampled, each in ((spins, states), (spins[:, i] * spins[:, j], states[:, i] * states[:, j])):
        mean = p @ each
        z = (sampled.mean(0) - mean) / np.sqrt((1 - mean**2) / 4000)
        assert np.abs(z).max() < 4.5
        assert z.std() > 0.5
    said = json.loads((tmp_path / "samples.json").read_text())
    assert said["mmd_p_value"] > 0.001


@pytest.fixture(scope="module")
def hidden(tmp_path_factory):
    """A grid of 3 x 4 sites, of which the last column is hidden, that learnt for 100 steps."""
    directory = tmp_path_factory.mktemp("graph") / "hidden"
    options = ("--model", "boltzmann", "--graph", "grid", "--hidden", 3, "--data", "planted-ising", "--size", 3)
    done("train", *options, "--steps", 100, "--out", directory, *SMALL)
    return directory


def shown_log_p(found):
    """log p of the test rows, hidden nodes summed out of the law of all."""
    graph = found.law.graph
    shown = (np.arange(1 << graph.n_nodes)[:, None] >> graph.visible & 1) @ (1 << np.arange(9))
    p = np.bincount(shown, np.exp(law(found)))
    return np.log(p[data.load("planted-ising", size=3).test.astype(int) @ (1 << np.arange(9))])


def test_hidden_nodes_are_summed_out(hidden):
    found, said = run.model(hidden), report(hidden, *QUICK)
    graph = found.law.graph
    assert (len(graph.visible), len(graph.hidden), graph.n_edges) == (9, 3, 17)
    assert said["test_log_likelihood"] == pytest.approx(shown_log_p(found).mean(), abs=1e-6)
    assert abs(said["beta_eff"] - 1) < 4 * said["beta_eff_error"]


def test_bounds_hold_the_enumerated_likelihood(hidden, monkeypatch):
    """The sandwich, forced where enumeration can check it: within 5 of its errors and 0.02 nat."""
    from ebm import trust

    known = report(hidden, *QUICK)
    monkeypatch.setattr(trust, "MAX_ENUMERATED_UNITS", 3)
    bounds = report(hidden, *QUICK, "--seed", 1)
    assert bounds["method"] == trust.BOUNDED
    assert bounds["is_trusted"]
    for side, sign in (("lower", 1), ("upper", -1)):
        slack = 5 * bounds[f"test_{side}_error"] + 0.02
        assert sign * (bounds[f"test_{side}"] - known["test_log_likelihood"]) < slack


def test_a_chip_with_programming_errors_is_the_machine_of_its_written_couplings(hidden):
    """Write noise alone: the likelihood is that of the couplings in the cells, by enumeration, and is trusted."""
    found = run.model(hidden)
    said = report(hidden, *QUICK, "--array", "plain", "--write-noise", 0.1)
    program_key = jax.random.split(jax.random.split(jax.random.key(0), 1)[0], 4)[0]
    chosen = Hardware(array="plain", write_noise=0.1)
    held, written = found.law.written(found.law.program(program_key, found.params, chosen))
    assert held.graph.n_edges == 66  # cells of pairs that were not coupled have errors, too
    true = shown_log_p(found._replace(law=held, params=written)).mean()
    assert abs(true - shown_log_p(found).mean()) > 0.01
    assert said["test_log_likelihood"] == pytest.approx(true, abs=1e-5)
    assert said["is_trusted"]
    assert said["method"] == f"exact, by enumeration, {evaluate.AS_WRITTEN}"
    assert abs(said["beta_eff"] - 1) < 4 * said["beta_eff_error"]


def test_a_chip_with_read_noise_is_hotter_and_stands_for_no_machine(hidden):
    """Noise of reads heats: beta falls below that of the ideal chain, and the likelihood at it is not to be trusted."""
    ideal, noisy = (report(hidden, *QUICK, *options) for options in ((), ("--array", "plain", "--read-noise", 0.5)))
    error = math.hypot(noisy["beta_eff_error"], ideal["beta_eff_error"])
    assert noisy["beta_eff"] < ideal["beta_eff"] - 4 * error
    assert not noisy["is_trusted"]
    assert noisy["method"] == f"exact, by enumeration, {evaluate.AT_FITTED_BETA}"
    assert "test_own_lower" not in noisy


def test_training_on_an_ideal_array_is_ideal_training_and_on_another_is_not():
    """20 steps of 12 nodes in 2 colours: the chip takes the random numbers of the ideal chains, so that parameters
    agree to rounding; 4-bit weights do not."""
    ideal = run.Settings(model="boltzmann", graph="grid", hidden=3, chains=32, batch=32, gibbs_steps=1, steps=20)
    arrays = Hardware(array="plain"), Hardware(array="plain", weight_bits=4)
    rows = data.load("planted-ising", size=3).train
    params, same, other = (
        run.fit(dataclasses.replace(ideal, hardware=chosen), rows).params for chosen in (Hardware(), *arrays)
    )
    np.testing.assert_allclose(same.couplings, params.couplings, atol=1e-5)
    assert np.abs(other.couplings - params.couplings).max() > 1e-3


@pytest.mark.parametrize("rule", ["pcd", "pseudo-likelihood"])
def test_a_run_resumed_after_its_death_ends_on_the_same_bits(rule, tmp_path):
    options = {"data": "planted-ising", "size": 3, "chains": 16, "batch": 32, "gibbs_steps": 1, "steps": 200}
    chosen = {"graph": "chimera", "hidden": 7} if rule == "pcd" else {"graph": "complete", "hidden": 0}
    assert_resumes(tmp_path, run.Settings(model="boltzmann", rule=rule, **options, **chosen))


def test_pseudo_likelihood_learns_couplings_of_a_visible_machine(tmp_path):
    """All 36 couplings of 9 spins: the planted ones are found, and those absent stay below half of them."""
    settings = run.Settings(
        model="boltzmann", rule="pseudo-likelihood", hidden=0, data="planted-ising", size=3, steps=300, weight_decay=0.0
    )
    truth = planted.ising(3)
    params = run.fit(settings, data.load("planted-ising", size=3).train).params
    planted_at = {
        tuple(edge): float(J) for edge, J in zip(truth.graph.edges.tolist(), truth.params.couplings, strict=True)
    }
    edges = models.law(settings, 9).graph.edges.tolist()
    known = np.array([planted_at.get(tuple(edge), 0.0) for edge in edges])
    found = np.asarray(params.couplings)
    assert np.corrcoef(found, known)[0, 1] > 0.98
    assert np.abs(found[known == 0]).max() < 0.5 * np.abs(found[known != 0]).min()


def test_graphs_have_the_edges_that_their_names_say(tmp_path):
    """Counts of edges in closed form, degrees, and hidden nodes spread evenly."""
    assert graphs.build("complete", 5, 2).n_edges == 21
    grid = graphs.build("grid", 12, 0)  # 3 x 4
    assert grid.n_edges == 2 * 12 - 3 - 4
    assert sorted(map(tuple, grid.edges.tolist()))[:3] == [(0, 1), (0, 4), (1, 2)]
    king = graphs.build("king", 6, 6)
    assert king.n_edges == 4 * 12 - 3 * 3 - 3 * 4 + 2
    assert king.hidden.tolist() == [1, 3, 5, 7, 9, 11]
    chimera = graphs.build("chimera", 48, 0)  # 2 x 3 cells
    assert chimera.n_edges == 6 * 16 + 4 * (1 * 3 + 2 * 2)
    degrees = np.bincount(chimera.edges.ravel())
    assert (degrees.min(), degrees.max()) == (5, 6)
    file = tmp_path / "edges.csv"
    file.write_text("# two triangles\n0,1\n1, 2\n2 0\n2,3\n3,4\n4,2\n")
    read = graphs.build(str(file), 4, 1)
    assert (read.n_edges, read.hidden.tolist()) == (6, [4])


def test_a_graph_that_changed_is_told(tmp_path):
    file = tmp_path / "ring.edges"
    file.write_text("\n".join(f"{i} {(i + 1) % 9}" for i in range(9)))
    settings = run.Settings(
        model="boltzmann", graph=str(file), hidden=0, data="planted-ising", size=3, steps=1, batch=8
    )
    run.train_in(tmp_path / "run", settings)
    assert run.model(tmp_path / "run").params.couplings.shape == (9,)
    file.write_text("0 1\n")
    models.law.cache_clear()
    models.boltzmann.named.cache_clear()
    with pytest.raises(ValueError, match=r"ring.edges has changed since"):
        run.model(tmp_path / "run")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--graph", "torus"), ("graph must be one of 'complete', 'grid', 'king', 'chimera', or a file", "'torus'")),
        (("--graph", "chimera", "--hidden", 1), ("a multiple of 8 nodes, got 16 visible and 1 hidden",)),
        (("--graph", "grid", "--hidden", 1), ("a product of two sides, got 17",)),
        (("--hidden", -1), ("hidden must be at least 0, got -1",)),
        (("--rule", "nce"), ("trains model 'rbm' or 'gaussian' or 'mlp'", "got 'boltzmann'")),
        (("--rule", "pseudo-likelihood"), ("graphs without hidden nodes, got 16",)),
        (("--centred",), ("centred gradients are for",)),
        (("--hidden", 0, "--array", "plain", "--rule", "pseudo-likelihood"), ("an array is trained on by rule",)),
        (("--layers", 3), ("layers does not describe model 'boltzmann'",)),
        (("--graph", "EDGES", "--hidden", 0), ("must join nodes from 0 to 15", "node 40")),
        (("--graph", "WORDS", "--hidden", 0), ("is not a list of edges", "line 1 is 'one two'")),
        (("--graph", "WEIGHTS", "--hidden", 0), ("is not a list of edges", "line 3 is '1 2 0.5'")),
        (("--graph", "SINGLE", "--hidden", 0), ("is not a list of edges", "line 2 is '4'")),
        (("--data", "COLUMN", "--hidden", 0), ("at least 2 nodes to couple, got 1 visible and 0 hidden",)),
        (
            ("--hidden", 64, "--array", "plain"),
            ("80 colours needs 3,160 arrays", "at most 136", "take a graph of fewer colours: grid, king or chimera"),
        ),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_no_directory(arguments, words, tmp_path, monkeypatch):
    (tmp_path / "EDGES").write_text("0 40\n")
    (tmp_path / "WORDS").write_text("one two\n")
    (tmp_path / "WEIGHTS").write_text("# weights\n0 1\n1 2 0.5\n")
    (tmp_path / "SINGLE").write_text("0 1\n4\n")
    np.savetxt(tmp_path / "COLUMN.csv", np.arange(400)[:, None] % 2, fmt="%d")
    arguments = ["COLUMN.csv" if argument == "COLUMN" else argument for argument in arguments]
    monkeypatch.chdir(tmp_path)
    start = ("train", "--model", "boltzmann", "--data", "planted-ising", "--out", "run")
    refused(ebm(*start, *arguments), *words)
    assert not (tmp_path / "run").exists()
    refused(ebm("train", "--graph", "grid", "--out", "run"), "graph does not describe model 'rbm'")


@pytest.mark.parametrize("neuron", ["adc", "comparator"])
@pytest.mark.parametrize("chosen", [{"hidden": 4}, {"model": "boltzmann", "graph": "grid", "hidden": 0}], ids=str)
def test_every_preset_is_a_machine_or_is_refused_before_anything_is_written(chosen, neuron, tmp_path, monkeypatch):
    """In words of the command, naming the array; only those whose cells cannot be read from both sides."""
    monkeypatch.setattr(run, "fit", lambda settings, rows, *, state, after_chunk: state)
    refusals = {}
    for name in PRESETS:
        hardware = Hardware(array=name, neuron=neuron)
        settings = run.Settings(data="planted-ising", batch=8, hardware=hardware, **chosen)
        try:
            run.train_in(tmp_path / name, settings)
        except ValueError as error:
            refusals[name] = str(error)
            assert not (tmp_path / name).exists()
    assert "rasch2023" in refusals
    assert refusals["rasch2023"].startswith("array 'rasch2023' cannot hold this model")
    assert len(refusals) < len(PRESETS) - 2
    assert not any("arrays=" in said or "spec" in said for said in refusals.values()), refusals


def test_a_chip_without_stray_couplings_holds_the_machine_of_its_graph():
    """16 nodes in a grid: with errors all 120 pairs are coupled, without them the 24 that were asked for."""
    settings = run.Settings(model="boltzmann", graph="grid", hidden=0)
    asked = models.law(settings, 16)
    params = asked.init(jax.random.key(0), np.full((4, 16), 0.5, np.float32))
    for write_noise, n_edges in ((None, 24), (0.1, 120)):
        chip = models.machine(asked, jax.random.key(1), params, Hardware(array="plain", write_noise=write_noise))
        held, written = asked.written(chip)
        assert held.graph.n_edges == len(written.couplings) == n_edges
        assert (held is asked) == (write_noise is None)


def test_hidden_nodes_too_many_to_sum_out_for_every_row_are_not():
    """Of 24 nodes log Z is not summed; 16 hidden ones that hang together are summed for a row, 17 are not."""
    for n_hidden, is_summed in ((16, True), (17, False)):
        asked = models.law(run.Settings(model="boltzmann", hidden=n_hidden), 24 - n_hidden)
        rows = np.ones((1, 24 - n_hidden), np.float32)
        found = asked.log_likelihood(asked.init(jax.random.key(0), rows), rows, 0.0)
        assert (found is not None) == is_summed
