"""Persistent contrastive divergence with tempered chains, for models between whose modes plain chains cease to move."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebm.rules.contrastive import contrast, free_energy
from ebm.samplers import gibbs, tempering


@dataclass(frozen=True, kw_only=True)
class Tempered:
    """PCD of a layered model whose negative samples are the coldest of `n_betas` copies that exchange temperatures.

    Desjardins, Courville, Bengio, Vincent & Delalleau (2010). Each of `chains` ladders has a copy at every beta, evenly
    spaced from 0, where the visible units follow their biases, to 1, the model; a step of training is `gibbs_steps`
    rounds of a sweep and an exchange of neighbours. It costs `n_betas` times as much as PCD with as many chains.
    Raises ValueError for sizes below 1, or fewer than 2 temperatures.
    """

    chains: int = 128
    gibbs_steps: int = 10
    n_betas: int = 8

    chain_axis = 1  # of the memory: copies come first

    def __post_init__(self) -> None:
        for name, least in (("chains", 1), ("gibbs_steps", 1), ("n_betas", 2)):
            if (value := getattr(self, name)) < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")

    def init(self, key: Key[Array, ""], params: Any, data: Array) -> tempering.State:
        """Ladders whose copies all start from the biases alone."""
        flat = gibbs.init(key, params, self.n_betas * self.chains)
        position = jax.tree.map(lambda leaf: leaf.reshape(self.n_betas, self.chains, -1), tuple(flat))
        return tempering.init(tempering.layered(params)[1], self._betas(), gibbs.Chains(*position))

    def step(
        self, key: Key[Array, ""], params: Any, memory: tempering.State, rows: Float[Array, "batch d"]
    ) -> tuple[Any, tempering.State, Float[Array, ""]]:
        """The difference of the free-energy gradients at `rows` and at the copies at beta 1."""
        kernel, energy = tempering.layered(params)

        def body(state: tempering.State, round_key: Key[Array, ""]) -> tuple[tempering.State, None]:
            return tempering.step(round_key, kernel, energy, self._betas(), state)[0], None

        state, _ = jax.lax.scan(body, memory, jax.random.split(key, self.gibbs_steps))
        gradient, gap = contrast(free_energy, params, rows, tempering.at(state, -1).visible)
        return gradient, state, gap

    def _betas(self) -> Float[Array, " n_betas"]:
        return jnp.linspace(0.0, 1.0, self.n_betas)
