"""`aimc evaluate`: a trained network on many chips, while they get older."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from aimc.commands.trained import print_json, progress, subject, write_plot

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Write a trained network into many chips and measure its accuracy while they get older, with and without
    compensation of their drift."""

    directory: Annotated[Path, tyro.conf.Positional]
    """Run directory of `aimc train`."""
    array: str | None = None
    """A preset to put it on (`aimc presets` lists them). Default: what it was trained on, with its ranges."""
    times: str = "1,60,3600,86400,2.592e6,3.1536e7"
    """Seconds after programming."""
    chips: int = 20
    """Chips that the network is written into."""
    compensation: str = "none,layer"
    """Of none, layer (a gain a layer, Joshi et al. 2020) and column (a gain a column)."""
    part: str = "test"
    """Part of the data: test or validation."""
    limit: int | None = None
    """Only so many of its rows. Default: all."""
    batch: int = 1000
    """Rows a call, which bounds the memory."""
    out: Path | None = None
    """Folder for the results (zarr, opens with xarray). The same command continues an interrupted one. Default: not
    kept."""
    plot: Path | None = None
    """An HTML page with accuracy against time."""
    seed: int = 0
    """Root of all randomness."""
    json: bool = False
    """Print JSON instead of a table; an interval that is infinite, of one chip, is null."""


def run(options: Evaluate) -> None:
    """Evaluate, print, draw. Raises ValueError and OSError for what cannot be."""
    times = numbers(options.times, "times")
    network = subject(options.directory, options.array, options.part, options.limit, options.seed)
    import jax

    from aimc import evaluation

    with progress("chips", options.out) as show:
        results = evaluation.over_time(
            jax.random.key(options.seed),
            network.model,
            network.data,
            times=times,
            chips=options.chips,
            compensation=tuple(options.compensation.split(",")),
            batch=options.batch,
            store=options.out,
            chunk=max(1, min(8, options.chips // 8)),
            progress=show,
        )
    if options.plot is not None:
        write_plot(evaluation.year_figure(results, network.title), options.plot)
    if options.json:
        about = {name: results.attrs[name] for name in ("digital_accuracy", "digital_loss", "n_labels")}
        print_json(about | {"chips": options.chips, "rows": evaluation.as_rows(results)})
        return
    _print(results, network.title, options)


def numbers(text: str, name: str) -> list[float]:
    """Numbers between commas. Raises ValueError for anything else."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"{name} must be numbers between commas, such as 1,60,3600, got {text!r}") from None


def _print(results: "xarray.Dataset", title: str, options: Evaluate) -> None:
    from rich.console import Console
    from rich.table import Table

    from aimc.evaluation import as_rows, time_in_words

    n_labels, n_chips = results.attrs["n_labels"], results.sizes["chip"]
    title += f": accuracy in %, {n_chips} chip{'s' if n_chips > 1 else ''}, {n_labels:,} labels"
    table = Table(title=title)
    for words in ("compensation", "age", "mean, 95 %", "chips, 90 %", "test set, 95 %", "loss"):
        table.add_column(words, no_wrap=True)
    for i, row in enumerate(as_rows(results)):
        share = {name.removeprefix("accuracy_"): 100 * row[name] for name in row if name.startswith("accuracy_")}
        table.add_row(
            row["compensation"],
            time_in_words(row["time_s"]),
            f"{share['mean']:.2f}" + (f" ± {share['high'] - share['mean']:.2f}" if n_chips > 1 else ""),
            f"{share['p5']:.1f} – {share['p95']:.1f}",
            f"{share['test_low']:.1f} – {share['test_high']:.1f}",
            f"{row['loss_mean']:.3f}",
            end_section=(i + 1) % results.sizes["time_s"] == 0,
        )
    console = Console()
    console.print(table)
    console.print(
        f"[dim]Digital: {100 * results.attrs['digital_accuracy']:.2f} %, {results.attrs['digital_loss']:.3f} nats. "
        "A mean is uncertain by its chips and, beside that, by its test set.[/dim]"
    )
    if options.out:
        print(f"Kept in {options.out}; open it with xarray.open_zarr.")
