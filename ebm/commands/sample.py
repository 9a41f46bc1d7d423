"""`ebm sample`: a data set drawn from a trained model, with a report on whether it matches the training rows."""

import os
import sys
from pathlib import Path
from typing import Any

from cost_bridge.cli import check_seed
from ebm.hardware import Hardware


def sample(
    directory: Path,
    /,
    *,
    n: int = 1000,
    out: Path,
    sweeps: int = 1000,
    seed: int = 0,
    hardware: Hardware = Hardware(),  # noqa: B008  frozen
) -> None:
    """Draw samples of a trained model, write them as a .npy array, and report whether they match the training rows.

    The report is written beside the samples, as FILE.json. Bits and one-hot symbols are uint8, real units float32.

    Args:
        directory: A run directory written by `ebm train`.
        n: Independent chains, one sample of each.
        out: The .npy file to write; an existing one is refused.
        sweeps: Sweeps of every chain from a start that knows nothing of the couplings.
        seed: Every random number follows from it.
        hardware: The machine that draws them. Default: the ideal one.
    """
    for name, value in (("n", n), ("sweeps", sweeps)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    check_seed(seed)
    if out.exists():
        raise ValueError(f"{out} exists already; choose another file")
    if out.suffix != ".npy":
        raise ValueError(f"out must be a file that ends in .npy, got {out}")
    import jax
    import numpy as np

    from ebm import checkpoint, models, run, trust

    found = run.model(directory)
    _, parts = run.open_data(directory)
    start_key, sweep_key = jax.random.split(jax.random.key(seed))
    chip_key, compare_key = jax.random.split(jax.random.fold_in(jax.random.key(seed), 1))
    law = found.law
    machine = models.machine(law, chip_key, found.params, hardware)
    chains = jax.jit(law.sweeps, static_argnums=3)(sweep_key, machine, law.start(start_key, machine, n), sweeps)
    rows = np.asarray(law.visible(found.params, chains), np.float32 if law.kind == "reals" else np.uint8)
    partial = out.with_name(out.name + ".partial")
    with open(partial, "wb") as file:
        np.save(file, rows)
    report: dict[str, Any] = {"n": n, "sweeps": sweeps, "seed": seed, "hardware": vars(hardware), "run": str(directory)}
    if n >= 8:
        report |= trust.two_samples(compare_key, parts.train, rows.astype(np.float32), law.kind)
    report |= trust.duplicates(parts.train, rows)
    checkpoint.write_json(out.with_name(out.name.removesuffix(".npy") + ".json"), report)
    os.replace(partial, out)
    print(f"{n} samples after {sweeps} sweeps each: {out}", file=sys.stderr)
    for line in _match_words(report):
        print(line)


def _match_words(report: dict[str, Any]) -> list[str]:
    """Whether samples match the training rows, test by test, and how many of them are copies."""
    lines = []
    if "mmd_squared" in report:
        is_far = report["mmd_p_value"] < 0.05
        verdict = "differs from" if is_far else "is not told from"
        lines.append(
            f"kernel distance: {verdict} the training rows (MMD² {report['mmd_squared']:.5f}, 95 of 100 below "
            f"{report['mmd_squared_floor']:.5f}, p {report['mmd_p_value']:.3f})"
        )
    if "adversarial_accuracy" in report:
        excess = report["adversarial_accuracy"] - report["adversarial_accuracy_expected"]
        is_told = excess > 2 * report["adversarial_accuracy_error"]
        lines.append(
            f"nearest neighbours: {'told' if is_told else 'not told'} apart ({report['adversarial_accuracy']:.3f}, "
            f"chance {report['adversarial_accuracy_expected']:.3f} ± {report['adversarial_accuracy_error']:.3f})"
        )
        lines.append(
            f"pair correlations: error {report['correlation_error']:.4f}, of which sampling alone is "
            f"{report['correlation_error_floor']:.4f}"
        )
    lines.append(f"copies: {100 * report['share_of_copies']:.1f} % of the samples are training rows, bit by bit")
    return lines
