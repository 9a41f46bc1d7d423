"""Pseudo-likelihood: fit every unit's law given all the others; no sampler, no log Z."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebm import losses
from ebm.rules.contrastive import free_energy


@dataclass(frozen=True, kw_only=True)
class PseudoLikelihood:
    """Maximum pseudo-likelihood (Besag 1975) of a model of two-valued units.

    Consistent when the model can be the truth, and exact for couplings of fully visible machines; with hidden units it
    may improve while the likelihood falls (see the page on training), so look at the likelihood too.
    `energy(params, x)` is the free energy of a layered model unless given; `units` says what the two values are.
    Raises ValueError for other units.
    """

    energy: Callable[[Any, Array], Array] = free_energy
    units: str = "bits"

    def __post_init__(self) -> None:
        if self.units not in ("bits", "spins"):
            raise ValueError(f"units must be 'bits' (0 and 1) or 'spins' (-1 and 1), got {self.units!r}")

    def init(self, key: Key[Array, ""], params: Any, data: Array) -> tuple[()]:
        """Nothing to remember."""
        return ()

    def step(
        self, key: Key[Array, ""], params: Any, memory: tuple[()], rows: Float[Array, "batch d"]
    ) -> tuple[Any, tuple[()], Float[Array, ""]]:
        """The gradient of minus `losses.pseudo_log_likelihood`, in the mean over rows; the gap is that value."""
        loss, gradient = jax.value_and_grad(
            lambda p: -jnp.mean(losses.pseudo_log_likelihood(self.energy, p, rows, spins=self.units == "spins"))
        )(params)
        return gradient, memory, loss
