"""Training as a pure loop: the state before a step and a batch give the state after it."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Float, Int, Key

from aimc.data.base import Data, Split
from aimc.evaluation.score import Score, score
from aimc.nn.convert import deploy, set_modifier_scale, undeploy
from aimc.nn.ranges import clip_kernel
from aimc.training.order import order
from aimc.training.recipe import Recipe
from aimc.training.state import Best, TrainState, has_arrays, start, trained

CHUNK = 50  # steps between two looks from the host
AXIS = "batch"  # name of the one mesh axis


class Info(NamedTuple):
    """What a chunk of training measured."""

    loss: Float[np.ndarray, " n_steps"]
    validation: Score | None


class Diverged(FloatingPointError):
    """A loss or a parameter was not finite. `state` is the last good one, from before the chunk that failed."""

    def __init__(self, step: int, state: TrainState, what: str) -> None:
        super().__init__(
            f"training diverged at step {step}: {what} is not finite; the last good state is that of step "
            f"{int(state.step)}; lower the learning rate"
        )
        self.step = step
        self.state = state


def step(
    state: TrainState, x: Array, y: Int[Array, "batch ..."], recipe: Recipe
) -> tuple[TrainState, Float[Array, ""]]:
    """One step on a batch, to be compiled; also the loss before it.

    Random: the reads, from the model's noise streams, and the writes of `deploy_per_step`, from key and step.
    """

    def loss(params: nnx.State) -> tuple[Array, nnx.State]:
        model = nnx.merge(state.graph, params, state.rest, copy=True)
        if has_arrays(model):
            if recipe.modifier is not None and recipe.ramp:
                set_modifier_scale(model, recipe.modifier.scale * jnp.minimum(1.0, state.step / recipe.ramp))
            if recipe.deploy_per_step:
                deploy(_key(state, "write"), model, modified=True)
        logits = model(x)  # type: ignore[operator]
        value = optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()
        if recipe.deploy_per_step and has_arrays(model):
            undeploy(model)
        return value, nnx.split(model, nnx.Param, ...)[2]

    (value, rest), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
    changes, optimizer = recipe.transformation().update(gradient, state.optimizer, state.params)
    params = _clipped(optax.apply_updates(state.params, changes), recipe)
    return state._replace(params=params, rest=rest, optimizer=optimizer, step=state.step + 1), value


def fit(
    key: Key[Array, ""],
    model: nnx.Module,
    data: Data,
    recipe: Recipe,
    *,
    state: TrainState | None = None,
    chunk: int = CHUNK,
    after_chunk: Callable[[TrainState, Info], bool | None] | None = None,
    devices: Sequence[jax.Device] | None = None,
) -> nnx.Module:
    """A trained copy of `model`, digital or on arrays, set to evaluation: its last state, or its best one on the
    validation part where the recipe looks at it. The parameters trained are those of type `nnx.Param`.

    Every step takes the next `recipe.batch` rows of a random order of the training part, a new one every epoch, the
    last incomplete batch left out. Random: that order, noise, calibration; all from key and the model's own streams.
    To resume, pass the saved `state` and otherwise the same arguments: the result is the same, bit for bit, on the
    same machine. `after_chunk` is called every `chunk` steps; when it returns True, training stops there.

    `devices` share every batch; the order of the data and all random bits are the same for any number of them.
    Raises ValueError for sizes that cannot work, `Diverged` when a loss or a parameter stops being finite.
    """
    check_sizes(data, recipe, chunk=chunk, n_devices=len(devices or (None,)))
    if state is None:
        state = start(key, model, data, recipe)
    x, y = jnp.asarray(data.train.x), jnp.asarray(data.train.y)
    mesh = None
    if devices is not None:
        mesh = Mesh(np.array(devices), (AXIS,))
        state, x, y = jax.device_put((state, x, y), NamedSharding(mesh, PartitionSpec()))
    for n_steps in _chunks(int(state.step), recipe, chunk):
        new, losses, is_finite = _advance(state, x, y, n_steps, recipe=recipe, size=max(chunk, CHUNK), mesh=mesh)
        losses = np.asarray(losses)[:n_steps]
        if not np.isfinite(losses).all():
            raise Diverged(int(state.step) + int(np.argmin(np.isfinite(losses))) + 1, state, "the loss")
        if not is_finite:
            raise Diverged(int(new.step), state, "a parameter")
        state, seen = _looked_at(new, data.validation, recipe)
        if after_chunk is not None and after_chunk(state, Info(losses, seen)):
            break
    return trained(state)


def check_sizes(data: Data, recipe: Recipe, *, chunk: int = CHUNK, n_devices: int = 1) -> None:
    """Raise ValueError for a batch that the data or the devices cannot give."""
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}")
    if recipe.batch > len(data.train.y):
        raise ValueError(f"batch must be at most the number of training rows, {len(data.train.y)}, got {recipe.batch}")
    if recipe.batch % n_devices:
        raise ValueError(f"batch must be a multiple of the {n_devices} devices that share it, got {recipe.batch}")


def _chunks(done: int, recipe: Recipe, chunk: int) -> Iterator[int]:
    """Numbers of steps, up to the next multiple of `chunk` or of `validate_every` each."""
    while done < recipe.steps:
        ends = [done - done % every + every for every in (chunk, recipe.validate_every) if every]
        n_steps = min(*ends, recipe.steps) - done
        yield n_steps
        done += n_steps


@partial(jax.jit, static_argnames=("recipe", "size", "mesh"))
def _advance(
    state: TrainState,
    x: Array,
    y: Array,
    n_steps: Int[Array, ""] | int,
    *,
    recipe: Recipe,
    size: int,
    mesh: Mesh | None,
) -> tuple[TrainState, Float[Array, " size"], Bool[Array, ""]]:
    """Up to `size` steps in one program, their number being data: the state, the losses, whether all is finite."""
    rows = order(state.key, state.step, size, x.shape[0], recipe.batch)

    def body(i: Array, carry: tuple[TrainState, Array]) -> tuple[TrainState, Array]:
        state, losses = carry
        batch = (x[rows[i]], y[rows[i]])
        if mesh is not None:
            batch = jax.lax.with_sharding_constraint(batch, NamedSharding(mesh, PartitionSpec(AXIS)))
        state, loss = step(state, *batch, recipe)
        return state, losses.at[i].set(loss)

    state, losses = jax.lax.fori_loop(0, n_steps, body, (state, jnp.zeros(size)))
    is_finite = jnp.all(jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(state.params)]))
    return state, losses, is_finite


def _looked_at(state: TrainState, part: Split, recipe: Recipe) -> tuple[TrainState, Score | None]:
    """The state, the best one in it, after a look at the validation part if it is time."""
    if state.best is None or (int(state.step) % recipe.validate_every and int(state.step) != recipe.steps):
        return state, None
    model = trained(state._replace(best=None))
    seen = score(_key(state, "look"), model, part, batch=recipe.batch)
    if seen.loss < state.best.loss:
        state = state._replace(best=Best(state.params, state.rest, seen.loss, state.step))
    return state, seen


def _clipped(params: Any, recipe: Recipe) -> Any:
    if (deviations := recipe.weight_clip) is None:
        return params

    def cut(path: tuple, parameter: nnx.Variable) -> nnx.Variable:
        return parameter.replace(clip_kernel(parameter[...], deviations)) if path[-1] == "kernel" else parameter

    return nnx.map_state(cut, params)


def _key(state: TrainState, use: str) -> Key[Array, ""]:
    """The key of a step for one use of it."""
    own = jax.random.fold_in(state.key, {"write": 1, "look": 2}[use])
    return jax.random.fold_in(own, state.step)
