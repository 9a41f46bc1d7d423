"""1/f noise that accumulates from the end of programming, as a sum of Ornstein–Uhlenbeck processes.

A density dτ/τ of time constants, each component started at zero and of unit weight, has the covariance
∫ dτ/τ e^(−|t−s|/τ) (1 − e^(−2 min(t,s)/τ)) = ln((t + s)/|t − s|) and the one-sided spectrum 1/f. Its variance grows as
the published ln((t + t_read)/(2 t_read)) does; where the band ends at high frequency only moves what nobody observes.
Here one component per decade, 1 s to 10⁹ s, stands for the density: ripple of the covariance below 0.05, beside a
variance of 18 to 36. Everything faster than about 0.3 s is one lump that every step draws anew, of just the variance
that is left of the published one.
"""

from math import log

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from aimc.devices.base import Level
from aimc.noise import normal

TIME_CONSTANTS_S = tuple(10.0**k for k in range(10))
PER_DECADE = log(10.0)


def variance(seconds: Level, read_s: Level) -> Float[Array, ""]:
    """Published variance of the noise `seconds` after its start, ln((t + t_read)/(2 t_read)), for unit amplitude."""
    return jnp.maximum(jnp.log((seconds + read_s) / (2.0 * read_s)), 0.0)


def step(
    key: Key[Array, ""],
    noise: Float[Array, "*shape 11"] | None,
    shape: tuple[int, ...],
    since: Level,
    seconds: Level,
    read_s: Level,
) -> Float[Array, "*shape 11"]:
    """The components `seconds` later; `since`: seconds from their start until now. Their sum is the noise.

    `None` stands for components that nobody has looked at yet: they are drawn as they are `seconds` from now. The last
    axis holds the slow components and, last, the lump of all fast ones.
    """
    duration = since + seconds if noise is None else seconds
    tau = jnp.asarray(TIME_CONSTANTS_S, jnp.float32)
    grown = -PER_DECADE * jnp.expm1(-2.0 * (since + seconds) / tau)
    fast = jnp.sqrt(jnp.maximum(variance(since + seconds, read_s) - jnp.sum(grown), 0.0))
    added = jnp.sqrt(-PER_DECADE * jnp.expm1(-2.0 * duration / tau))
    fresh = normal(key, (*shape, len(TIME_CONSTANTS_S) + 1)) * jnp.append(added, fast)
    if noise is None:
        return fresh
    return noise * jnp.append(jnp.exp(-duration / tau), 0.0) + fresh


def covariance(first: float, second: float) -> float:
    """Covariance of the slow components at two times after their start, seconds, in closed form."""
    tau = np.asarray(TIME_CONSTANTS_S)
    earlier, gap = min(first, second), abs(first - second)
    return float(PER_DECADE * np.sum(np.exp(-gap / tau) * -np.expm1(-2.0 * earlier / tau)))
