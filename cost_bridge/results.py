"""The file a comparison leaves behind: JSON with a schema name, provenance, rows, and what the page draws from.

{"schema": SCHEMA, "provenance": {...}, "rows": [...], "details": [...], "rates": {...}}; the last two may be absent.
"""

import json
import math
import os
import platform
import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .analog.chip import ONCE
from .compare import Evaluation
from .events import BOUNDARIES
from .uncertainty import EVIDENCE, Rate

SCHEMA = "barrierless.cost_bridge/1"
ROW_KEYS = (
    "workload",
    "unit",
    "hardware",
    "joules",
    "seconds",
    "dollars",
    "ratio",
    "interval_90",
    "boundary",
    "evidence",
    "source",
)

DETAIL_KEYS = {"workload", "hardware", "boundary", "is_digital", "is_baseline", "joules_90", "items", "tornado"}


def provenance(seed: int) -> dict[str, Any]:
    """What ran where: versions, processor, date, seed."""
    packages = ("barrierless", "jax", "jaxlib", "flax", "optax", "numpy", "scikit-learn")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "python": platform.python_version(),
        "processor": _processor(),
        **{name: version(name) for name in packages},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def assemble(evaluations: Iterable[Evaluation], provenance: Mapping[str, Any]) -> dict[str, Any]:
    """One results mapping from several evaluations; provenance says what ran, when, with which seed and versions."""
    found = list(evaluations)
    rates = {}
    for one in found:
        for name, rate in one.rates.items():
            family, _, key = name.partition(".")
            of_this = f"workload.{one.rows[0]['workload']}.{key}" if family == "workload" else name
            if of_this == name or rate != ONCE:
                rates[of_this] = rate._asdict()
    results = {
        "schema": SCHEMA,
        "provenance": dict(provenance),
        "rows": [row for one in found for row in one.rows],
        "details": [detail for one in found for detail in one.details],
        "rates": rates,
    }
    validate(results)
    return results


def validate(results: Any) -> None:
    """Raise ValueError, in one sentence naming the place, unless `results` is what a page can be drawn from."""
    if not isinstance(results, dict) or results.get("schema") != SCHEMA:
        schema = results.get("schema") if isinstance(results, dict) else results
        raise ValueError(f"results.schema must be {SCHEMA!r}, got {schema!r}")
    if not isinstance(results.get("provenance"), dict) or not results["provenance"]:
        raise ValueError("results.provenance must be a non-empty mapping that says what ran")
    rows = results.get("rows")
    if not isinstance(rows, list) or not rows:
        raise ValueError("results.rows must be a non-empty list")
    seen = set()
    for number, row in enumerate(rows):
        _validate_row(f"results.rows[{number}]", row)
        cell = (row["workload"], row["hardware"], row["boundary"])
        if cell in seen:
            raise ValueError(f"results.rows[{number}] repeats {cell}; every cell of the table may occur once")
        seen.add(cell)
    details, rates = results.get("details", []), results.get("rates", {})
    if not isinstance(details, list) or not isinstance(rates, dict):
        raise ValueError("results.details must be a list and results.rates a mapping, where they are given")
    for name, rate in rates.items():
        if not isinstance(rate, dict) or not set(Rate._fields) <= set(rate):
            raise ValueError(f"results.rates[{name!r}] must have {', '.join(Rate._fields)}")
    for number, detail in enumerate(details):
        if not isinstance(detail, dict) or not set(detail) >= DETAIL_KEYS:
            raise ValueError(f"results.details[{number}] must have {', '.join(sorted(DETAIL_KEYS))}")
        cell = tuple(detail.get(key) for key in ("workload", "hardware", "boundary"))
        if cell not in seen:
            raise ValueError(f"results.details[{number}] describes {cell}, which has no row")


def _validate_row(where: str, row: Any) -> None:
    if not isinstance(row, dict) or set(row) != set(ROW_KEYS):
        got = ", ".join(row) if isinstance(row, dict) else repr(row)
        raise ValueError(f"{where} must have exactly {', '.join(ROW_KEYS)}, got {got}")
    for key in ("workload", "unit", "hardware", "source"):
        if not isinstance(row[key], str) or not row[key].strip():
            raise ValueError(f"{where}.{key} must be text, got {row[key]!r}")
    for key in ("joules", "seconds"):
        if not _is_positive(row[key]):
            raise ValueError(f"{where}.{key} must be a finite number above 0, got {row[key]!r}")
    if not (_is_positive(row["dollars"]) or _is_interval(row["dollars"])):
        raise ValueError(f"{where}.dollars must be a number or [low, high], got {row['dollars']!r}")
    if row["ratio"] is None:
        if row["interval_90"] is not None:
            raise ValueError(f"{where}.interval_90 must be null where there is no ratio, got {row['interval_90']!r}")
    elif not _is_positive(row["ratio"]) or not _is_interval(row["interval_90"]):
        raise ValueError(
            f"{where}.ratio must be above 0 with interval_90 [low, high], "
            f"got {row['ratio']!r} and {row['interval_90']!r}"
        )
    elif not row["interval_90"][0] <= row["ratio"] <= row["interval_90"][1]:
        raise ValueError(f"{where}.ratio {row['ratio']!r} lies outside its interval_90 {row['interval_90']!r}")
    if row["boundary"] not in BOUNDARIES:
        raise ValueError(f"{where}.boundary must be one of {', '.join(BOUNDARIES)}, got {row['boundary']!r}")
    if row["evidence"] not in EVIDENCE:
        raise ValueError(f"{where}.evidence must be one of {', '.join(EVIDENCE)}, got {row['evidence']!r}")


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0


def _is_interval(value: Any) -> bool:
    return (
        isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_positive, value)) and value[0] <= value[1]
    )


def write(results: Mapping[str, Any], path: str | Path, *, replace: bool = False) -> None:
    """Validate, then write JSON whole or not at all. Raises ValueError where `path` exists and `replace` is off."""
    validate(results)
    write_text(json.dumps(results, indent=1, allow_nan=False) + "\n", Path(path), replace=replace)


def read(path: str | Path) -> dict[str, Any]:
    """The results in a file. Raises ValueError, in one sentence, for anything that `validate` refuses."""
    try:
        results = json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    validate(results)
    return results


def write_text(text: str, path: Path, *, replace: bool) -> None:
    """Write beside the target under a temporary name, then rename, so a reader never meets half a file."""
    if path.exists() and not replace:
        raise ValueError(f"{path} exists already; choose another name or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
