"""Labelled data in a fixed split: digits, character text, or the user's own files."""

from pathlib import Path

from aimc.data.base import Data as Data
from aimc.data.base import Split as Split

NAMES = ("digits", "text")


def load(name: str, *, labels: Path | None = None) -> Data:
    """Data by name, or from a path.

    "digits" are scikit-learn's 8 × 8 digits, "text" the characters of CPython's help. A path is a file of images
    (MNIST's IDX, also .gz; .npy; `labels` is the file of their labels unless it is named alike), a binary batch of
    CIFAR (.bin), a folder of MNIST or CIFAR, or a text (.txt). Raises ValueError for anything else and for `labels`
    that would not be read, OSError where there is no such file.
    """
    from aimc.data import digits, files, images, text

    path = Path(name)
    if labels is not None and (name in NAMES or path.is_dir() or path.suffix in (".txt", ".bin")):
        raise ValueError(f"labels must be left out unless data is one file of images, got {labels} for {name}")
    if name == "digits":
        return digits.load()
    if name == "text":
        return text.load()
    if path.suffix == ".txt":
        return text.read(path)
    if path.is_dir() or path.suffix in (".npy", ".bin") or files.is_idx(path):
        return images.read(path, labels)
    raise ValueError(
        f"data must be digits, text, or a file that ends in .npy, .bin, .txt or an MNIST name (idx3-ubyte, also .gz), "
        f"or a folder of MNIST or CIFAR, got {name!r}"
    )
