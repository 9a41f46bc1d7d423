"""A user's own device: from measured points, as a small class, and how the listing and the figures show it."""

import json
from dataclasses import dataclass
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float, Key
from scipy.interpolate import PchipInterpolator

from aimc.devices import DEVICES, Device, measured, relaxation
from aimc.devices.base import Level
from aimc.devices.figures import fit_figure, write_figures
from aimc.devices.listing import describe
from aimc.devices.points import read_points

KEY = jax.random.key(7)
GOOD = """# my wafer, 12 cells a point
conductance_uS,mean_uS,std_uS,time_h
10,10.2,0.50,0
20,20.1,0.80,0
35,35.0,0.40,0
50,49.5,0.90,0

10,11.0,1.00,1
25,25.0,1.40,1
50,48.0,0.60,1
10,12.0,1.10,24
50,47.0,1.30,24
"""


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "cells.csv"
    file.write_text(GOOD, encoding="utf-8")
    return file


def test_points_come_with_their_units_and_lines(path):
    points = read_points(path)
    assert len(points) == 9
    assert points[5].line == 9
    assert np.allclose(points[5][1:], (25e-6, 25e-6, 1.4e-6, 3600.0))


def test_columns_in_any_order_in_any_unit_and_with_the_mark_of_a_spreadsheet_are_the_same_device(path, tmp_path):
    other = tmp_path / "other.csv"
    lines = ["time_min,std_nS,mean_mS,conductance_S"]
    lines += [f"{p.time / 60!r},{p.std * 1e9!r},{p.mean * 1e3!r},{p.conductance!r}" for p in read_points(path)]
    other.write_text("\r\n".join(lines), encoding="utf-8-sig")
    one, two = measured(path), measured(other)
    assert np.allclose(one.std, two.std, atol=1e-6)
    assert np.allclose(one.shift, two.shift, atol=1e-6)
    assert one.times_s == pytest.approx(two.times_s)


def test_a_file_without_times_is_a_device_that_does_not_change(tmp_path):
    file = tmp_path / "still.csv"
    file.write_text("conductance_uS,mean_uS,std_uS\n0,0,0.1\n40,40,0.2\n", encoding="utf-8")
    device = measured(file)
    cells = device.write(KEY, jnp.linspace(0.0, 1.0, 20))
    assert np.array_equal(device.conductance(cells, 0.0), device.conductance(device.age(KEY, cells, 0.0, 1e6), 1e6))


def test_the_curves_are_monotone_cubics_through_the_points(path):
    """Against SciPy's Pchip inside, whose end slopes differ, so from the second point to the last but one: 1e-3 of the
    range; and at the points themselves to the table's resolution."""
    device = measured(path)
    g = np.array([10.0, 20.0, 35.0, 50.0]) / 50
    std = np.array([0.5, 0.8, 0.4, 0.9]) / 50
    found = device.knots(device.std, jnp.asarray(g, jnp.float32))[0]
    assert np.allclose(found, std, atol=2e-4)
    inner = np.linspace(0.4, 0.7, 31)
    assert np.allclose(
        device.knots(device.std, jnp.asarray(inner, jnp.float32))[0], PchipInterpolator(g, std)(inner), atol=2e-4
    )
    everywhere = np.asarray(device.knots(device.std, jnp.linspace(0.0, 1.0, 500)))
    assert everywhere.min() >= 0.4 / 50 - 1e-6
    assert everywhere.max() <= 1.4 / 50 + 1e-6


def test_measured_cells_have_the_measured_moments_at_and_between_the_times(path):
    """1.5·10⁵ cells at three conductances and three times, |z| < 5: linear in t up to 1 h, in ln t to 24 h."""
    device = measured(path)
    n = 150_000
    targets = np.array([0.2, 0.5, 1.0])
    means = np.array([[10.2, np.nan, 49.5], [11.0, 25.0, 48.0], [12.0, np.nan, 47.0]]) / 50
    stds = np.array([[0.5, np.nan, 0.9], [1.0, 1.4, 0.6], [1.1, np.nan, 1.3]]) / 50

    @jax.jit
    def readings(key, seconds):
        write_key, age_key = jax.random.split(key)
        cells = device.write(write_key, jnp.broadcast_to(jnp.asarray(targets, jnp.float32), (n, 3)))
        return device.conductance(device.age(age_key, cells, 0.0, seconds), seconds)

    part = np.log(5.0) / np.log(24.0)
    for seconds, weights in ((1800.0, (0.5, 0.5, 0.0)), (3600.0, (0, 1, 0)), (5 * 3600.0, (0, 1 - part, part))):
        g = np.asarray(readings(KEY, seconds), np.float64)
        for k in range(3):
            used = [w > 0 for w in weights]
            mean = np.dot(np.array(weights)[used], means[used, k])
            std = np.dot(np.array(weights)[used], stds[used, k])
            if np.isnan(mean):
                continue
            sample, spread = g[:, k], g[:, k].std()
            fourth = np.mean((sample - sample.mean()) ** 4)
            assert abs(sample.mean() - mean) < 5 * spread / np.sqrt(n) + 1e-4 * 0.02
            assert abs(spread**2 - std**2) < 5 * np.sqrt((fourth - spread**4) / n) + 2e-4 * 2 * std


def test_a_shrinking_spread_shrinks_every_deviation_and_a_growing_one_adds_to_it():
    """The correlation is σ(start)/σ(end) where the spread grows and 1 where it falls, whatever the steps in between."""
    knots = [jnp.array(v) for v in (1.0, 2.0, 0.5, 4.0)]
    times = (1.0, 10.0, 100.0, 1000.0)
    at = [relaxation.passed(times, t) for t in (0.1, 3.0, 10.0, 47.0, 400.0, 1e5)]
    std = [float(relaxation.interpolate(knots, a)) for a in at]
    whole = float(relaxation.correlation(knots, at[0], at[-1]))
    assert whole == pytest.approx((1.0 / 2.0) * (0.5 / 4.0), rel=1e-5)
    steps = np.prod([float(relaxation.correlation(knots, a, b)) for a, b in pairwise(at)])
    assert steps == pytest.approx(whole, rel=1e-5)
    assert float(relaxation.correlation(knots, at[2], at[3])) == pytest.approx(1.0)
    assert float(relaxation.correlation(knots, at[0], at[1])) == pytest.approx(1.0 / std[1], rel=1e-5)


HEADER = "conductance_uS,mean_uS,std_uS,time_s\n"
BAD = {
    "": "holds no points",
    "# only a remark\n": "holds no points",
    HEADER: "has a header but no points",
    "conductance,mean_uS,std_uS\n1,1,1\n": ":1: column 'conductance' has no unit; write conductance_ and one of S, mS",
    "conductance_ohm,mean_uS,std_uS\n1,1,1\n": ":1: column 'conductance_ohm' has the unit 'ohm'",
    "conductance_uS,mean_uS,time_s\n1,1,1\n": ":1: no column std",
    "conductance_uS,mean_uS,std_uS,colour\n1,1,1,2\n": ":1: unknown column 'colour'",
    "conductance_uS;mean_uS;std_uS\n1;1;1\n": ":1: column 'conductance_uS;mean_uS;std_uS' has the unit",
    "conductance_uS,mean_uS,std_uS,std_nS\n1,1,1,1\n": ":1: a column occurs twice",
    HEADER + "1,1,0.1,0\n2,two,0.1,0\n": ":3: mean must be a number, got 'two'",
    HEADER + "1,1,0.1,0\n2,2,-0.1,0\n": ":3: std must be at least 0, got -0.1",
    HEADER + "-1,1,0.1,0\n2,2,0.1,0\n": ":2: conductance must be at least 0, got -1",
    HEADER + "1,nan,0.1,0\n2,2,0.1,0\n": ":2: mean must be finite, got nan",
    HEADER + "1,1,0.1,inf\n": ":2: time must be finite",
    HEADER + "1,1,0.1\n": ":2: 3 values in a file of 4 columns",
    HEADER + "1,1,,0\n": ":2: std must be a number, got ''",
    HEADER + "1,1,0.1,0\n2,2,0.1,0\n\n1,1,0.2,0\n": ":5: line 2 has conductance 1e-06 S at 0 s already",
    HEADER + "1,1,0.1,0\n": ":2: only one conductance at 0 s; at least two",
    HEADER + "1,1,0.1,0\n2,2,0.1,0\n1,1,0.1,5\n": ":4: only one conductance at 5 s",
    HEADER + "1,1,1,9\n2,2,1,9\n1,1,1,5\n2,2,1,5\n": ":4: time goes back from 9 s to 5 s",
    HEADER + "0,0,1,0\n0,1,1,1\n": ":2: only one conductance",
}


@pytest.mark.parametrize("content", BAD)
def test_a_file_that_makes_no_sense_is_refused_in_one_sentence_with_its_line(content, tmp_path):
    file = tmp_path / "bad.csv"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match="bad") as caught:
        measured(file)
    assert BAD[content] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("raw", [HEADER.encode("utf-16"), b"conductance_\xb5S,mean_uS,std_uS\n"])
def test_a_file_in_another_encoding_is_refused(raw, tmp_path):
    file = tmp_path / "bytes.csv"
    file.write_bytes(raw)
    with pytest.raises(ValueError, match=r"bytes\.csv is not UTF-8 text"):
        measured(file)


def test_points_above_full_scale_are_refused(path):
    with pytest.raises(ValueError, match=r"cells\.csv:6: conductance 5e-05 S is above g_max = 4e-05 S"):
        measured(path, g_max=40e-6)
    with pytest.raises(ValueError, match="read_noise must be at least 0"):
        measured(path, read_noise=-1.0)


# --- a device as a class -------------------------------------------------------------------------------------------


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Fading(Device):
    """A cell whose conductance halves in `half_life_s`, after a write error of `error`."""

    error: Level = 0.02
    half_life_s: Level = 3600.0

    def write(self, key: Key[Array, ""], target: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return jnp.maximum(target + self.error * jax.random.normal(key, target.shape), 0.0)

    def conductance(self, cells: Float[Array, "*shape"], elapsed: Level) -> Float[Array, "*shape"]:
        return cells * 0.5 ** (elapsed / self.half_life_s)


def test_a_class_of_fifteen_lines_is_a_device():
    device = Fading(half_life_s=10.0)
    cells = device.write(KEY, jnp.full((30, 40), 0.8))
    assert np.allclose(device.conductance(cells, 10.0), 0.5 * cells)
    assert device.read_variance(cells, 10.0) is None
    half_lives = jax.vmap(lambda t: jnp.mean(Fading(half_life_s=t).conductance(cells, 1.0)))(jnp.array([1.0, 2.0]))
    assert half_lives[1] / half_lives[0] == pytest.approx(np.sqrt(2.0), rel=1e-4)


# --- the listing and the figures -----------------------------------------------------------------------------------


def test_the_listing_states_the_published_spread_and_drift():
    """8192 cells: spreads within 5 standard errors of σ_P, mean drift of one day within 1 %."""
    about = json.loads(json.dumps(describe("pcm")))
    assert about["evidence"] == "silicon"
    assert (about["g_max_us"], about["g_min_us"]) == (25.0, 0.0)
    for g, std in zip((0.5, 0.75, 1.0), about["programming_std_us"][2:], strict=True):
        assert std == pytest.approx(0.26348 + 1.9650 * g - 1.1731 * g**2, rel=5 / np.sqrt(2 * 8192))
    day = about["after"]["1 day"]["mean_us"][4]
    assert day == pytest.approx(25 * np.exp(-0.049 * np.log(86420 / 20)), rel=0.01)
    assert describe("cmo")["target_us"][0] == 9.0
    assert all(make.__doc__ for make in DEVICES.values())


def test_an_unknown_device_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown device 'pmc'; known devices are ideal, pcm"):
        describe("pmc")


def test_figures_are_pages_that_stand_alone(tmp_path):
    (page,) = write_figures(tmp_path / "plots", {"capacitor": DEVICES["capacitor"]()})
    text = page.read_text(encoding="utf-8")
    assert "seconds since programming" in text
    assert "<script src=" not in text


def test_the_fit_is_drawn_over_its_points(path):
    picture = fit_figure(measured(path), read_points(path))
    markers = [trace for trace in picture.data if trace.mode == "markers"]
    assert sum(len(trace.x) for trace in markers) == 2 * 9
    assert len(picture.data) == 2 * len(markers)
