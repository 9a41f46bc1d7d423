"""Labelled data in three parts that never share a row."""

import hashlib
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float32, Int32

Kind = Literal["images", "text"]


class Split(NamedTuple):
    """Rows and their labels: `y` has a label for each row of `x`, or for each symbol of it in text."""

    x: Float32[np.ndarray, "n ..."] | Int32[np.ndarray, "n window"]
    y: Int32[np.ndarray, "n ..."]


class Data(NamedTuple):
    """Choices are made on `validation`, none on `test`.

    Images are (n, height, width), (n, height, width, channels) or (n, features); text is (n, window), whole numbers
    below `n_classes`, labelled with the symbols that follow.
    """

    name: str
    kind: Kind
    train: Split
    validation: Split
    test: Split
    n_classes: int
    source: Mapping[str, Any]
    """Where it comes from and its SHA-256: two runs with the same one used the same data."""


def held_out(rows: Split) -> tuple[Split, Split]:
    """The rows and a fifth of them that is kept apart: scikit-learn's
    `train_test_split(test_size=0.2, random_state=0)`."""
    from sklearn.model_selection import train_test_split

    x, x_held, y, y_held = train_test_split(*rows, test_size=0.2, random_state=0)
    return Split(x, y), Split(x_held, y_held)


def fingerprint(*parts: Split) -> str:
    """SHA-256 of the parts, shapes included."""
    digest = hashlib.sha256()
    for part in parts:
        for array in part:
            digest.update(repr((array.shape, array.dtype.str)).encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
