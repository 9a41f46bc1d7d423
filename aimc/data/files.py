"""Arrays from a user's file: .npy (never unpickled), the IDX format of MNIST, plain or gzipped, the batches of CIFAR.

A file may be hostile: sizes that its header claims are compared with what the file can hold before memory is asked
for, so a file costs no more memory than a small multiple of its size, gzipped ones of 1,032 times that.
"""

import gzip
import math
import os
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Int32, UInt8

MAX_HEADER_BYTES = 10_000  # of a .npy file; numpy writes a few hundred
MAX_VALUES = 1 << 31
DEFLATE_RATIO = 1032  # no deflate stream expands by more (zlib technical notes)
IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
CIFAR_PIXELS = 3 * 32 * 32


def is_idx(path: Path) -> bool:
    """Whether the file is named as those of MNIST are."""
    name = path.name.removesuffix(".gz")
    return name.endswith((".idx", "-ubyte", ".idx3", ".idx2", ".idx1")) or "idx3-" in name


def npy(path: Path) -> np.ndarray:
    """The one array of a .npy file, as it is. Raises ValueError for pickles, archives and headers that lie."""
    with open(path, "rb") as file:
        if file.read(4) == b"PK\x03\x04":
            raise ValueError(f"{path} holds several arrays; save one array with numpy.save")
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


def idx(path: Path) -> np.ndarray:
    """The array of an IDX file of 1 to 4 axes, gzipped or not.

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
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise ValueError(f"{path} is not an IDX file ({error})") from error
    if len(content) != claimed:
        raise ValueError(f"{path} is not an IDX file (its header claims {claimed} bytes, not what follows)")
    return np.frombuffer(content, dtype).reshape(shape)


def cifar(path: Path) -> tuple[UInt8[np.ndarray, "n 32 32 3"], Int32[np.ndarray, " n"]]:
    """Images and labels of a binary batch of CIFAR-10, or of CIFAR-100 with its fine labels (Krizhevsky 2009).

    A record is 1 label, or 2 (coarse, fine), and the red, green and blue planes. Raises ValueError for other files.
    """
    content = np.fromfile(path, np.uint8)
    for n_labels, most in ((1, [10]), (2, [20, 100])):
        record = n_labels + CIFAR_PIXELS
        if len(content) and len(content) % record == 0:
            rows = content.reshape(-1, record)
            if (rows[:, :n_labels] < most).all():
                images = rows[:, n_labels:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
                return images, rows[:, n_labels - 1].astype(np.int32)
    raise ValueError(
        f"{path} is not a binary batch of CIFAR: {len(content)} bytes are no whole number of records of 3073 with a "
        "label below 10, or of 3074 with labels below 20 and 100"
    )


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
