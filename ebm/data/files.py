"""Rows from a user's file: .npy (never unpickled), .csv, or the IDX format of MNIST, plain or gzipped.

A file may be hostile: `aimc.data.files` compares the sizes that its header claims with what the file can hold before
it asks for memory.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from aimc.data import files
from ebm.data import Kind, Rows

WHITE = 128  # an IDX byte from here on is a bit that is on
MAX_SYMBOLS = 256


def reader(path: Path) -> Callable[[Path, Kind], np.ndarray] | None:
    """The function that reads files of this name, or None."""
    if files.is_idx(path):
        return idx
    return {".npy": npy, ".csv": csv}.get(path.suffix)


def npy(path: Path, kind: Kind) -> np.ndarray:
    """The one array of a .npy file, as it is (`aimc.data.files.npy`)."""
    return files.npy(path)


def csv(path: Path, kind: Kind) -> np.ndarray:
    """Numbers separated by commas, a row a line; a first line that is not numbers names the columns and is left out."""
    with open(path, encoding="utf-8", errors="replace") as file:
        first = file.readline()
    try:
        [float(cell) for cell in first.split(",")]
        skipped = 0
    except ValueError:
        skipped = 1
    try:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # an empty file is refused below, by its shape
            return np.loadtxt(path, delimiter=",", skiprows=skipped, ndmin=2, dtype=np.float64)
    except (ValueError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path} is not a table of numbers with commas ({reason})") from error


def idx(path: Path, kind: Kind) -> np.ndarray:
    """Images of an IDX file, a row each, gzipped or not; bytes are bits from 128 on where bits are asked for.

    Raises ValueError for labels, and as `aimc.data.files.idx` does.
    """
    images = files.idx(path)
    if images.ndim < 2:
        raise ValueError(f"{path} has {images.ndim} axis, as labels have; give the file of images")
    rows = images.reshape(len(images), -1)
    return rows >= WHITE if kind == "bits" and rows.dtype == np.uint8 else rows


def checked(array: np.ndarray, kind: Kind, name: str) -> Rows:
    """The array as rows of float32, if they are what `kind` says. Raises ValueError naming the file and the place."""
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} has dtype {array.dtype}; 0 and 1 must be bool, integer or float")
    if array.ndim != 2 or array.shape[1] < 1:
        raise ValueError(f"{name} has shape {array.shape}; (rows, units) is needed, with at least 1 unit")
    if array.shape[0] < 5:
        raise ValueError(f"{name} has {array.shape[0]} rows; at least 5 are needed, a fifth for the test")
    if kind == "bits":
        bad, needed = ~((array == 0) | (array == 1)), "must be 0 or 1"  # NaN is neither
    elif kind == "symbols":
        with np.errstate(invalid="ignore"):
            bad = ~((array >= 0) & (array < MAX_SYMBOLS) & (array == np.floor(array)))
        needed = f"must be a whole number from 0 to {MAX_SYMBOLS - 1}"
    else:
        bad, needed = ~(np.abs(array.astype(np.float64)) < np.finfo(np.float32).max), "must be a finite float32"
    if bad.any():
        row, column = (int(place) for place in np.argwhere(bad)[0])
        raise ValueError(f"{name} has {array[row, column]} in row {row}, column {column}; every value {needed}")
    return array.astype(np.float32)
