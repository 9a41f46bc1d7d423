"""Learning rules, one file each: frozen objects that say which way the parameters should go.

    memory = rule.init(key, params, data)
    gradient, memory, gap = rule.step(key, params, memory, rows)

`gradient` is what an optax optimiser descends, shaped like `params`. `memory` is all that the rule carries from step to
step (chains, offsets, a noise model): a pytree, saved and resumed with the parameters. `gap` is a number to watch: the
energy of the data minus that of the samples for contrastive rules, the loss itself for the others. Keys are consumed.
`ebm.fit` runs any such object; these are the ones that come with the package.
"""

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Array, Float, Key

from ebm.rules.boltzmann import BoltzmannLearning
from ebm.rules.centred import Centred, Offsets
from ebm.rules.contrastive import Contrastive, Sampled, free_energy
from ebm.rules.noise_contrastive import NoiseContrastive, Normalised
from ebm.rules.pseudo_likelihood import PseudoLikelihood
from ebm.rules.score_matching import ScoreMatching
from ebm.rules.tempered import Tempered

__all__ = [
    "BoltzmannLearning",
    "Centred",
    "Contrastive",
    "NoiseContrastive",
    "Normalised",
    "Offsets",
    "PseudoLikelihood",
    "Rule",
    "Sampled",
    "ScoreMatching",
    "Tempered",
    "free_energy",
]


@runtime_checkable
class Rule(Protocol):
    """What `ebm.fit` asks of a learning rule. Hashable: it is part of what a training program is compiled for."""

    def init(self, key: Key[Array, ""], params: Any, data: Array, /) -> Any: ...

    def step(
        self, key: Key[Array, ""], params: Any, memory: Any, rows: Array, /
    ) -> tuple[Any, Any, Float[Array, ""]]: ...
