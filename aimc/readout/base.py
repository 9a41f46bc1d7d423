"""What every readout states about itself: analog sum in, number out."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
from jaxtyping import Array, Float, Int, Key

from aimc.counts import Counts
from aimc.devices.base import Level, static


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

    full_scale: Level = 10.0
    noise: Level | None = None
    evidence: str = static("assumption")
    source: str = static("definition")

    is_linear: ClassVar[bool] = True
    """Whether results are proportional to the sum on average, inside the range; only such results of several tiles,
    slices or bit planes can be added digitally."""

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
        self, key: Key[Array, ""], u: Float[Array, "*batch n_columns"], errors: Any
    ) -> Int[Array, "*batch n_columns"]:
        """The same result as the integer code that leaves the readout. Raises ValueError where there is no code."""
        raise ValueError(f"{type(self).__name__} gives no codes; choose a readout that digitises")

    def counts(self, n: int) -> Counts:
        """What reading `n` columns once asks of the hardware."""
        return Counts()
