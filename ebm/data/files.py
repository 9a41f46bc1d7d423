"""Rows from a user's file: .npy (never unpickled), .csv, or the IDX format of MNIST, plain or gzipped.

A file may be hostile: sizes that its header claims are compared with what the file can hold before memory is asked
for, so a small file costs little memory whatever it claims.
"""

import gzip
import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ebm.data import Kind, Rows

MAX_HEADER_BYTES = 10_000  # of a .npy file; numpy writes a few hundred
MAX_VALUES = 1 << 31
DEFLATE_RATIO = 1032  # no deflate stream expands by more (zlib technical notes)
IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
WHITE = 128  # an IDX byte from here on is a bit that is on
MAX_SYMBOLS = 256


def reader(path: Path) -> Callable[[Path, Kind], np.ndarray] | None:
    """The function that reads files of this name, or None."""
    name = path.name.removesuffix(".gz")
    if name.endswith((".idx", "-ubyte", ".idx3", ".idx2")) or "idx3-" in name:
        return idx
    return {".npy": npy, ".csv": csv}.get(path.suffix)


def npy(path: Path, kind: Kind) -> np.ndarray:
    """The one array of a .npy file, as it is. Raises ValueError for pickles, archives and headers that lie."""
    with open(path, "rb") as file:
        if file.read(4) == b"PK\x03\x04":
            raise ValueError(f"{path} holds several arrays; save one 2-D array with numpy.save")
        file.seek(0)
        try:
            shape, dtype = _npy_header(file)
            if dtype.hasobject:
                raise ValueError("it holds Python objects, which are never unpickled")
            claimed, held = math.prod(shape) * dtype.itemsize, os.fstat(file.fileno()).st_size - file.tell()
            if claimed > held or min(shape, default=0) < 0:
                raise ValueError(f"its header claims {claimed} bytes and {held} follow")
            file.seek(0)
            return np.lib.format.read_array(file, allow_pickle=False, max_header_size=MAX_HEADER_BYTES)
        except (ValueError, EOFError, TypeError, SyntaxError, OverflowError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(f"{path} is not a plain .npy array ({reason}); save it with numpy.save") from error


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

    Raises ValueError for a file that is not IDX, or whose size is not what its header says.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as raw:
        is_packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        file = gzip.GzipFile(fileobj=raw) if is_packed else raw
        try:
            zero, code, n_axes = int.from_bytes(file.read(2), "big"), *file.read(2)
            if zero or code not in IDX_TYPES or not 1 <= n_axes <= 4:
                raise ValueError("the first four bytes are not those of an IDX file")
            shape = [int.from_bytes(file.read(4), "big") for _ in range(n_axes)]
            dtype = np.dtype(IDX_TYPES[code])
            claimed = math.prod(shape) * dtype.itemsize
            if claimed > size * (DEFLATE_RATIO if is_packed else 1) or claimed > MAX_VALUES:
                raise ValueError(f"its header claims {claimed} bytes, more than {size} bytes of file can hold")
            content = file.read(claimed + 1)
        except (OSError, EOFError, ValueError) as error:
            raise ValueError(f"{path} is not an IDX file ({error})") from error
    if len(content) != claimed:
        raise ValueError(f"{path} is not an IDX file (its header claims {claimed} bytes, not what follows)")
    if n_axes < 2:
        raise ValueError(f"{path} has {n_axes} axis, as labels have; give the file of images")
    rows = np.frombuffer(content, dtype).reshape(shape[0], -1)
    return rows >= WHITE if kind == "bits" and code == 0x08 else rows


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


def _npy_header(file) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(file)
    length = int.from_bytes(file.read(2 if version == (1, 0) else 4), "little")
    if length > MAX_HEADER_BYTES:
        raise ValueError(f"its header claims {length} bytes")
    file.seek(np.lib.format.MAGIC_LEN)
    # Version 3 differs from 2 in the encoding of field names only, and arrays with fields are refused anyway.
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file, max_header_size=MAX_HEADER_BYTES)
    return shape, dtype
