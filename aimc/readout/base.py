"""What every readout states about itself: analog sum in, number out."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
from jaxtyping import Array, Float, Int, Key

from aimc.counts import Counts
from aimc.devices.base import Level, static

# Loose at run time for the reason given at `Level`.
if TYPE_CHECKING:
    PerColumn = float | Float[Array, "..."]
else:
    PerColumn = Any
"""A level that may differ from column to column: a plain number, a scalar or (n_columns,)."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Readout:
    """What stands at the foot of every column; this one passes the analog sum on as it is, with no converter at all.

    A new readout subclasses it. The array gives it u, the sum of a column in units of `full_scale`, after the noise of
    the cells and the readout's own `noise` have been added. All methods are pure and can be traced; a key is consumed
    by one call.

    `full_scale`: the sum that is u = 1, in fully-on cells at full input. `noise`: standard deviation of the fresh
    Gaussian noise at the input, in the same unit; None for none.
    """

    full_scale: PerColumn = 10.0
    noise: Level | None = None
    evidence: str = static("assumption")
    source: str = static("definition")

    @property
    def is_linear(self) -> bool:
        """Whether results are proportional to the sum on average, inside the range; only such results of several
        tiles, slices or bit planes can be added digitally."""
        return True

    def fabricate(self, key: Key[Array, ""], shape: tuple[int, int]) -> Any:
        """Errors that a chip is built with: a pytree with leaves (n_tiles, n_columns, ...), or None. Random: all of it,
        frozen for the life of the array. `shape` is (n_tiles, n_columns)."""
        return None

    def read(
        self, key: Key[Array, ""], u: Float[Array, "*batch n_columns"], errors: Any, unit: Float[Array, "..."]
    ) -> Float[Array, "*batch n_columns"]:
        """The result as a number, `unit` being what u = 1 stands for (it broadcasts against u). `errors` are those of
        one tile, leaves (n_columns, ...). Random: decisions that are random beyond `noise`. Differentiable in u."""
        return u * unit

    def codes(
        self, key: Key[Array, ""], u: Float[Array, "*batch n_columns"], errors: Any, unit: PerColumn = 1.0
    ) -> Int[Array, "*batch n_columns"]:
        """The same result as the integer code that leaves the readout; `unit` matters to a readout that folds a
        function in. Raises ValueError where there is no code."""
        raise ValueError(f"{type(self).__name__} gives no codes; choose a readout that digitises")

    def counts(self, n: int) -> Counts:
        """What reading `n` columns once asks of the hardware."""
        return Counts()


@jax.custom_jvp
def straight_through(value: Float[Array, "*shape"], smooth: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """`value`, with the derivative of `smooth` (Bengio et al. 2013). Without a derivative `smooth` is not computed."""
    return value


@straight_through.defjvp
def _straight_through_jvp(primals, tangents):
    return straight_through(*primals), tangents[1]


def check_bits(name: str, bits: object, least: int = 2, most: int = 16) -> None:
    """Raises ValueError unless `bits` is a whole number from `least` to `most`."""
    if isinstance(bits, bool) or not isinstance(bits, int) or not least <= bits <= most:
        raise ValueError(f"{name} must be a whole number of bits from {least} to {most}, got {bits!r}")


def check_choice(name: str, choice: object, allowed: tuple[str, ...]) -> None:
    """Raises ValueError unless `choice` is one of `allowed`."""
    if choice not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {choice!r}")
