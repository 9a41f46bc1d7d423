"""A run directory: what was asked for and where it came from in `run.json`, and states beside it, each written whole.

    DIR/run.json          settings, data, versions
    DIR/step_00000500/    one state (orbax); the two newest are kept

Everything is written under a name that ends in `.partial` and renamed, so a run killed at any moment leaves a
directory that resumes from its newest state.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RUN_FILE = "run.json"
PARTIAL = ".partial"
STATES_KEPT = 2
PARTS = ("settings", "data", "provenance")
"""Of `run.json`; a run may have more."""


def create(directory: Path, record: Mapping[str, Mapping[str, Any]]) -> bool:
    """Make `directory` a run directory described by `record`; True when it already was one, to be resumed.

    Raises ValueError when the directory holds something else, or a run whose record differs in any key except
    `provenance` (the message names the first difference).
    """
    if not directory.exists():
        directory.mkdir(parents=True)
    if (directory / RUN_FILE).exists():
        _refuse_difference(directory, read_record(directory), record)
        return True
    if not directory.is_dir() or any(entry.suffix != PARTIAL for entry in directory.iterdir()):
        raise ValueError(f"{directory} exists and is not a training run; choose another directory")
    write_json(directory / RUN_FILE, record)
    return False


def write_json(path: Path, content: Any) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(path.name + PARTIAL)
    partial.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
    os.replace(partial, path)


def read_record(directory: Path) -> dict[str, Any]:
    """The contents of `run.json`. Raises ValueError when `directory` is not a run directory."""
    if not directory.exists():
        raise ValueError(f"{directory} does not exist; give the directory of a training run")
    path = directory / RUN_FILE
    if not path.is_file():
        raise ValueError(f"{directory} is not a training run: it has no {RUN_FILE}")
    try:
        record = json.loads(path.read_text())
        for part in PARTS:
            record[part].keys()
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} is damaged or does not describe a training run: {error}") from error
    return record


def save(directory: Path, step: int, state: Any) -> Path:
    """Write `state`, a pytree of arrays, as the newest one of the run and drop all but the two newest."""
    from orbax.checkpoint import v1 as ocp

    target = directory / f"step_{step:08d}"
    if not target.exists():
        partial = target.with_suffix(PARTIAL)
        for abandoned in directory.glob(f"step_*{PARTIAL}*"):  # left by a run that was killed while writing
            shutil.rmtree(abandoned)
        ocp.save(str(partial.absolute()), state)
        os.replace(partial, target)
    for old in _states(directory)[:-STATES_KEPT]:
        shutil.rmtree(old)
    return target


def latest_step(directory: Path) -> int | None:
    """The step of the newest state, or None before the first one was saved."""
    states = _states(directory)
    return int(states[-1].name.removeprefix("step_")) if states else None


def load(directory: Path, template: Any) -> Any:
    """The newest state, in the structure and shapes of `template`.

    Raises ValueError when there is none, or when its files are damaged.
    """
    from orbax.checkpoint import v1 as ocp

    states = _states(directory)
    if not states:
        raise ValueError(f"{directory} holds no saved state yet; run the same training command again")
    try:
        return ocp.load(str(states[-1].absolute()), template)
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(f"{states[-1]} is damaged ({error}); delete it to go back to the state before") from error


def _states(directory: Path) -> list[Path]:
    """Complete states, oldest first: the names of incomplete ones do not end in digits."""
    complete = [path for path in directory.glob("step_*") if path.name.removeprefix("step_").isdigit()]
    return sorted(complete, key=lambda path: int(path.name.removeprefix("step_")))


def _refuse_difference(directory: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    for part in [name for name in new if name != "provenance"]:
        theirs, mine = _flat(old.get(part, {})), _flat(json.loads(json.dumps(new[part])))
        for name in sorted(theirs.keys() | mine.keys()):
            before, now = theirs.get(name), mine.get(name)
            if before != now:
                raise ValueError(
                    f"{directory} holds a run with {name} = {before!r}, not {now!r}; give the same settings to "
                    "resume it, or another directory"
                )


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Entries of mappings within mappings by their names, such as recipe.steps."""
    entries: dict[str, Any] = {}
    for name, value in content.items():
        entries |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return entries
