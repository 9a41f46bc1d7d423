"""Contrastive rules: lower the energy of the data, raise it where the model itself, or a machine made of it, goes.

With samples of the model the gradient is that of the mean negative log-likelihood. Chains that go on from step to step
make it persistent contrastive divergence (Tieleman 2008), chains started at the data CD-k (Hinton 2002).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebm import losses
from ebm.samplers import gibbs


@dataclass(frozen=True, kw_only=True)
class Contrastive:
    """PCD, or CD-k with `persistent=False`, of a layered model; its memory is `gibbs.Chains`.

    The negative phase runs on the ideal machine, the parameters themselves, unless `machine(key, params)` makes another
    of them: a chip with errors, programmed anew at every step. The samples are then those of the realised model and
    learning works against its errors, while the gradient is taken at the ideal parameters.
    Raises ValueError for sizes below 1, and at the first step of CD for a batch that is not one row a chain.
    """

    chains: int = 128
    gibbs_steps: int = 10
    persistent: bool = True
    machine: Callable[[Key[Array, ""], Any], gibbs.Machine] | None = None

    def __post_init__(self) -> None:
        for name in ("chains", "gibbs_steps"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")

    def init(self, key: Key[Array, ""], params: Any, data: Array) -> gibbs.Chains:
        """Chains that start from the biases alone."""
        return gibbs.init(key, params, self.chains)

    def step(
        self, key: Key[Array, ""], params: Any, memory: gibbs.Chains, rows: Float[Array, "batch d"]
    ) -> tuple[Any, gibbs.Chains, Float[Array, ""]]:
        """The difference of the free-energy gradients at `rows` and at the chains after `gibbs_steps` sweeps."""
        machine = params
        if self.machine is not None:
            key, program_key = jax.random.split(key)
            machine = self.machine(program_key, params)
        start = memory
        if not self.persistent:
            if len(rows) != self.chains:
                raise ValueError(
                    f"chains must equal batch ({len(rows)}) when they start at the data, got {self.chains}"
                )
            key, start_key = jax.random.split(key)
            start = gibbs.at(start_key, machine, rows)
        chains = gibbs.sweeps(key, machine, start, self.gibbs_steps)
        gradient, gap = contrast(free_energy, params, rows, chains.visible)
        return gradient, chains, gap


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """The contrastive rule for any `energy(params, x) -> (n,)`, with samples from a kernel of the caller's choice.

    `start(key, params, rows) -> state` makes the sampler's state and `advance(key, params, state) -> (state, samples)`
    moves it and reads the samples out, x of shape (n, ...). Chains start at `chains` rows of the data, once; with
    `persistent=False` at the batch of every step.
    Raises ValueError for less than one chain, and for more chains than there are rows to start them from.
    """

    energy: Callable[[Any, Array], Array]
    start: Callable[[Key[Array, ""], Any, Array], Any]
    advance: Callable[[Key[Array, ""], Any, Any], tuple[Any, Array]]
    chains: int = 128
    persistent: bool = True

    def __post_init__(self) -> None:
        if self.chains < 1:
            raise ValueError(f"chains must be at least 1, got {self.chains}")

    def init(self, key: Key[Array, ""], params: Any, data: Array) -> Any:
        """The sampler's state at `chains` different rows of the data, chosen at random."""
        if self.chains > len(data):
            raise ValueError(f"chains start at rows of the data, of which there are {len(data)}, got {self.chains}")
        choice_key, start_key = jax.random.split(key)
        chosen = jax.random.permutation(choice_key, len(data))[: self.chains]
        return self.start(start_key, params, jnp.asarray(data)[chosen])

    def step(self, key: Key[Array, ""], params: Any, memory: Any, rows: Array) -> tuple[Any, Any, Float[Array, ""]]:
        """The difference of the energy gradients at `rows` and at the samples after one `advance`."""
        state = memory
        if not self.persistent:
            key, start_key = jax.random.split(key)
            state = self.start(start_key, params, rows[: self.chains])
        state, samples = self.advance(key, params, state)
        gradient, gap = contrast(self.energy, params, rows, samples)
        return gradient, state, gap


def free_energy(params: Any, x: Array) -> Array:
    """The free energy of a layered model, as the energy to train."""
    return params.free_energy(x)


def contrast(
    energy: Callable[[Any, Array], Array], params: Any, rows: Array, samples: Array
) -> tuple[Any, Float[Array, ""]]:
    """Gradient and value of `losses.contrastive`."""
    gap, gradient = jax.value_and_grad(lambda p: losses.contrastive(energy, p, rows, samples))(params)
    return gradient, gap
