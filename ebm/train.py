"""Training: rows of data in a random order, a learning rule's gradient, an optimiser's step, again and again."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Float, Int, Key

from ebm.energies.gaussian import GaussianRbm
from ebm.energies.potts import PottsRbm
from ebm.energies.rbm import Rbm
from ebm.likelihood import check_rows
from ebm.rules import Contrastive, Normalised, Rule

GAP_LIMIT = 1e6  # nats; a model whose data and samples are so far apart in energy has run away, finite or not
AXIS = "rows"  # name of the one mesh axis


class TrainState(NamedTuple):
    """Everything the next step depends on. Save it, load it, and training goes on to the same bits."""

    params: Any
    optimizer: optax.OptState
    memory: Any  # of the learning rule: `gibbs.Chains` for PCD
    key: Key[Array, ""]  # never changes: each step derives its own from it and the step number
    step: Int[Array, ""]
    order: Int[Array, " n_data"]  # order of the rows in this epoch


class Info(NamedTuple):
    """What a chunk of training measured, one entry a step."""

    gap: Float[Array, " n_steps"]  # of the rule: for PCD the free energy of the data minus that of the chains, in nats
    is_finite: Bool[Array, " n_steps"]


class Diverged(FloatingPointError):
    """Training ran away. `state` is the last good one, from before the chunk that failed."""

    def __init__(self, step: int, state: TrainState, reason: str = "the parameters are not finite"):
        super().__init__(
            f"training diverged at step {step}: {reason}; the last good state is that "
            f"of step {int(state.step)}; lower the learning rate"
        )
        self.step = step
        self.state = state


def init(
    key: Key[Array, ""],
    params: Any,
    data: Float[Array, "n_data ..."] | Float[np.ndarray, "n_data ..."],
    *,
    rule: Rule,
    optimizer: optax.GradientTransformation,
) -> TrainState:
    """The state before the first step: a fresh memory of the rule, no steps taken."""
    memory_key, step_key = jax.random.split(key)
    return TrainState(
        params=params,
        optimizer=optimizer.init(params),
        memory=rule.init(memory_key, params, jnp.asarray(data)),
        key=step_key,
        step=jnp.int32(0),
        order=jnp.arange(len(data), dtype=jnp.int32),
    )


def fit(
    key: Key[Array, ""],
    params: Any,
    data: Float[Array, "n_data ..."] | Float[np.ndarray, "n_data ..."],
    *,
    optimizer: optax.GradientTransformation,
    steps: int,
    rule: Rule = Contrastive(),  # noqa: B008  frozen
    batch: int = 128,
    chunk: int = 500,
    state: TrainState | None = None,
    after_chunk: Callable[[TrainState, Info], bool | None] | None = None,
    devices: Sequence[jax.Device] | None = None,
) -> TrainState:
    """Train `params` on rows of data by a learning rule; the `params` of the returned state are the trained model.

    Every step takes the next `batch` rows of a random order of the data (a new order every epoch, the last
    incomplete batch left out) and lets the optax `optimizer` follow the rule's gradient; the rule is PCD unless given
    (`ebm.rules`). A second call with the same rule and optimizer objects and the same shapes compiles nothing.

    To resume, pass the saved `state` and otherwise the same arguments: the result is the same, bit for bit,
    on the same machine layout. `after_chunk` is called on the host every `chunk` steps, with a state worth saving;
    when it returns True, training stops there.

    `devices` share the rows of every batch and the chains, whose number and `batch` they must divide. Random numbers
    and the order of the data are the same for any number of them, bit for bit; sums over rows round differently, so
    states agree to rounding until a unit falls at its threshold.

    Raises ValueError for sizes that cannot work and for rows that are no states of a layered model's visible units
    (`likelihood.check_rows`), Diverged when a parameter stops being finite or the gap leaves
    +-1e6 nats.
    """
    _check(data, params, rule, steps=steps, batch=batch, chunk=chunk, n_devices=len(devices or (None,)))
    if state is None:
        state = init(key, params, data, rule=rule, optimizer=optimizer)
    rows = jnp.asarray(data, jnp.float32)
    mesh = None
    if devices is not None:
        mesh = Mesh(np.array(devices), (AXIS,))
        rows = jax.device_put(rows, NamedSharding(mesh, PartitionSpec()))
        state = _place(state, rule, mesh)
    done = int(state.step)
    while done < steps:
        # Chunks end at multiples of `chunk`, so a resumed run cuts its work where the first one did.
        n_steps = min(chunk - done % chunk, steps - done)
        new_state, info = _advance(state, rows, n_steps=n_steps, rule=rule, optimizer=optimizer, batch=batch, mesh=mesh)
        _refuse_divergence(done, state, info)
        state = new_state
        done += n_steps
        if after_chunk is not None and after_chunk(state, info):
            break
    return state


def advance(
    state: TrainState,
    data: Float[Array, "n_data ..."],
    *,
    n_steps: int,
    rule: Rule,
    optimizer: optax.GradientTransformation,
    batch: int,
    mesh: Mesh | None = None,
) -> tuple[TrainState, Info]:
    """`n_steps` training steps as one scan, to be compiled: what `fit` repeats between two looks from the host."""
    n_data = data.shape[0]
    batches_per_epoch = n_data // batch

    def body(state: TrainState, _: None) -> tuple[TrainState, Info]:
        rule_key, order_key = jax.random.split(jax.random.fold_in(state.key, state.step))
        position = state.step % batches_per_epoch
        order = jax.lax.cond(
            position == 0,
            lambda: jax.random.permutation(order_key, n_data).astype(jnp.int32),
            lambda: state.order,
        )
        rows = data[jax.lax.dynamic_slice_in_dim(order, position * batch, batch)]
        if mesh is not None:
            rows = jax.lax.with_sharding_constraint(rows, NamedSharding(mesh, PartitionSpec(AXIS)))
        gradient, memory, gap = rule.step(rule_key, state.params, state.memory, rows)
        updates, optimizer_state = optimizer.update(gradient, state.optimizer, state.params)
        params = jax.tree.map(lambda leaf, update: (leaf + update).astype(leaf.dtype), state.params, updates)
        is_finite = jnp.all(jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(params)]))
        new_state = TrainState(params, optimizer_state, memory, state.key, state.step + 1, order)
        return new_state, Info(gap, is_finite)

    return jax.lax.scan(body, state, length=n_steps)


_advance = jax.jit(advance, static_argnames=("n_steps", "rule", "optimizer", "batch", "mesh"))


def _place(state: TrainState, rule: Rule, mesh: Mesh) -> TrainState:
    """The state on the devices of `mesh`: leaves of the memory with a row a chain are split, all others are copied."""
    chains, axis = getattr(rule, "chains", 0), getattr(rule, "chain_axis", 0)

    def sharding(is_memory: bool, leaf: Array) -> NamedSharding:
        is_split = is_memory and chains > 0 and leaf.shape[axis : axis + 1] == (chains,)
        return NamedSharding(mesh, PartitionSpec(*[None] * axis, AXIS) if is_split else PartitionSpec())

    memory = jax.tree.map(lambda leaf: jax.device_put(leaf, sharding(True, leaf)), state.memory)
    rest = jax.tree.map(lambda leaf: jax.device_put(leaf, sharding(False, leaf)), state._replace(memory=()))
    return rest._replace(memory=memory)


def _refuse_divergence(done: int, state: TrainState, info: Info) -> None:
    is_finite, gap = np.asarray(info.is_finite), np.asarray(info.gap)
    is_good = is_finite & (np.abs(gap) <= GAP_LIMIT)
    if is_good.all():
        return
    first = int(np.argmin(is_good))
    if not is_finite[first]:
        raise Diverged(done + first + 1, state)
    raise Diverged(done + first + 1, state, f"the gap is {gap[first]:g}, beyond {GAP_LIMIT:g} nats")


def _check(data: Any, params: Any, rule: Rule, *, steps: int, batch: int, chunk: int, n_devices: int) -> None:
    for name, size in {"steps": steps, "batch": batch, "chunk": chunk}.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
    if batch > len(data):
        raise ValueError(f"batch must be at most the number of training rows, {len(data)}, got {batch}")
    model = params.params if isinstance(params, Normalised) else params
    if isinstance(model, Rbm | PottsRbm | GaussianRbm):
        check_rows(model, data, name="data")
    chains = getattr(rule, "chains", 0)
    if not getattr(rule, "persistent", True) and chains != batch:
        raise ValueError(f"chains must equal batch ({batch}) when they start at the data, got {chains}")
    for name, size in {"batch": batch, "chains": chains}.items():
        if size % n_devices:
            raise ValueError(f"{name} must be a multiple of the {n_devices} devices that share it, got {size}")
