"""A cell's deviation from its target, of which only the spread at a few times is published, as a Markov process.

The deviation is σ(g, t) Z(t) with Z standard normal. Between two measured times σ is interpolated, linearly in ln t or
in t; before the first and after the last it is constant. Where σ grows, the deviation gains independent increments;
where it shrinks, the deviation shrinks in proportion. So Z keeps the correlation ρ = Π min(1, σ(start)/σ(end)) over
the segments it crosses, whatever the steps in which it crosses them.
"""

from collections.abc import Sequence
from itertools import pairwise

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from aimc.devices.base import Level
from aimc.noise import normal

Passed = Float[Array, " segments"]


def passed(times: Sequence[float], elapsed: Level, *, logarithmic: bool = True) -> Passed:
    """How much of each segment between neighbouring `times` lies before `elapsed`, 0 to 1.

    Logarithmic in time, but for a segment that begins at 0.
    """
    parts = []
    for start, end in pairwise(times):
        t = jnp.clip(jnp.asarray(elapsed, jnp.float32), start, end)
        if logarithmic and start > 0:
            parts.append(jnp.log(t / start) / jnp.log(end / start))
        else:
            parts.append((t - start) / (end - start))
    return jnp.stack(parts) if parts else jnp.zeros(0)


def interpolate(knots: Sequence[Float[Array, "*shape"]], at: Passed) -> Float[Array, "*shape"]:
    """The value at a time, from the values at the knots."""
    value = knots[0]
    for k in range(len(knots) - 1):
        value = value + at[k] * (knots[k + 1] - knots[k])
    return value


def correlation(knots: Sequence[Float[Array, "*shape"]], before: Passed, after: Passed) -> Float[Array, "*shape"]:
    """Correlation ρ of the deviations at two times, `before` ≤ `after`, from the spreads at the knots."""
    rho = jnp.ones_like(knots[0])
    for k in range(len(knots) - 1):
        rise = knots[k + 1] - knots[k]
        rho = rho * shrink(knots[k] + before[k] * rise, knots[k] + after[k] * rise)
    return rho


def shrink(start: Float[Array, "*shape"], end: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """min(1, start/end) of two spreads, 1 where both are 0."""
    return jnp.where(start < end, start / jnp.where(start < end, end, 1.0), 1.0)


def step(key: Key[Array, ""], z: Float[Array, "*shape"], rho: Float[Array, "..."]) -> Float[Array, "*shape"]:
    """The standard normal deviation after a step that keeps the correlation ρ."""
    return rho * z + jnp.sqrt((1.0 - rho) * (1.0 + rho)) * normal(key, z.shape)
