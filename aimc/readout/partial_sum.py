"""One or one and a half bits of every tile's sum, scaled by a learned factor and added digitally."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from aimc.counts import Counts
from aimc.devices.base import Level, static
from aimc.noise import normal
from aimc.readout.base import PerColumn, Readout, check_choice, straight_through


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class PartialSum(Readout):
    """α Q(u): Q = sign(u) in ±1 for `kind` "binary", round(u/α) clipped to −1, 0, 1 for "ternary".

    `alpha`, a scalar or one a column, in units of full scale and positive, is trained with the network; it is the same
    in all tiles. `optimal_alpha` gives a start. Results of tiles are added digitally: that is what α is trained for,
    although one bit is far from proportional to its sum. Frozen: `offset_std` of the sense amplifiers (units of full
    scale). Fresh: nothing but `noise`, which makes the bits stochastic.

    Gradient: straight through to u where |u| ≤ `window`; to α as in LSQ (Esser et al. 2020, eq. 3): Q(u) − u/α inside
    the window and Q(u) outside for "ternary", sign(u) for "binary". LSQ's factor 1/√N is left to the optimiser.
    Source: partial-sum quantisation, Saxena, DATE 2022 (1 bit); HCiM, arXiv 2403.13577 (ternary).
    """

    kind: str = static("binary")
    alpha: PerColumn = 1.0
    window: Level = 1.0
    offset_std: Level | None = None
    source: str = static("Saxena et al. 2022; HCiM, arXiv 2403.13577; gradient of LSQ, Esser et al. 2020")

    def __post_init__(self) -> None:
        check_choice("PartialSum.kind", self.kind, ("binary", "ternary"))

    def fabricate(self, key: Key[Array, ""], shape: tuple[int, int]) -> Float[Array, "..."] | None:
        """Offsets of the sense amplifiers, in units of full scale; None without `offset_std`. Random: frozen."""
        return None if self.offset_std is None else self.offset_std * normal(key, shape)

    def _digits(self, u: Array, errors: Any) -> Array:
        v = jax.lax.stop_gradient(u if errors is None else u + errors)
        if self.kind == "binary":
            return jnp.where(v > 0, 1.0, -1.0)
        edge = jax.lax.stop_gradient(0.5 * jnp.asarray(self.alpha, u.dtype))
        return jnp.where(v > edge, 1.0, 0.0) - jnp.where(v < -edge, 1.0, 0.0)

    def read(
        self, key: Key[Array, ""], u: Float[Array, "*batch n_columns"], errors: Any, unit: Float[Array, "..."]
    ) -> Float[Array, "*batch n_columns"]:
        """α Q(u) times `unit`. Not random: key is not used."""
        digits, alpha = self._digits(u, errors), jnp.asarray(self.alpha, u.dtype)
        inside = jnp.where(jnp.abs(jax.lax.stop_gradient(u)) <= self.window, 1.0, 0.0)
        smooth = alpha * digits + inside * u
        if self.kind == "ternary":
            smooth = smooth - inside * alpha * jax.lax.stop_gradient(u / alpha)
        return straight_through(jax.lax.stop_gradient(alpha) * digits, smooth) * unit

    def codes(
        self, key: Key[Array, ""], u: Float[Array, "*batch n_columns"], errors: Any, unit: PerColumn = 1.0
    ) -> Int[Array, "*batch n_columns"]:
        """The digits −1, (0,) 1."""
        return self._digits(u, errors).astype(jnp.int32)

    def counts(self, n: int) -> Counts:
        """One decision a column and tile, two for "ternary"; the digital additions are counted with the product."""
        return Counts(comparator_decisions=n if self.kind == "binary" else 2 * n)


def optimal_alpha(std: Level, kind: str = "binary") -> Float[Array, "..."]:
    """The α of least mean squared error for Gaussian sums of standard deviation `std` (units of full scale).

    Binary: E|u| = √(2/π) std. Ternary with thresholds at α/2: 1.2240 std, the three-level quantiser of Max (1960).
    Raises ValueError for another `kind`.
    """
    check_choice("kind", kind, ("binary", "ternary"))
    return jnp.asarray({"binary": 0.7978845608, "ternary": 1.2240064}[kind] * std, jnp.float32)
