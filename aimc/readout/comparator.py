"""One bit a column: a comparator that decides, perhaps several times, perhaps by chance."""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from aimc.counts import Counts
from aimc.devices.base import Level, static
from aimc.noise import normal, uniform
from aimc.readout.base import PerColumn, Readout, straight_through


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Comparator(Readout):
    """The mean of `repeats` decisions ±1: +1 where u + n > θ. A sign has no unit, so `unit` does not enter.

    Shared by all repeats of one read: u, with everything the array added to it (noise of cells, `noise`); the sum is
    held while the comparator decides. Fresh in every decision: n, Gaussian of standard deviation `decision_noise`
    (units of full scale). Frozen: θ, Gaussian of standard deviation `offset_std`, a column. Given u,

        P(+1) = Φ((u − θ)/s),   mean erf(z),   variance (1 − erf²(z))/repeats,   z = (u − θ)/(s √2).

    Gradient: that of the mean, 2φ((u − θ)/s)/s, also with respect to s; without decision noise a decision is certain
    and the gradient is straight-through, 1 where |u| ≤ 1. This is a stochastic sign neuron whose dither is circuit
    noise (RACA, arXiv 2412.19869); the law is that of Gaussian noise at a threshold.

    Not linear in the sum, so tiles cannot be added; `PartialSum` is the one-bit readout that can.
    Raises ValueError for repeats < 1, and for several without `decision_noise`, which would all be the same.
    """

    repeats: int = static(1)
    decision_noise: Level | None = None
    offset_std: Level | None = None
    source: str = static("Gaussian noise at a threshold; stochastic sign neuron of arXiv 2412.19869")

    def __post_init__(self) -> None:
        if isinstance(self.repeats, bool) or not isinstance(self.repeats, int) or self.repeats < 1:
            raise ValueError(f"Comparator.repeats must be a whole number, at least 1, got {self.repeats!r}")
        if self.repeats > 1 and self.decision_noise is None:
            raise ValueError(
                f"Comparator.repeats = {self.repeats} decisions are all the same without decision_noise; state it"
            )

    @property
    def is_linear(self) -> bool:
        """No: a sign forgets the size of the sum."""
        return False

    def fabricate(self, key: Key[Array, ""], shape: tuple[int, int]) -> Float[Array, "..."] | None:
        """Thresholds θ (n_tiles, n_columns), in units of full scale; None without `offset_std`. Frozen."""
        return None if self.offset_std is None else self.offset_std * normal(key, shape)

    def _ups(self, key: Array, u: Array, errors: Any) -> tuple[Array, Array]:
        """How many of the decisions were +1, as a float, and the mean law."""
        x = u if errors is None else u - errors
        if self.decision_noise is None:
            return jnp.where(x > 0, 1.0, 0.0), jnp.clip(u, -1.0, 1.0)
        # A level of exactly zero is a sharp step; a tie is then a fair coin.
        mean = jax.scipy.special.erf(x / (sqrt(2.0) * jnp.maximum(self.decision_noise, 1e-30)))
        up = jax.lax.stop_gradient(0.5 + 0.5 * mean)

        def decide(i: Array | int, ups: Array) -> Array:
            return ups + jnp.where(uniform(jax.random.fold_in(key, i), u.shape) < up, 1.0, 0.0)

        ups = jnp.zeros_like(u)
        return decide(0, ups) if self.repeats == 1 else jax.lax.fori_loop(0, self.repeats, decide, ups), mean

    def read(
        self, key: Key[Array, ""], u: Float[Array, "*batch n_columns"], errors: Any, unit: Float[Array, "..."]
    ) -> Float[Array, "*batch n_columns"]:
        """The mean decision, in [−1, 1]. Random: every decision, if there is `decision_noise`."""
        ups, mean = self._ups(key, u, errors)
        return straight_through(ups * (2.0 / self.repeats) - 1.0, mean)

    def codes(
        self, key: Key[Array, ""], u: Float[Array, "*batch n_columns"], errors: Any, unit: PerColumn = 1.0
    ) -> Int[Array, "*batch n_columns"]:
        """The sum of the decisions ±1, from −repeats to repeats."""
        return (2.0 * self._ups(key, u, errors)[0] - self.repeats).astype(jnp.int32)

    def counts(self, n: int) -> Counts:
        """`repeats` decisions a column."""
        return Counts(comparator_decisions=n * self.repeats)
