"""`--model potts`: symbols as one-hot rows, and hidden bits."""

import jax.numpy as jnp
from jaxtyping import Array, Key

from ebm.data import Rows, n_states
from ebm.energies import potts
from ebm.models.base import Family
from ebm.models.layered import RULES, Layered


def init(key: Key[Array, ""], rows: Rows, hidden: int) -> potts.PottsRbm:
    """Small weights, and the visible bias of the frequencies in the rows."""
    states = n_states(rows)
    return potts.init(key, rows.shape[1] // states, states, hidden, jnp.asarray(rows.mean(axis=0)))


FAMILY = Family(
    name="potts",
    kinds=("symbols",),
    rules=RULES,
    law=lambda settings, n_visible: Layered("symbols", settings.hidden, init),
    is_centrable=True,
    learns_on_array=True,
)
