"""Which layer's noise hurts: indices against closed forms, layers against a network that numpy can compute; and the
commands that judge a trained network."""

import json
import sys
from dataclasses import dataclass
from io import StringIO
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from flax import nnx

import aimc
from aimc import evaluation
from aimc.__main__ import main
from aimc.devices.base import Level

NU, T0, DAY = 0.3, 20.0, 86400.0
KEY = jax.random.key(3)
Z = 4.0


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class PowerLaw(aimc.Device):
    """Cells that all drift with the same exponent, and do nothing else."""

    nu: Level = NU

    def conductance(self, cells, elapsed):
        return cells * ((elapsed + T0) / T0) ** -self.nu


class Both(nnx.Module):
    """Two layers side by side; what the second says counts `weight` times."""

    def __init__(self, weight):
        self.first = nnx.Linear(6, 3, use_bias=False, rngs=nnx.Rngs(0))
        self.second = nnx.Linear(6, 3, use_bias=False, rngs=nnx.Rngs(1))
        self.weight = weight

    def __call__(self, x):
        return self.first(x) + self.weight * self.second(x)


X = np.asarray(jax.random.normal(jax.random.key(1), (30, 6)))
Y = np.asarray(jax.random.randint(jax.random.key(2), (30,), 0, 3))
PLAIN = {"dac_bits": None, "adc_bits": None, "adc_range": 1e3}


def loss(model, scales):
    """Mean cross-entropy in double precision when each layer has drifted for a day with a scaled exponent."""
    fall = (DAY / T0 + 1) ** (-NU * np.asarray(scales, float))
    kernels = [np.asarray(layer.kernel[...], float) for layer in (model.first, model.second)]
    z = X @ (fall[0] * kernels[0] + fall[1] * model.weight * kernels[1])
    return np.mean(np.log(np.exp(z).sum(-1)) - z[np.arange(30), Y])


def within(found, low, high, exact):
    """An estimate within Z standard errors, which its 95 % interval is 2 · 1.96 of."""
    return np.abs(found - exact) < Z * (high - low) / (2 * 1.96)


def test_indices_of_ishigamis_function_are_its_closed_form():
    """sin x + 7 sin² y + 0.1 z⁴ sin x on ±π (Ishigami and Homma 1990); with it an additive function of known shares."""
    points = 2 * np.pi * evaluation.design(4096, 3, seed=0) - np.pi
    x, y, z = points.T
    slopes = np.array([1.0, 2.0, 0.0])
    values = np.stack([np.sin(x) + 7 * np.sin(y) ** 2 + 0.1 * z**4 * np.sin(x), points @ slopes], axis=-1)
    found = evaluation.indices(values, 3, n_resamples=200)
    v_x, v_y, v_xz = 0.5 * (1 + 0.1 * np.pi**4 / 5) ** 2, 49 / 8, 0.1**2 * np.pi**8 * 8 / 225
    first, total = np.array([v_x, v_y, 0.0]), np.array([v_x + v_xz, v_y, v_xz])
    exact = np.stack([first / (v_x + v_y + v_xz), slopes**2 / 5])
    exact_total = np.stack([total / (v_x + v_y + v_xz), slopes**2 / 5])
    print(found.first - exact, found.total - exact_total)
    assert within(found.first, found.first_low, found.first_high + 1e-12, exact).all()
    assert within(found.total, found.total_low, found.total_high + 1e-12, exact_total).all()
    assert (found.first_high - found.first_low).max() < 0.2
    assert (found.first_low <= found.first).all()
    assert (found.total <= found.total_high).all()


def test_bootstrap_intervals_narrow_as_the_root_of_the_samples():
    """Of an additive function: 64 times the samples, an eighth of the width, within a third."""

    def width(n):
        points = evaluation.design(n, 2, seed=1)
        found = evaluation.indices(points @ np.array([[1.0], [1.0]]), 2)
        return (found.total_high - found.total_low).mean()

    print(width(64) / width(4096))
    assert 8 / 1.5 < width(64) / width(4096) < 8 * 1.5


def test_what_does_not_vary_has_no_indices():
    found = evaluation.indices(np.ones((4 * 8, 1)), 2, n_resamples=10)
    assert not np.stack(found).any()
    with pytest.raises(ValueError, match="samples must be a power of 2, at least 2, got 48"):
        evaluation.design(48, 2, seed=0)


@pytest.fixture(scope="module")
def drifted():
    model = Both(2.0)
    spec = aimc.crossbar(device=PowerLaw(), rows=8, cols=8, **PLAIN)
    asked = {"fields": ("device.nu",), "seconds": DAY, "samples": 256, "chips": 1, "upto": 1.5}
    return model, evaluation.sensitivity(KEY, aimc.convert(model, spec), (X, Y), **asked)


def test_the_noise_of_one_layer_alone_does_what_numpy_computes(drifted):
    model, found = drifted
    at = found.sel(metric="loss")
    none = loss(model, (0, 0))
    np.testing.assert_allclose(at["baseline"], none, rtol=1e-5)
    np.testing.assert_allclose(at["everywhere"], loss(model, (1.5, 1.5)), rtol=1e-5)
    np.testing.assert_allclose(at["alone"], [loss(model, (1.5, 0)) - none, loss(model, (0, 1.5)) - none], atol=2e-6)
    assert list(found["layer"].values) == ["first", "second"]


def test_the_shares_of_layers_are_those_of_the_function_that_numpy_computes(drifted):
    """scipy's own analysis of the closed form with 16 times the samples."""
    model, found = drifted

    def law(scales):  # (2, n) to (1, n)
        fall = (DAY / T0 + 1) ** (-NU * scales)
        return np.array([[loss(model, np.log(f) / -NU / np.log(DAY / T0 + 1)) for f in fall.T]])

    uniform = [scipy.stats.uniform(0, 1.5)] * 2
    exact = scipy.stats.sobol_indices(func=law, n=4096, dists=uniform, rng=np.random.default_rng(0))
    at = found.sel(metric="loss")
    print(at["first"].values, exact.first_order, at["total"].values, exact.total_order)
    assert within(at["first"], at["first_low"], at["first_high"], exact.first_order).all()
    assert within(at["total"], at["total_low"], at["total_high"], exact.total_order).all()


def test_a_layer_that_counts_for_nothing_hurts_nothing_and_the_other_is_all():
    """Write errors of chips, the same at all levels: with weight 0 the second layer's part is exactly 0."""
    spec = aimc.crossbar(write_noise=0.2, **PLAIN)
    asked = {"samples": 64, "chips": 6, "store": None}
    found = evaluation.sensitivity(KEY, aimc.convert(Both(0.0), spec), (X, Y), **asked).sel(metric="loss")
    assert float(found["alone"].sel(layer="second")) == 0.0
    assert float(found["alone_high"].sel(layer="second")) == 0.0
    assert float(found["total"].sel(layer="second")) == 0.0
    np.testing.assert_allclose(found["first"].sel(layer="second"), 0.0, atol=1e-12)
    assert float(found["alone"].sel(layer="first")) != 0.0
    assert within(*(found[f"first{end}"].sel(layer="first") for end in ("", "_low", "_high")), 1.0)
    assert within(*(found[f"total{end}"].sel(layer="first") for end in ("", "_low", "_high")), 1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fields": ("device.nonsense",)}, "Gaussian has no field 'nonsense'; it has g_max"),
        ({"fields": ("device.slow_std_of_g",)}, r"layer first has no noise in device\.slow_std_of_g"),
        ({"fields": ()}, "fields must name at least one field"),
        ({"fields": ("device.spread", "device.spread")}, r"fields must name every field once, got device\.spread, dev"),
        ({"upto": 0.0}, "upto must be a finite scale above 0"),
        ({"seconds": -1.0}, "seconds must be a finite time of at least 0"),
        ({"chips": 0}, "chips must be at least 1"),
        ({"samples": 3}, "samples must be a power of 2"),
        ({"compensation": "some"}, "compensation must be of none, layer, column, got 'some'"),
    ],
)
def test_what_cannot_be_asked_is_refused(change, message):
    model = aimc.convert(Both(1.0), aimc.crossbar(write_noise=0.1))
    with pytest.raises(ValueError, match=message):
        evaluation.sensitivity(KEY, model, (X, Y), **change)


def test_the_figure_has_a_bar_with_its_interval_for_every_layer(drifted):
    _, found = drifted
    picture = evaluation.sensitivity_figure(found)
    alone, first, total = picture.data
    np.testing.assert_allclose(alone.x, found["alone"].sel(metric="loss"))
    assert alone.error_x.array is None  # one chip has no interval
    np.testing.assert_allclose(first.x, found["first"].sel(metric="loss"))
    np.testing.assert_allclose(np.add(total.x, total.error_x.array), found["total_high"].sel(metric="loss"))
    assert tuple(total.y) == ("first", "second")
    assert jnp.isfinite(jnp.asarray(evaluation.sensitivity_figure(found, metric="accuracy").data[1].x)).all()


# Commands.


def strict(text):
    """What JSON says, as a parser reads it that knows no Infinity and no NaN."""

    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


def command(*arguments):
    """Exit code, stdout and stderr of the command, run in this process."""
    with (
        mock.patch.object(sys, "argv", ["aimc", *map(str, arguments)]),
        mock.patch("sys.stderr", StringIO()) as stderr,
        mock.patch("sys.stdout", StringIO()) as stdout,
        pytest.raises(SystemExit) as left,
    ):
        main()
    return left.value.code, stdout.getvalue(), stderr.getvalue()


@pytest.fixture(scope="module")
def run_directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "digits"
    assert command("train", "--out", path, "--steps", 2, "--batch", 8, "--validate-every", 0)[0] == 0
    return path


ON_IDEAL = ("--array", "ideal", "--limit", 30, "--chips", 2, "--times", "1,3600", "--compensation", "none")


def test_evaluate_goes_on_where_it_was_interrupted_and_says_what_the_library_finds(run_directory, tmp_path):
    store, page = tmp_path / "year.zarr", tmp_path / "year.html"
    whole = evaluation.over_time

    def interrupted(*arguments, **options):
        def stop(done, total):
            if done:
                raise KeyboardInterrupt

        return whole(*arguments, **options | {"progress": stop})

    with mock.patch.object(evaluation, "over_time", interrupted):
        code, _, said = command("evaluate", run_directory, *ON_IDEAL, "--out", store)
    assert code == 130
    assert f"finished points are kept in {store}; the same command goes on there" in said
    code, said, _ = command("evaluate", run_directory, *ON_IDEAL, "--out", store, "--plot", page, "--json")
    assert code == 0
    found = strict(said)
    assert [row["time_s"] for row in found["rows"]] == [1.0, 3600.0]
    assert all(row["accuracy_mean"] == pytest.approx(found["digital_accuracy"]) for row in found["rows"])
    assert found["n_labels"] == 30
    assert "plotly" in page.read_text()
    code, said, _ = command("evaluate", run_directory, *ON_IDEAL, "--out", store)
    assert code == 0
    assert "2 chips, 30 labels" in said
    assert f"{100 * found['digital_accuracy']:.2f} ± 0.00" in said


def test_sensitivity_prints_every_layer(run_directory):
    asked = (
        run_directory,
        "--array",
        "reram_neurram",
        "--limit",
        10,
        "--chips",
        1,
        "--samples",
        2,
        "--json",
        "--fields",
        "device.spread",
    )
    code, said, _ = command("sensitivity", *asked)
    assert code == 0
    found = strict(said)
    assert set(np.ravel(found["alone_low"]["data"])) == {None}  # one chip has no interval
    assert found["layers"] == ["layers/0", "layers/1", "layers/2"]
    assert np.shape(found["alone"]["data"]) == (2, 3)


def test_json_of_one_chip_says_null_where_an_interval_is_infinite(run_directory):
    asked = ("--array", "ideal", "--limit", 30, "--chips", 1, "--times", "1", "--compensation", "none", "--json")
    code, said, _ = command("evaluate", run_directory, *asked)
    assert code == 0
    (row,) = strict(said)["rows"]
    assert row["accuracy_low"] is None
    assert row["accuracy_p5"] == row["accuracy_mean"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("evaluate", "nowhere"), "nowhere does not exist"),
        (("evaluate", "RUN"), "holds a digital network; say with --array what to put it on"),
        (("evaluate", "RUN", "--array", "paper"), "unknown preset 'paper'"),
        (("evaluate", "RUN", *ON_IDEAL, "--times", "1,soon"), "times must be numbers between commas"),
        (("evaluate", "RUN", *ON_IDEAL, "--part", "train"), "part must be test or validation, got 'train'"),
        (("evaluate", "RUN", *ON_IDEAL, "--limit", 0), "limit must be at least 1 row, got 0"),
        (("evaluate", "RUN", *ON_IDEAL, "--seed", -1), "seed must be from 0"),
        (("sensitivity", "RUN", "--array", "ideal"), "has no noise in device.programming_std"),
        (("sensitivity", "RUN", "--metric", "joy"), "metric must be loss or accuracy, got 'joy'"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(run_directory, arguments, sentence):
    code, said, error = command(*(run_directory if part == "RUN" else part for part in arguments))
    assert (code, said) == (2, "")
    assert sentence in error
    assert error.count("\n") == 1
