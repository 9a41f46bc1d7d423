"""What every cell technology states about itself: how it is written, how it ages, how it fluctuates when read."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

# At run time anything goes: jax puts placeholders where numbers are while it takes these dataclasses apart.
if TYPE_CHECKING:
    Level = float | Float[Array, ""]
else:
    Level = Any
"""A physical level: a plain number or a scalar array, so that it can be swept without recompiling."""

Cells = Any
"""Everything that one technology remembers of its cells: an array or a pytree of arrays, shaped like the target (extra
axes come last). It holds hidden states, such as a drift exponent, from which `Device.conductance` follows."""

EVIDENCE = ("silicon", "SPICE", "projection", "assumption")
"""What a number rests on: measured on a chip, simulated as a circuit, scaled from another, or assumed here."""


def static(default: Any) -> Any:
    """A dataclass field that is part of the program and not of the data."""
    return field(default=default, metadata={"static": True})


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Device:
    """A cell technology; this one stores and conducts exactly what it is told.

    A new technology subclasses it and overrides what it does otherwise. Conductances are in units of `g_max`
    (siemens), targets lie between `g_min` (in units of `g_max`) and 1, times are in seconds since the end of
    programming. All methods are pure, work on arrays of any shape and can be traced; a key is consumed by one call.
    """

    g_max: Level = 25e-6
    g_min: Level = 0.0
    evidence: str = static("assumption")
    source: str = static("definition")

    def write(self, key: Key[Array, ""], target: Float[Array, "*shape"]) -> Cells:
        """Program cells to `target`. Random: what one write leaves behind, frozen until the next (error, exponents)."""
        return target

    def age(self, key: Key[Array, ""], cells: Cells, elapsed: Level, seconds: Level) -> Cells:
        """The same cells `seconds` later, `elapsed` seconds after programming. Random: what happened meanwhile.

        Must be Markov: two steps in a row have the law of one step of their sum.
        """
        return cells

    def conductance(self, cells: Cells, elapsed: Level) -> Float[Array, "*shape"]:
        """What a noiseless read sees `elapsed` seconds after programming, in units of `g_max`. Not random."""
        return cells

    def read_variance(self, g: Float[Array, "*shape"], elapsed: Level) -> Float[Array, "..."] | None:
        """Variance of one read, drawn anew for every cell and read, in units of g_max²; a scalar if it is the same for
        every cell, None if there is no such noise. `g` is the `conductance`."""
        return None

    def slow_std(self, g: Float[Array, "*shape"], elapsed: Level) -> Float[Array, "..."] | None:
        """Standard deviation of what fluctuates between calls of `mvm` but not within one; None for nothing."""
        return None


def ideal(g_max: Level = 25e-6) -> Device:
    """A cell that stores and conducts exactly what it is told. `g_max` in siemens."""
    return Device(g_max=g_max)


def polynomial(coefficients: tuple[Level, ...], g: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Evaluate c0 + c1 g + c2 g² + ... by Horner's rule; the empty polynomial is 0."""
    value = jnp.zeros_like(g)
    for coefficient in reversed(coefficients):
        value = value * g + coefficient
    return value
