"""The digits are the published split; a user's file is taken as it is or refused in one sentence."""

import gzip
import tracemalloc

import numpy as np
import pytest

from ebm import data, planted


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
    with pytest.raises(ValueError, match=r"data must be one of 'digits', .*, or a file .*, got 'mnist'"):
        data.load("mnist")
    with pytest.raises(FileNotFoundError):
        data.load(str(tmp_path / "absent.npy"))


def test_bars_and_stripes_are_all_of_them_once_and_the_ceiling_is_their_number():
    for size in (2, 4):
        made = data.bars_and_stripes(size)
        assert len(made.test) == len(np.unique(made.test, axis=0)) == 2 ** (size + 1) - 2
        images = made.test.reshape(-1, size, size)
        is_bars = (images == images[:, :1]).all(axis=(1, 2))
        is_stripes = (images == images[:, :, :1]).all(axis=(1, 2))
        assert (is_bars | is_stripes).all()
        assert (is_bars & is_stripes).sum() == 2
        _, counts = np.unique(made.train, axis=0, return_counts=True)
        assert len(counts) == len(made.test)
        assert len(set(counts)) == 1
    assert -np.log(30) == pytest.approx(-3.401197, abs=1e-6)  # what no model of the 4 x 4 images can exceed in the mean
    held = data.validation(made.train)
    assert len(np.unique(held.test, axis=0)) == 30  # the order is random, so no image is missing from either part


def brute_force(truth):
    """Mean spin and mean product of each coupled pair, by a sum over all states written out once more."""
    edges, couplings, fields = (np.asarray(x) for x in (truth.graph.edges, *truth.params))
    n = truth.graph.n_nodes
    spins = np.array([[1 if code >> i & 1 else -1 for i in range(n)] for code in range(1 << n)], np.float64)
    minus_energy = spins @ fields + (spins[:, edges[:, 0]] * spins[:, edges[:, 1]]) @ couplings
    p = np.exp(minus_energy - np.logaddexp.reduce(minus_energy))
    return p, p @ spins, p @ (spins[:, edges[:, 0]] * spins[:, edges[:, 1]]), edges


def test_planted_rows_follow_their_machine():
    """Means and pair products of 5,120 rows against enumeration, 4.5 standard errors of each."""
    truth = planted.ising(3, seed=2)
    p, means, products, edges = brute_force(truth)
    rows = np.concatenate(planted.rows(truth))
    spins = 2.0 * rows - 1
    for found, exact in ((spins.mean(0), means), ((spins[:, edges[:, 0]] * spins[:, edges[:, 1]]).mean(0), products)):
        assert (np.abs(found - exact) / np.sqrt((1 - exact**2) / len(rows))).max() < 4.5
    np.testing.assert_allclose(np.exp(planted.log_law(truth)), p, rtol=1e-9)
    codes = rows.astype(int) @ (1 << np.arange(9))
    np.testing.assert_allclose(planted.log_likelihood(truth, rows), np.log(p)[codes], rtol=1e-9)


def test_long_gibbs_runs_follow_the_machine_that_enumeration_would(monkeypatch):
    """The path of machines above 20 spins, forced on 9 of them; 1,280 independent chains, 4.5 standard errors."""
    monkeypatch.setattr(planted, "MAX_EXACT_SPINS", 0)
    monkeypatch.setattr(planted, "GIBBS_SWEEPS", 200)
    truth = planted.ising(3, seed=2)
    _, means, products, edges = brute_force(truth)
    spins = 2.0 * np.concatenate(planted.rows(truth, n_train=1024, n_test=256)) - 1
    for found, exact in ((spins.mean(0), means), ((spins[:, edges[:, 0]] * spins[:, edges[:, 1]]).mean(0), products)):
        assert (np.abs(found - exact) / np.sqrt((1 - exact**2) / len(spins))).max() < 4.5


def test_frustrated_loops_keep_their_planted_ground_state():
    """Every square breaks one coupling at best, so the energy of the planted state is -2 J a square, and no state of
    the 512 lies below it."""
    truth = planted.frustrated_loops(3, loops=5, coupling=0.5)
    edges, couplings = np.asarray(truth.graph.edges), np.asarray(truth.params.couplings)
    spins = np.array([[1 if code >> i & 1 else -1 for i in range(9)] for code in range(512)], np.float64)
    energy = -(spins[:, edges[:, 0]] * spins[:, edges[:, 1]]) @ couplings
    assert energy.min() == pytest.approx(-0.5 * 2 * 5)


@pytest.mark.parametrize("kind", ["symbols", "bits"])
def test_named_data_and_symbols_are_one_hot(kind):
    loaded = data.load("planted-ising", kind=kind, size=3)
    assert loaded.train.shape[1] == (18 if kind == "symbols" else 9)
    if kind == "symbols":
        assert data.n_states(loaded.train) == 2
    with pytest.raises(ValueError, match="rows must be one-hot"):
        data.n_states(np.array([[1.0, 1, 0], [1, 0, 0]], np.float32))
    with pytest.raises(ValueError, match="made of bits, which a model of real units cannot fit"):
        data.load("bars-and-stripes", kind="reals")
    for name in ("bars-and-stripes", "planted-ising"):
        with pytest.raises(ValueError, match="size must be from 2 to 10"):
            data.load(name, size=11)


def test_a_csv_file_with_and_without_a_line_of_names(tmp_path):
    rows = np.random.default_rng(0).integers(0, 2, (12, 3))
    lines = "\n".join(",".join(map(str, row)) for row in rows)
    (tmp_path / "plain.csv").write_text(lines)
    (tmp_path / "named.csv").write_text("a,b,c\n" + lines + "\n")
    for name in ("plain.csv", "named.csv"):
        loaded = data.load(str(tmp_path / name))
        assert sorted(map(tuple, np.concatenate(loaded))) == sorted(map(tuple, rows.astype(np.float32)))
    (tmp_path / "real.csv").write_text("0.5,-2\n" * 10)
    assert data.load(str(tmp_path / "real.csv"), kind="reals").train.max() == 0.5
    for content, message in (
        ("a,b\n1,x\n", "not a table of numbers"),
        ("1,0\n1\n", "not a table of numbers"),
        ("1,nan\n" * 6, "every value must be 0 or 1"),
        ("", "has shape|rows; at least 5"),
    ):
        (tmp_path / "bad.csv").write_text(content)
        with pytest.raises(ValueError, match=message):
            data.load(str(tmp_path / "bad.csv"))
    (tmp_path / "bad.csv").write_text("1,inf\n" * 6)
    with pytest.raises(ValueError, match="every value must be a finite float32"):
        data.load(str(tmp_path / "bad.csv"), kind="reals")


def idx(images, code=0x08):
    return bytes([0, 0, code, images.ndim]) + b"".join(n.to_bytes(4, "big") for n in images.shape) + images.tobytes()


def test_mnist_files_are_read_plain_and_gzipped(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (10, 4, 3)).astype(np.uint8)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(images))
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
    for path in tmp_path.iterdir():
        bits = np.concatenate(data.load(str(path)))
        assert sorted(map(tuple, bits)) == sorted(map(tuple, (images.reshape(10, -1) >= 128).astype(np.float32)))
        reals = np.concatenate(data.load(str(path), kind="reals"))
        assert sorted(map(tuple, reals)) == sorted(map(tuple, images.reshape(10, -1).astype(np.float32)))


def test_headers_that_claim_more_than_the_file_holds_are_refused_without_the_memory(tmp_path):
    """Claims of 2^31 bytes and more, in files of about 100 bytes: less than 4 MiB are ever allocated."""
    huge = 1 << 25
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (%d, %d), }" % (huge, huge)
    (tmp_path / "bomb.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    (tmp_path / "long.npy").write_bytes(b"\x93NUMPY\x02\x00" + (1 << 31).to_bytes(4, "little") + b"{}")
    shape = b"".join(n.to_bytes(4, "big") for n in (1 << 20, 1 << 15, 1 << 15))
    (tmp_path / "bomb.idx").write_bytes(bytes([0, 0, 8, 3]) + shape)
    (tmp_path / "bomb.idx.gz").write_bytes(gzip.compress(bytes([0, 0, 8, 3]) + shape))
    (tmp_path / "short.idx").write_bytes(idx(np.zeros((9, 2, 2), np.uint8))[:-1])
    (tmp_path / "labels.idx").write_bytes(idx(np.zeros(9, np.uint8)))
    (tmp_path / "other.idx").write_bytes(b"GIF89a")
    (tmp_path / "cut.idx.gz").write_bytes(gzip.compress(idx(np.zeros((9, 2, 2), np.uint8)))[:-6])
    tracemalloc.start()
    try:
        for name, message in (
            ("bomb.npy", "its header claims .* bytes and 0 follow"),
            ("long.npy", "its header claims 2147483648 bytes"),
            ("bomb.idx", "more than 16 bytes of file can hold"),
            ("bomb.idx.gz", "bytes of file can hold"),
            ("short.idx", "not what follows"),
            ("labels.idx", "as labels have"),
            ("other.idx", "is not an IDX file"),
            ("cut.idx.gz", "is not an IDX file"),
        ):
            with pytest.raises(ValueError, match=message):
                data.load(str(tmp_path / name))
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
