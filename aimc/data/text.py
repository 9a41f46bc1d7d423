"""Text as characters: each window of symbols is labelled with the symbols that follow."""

import hashlib
import platform
from pathlib import Path

import numpy as np

from aimc.data.base import Data, Split

WINDOW = 64
UNKNOWN = 0
"""The symbol of every character that the training part does not have."""
MAX_BYTES = 1 << 28


def topics() -> str:
    """The help texts of the running Python (`pydoc_data.topics`), in the order of their names: half a million
    characters of English and code that every CPython brings along. They differ from version to version."""
    from pydoc_data.topics import topics as texts

    return "\n".join(texts[name] for name in sorted(texts))


def load(window: int = WINDOW) -> Data:
    """Character text from CPython's own help: `source` has its SHA-256 and the version of Python."""
    return from_text(topics(), "text", window, what="pydoc_data.topics of CPython", python=platform.python_version())


def read(path: Path, window: int = WINDOW) -> Data:
    """A text file in UTF-8. Raises ValueError for another encoding, more than 256 MiB, or too little text."""
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size} bytes of text; at most {MAX_BYTES} are taken")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8 ({error.reason} at byte {error.start})") from error
    return from_text(text, str(path), window, what=path.name)


def from_text(text: str, name: str, window: int = WINDOW, **source: str) -> Data:
    """The first 80 % of a text to train on, the next 10 % to validate, the last 10 % to test, cut into windows that do
    not overlap.

    Symbol 0 is `UNKNOWN`; the others are the characters of the training part in the order of their codes, listed in
    `source["vocabulary"]` after a stand-in for it. Raises ValueError for a window below 1 or a part without a window.
    """
    if window < 1:
        raise ValueError(f"window must be at least 1 character, got {window}")
    if len(text) < 10 * (window + 1):
        raise ValueError(f"{name} has {len(text)} characters; at least {10 * (window + 1)} are needed for this window")
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    first, second = len(codes) * 8 // 10, len(codes) * 9 // 10
    known = np.unique(codes[:first])
    place = np.searchsorted(known, codes).clip(max=len(known) - 1)
    symbols = np.where(known[place] == codes, place + 1, UNKNOWN).astype(np.int32)
    train, validation, test = (_windows(part, window) for part in np.split(symbols, [first, second]))
    about = {
        **source,
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "characters": len(codes),
        "window": window,
        "vocabulary": "\N{REPLACEMENT CHARACTER}" + "".join(map(chr, known)),
    }
    return Data(name, "text", train, validation, test, len(known) + 1, about)


def _windows(symbols: np.ndarray, window: int) -> Split:
    n = (len(symbols) - 1) // window
    return Split(symbols[: n * window].reshape(n, window), symbols[1 : n * window + 1].reshape(n, window))
