"""Convolution: patches of the input drive the rows."""

from collections.abc import Sequence
from itertools import product
from math import prod

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from aimc.nn.base import AnalogLayer
from aimc.spec import CrossbarSpec

Padding = str | int | Sequence[int | tuple[int, int]]


class AnalogConv(AnalogLayer):
    """Convolution over 1 to 3 axes with channels last, as `nnx.Conv`, the sums on arrays; `AnalogLayer` says what noise
    means.

    A matrix has a row for each tap and input channel and a column for each output channel; each output position is one
    read, driven by its patch. `groups` of channels are matrices on arrays of their own, so depthwise kernels leave
    arrays almost empty. `padding`: SAME, VALID, CIRCULAR, REFLECT, CAUSAL (one axis), a number, or one or a pair an
    axis.
    Raises ValueError for sizes that do not fit each other.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel_size: Sequence[int],
        spec: CrossbarSpec,
        *,
        rngs: nnx.Rngs,
        strides: int | Sequence[int] = 1,
        padding: Padding = "SAME",
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        use_bias: bool = True,
        analog_bias: bool = False,
    ) -> None:
        self.n_in, self.n_out, self.kernel_size, self.groups = n_in, n_out, tuple(kernel_size), groups
        rank = len(self.kernel_size)
        if not 1 <= rank <= 3:
            raise ValueError(f"kernel_size must have 1 to 3 axes, got {self.kernel_size}")
        if n_in % groups or n_out % groups:
            raise ValueError(f"groups must divide n_in={n_in} and n_out={n_out}, got {groups}")
        self.strides, self.dilation = _each("strides", strides, rank), _each("dilation", dilation, rank)
        self.padding = nnx.static(_padding(padding, rank))
        fan_in = prod(self.kernel_size) * (n_in // groups)
        kernel = jax.random.normal(rngs.params(), (*self.kernel_size, n_in // groups, n_out)) * fan_in**-0.5
        bias = jnp.zeros(n_out) if use_bias else None
        self._set_up(kernel, bias, spec, rngs, analog_bias=analog_bias)

    @property
    def n_groups(self) -> int | None:
        """Groups of channels, None for one."""
        return self.groups if self.groups > 1 else None

    def weights(self, kernel: Array) -> Float[Array, "*groups n_in n_out"]:
        """Taps and input channels flattened; output channels cut into groups."""
        w = kernel.reshape(-1, self.n_out)
        return w if self.groups == 1 else jnp.moveaxis(w.reshape(w.shape[0], self.groups, -1), 1, 0)

    def bias_of_groups(self, bias: Array) -> Float[Array, "*groups n_out"]:
        """The bias, cut into groups."""
        return bias if self.groups == 1 else bias.reshape(self.groups, -1)

    def __call__(
        self, x: Float[Array, "..."], out_sharding: jax.sharding.Sharding | None = None
    ) -> Float[Array, "..."]:
        rank = len(self.kernel_size)
        if x.ndim < rank + 1 or x.shape[-1] != self.n_in:
            raise ValueError(f"x must be (*batch, {rank} axes, {self.n_in} channels), got shape {x.shape}")
        taps = patches(x, self.kernel_size, self.strides, self.padding, self.dilation)
        *batch, n_taps, n_in = taps.shape
        if self.groups == 1:
            y = self.product(taps.reshape(*batch, n_taps * n_in))
        else:
            grouped = jnp.moveaxis(taps.reshape(*batch, n_taps, self.groups, n_in // self.groups), -2, -3)
            y = self.product(grouped.reshape(*batch, self.groups, -1)).reshape(*batch, self.n_out)
        y = self.add_bias(y)
        return y if out_sharding is None else jax.lax.with_sharding_constraint(y, out_sharding)


def patches(
    x: Float[Array, "..."],
    kernel_size: tuple[int, ...],
    strides: tuple[int, ...],
    padding: str | tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
) -> Float[Array, "..."]:
    """(*batch, *spatial, channels) → (*batch, *positions, taps, channels), taps in the order of a kernel's entries.

    Slices and one stack: XLA's own patch extraction is a convolution with an identity and far slower on a CPU.
    """
    rank = len(kernel_size)
    first = x.ndim - rank - 1
    reach = [(k - 1) * d for k, d in zip(kernel_size, dilation, strict=True)]
    spatial = x.shape[first:-1]
    mode = "constant"
    if padding == "SAME":
        over = [max(0, (-(-n // s) - 1) * s + r + 1 - n) for n, s, r in zip(spatial, strides, reach, strict=True)]
        sides = [(o // 2, o - o // 2) for o in over]
    elif padding in ("CIRCULAR", "REFLECT"):
        sides, mode = [(r // 2, r - r // 2) for r in reach], {"CIRCULAR": "wrap", "REFLECT": "reflect"}[str(padding)]
    elif padding == "CAUSAL":
        sides = [(reach[0], 0)]
    elif padding == "VALID":
        sides = [(0, 0)] * rank
    else:
        sides = [(int(low), int(high)) for low, high in padding]
    x = jnp.pad(x, [(0, 0)] * first + sides + [(0, 0)], mode=mode)
    count = [(n - r - 1) // s + 1 for n, r, s in zip(x.shape[first:-1], reach, strides, strict=True)]
    if min(count) < 1:
        raise ValueError(f"x must be at least as large as the kernel, got {spatial} for reach {[r + 1 for r in reach]}")
    taps = []
    for tap in product(*map(range, kernel_size)):
        start = [t * d for t, d in zip(tap, dilation, strict=True)]
        window = [slice(a, a + (c - 1) * s + 1, s) for a, c, s in zip(start, count, strides, strict=True)]
        taps.append(x[(..., *window, slice(None))])
    return jnp.stack(taps, axis=-2)


def _each(name: str, value: int | Sequence[int], rank: int) -> tuple[int, ...]:
    found = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(found) != rank or min(found) < 1:
        raise ValueError(f"{name} must be a number of at least 1, or one for each of {rank} axes, got {value!r}")
    return found


def _padding(padding: Padding, rank: int) -> str | tuple[tuple[int, int], ...]:
    if isinstance(padding, str):
        allowed = ("SAME", "VALID", "CIRCULAR", "REFLECT", *(("CAUSAL",) if rank == 1 else ()))
        if padding not in allowed:
            raise ValueError(f"padding must be one of {', '.join(allowed)} or numbers, got {padding!r}")
        return padding
    if isinstance(padding, int):
        return ((padding, padding),) * rank
    if len(padding) != rank:
        raise ValueError(f"padding must have an entry for each of {rank} axes, got {padding!r}")
    return tuple((side, side) if isinstance(side, int) else (int(side[0]), int(side[1])) for side in padding)
