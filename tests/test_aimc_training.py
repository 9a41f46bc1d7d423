"""The training loop against one written out by hand, its order of data, its noise, its resumption, its refusals."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import aimc
from aimc import checkpoint, data, models, training
from aimc.nn import Modifier
from aimc.training.order import order
from aimc.training.recipe import Ranges, Recipe
from aimc.training.run import load, read_history, train_in

KEY = jax.random.key(3)
SPEC = aimc.crossbar(write_noise=0.05, read_noise=0.05, adc_bits=8)
RNG = np.random.default_rng(0)


def images(n: int) -> data.Split:
    """Two classes: the left or the right half is brighter."""
    y = (np.arange(n) % 2).astype(np.int32)
    x = RNG.random((n, 4, 4), np.float32)
    x[:, :, :2] += y[:, None, None]
    return data.Split(x, y)


SMALL = data.Data("halves", "images", images(70), images(30), images(30), 2, {"sha256": "made here"})
RECIPE = Recipe(steps=12, batch=16, learning_rate=1e-2, warmup=3, gradient_clip=1.0, weight_decay=0.1)


def mlp(n_hidden: int = 6) -> nnx.Module:
    return models.MLP((16, n_hidden, 2), rngs=nnx.Rngs(0), n_axes=2)


def on_arrays() -> nnx.Module:
    return aimc.convert(mlp(), SPEC, rngs=nnx.Rngs(noise=1))


def numbers(tree) -> list[np.ndarray]:
    is_key = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)  # noqa: E731
    return [np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf) for leaf in jax.tree.leaves(tree)]


def same(left, right) -> None:
    for a, b in zip(numbers(left), numbers(right), strict=True):
        np.testing.assert_array_equal(a, b)


take = jax.jit(training.step, static_argnames="recipe")


class States:
    """Remembers what `fit` handed out."""

    def __init__(self) -> None:
        self.states, self.infos = [], []

    def __call__(self, state, info) -> None:
        self.states.append(state)
        self.infos.append(info)

    @property
    def losses(self) -> np.ndarray:
        return np.concatenate([info.loss for info in self.infos])


def test_training_is_flax_and_optax_on_batches_in_this_order_batch_statistics_included():
    """A loop as a flax user writes it: `nnx.value_and_grad`, an optax chain, one compiled step at a time."""
    own = models.CNN((4, 4, 1), 2, rngs=nnx.Rngs(0), channels=(3,))
    recipe = replace(RECIPE, steps=6)
    schedule = optax.warmup_cosine_decay_schedule(0.0, 1e-2, 3, 6)

    def is_kernel(params: Any) -> Any:
        return nnx.map_state(lambda path, _: path[-1] == "kernel", params)

    adamw = optax.adamw(schedule, weight_decay=0.1, mask=is_kernel)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), adamw)
    seen = States()
    trained = training.fit(KEY, own, SMALL, recipe, after_chunk=seen, chunk=4)
    rows = np.asarray(order(KEY, 0, 6, 70, 16))
    graph, params, rest = nnx.split(own, nnx.Param, ...)
    moments = optimizer.init(params)

    @jax.jit
    def step(params, rest, moments, x, y):
        def loss(params):
            model = nnx.merge(graph, params, rest, copy=True)
            log_p = jax.nn.log_softmax(model(x))
            return -jnp.mean(log_p[jnp.arange(len(y)), y]), nnx.split(model, nnx.Param, ...)[2]

        (value, rest), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        changes, moments = optimizer.update(gradient, moments, params)
        return optax.apply_updates(params, changes), rest, moments, value

    losses = []
    for own_rows in rows:
        params, rest, moments, value = step(params, rest, moments, SMALL.train.x[own_rows], SMALL.train.y[own_rows])
        losses.append(value)
    # Two compiled programs of the same sums: a few roundings of 2^-24 a step, 6 steps, divided by Adam's root.
    np.testing.assert_allclose(seen.losses, np.array(losses), rtol=1e-4)
    for left, right in zip(numbers(nnx.state(trained, nnx.Param)), numbers(params), strict=True):
        np.testing.assert_allclose(left, right, atol=2e-5)
    means = [numbers(nnx.filter_state(s, nnx.BatchStat))[0] for s in (nnx.state(trained), rest)]
    np.testing.assert_allclose(means[0], means[1], atol=1e-5)
    assert all(m.use_running_average for _, m in nnx.iter_modules(trained) if isinstance(m, nnx.BatchNorm))
    assert own.norms[0].mean[...].tolist() == [0.0] * 3  # the model that was given is untouched


def test_an_epoch_shows_every_row_once_and_a_batch_depends_on_key_and_step_alone():
    rows = np.asarray(order(KEY, 0, 12, 70, 16))  # 4 batches an epoch, 6 rows left out
    for epoch in range(3):
        assert len(set(rows[4 * epoch : 4 * epoch + 4].ravel())) == 64
    assert len({tuple(sorted(set(range(70)) - set(rows[4 * e : 4 * e + 4].ravel()))) for e in range(3)}) == 3
    for first, n_steps in ((0, 1), (3, 2), (3, 9), (7, 5), (11, 1)):
        np.testing.assert_array_equal(order(KEY, first, n_steps, 70, 16), rows[first : first + n_steps])
    assert (np.asarray(order(jax.random.key(4), 0, 12, 70, 16)) != rows).any()


@pytest.fixture(scope="module")
def noisy_run():
    """12 noise-aware steps with a modifier, learned ranges, clipping and looks at the validation part."""
    recipe = replace(
        RECIPE,
        modifier=Modifier(sigma=0.1),
        ramp=6,
        weight_clip=2.0,
        ranges=Ranges(inputs="std", learn=True, batches=2),
        validate_every=4,
    )
    seen = States()
    return recipe, training.fit(KEY, on_arrays(), SMALL, recipe, after_chunk=seen, chunk=5), seen


def test_a_run_on_noisy_arrays_goes_on_to_the_same_bits_whatever_the_chunks(noisy_run):
    recipe, whole, seen = noisy_run
    assert [int(state.step) for state in seen.states] == [4, 5, 8, 10, 12]
    for start, chunk in ((0, 5), (1, 5), (3, 3)):
        again = States()
        resumed = training.fit(
            KEY, on_arrays(), SMALL, recipe, state=seen.states[start], chunk=chunk, after_chunk=again
        )
        same(again.states[-1], seen.states[-1])
        same(nnx.state(resumed), nnx.state(whole))
        np.testing.assert_array_equal(again.losses, seen.losses[int(seen.states[start].step) :])


def test_the_best_state_on_the_validation_part_is_kept(noisy_run):
    _, whole, seen = noisy_run
    looks = {
        int(s.step): float(i.validation.loss) for s, i in zip(seen.states, seen.infos, strict=True) if i.validation
    }
    assert list(looks) == [4, 8, 12]
    best = seen.states[-1].best
    assert (int(best.step), float(best.loss)) == min(looks.items(), key=lambda item: item[1])
    own = next(state for state in seen.states if int(state.step) == int(best.step))
    same(nnx.state(whole, nnx.Param), own.params)


def test_weights_are_clipped_after_the_step_and_nothing_else_is():
    """The step without a clip, and numpy's clip after it."""
    x, y = jnp.asarray(SMALL.train.x[:16]), jnp.asarray(SMALL.train.y[:16])
    recipe = replace(RECIPE, warmup=0, weight_clip=1.0)
    plain = take(training.init(KEY, mlp(), recipe), x, y, replace(recipe, weight_clip=None))[0].params
    clipped = take(training.init(KEY, mlp(), recipe), x, y, recipe)[0].params
    for (path, a), (_, b) in zip(nnx.to_flat_state(plain), nnx.to_flat_state(clipped), strict=True):
        free, cut = np.asarray(a[...]), np.asarray(b[...])
        if path[-1] == "kernel":
            assert (np.abs(free) > free.std()).any()
            free = np.clip(free, -free.std(), free.std())
        np.testing.assert_allclose(cut, free, rtol=1e-5, atol=1e-7)


def test_ranges_learn_and_only_kernels_decay(noisy_run):
    _, whole, seen = noisy_run
    for _, layer in aimc.nn.analog_layers(whole):
        assert layer.modifier is None
        assert layer.chip is None
    first, last = (nnx.to_flat_state(seen.states[i].params) for i in (0, -1))
    moved = {path[-1] for (path, a), (_, b) in zip(first, last, strict=True) if (a[...] != b[...]).any()}
    assert moved == {"kernel", "bias", "input_range"}
    decayed = nnx.to_flat_state(training.recipe.is_decayed(seen.states[0].params))
    assert {path[-1] for path, is_decayed in decayed if is_decayed} == {"kernel"}


def test_the_ramp_scales_the_modifier_and_nothing_else():
    """At scale 0 a modified step is a plain one with another key; noise of the array is off to see it."""
    quiet = aimc.crossbar(adc_bits=None, dac_bits=None)
    model = aimc.convert(mlp(), quiet)
    x, y = jnp.asarray(SMALL.train.x[:16]), jnp.asarray(SMALL.train.y[:16])
    recipe = replace(RECIPE, modifier=Modifier(sigma=0.5), ramp=10)
    state = training.init(KEY, model, recipe)
    plain = take(training.init(KEY, model, RECIPE), x, y, RECIPE)[1]
    losses = [take(state._replace(step=jnp.int32(k)), x, y, recipe)[1] for k in (0, 10, 50)]
    np.testing.assert_allclose(losses[0], plain, rtol=1e-6)
    assert abs(losses[1] - plain) > 1e-3
    assert losses[1] != losses[2]  # another step, another draw


def test_a_recipe_without_a_modifier_leaves_the_layers_their_own():
    model = aimc.convert(mlp(), aimc.crossbar(adc_bits=None, dac_bits=None))
    own = Modifier(drop_connect=1.0)
    aimc.nn.modify(model, lambda path: own if path == "layers/1" else None)
    state = training.init(KEY, model, RECIPE)
    found = [layer.modifier for _, layer in aimc.nn.analog_layers(nnx.merge(state.graph, state.params, state.rest))]
    assert [modifier and float(modifier.drop_connect) for modifier in found] == [None, 1.0]
    other = replace(RECIPE, modifier=Modifier(sigma=0.5))
    state = training.init(KEY, model, other)
    layers = aimc.nn.analog_layers(nnx.merge(state.graph, state.params, state.rest))
    assert [float(layer.modifier.sigma) for _, layer in layers] == [0.5, 0.5]


def test_ranges_are_those_of_normalised_batches_though_no_statistics_are_there_yet():
    """Against the same layers without arrays, normalised by numpy; on ideal arrays, to float32 rounding."""
    digital = models.CNN((4, 4, 1), 2, rngs=nnx.Rngs(0), channels=(3,))
    recipe = replace(RECIPE, ranges=Ranges(inputs="max", batches=2))
    state = training.state.start(KEY, aimc.convert(digital, aimc.presets.ideal()), SMALL, recipe)
    model = nnx.merge(state.graph, state.params, state.rest)
    largest = [0.0, 0.0]
    for rows in np.asarray(order(KEY, 0, 2, 70, 16)):
        x = SMALL.train.x[rows]
        y = np.asarray(digital.convolutions[0](x[..., None]), np.float64)
        z = (y - y.mean((0, 1, 2))) / np.sqrt(y.var((0, 1, 2)) + 1e-5)
        largest = np.maximum(largest, [x.max(), z.max()])
    ranges = [float(layer.spec.inputs.range) for _, layer in aimc.nn.analog_layers(model)]
    np.testing.assert_allclose(ranges, largest, rtol=1e-4)
    assert model.norms[0].mean[...].tolist() == [0.0] * 3  # statistics are gathered by training alone


class Twice(nnx.Module):
    """The difference of two reads of one layer: what is left is noise that is fresh at each of them."""

    def __init__(self) -> None:
        self.layer = nnx.Linear(16, 2, rngs=nnx.Rngs(0))

    def __call__(self, x):
        x = x.reshape(-1, 16)
        return self.layer(x) - self.layer(x)


def test_arrays_are_written_once_a_step_or_before_every_read():
    model = aimc.convert(Twice(), aimc.crossbar(write_noise=0.2, adc_bits=None, dac_bits=None))
    x, y = jnp.asarray(SMALL.train.x[:16]), jnp.asarray(SMALL.train.y[:16])
    losses = {}
    for once in (True, False):
        recipe = replace(RECIPE, deploy_per_step=once)
        losses[once] = float(take(training.init(KEY, model, recipe), x, y, recipe)[1])
    assert losses[True] == pytest.approx(np.log(2), abs=1e-6)  # all logits are zero
    assert abs(losses[False] - np.log(2)) > 1e-3


def test_noise_aware_training_learns_on_arrays_and_a_digital_one_learns_digitally():
    recipe = replace(RECIPE, steps=60, learning_rate=2e-2, weight_decay=0.0)
    for model in (mlp(), on_arrays()):
        trained = training.fit(KEY, model, SMALL, recipe)
        found = training.score(jax.random.key(5), trained, SMALL.test)
        assert found.accuracy >= 0.9  # 27 of 30; guessing reaches that with probability 4e-6


def test_a_score_counts_every_row_once_the_last_incomplete_batch_too():
    model = mlp()
    logits = np.asarray(model(jnp.asarray(SMALL.test.x)), np.float64)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    for batch in (7, 30, 256):
        found = training.score(KEY, model, SMALL.test, batch=batch)
        np.testing.assert_allclose(found.loss, -log_p[np.arange(30), SMALL.test.y].mean(), rtol=1e-5)
        np.testing.assert_allclose(found.accuracy, (logits.argmax(axis=1) == SMALL.test.y).mean(), rtol=1e-6)


def test_divergence_names_the_step_and_keeps_the_last_good_state(tmp_path):
    spoiled = SMALL._replace(train=data.Split(SMALL.train.x.copy(), SMALL.train.y))
    bad_row = int(order(KEY, 0, 12, 70, 16)[5, 0])
    spoiled.train.x[bad_row] = np.inf
    first = min(k for k in range(12) if bad_row in np.asarray(order(KEY, k, 1, 70, 16)))
    with pytest.raises(training.Diverged, match=f"diverged at step {first + 1}: the loss is not finite; the last") as e:
        train_in(tmp_path / "run", KEY, mlp(), spoiled, RECIPE, chunk=2)
    assert int(e.value.state.step) == first - first % 2
    assert (checkpoint.latest_step(tmp_path / "run") or 0) == first - first % 2


def test_a_run_under_a_directory_goes_on_where_it_was_stopped(tmp_path, noisy_run):
    recipe, whole, seen = noisy_run
    where = tmp_path / "run"

    def stop(state, info):
        if int(state.step) == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_in(where, KEY, on_arrays(), SMALL, recipe, chunk=5, after_chunk=stop)
    assert checkpoint.latest_step(where) == 8
    resumed = train_in(where, KEY, on_arrays(), SMALL, recipe, chunk=5)
    same(nnx.state(resumed), nnx.state(whole))
    same(load(where, KEY, on_arrays(), SMALL, recipe), seen.states[-1])
    assert [row["step"] for row in read_history(where)] == [4, 5, 8, 10, 12]


def test_a_directory_of_another_run_is_refused_and_so_is_a_finished_one(tmp_path):
    where = tmp_path / "run"
    train_in(where, KEY, mlp(), SMALL, RECIPE)
    for changed, message in (
        ({"recipe": replace(RECIPE, batch=8)}, r"holds a run with recipe.batch = 16, not 8; give"),
        ({"key": jax.random.key(9)}, "holds a run with key"),
        (
            {"data": SMALL._replace(source={"sha256": "other"})},
            "holds a run with sha256 = 'made here', not 'other'; give the same settings to resume it",
        ),
        ({"model": mlp(5)}, r"holds a run with layers.0.bias.value = '6', not '5'"),
        ({"about": {"array": "ideal"}}, "holds a run with array = None, not 'ideal'"),
        ({}, "holds a finished run of 12 steps; choose another directory"),
    ):
        arguments: dict[str, Any] = {"key": KEY, "model": mlp(), "data": SMALL, "recipe": RECIPE} | changed
        with pytest.raises(ValueError, match=message):
            train_in(where, **arguments)
    (tmp_path / "notes.txt").write_text("mine")
    for other in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(ValueError, match="exists and is not a training run"):
            train_in(other, KEY, mlp(), SMALL, RECIPE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"learning_rate": -1.0}, "learning_rate must be a finite number above 0"),
        ({"weight_decay": float("nan")}, "weight_decay must be a finite number"),
        ({"momentum": 1.0}, r"momentum must lie in \[0, 1\)"),
        ({"optimizer": "lion"}, "optimizer must be"),
        ({"modifier": Modifier(drop_connect=2.0)}, "drop_connect must be a number from 0 to 1"),
    ],
)
def test_recipes_that_cannot_be_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(RECIPE, **change)


def test_models_and_data_that_do_not_fit_a_recipe_are_refused():
    with pytest.raises(ValueError, match="batch must be at most the number of training rows, 70, got 71"):
        training.fit(KEY, mlp(), SMALL, replace(RECIPE, batch=71))
    with pytest.raises(ValueError, match="modifier acts on the weights of arrays"):
        training.fit(KEY, mlp(), SMALL, replace(RECIPE, modifier=Modifier(sigma=0.1)))
    with pytest.raises(ValueError, match="ranges are those of arrays"):
        training.fit(KEY, mlp(), SMALL, replace(RECIPE, ranges=Ranges()))
    with pytest.raises(
        ValueError, match=r"logits \(batch, 2\) for the labels of halves, got \(16, 1\) for a batch of 16"
    ):
        training.fit(KEY, models.MLP((16, 1), rngs=nnx.Rngs(0), n_axes=2), SMALL, RECIPE)
    with pytest.raises(ValueError, match=r"got \(16, 4, 2\) for a batch of 16"):
        training.fit(KEY, models.MLP((4, 2), rngs=nnx.Rngs(0), n_axes=1), SMALL, RECIPE)


def test_recipes_by_name_survive_the_file_they_are_written_to():
    from dataclasses import asdict
    from json import dumps, loads

    arrays = replace(RECIPE, modifier=Modifier(sigma=jnp.asarray(0.5), n_levels=np.int64(15)))
    assert (arrays.modifier.sigma, type(arrays.modifier.n_levels)) == (0.5, float)
    for recipe in (arrays, *training.RECIPES.values()):
        assert len({recipe, replace(recipe)}) == 1  # a recipe is static, whatever its levels came as
        assert training.recipe.from_json(loads(dumps(asdict(recipe)))) == recipe
