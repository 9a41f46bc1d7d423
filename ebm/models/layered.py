"""The law of models with one layer of hidden units, moved by block Gibbs sampling, on a simulated chip or none."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebm import ais, chip_law, hardware, likelihood, rules
from ebm.data import Kind, Rows
from ebm.energies.rbm import Rbm
from ebm.hardware import Hardware
from ebm.models.settings import Settings
from ebm.samplers import gibbs

RULES = ("pcd", "cd", "tempered")


@dataclass(frozen=True)
class Layered:
    """Any RBM. `make(key, rows, hidden)` are its parameters before the first step; `picture(params)` its weights, a row
    a hidden unit; `noise` is the law that NCE tells the data from."""

    kind: Kind
    hidden: int
    make: Callable[[Key[Array, ""], Rows, int], Any]
    noise: str = "bernoulli"

    def init(self, key: Key[Array, ""], rows: Rows) -> Any:
        return self.make(key, rows, self.hidden)

    def rule(self, settings: Settings, sigma: float) -> rules.Rule:
        chosen = self._rule(settings, sigma)
        return rules.Centred(rule=chosen) if settings.centred else chosen

    def _rule(self, settings: Settings, sigma: float) -> Any:
        machine = None if settings.hardware.array is None else _programmer(settings.hardware)
        chains, sweeps = settings.chains, settings.gibbs_steps
        match settings.rule:
            case "pcd":
                return rules.Contrastive(chains=chains, gibbs_steps=sweeps, machine=machine)
            case "cd":
                return rules.Contrastive(chains=settings.batch, gibbs_steps=sweeps, persistent=False, machine=machine)
            case "tempered":
                return rules.Tempered(chains=chains, gibbs_steps=sweeps, n_betas=settings.temperatures)
            case "pseudo-likelihood":
                return rules.PseudoLikelihood()
            case "score-matching":
                return rules.ScoreMatching(energy=rules.free_energy, sigma=settings.noise * sigma)
            case _:
                return rules.NoiseContrastive(energy=rules.free_energy, noise=self.noise)

    def encode(self, params: Any, rows: Any) -> Any:
        return rows

    def is_weight(self, params: Any) -> Any:
        """Tables of weights, not biases; the biases of symbols are a table too."""
        return jax.tree.map(lambda leaf: False, params)._replace(weights=True)

    def start(self, key: Key[Array, ""], machine: gibbs.Machine, n: int) -> gibbs.Chains:
        return gibbs.init(key, machine, n)

    def sweeps(self, key: Key[Array, ""], machine: gibbs.Machine, state: gibbs.Chains, n: int) -> gibbs.Chains:
        return gibbs.sweeps(key, machine, state, n)

    def visible(self, params: Any, state: gibbs.Chains) -> Array:
        return state.visible

    def energy(self, params: Any, state: gibbs.Chains) -> Float[Array, " n_chains"]:
        """The free energy of the visible units."""
        return params.free_energy(state.visible)

    def fields(self, params: Any, state: gibbs.Chains) -> tuple[Any, Any]:
        """Of both layers where both are bits, else of the hidden units given the visible ones."""
        units, fields = [state.hidden], [params.hidden_logits(state.visible)]
        if self.kind == "bits":
            units.append(state.visible)
            fields.append(params.visible_field(state.hidden))
        return jnp.concatenate(units, axis=1), jnp.concatenate(fields, axis=1)

    def n_enumerated(self, params: Any) -> int:
        return min(params.n_visible, params.n_hidden) if isinstance(params, Rbm) else params.n_hidden

    def log_partition(self, params: Any) -> float:
        return likelihood.log_partition(params)

    def log_alone(self, params: Any) -> float:
        return likelihood.log_partition_independent(params)

    def log_likelihood(self, params: Any, rows: Any, log_z: float) -> Float[np.ndarray, " n"]:
        return likelihood.log_likelihood(params, rows, log_z)

    def bounds(self, key: Key[Array, ""], params: Any, rows: Any, train: Rows, **options: Any) -> ais.Sandwich:
        base = params.independent(jnp.asarray(train.mean(axis=0), jnp.float32))
        return ais.log_likelihood(key, ais.layered(params, base), rows, **options)

    def filters(self, params: Any) -> tuple[str, Any]:
        weights = np.asarray(params.weights)
        if weights.ndim == 3:  # of every site the weight of the state that a hidden unit feels most
            order = np.argmax(np.abs(weights), axis=1)
            weights = np.take_along_axis(weights, order[:, None], axis=1)[:, 0]
        return "Weights of hidden units", weights.T

    def program(self, key: Key[Array, ""], params: Any, chosen: Hardware) -> Any:
        return hardware.machine(key, params, chosen)

    def written(self, chip: Any) -> tuple["Layered", Any]:
        return self, hardware.written_params(chip)

    def is_still(self, key: Key[Array, ""], chip: Any, state: gibbs.Chains) -> bool:
        return chip_law.is_still(key, chip, state)

    def tempered(self, params: Any, beta: float) -> Any:
        """Other visible units than bits are drawn digitally from what was read, at a temperature of 1."""
        return params.tempered(beta) if self.kind == "bits" else None

    def own(
        self, key: Key[Array, ""], chip: Any, rows: Any, state: gibbs.Chains, n_sweeps: int
    ) -> chip_law.OwnLaw | None:
        return chip_law.log_likelihood(key, chip, rows, state, n_sweeps)

    def facts(self) -> dict[str, Any]:
        return {}

    def words(self) -> str:
        return f"{self.hidden} hidden units"


@cache
def _programmer(chosen: Hardware) -> Callable:
    """One function for one machine, so that a training program compiled for it is found again."""
    return partial(_program, chosen=chosen)


def _program(key: Any, params: Any, *, chosen: Hardware) -> Any:
    return hardware.machine(key, params, chosen)
