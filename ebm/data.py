"""Binary data with a fixed split: the digits of scikit-learn, or the user's own rows of 0 and 1."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

Rows = Float32[np.ndarray, "n d"]


class Split(NamedTuple):
    """Rows of 0 and 1 to learn from, and rows kept for one final evaluation. Training never sees `test`."""

    train: Rows
    test: Rows


def digits() -> Split:
    """The 1,797 scikit-learn digits, 8x8, a pixel being on at 8 of 16 or more.

    1,437 to train on and 360 to test on; the split is scikit-learn's `train_test_split(test_size=0.2, random_state=0)`.
    """
    from sklearn.datasets import load_digits

    return split(np.asarray(load_digits().data >= 8, np.float32))


def from_npy(path: Path) -> Split:
    """The rows of a `.npy` file, split as the digits are.

    Takes a 2-D array of booleans, integers or floats in which every value is 0 or 1.
    Raises ValueError for anything else, FileNotFoundError when there is no such file.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is not a plain .npy array ({error}); save it with numpy.save") from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path} holds several arrays; save one 2-D array with numpy.save")
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{path} has dtype {array.dtype}; 0 and 1 must be bool, integer or float")
    if array.ndim != 2 or array.shape[1] < 1:
        raise ValueError(f"{path} has shape {array.shape}; (rows, units) is needed, with at least 1 unit")
    if array.shape[0] < 5:
        raise ValueError(f"{path} has {array.shape[0]} rows; at least 5 are needed, a fifth for the test")
    bad = ~((array == 0) | (array == 1))  # NaN is neither
    if bad.any():
        row, column = (int(place) for place in np.argwhere(bad)[0])
        raise ValueError(f"{path} has {array[row, column]} in row {row}, column {column}; every value must be 0 or 1")
    return split(array.astype(np.float32))


def load(name: str) -> Split:
    """`digits`, or a path that ends in .npy. Raises ValueError for any other name."""
    if name == "digits":
        return digits()
    if name.endswith(".npy"):
        return from_npy(Path(name))
    raise ValueError(f"data must be 'digits' or a file that ends in .npy, got {name!r}")


def split(rows: Rows) -> Split:
    """A random fifth of the rows, always the same one, becomes the test part."""
    from sklearn.model_selection import train_test_split

    train, test = train_test_split(rows, test_size=0.2, random_state=0)
    return Split(np.ascontiguousarray(train), np.ascontiguousarray(test))


def validation(train: Rows) -> Split:
    """Split the training part again, for choosing settings: rows 4, 9, 14, ... are held out in `test`.

    The training part is already in random order, so every fifth row is a random fifth and no seed is needed.
    """
    held_out = np.arange(len(train)) % 5 == 4
    return Split(train[~held_out], train[held_out])


def fingerprint(data: Split) -> str:
    """SHA-256 of both parts, shapes included: two runs with the same one used the same data and split."""
    digest = hashlib.sha256()
    for part in data:
        digest.update(repr(part.shape).encode())
        digest.update(part.astype(np.uint8).tobytes())
    return digest.hexdigest()
