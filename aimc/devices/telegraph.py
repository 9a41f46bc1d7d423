"""Random telegraph noise: a trap that captures after τ_c and emits after τ_e on average."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from aimc.devices.base import Level
from aimc.noise import uniform


def occupancy(capture_s: Level, emission_s: Level) -> Level:
    """Fraction of time that the trap is full, τ_e/(τ_c + τ_e)."""
    return emission_s / (capture_s + emission_s)


def step(
    key: Key[Array, ""], full: Bool[Array, "*shape"], seconds: Level, capture_s: Level, emission_s: Level
) -> Bool[Array, "*shape"]:
    """Traps `seconds` later: p' = p∞ + (p − p∞) exp(−seconds (1/τ_c + 1/τ_e)), exact for a step of any length."""
    rest = occupancy(capture_s, emission_s)
    kept = jnp.exp(-seconds * (1.0 / capture_s + 1.0 / emission_s))
    return uniform(key, full.shape) < rest + (full.astype(jnp.float32) - rest) * kept


def autocovariance(lag_s: Level, capture_s: Level, emission_s: Level) -> Float[Array, ""]:
    """Covariance of the stationary occupation at a distance of `lag_s`: p (1 − p) exp(−|lag| (1/τ_c + 1/τ_e))."""
    p = occupancy(capture_s, emission_s)
    return p * (1.0 - p) * jnp.exp(-jnp.abs(lag_s) * (1.0 / capture_s + 1.0 / emission_s))
