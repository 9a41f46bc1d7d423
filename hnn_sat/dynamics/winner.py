"""Winner-take-all over all variables: flip the one whose noisy worth is greatest. No clause is picked.

MNSAT sees only what a flip makes (one search and one pass of the array), GNSAT make − break (HewlettPackard/CountryCrab
8c25245, `heuristics.py`, the code behind Pedretti et al. 2025): v* = argmax_v (worth_v + σ η_v) with fresh η of unit
variance, normal, or uniform on ±√3, which is the cheaper source. σ is the level of the schedule. Equal worths go to the
larger η.
"""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from aimc.devices.base import static
from aimc.noise import normal, uniform
from hnn_sat.dynamics.base import Dynamic, Look


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class WinnerTakeAll(Dynamic):
    """`worth` "make" (MNSAT) or "gain" (GNSAT), `source` "normal" or "uniform". Raises ValueError for another."""

    noise = 0.8

    worth: str = static("gain")
    source: str = static("normal")

    def __post_init__(self) -> None:
        for name, allowed in (("worth", ("make", "gain")), ("source", ("normal", "uniform"))):
            if (value := getattr(self, name)) not in allowed:
                raise ValueError(f"WinnerTakeAll.{name} must be {' or '.join(allowed)}, got {value!r}")

    def n_words(self, n_variables: int) -> int:
        """One for each variable."""
        return n_variables

    def draw(self, key: Key[Array, ""], shape: tuple[int, int], n_variables: int) -> Float[Array, "t r n"]:
        """η of every variable, mean 0 and variance 1; key is consumed."""
        if self.source == "normal":
            return normal(key, (*shape, n_variables))
        return (2.0 * uniform(key, (*shape, n_variables)) - 1.0) * math.sqrt(3.0)

    def step(self, draw: Float[Array, " n"], look: Look, setup: Any, level: Array, t: Array) -> Array:
        """One flip."""
        literal = look.all_flips()
        worth = look.makes(literal)
        if self.worth == "gain":
            worth = worth - look.breaks(literal)
        score = worth.astype(jnp.float32) + level * draw
        return literal[jnp.argmax(jnp.where(score == jnp.max(score), draw, -jnp.inf))]


def mnsat() -> WinnerTakeAll:
    """MNSAT: what a flip makes, with normal noise."""
    return WinnerTakeAll(worth="make", source="normal")


def gnsat(source: str = "normal") -> WinnerTakeAll:
    """GNSAT-N, or GNSAT-U with source="uniform"."""
    return WinnerTakeAll(worth="gain", source=source)
