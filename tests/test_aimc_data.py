"""Splits are fixed and share nothing; text says what it is; a user's file is taken as it is or refused."""

import gzip
import hashlib
import platform
import struct
import tracemalloc

import numpy as np
import pytest

from aimc import data
from aimc.data import files, text

RNG = np.random.default_rng(0)


def test_digits_are_the_fixed_split_and_no_image_is_in_two_parts():
    digits = data.load("digits")
    assert [part.x.shape for part in digits[2:5]] == [(1149, 8, 8), (288, 8, 8), (360, 8, 8)]
    assert digits.test.y[:10].tolist() == [2, 8, 2, 6, 6, 7, 1, 9, 8, 5]  # scikit-learn's random_state=0
    assert (digits.train.x.min(), digits.train.x.max(), digits.n_classes) == (0.0, 1.0, 10)
    seen = [{image.tobytes() for image in part.x} for part in digits[2:5]]
    assert len(set.union(*seen)) == sum(map(len, seen))
    assert len(digits.source["sha256"]) == 64


def test_text_is_that_of_this_python_and_its_parts_follow_each_other():
    from pydoc_data.topics import topics

    found = data.load("text")
    whole = "\n".join(value for _, value in sorted(topics.items()))
    assert found.source["sha256"] == hashlib.sha256(whole.encode()).hexdigest()
    assert found.source["python"] == platform.python_version()
    symbols = found.source["vocabulary"]
    assert found.n_classes == len(symbols) == len(set(whole[: len(whole) * 8 // 10])) + 1
    end = 0
    for part, share in zip(found[2:5], (0.8, 0.1, 0.1), strict=True):
        read = "".join(symbols[i] for i in part.x.ravel())
        labels = "".join(symbols[i] for i in part.y.ravel())
        start = round(end * len(whole))
        # Characters unknown to the training part are stand-ins; all others are the text, labels one further on.
        for found_text, offset in ((read, 0), (labels, 1)):
            original = whole[start + offset : start + offset + len(found_text)]
            differing = [b for a, b in zip(found_text, original, strict=True) if a != b]
            assert not set(differing) & set(symbols)
        assert 0 <= round((end + share) * len(whole)) - (start + len(read) + 1) <= text.WINDOW + 1
        end += share


def test_a_character_that_training_never_saw_is_the_unknown_symbol():
    found = text.from_text("ab" * 40 + "a" * 9 + "c" + "b" * 9 + "d", "two letters", 4)
    assert found.source["vocabulary"] == "\N{REPLACEMENT CHARACTER}ab"
    assert found.train.x[0].tolist() == [1, 2, 1, 2]
    assert found.train.y[0].tolist() == [2, 1, 2, 1]
    assert found.validation.y.tolist() == [[1, 1, 1, 1], [1, 1, 1, 1]]
    spoiled = text.from_text("ab" * 40 + "accaabbabb" + "adaabababb", "letters", 4)
    assert spoiled.validation.x[0].tolist() == [1, 0, 0, 1]
    assert spoiled.test.x[0].tolist() == [1, 0, 1, 1]


def test_a_users_text_is_read_as_utf8_or_refused(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("grüße, " * 200, encoding="utf-8")
    assert "ü" in data.load(str(path)).source["vocabulary"]
    path.write_bytes(b"\xff\xfe" * 600)
    with pytest.raises(ValueError, match=r"own\.txt is not text in UTF-8"):
        data.load(str(path))
    path.write_text("too short")
    with pytest.raises(ValueError, match="has 9 characters; at least 650"):
        data.load(str(path))


def write_idx(path, array, code=0x08):
    content = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_the_files_of_mnist_are_read_alone_and_as_a_folder(tmp_path, suffix):
    parts = {"train": 50, "t10k": 20}
    for name, n in parts.items():
        images = RNG.integers(0, 256, (n, 5, 4), np.uint8)
        images[:, 0, 0] = np.arange(n)
        write_idx(tmp_path / f"{name}-images-idx3-ubyte{suffix}", images)
        write_idx(tmp_path / f"{name}-labels-idx1-ubyte{suffix}", (np.arange(n) % 3).astype(np.uint8))
    folder = data.load(str(tmp_path))
    assert [part.x.shape for part in folder[2:5]] == [(40, 5, 4), (10, 5, 4), (20, 5, 4)]
    alone = data.load(str(tmp_path / f"train-images-idx3-ubyte{suffix}"))
    assert [part.x.shape for part in alone[2:5]] == [(32, 5, 4), (8, 5, 4), (10, 5, 4)]
    for found in (folder, alone):
        assert found.n_classes == 3
        for part in found[2:5]:
            assert ((part.x[:, 0, 0] * 255).round().astype(int) % 3 == part.y).all()  # images keep their labels
    assert sorted((alone.train.x[:, 0, 0] * 255).round()) != sorted((folder.train.x[:, 0, 0] * 255).round())
    for path in list(tmp_path.iterdir()):  # packed and unpacked side by side, as torchvision leaves them
        plain = gzip.decompress(path.read_bytes()) if suffix else path.read_bytes()
        (tmp_path / path.name.removesuffix(".gz")).write_bytes(plain)
        (tmp_path / (path.name.removesuffix(".gz") + ".gz")).write_bytes(gzip.compress(plain))
    assert data.load(str(tmp_path)).source["sha256"] == folder.source["sha256"]


@pytest.mark.parametrize("n_labels", [1, 2])
def test_binary_batches_of_cifar_are_read(tmp_path, n_labels):
    images = RNG.integers(0, 256, (60, 32, 32, 3), np.uint8)
    labels = (np.arange(60) % (10 if n_labels == 1 else 60)).astype(np.uint8)
    coarse = np.zeros((60, n_labels - 1), np.uint8) + 19
    records = np.concatenate([coarse, labels[:, None], images.transpose(0, 3, 1, 2).reshape(60, -1)], axis=1)
    if n_labels == 1:
        for i in (1, 2):
            records[30 * (i - 1) : 30 * i].tofile(tmp_path / f"data_batch_{i}.bin")
        records[:30].tofile(tmp_path / "test_batch.bin")
    else:
        records.tofile(tmp_path / "train.bin")
        records[:30].tofile(tmp_path / "test.bin")
    found = data.load(str(tmp_path))
    assert [len(part.y) for part in found[2:5]] == [48, 12, 30]
    np.testing.assert_array_equal((found.test.x * 255).round(), images[:30])
    np.testing.assert_array_equal(found.test.y, labels[:30])
    one = data.load(str(tmp_path / ("data_batch_1.bin" if n_labels == 1 else "train.bin")))
    assert one.train.x.shape[1:] == (32, 32, 3)


def test_a_pair_of_npy_files_is_taken_as_it_is(tmp_path):
    x, y = RNG.normal(size=(40, 7)), np.arange(40) % 4
    np.save(tmp_path / "images.npy", x)
    np.save(tmp_path / "labels.npy", y)
    np.save(tmp_path / "x.npy", x)
    found = data.load(str(tmp_path / "images.npy"))
    named = data.load(str(tmp_path / "x.npy"), labels=tmp_path / "labels.npy")
    assert found.source["sha256"] == named.source["sha256"]
    together = np.concatenate([part.x for part in found[2:5]])
    assert sorted(map(tuple, together)) == sorted(map(tuple, x.astype(np.float32)))
    with pytest.raises(ValueError, match=r"x\.npy is images without labels; name the file of their labels"):
        data.load(str(tmp_path / "x.npy"))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((30,)), np.zeros(30, int), "has shape .30,. of float64; numbers are needed"),
        (np.zeros((30, 0)), np.zeros(30, int), "numbers are needed"),
        (np.full((30, 2), "a"), np.zeros(30, int), "numbers are needed"),
        (np.zeros((30, 2)), np.zeros(29, int), "a whole number for each of 30 images"),
        (np.zeros((30, 2)), np.zeros(30), "of float64; a whole number"),
        (np.zeros((30, 2)), np.arange(30) - 1, "has labels from -1 to 28; from 0 to 999"),
        (np.zeros((30, 2)), np.full(30, 2**40), "from 0 to 999 are allowed"),
        (np.zeros((30, 2)), np.zeros(30, int), "has the label 0 only"),
        (np.full((30, 2), np.inf), np.arange(30), "no finite float32"),
        (np.zeros((24, 2)), np.arange(24), "has 24 images; at least 25"),
        (np.full((30, 2), None), np.arange(30), "never unpickled"),
    ],
)
def test_other_arrays_are_refused_by_name(tmp_path, x, y, message):
    np.save(tmp_path / "images.npy", x)
    np.save(tmp_path / "labels.npy", y)
    with pytest.raises(ValueError, match=message):
        data.load(str(tmp_path / "images.npy"))


def test_other_files_and_names_are_refused(tmp_path):
    (tmp_path / "batch.bin").write_bytes(bytes(5000))
    with pytest.raises(ValueError, match=r"batch\.bin is not a binary batch of CIFAR: 5000 bytes"):
        data.load(str(tmp_path / "batch.bin"))
    (tmp_path / "batch.bin").write_bytes(b"\xff" * 3073)
    with pytest.raises(ValueError, match="with a label below 10"):
        data.load(str(tmp_path / "batch.bin"))
    with pytest.raises(ValueError, match="has neither MNIST's"):
        data.load(str(tmp_path))
    with pytest.raises(ValueError, match="data must be digits, text, or a file"):
        data.load("fashion")
    with pytest.raises(FileNotFoundError):
        data.load(str(tmp_path / "no-images.npy"))


def test_a_damaged_archive_is_refused_in_one_sentence(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    write_idx(path, RNG.integers(0, 256, (50, 5, 4), np.uint8))
    whole = path.read_bytes()
    for at in (10, len(whole) // 2, len(whole) - 8):  # the first block's kind, codes, the checksum
        path.write_bytes(whole[:at] + b"\xff\xff\xff\xff" + whole[at + 4 :])
        with pytest.raises(ValueError, match=r"ubyte\.gz is not an IDX file"):
            files.idx(path)
    path.write_bytes(whole[:-20])
    with pytest.raises(ValueError, match=r"ubyte\.gz is not an IDX file"):
        files.idx(path)


def test_labels_are_refused_where_they_would_not_be_read(tmp_path):
    (tmp_path / "own.txt").write_text("text " * 200)
    (tmp_path / "batch.bin").write_bytes(bytes(3073))
    for name in ("digits", "text", *map(str, (tmp_path, tmp_path / "own.txt", tmp_path / "batch.bin"))):
        with pytest.raises(ValueError, match="labels must be left out unless data is one file of images"):
            data.load(name, labels=tmp_path / "labels.npy")


def test_sizes_that_a_header_claims_cost_no_memory(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte"
    claimed = bytes([0, 0, 8, 3]) + struct.pack(">3I", 1 << 20, 1 << 10, 1 << 10)
    tracemalloc.start()
    try:
        for content in (claimed, gzip.compress(claimed)):
            path.write_bytes(content)
            with pytest.raises(ValueError, match="claims 1099511627776 bytes, more than"):
                files.idx(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
