"""The handwritten digits that ship with scikit-learn, in the fixed split of every study here."""

from functools import cache
from typing import NamedTuple

import numpy as np

from aimc.data.base import Data, Split, fingerprint, held_out


class Parts(NamedTuple):
    """`development` is `fit` and `validation` together, in another order: what a model with settled choices is trained
    on."""

    fit: Split
    validation: Split
    development: Split
    test: Split


@cache
def parts() -> Parts:
    """The UCI optical digits (Alpaydin and Kaynak 1998) as scikit-learn ships them, (n, 8, 8) with pixels in [0, 1]:
    1,437 to develop on and 360 to test.

    The test part is `train_test_split(test_size=0.2, random_state=0)`; a fifth of the rest, drawn the same way,
    validates.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    rows = Split((digits.images / 16.0).astype(np.float32), digits.target.astype(np.int32))
    development, test = held_out(rows)
    fit, validation = held_out(development)
    return Parts(fit, validation, development, test)


def load() -> Data:
    """The digits: 1,149 to train on, 288 to validate, 360 to test."""
    fit, validation, _, test = parts()
    source = {
        "what": "optical digits of scikit-learn (Alpaydin and Kaynak 1998)",
        "split": "train_test_split(test_size=0.2, random_state=0), twice",
        "sha256": fingerprint(fit, validation, test),
    }
    return Data("digits", "images", fit, validation, test, 10, source)
