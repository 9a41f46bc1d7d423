"""Where benchmark tables go: a section each of RESULTS.md, under the machine and the versions that made it."""

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from cost_bridge.results import provenance

RESULTS = Path(__file__).parent / "RESULTS.md"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def record(title: str, text: str, *, write: bool) -> None:
    """Print the section and, if asked, put it into RESULTS.md in place of the one with the same title."""
    machine = provenance(0)
    stamp = (
        f"{machine['date'][:10]}, {machine['processor']}, {platform.machine()}, Python {machine['python']}, "
        + ", ".join(f"{name} {version(name)}" for name in ("jax", "flax", "barrierless"))
    )
    section = f"## {title}\n\n*{stamp}*\n\n{text.strip()}\n"
    print(section)
    if write:
        head, *sections = RESULTS.read_text(encoding="utf-8").split("\n## ")
        kept = [part for part in sections if not part.startswith(title + "\n")]
        body = "\n## ".join([head.rstrip("\n") + "\n", *(part.rstrip("\n") + "\n" for part in kept), section[3:]])
        RESULTS.write_text(body, encoding="utf-8")
