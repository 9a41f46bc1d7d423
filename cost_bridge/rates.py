"""Reading the tables of `cost_bridge/data`: every number with its 90 % factor, class of evidence and source.

A table `gpu.toml` with a section `[h100]` and an entry `tdp_w` gives the rate `gpu.h100.tdp_w`. Units end the name.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .uncertainty import Rate, check

DATA = Path(__file__).parent / "data"


def read(path: Path) -> dict[str, Rate]:
    """The rates of one table. Raises ValueError naming file and entry for anything but complete, sane entries."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path.name} is not a TOML table: {error}") from error
    return dict(_flatten(path.name, path.stem, table))


def _flatten(file: str, prefix: str, table: Mapping[str, Any]) -> list[tuple[str, Rate]]:
    found = []
    for key, entry in table.items():
        name = f"{prefix}.{key}"
        if not isinstance(entry, dict):
            raise ValueError(f"{file}: {name} must be a table with {', '.join(Rate._fields)}, got {entry!r}")
        if entry and all(isinstance(inner, dict) for inner in entry.values()):
            found += _flatten(file, name, entry)
            continue
        missing = [field for field in Rate._fields if field not in entry]
        if missing or len(entry) > len(Rate._fields):
            raise ValueError(
                f"{file}: {name} needs exactly {', '.join(Rate._fields)}, got {', '.join(entry) or 'nothing'}"
            )
        rate = Rate(**entry)
        check(f"{file}: {name}", rate)
        found.append((name, rate))
    return found


@cache
def load() -> Mapping[str, Rate]:
    """All rates that ship with the package, by dotted name; read-only."""
    rates: dict[str, Rate] = {}
    for path in sorted(DATA.glob("*.toml")):
        rates |= read(path)
    return MappingProxyType(rates)


def tables(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Split dotted names into tables: tables({'gpu.h100.tdp_w': 700})['gpu.h100']['tdp_w']."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        stem, _, key = name.rpartition(".")
        found.setdefault(stem, {})[key] = value
    return found


def table(found: Mapping[str, Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    """One of `tables`. Raises ValueError that lists its siblings for a name that is not there."""
    if name not in found:
        family = name.partition(".")[0]
        known = [one for one in found if one.partition(".")[0] == family] or list(found)
        raise ValueError(f"there is no table {name!r}; known tables are {', '.join(sorted(known))}")
    return found[name]
