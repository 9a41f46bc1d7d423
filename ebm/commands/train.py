"""`ebm train`: a run under a directory, with progress, to be resumed by the same command."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ebm.commands.pictures import write_pictures
from ebm.settings import Settings

if TYPE_CHECKING:
    from ebm.train import Info, TrainState

GLANCE_SECONDS = 10.0  # between two likelihoods shown while training
GLANCE_SHARE = 0.05  # of the time, which is all that they may cost


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
            likelihood=glance.words(state.params),
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
    """Now and then the likelihood of the training rows, in words: exact where it is cheap, else pseudo-likelihood."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._rows, self._next, self._words = settings, None, time.monotonic() + GLANCE_SECONDS, ""

    def words(self, params: Any) -> str:
        start = time.monotonic()
        if start < self._next:
            return self._words
        import jax.numpy as jnp

        from ebm import losses, models, rules
        from ebm.run import is_cheap
        from ebm.settings import energy_params, load_data

        if self._rows is None:
            self._rows = load_data(self._settings)[1].train[:512]
        model, law = energy_params(params), models.law(self._settings, self._rows.shape[1])
        if is_cheap(law, model):
            values = law.log_likelihood(model, self._rows, law.log_partition(model))
            self._words = f", log-likelihood {values.mean():.2f} nats"
        elif self._settings.model == "rbm":
            value = losses.pseudo_log_likelihood(rules.free_energy, model, jnp.asarray(self._rows)).mean()
            self._words = f", pseudo-likelihood {float(value):.2f} nats (no likelihood)"
        spent = time.monotonic() - start
        self._next = start + max(GLANCE_SECONDS, spent / GLANCE_SHARE)
        return self._words
