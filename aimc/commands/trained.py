"""What commands share that judge networks: the network on its arrays, the part of the data, progress, pages."""

import json
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cost_bridge.cli import check_seed

if TYPE_CHECKING:
    from flax import nnx


class Subject(NamedTuple):
    """A network on arrays, with inputs and labels to judge it by, and words for titles."""

    model: "nnx.Module"
    data: tuple[Any, Any]
    title: str


def subject(directory: Path, array: str | None, part: str, limit: int | None, seed: int) -> Subject:
    """The network of a run directory on `array` (None: the arrays it was trained on) and the first `limit` rows of a
    part of its data. Raises ValueError where there is no such run, array, part or row."""
    check_seed(seed)
    if part not in ("test", "validation"):
        raise ValueError(f"part must be test or validation, got {part!r}")
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1 row, got {limit}")
    from aimc.nn.convert import convert, to_digital
    from aimc.presets import preset
    from aimc.training.settings import NO_ARRAY, open_run

    spec = None if array is None else preset(array)
    trained = open_run(directory)
    on_arrays = trained.settings.array != NO_ARRAY
    if spec is None and not on_arrays:
        raise ValueError(
            f"{directory} holds a digital network; say with --array what to put it on (`aimc presets` lists them)"
        )
    model = trained.model
    if spec is not None:
        model = convert(to_digital(model) if on_arrays else model, spec)
    x, y = getattr(trained.data, part)
    title = f"{trained.settings.model} on {Path(trained.settings.data).name}, {array or trained.settings.array}"
    return Subject(model, (x[:limit], y[:limit]), title)


@contextmanager
def progress(what: str, store: Path | None) -> Generator[Callable[[int, int], None]]:
    """A bar with the time left on stderr; on ^C a word about what is kept."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())
    task = bar.add_task(what, total=None)

    def show(done: int, total: int) -> None:
        bar.start()  # only now, so that a refused command prints its sentence and nothing else
        bar.update(task, completed=done, total=total)

    try:
        yield show
    except KeyboardInterrupt:
        say_what_is_kept(store)
        raise
    finally:
        bar.stop()


def say_what_is_kept(store: Path | None) -> None:
    """After ^C: where the finished points are, if anywhere."""
    if store is not None and store.exists():
        print(f"finished points are kept in {store}; the same command goes on there", file=sys.stderr)


def print_json(content: Any) -> None:
    """Strict JSON on stdout, which has no infinity: a number that is not finite is null."""
    print(json.dumps(_finite(content), indent=2, allow_nan=False))


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _finite(part) for name, part in content.items()}
    if isinstance(content, list):
        return [_finite(part) for part in content]
    return None if isinstance(content, float) and not isfinite(content) else content


def write_plot(picture: Any, path: Path) -> None:
    """A page with the picture, and a word about it on stderr."""
    from aimc.figures import write_page

    write_page(picture, path)
    print(f"wrote {path}", file=sys.stderr)
