"""What training lowers: scalar functions whose gradient in the parameters is the learning rule."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Params = TypeVar("Params")


def contrastive(
    energy: Callable[[Params, Float[Array, "n d"]], Float[Array, " n"]],
    params: Params,
    data: Float[Array, "n_data d"],
    samples: Float[Array, "n_samples d"],
) -> Float[Array, ""]:
    """Mean energy of the data minus mean energy of samples of the model.

    When the samples follow the model, the gradient is that of the mean negative log-likelihood, whatever the
    energy (for a latent-variable model pass the free energy). The samples are constants: no gradient goes
    through the sampler. Chains that go on from step to step make it persistent contrastive divergence
    (Tieleman 2008); chains started at the data make it CD-k (Hinton 2002). The value itself is not a
    likelihood; it runs away when the chains cease to resemble the data.
    """
    samples = jax.lax.stop_gradient(samples)
    return jnp.mean(energy(params, data)) - jnp.mean(energy(params, samples))
