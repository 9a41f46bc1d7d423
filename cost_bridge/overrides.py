"""A user's own values: a TOML file, or `name=value` words of a command line, checked against the tables they replace.

[gpu.h100]
idle_power_w = 74                                                  # a number: exact, an assumption of the file
price_usd = { value = 28000, factor = 1.1, evidence = "datasheet", source = "our quote" }
"""

import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .uncertainty import Rate, check
from .units import unit


def read(path: str | Path, known: Mapping[str, Rate]) -> dict[str, Rate]:
    """The rates of a user's file, by dotted name.

    Raises ValueError that names file, line and entry for a name that is not in `known` (with the nearest ones), a name
    without its unit, and a value that is negative, zero or not finite.
    """
    path = Path(path)
    text = path.read_text(encoding="utf-8")
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path.name} is not a TOML table: {error}") from error
    return {
        name: _rate(f"{path.name}, line {_line(text, name)}: {name}", name, entry, known, f"in {path.name}")
        for name, entry in _leaves("", found)
    }


def parse(words: Iterable[str], known: Mapping[str, Rate]) -> dict[str, Rate]:
    """The rates of words such as 'gpu.h100.tdp_w=650'. Raises ValueError like `read`, naming the word."""
    chosen = {}
    for word in words:
        name, equals, number = (part.strip() for part in word.partition("="))
        if not equals:
            raise ValueError(f"{word!r} must be name=value, such as gpu.h100.tdp_w=650")
        try:
            value = float(number)
        except ValueError:
            raise ValueError(f"{word!r} must be name=value with a number, got {number!r}") from None
        chosen[name] = _rate(name, name, value, known, "on the command line")
    return chosen


def _rate(where: str, name: str, entry: Any, known: Mapping[str, Rate], origin: str) -> Rate:
    if name not in known:
        raise ValueError(f"{where}: {_unknown(name, known)}")
    if isinstance(entry, dict):
        extra = sorted(set(entry) - set(Rate._fields))
        if extra or "value" not in entry:
            raise ValueError(f"{where} needs value, and may have factor, evidence and source; got {', '.join(entry)}")
        rate = Rate(
            entry["value"],
            entry.get("factor", 1.0),
            entry.get("evidence", "assumption"),
            entry.get("source", f"set {origin}"),
        )
    else:
        rate = Rate(entry, 1.0, "assumption", f"set {origin}")
    if isinstance(rate.value, bool) or not isinstance(rate.value, int | float) or not math.isfinite(rate.value):
        raise ValueError(f"{where}: value must be a finite number in {unit(name)}, got {rate.value!r}")
    check(where, rate)
    return rate


def _unknown(name: str, known: Mapping[str, Rate]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=3, cutoff=0.5)
    table = name.rpartition(".")[0]
    near += [one for one in known if one.rpartition(".")[0] == table and one.startswith(f"{name}_")]
    hint = f"; nearest are {', '.join(dict.fromkeys(near))}" if near else "; `cost-bridge rates` lists all"
    try:
        unit(name)
    except ValueError:
        return f"its name does not end in a unit, as every rate's does{hint}"
    return f"there is no such rate{hint}"


def _leaves(prefix: str, table: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Dotted names and entries; an inner table is an entry if it has a field of one."""
    found = []
    for key, entry in table.items():
        name = f"{prefix}{key}"
        if isinstance(entry, dict) and not set(entry) & set(Rate._fields):
            found += _leaves(f"{name}.", entry)
        else:
            found.append((name, entry))
    return found


def _line(text: str, name: str) -> int:
    """The line of the file that sets `name`; the parser does not say."""
    header = ""
    for number, line in enumerate(text.splitlines(), 1):
        if table := re.match(r"\s*\[([^\[\]]+)\]", line):
            header = re.sub(r"[\s\"']", "", table[1]) + "."
        elif (entry := re.match(r"\s*([\w.\s\"'-]+?)\s*=", line)) and name.startswith(
            header + re.sub(r"[\s\"']", "", entry[1])
        ):
            return number
    return 1
