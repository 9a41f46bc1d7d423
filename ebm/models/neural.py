"""`--model mlp` and `--model conv`: energies that are networks, of real units or of bits.

Parameters are those of the network and, never trained, the means and deviations of the training rows. A network of
reals reads z = (x - mean) / std, and adds |z|^2 / 2; one of bits reads 2 x - 1, and adds the energy of independent bits
of these means. So training starts near the law of units that are independent as in the data, from which annealing sets
out as well. Chains move in z, or x: by Gibbs with gradients where they are bits, as many proposals as units a sweep.
Reals are trained with the sampler that the settings name; evaluation and samples take HMC, which is exact.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Key

from ebm import ais, diagnostics, exact, rules
from ebm.data import Kind, Rows, spread
from ebm.energies import neural
from ebm.energies.rbm import EXACT, bias_of
from ebm.models.base import Family
from ebm.models.settings import DEFAULTS, Settings
from ebm.samplers import gwg, hmc, langevin, mala, metropolis

SAMPLERS = ("langevin", "mala", "hmc")  # of real units
N_LEAPFROG = 5
JITTER = 0.2
TUNING_ROWS = 64  # of training: a step found on the rows of a bound would make it depend on their company


class Params(NamedTuple):
    """What is trained, and where the data are."""

    network: Any
    mean: Float[Array, " n_visible"]
    std: Float[Array, " n_visible"]  # of bits 1


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network of one architecture. `make(rngs=...)` is its module, `pure` the energy of its parameters alone."""

    kind: Kind
    make: Callable[..., nnx.Module] = field(compare=False)
    pure: neural.Energy
    sampler: str
    step_size: float
    size: str

    def init(self, key: Key[Array, ""], rows: Rows) -> Params:
        _, network = neural.pure(self.make(rngs=nnx.Rngs(key)))
        std = spread(rows) if self.kind == "reals" else np.ones(rows.shape[1], np.float32)
        return Params(network, jnp.asarray(rows.mean(axis=0)), jnp.asarray(std))

    def rule(self, settings: Settings, sigma: float) -> rules.Rule:
        match settings.rule:
            case "score-matching":  # encoded rows have deviations of 1
                return rules.ScoreMatching(energy=self.encoded_energy, sigma=settings.noise)
            case "nce":
                noise = "normal" if self.kind == "reals" else "bernoulli"
                return rules.NoiseContrastive(energy=self.encoded_energy, noise=noise)
            case _:
                is_persistent = settings.rule == "pcd"
                return rules.Sampled(
                    energy=self.encoded_energy,
                    start=_here,
                    advance=partial(self._advance, n=settings.gibbs_steps),
                    chains=settings.chains if is_persistent else settings.batch,
                    persistent=is_persistent,
                )

    def encode(self, params: Params, rows: Any) -> Any:
        """Real rows in deviations from the mean of the data."""
        return rows if self.kind == "bits" else (rows - params.mean) / params.std

    def is_weight(self, params: Params) -> Params:
        return jax.tree.map(lambda leaf: leaf.ndim > 1, params)  # means and deviations are rows

    def start(self, key: Key[Array, ""], machine: Params, n: int) -> Array:
        shape = (n, len(machine.mean))
        if self.kind == "reals":
            return jax.random.normal(key, shape)
        return jax.random.bernoulli(key, jnp.clip(machine.mean, 0.01, 0.99), shape).astype(jnp.float32)

    def sweeps(self, key: Key[Array, ""], machine: Params, state: Array, n: int) -> Array:
        return self._moved(key, machine, state, n, self.sampler if self.kind == "bits" else "hmc")

    def visible(self, params: Params, state: Array) -> Array:
        return state if self.kind == "bits" else params.mean + params.std * state

    def energy(self, params: Params, state: Array) -> Float[Array, " n_chains"]:
        return self.encoded_energy(params, state)

    def encoded_energy(self, params: Params, x: Array) -> Array:
        """The energy of encoded rows, where training and chains are."""
        if self.kind == "reals":
            return self.pure(params.network, x)
        bias = bias_of(jax.lax.stop_gradient(params.mean))
        return self.pure(params.network, 2 * x - 1) - jnp.matmul(x, bias, precision=EXACT)

    def row_energy(self, params: Params, x: Array) -> Array:
        """The energy of rows in the values of the data."""
        return self.encoded_energy(params, self.encode(params, x))

    def fields(self, params: Params, state: Array) -> tuple[Any, Any] | None:
        if self.kind == "reals":
            return None
        return state, diagnostics.flip_fields(self.encoded_energy, params, state)

    def n_enumerated(self, params: Params) -> int | None:
        return len(params.mean) if self.kind == "bits" else None

    def log_partition(self, params: Params) -> float:
        return float(exact.log_partition(partial(self.row_energy, params), exact.Space(len(params.mean))))

    def log_alone(self, params: Params) -> float:
        """log Z of encoded rows without the network."""
        mean = np.asarray(params.mean, np.float64)
        if self.kind == "reals":
            return 0.5 * len(mean) * math.log(2 * math.pi)
        return float(np.logaddexp(0, np.asarray(bias_of(params.mean), np.float64)).sum())

    def log_likelihood(self, params: Params, rows: Any, log_z: float) -> Float[np.ndarray, " n"]:
        return -np.asarray(self.row_energy(params, jnp.asarray(rows)), np.float64) - log_z

    def bounds(self, key: Key[Array, ""], params: Params, rows: Any, train: Rows, **options: Any) -> ais.Sandwich:
        kind, std = ("real", params.std) if self.kind == "reals" else ("binary", None)
        path = ais.neural(self.row_energy, params, kind, mean=params.mean, std=std)
        if kind == "real":
            key, tune_key = jax.random.split(key)
            path = ais.with_tuned_step(tune_key, path, train[:TUNING_ROWS])
        return ais.log_likelihood(key, path, rows, **options)

    def filters(self, params: Params) -> tuple[str, Any]:
        """Of the first layer."""
        kernel = next(leaf for leaf in jax.tree.leaves(params.network) if leaf.ndim > 1)
        return "Filters of the first layer", np.asarray(kernel).reshape(-1, kernel.shape[-1]).T

    def facts(self) -> dict[str, Any]:
        return {}

    def words(self) -> str:
        return self.size

    def _advance(self, key: Key[Array, ""], params: Params, x: Array, *, n: int) -> tuple[Array, Array]:
        moved = self._moved(key, params, x, n, self.sampler)
        return moved, moved

    def _moved(self, key: Key[Array, ""], params: Params, x: Array, n: int, sampler: str) -> Array:
        of = (self.encoded_energy, params)
        if sampler == "langevin":
            return langevin.sweeps(key, *of, langevin.init(x), n, step_size=self.step_size).position
        kernels: dict[str, Callable] = {
            "gwg": gwg.step,
            "mala": partial(mala.step, step_size=self.step_size),
            "hmc": partial(hmc.step, step_size=math.sqrt(2 * self.step_size), n_leapfrog=N_LEAPFROG, jitter=JITTER),
        }

        def step(step_key: Key[Array, ""], state: metropolis.State) -> tuple[metropolis.State, metropolis.Info]:
            return kernels[sampler](step_key, *of, state)

        n_steps = n * x.shape[-1] if sampler == "gwg" else n
        return metropolis.sweeps(key, step, metropolis.init(*of, x), n_steps)[0].position


def _here(key: Key[Array, ""], params: Params, rows: Array) -> Array:
    """Chains that start at encoded rows."""
    return rows


def _check(settings: Settings) -> None:
    is_bits = settings.units == "bits"
    if is_bits and settings.rule == "score-matching":
        raise ValueError("score-matching is for real units, got units 'bits'; use pcd, cd or nce")
    if is_bits and settings.sampler is not None:
        raise ValueError(f"bits move by Gibbs with gradients, got sampler {settings.sampler!r}; leave it out")
    if is_bits and settings.step_size != DEFAULTS.step_size:
        raise ValueError(f"step_size describes chains of real units, got {settings.step_size} with units 'bits'")
    if settings.sampler is not None and settings.rule in ("nce", "score-matching"):
        raise ValueError(f"rule {settings.rule!r} moves no chains, got sampler {settings.sampler!r}; leave it out")
    if settings.sampler not in (None, *SAMPLERS):
        raise ValueError(f"sampler must be {' or '.join(map(repr, SAMPLERS))}, got {settings.sampler!r}")


def _law(settings: Settings, n_visible: int) -> Network:
    kind: Kind = "bits" if settings.units == "bits" else "reals"
    sampler = "gwg" if kind == "bits" else settings.sampler or SAMPLERS[0]
    return _network(settings.model, n_visible, settings.hidden, settings.layers, kind, sampler, settings.step_size)


@cache
def _network(
    name: str, n_visible: int, hidden: int, layers: int, kind: Kind, sampler: str, step_size: float
) -> Network:
    """The same object for the same numbers: rules are compiled for its methods."""
    confinement = 1.0 if kind == "reals" else 0.0
    if name == "mlp":
        make = partial(neural.Mlp, n_visible, (hidden,) * layers, confinement=confinement)
        size = f"{layers} layers of {hidden} units"
    else:
        side = math.isqrt(n_visible)
        if side * side != n_visible:
            raise ValueError(f"model 'conv' needs rows that are square images, got {n_visible} values a row")
        channels = tuple(hidden * 2**i for i in range(layers))
        make = partial(neural.Conv, (side, side, 1), channels, confinement=confinement)
        size = f"layers of {', '.join(map(str, channels))} filters"
    pure, _ = neural.pure(nnx.eval_shape(lambda: make(rngs=nnx.Rngs(0))))
    return Network(kind=kind, make=make, pure=pure, sampler=sampler, step_size=step_size, size=size)


MLP, CONV = (
    Family(
        name=name,
        kinds=("reals", "bits"),
        rules=("pcd", "cd", "score-matching", "nce"),
        law=_law,
        options=("layers", "units", "sampler", "step_size"),
        check_own=_check,
    )
    for name in ("mlp", "conv")
)
