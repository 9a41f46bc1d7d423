"""`aimc train`: one network, digital or on arrays, under a directory, to be resumed by the same command."""

import json
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cost_bridge.cli import check_seed

if TYPE_CHECKING:
    from aimc.evaluation import Score
    from aimc.training import Info, TrainState
    from aimc.training.settings import Settings, Trained


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a network, digital or noise-aware on arrays. The same command goes on with a run that was stopped."""

    out: Path
    """Run directory; any other run there is refused."""
    model: str = "mlp"
    """mlp, cnn, lstm or transformer."""
    data: str = "digits"
    """digits, text (characters of CPython's help), or your own: a file of images (MNIST's idx3, .npy), a batch of CIFAR
    (.bin), a folder of MNIST or CIFAR, a text (.txt)."""
    labels: Path | None = None
    """Labels of a file of images, unless they are named alike with "labels" for "images"; other data brings its own."""
    array: str = "none"
    """A preset that the products run on while training (`aimc presets` lists them), or none."""
    recipe: str | None = None
    """digital, noise_aware or rasch2023. Default: noise_aware with an array, digital without."""
    start: Path | None = None
    """Run of this model and data, digital or on any array, whose weights to start from. Default: random ones."""
    steps: int | None = None
    """Training steps. Default of this and the next three: the recipe's."""
    batch: int | None = None
    """Images or windows of text a step."""
    learning_rate: float | None = None
    """Largest learning rate."""
    validate_every: int | None = None
    """Steps between two looks at the validation part, of which the best state is kept; 0 for none."""
    checkpoint_every: int = 500
    """Steps between two saved states."""
    seed: int = 0
    """Root of all randomness."""
    json: bool = False
    """Print JSON instead of a sentence."""


def settings_of(options: Train) -> "Settings":
    """What the options say in full. Raises ValueError for recipes and numbers that cannot be."""
    from aimc.data import NAMES
    from aimc.training import RECIPES
    from aimc.training.settings import NO_ARRAY, Settings

    check_seed(options.seed)
    name = options.recipe or ("digital" if options.array == NO_ARRAY else "noise_aware")
    if name not in RECIPES:
        raise ValueError(f"recipe must be one of {', '.join(RECIPES)}, got {name!r}")
    is_named = options.data in NAMES  # whatever lies in the current directory
    numbers = ("steps", "batch", "learning_rate", "validate_every")
    given: dict[str, Any] = {one: getattr(options, one) for one in numbers if getattr(options, one) is not None}
    return Settings(
        model=options.model,
        data=options.data if is_named or not Path(options.data).exists() else str(Path(options.data).resolve()),
        labels=None if options.labels is None else str(options.labels.resolve()),
        array=options.array,
        recipe=replace(RECIPES[name], **given),
        start=None if options.start is None else str(options.start.resolve()),
        seed=options.seed,
    )


def run(options: Train) -> None:
    """Train, show how it goes on stderr, and say what was reached on the validation part."""
    import jax
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from aimc import checkpoint, training
    from aimc.training.settings import train

    chosen = settings_of(options)
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3g}{task.fields[validation]}, {task.fields[rate]:.0f} steps/s"),
        TimeRemainingColumn(),
    )
    progress = Progress(*columns, console=Console(stderr=True))
    task = progress.add_task("training", total=chosen.recipe.steps, loss=0.0, rate=0.0, validation="")
    begin = earlier = time.monotonic()

    def show(state: "TrainState", info: "Info") -> None:
        nonlocal earlier
        progress.start()  # only now, so that a refused command prints its sentence and nothing else
        earlier, seconds = time.monotonic(), time.monotonic() - earlier
        progress.update(task, completed=int(state.step), loss=float(info.loss.mean()), rate=len(info.loss) / seconds)
        if info.validation is not None:
            progress.update(task, validation=f", validation {100 * info.validation.accuracy:.1f} %")

    try:
        trained = train(options.out, chosen, checkpoint_every=options.checkpoint_every, after_chunk=show)
    except KeyboardInterrupt:
        step = checkpoint.latest_step(options.out)
        saved = "no step was saved" if step is None else f"step {step} is saved in {options.out}"
        print(f"\naimc: {saved}; the same command goes on from there", file=sys.stderr)
        raise
    except training.Diverged as error:
        saved = "" if checkpoint.latest_step(options.out) is None else f"; it is saved in {options.out}"
        raise ValueError(f"{error}{saved}") from error
    finally:
        if progress.live.is_started:
            progress.stop()
    key = jax.random.fold_in(jax.random.key(chosen.seed), 1)  # of the chip that is looked at
    _report(options, trained, training.score(key, trained.model, trained.data.validation), time.monotonic() - begin)


def _report(options: Train, trained: "Trained", score: "Score", seconds: float) -> None:
    settings = trained.settings
    if options.json:
        summary = {
            "out": str(options.out),
            **{name: getattr(settings, name) for name in ("model", "data", "array", "seed")},
            "step": trained.step,
            "seconds": seconds,
            "validation_loss": float(score.loss),
            "validation_accuracy": float(score.accuracy),
        }
        print(json.dumps(summary, indent=2))
        return
    where = "" if settings.array == "none" else f" on one chip of {settings.array}"
    print(
        f"{settings.model} on {settings.data} after {trained.step} steps{where}: {100 * score.accuracy:.1f} % right on "
        f"the validation part, {score.loss:.3f} nats; kept in {options.out}"
    )
