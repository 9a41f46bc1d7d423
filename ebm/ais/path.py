"""What annealing asks of a path between independent units and a model."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Float, Key


class Completed(NamedTuple):
    """Positions of chains that start at rows of data, and log f of each row, exp(-E) with hidden units summed out.

    Where that is not known, bounds: `exp(lower)` is a weight of the position drawn, with f as its mean, and `upper` is
    log f or more in expectation; `again` is another estimate like it, independent of everything else: what the two
    differ by is their noise.
    """

    position: Array | np.ndarray
    lower: Float[np.ndarray, " n"]
    upper: Float[np.ndarray, " n"]
    again: Float[np.ndarray, " n"]


@runtime_checkable
class Path(Protocol):
    """A pytree that knows the unnormalised laws f_beta from independent units, beta = 0, to a model, 1.

    A state is what the path likes to carry, a pytree whose leading axis is that of chains.
    """

    def log_z_base(self) -> float: ...  # log of the sum or integral of f_0

    def draw(self, key: Key[Array, ""], n: int, /) -> Any: ...  # states of n independent draws of f_0

    def state(self, position: Array, /) -> Any: ...  # the states of chains at these positions

    def position(self, state: Any, /) -> Array: ...

    def increment(self, state: Any, end: Array, step: Array, /) -> Array: ...  # log f_end - log f_(end - step)

    def move(self, key: Key[Array, ""], state: Any, beta: Array, /) -> Any: ...  # by a kernel that leaves f_beta as is

    def complete(self, key: Key[Array, ""], rows: np.ndarray, betas: np.ndarray, /) -> Completed: ...
