"""What training lowers: scalar functions whose gradient in the parameters is the learning rule."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

Params = TypeVar("Params")


def contrastive(
    energy: Callable[[Params, Array], Array],
    params: Params,
    data: Float[Array, "n_data ..."],
    samples: Float[Array, "n_samples ..."],
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


def denoising_score_matching(
    key: Key[Array, ""],
    energy: Callable[[Params, Array], Array],
    params: Params,
    data: Float[Array, "n ..."],
    sigma: float | Float[Array, ""],
) -> Float[Array, ""]:
    """sigma^2 / 2 times the mean squared error of the score at noisy data (Vincent 2011, equation 9).

    Noisy data is y = x + sigma z, z standard normal; the score -dE/dy should be -z / sigma. The factor sigma^2 keeps
    the value near d / 2 before learning, whatever sigma is. Key is consumed, one normal number a value.
    """
    z = jax.random.normal(key, data.shape)
    slope = jax.grad(lambda y: jnp.sum(energy(params, y)))(data + sigma * z)
    return 0.5 * jnp.sum((z - sigma * slope) ** 2) / len(data)


def noise_contrastive(
    data_log_ratio: Float[Array, " n_data"], noise_log_ratio: Float[Array, " n_noise"]
) -> Float[Array, ""]:
    """Mean logistic loss of telling data from noise (Gutmann & Hyvaerinen 2010, equation 8; their ratio nu as given).

    Takes log p_model(x) - log p_noise(x) at rows of data and at rows of noise; nu is n_noise / n_data, and the loss is
    counted per row of data. Lowest where p_model is the law of the data, constant included.
    """
    nu = len(noise_log_ratio) / len(data_log_ratio)
    is_data = jax.nn.softplus(jnp.log(nu) - data_log_ratio)
    is_noise = jax.nn.softplus(noise_log_ratio - jnp.log(nu))
    return jnp.mean(is_data) + nu * jnp.mean(is_noise)


def pseudo_log_likelihood(
    energy: Callable[[Params, Array], Array], params: Params, x: Float[Array, "n d"], *, spins: bool = False
) -> Float[Array, " n"]:
    """sum_i log p(x_i | all other units) of every row, in nats (Besag 1975).

    Units are 0 and 1, or -1 and 1 with `spins`. Costs one energy of every row with each of its d units flipped, one
    unit at a time, so memory stays that of one energy.
    """
    here = energy(params, x)

    @jax.checkpoint  # the backward pass works a flip out again rather than keep all d of them
    def body(total: Float[Array, " n"], i: Array) -> tuple[Float[Array, " n"], None]:
        flipped = x.at[:, i].set(-x[:, i] if spins else 1 - x[:, i])
        return total + jax.nn.log_sigmoid(energy(params, flipped) - here), None

    return jax.lax.scan(body, jnp.zeros_like(here), jnp.arange(x.shape[1]))[0]
