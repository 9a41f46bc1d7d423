"""Measured points of a device in a CSV file, read with all the distrust that such files deserve."""

import csv
from math import isfinite
from pathlib import Path
from typing import NamedTuple

SIEMENS = {"S": 1.0, "mS": 1e-3, "uS": 1e-6, "µS": 1e-6, "μS": 1e-6, "nS": 1e-9}
SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "day": 86400.0}
COLUMNS = {"conductance": SIEMENS, "mean": SIEMENS, "std": SIEMENS, "time": SECONDS}


class Point(NamedTuple):
    """What cells with one target conductance measured at one time after programming: siemens and seconds."""

    line: int
    conductance: float
    mean: float
    std: float
    time: float


def read_points(path: str | Path) -> list[Point]:
    """The points of a CSV file with the header `conductance_uS,mean_uS,std_uS,time_s`, in any order of columns.

    Units stand in the header: S, mS, uS, nS and s, min, h, day. The time may be left out: then it is 0. Lines that are
    empty or begin with # are skipped. Points are grouped by time, earliest first; at each time there are at least two
    conductances. Raises ValueError with file and line for anything else.
    """
    path = Path(path)
    rows = _rows(path)
    if not rows:
        raise ValueError(f"{path} holds no points; its first line must be conductance_uS,mean_uS,std_uS,time_s")
    (line, names), *body = rows
    units = _units(path, line, names)
    points = [_point(path, number, cells, units) for number, cells in body]
    _check(path, points)
    return points


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text (byte {error.start}); save it as a CSV file in UTF-8") from None
    rows = []
    for line, content in enumerate(text.splitlines(), start=1):
        if content.strip() and not content.lstrip().startswith("#"):
            rows.append((line, [cell.strip() for cell in next(csv.reader([content]))]))
    return rows


def _units(path: Path, line: int, names: list[str]) -> list[tuple[str, float]]:
    found = []
    for name in names:
        column, _, unit = name.partition("_")
        if column not in COLUMNS:
            raise ValueError(
                f"{path}:{line}: unknown column {name!r}; the columns are {', '.join(COLUMNS)}, with units"
            )
        if unit not in COLUMNS[column]:
            came = f"has the unit {unit!r}" if unit else "has no unit"
            raise ValueError(f"{path}:{line}: column {name!r} {came}; write {column}_ and one of {_list(column)}")
        found.append((column, COLUMNS[column][unit]))
    columns = [column for column, _ in found]
    for column in ("conductance", "mean", "std"):
        if column not in columns:
            raise ValueError(
                f"{path}:{line}: no column {column}; the header needs conductance, mean and std, with units"
            )
    if len(set(columns)) < len(columns):
        raise ValueError(f"{path}:{line}: a column occurs twice in {','.join(names)}")
    return found


def _list(column: str) -> str:
    return ", ".join(unit for unit in COLUMNS[column] if unit.isascii())


def _point(path: Path, line: int, cells: list[str], units: list[tuple[str, float]]) -> Point:
    if len(cells) != len(units):
        raise ValueError(f"{path}:{line}: {len(cells)} values in a file of {len(units)} columns")
    values = {"time": 0.0}
    for cell, (column, unit) in zip(cells, units, strict=True):
        try:
            values[column] = float(cell) * unit
        except ValueError:
            raise ValueError(f"{path}:{line}: {column} must be a number, got {cell!r}") from None
        if not isfinite(values[column]):
            raise ValueError(f"{path}:{line}: {column} must be finite, got {cell}")
        if values[column] < 0:
            raise ValueError(f"{path}:{line}: {column} must be at least 0, got {cell}")
    return Point(line=line, **values)


def _check(path: Path, points: list[Point]) -> None:
    if not points:
        raise ValueError(f"{path} has a header but no points; at least two conductances are needed")
    seen: dict[tuple[float, float], int] = {}
    for earlier, point in zip([points[0], *points], points, strict=False):
        if point.time < earlier.time:
            raise ValueError(
                f"{path}:{point.line}: time goes back from {earlier.time:g} s to {point.time:g} s; order points by time"
            )
        if (first := seen.setdefault((point.time, point.conductance), point.line)) != point.line:
            raise ValueError(
                f"{path}:{point.line}: line {first} has conductance {point.conductance:g} S at {point.time:g} s already"
            )
    for time in {point.time for point in points}:
        group = [point for point in points if point.time == time]
        if len(group) < 2:
            raise ValueError(
                f"{path}:{group[0].line}: only one conductance at {time:g} s; at least two are needed at each time"
            )
    if max(point.conductance for point in points) == 0:
        raise ValueError(f"{path}:{points[0].line}: every conductance is 0")
