"""1/f noise that accumulates from the end of programming, as a sum of Ornstein–Uhlenbeck processes.

A density dτ/τ of time constants, each component started at zero and of unit weight, has the covariance
∫ dτ/τ e^(−|t−s|/τ) (1 − e^(−2 min(t,s)/τ)) = ln((t + s)/|t − s|) and the one-sided spectrum 1/f. Its variance grows as
the published ln((t + t_read)/(2 t_read)) does; where the band ends at high frequency only moves what nobody observes.
Here one component per decade, 0.1 ms to 10⁹ s, stands for the density. Everything faster is one more component, of
time constant 10 µs and of just the variance that is left of the published one: about ln(τ₀/(4 t_read)) − γ − ln(10)/2
with τ₀ = 0.1 ms, which is 2.9, 2.2 and 1.5 at t_read = 250 ns, 512 ns and 1 µs, beside 18 to 36 in all. The covariance
is within 0.1 of the logarithm at lags from 0.1 ms on, up to 10⁸ s after the start; between 1 µs and 0.1 ms within 1.6.
"""

from math import log

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from aimc.devices.base import Level
from aimc.noise import normal

TIME_CONSTANTS_S = tuple(10.0**k for k in range(-4, 10))
FASTEST_S = 1e-5
"""Time constant of the component that holds everything faster than the others."""
COMPONENTS = len(TIME_CONSTANTS_S) + 1
PER_DECADE = log(10.0)


def variance(seconds: Level, read_s: Level) -> Float[Array, ""]:
    """Published variance of the noise `seconds` after its start, ln((t + t_read)/(2 t_read)), for unit amplitude."""
    return jnp.maximum(jnp.log((seconds + read_s) / (2.0 * read_s)), 0.0)


def _stds(seconds: Level, read_s: Level) -> Float[Array, "15"]:
    """Standard deviation of every component `seconds` after the start, the fastest last."""
    grown = -PER_DECADE * jnp.expm1(-2.0 * seconds / jnp.asarray(TIME_CONSTANTS_S, jnp.float32))
    # Negative only within a few t_read of the start, where the published variance is zero too.
    rest = jnp.maximum(variance(seconds, read_s) - jnp.sum(grown), 0.0)
    return jnp.sqrt(jnp.append(grown, rest))


def step(
    key: Key[Array, ""],
    noise: Float[Array, "*shape 15"] | None,
    shape: tuple[int, ...],
    since: Level,
    seconds: Level,
    read_s: Level,
) -> Float[Array, "*shape 15"]:
    """The components `seconds` later; `since`: seconds from their start until now. Their sum is the noise.

    `None` stands for components that nobody has looked at yet: they are drawn as they are `seconds` from now. The last
    axis holds the components from slow to slowest and, last, the fastest. A step of 0 s changes nothing.
    """
    after = _stds(since + seconds, read_s)
    if noise is None:
        return normal(key, (*shape, COMPONENTS)) * after
    tau = jnp.asarray((*TIME_CONSTANTS_S, FASTEST_S), jnp.float32)
    keep = jnp.exp(-seconds / tau)
    added = jnp.sqrt(-PER_DECADE * jnp.expm1(-2.0 * seconds / tau))
    # The fastest is a stationary process times its standard deviation, which follows the published law.
    before = _stds(since, read_s)[-1]
    held = keep[-1] * jnp.where(before > 0, after[-1] / jnp.where(before > 0, before, 1.0), 0.0)
    fresh = jnp.where(before > 0, after[-1] * jnp.sqrt(-jnp.expm1(-2.0 * seconds / FASTEST_S)), after[-1])
    return noise * keep.at[-1].set(held) + normal(key, (*shape, COMPONENTS)) * added.at[-1].set(fresh)


def total(noise: Float[Array, "*shape 15"]) -> Float[Array, "*shape"]:
    """The noise itself, the sum of its components: a product, since a CPU would draw the summands of a sum over a short
    axis one by one."""
    return jnp.matmul(noise, jnp.ones(COMPONENTS, noise.dtype), precision=jax.lax.Precision.HIGHEST)


def covariance(first: float, second: float, read_s: float) -> float:
    """Covariance of the noise at two times after its start, in closed form; seconds."""
    tau = np.asarray(TIME_CONSTANTS_S)

    def grown(seconds: float) -> np.ndarray:
        return -PER_DECADE * np.expm1(-2.0 * seconds / tau)

    def rest(seconds: float) -> float:
        return np.sqrt(max(np.log((seconds + read_s) / (2.0 * read_s)) - np.sum(grown(seconds)), 0.0))

    gap = abs(first - second)
    slow = np.sum(np.exp(-gap / tau) * grown(min(first, second)))
    return float(slow + np.exp(-gap / FASTEST_S) * rest(first) * rest(second))
