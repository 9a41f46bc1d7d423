"""`aimc train` in processes of its own: killed and resumed, interrupted, refused."""

import json
import signal
import subprocess
import sys
import time
import warnings
from contextlib import contextmanager
from io import StringIO
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aimc import checkpoint
from aimc.__main__ import main
from aimc.commands.train import Train, settings_of
from aimc.data import NAMES
from aimc.training.settings import open_run

# On arrays with programming and read noise, so that what resumes includes noise streams.
NOISY = ("--array", "pcm_hermes", "--batch", "32", "--checkpoint-every", "50")


def aimc(*arguments) -> tuple[str | int | None, str, str]:
    """Exit code, stdout and stderr of the command, run in this process."""
    with (
        mock.patch.object(sys, "argv", ["aimc", *map(str, arguments)]),
        mock.patch("sys.stderr", StringIO()) as stderr,
        mock.patch("sys.stdout", StringIO()) as stdout,
        pytest.raises(SystemExit) as left,
    ):
        main()
    return left.value.code, stdout.getvalue(), stderr.getvalue()


@contextmanager
def training(directory, *arguments, after=0):
    """A training process that has saved a state past step `after`."""
    command = [sys.executable, "-m", "aimc", "train", *map(str, arguments), "--out", str(directory)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            deadline = time.monotonic() + 200
            while (checkpoint.latest_step(directory) or 0) <= after:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.005)
            yield process
        finally:
            process.kill()


def bits(directory):
    """Every number of the newest state, read from its files without a template."""
    from orbax.checkpoint import v1 as ocp

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of shardings, which one device does not need
        found = ocp.load(str((directory / f"step_{checkpoint.latest_step(directory):08d}").absolute()))
    is_key = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)  # noqa: E731
    return {
        name: np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf) for name, leaf in sorted(found.items())
    }


def test_a_run_that_was_killed_and_interrupted_goes_on_with_the_same_command_to_the_same_bits(tmp_path):
    arguments = (*NOISY, "--steps", 400)
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    with training(stopped, *arguments) as process:
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    killed_at = checkpoint.latest_step(stopped)
    assert killed_at
    # What a process leaves that dies while it writes a state.
    (stopped / "step_00000200.partial.orbax-checkpoint-tmp").mkdir(exist_ok=True)
    with training(stopped, *arguments, after=killed_at) as process:
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=100)
    assert process.returncode == 130, stderr
    step = checkpoint.latest_step(stopped)
    assert step
    assert killed_at < step < 400
    assert f"step {step} is saved in {stopped}; the same command goes on from there" in stderr
    assert int(bits(stopped)["step"]) == step
    reports = {}
    for where in (stopped, whole):
        code, out, stderr = aimc("train", *arguments, "--out", where, "--json")
        assert code == 0, stderr
        reports[where] = json.loads(out)
        assert "400/400 loss" in stderr
        assert "steps/s" in stderr
    resumed, expected = bits(stopped), bits(whole)
    assert int(expected["step"]) == 400
    assert sum(".noise." in name for name in expected) == 3 * 2  # key and count of each layer
    assert resumed.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(resumed[name], values, err_msg=name)
    for field in ("validation_loss", "validation_accuracy"):
        assert reports[stopped][field] == reports[whole][field]
    assert reports[whole]["validation_accuracy"] > 0.9
    names = sorted(path.name for path in stopped.iterdir())
    assert names == ["history.json", "run.json", "step_00000350", "step_00000400"]
    opened = open_run(stopped)
    kernel = nnx.state(opened.model, nnx.Param)["layers"][0]["kernel"][...]
    np.testing.assert_array_equal(kernel, expected["params.layers.0.kernel.value"])
    assert (opened.step, opened.settings.array, opened.data.name) == (400, "pcm_hermes", "digits")


def refused(*arguments) -> str:
    """The one line on stderr of a command that ends with exit code 2 and says nothing else."""
    code, out, stderr = aimc(*arguments)
    lines = stderr.strip().splitlines()
    assert (code, out, len(lines)) == (2, "", 1), stderr
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "gru"), "model must be one of mlp, cnn, lstm, transformer, got 'gru'"),
        (("--data", "fashion"), "data must be digits, text, or a file that ends in"),
        (("--data", "nothing.npy"), "nothing"),
        (("--labels", "labels.npy"), "labels must be left out unless data is one file of images, got"),
        (("--model", "cnn", "--data", "text"), "model cnn reads images, and text is text"),
        (("--array", "memristor"), "unknown preset 'memristor'; known presets are ideal"),
        (("--recipe", "best"), "recipe must be one of digital, noise_aware, rasch2023, got 'best'"),
        (("--recipe", "rasch2023"), "name an array"),
        (("--steps", "0"), "steps must be at least 1, got 0"),
        (("--batch", "2000"), "batch must be at most the number of training rows, 1149, got 2000"),
        (("--learning-rate", "nan"), "learning_rate must be a finite number above 0, got nan"),
        (("--validate-every", "-1"), "validate_every must be at least 0, got -1"),
        (("--checkpoint-every", "0"), "checkpoint_every must be at least 1, got 0"),
        (("--seed", "-1"), "seed must be from 0"),
        (("--start", "nowhere"), "nowhere does not exist; give the directory of a training run"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(tmp_path, arguments, message):
    assert message in refused("train", "--out", tmp_path / "run", *arguments)
    assert not (tmp_path / "run").exists()


def test_a_folder_with_the_name_of_built_in_data_is_not_what_the_name_means(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        (tmp_path / name).mkdir()
        assert settings_of(Train(out=tmp_path / "run", data=name)).data == name
        assert settings_of(Train(out=tmp_path / "run", data=f"./{name}")).data == str(tmp_path / name)


def test_training_on_arrays_may_start_from_the_weights_of_a_digital_run(tmp_path):
    """One step too small to change anything, on an ideal array: what is reached is what the digital run reached."""
    first, second = tmp_path / "digital", tmp_path / "tuned"
    digital = json.loads(aimc("train", "--out", first, "--steps", 60, "--json")[1])
    arguments = ("--start", first, "--array", "ideal", "--recipe", "digital", "--learning-rate", 1e-12, "--steps", 1)
    tuned = json.loads(aimc("train", "--out", second, *arguments, "--json")[1])
    assert digital["validation_accuracy"] > 0.9
    assert tuned["validation_loss"] == pytest.approx(digital["validation_loss"], rel=1e-3)
    first.rename(tmp_path / "gone")
    assert open_run(second).step == 1  # needs no more than its own directory
    message = refused("train", "--out", tmp_path / "other", "--model", "lstm", "--start", tmp_path / "gone")
    assert "start must be a run of model 'lstm', and" in message


def test_directories_that_hold_something_else_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    assert "exists and is not a training run" in refused("train", "--out", tmp_path)
    with pytest.raises(ValueError, match="is not a training run"):
        open_run(tmp_path)
    checkpoint.write_json(tmp_path / "run.json", {"settings": {"hidden": 4}, "data": {}, "provenance": {}})
    with pytest.raises(ValueError, match="was not written by `aimc train`, or by another version of it"):
        open_run(tmp_path)
