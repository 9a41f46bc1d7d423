"""How the randomness of a search changes with time: what `Schedule.noise` may be besides a number.

A level is the probability of WalkSAT, the standard deviation of winner-take-all, the temperature of annealing. Time is
the number of iterations since the last restart.
"""

import math
from dataclasses import dataclass, fields

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from aimc.devices.base import Level


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Constant:
    """The same `value` always."""

    value: Level

    def at(self, t: Int[Array, ""]) -> Float[Array, ""]:
        return jnp.float32(self.value)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Linear:
    """From `first` to `last` in `iterations` equal steps, then `last`."""

    first: Level
    last: Level
    iterations: Level

    def at(self, t: Int[Array, ""]) -> Float[Array, ""]:
        share = jnp.minimum(t.astype(jnp.float32) / self.iterations, 1.0)
        return self.first + (self.last - self.first) * share


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Geometric:
    """From `first` to `last`, by the same factor in each of `iterations` steps, then `last`; both above zero."""

    first: Level
    last: Level
    iterations: Level

    def at(self, t: Int[Array, ""]) -> Float[Array, ""]:
        share = jnp.minimum(t.astype(jnp.float32) / self.iterations, 1.0)
        return self.first * (self.last / self.first) ** share


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Logarithmic:
    """`first` / ln(e + t / `iterations`): the slow cooling of Geman and Geman (1984), and of a Fowler-Nordheim leak."""

    first: Level
    iterations: Level = 1.0

    def at(self, t: Int[Array, ""]) -> Float[Array, ""]:
        return self.first / jnp.log(math.e + t.astype(jnp.float32) / self.iterations)


NoiseLevel = Constant | Linear | Geometric | Logarithmic


def as_level(noise: float | NoiseLevel, *, most: float) -> NoiseLevel:
    """A number as a constant level, and every number of it checked. Raises ValueError naming the field."""
    level = noise if isinstance(noise, NoiseLevel) else Constant(noise)
    for field in fields(level):
        value = float(getattr(level, field.name))
        name = f"Schedule.noise.{field.name}" if isinstance(noise, NoiseLevel) else "Schedule.noise"
        if field.name == "iterations":
            if not 0 < value < math.inf:
                raise ValueError(f"{name} must be a positive number, got {value}")
        elif not 0.0 <= value <= most or value == math.inf:
            allowed = "a probability from 0 to 1" if most == 1.0 else "a finite number of at least 0"
            raise ValueError(f"{name} must be {allowed}, got {value}")
        elif isinstance(level, Geometric) and value == 0.0:
            raise ValueError(f"{name} must be above 0, since no factor leads from or to it, got {value}")
    return level
