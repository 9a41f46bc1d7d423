"""Data with a fixed split: digits, bars and stripes, planted Ising machines, or the user's own file.

What a row holds depends on the model that reads it: `bits` are 0 and 1, `reals` any finite numbers, `symbols` whole
numbers from 0 a site, handed on as one-hot rows. The test part is for one final evaluation: settings and stopping are
chosen on `validation` parts of the training part.
"""

import hashlib
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float32

Rows = Float32[np.ndarray, "n d"]
Kind = Literal["bits", "reals", "symbols"]
NAMES = ("digits", "bars-and-stripes", "planted-ising")


class Split(NamedTuple):
    """Rows to learn from, and rows kept for one final evaluation. Training never sees `test`."""

    train: Rows
    test: Rows


def digits() -> Split:
    """The 1,797 scikit-learn digits, 8x8, a pixel being on at 8 of 16 or more.

    1,437 to train on and 360 to test on; the split is scikit-learn's `train_test_split(test_size=0.2, random_state=0)`.
    """
    return split((_digit_pixels() >= 8).astype(np.float32))


def bars_and_stripes(size: int = 4) -> Split:
    """Images of whole rows or whole columns, `size` x `size` pixels, every distinct one equally often.

    There are 2^(size + 1) - 2 distinct images: all-on and all-off are rows as well as columns and count once. No model
    can do better on them than -log of that number in the mean: -ln 30 = -3.401 nats for size 4. (Counting the two
    twice, as a generator that draws rows or columns first does, the bound is -3.379.) The test part is every image
    once; nothing new is in it, and the training part is the same images 1,024 times or more in a random order.
    Raises ValueError for a size outside 2 to 10.
    """
    if not 2 <= size <= 10:
        raise ValueError(f"size must be from 2 to 10 for bars and stripes, got {size}")
    lines = (np.arange(1 << size)[:, None] >> np.arange(size)) & 1
    images = np.concatenate([np.repeat(lines, size, axis=1), np.tile(lines, (1, size))])
    distinct = np.unique(images, axis=0).astype(np.float32)
    copies = -(-1024 // len(distinct))
    order = np.random.default_rng(0).permutation(copies * len(distinct))
    return Split(np.tile(distinct, (copies, 1))[order], distinct)


def load(name: str, *, kind: Kind = "bits", size: int = 4) -> Split:
    """Data by name, or from a path that ends in .npy, .csv, or in an MNIST name (`...idx3-ubyte`, .idx, also .gz).

    `size`: side of bars and stripes (default 4) and of the planted Ising grid. Raises ValueError for another name, for
    files that are not what their names say, and for values that are not of the `kind`.
    """
    from ebm import planted
    from ebm.data import files

    if name == "digits":
        if kind == "bits":
            return digits()
        return split(files.checked(_digit_pixels(), kind, "digits"), kind)
    if name in NAMES:
        if kind == "reals":
            raise ValueError(f"data {name!r} is made of bits, which a model of real units cannot fit; use 'digits'")
        made = bars_and_stripes(size) if name == "bars-and-stripes" else planted.rows(planted.ising(size))
        return made if kind == "bits" else Split(*(_one_hot(part, 2) for part in made))
    path = Path(name)
    if read := files.reader(path):
        return split(files.checked(read(path, kind), kind, str(path)), kind)
    raise ValueError(
        f"data must be one of {', '.join(map(repr, NAMES))}, or a file that ends in .npy, .csv or an MNIST name "
        f"(idx3-ubyte, also .gz), got {name!r}"
    )


def from_npy(path: Path) -> Split:
    """The rows of 0 and 1 of a `.npy` file, split as the digits are.

    Takes a 2-D array of booleans, integers or floats in which every value is 0 or 1.
    Raises ValueError for anything else, FileNotFoundError when there is no such file.
    """
    from ebm.data import files

    return split(files.checked(files.npy(path, "bits"), "bits", str(path)))


def n_states(rows: Rows) -> int:
    """Symbols of a site, of one-hot rows: the period at which each row sums to 1. Raises ValueError for other rows."""
    n = round(rows.shape[1] / float(rows[0].sum())) if rows[0].sum() else 0
    if n < 2 or rows.shape[1] % n or not (rows.reshape(len(rows), -1, n).sum(axis=-1) == 1).all():
        raise ValueError("rows must be one-hot, one unit in every n_states on; see ebm.potts.one_hot")
    return n


def spread(rows: Rows) -> Float32[np.ndarray, " d"]:
    """Standard deviations of the columns; one that never changes gets a hundredth of the others', not zero."""
    std = rows.std(axis=0)
    return np.maximum(std, max(0.01 * float(std.mean()), 1e-6))


def split(rows: Rows, kind: Kind = "bits") -> Split:
    """A random fifth of the rows, always the same one, becomes the test part; symbols become one-hot first."""
    from sklearn.model_selection import train_test_split

    if kind == "symbols":
        rows = _one_hot(rows, int(rows.max()) + 1)
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
        is_bits = bool(((part == 0) | (part == 1)).all())
        digest.update((part.astype(np.uint8) if is_bits else np.ascontiguousarray(part)).tobytes())
    return digest.hexdigest()


def _digit_pixels() -> np.ndarray:
    from sklearn.datasets import load_digits

    return np.asarray(load_digits().data, np.float32)


def _one_hot(rows: Rows, n: int) -> Float32[np.ndarray, "n units"]:
    return np.eye(n, dtype=np.float32)[rows.astype(np.int64)].reshape(len(rows), -1)
