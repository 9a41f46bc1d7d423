"""`ebm train`: a run under a directory, with progress, to be resumed by the same command."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ebm.commands.pictures import write_pictures
from ebm.settings import Settings

if TYPE_CHECKING:
    from ebm.train import Info, TrainState

GLANCE_SECONDS = 30.0  # between two likelihoods shown while training
GLANCE_SHARE = 0.05  # of the time, which is all that they may cost
BOUNDED_ROWS = 64  # of training, where the likelihood is bounded by annealing


def train(settings: Settings, *, out: Path, checkpoint_every: int = 500) -> None:
    """Train under a directory, or go on with the run that was stopped there.

    Pictures of weights, data and samples are written beside the finished run as pictures.html.

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
        TextColumn("{task.fields[rate]:.0f} steps/s, gap {task.fields[gap]:+.2f}{task.fields[likelihood]}"),
        TimeRemainingColumn(),
    )
    progress = Progress(*columns, console=Console(stderr=True))
    task = progress.add_task("training", total=settings.steps, rate=0.0, gap=0.0, likelihood="")
    earlier = time.monotonic()
    glance = _Glance(settings)

    def show(state: "TrainState", info: "Info") -> None:
        nonlocal earlier
        progress.start()  # only now, so that a refused command prints its sentence and nothing else
        earlier, seconds = time.monotonic(), time.monotonic() - earlier
        n_steps = len(info.gap)
        progress.update(
            task,
            completed=int(state.step),
            rate=n_steps / seconds,
            gap=float(info.gap.mean()),
            likelihood=glance.words(state.params, int(state.step)),
        )

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
    write_pictures(out, out / "pictures.html")
    print(f"finished; `ebm evaluate {out}` gives its likelihood", file=sys.stderr)


class _Glance:
    """Now and then the mean log-likelihood of training rows, in words: exact where it is cheap, else a lower bound."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._parts, self._next, self._words = settings, None, time.monotonic() + GLANCE_SECONDS, ""

    def words(self, params: Any, step: int) -> str:
        start = time.monotonic()
        if start < self._next:
            return self._words
        from ebm import models, run
        from ebm.data import Split
        from ebm.settings import energy_params, load_data

        if self._parts is None:
            rows = load_data(self._settings)[1].train
            is_exact = run.is_cheap(models.law(self._settings, rows.shape[1]), energy_params(params))
            self._parts = Split(rows, rows[: 512 if is_exact else BOUNDED_ROWS])
            self._sign = "" if is_exact else "at least "
        value = run.glance(self._settings, energy_params(params), self._parts, step)
        self._words = f", log-likelihood {self._sign}{value:.2f} nats"
        spent = time.monotonic() - start
        self._next = start + max(GLANCE_SECONDS, spent / GLANCE_SHARE)
        return self._words
