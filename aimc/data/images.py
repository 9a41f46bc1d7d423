"""A user's own labelled images: MNIST's pairs of files, CIFAR's batches, pairs of .npy files."""

from pathlib import Path

import numpy as np

from aimc.data import files
from aimc.data.base import Data, Split, fingerprint, held_out

MAX_CLASSES = 1000
LEAST_ROWS = 25  # a fifth of four fifths of them validates


def read(path: Path, labels: Path | None = None) -> Data:
    """Images with labels, from a folder or a file.

    A folder of MNIST (`train-images-idx3-ubyte`, `t10k-…`, also .gz, which is left out beside its unpacked file) or of
    CIFAR (`data_batch_1.bin` … and `test_batch.bin`, or `train.bin` and `test.bin`) brings its own test part; of a
    single file a fifth is the test part. A fifth of the rest validates, each the same on every computer (`held_out`).
    The labels of a file with "images" in its name are looked for in that with "labels" instead, unless `labels` names
    them.
    Bytes become values from 0 to 1; other numbers stay as they are. Raises ValueError for what cannot be read.
    """
    train, test = _folder(path) if path.is_dir() else (_rows(path, labels), None)
    if len(train.y) < LEAST_ROWS:
        raise ValueError(f"{path} has {len(train.y)} images; at least {LEAST_ROWS} are needed for three parts")
    if test is None:
        train, test = held_out(train)
    train, validation = held_out(train)
    if test.x.shape[1:] != train.x.shape[1:]:
        raise ValueError(f"{path} has images of {train.x.shape[1:]} to train on and of {test.x.shape[1:]} to test")
    n_classes = int(max(part.y.max() for part in (train, validation, test))) + 1
    if n_classes < 2:
        raise ValueError(f"{path} has the label 0 only; at least two classes are needed")
    source = {"what": path.name, "split": "held_out", "sha256": fingerprint(train, validation, test)}
    return Data(str(path), "images", train, validation, test, n_classes, source)


def _folder(folder: Path) -> tuple[Split, Split]:
    """The training and the test part of a folder."""
    names = sorted(path.name for path in folder.iterdir())
    for train, test in (
        (_named(names, "train-images", "idx3"), _named(names, "t10k-images", "idx3")),
        (_named(names, "data_batch_", ".bin"), _named(names, "test_batch", ".bin")),
        (_named(names, "train", ".bin"), _named(names, "test", ".bin")),
    ):
        if train and test:
            parts = [[_rows(folder / name) for name in group] for group in (train, test)]
            train_rows, test_rows = (Split(*map(np.concatenate, zip(*part, strict=True))) for part in parts)
            return train_rows, test_rows
    raise ValueError(
        f"{folder} has neither MNIST's train-images-idx3-ubyte and t10k-images-idx3-ubyte nor CIFAR's binary batches"
    )


def _named(names: list[str], start: str, middle: str) -> list[str]:
    found = [name for name in names if name.startswith(start) and middle in name]
    # torchvision keeps a file beside what it was unpacked from: the same rows twice would land in two parts.
    return [name for name in found if not (name.endswith(".gz") and name.removesuffix(".gz") in found)]


def _rows(path: Path, labels: Path | None = None) -> Split:
    if path.suffix == ".bin":
        return _checked(*files.cifar(path), path, path)
    read = files.idx if files.is_idx(path) else files.npy
    if labels is None:
        labels = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
        if labels == path:
            raise ValueError(f"{path} is images without labels; name the file of their labels")
    return _checked(read(path), read(labels), path, labels)


def _checked(x: np.ndarray, y: np.ndarray, path: Path, labels: Path) -> Split:
    if x.dtype.kind not in "biuf" or not 2 <= x.ndim <= 4 or 0 in x.shape:
        raise ValueError(
            f"{path} has shape {x.shape} of {x.dtype}; numbers are needed, (n, features), (n, height, width) or "
            "(n, height, width, channels)"
        )
    if y.dtype.kind not in "biu" or y.shape != x.shape[:1]:
        raise ValueError(
            f"{labels} has shape {y.shape} of {y.dtype}; a whole number for each of {len(x)} images is needed"
        )
    if int(y.min()) < 0 or int(y.max()) >= MAX_CLASSES:
        raise ValueError(f"{labels} has labels from {y.min()} to {y.max()}; from 0 to {MAX_CLASSES - 1} are allowed")
    values = x.astype(np.float32) / np.float32(255) if x.dtype == np.uint8 else x.astype(np.float32)
    if not np.isfinite(values).all():
        raise ValueError(f"{path} has values that are no finite float32")
    return Split(values, y.astype(np.int32))
