"""The linear layer."""

from collections.abc import Sequence
from math import prod

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from aimc.nn.base import AnalogLayer
from aimc.spec import CrossbarSpec


class AnalogLinear(AnalogLayer):
    """y = x @ kernel + bias, the product on arrays; `AnalogLayer` says what noise means.

    `n_in`, `n_out`: features, or tuples of them, in which case all axes `axis` of x are summed over, as in
    `nnx.LinearGeneral`. `analog_bias`: the bias is a row of the array, always driven, instead of a digital addition.
    Raises ValueError where the readout leaves no place for a digital bias.
    """

    def __init__(
        self,
        n_in: int | Sequence[int],
        n_out: int | Sequence[int],
        spec: CrossbarSpec,
        *,
        rngs: nnx.Rngs,
        axis: int | Sequence[int] = -1,
        use_bias: bool = True,
        analog_bias: bool = False,
    ) -> None:
        self.n_in, self.n_out, self.axis = _tuple(n_in), _tuple(n_out), _tuple(axis)
        if len(self.axis) != len(self.n_in):
            raise ValueError(f"axis must name an axis for each of n_in={self.n_in}, got {self.axis}")
        shape = (prod(self.n_in), prod(self.n_out))
        kernel = nnx.initializers.lecun_normal()(rngs.params(), shape, jnp.float32)
        bias = jnp.zeros(self.n_out) if use_bias else None
        self._set_up(kernel.reshape(*self.n_in, *self.n_out), bias, spec, rngs, analog_bias=analog_bias)

    def weights(self, kernel: Array) -> Float[Array, "n_in n_out"]:
        """The kernel, its input axes flattened, its output axes flattened."""
        return kernel.reshape(prod(self.n_in), prod(self.n_out))

    def bias_of_groups(self, bias: Array) -> Float[Array, " n_out"]:
        """The bias, flattened."""
        return bias.reshape(-1)

    def __call__(
        self, x: Float[Array, "..."], out_sharding: jax.sharding.Sharding | None = None
    ) -> Float[Array, "..."]:
        axes = tuple(a % x.ndim for a in self.axis)
        if tuple(x.shape[a] for a in axes) != self.n_in:
            raise ValueError(f"x must have {self.n_in} entries along axis {self.axis}, got shape {x.shape}")
        rest = [a for a in range(x.ndim) if a not in axes]
        x = x.transpose(*rest, *axes)
        batch = x.shape[: len(rest)]
        y = self.product(x.reshape(*batch, prod(self.n_in)))
        y = self.add_bias(y.reshape(*batch, *self.n_out))
        return y if out_sharding is None else jax.lax.with_sharding_constraint(y, out_sharding)


def _tuple(value: int | Sequence[int]) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else tuple(value)
