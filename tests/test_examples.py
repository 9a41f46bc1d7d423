"""Every example runs as a newcomer would run it, and says the same on one device and on eight."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?!\w)")


def started(name, devices):
    """The example as a process that sees so many CPU devices; the compile cache comes with the environment."""
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }
    environment |= {"PYTHONWARNINGS": "error", "COLUMNS": "100"}
    return subprocess.Popen(
        [sys.executable, str(EXAMPLES / name), "--small"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", env=environment,
    )  # fmt: skip


def outputs(name):
    """The device line and the rest of the output, on one device and on eight."""
    found = []
    for process in [started(name, 1), started(name, 8)]:
        output, errors = process.communicate(timeout=300)
        assert (process.returncode, errors) == (0, "")
        first, _, rest = output.partition("\n")
        found.append((first, rest))
    (line_1, rest_1), (line_8, rest_8) = found
    assert re.fullmatch(r"Running on \S.* \(cpu, .*\b1 of 1 devices\)", line_1)
    assert re.fullmatch(r"Running on \S.* \(cpu, .*\b[18] of 8 devices\)", line_8)
    return line_8, rest_1, rest_8


def numbers(text):
    return [float(word.replace(",", "")) for word in NUMBER.findall(text)]


def row(text, start):
    """The one line of a table that starts so."""
    (line,) = [line for line in text.splitlines() if line.strip("│ ").startswith(start)]
    return line


def test_the_noise_of_two_arrays_follows_the_closed_form_whatever_the_layout():
    """Decibels and percent are printed to 0.01 and 0.1; another layout may round a sum otherwise, so by one digit."""
    _, one, eight = outputs("noise_sweep.py")
    assert len(numbers(one)) > 20
    assert numbers(eight) == pytest.approx(numbers(one), abs=0.101)
    for name in ("pcm_hermes", "reram_neurram"):
        write, write_law, read, read_law = numbers(row(one, name))
        assert write == pytest.approx(write_law, abs=0.1)  # 16 chips of 32,768 cells, 16 reads of 4,096 sums: 2 %
        assert read == pytest.approx(read_law, abs=0.1)
    errors = [numbers(row(one, noise))[1::2] for noise in ("0 ", "0.05 ", "0.1 ")]
    assert [fewer > more for fewer, more in errors] == [True] * 3  # 4 bits, 8 bits
    assert errors[0][1] < errors[1][1] < errors[2][1]


def test_samples_of_an_rbm_are_the_same_bits_however_many_devices_share_the_chains():
    line_8, one, eight = outputs("train_rbm.py")
    assert "sampling on 8 of 8 devices" in line_8
    assert row(eight, "checksum") == row(one, "checksum")
    assert re.search(r"\b[0-9a-f]{8}\b", row(one, "checksum"))
    (before, _), (after, _) = (numbers(row(one, start).split("│")[2]) for start in ("before", "after"))
    assert after > before + 4  # nats an image, exact
    assert numbers(row(eight, "after")) == pytest.approx(numbers(row(one, "after")), abs=0.02)


def test_a_formula_is_solved_in_the_same_flips_whatever_the_layout():
    _, one, eight = outputs("solve_sat.py")
    assert eight == one
    solved, replicas = numbers(row(one, "replicas solved"))
    assert solved == replicas == 32
    assert numbers(row(one, "solutions that hold")) == [32]
    assert numbers(row(one, "flips whose gain")) == [50, 50]
    value, _, low, high = numbers(row(one, "flips to a solution").split("│")[2])
    assert low < value < high
