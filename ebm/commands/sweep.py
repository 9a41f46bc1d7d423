"""`ebm sweep`: a trained RBM on noisy arrays, over a grid of noise levels and resolutions."""

import json as json_format
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from cost_bridge.cli import check_seed


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Likelihood, temperature and mixing of a trained RBM on noisy arrays: trained ideally, and in the loop."""

    directory: Annotated[Path, tyro.conf.Positional]
    """A run directory written by `ebm train` (model rbm, at most 22 hidden units)."""
    out: Path | None = None
    """Folder for the results (zarr, opens with xarray). The same command continues an interrupted one."""
    read_noise: list[float] = field(default_factory=lambda: [0.0, 0.02, 0.05, 0.1, 0.2])
    """Standard deviations of a cell at a read, as fractions of its largest conductance."""
    write_noise: list[float] = field(default_factory=lambda: [0.0])
    """Programming errors of a cell, the same unit."""
    weight_bits: list[int] = field(default_factory=lambda: [3, 4, 6, 8])
    """Resolutions of the weights, sign included."""
    adc_bits: list[int] = field(default_factory=lambda: [24])
    """Resolutions of the converters, sign included; 24 rounds nothing."""
    adc_range: float = 16.0
    """Largest sum that the converters take, in fully-on cells."""
    neuron: str = "adc"
    """`adc` or `comparator`, as for `ebm evaluate`."""
    chips: int = 3
    """Chips, and training runs in the loop, at every point."""
    steps: int = 2000
    """Training steps in the loop, from the trained model on; 0 learning would leave it as it is."""
    learning_rate: float = 0.01
    """Adam's first learning rate in the loop; it falls to 0 along a cosine."""
    rows: str = "validation"
    """Rows the likelihood is taken on: `validation` where the run has them, `test`, or `train`."""
    seed: int = 0
    """Root of all randomness."""
    plot: Path | None = None
    """An HTML page with the curves."""
    json: bool = False
    """Print JSON instead of a table."""


def sweep(options: Sweep) -> None:
    """Run the study of `Sweep`."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Table

    from ebm import analog, run
    from ebm import sweep as study
    from ebm.data import fingerprint

    check_seed(options.seed)
    found = run.model(options.directory)
    data, parts = run.open_data(options.directory)
    if found.settings.model != "rbm" or found.settings.hidden > 22:
        raise ValueError(f"{options.directory} must hold an rbm of at most 22 hidden units to be swept exactly")
    rows = {"validation": parts.test, "test": data.test, "train": parts.train}.get(options.rows)
    if rows is None or not len(rows):
        raise ValueError(f"rows must be validation (where the run has some), test or train, got {options.rows!r}")
    columns = (TextColumn("sweeping"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("sweeping", total=None)
        try:
            results = study.noise_sweep(
                found.params,
                parts.train,
                rows,
                read_noise=options.read_noise,
                write_noise=options.write_noise,
                weight_bits=options.weight_bits,
                adc_bits=options.adc_bits,
                chips=options.chips,
                seed=options.seed,
                neuron=analog.Neuron(kind=options.neuron),
                adc_range=options.adc_range,
                training=study.Training(steps=options.steps, learning_rate=options.learning_rate),
                what={"data": fingerprint(data), "model": _checksum(found.params), "rows": options.rows},
                store=options.out,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        except KeyboardInterrupt:
            if options.out is not None and options.out.exists():
                print(f"finished points are kept in {options.out}; the same command goes on there", file=sys.stderr)
            raise
    if options.plot is not None:
        from ebm.figures import sweep_figure, write_page

        write_page(
            sweep_figure(results, f"{options.directory.name} on noisy arrays, {options.rows} rows"), options.plot
        )
        print(f"wrote {options.plot}", file=sys.stderr)
    if options.json:
        print(json_format.dumps(results.to_dict(), default=str))
        return
    axes = [name for name in results.dims if name != "seed" and results.sizes[name] > 1]
    still = {name: results[name].values[0] for name in results.dims if name not in axes and name != "seed"}
    table = Table(*map(str, axes), "trained", "nats a row", "β", "τ, sweeps")
    from itertools import product

    for point in product(*(results[name].values for name in axes)):
        at = results.sel(still | dict(zip(axes, point, strict=True)))
        for arm, words in zip(study.ARMS, ("ideally", "in the loop"), strict=True):
            value, beta, tau = (at[f"{arm}_{name}"] for name in ("log_likelihood", "beta_eff", "tau_int"))
            least = float(at[f"{arm}_tau_int_at_least"].mean())
            table.add_row(
                *(f"{number:g}" for number in point),
                words,
                f"{float(value.mean()):.2f} ± {float(value.std()):.2f}",
                f"{float(beta.mean()):.3f}",
                f"≥ {least:.1f}" if bool(tau.isnull().any()) else f"{float(tau.mean()):.1f}",
            )
    Console().print(table)
    fixed = ", ".join(f"{name} {value:g}" for name, value in still.items())
    print(f"{options.rows} rows; mean ± spread over {options.chips} chips{'; ' if fixed else ''}{fixed}")
    if options.out:
        print(f"Kept in {options.out}; open it with xarray.open_zarr.")


def _checksum(params: Any) -> str:
    import hashlib

    import numpy as np

    return hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in params)).hexdigest()
