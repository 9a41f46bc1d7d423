"""Training by contrastive divergence: sample the model, compare with data, follow the difference."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, Key

from ebm import losses
from ebm.energies import rbm
from ebm.samplers import gibbs


class TrainState(NamedTuple):
    """Everything the next step depends on. Save it, load it, and training goes on to the same bits."""

    params: rbm.Rbm
    optimizer: optax.OptState
    chains: gibbs.Chains
    key: Key[Array, ""]  # never changes: each step derives its own from it and the step number
    step: Int[Array, ""]
    order: Int[Array, " n_data"]  # order of the rows in this epoch


class Info(NamedTuple):
    """What a chunk of training measured, one entry a step."""

    gap: Float[Array, " n_steps"]  # free energy of the data minus that of the chains, in nats
    is_finite: Bool[Array, " n_steps"]


class Diverged(FloatingPointError):
    """Parameters stopped being finite. `state` is the last good one, from before the chunk that failed."""

    def __init__(self, step: int, state: TrainState):
        super().__init__(
            f"training diverged at step {step}: the parameters are not finite; the last good state is that "
            f"of step {int(state.step)}; lower the learning rate"
        )
        self.step = step
        self.state = state


def init(
    key: Key[Array, ""], params: rbm.Rbm, n_data: int, *, optimizer: optax.GradientTransformation, chains: int
) -> TrainState:
    """The state before the first step: fresh chains, no steps taken."""
    chain_key, step_key = jax.random.split(key)
    return TrainState(
        params=params,
        optimizer=optimizer.init(params),
        chains=gibbs.init(chain_key, params, chains),
        key=step_key,
        step=jnp.int32(0),
        order=jnp.arange(n_data, dtype=jnp.int32),
    )


def fit(
    key: Key[Array, ""],
    params: rbm.Rbm,
    data: Float[Array, "n_data n_visible"] | Float[np.ndarray, "n_data n_visible"],
    *,
    optimizer: optax.GradientTransformation,
    steps: int,
    batch: int = 128,
    chains: int = 128,
    gibbs_steps: int = 10,
    persistent: bool = True,
    chunk: int = 500,
    state: TrainState | None = None,
    after_chunk: Callable[[TrainState, Info], None] | None = None,
) -> TrainState:
    """Train an RBM on rows of 0 and 1 and return the last state, whose `params` are the trained model.

    Every step takes the next `batch` rows of a random order of the data (a new order every epoch, the last
    incomplete batch left out), moves `chains` persistent chains by `gibbs_steps` sweeps and lets the optax
    `optimizer` follow the gradient of `losses.contrastive`. With `persistent=False` the chains start at the
    batch instead: CD-k.

    To resume, pass the saved `state` and otherwise the same arguments: the result is the same, bit for bit,
    on the same machine layout. `after_chunk` is called on the host every `chunk` steps, with a state worth saving.
    Raises ValueError for sizes that cannot work, Diverged when a parameter stops being finite.
    """
    n_data = len(data)
    _check(
        n_data,
        steps=steps,
        batch=batch,
        chains=chains,
        gibbs_steps=gibbs_steps,
        persistent=persistent,
        chunk=chunk,
    )
    if data.shape[1] != params.visible_bias.shape[0]:
        raise ValueError(
            f"rows of data need a unit for each of the {params.visible_bias.shape[0]} visible units of the model, "
            f"got {data.shape[1]}"
        )
    if state is None:
        state = init(key, params, n_data, optimizer=optimizer, chains=chains)
    advance = partial(
        _advance,
        optimizer=optimizer,
        batch=batch,
        gibbs_steps=gibbs_steps,
        persistent=persistent,
    )
    advance = jax.jit(advance, static_argnames="n_steps")
    rows = jnp.asarray(data, jnp.float32)
    done = int(state.step)
    while done < steps:
        # Chunks end at multiples of `chunk`, so a resumed run cuts its work where the first one did.
        n_steps = min(chunk - done % chunk, steps - done)
        new_state, info = advance(state, rows, n_steps=n_steps)
        is_finite = np.asarray(info.is_finite)
        if not is_finite.all():
            raise Diverged(done + int(np.argmin(is_finite)) + 1, state)
        state = new_state
        done += n_steps
        if after_chunk is not None:
            after_chunk(state, info)
    return state


def _advance(
    state: TrainState,
    data: Float[Array, "n_data n_visible"],
    *,
    n_steps: int,
    optimizer: optax.GradientTransformation,
    batch: int,
    gibbs_steps: int,
    persistent: bool,
) -> tuple[TrainState, Info]:
    """`n_steps` training steps as one scan."""
    n_data = data.shape[0]
    batches_per_epoch = n_data // batch

    def body(state: TrainState, _: None) -> tuple[TrainState, Info]:
        chain_key, order_key, start_key = jax.random.split(jax.random.fold_in(state.key, state.step), 3)
        position = state.step % batches_per_epoch
        order = jax.lax.cond(
            position == 0,
            lambda: jax.random.permutation(order_key, n_data).astype(jnp.int32),
            lambda: state.order,
        )
        rows = data[jax.lax.dynamic_slice_in_dim(order, position * batch, batch)]
        start = state.chains if persistent else gibbs.at(start_key, state.params, rows)
        chains = gibbs.sweeps(chain_key, state.params, start, gibbs_steps)
        gap, gradient = jax.value_and_grad(
            lambda params: losses.contrastive(rbm.free_energy, params, rows, chains.visible)
        )(state.params)
        updates, optimizer_state = optimizer.update(gradient, state.optimizer, state.params)
        params = jax.tree.map(jnp.add, state.params, updates)
        is_finite = jnp.all(jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(params)]))
        new_state = TrainState(params, optimizer_state, chains, state.key, state.step + 1, order)
        return new_state, Info(gap, is_finite)

    return jax.lax.scan(body, state, length=n_steps)


def _check(
    n_data: int,
    *,
    steps: int,
    batch: int,
    chains: int,
    gibbs_steps: int,
    persistent: bool,
    chunk: int,
) -> None:
    sizes = {"steps": steps, "batch": batch, "chains": chains, "gibbs_steps": gibbs_steps, "chunk": chunk}
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
    if batch > n_data:
        raise ValueError(f"batch must be at most the number of training rows, {n_data}, got {batch}")
    if not persistent and chains != batch:
        raise ValueError(f"chains must equal batch ({batch}) when they start at the data, got {chains}")
