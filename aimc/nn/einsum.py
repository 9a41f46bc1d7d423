"""Any contraction of inputs with one kernel."""

from collections.abc import Sequence
from math import prod

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from aimc.nn.base import AnalogLayer
from aimc.spec import CrossbarSpec


class AnalogEinsum(AnalogLayer):
    """y = einsum(equation, x, kernel) + bias with the sum on arrays, as `nnx.Einsum`; `AnalogLayer` says what noise
    means.

    Of the kernel's letters, those that x has and y has not are the rows of a matrix, those that only y has its columns;
    letters of all three count matrices on arrays of their own. x and y may hold an ellipsis. The bias has the shape of
    the kernel's axes that y has, in the order of y.
    Raises ValueError for an equation that is no such contraction.
    """

    def __init__(
        self,
        equation: str,
        kernel_shape: Sequence[int],
        spec: CrossbarSpec,
        *,
        rngs: nnx.Rngs,
        use_bias: bool = False,
        analog_bias: bool = False,
    ) -> None:
        self.equation = equation.replace(" ", "")
        self.kernel_shape = tuple(kernel_shape)
        x, w, y = _parse(self.equation)
        if len(w) != len(self.kernel_shape):
            raise ValueError(f"kernel_shape must have a size for each letter of {w!r}, got {self.kernel_shape}")
        self.shared = "".join(a for a in w if a in x and a in y)
        self.summed = "".join(a for a in w if a in x and a not in y)
        self.made = "".join(a for a in w if a not in x)
        size = dict(zip(w, self.kernel_shape, strict=True))
        self.size = nnx.static(tuple(size.items()))
        fan_in = prod(size[a] for a in self.summed)
        kernel = jax.random.normal(rngs.params(), self.kernel_shape, jnp.float32) * fan_in**-0.5
        bias = jnp.zeros([size[a] for a in y if a in w]) if use_bias else None
        self._set_up(kernel, bias, spec, rngs, analog_bias=analog_bias)

    @property
    def n_groups(self) -> int | None:
        """Entries of the letters that all three share."""
        size = dict(self.size)
        return prod(size[a] for a in self.shared) if self.shared else None

    def weights(self, kernel: Array) -> Float[Array, "*groups n_in n_out"]:
        """The kernel's axes sorted into groups, rows and columns."""
        _, w, _ = _parse(self.equation)
        size = dict(self.size)
        kernel = kernel.transpose([w.index(a) for a in self.shared + self.summed + self.made])
        groups = () if self.n_groups is None else (self.n_groups,)
        return kernel.reshape(*groups, prod(size[a] for a in self.summed), prod(size[a] for a in self.made))

    def bias_of_groups(self, bias: Array) -> Float[Array, "*groups n_out"]:
        """The bias's axes sorted into groups and columns."""
        _, w, y = _parse(self.equation)
        own = [a for a in y if a in w]
        groups = () if self.n_groups is None else (self.n_groups,)
        return bias.transpose([own.index(a) for a in self.shared + self.made]).reshape(*groups, -1)

    def __call__(
        self, x: Float[Array, "..."], out_sharding: jax.sharding.Sharding | None = None
    ) -> Float[Array, "..."]:
        terms, w, out = parse(self.equation, x.ndim)
        size = dict(self.size)
        free = "".join(a for a in terms if a not in w)
        x = x.transpose([terms.index(a) for a in free + self.shared + self.summed])
        batch = x.shape[: len(free)]
        groups = () if self.n_groups is None else (self.n_groups,)
        y = self.product(x.reshape(*batch, *groups, prod(size[a] for a in self.summed)))
        y = y.reshape(*batch, *[size[a] for a in self.shared + self.made])
        y = y.transpose([(free + self.shared + self.made).index(a) for a in out])
        y = self.add_bias(y, tuple(size[a] if a in w else 1 for a in out))
        return y if out_sharding is None else jax.lax.with_sharding_constraint(y, out_sharding)


def parse(equation: str, ndim: int) -> tuple[str, str, str]:
    """The letters of x (of `ndim` axes), of the kernel and of y, an ellipsis replaced by letters nobody writes.

    Raises ValueError for an equation that does not contract x with a kernel, or not this many axes.
    """
    x, w, y = _parse(equation.replace(" ", ""))
    n_more = ndim - len(x.replace("...", ""))
    if n_more < 0 or ("..." not in x and n_more > 0):
        raise ValueError(f"x must have the axes of {x!r} in {equation!r}, got {ndim} axes")
    more = "".join(chr(0x100 + i) for i in range(n_more))
    return x.replace("...", more), w, y.replace("...", more)


def _parse(equation: str) -> tuple[str, str, str]:
    """The letters as they are written."""
    left, arrow, y = equation.partition("->")
    x, comma, w = left.partition(",")
    letters = {part: part.replace("...", "") for part in (x, w, y)}
    is_whole = all(text.isalpha() and len(set(text)) == len(text) for text in letters.values())
    free = set(letters[x]) - set(letters[w])
    if not (
        arrow
        and comma
        and is_whole
        and "..." not in w
        and ("..." in x) == ("..." in y)
        and set(letters[y]) == free | (set(letters[w]) - (set(letters[x]) - set(letters[y])))
        and set(letters[x]) & set(letters[w]) - set(letters[y])
        and set(letters[w]) - set(letters[x])
    ):
        raise ValueError(
            "equation must contract x with a kernel, as in '...i,io->...o', every letter of x that is not summed and "
            f"every new letter of the kernel being in the result, got {equation!r}"
        )
    return x, w, y
