"""The path to any differentiable energy: Gibbs with gradients where units are discrete, Hamiltonian paths of reals."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from aimc.devices.base import static
from aimc.noise import normal
from ebm.ais.path import Completed
from ebm.energies import units
from ebm.energies.rbm import EXACT, bias_of
from ebm.samplers import gwg, hmc, metropolis
from ebm.samplers.metropolis import State

KINDS = ("binary", "spins", "one-hot", "real")
Row = Float[Array, " d"] | Float[np.ndarray, " d"]

N_LEAPFROG = 5
TUNING_STEPS = 20
TUNED_RANGE = np.geomspace(2.0**-8, 2.0, 28)
"""Step sizes that are tried, in standard deviations of the data."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class EnergyPath:
    """Positions are rows; of real units the state is (x - mean) / std, in which the independent units are standard
    normal. A state carries the model's energy and gradient. Made by `neural`."""

    energy: Any = field(metadata={"static": True})
    kind: Any = field(metadata={"static": True})
    n_states: int = static(2)
    n_moves: int = static(1)
    params: Any
    logits: Array  # log odds of independent bits or half of those of spins, log probabilities of symbols
    mean: Array
    std: Array
    step_size: Array

    def log_z_base(self) -> float:
        logits, std = np.asarray(self.logits, np.float64), np.asarray(self.std, np.float64)
        match self.kind:
            case "real":
                return float(np.log(std).sum() + 0.5 * len(std) * np.log(2 * np.pi))
            case "binary":
                return float(np.logaddexp(0, logits).sum())
            case "spins":
                return float(np.logaddexp(logits, -logits).sum())
            case _:
                return float(np.logaddexp.reduce(logits.reshape(-1, self.n_states), axis=1).sum())

    def draw(self, key: Key[Array, ""], n: int) -> State:
        logits = jnp.broadcast_to(self.logits, (n, *self.logits.shape))
        match self.kind:
            case "real":
                found = normal(key, logits.shape)
            case "binary":
                found = units.bernoulli(key, logits)
            case "spins":
                found = 2.0 * units.bernoulli(key, 2.0 * logits) - 1.0
            case _:
                found = units.categorical(key, logits.reshape(n, -1, self.n_states)).reshape(logits.shape)
        return self._at(found)

    def state(self, position: Array) -> State:
        return self._at((position - self.mean) / self.std if self.kind == "real" else position)

    def position(self, state: State) -> Array:
        return self._place(state.position)

    def increment(self, state: State, end: Array, step: Array) -> Array:
        return step * (self._base(None, state.position) - state.energy)

    def move(self, key: Key[Array, ""], state: State, beta: Array) -> State:
        return self._at(self._moved(key, state, beta, self.step_size)[0].position)

    def complete(self, key: Key[Array, ""], rows: np.ndarray, betas: np.ndarray) -> Completed:
        """Nothing to draw; f is exp(-E), the energy a float32."""
        self._check(rows)
        log_f = -np.asarray(self.energy(self.params, jnp.asarray(rows)), np.float64)
        return Completed(rows, log_f, log_f, log_f)

    def _moved(self, key: Key[Array, ""], state: State, beta: Array, step_size: Array) -> tuple[State, metropolis.Info]:
        """`n_moves` steps under (1 - beta) E_base + beta E, and what each did."""

        def between(params: Any, x: Array) -> Array:
            base = self._base(None, x)
            return base + beta * (self._model(params, x) - base)

        base = metropolis.init(self._base, None, state.position)
        start = jax.tree.map(lambda a, b: a + beta * (b - a), base, state)
        if self.kind == "real":
            step = partial(hmc.step, step_size=step_size, n_leapfrog=N_LEAPFROG, jitter=0.2)
        else:
            step = partial(gwg.step, kind=self.kind, n_states=self.n_states)
        return metropolis.sweeps(
            key, lambda step_key, at: step(step_key, between, self.params, at), start, self.n_moves
        )

    def _at(self, position: Array) -> State:
        return metropolis.init(self._model, self.params, position)

    def _model(self, params: Any, x: Array) -> Array:
        return self.energy(params, self._place(x))

    def _base(self, _: None, x: Array) -> Array:
        if self.kind == "real":
            return 0.5 * jnp.sum(x**2, axis=-1)
        return -jnp.matmul(x, self.logits, precision=EXACT)

    def _place(self, x: Array) -> Array:
        return self.mean + self.std * x if self.kind == "real" else x

    def _check(self, rows: np.ndarray) -> None:
        width = len(self.logits)
        if rows.ndim != 2 or rows.shape[1] != width:
            raise ValueError(f"x must be rows of the {width} values of a state, got shape {rows.shape}")
        match self.kind:
            case "real":
                is_good, what = np.isfinite(rows), "finite"
            case "binary":
                is_good, what = (rows == 0) | (rows == 1), "bits, 0 or 1"
            case "spins":
                is_good, what = np.abs(rows) == 1, "spins, -1 or 1"
            case _:
                sites = np.sort(rows.reshape(len(rows), -1, self.n_states))
                is_good = (sites == (np.arange(self.n_states) == self.n_states - 1)).reshape(rows.shape)
                what = "one-hot, one 1 and else 0 a site"
        if not is_good.all():
            row, column = np.argwhere(~is_good)[0]
            raise ValueError(f"x must be {what}, got {rows[row, column]:g} in row {row}, column {column}")


def neural(
    energy: Callable[[Any, Array], Array],
    params: Any,
    kind: str,
    *,
    mean: Row,
    std: Row | None = None,
    n_states: int = 2,
    n_moves: int = 1,
    step_size: float = 0.1,
) -> EnergyPath:
    """From independent units with the means in data to the law exp(-E) of `energy(params, x)`, neural or any other.

    Discrete kinds ("binary", "spins", "one-hot" sites of `n_states` columns) move by `gwg`, one unit a move. "real"
    units start from normal ones with the `std` of the data too, and move by `hmc`, five leapfrog steps of `step_size`
    standard deviations, of which `with_tuned_step` finds a good one. `n_moves` a beta. Means of bits are kept within
    0.01 to 0.99, of spins within ±0.98, of symbols at 0.01 or more. The energy must be a pure function; where it is
    the same object, or an `ebm.neural.Energy` of one architecture, nothing compiles again.
    Raises ValueError for another kind, sizes that do not fit, a missing or needless std, and a std or step that is not
    positive.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if n_moves < 1:
        raise ValueError(f"n_moves must be at least 1, got {n_moves}")
    if not 0 < step_size < np.inf:
        raise ValueError(f"step_size must be a positive number, got {step_size}")
    if kind == "one-hot" and (n_states < 2 or len(mean) % n_states):
        raise ValueError(f"n_states must be at least 2 and divide the {len(mean)} columns of mean, got {n_states}")
    is_real = kind == "real"
    if is_real != (std is not None):
        raise ValueError(f"std is for kind='real', which needs it, got kind={kind!r} and std={std}")
    middle, spread = jnp.asarray(mean, jnp.float32), jnp.ones(len(mean))
    if std is not None:
        spread = jnp.asarray(std, jnp.float32)
        if spread.shape != middle.shape or not bool((jnp.isfinite(spread) & (spread > 0)).all()):
            raise ValueError("std must have a positive number for each of mean; leave out columns that never change")
    match kind:
        case "real":
            logits = jnp.zeros_like(middle)
        case "binary":
            logits = bias_of(middle)
        case "spins":
            logits = bias_of((1 + middle) / 2) / 2
        case _:
            logits = jnp.log(jnp.maximum(middle, 0.01))
    return EnergyPath(
        energy=energy,
        kind=kind,
        n_states=n_states,
        n_moves=n_moves,
        params=params,
        logits=logits,
        mean=middle,
        std=spread,
        step_size=jnp.asarray(step_size, jnp.float32),
    )


def with_tuned_step(
    key: Key[Array, ""], path: EnergyPath, rows: Float[Array, "n d"] | Float[np.ndarray, "n d"], target: float = 0.8
) -> EnergyPath:
    """The same path with the largest step size whose mean acceptance at rows of data under the model is `target`.

    Tries 28 sizes side by side, from 1/256 to 2 standard deviations, for 20 steps from every row; the step is the same
    at all beta. It affects how fast chains move, not what they sample. Where even the smallest size is accepted less
    often, as of very steep energies, it is taken: chains hardly move, and the bounds lie far apart. Key is consumed:
    the steps. Raises ValueError for a path of discrete units, and for rows that are not finite.
    """
    if path.kind != "real":
        raise ValueError(f"path must be of real units, got kind={path.kind!r}, which has no step size")
    path._check(np.asarray(rows))
    start = jnp.asarray(np.tile(np.asarray(rows, np.float32), (len(TUNED_RANGE), 1)))
    size = jnp.repeat(jnp.asarray(TUNED_RANGE, jnp.float32), len(rows))
    acceptance = np.asarray(_acceptance(key, path, start, size)).reshape(len(TUNED_RANGE), -1).mean(axis=1)
    good = np.flatnonzero(acceptance >= target)
    return replace(path, step_size=jnp.asarray(TUNED_RANGE[good[-1] if len(good) else 0], jnp.float32))


@jax.jit
def _acceptance(key: Key[Array, ""], path: EnergyPath, start: Array, size: Array) -> Float[Array, " n"]:
    repeated = replace(path, n_moves=TUNING_STEPS)
    return repeated._moved(key, repeated.state(start), jnp.ones(()), size)[1].acceptance.mean(axis=0)
