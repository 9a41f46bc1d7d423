"""Which rows a step of training takes."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key


def order(key: Key[Array, ""], first: Int[Array, ""] | int, n_steps: int, n_rows: int, batch: int) -> Int[Array, "n b"]:
    """The rows of `n_steps` batches from step `first` on: a function of key and the number of the step alone.

    Every epoch has a random order of its own, whose last incomplete batch is left out.
    """
    own = jax.random.fold_in(key, 0)  # a run has other uses of its key
    per_epoch = n_rows // batch
    n_epochs = (n_steps + per_epoch - 2) // per_epoch + 1  # that n_steps can touch
    epoch = first // per_epoch

    def one(epoch: Array) -> Array:
        return jax.random.permutation(jax.random.fold_in(own, epoch), n_rows)[: per_epoch * batch]

    batches = jax.vmap(one)(epoch + jnp.arange(n_epochs)).reshape(n_epochs * per_epoch, batch)
    return jax.lax.dynamic_slice_in_dim(batches, first - epoch * per_epoch, n_steps)
