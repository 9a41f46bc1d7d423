"""Denoising score matching: learn the slope of the log-density from data to which noise of known size was added."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
from jaxtyping import Array, Float, Key

from ebm import losses


@dataclass(frozen=True, kw_only=True)
class ScoreMatching:
    """Denoising score matching (Vincent 2011) of a differentiable `energy(params, x)` of real x; it needs no sampler.

    What is learnt is the law of the data plus normal noise of standard deviation `sigma`, in the units of the data,
    and only its shape: the energy stays free by a constant.
    Raises ValueError unless sigma is above 0.
    """

    energy: Callable[[Any, Array], Array]
    sigma: float

    def __post_init__(self) -> None:
        if not self.sigma > 0:
            raise ValueError(f"sigma must be above 0, got {self.sigma}")

    def init(self, key: Key[Array, ""], params: Any, data: Array) -> tuple[()]:
        """Nothing to remember."""
        return ()

    def step(
        self, key: Key[Array, ""], params: Any, memory: tuple[()], rows: Array
    ) -> tuple[Any, tuple[()], Float[Array, ""]]:
        """The gradient of `losses.denoising_score_matching`, one noise a row; the gap is the loss."""
        loss, gradient = jax.value_and_grad(
            lambda p: losses.denoising_score_matching(key, self.energy, p, rows, self.sigma)
        )(params)
        return gradient, memory, loss
