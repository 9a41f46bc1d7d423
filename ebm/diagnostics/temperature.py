"""At which temperature samples look as if drawn from the model: the effective β, by maximum pseudo-likelihood."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped


class BetaEff(NamedTuple):
    """β at which the model's conditional laws fit the samples best, and its standard error.

    An infinite value: every unit follows the sign of its field. nan: no unit has a field.
    """

    value: float
    error: float


def beta_eff(
    units: Shaped[Array, "..."] | Shaped[np.ndarray, "..."],
    fields: Float[Array, "..."] | Float[np.ndarray, "..."],
) -> BetaEff:
    """β from units and the log odds, at β = 1, of each being up given all others in its state.

    Units are in {0, 1} or {−1, 1}; whatever is above 0 is up. For a layered model they are both layers, with fields
    `hidden_logits(visible)` and `visible_field(hidden)`; for any energy of discrete units `flip_fields` gives them.
    Maximises Σ log sigmoid(±β field), the pseudo-likelihood (Besag 1975), by Newton's method; it is concave. Samples
    of exp(−β E) give β whatever the coupling. Entries of one index along the first axis may depend on each other and
    the error allows for it (the sandwich of Godambe); different ones are taken as independent, so pass chains, or
    draws that are several τ apart. Raises ValueError when shapes differ, fewer than two groups come, or a field is
    not finite.
    """
    field = np.asarray(fields, np.float64)
    up = np.asarray(units, np.float64) > 0
    if up.shape != field.shape or up.ndim < 1 or len(up) < 2 or not np.isfinite(field).all():
        raise ValueError(
            f"units and fields must have one shape, at least 2 groups along the first axis and finite fields, "
            f"got {up.shape} and {field.shape}"
        )
    signed = np.where(up, field, -field).reshape(len(up), -1)
    if not signed.any():
        return BetaEff(np.nan, np.nan)
    if (signed >= 0).all() or (signed <= 0).all():
        return BetaEff(np.inf if (signed >= 0).all() else -np.inf, np.inf)
    beta = 0.0
    for _ in range(200):
        wrong = 1 / (1 + np.exp(np.clip(beta * signed, -700, 700)))
        information = np.sum(wrong * (1 - wrong) * signed**2)
        move = np.sum(wrong * signed) / information
        # Far from the top the curvature is small and Newton's step too long; twice the size reached is enough.
        limit = 1.0 / np.abs(signed).max() + 2 * abs(beta)
        beta += np.clip(move, -limit, limit)
        if abs(move) < 1e-12 * (1 + abs(beta)):
            break
    wrong = 1 / (1 + np.exp(np.clip(beta * signed, -700, 700)))
    scores = (wrong * signed).sum(axis=1)
    n = len(scores)
    error = np.sqrt(n / (n - 1) * np.sum(scores**2)) / np.sum(wrong * (1 - wrong) * signed**2)
    return BetaEff(float(beta), float(error))


def flip_fields(
    energy: Callable[[Any, Float[Array, "n d"]], Float[Array, " n"]],
    params: Any,
    x: Float[Array, "n d"] | Float[np.ndarray, "n d"],
    kind: Literal["binary", "spins"] = "binary",
) -> Float[Array, "n d"]:
    """Log odds of each unit being up given the others, E(unit down) − E(unit up): 2 d energies of each row."""
    if kind not in ("binary", "spins"):
        raise ValueError(f"kind must be 'binary' or 'spins', got {kind!r}")
    rows = jnp.asarray(x)
    down = 0.0 if kind == "binary" else -1.0

    def field(unit: Array) -> Array:
        return energy(params, rows.at[:, unit].set(down)) - energy(params, rows.at[:, unit].set(1.0))

    return jax.lax.map(field, jnp.arange(x.shape[1])).T
