"""What the tests of the `ebm` command share: one way to call it in this process, and to tell a refusal."""

import contextlib
import io
import json
import subprocess
import sys
from unittest import mock

import jax
import numpy as np
import pytest


def ebm(*arguments):
    """The console script, in this process: to start Python for each would cost more than the work."""
    from ebm.__main__ import main

    out, err, command = io.StringIO(), io.StringIO(), ["ebm", *map(str, arguments)]
    streams = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
    with mock.patch.object(sys, "argv", command), streams[0], streams[1], pytest.raises(SystemExit) as left:
        main()
    return subprocess.CompletedProcess(command, left.value.code, out.getvalue(), err.getvalue())


def done(*arguments):
    """What a command prints that must succeed."""
    result = ebm(*arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def report(directory, *options):
    """What `ebm evaluate --json` says."""
    return json.loads(done("evaluate", directory, "--json", *options))


def refused(result, *words):
    """Exit code 2, nothing on stdout, one line on stderr that starts with the command and holds the words."""
    lines = result.stderr.strip().splitlines()
    assert (result.returncode, result.stdout, len(lines)) == (2, "", 1), result.stderr
    assert lines[0].startswith("ebm: ")
    for word in words:
        assert word in lines[0]


def bits(state):
    """The leaves of a training state as arrays, keys as their data."""
    keys = jax.random.key_data(state.key)
    return [np.asarray(leaf) for leaf in jax.tree.leaves(state._replace(key=keys))]


def assert_resumes(directory, settings):
    """A run that dies after step 100 of 200, with only that state saved, ends on the bits of one that did not."""
    from ebm import run

    def die(state, info):
        if int(state.step) == 100:
            raise MemoryError

    with pytest.raises(MemoryError):  # nothing is saved on the way out, as by a kill
        run.train_in(directory / "killed", settings, checkpoint_every=100, after_chunk=die)
    resumed = run.train_in(directory / "killed", settings, checkpoint_every=100)
    whole = run.train_in(directory / "whole", settings, checkpoint_every=200)
    _, kept = run.load(directory / "killed")
    assert int(whole.step) == 200
    for left, right, stored in zip(bits(resumed), bits(whole), bits(kept), strict=True):
        np.testing.assert_array_equal(left, right)
        np.testing.assert_array_equal(stored, right)
