"""The digits are the published split; a user's file is taken as it is or refused in one sentence."""

import numpy as np
import pytest

from ebm import data


def test_digits_are_the_fixed_split_of_1437_and_360_binary_images():
    digits = data.digits()
    assert digits.train.shape == (1437, 64)
    assert digits.test.shape == (360, 64)
    both = np.concatenate(digits)
    assert set(np.unique(both)) == {0.0, 1.0}
    assert both.mean() == pytest.approx(0.3230, abs=5e-5)
    assert digits.train.mean() == pytest.approx(0.32341, abs=5e-6)


def test_independent_pixels_reach_the_published_likelihood_on_this_split():
    """Laplace-smoothed pixel means give -25.075 nats on the training and -25.297 on the test part."""
    digits = data.digits()
    p = (digits.train.sum(axis=0, dtype=np.float64) + 1) / (len(digits.train) + 2)
    for rows, published in ((digits.train, -25.075), (digits.test, -25.297)):
        assert (rows @ np.log(p) + (1 - rows) @ np.log1p(-p)).mean() == pytest.approx(published, abs=1e-3)


def test_validation_is_every_fifth_training_row_and_no_test_row():
    train = np.arange(23, dtype=np.float32)[:, None]
    held = data.validation(train)
    assert held.test.ravel().tolist() == [4, 9, 14, 19]
    assert sorted([*held.train.ravel(), *held.test.ravel()]) == list(range(23))


def test_the_fingerprint_sees_a_single_bit_and_the_split():
    digits = data.digits()
    flipped = digits.train.copy()
    flipped[0, 0] = 1 - flipped[0, 0]
    prints = {data.fingerprint(d) for d in (digits, digits._replace(train=flipped), data.Split(*digits[::-1]))}
    assert len(prints) == 3


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float64])
def test_a_users_rows_of_any_number_type_are_split_without_loss(tmp_path, dtype):
    rows = np.random.default_rng(0).integers(0, 2, (20, 3)).astype(dtype)
    np.save(tmp_path / "rows.npy", rows)
    loaded = data.load(str(tmp_path / "rows.npy"))
    assert (len(loaded.train), len(loaded.test)) == (16, 4)
    assert sorted(map(tuple, np.concatenate(loaded))) == sorted(map(tuple, rows.astype(np.float32)))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((6, 2), np.nan), "has nan in row 0, column 0; every value must be 0 or 1"),
        (np.eye(6) * 2, "has 2.0 in row 0, column 0"),
        (np.eye(6) - 0.5, "every value must be 0 or 1"),
        (np.zeros(6), r"has shape \(6,\)"),
        (np.zeros((6, 0)), "at least 1 unit"),
        (np.zeros((6, 2, 2)), "has shape"),
        (np.zeros((4, 2)), "has 4 rows; at least 5"),
        (np.zeros((6, 2), complex), "has dtype complex128"),
        (np.full((6, 2), "1"), "has dtype <U1"),
        (np.full((6, 2), None), "not a plain .npy array"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path, array, message):
    np.save(tmp_path / "rows.npy", array)
    with pytest.raises(ValueError, match=message) as refused:
        data.load(str(tmp_path / "rows.npy"))
    assert "rows.npy" in str(refused.value)


def test_text_an_archive_and_an_unknown_name_are_refused(tmp_path):
    (tmp_path / "text.npy").write_text("0 1 0")
    (tmp_path / "empty.npy").write_bytes(b"")
    with open(tmp_path / "archive.npy", "wb") as file:
        np.savez(file, a=np.zeros((6, 2)))
    for name, message in (
        ("text.npy", "not a plain"),
        ("empty.npy", "not a plain"),
        ("archive.npy", "holds several arrays"),
    ):
        with pytest.raises(ValueError, match=message):
            data.load(str(tmp_path / name))
    with pytest.raises(ValueError, match=r"data must be 'digits' or a file .*, got 'mnist'"):
        data.load("mnist")
    with pytest.raises(FileNotFoundError):
        data.load(str(tmp_path / "absent.npy"))
