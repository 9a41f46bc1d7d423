"""`--model gaussian`: real visible units, and hidden bits."""

import jax.numpy as jnp
from jaxtyping import Array, Key

from ebm.data import Rows, spread
from ebm.energies import gaussian
from ebm.models.base import Family
from ebm.models.layered import RULES, Layered


def init(key: Key[Array, ""], rows: Rows, hidden: int) -> gaussian.GaussianRbm:
    """Small weights, means and deviations of the rows."""
    return gaussian.init(key, rows.shape[1], hidden, jnp.asarray(rows.mean(axis=0)), jnp.asarray(spread(rows)))


FAMILY = Family(
    name="gaussian",
    kinds=("reals",),
    rules=(*RULES, "score-matching", "nce"),
    law=lambda settings, n_visible: Layered("reals", settings.hidden, init, noise="normal"),
    learns_on_array=True,
)
