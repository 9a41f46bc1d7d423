"""The `ebm` command: a run killed and resumed, its evaluation, its samples, its refusals.

Where a process of its own is not the point it runs in this one, through the same entry point.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import jax
import numpy as np
import pytest
from ebm_runs import bits, ebm, refused

from ebm import checkpoint, data, run
from ebm.commands import train
from ebm.likelihood import log_likelihood
from ebm.settings import Settings, load_data, new_params

SMALL = ("--hidden", "4", "--chains", "16", "--batch", "64", "--gibbs-steps", "2")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs") / "finished"
    done = ebm("train", *SMALL, "--steps", 300, "--out", directory)
    assert done.returncode == 0, done.stderr
    return directory


@pytest.mark.parametrize(("hidden", "sign"), [(4, ""), (17, "at least ")])
def test_training_shows_the_likelihood_exact_or_from_below(hidden, sign, monkeypatch):
    monkeypatch.setattr(train, "GLANCE_SECONDS", 0.0)
    chosen = Settings(model="gaussian", hidden=hidden)
    rows = load_data(chosen)[1].train
    params = new_params(chosen, rows)
    words = train._Glance(chosen).words(params, 0)
    start, value, unit = f", log-likelihood {sign}", *words.split()[-2:]
    assert (words.startswith(start), unit) == (True, "nats")
    exact = log_likelihood(params, rows[: train.BOUNDED_ROWS if sign else 512]).mean()
    # Weights are small, so annealing loses nothing worth a mention; two decimals are shown.
    assert float(value) == pytest.approx(exact, abs=0.005 if not sign else 0.05)


@contextmanager
def training(directory, *arguments):
    """A training process that has saved its first state."""
    command = [sys.executable, "-m", "ebm", "train", *map(str, arguments), "--out", str(directory)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            deadline = time.monotonic() + 100
            while checkpoint.latest_step(directory) is None:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.005)
            yield process
        finally:
            process.kill()


def test_a_killed_run_resumes_with_the_same_command_to_the_same_bits(tmp_path):
    arguments = (*SMALL, "--steps", 3000, "--checkpoint-every", 100)
    with training(tmp_path / "killed", *arguments) as process:
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert 0 < checkpoint.latest_step(tmp_path / "killed") < 3000
    # What a process leaves that dies while it writes a state.
    (tmp_path / "killed" / "step_00000200.partial.orbax-checkpoint-tmp").mkdir(exist_ok=True)
    assert ebm("train", *arguments, "--out", tmp_path / "killed").returncode == 0
    assert ebm("train", *arguments, "--out", tmp_path / "whole").returncode == 0
    (_, resumed), (_, whole) = run.load(tmp_path / "killed"), run.load(tmp_path / "whole")
    assert int(whole.step) == 3000
    for left, right in zip(bits(resumed), bits(whole), strict=True):
        np.testing.assert_array_equal(left, right)
    names = sorted(path.name for path in (tmp_path / "killed").iterdir())
    assert names == ["pictures.html", "run.json", "step_00002900", "step_00003000"]


def test_interrupting_saves_a_state_and_says_how_to_go_on(tmp_path):
    directory = tmp_path / "run"
    with training(directory, *SMALL, "--steps", 1_000_000, "--checkpoint-every", 100) as process:
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    step = checkpoint.latest_step(directory)
    assert f"step {step} is saved in {directory}; the same command goes on from there" in stderr
    _, state = run.load(directory)
    assert int(state.step) == step


def test_evaluation_reports_the_exact_likelihood_and_where_it_comes_from(finished):
    result = ebm("evaluate", finished, "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    _, state = run.load(finished)
    weights, a, c = (np.asarray(leaf, np.float64) for leaf in state.params)
    states = np.array([[code >> j & 1 for j in range(4)] for code in range(16)], np.float64)
    log_z = np.logaddexp.reduce(states @ c + np.logaddexp(0, states @ weights.T + a).sum(1))
    rows = data.digits().test.astype(np.float64)
    log_p = rows @ a + np.logaddexp(0, rows @ weights + c).sum(1) - log_z
    assert report["log_partition"] == pytest.approx(log_z, rel=1e-12)
    assert report["test_log_likelihood"] == pytest.approx(log_p.mean(), rel=1e-12)
    assert report["test_standard_error"] == pytest.approx(log_p.std(ddof=1) / np.sqrt(360), rel=1e-9)
    assert (report["n_test"], report["n_train"], report["hidden"], report["step"]) == (360, 1437, 4, 300)
    assert report["is_finished"] is True
    assert -26 < report["test_log_likelihood"] < -20
    assert report["provenance"]["versions"]["jax"] == jax.__version__
    assert report["data"]["sha256"] == data.fingerprint(data.digits())
    table = ebm("evaluate", finished)
    assert f"{report['test_log_likelihood']:.3f}" in table.stdout


def test_samples_are_rows_of_bits_with_the_means_of_the_model(finished, tmp_path):
    out = tmp_path / "samples.npy"
    assert ebm("sample", finished, "-n", 2000, "--out", out, "--sweeps", 200, "--seed", 5).returncode == 0
    samples = np.load(out, allow_pickle=False)
    assert (samples.shape, samples.dtype, samples.max()) == ((2000, 64), np.uint8, 1)
    _, state = run.load(finished)
    weights, a, c = (np.asarray(leaf, np.float64) for leaf in state.params)
    states = np.array([[code >> j & 1 for j in range(4)] for code in range(16)], np.float64)
    log_p = states @ c + np.logaddexp(0, states @ weights.T + a).sum(1)
    p_hidden = np.exp(log_p - np.logaddexp.reduce(log_p))
    p = p_hidden @ (1 / (1 + np.exp(-(states @ weights.T + a))))
    z = (samples.mean(0) - p) / np.sqrt(p * (1 - p) / 2000)
    assert np.abs(z).max() < 5, z
    report = json.loads((tmp_path / "samples.json").read_text())
    assert (report["n"], report["sweeps"], report["seed"], report["hardware"]["array"]) == (2000, 200, 5, None)
    train = {row.tobytes() for row in data.digits().train.astype(np.uint8)}
    assert report["share_of_copies"] == np.mean([row.tobytes() in train for row in samples])
    assert report["adversarial_accuracy"] > 0.6  # 4 hidden units do not make digits, and the report says so
    assert report["mmd_p_value"] < 0.05
    refused(ebm("sample", finished, "-n", 5, "--out", out), "samples.npy exists already")
    np.testing.assert_array_equal(np.load(out), samples)


def test_the_test_rows_are_looked_at_once_and_the_report_is_kept(finished):
    first = json.loads(ebm("evaluate", finished, "--json").stdout)
    kept = (finished / "evaluation.json").read_bytes()
    assert json.loads(ebm("evaluate", finished, "--json").stdout) == first
    assert (finished / "evaluation.json").read_bytes() == kept
    assert first["test_looks"] == 1
    assert abs(first["beta_eff"] - 1) < 5 * first["beta_eff_error"]
    assert first["r_hat"] < 1.01
    assert 1 <= first["tau_int_sweeps"] < 20


def test_bounds_are_printed_with_their_errors_and_a_chip_with_its_own_law(tmp_path, monkeypatch, capsys):
    """The table of a given report: no middle of two bounds, the rows they are of, and why not to trust them."""
    from ebm import evaluate as evaluation
    from ebm.__main__ import command

    common = {
        "is_finished": True,
        "hidden": 64,
        "model": "64 hidden units",
        "step": 5,
        "n_test": 3000,
        "test_rows_used": 1000,
        "test_looks": 1,
    }
    common |= {"validation_looks": [], "is_trusted": False, "distrust": "they are another machine's", "method": "M"}
    bounds = {"lower": -20.5, "lower_error": 0.012, "upper": -20.1, "upper_error": None, "log_likelihood": -20.3}
    own = {"own_lower": -21.5, "own_error": 0.034, "own_rise": 0.05, "standard_error": 0.3}
    for found, words in (
        (bounds | own, ("1000", "at least -20.500 ± 0.012", "at most -20.100 ± inf", "least -21.500 ± 0.034, +0.050")),
        ({"log_likelihood": None, "standard_error": None}, ("nan",)),
    ):
        report = common | {f"test_{name}": value for name, value in found.items()}
        monkeypatch.setattr(evaluation, "evaluate", lambda *_, report=report, **__: report)
        monkeypatch.setenv("COLUMNS", "120")
        command(["evaluate", str(tmp_path)])
        printed = capsys.readouterr().out
        for word in (*words, "DO NOT TRUST these likelihoods: they are another machine's"):
            assert word in printed, printed
        assert "-20.300" not in printed


def test_what_a_run_cost_is_its_counts_priced(finished):
    """Adding up: 16 chains, 2 sweeps and 68 units are 2,176 p-bit updates a step; nats are those over the biases."""
    result = ebm("cost", finished, "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["events_a_step"]["z1"]["pbit_updates"] == 16 * 2 * 68
    assert found["events_a_step"]["reram"]["random_bits"] == 16 * 2 * 68 * 32
    report = json.loads(ebm("evaluate", finished, "--json").stdout)
    digits = data.digits()
    mean = np.clip(digits.train.mean(0, dtype=np.float64), 0.01, 0.99)
    bare = (digits.test @ np.log(mean) + (1 - digits.test) @ np.log1p(-mean)).mean()
    assert found["gained_nats"] == pytest.approx(report["test_log_likelihood"] - bare, abs=1e-4)
    for machine in found["machines"]:
        low, median, high = machine["step"]["joules"]
        assert 0 < low < median < high
        assert machine["nat"]["joules"][1] == pytest.approx(median * 300 / found["gained_nats"], rel=1e-6)
        assert machine["effective_sample"]["joules"][1] < median
    tau = report["tau_int_sweeps"]
    pbits = found["machines"][0]["effective_sample"]["items"]
    assert pbits["pbit_updates"] == pytest.approx(7.1e-15 * 68 * tau * 1.5, rel=0.01)  # burn-in: half as many
    assert pbits["node_reads"] == pytest.approx(1.7e-12 * 68, rel=0.01)
    assert "that of the ideal chain, not measured on a chip" in found["notes"][2]
    looks = json.loads((finished / "evaluation.json").read_text())
    chip = json.loads(ebm("cost", finished, "--json", "--array", "plain", "--read-noise", 0.5).stdout)
    assert chip["array_tau_int"] < found["array_tau_int"] == tau  # noise is heat, and hot chains mix
    assert "crossbars: τ of a simulated chip (plain, adc)" in chip["notes"][2]
    assert json.loads((finished / "evaluation.json").read_text()) == looks  # no row was looked at


def test_a_directory_is_only_resumed_by_its_own_settings(finished):
    before = sorted(path.name for path in finished.iterdir())
    assert "pictures.html" in before
    refused(ebm("train", *SMALL, "--steps", 300, "--out", finished), "finished run of 300 steps")
    refused(ebm("train", *SMALL, "--steps", 400, "--out", finished), "steps = 300, not 400")
    assert sorted(path.name for path in finished.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--hidden", "0"), ("hidden must be at least 1, got 0",)),
        (("--model", "transformer"), ("model must be 'rbm'", "transformer")),
        (("--rule", "magic"), ("rule must be 'pcd'", "'magic'")),
        (("--rule", "score-matching"), ("trains model 'gaussian' or 'mlp'",)),
        (("--rule", "nce", "--centred"), ("centred gradients are for", "--centred")),
        (("--patience", "3"), ("patience", "--validation")),
        (("--validation", "--look-every", "150"), ("look_every must be a multiple of 100",)),
        (("--read-noise", "0.1"), ("read_noise describes an array", "--array plain")),
        (("--array", "plain", "--neuron", "fuzzy"), ("neuron must be one of adc, comparator",)),
        (("--array", "plain", "--weight-bits", "1"), ("weight_bits must be from 2 to 16",)),
        (("--array", "plain", "--rule", "tempered"), ("an array is trained on by rule",)),
        (("--array", "reram_neurram", "--adc-bits", "4"), ("adc_bits describes a plain array",)),
        (("--data", "mnist"), ("'digits'", "'mnist'")),
        (("--data", "bars-and-stripes", "--model", "gaussian"), ("made of bits",)),
        (("--data", "absent.npy"), ("absent.npy", "No such file")),
        (("--batch", "2000"), ("batch must be at most", "1437")),
        (("--learning-rate", "nan"), ("learning_rate must be above 0",)),
        (("--checkpoint-every", "0"), ("checkpoint_every must be at least 1",)),
    ],
)
def test_a_mistake_in_training_is_one_sentence_and_leaves_no_directory(arguments, words, tmp_path):
    refused(ebm("train", *arguments, "--out", tmp_path / "run"), *words)
    assert not (tmp_path / "run").exists()


def test_a_mistake_in_evaluating_or_sampling_is_one_sentence(finished, tmp_path):
    (tmp_path / "notes.txt").write_text("something else")
    sample = ("sample", str(finished), "--out", str(tmp_path / "s.npy"))
    for arguments, words in (
        (("evaluate", str(tmp_path / "absent")), ("does not exist",)),
        (("evaluate", str(tmp_path)), ("is not a training run",)),
        (("train", "--out", str(tmp_path)), ("exists and is not a training run",)),
        (("train", "--out", str(tmp_path / "notes.txt")), ("exists and is not a training run",)),
        ((*sample, "-n", "0"), ("n must be at least 1, got 0",)),
        ((*sample, "--sweeps", "0"), ("sweeps must be at least 1",)),
        ((*sample, "--seed", "-1"), ("seed must be from 0",)),
        (("sample", str(finished), "--out", str(tmp_path / "s.txt")), ("ends in .npy",)),
        (("sample", str(finished), "--out", str(tmp_path / "no" / "s.npy")), ("No such file",)),
    ):
        refused(ebm(*arguments), *words)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_help_and_version_answer_without_training():
    def printed(option):
        command = [sys.executable, "-m", "ebm", option]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout

    assert "train" in printed("--help")
    assert printed("--version").startswith("ebm ")


def test_a_damaged_run_is_named(finished, tmp_path):
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "run.json").write_text("{")
    with pytest.raises(ValueError, match=r"run.json is damaged"):
        run.load(damaged)
    os.replace(finished / "run.json", tmp_path / "kept.json")
    try:
        with pytest.raises(ValueError, match="is not a training run"):
            run.load(finished)
    finally:
        os.replace(tmp_path / "kept.json", finished / "run.json")
