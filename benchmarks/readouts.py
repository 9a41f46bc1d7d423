"""What each readout costs: alone, and in a noisy product against the plain product, in CPU time; and a forest on a CAM.

    python benchmarks/readouts.py [--write]

Rival: `jax.numpy.matmul` in float32. All variants of a size run in one process, in turn, round after round; ratios are
of medians of process CPU time (all threads).
"""

import sys
import time
from dataclasses import replace
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from record import record, table
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier

import aimc
from aimc import forest, readout
from aimc.cam import ThresholdCell
from aimc.noise import HASH

SIZES = [(512, 64), (512, 1024), (1024, 64)]
ROUNDS = 9
NOISE = 0.04
INPUT_RANGE = 3.0


def plain() -> dict[str, readout.Readout]:
    """Every readout as it comes; the first passes sums on, so that its row is the rest of the array."""
    return {
        "none": readout.Readout(),
        "UniformADC": readout.UniformADC(),
        "SARADC": readout.SARADC(),
        "RampADC": readout.RampADC(),
        "CAM": readout.CAM(),
        "CAM, tanh": readout.CAM(function=jnp.tanh, window=(-3.0, 3.0)),
        "Comparator": readout.Comparator(),
        "PartialSum": readout.PartialSum(),
        "PartialSum, ternary": readout.PartialSum(kind="ternary"),
        "ChargeToPulse": readout.ChargeToPulse(),
        "IntegrateAndFire": readout.IntegrateAndFire(),
    }


def built() -> dict[str, readout.Readout]:
    """The same with errors and decisions of their own."""
    cell = ThresholdCell(mismatch=0.001)
    return {
        "UniformADC, gain and offset": readout.UniformADC(gain_std=0.01, offset_std=0.01),
        "UniformADC, INL": readout.UniformADC(inl_rms=0.01),
        "SARADC, mismatch": readout.SARADC(capacitor_mismatch=0.02, offset_std=0.01),
        "RampADC, INL and offsets": readout.RampADC(inl_rms=0.01, offset_std=0.01),
        "CAM, threshold errors, Gray": readout.CAM(cell=cell),
        "CAM, threshold errors, binary": readout.CAM(cell=cell, code="binary"),
        "CAM, 4 bits, threshold errors": readout.CAM(bits=4, cell=cell),
        "Comparator, decision noise": readout.Comparator(decision_noise=0.3),
        "Comparator, 8 decisions": readout.Comparator(decision_noise=0.3, repeats=8),
        "ChargeToPulse, jitter": readout.ChargeToPulse(jitter=0.02),
        "IntegrateAndFire, random start": readout.IntegrateAndFire(start="random"),
        "CAM, soft match": readout.CAM(match_width=0.002),
        "IntegrateAndFire, carried": readout.IntegrateAndFire(start="carried"),
    }


def cpu_seconds(runs: dict[str, tuple[Any, tuple[Any, ...]]], repeats: int) -> dict[str, float]:
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS + 1):
        for name, (run, arguments) in runs.items():
            times = max(1, repeats // 20) if name.startswith("CAM, thr") or "soft" in name else repeats
            jax.block_until_ready(run(*arguments))  # whatever ran before has had the caches
            start = time.process_time()
            for _ in range(times):
                result = run(*arguments)
            jax.block_until_ready(result)
            seconds[name].append((time.process_time() - start) / times)
    return {name: median(values[1:]) for name, values in seconds.items()}  # the first round warms up


def measure(n: int, batch: int) -> list[list[object]]:
    key = jax.random.key(0, impl=HASH)
    x, w = jax.random.normal(jax.random.key(1), (batch, n)), jax.random.normal(jax.random.key(2), (n, n))
    u = 0.3 * jax.random.normal(jax.random.key(3), (batch, n))
    unit = jnp.float32(10.0)
    alone: dict[str, Any] = {}
    forward: dict[str, Any] = {"matmul": (jax.jit(jnp.matmul).lower(x, w).compile(), (x, w))}
    for name, kind in (plain() | built()).items():
        errors = jax.tree.map(lambda leaf: leaf[0], kind.fabricate(key, (1, n)))
        read = jax.jit(type(kind).read).lower(kind, key, u, errors, unit).compile()
        alone[name] = (read, (kind, key, u, errors, unit))
        spec = aimc.crossbar(rows=n, cols=n, input_range=INPUT_RANGE, readout=replace(kind, noise=NOISE))
        state = jax.jit(aimc.program)(key, w, spec)
        forward[name] = (jax.jit(aimc.mvm).lower(key, x, state).compile(), (key, x, state))
    by_itself = cpu_seconds(alone, max(1, round(2e7 / (batch * n))))
    product = cpu_seconds(forward, max(1, round(2e8 / (batch * n * n))))
    return [
        [
            f"{n} × {n}", batch, name, f"{1e9 * by_itself[name] / (batch * n):.2f}",
            f"{by_itself[name] / product['matmul']:.2f}", f"{product[name] / product['matmul']:.2f}",
        ]
        for name in alone
    ]  # fmt: skip


def forest_rows() -> list[list[object]]:
    """Digits, 1,400 for training and 397 for test; 20 chips each."""
    data, labels = load_digits(return_X_y=True)
    model = RandomForestClassifier(n_estimators=30, random_state=0).fit(data[:1400], labels[:1400])
    content = forest.from_sklearn(model, (0.0, 16.0))
    x, truth = jnp.asarray(data[1400:], jnp.float32), labels[1400:]

    @jax.jit
    def accuracy(key: jax.Array, std: jax.Array) -> jax.Array:
        chip = forest.fabricate(key, content, ThresholdCell(mismatch=std))
        return jnp.mean(forest.predict(chip, x) == truth)

    counts = content.counts(len(x))
    rows: list[list[object]] = [["digital, scikit-learn", f"{100 * model.score(data[1400:], truth):.1f}", "", ""]]
    for std in (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5):
        found = [100 * accuracy(jax.random.key(chip), jnp.float32(std)) for chip in range(20)]
        spread = f"{np.mean(found):.1f} ± {np.std(found):.1f}"
        rows.append([std, spread, counts.cam_searches // len(x), f"{counts.cam_searches:,}"])
    return rows


if __name__ == "__main__":
    header = ["weights", "batch", "readout", "alone, ns an output", "alone, × matmul", "noisy product, × matmul"]
    text = (
        "Eight bits where nothing else is said; readout noise on in the products, one tile, 8-bit inputs, hash keys. "
        "Aim: every readout as it comes ≤ 1.3 at n = 512; those with errors of their own are reported.\n\n"
        + table(header, [row for n, batch in SIZES for row in measure(n, batch)])
        + "\n\nA random forest of 30 trees on digits (1,400 for training, 397 for test), 20 chips; threshold noise as "
        "a fraction of the data line's window, accuracy in %.\n\n"
        + table(["threshold noise", "accuracy", "rows searched a vector", "searches in all"], forest_rows())
    )
    record("Readouts", text, write="--write" in sys.argv)
