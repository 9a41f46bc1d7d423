"""`--model rbm`: bits, and hidden bits."""

import jax.numpy as jnp
from jaxtyping import Array, Key

from ebm.data import Rows
from ebm.energies import rbm
from ebm.models.base import Family
from ebm.models.layered import RULES, Layered


def init(key: Key[Array, ""], rows: Rows, hidden: int) -> rbm.Rbm:
    """Small weights, and the visible bias of the means of the rows."""
    return rbm.init(key, rows.shape[1], hidden, jnp.asarray(rows.mean(axis=0)))


LAW = Layered("bits", 1, init)
"""Of Bernoulli RBMs of any size, which parameters say: only `init` asks this one for hidden units."""

FAMILY = Family(
    name="rbm",
    kinds=("bits",),
    rules=(*RULES, "pseudo-likelihood", "nce"),
    law=lambda settings, n_visible: Layered("bits", settings.hidden, init),
    is_centrable=True,
    learns_on_array=True,
)
