"""A model's chips over time: drift by its law and undone, chips that keep their identity, intervals that cover."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from flax import nnx

import aimc
from aimc import evaluation
from aimc.evaluation.figures import year_figure
from aimc.evaluation.score import array_hash, model_hash
from aimc.noise import HASH

NU, T0, YEAR = 0.06, 20.0, 31_536_000.0
KEY = jax.random.key(5)
KINDS = ("none", "layer", "column")


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class PowerLaw(aimc.Device):
    """Cells that all drift with the same exponent, and do nothing else."""

    def conductance(self, cells, elapsed):
        return cells * power_law(elapsed)


def power_law(seconds):
    return ((seconds + T0) / T0) ** -NU


PLAIN = {"dac_bits": None, "adc_bits": None, "adc_range": 1e3}
DRIFT_ONLY = aimc.crossbar(device=PowerLaw(), rows=16, cols=16, **PLAIN)
HERMES = replace(aimc.presets.pcm_hermes(), rows=16, cols=16)


class Net(nnx.Module):
    """Eight features, three classes."""

    def __init__(self, rngs):
        self.first = nnx.Linear(8, 6, rngs=rngs)
        self.second = nnx.Linear(6, 3, rngs=rngs)

    def __call__(self, x):
        return self.second(nnx.relu(self.first(x)))


class Reader(nnx.Module):
    """Seven symbols, attention to them, a linear layer that names the next."""

    def __init__(self, rngs):
        self.embed = nnx.Embed(7, 8, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(2, 8, decode=False, rngs=rngs)
        self.out = nnx.Linear(8, 7, rngs=rngs)

    def __call__(self, x):
        y = self.embed(x)
        return self.out(y + self.attention(y))


class Grouped(nnx.Module):
    """A convolution of two groups, batch norm, a linear layer."""

    def __init__(self, rngs):
        self.conv = nnx.Conv(2, 4, (3,), feature_group_count=2, rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.out = nnx.Linear(4 * 5, 3, rngs=rngs)

    def __call__(self, x):
        return self.out(self.drop(nnx.relu(self.norm(self.conv(x)))).reshape(x.shape[0], -1))


X = np.asarray(jax.random.normal(jax.random.key(1), (40, 8)))
Y = np.asarray(jax.random.randint(jax.random.key(2), (40,), 0, 3))
SIGNALS = np.asarray(jax.random.normal(jax.random.key(3), (12, 5, 2)))


@pytest.fixture(scope="module")
def noisy():
    """A layer on phase-change arrays, and its life on four chips."""
    model = aimc.convert(nnx.Linear(8, 3, rngs=nnx.Rngs(0)), HERMES)
    times = (1.0, 3600.0, YEAR)
    return model, evaluation.over_time(KEY, model, (X, Y), times=times, chips=4, compensation=KINDS, chunk=1)


# Compensation.


@nnx.jit
def _drift_and_compensate(model, x, seconds):
    """Outputs fresh, old, and compensated by a gain a layer or a column, and these gains."""
    aimc.deploy(jax.random.key(0), model)
    fresh = model(x)
    vectors = evaluation.calibration_vectors(jax.random.key(1), model, 6)
    references = [
        evaluation.drift_references(jax.random.key(2), model, vectors, per_column=kind) for kind in (False, True)
    ]
    aimc.grow_old(jax.random.key(3), model, seconds)
    old, compensated, gains = model(x), [], []
    for reference in references:
        evaluation.compensate_drift(jax.random.key(4), model, reference)
        compensated.append(model(x))
        gains.append({path: layer.chip.get_value().gain for path, layer in aimc.nn.analog_layers(model)})
    return fresh, old, compensated, gains, {path: reference.strength for path, reference in references[0].items()}


def test_outputs_fall_by_the_power_law_and_compensation_restores_them():
    """One exponent for all cells: y(t) = y(0) ((t + t0)/t0)^-nu exactly, so one gain undoes it. Float32 rounding."""
    layer = nnx.Linear(8, 6, use_bias=False, rngs=nnx.Rngs(0))
    for seconds in (60.0, YEAR):
        fresh, old, compensated, gains, _ = _drift_and_compensate(aimc.convert(layer, DRIFT_ONLY), X, seconds)
        np.testing.assert_allclose(old, power_law(seconds) * fresh, rtol=2e-5, atol=1e-6)
        for (found,), shape, restored in zip((g.values() for g in gains), ((1,), (6,)), compensated, strict=True):
            assert found.shape == shape
            np.testing.assert_allclose(found, 1 / power_law(seconds), rtol=2e-5)
            np.testing.assert_allclose(restored, fresh, rtol=2e-5, atol=1e-6)


def test_every_group_of_a_convolution_is_compensated_on_its_own():
    model = nnx.Sequential(nnx.Conv(2, 4, (3,), feature_group_count=2, use_bias=False, rngs=nnx.Rngs(0)))
    model = aimc.convert(model, DRIFT_ONLY)
    vectors = nnx.jit(lambda model, x: evaluation.watched_vectors(model, x, 6))(model, SIGNALS)
    taps = np.pad(SIGNALS, ((0, 0), (1, 1), (0, 0)))[0, :3]  # what the first position of the first signal sees
    np.testing.assert_array_equal(vectors["layers/0"][:, 0], taps.T)
    assert vectors["layers/0"].shape == (2, 6, 3)
    fresh, old, compensated, gains, strength = _drift_and_compensate(model, SIGNALS, 1e6)
    assert strength["layers/0"].shape == (2, 1)
    assert gains[1]["layers/0"].shape == (2, 2)
    assert float(jnp.max(jnp.abs(old - fresh))) > 0.1
    for restored in compensated:
        np.testing.assert_allclose(restored, fresh, rtol=1e-4, atol=1e-5)


def test_calibration_vectors_fill_the_input_range_and_drive_an_analog_bias_by_one():
    spec = replace(DRIFT_ONLY, inputs=replace(DRIFT_ONLY.inputs, range=3.0))
    model = aimc.convert(nnx.Linear(8, 3, rngs=nnx.Rngs(0)), spec, analog_bias=True)

    @nnx.jit
    def drawn(model):
        aimc.deploy(jax.random.key(0), model)
        (vectors,) = evaluation.calibration_vectors(jax.random.key(1), model, 500).values()
        return vectors

    vectors = drawn(model)
    assert vectors.shape == (500, 9)
    assert bool(jnp.all(vectors[:, -1] == 1))
    # 4,000 numbers uniform in ±3: mean square 3, with standard deviation 6/√5/√4000; z = 4.
    assert abs(float(jnp.mean(vectors[:, :-1] ** 2)) - 3.0) < 4 * 6 / 5**0.5 / 4000**0.5
    assert float(jnp.max(jnp.abs(vectors))) <= 3.0


def test_what_cannot_be_compensated_is_refused_by_name():
    model = aimc.convert(Net(nnx.Rngs(0)), aimc.presets.ideal())
    with pytest.raises(ValueError, match="layer first has no array yet"):
        evaluation.calibration_vectors(KEY, model, 4)
    nnx.jit(aimc.deploy)(KEY, model)
    with pytest.raises(ValueError, match="n_vectors must be at least 1, got 0"):
        evaluation.calibration_vectors(KEY, model, 0)
    with pytest.raises(ValueError, match="vectors must have an entry for layer first"):
        evaluation.drift_references(KEY, model, {})
    with pytest.raises(ValueError, match="references must have an entry for layer first"):
        evaluation.compensate_drift(KEY, model, {})
    with pytest.raises(ValueError, match="layer first was driven by 40 vectors, fewer than n_vectors=41"):
        evaluation.watched_vectors(model, jnp.asarray(X), 41)
    model = aimc.convert(nnx.RNN(nnx.SimpleCell(4, 4, rngs=nnx.Rngs(0))), aimc.presets.ideal())
    with pytest.raises(ValueError, match="inside a scan"):
        evaluation.watched_vectors(model, jnp.ones((2, 3, 4)), 2)


# A year.


def test_scores_follow_the_law_of_drift_and_come_back_with_compensation():
    """Without noise the logits of one layer are the fresh ones times the power law, in closed form in numpy."""
    layer = nnx.Linear(8, 3, use_bias=False, rngs=nnx.Rngs(0))
    times = [0.0, 60.0, YEAR]
    found = evaluation.over_time(KEY, aimc.convert(layer, DRIFT_ONLY), (X, Y), times=times, chips=2)
    logits = X.astype(float) @ np.asarray(layer.kernel[...], float)

    def loss(scale):
        z = scale * logits
        return np.mean(np.log(np.exp(z).sum(-1)) - z[np.arange(40), Y])

    none, layered = (found["loss"].sel(compensation=kind).values for kind in ("none", "layer"))
    np.testing.assert_allclose(none, [[loss(power_law(t)) for t in times]] * 2, rtol=2e-5)
    np.testing.assert_allclose(layered, loss(1.0), rtol=2e-5)
    np.testing.assert_array_equal(found["accuracy"], np.float32(np.mean(np.argmax(logits, -1) == Y)))
    assert abs(found.attrs["digital_loss"] - loss(1.0)) < 1e-5
    assert found.attrs["n_labels"] == 40


@pytest.fixture(scope="module")
def written():
    """A layer whose chips differ by their write errors, and what to ask of them."""
    model = aimc.convert(nnx.Linear(8, 3, rngs=nnx.Rngs(0)), aimc.crossbar(write_noise=0.1, **PLAIN))
    asked = {"times": (1.0, 1e3, 1e6), "chips": 4, "compensation": ("none",), "chunk": 1}
    return model, asked, evaluation.over_time(KEY, model, (X, Y), **asked)


def test_the_time_axis_follows_one_chip(written):
    """With nothing but write errors a chip scores the same for ever, and every chip differently."""
    loss = written[2]["loss"].values
    np.testing.assert_allclose(loss, np.broadcast_to(loss[:, :1], loss.shape), rtol=1e-6)
    assert len(np.unique(loss[:, 0])) == 4


def test_an_interrupted_year_resumes_to_the_identical_store(tmp_path, written):
    model, asked, found = written

    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    path = tmp_path / "year.zarr"
    with pytest.raises(KeyboardInterrupt):
        evaluation.over_time(KEY, model, (X, Y), store=path, progress=stop, **asked)
    seen = []
    resumed = evaluation.over_time(KEY, model, (X, Y), store=path, progress=lambda *done: seen.append(done), **asked)
    assert seen == [(2, 4), (3, 4), (4, 4)]
    assert resumed.identical(found)
    other = nnx.clone(model)
    other.kernel[0, 0] += 1e-3
    with pytest.raises(ValueError, match=r"belongs to another sweep: spec\.model"):
        evaluation.over_time(KEY, other, (X, Y), store=path, **asked)


def test_a_chip_after_a_year_is_one_that_was_aged_by_hand(noisy):
    """A chip and a time give the same numbers whatever else is asked for; and their loss has the mean and the spread of
    60 chips on which deploy and grow_old were called one by one; z = 4."""
    model, found = noisy
    own = evaluation.over_time(KEY, model, (X, Y), times=(YEAR,), chips=60, compensation=("none",))[
        "loss"
    ].values.ravel()
    np.testing.assert_allclose(own[:4], found["loss"].sel(compensation="none", time_s=YEAR), rtol=1e-5)
    assert len(np.unique(found["loss"])) == found["loss"].size  # every point has reads of its own

    @jax.jit
    def by_hand(key):
        copy = nnx.clone(model)
        write_key, age_key = jax.random.split(key)
        aimc.deploy(write_key, copy)
        aimc.grow_old(age_key, copy, YEAR)
        logits = copy(jnp.asarray(X))
        return jnp.mean(jax.nn.logsumexp(logits, -1) - logits[jnp.arange(40), Y])

    # The copies' noise streams start alike; what they would add to the spread is small beside errors of writes.
    other = np.asarray([by_hand(key) for key in jax.random.split(jax.random.key(9), 60)])
    error = np.sqrt((own.var(ddof=1) + other.var(ddof=1)) / 60)
    print("z =", (own.mean() - other.mean()) / error, "ratio of spreads", own.std() / other.std())
    assert abs(own.mean() - other.mean()) < 4 * error
    # The logarithm of the ratio of two sample variances has standard deviation √(2 · 2/59) if the losses are Gaussian.
    assert abs(np.log(own.var() / other.var())) < 4 * (4 / 59) ** 0.5


def test_batches_change_nothing_but_the_reads():
    model = aimc.convert(nnx.Linear(8, 3, rngs=nnx.Rngs(0)), aimc.presets.ideal())
    whole, parts = (
        evaluation.over_time(KEY, model, (X, Y), times=(1.0,), chips=1, compensation=("none",), batch=batch)
        for batch in (None, 17)
    )
    np.testing.assert_allclose(parts["loss"], whole["loss"], rtol=1e-6)
    assert parts["accuracy"].equals(whole["accuracy"])


@pytest.mark.parametrize("generator", ["threefry2x32", HASH])
def test_noise_is_drawn_anew_for_every_batch_and_layer(generator):
    """One number a layer and call: equal inputs in two batches must not give equal outputs."""
    layer = nnx.Linear(4, 1, use_bias=False, rngs=nnx.Rngs(0))
    model = aimc.convert(layer, aimc.crossbar(output_noise=0.5, **PLAIN))
    nnx.jit(aimc.deploy)(KEY, model)
    seen = []

    class Spy(nnx.Module):
        def __init__(self):
            self.a, self.b = nnx.clone(model), nnx.clone(model)

        def __call__(self, x):
            y = jnp.concatenate([self.a(x), self.b(x)], axis=-1)
            jax.debug.callback(lambda value: seen.append(np.asarray(value)), y)
            return y

    evaluation.score(jax.random.key(5, impl=generator), Spy(), (jnp.ones((4, 4)), jnp.zeros(4, int)), batch=2)
    jax.effects_barrier()
    assert len(np.unique(np.concatenate(seen))) == 8


def test_stores_of_networks_that_differ_in_more_than_numbers_are_not_mixed():
    """The same numbers behind another function, or in other places, are another network; built again they are not."""
    spec = aimc.presets.ideal()

    def net(function, swapped=False, analog_bias=False):
        layers = [nnx.Linear(3, 3, rngs=nnx.Rngs(i)) for i in range(2)]
        model = nnx.Sequential(layers[0], lambda x: function(x), layers[1])
        if swapped:  # the leaves keep their order
            model = nnx.Sequential(layers[0], layers[1], lambda x: function(x))
        return model_hash(aimc.convert(model, spec, analog_bias=analog_bias), jnp.ones((4, 3)))

    found = [net(nnx.relu), net(nnx.tanh), net(nnx.relu, swapped=True), net(nnx.relu, analog_bias=True)]
    assert len(set(found)) == 4
    assert net(nnx.relu) == found[0]
    assert array_hash({"a": X}) != array_hash({"b": X})


@pytest.mark.parametrize("kind", ["batch norm", "text"])
def test_other_networks_score_on_ideal_arrays_what_they_score_digitally(kind):
    if kind == "text":
        model = Reader(nnx.Rngs(0))
        x = np.asarray(jax.random.randint(jax.random.key(0), (5, 6), 0, 7))
        y = np.roll(x, -1, axis=1)
    else:
        model = Grouped(nnx.Rngs(0))
        model.norm.mean[...] = jnp.arange(4.0)  # what evaluation must use instead of the batch's own
        x, y = SIGNALS, Y[:12]
    found = evaluation.over_time(
        KEY, aimc.convert(model, aimc.presets.ideal()), (x, y), times=(1.0,), chips=1, compensation=("none",)
    )
    model.eval()
    logits = np.asarray(nnx.jit(lambda model, x: model(x))(model, x), float)
    own = np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, y[..., None], -1)[..., 0]
    np.testing.assert_allclose(found["loss"], own.mean(), rtol=1e-5)
    np.testing.assert_allclose(found.attrs["digital_loss"], own.mean(), rtol=1e-5)
    assert found.attrs["n_labels"] == y.size
    assert float(found["accuracy"].item()) == pytest.approx(np.mean(logits.argmax(-1) == y))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"times": (60.0, 1.0)}, "times must be seconds of at least 0 in rising order"),
        ({"times": (-1.0,)}, "times must be seconds of at least 0 in rising order"),
        ({"chips": 0}, "chips must be at least 1, got 0"),
        ({"compensation": ("global",)}, "compensation must be of none, layer, column, got 'global'"),
        ({"compensation": ()}, "compensation must name at least one"),
        ({"batch": 0}, "batch must be at least 1 input a call, got 0"),
        ({"n_vectors": 0}, "n_vectors must be at least 1, got 0"),
        ({"data": (X, Y[:-1])}, "data must be inputs"),
        ({"data": (X, Y.astype(float))}, "data must be inputs"),
        ({"data": (X, np.zeros((40, 2), int))}, r"labels must have the shape of the logits less classes, \(40,\), got"),
        ({"data": (X, Y + 1)}, "labels must be from 0 to 2, the classes of the logits, got 1 to 3"),
        ({"model": Net(nnx.Rngs(0))}, "model Net has no analog layer"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(change, message):
    asked = {"model": aimc.convert(Net(nnx.Rngs(0)), HERMES), "data": (X, Y)} | change
    with pytest.raises(ValueError, match=message):
        evaluation.over_time(KEY, **asked)


# Intervals.


def test_wilsons_interval_is_that_of_scipy():
    for right, n in ((0, 10), (7, 10), (340, 360), (360, 360)):
        peer = scipy.stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
        low, high = evaluation.share_interval(np.asarray(right / n), n)
        np.testing.assert_allclose([low, high], [peer.low, peer.high], atol=1e-12)


def test_students_interval_is_that_of_scipy():
    values = np.random.default_rng(0).normal(size=(3, 7))
    low, high = evaluation.mean_interval(values)
    for row, a, b in zip(values, low, high, strict=True):
        peer = scipy.stats.t.interval(0.95, 6, loc=row.mean(), scale=scipy.stats.sem(row))
        np.testing.assert_allclose([a, b], peer, rtol=1e-12)
    assert np.isinf(evaluation.mean_interval(values[:, :1])[1]).all()


def test_intervals_cover_as_often_as_they_say():
    """4,000 experiments of 12 chips whose labels are right at a chip's own share, itself Gaussian: the interval of the
    mean over chips covers the mean share in 95 %; z = 4."""
    random = np.random.default_rng(1)
    share = np.clip(random.normal(0.9, 0.02, (4000, 12)), 0, 1)
    low, high = evaluation.mean_interval(random.binomial(360, share) / 360)
    covered = np.mean((low <= 0.9) & (high >= 0.9))
    print("coverage", covered)
    assert abs(covered - 0.95) < 4 * (0.95 * 0.05 / 4000) ** 0.5


def test_the_part_of_the_test_set_is_never_too_narrow():
    """Coverage of the population's share by `share_interval` when 200 chips judge one test set of 150 labels: near 95 %
    where every label is right always or never, more where labels have shares between; z = 4."""
    random = np.random.default_rng(2)
    for shape, exact in ((0.0, True), (2.0, False)):
        of_label = random.random((4000, 150)) < 0.8 if exact else random.beta(0.8 * shape, 0.2 * shape, (4000, 150))
        mean = np.mean(random.binomial(200, of_label) / 200, axis=-1)
        low, high = evaluation.share_interval(mean, 150)
        covered = np.mean((low <= 0.8) & (high >= 0.8))
        print("coverage", covered)
        # Exact coverage of Wilson's interval at this n and p, by summing the binomial.
        k = np.arange(151)
        inside = (lambda b: (b[0] <= 0.8) & (b[1] >= 0.8))(evaluation.share_interval(k / 150, 150))
        nominal = np.sum(scipy.stats.binom.pmf(k, 150, 0.8)[inside])
        error = (0.95 * 0.05 / 4000) ** 0.5
        assert (abs(covered - nominal) < 4 * error) if exact else (covered > nominal + 4 * error)


def test_the_summary_is_what_numpy_finds(noisy):
    _, found = noisy
    table = evaluation.summary(found)
    values = found["loss"].sel(compensation="layer").isel(time_s=1).values
    at = table.sel(compensation="layer").isel(time_s=1)
    assert float(at["loss_mean"]) == pytest.approx(values.mean())
    assert float(at["loss_p95"]) == pytest.approx(np.percentile(values, 95))
    assert float(at["loss_low"]) == pytest.approx(evaluation.mean_interval(values.astype(float))[0])
    rows = evaluation.as_rows(found)
    assert [(r["compensation"], r["time_s"]) for r in rows][:4] == [
        ("none", 1.0), ("none", 3600.0), ("none", YEAR), ("layer", 1.0)
    ]  # fmt: skip
    assert rows[4]["loss_mean"] == pytest.approx(values.mean())


def test_the_figure_shows_the_means_the_bands_and_the_digital_line(noisy):
    _, found = noisy
    picture = year_figure(found, "a <b> title")
    named = {trace.name: trace for trace in picture.data if trace.name}
    assert list(named) == ["none", "a gain a layer", "a gain a column", "digital"]
    mean = 100 * found["accuracy"].sel(compensation="layer").mean("chip").values
    np.testing.assert_allclose(named["a gain a layer"].y, mean)
    assert set(named["digital"].y) == {100 * found.attrs["digital_accuracy"]}
    bands = [trace for trace in picture.data if trace.fill == "toself"]
    assert len(bands) == 3
    assert picture.layout.title.text == "a &lt;b&gt; title"
    assert next(iter(picture.layout.xaxis.ticktext)) == "1 s"
