"""Centred gradients: the gradient that the model would have if its units were measured from their means.

An RBM written E = -(v - mu) W (h - la) - (v - mu) b - (h - la) c is the same family of laws, but the direction of its
gradient no longer depends on which state of a unit is called 1 (Cho, Raiko & Ilin 2011; Montavon & Mueller 2012).
In the ordinary parameters the gradient G of W, g of a, k of c becomes (Melchior, Fischer & Wiskott 2016, section 3)

    G' = G - mu k^T - g la^T,   g' = g - G' la,   k' = k - G'^T mu:

a positive definite change of coordinates, so it vanishes where the plain gradient does.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebm.energies.rbm import EXACT


class Offsets(NamedTuple):
    """Where the units are measured from, and the memory of the rule that is centred."""

    visible: Float[Array, " n_visible"]
    hidden: Float[Array, " n_hidden"]
    inner: Any


@dataclass(frozen=True, kw_only=True)
class Centred:
    """`rule`, its gradient centred at moving averages of the units' means under the data.

    A batch moves the offsets by the fraction `rate`; a moving average is what keeps the rule from diverging (Melchior
    et al. 2016). For models whose energy is bilinear in 0/1 or one-hot units: Bernoulli and Potts RBMs.
    Raises ValueError for a rate outside (0, 1] and, at `init`, for another model.
    """

    rule: Any
    rate: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1:
            raise ValueError(f"rate must be above 0 and at most 1, got {self.rate}")

    @property
    def chains(self) -> int:
        """Chains of the rule that is centred, 0 for a rule without."""
        return getattr(self.rule, "chains", 0)

    @property
    def chain_axis(self) -> int:
        """The axis of the memory along which they lie."""
        return getattr(self.rule, "chain_axis", 0)

    @property
    def persistent(self) -> bool:
        """Whether they go on from step to step."""
        return getattr(self.rule, "persistent", True)

    def init(self, key: Key[Array, ""], params: Any, data: Array) -> Offsets:
        """Offsets at the means of the data and of the hidden units given it."""
        names = getattr(params, "_fields", ())
        if {"weights", "visible_bias", "hidden_bias"} - set(names) or "log_sigma" in names:
            raise ValueError(f"centring needs a Bernoulli or a Potts RBM, got parameters {type(params).__name__}")
        return Offsets(*_means(params, jnp.asarray(data)), self.rule.init(key, params, data))

    def step(
        self, key: Key[Array, ""], params: Any, memory: Offsets, rows: Float[Array, "batch d"]
    ) -> tuple[Any, Offsets, Float[Array, ""]]:
        """The centred gradient, with the offsets after this batch."""
        means = _means(params, rows)
        mu, la = (old + self.rate * (new - old) for old, new in zip(memory[:2], means, strict=True))
        gradient, inner, gap = self.rule.step(key, params, memory.inner, rows)
        return centre(gradient, mu, la), Offsets(mu, la, inner), gap


def centre(gradient: Any, visible: Float[Array, " n_visible"], hidden: Float[Array, " n_hidden"]) -> Any:
    """The centred form of a plain gradient at the given offsets: the formula of this file's head."""
    flat, field = gradient.weights.reshape(len(visible), -1), gradient.visible_bias.reshape(-1)
    weights = flat - visible[:, None] * gradient.hidden_bias - field[:, None] * hidden
    return gradient._replace(
        weights=weights.reshape(gradient.weights.shape),
        visible_bias=(field - jnp.matmul(weights, hidden, precision=EXACT)).reshape(gradient.visible_bias.shape),
        hidden_bias=gradient.hidden_bias - jnp.matmul(visible, weights, precision=EXACT),
    )


def _means(params: Any, rows: Float[Array, "batch d"]) -> tuple[Float[Array, " n_visible"], Float[Array, " n_hidden"]]:
    return jnp.mean(rows, axis=0), jnp.mean(jax.nn.sigmoid(params.hidden_logits(rows)), axis=0)
