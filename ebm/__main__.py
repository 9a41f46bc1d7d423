"""The command `ebm`: train an energy-based model, evaluate its exact likelihood, sample it."""

import json as json_format
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cost_bridge.cli import run as run_command
from ebm.run import Settings

if TYPE_CHECKING:
    from ebm.train import Info, TrainState


def train(settings: Settings, *, out: Path, checkpoint_every: int = 500) -> None:
    """Train under a directory, or go on with the run that was stopped there.

    Args:
        settings: What determines the run.
        out: Run directory. The same command line resumes a stopped run; any other run there is refused.
        checkpoint_every: Steps between two saved states.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from ebm import checkpoint, run
    from ebm.train import Diverged

    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.0f} steps/s, free-energy gap {task.fields[gap]:+.2f}"),
        TimeRemainingColumn(),
    )
    progress = Progress(*columns, console=Console(stderr=True))
    task = progress.add_task("training", total=settings.steps, rate=0.0, gap=0.0)
    earlier = time.monotonic()

    def show(state: "TrainState", info: "Info") -> None:
        nonlocal earlier
        progress.start()  # only now, so that a refused command prints its sentence and nothing else
        earlier, seconds = time.monotonic(), time.monotonic() - earlier
        n_steps = len(info.gap)
        progress.update(task, completed=int(state.step), rate=n_steps / seconds, gap=float(info.gap.mean()))

    try:
        run.train_in(out, settings, checkpoint_every=checkpoint_every, after_chunk=show)
    except KeyboardInterrupt:
        step = checkpoint.latest_step(out)
        saved = "no step was saved" if step is None else f"step {step} is saved in {out}"
        print(f"\nebm: {saved}; the same command goes on from there", file=sys.stderr)
        raise
    except Diverged as error:
        raise ValueError(f"{error}; it is saved in {out}") from error
    finally:
        if progress.live.is_started:
            progress.stop()
    print(f"finished; `ebm evaluate {out}` gives its likelihood", file=sys.stderr)


def evaluate(directory: Path, /, *, json: bool = False) -> None:
    """Print the exact log-likelihood of a trained model on its test and training rows.

    Args:
        directory: A run directory written by `ebm train`.
        json: Print JSON instead of a table.
    """
    from ebm import run

    result = run.evaluate(directory)
    if json:
        print(json_format.dumps(result, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    state = "finished" if result["is_finished"] else "unfinished"
    print(f"{directory}: {result['hidden']} hidden units, step {result['step']}, {state}")
    table = Table("rows", "number", "log-likelihood (nats per row)")
    error = f"{result['test_log_likelihood']:.3f} ± {result['test_standard_error']:.3f}"
    table.add_row("test", str(result["n_test"]), error)
    table.add_row("train", str(result["n_train"]), f"{result['train_log_likelihood']:.3f}")
    Console().print(table)
    print(f"exact log Z {result['log_partition']:.4f}; ± is the standard error over test rows")


def sample(directory: Path, /, *, n: int = 1000, out: Path, sweeps: int = 1000, seed: int = 0) -> None:
    """Draw samples of a trained model and write them as a .npy array of 0 and 1.

    Args:
        directory: A run directory written by `ebm train`.
        n: Independent chains, one sample of each.
        out: The .npy file to write; an existing one is refused.
        sweeps: Gibbs sweeps of every chain from a start by the visible biases alone.
        seed: Every random number follows from it.
    """
    for name, value in (("n", n), ("sweeps", sweeps)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must be from 0 to 2^32 - 1, got {seed}")
    if out.exists():
        raise ValueError(f"{out} exists already; choose another file")
    if out.suffix != ".npy":
        raise ValueError(f"out must be a file that ends in .npy, got {out}")
    import jax
    import numpy as np

    from ebm import run
    from ebm.samplers import gibbs

    _, state = run.load(directory)
    start_key, sweep_key = jax.random.split(jax.random.key(seed))
    advance = jax.jit(gibbs.sweeps, static_argnums=3)
    chains = advance(sweep_key, state.params, gibbs.init(start_key, state.params, n), sweeps)
    partial = out.with_name(out.name + ".partial")
    with open(partial, "wb") as file:
        np.save(file, np.asarray(chains.visible, np.uint8))
    os.replace(partial, out)
    print(f"{n} samples after {sweeps} sweeps each: {out}", file=sys.stderr)


def command(arguments: Sequence[str]) -> None:
    """Read the command line and do what it says."""
    import tyro

    tyro.extras.subcommand_cli_from_dict(
        {"train": train, "evaluate": evaluate, "sample": sample},
        prog="ebm",
        description="Energy-based models: train, evaluate and sample. `ebm --version` prints the version.",
        args=["--n" if argument == "-n" else argument for argument in arguments],
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
    )


def main() -> None:
    """The console script `ebm`."""
    run_command(command, "ebm")


if __name__ == "__main__":
    main()
