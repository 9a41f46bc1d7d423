"""What the command asks of a family of models, and of a model once its size is known."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Array, Key

from ebm import ais, hardware, rules
from ebm.chip_law import OwnLaw
from ebm.data import Kind, Rows
from ebm.hardware import Hardware
from ebm.models.settings import DEFAULTS, Settings

OPTIONS = ("graph", "layers", "units", "sampler", "step_size")
"""Settings that describe some families only."""


@runtime_checkable
class OnArray(Protocol):
    """A law whose couplings may be written into a simulated array; a chip then takes the parameters' place."""

    def program(self, key: Key[Array, ""], params: Any, chosen: Hardware, /) -> Any:
        """A chip with these parameters. Key is consumed."""
        ...

    def written(self, chip: Any, /) -> tuple["Law", Any]:
        """What it really holds: parameters, and the law that they are of."""
        ...

    def is_still(self, key: Key[Array, ""], chip: Any, state: Any, /) -> bool:
        """Whether it is the model of what it holds: reads at these states add nothing. Key is consumed by the reads."""
        ...

    def tempered(self, params: Any, beta: float, /) -> Any:
        """Parameters of the law exp(-beta E); None where noise is no temperature, as of units that are not bits."""
        ...

    def own(self, key: Key[Array, ""], chip: Any, rows: Any, state: Any, n_sweeps: int, /) -> OwnLaw | None:
        """The likelihood of rows under the chip's own law, from below, by further sweeps of stationary chains; None
        where no bound is known. Key is consumed."""
        ...


@runtime_checkable
class Law(Protocol):
    """A model of known family and size: how it starts, learns, is sampled and measured, parameters being arguments.

    Hashable, and the same object for the same settings, so that what is compiled for it is found again. `params` are
    those of the energy alone, `state` chains of its sampler, rows the values of the data unless they are `encode`d. A
    `machine` samples: parameters are the ideal one, and a chip may take their place.
    """

    @property
    def kind(self) -> Kind:
        """What a row holds."""
        ...

    def init(self, key: Key[Array, ""], rows: Rows, /) -> Any:
        """Parameters before the first step. Key is consumed."""
        ...

    def rule(self, settings: Settings, sigma: float, /) -> rules.Rule:
        """The learning rule; `sigma` is the standard deviation of the data."""
        ...

    def encode(self, params: Any, rows: Any, /) -> Any:
        """Rows as the rule takes them."""
        ...

    def is_weight(self, params: Any, /) -> Any:
        """A tree of booleans like the parameters: which of them decay."""
        ...

    def start(self, key: Key[Array, ""], machine: Any, n: int, /) -> Any:
        """States of n independent chains that know nothing of the couplings. Key is consumed."""
        ...

    def sweeps(self, key: Key[Array, ""], machine: Any, state: Any, n: int, /) -> Any:
        """The states after n sweeps. Key is consumed."""
        ...

    def visible(self, params: Any, state: Any, /) -> Array:
        """The rows that the chains show."""
        ...

    def energy(self, params: Any, state: Any, /) -> Array:
        """Minus log p of each chain's state, up to a constant."""
        ...

    def fields(self, params: Any, state: Any, /) -> tuple[Any, Any] | None:
        """Units in {0, 1} or {-1, 1}, and their log odds given all others; None where no unit has two values."""
        ...

    def n_enumerated(self, params: Any, /) -> int | None:
        """Two-valued units that log Z sums over; None where it is no sum."""
        ...

    def log_partition(self, params: Any, /) -> float:
        """log Z by that sum."""
        ...

    def log_alone(self, params: Any, /) -> float:
        """log Z of the law of encoded rows without couplings or network."""
        ...

    def log_likelihood(self, params: Any, rows: Any, log_z: float, /) -> Any:
        """log p of each row in float64; None where the hidden units of a row cannot be summed out."""
        ...

    def bounds(self, key: Key[Array, ""], params: Any, rows: Any, train: Rows, /, **options: Any) -> ais.Sandwich:
        """Of the mean log-likelihood of rows, annealed from units independent as in the rows of `train`.

        `options` are those of `ais.log_likelihood`. Key is consumed.
        """
        ...

    def filters(self, params: Any, /) -> tuple[str, Any]:
        """A title, and the rows to draw as pictures under it."""
        ...

    def facts(self) -> dict[str, Any]:
        """What the record of a run keeps of it beside the settings, because a file says it."""
        ...

    def words(self) -> str:
        """Its size."""
        ...


@dataclass(frozen=True, kw_only=True)
class Family:
    """One value of `--model`: what it takes, and the law that settings make of it for rows of a number of columns.

    `rules` and `kinds` are those allowed, the first kind the default; `options` the settings of `OPTIONS` that it
    reads. `law` is called once `check` has passed.
    """

    name: str
    kinds: tuple[Kind, ...]
    rules: tuple[str, ...]
    law: Callable[[Settings, int], Law]
    options: tuple[str, ...] = ()
    least_hidden: int = 1
    is_centrable: bool = False
    learns_on_array: bool = False
    check_own: Callable[[Settings], None] = lambda settings: None  # what this family alone refuses

    def check(self, settings: Settings) -> None:
        """Raise ValueError for settings that say what this family does not have."""
        for name in OPTIONS:
            if name not in self.options and getattr(settings, name) != getattr(DEFAULTS, name):
                raise ValueError(f"{name} does not describe model {self.name!r}; leave it out")
        if settings.units not in (None, *self.kinds):
            raise ValueError(f"units must be {' or '.join(self.kinds)}, got {settings.units!r}")
        if settings.hidden < self.least_hidden:
            raise ValueError(f"hidden must be at least {self.least_hidden}, got {settings.hidden}")
        if settings.layers < 1:
            raise ValueError(f"layers must be at least 1, got {settings.layers}")
        if not 0 < settings.step_size <= 1:
            raise ValueError(f"step_size must be above 0 and at most 1, got {settings.step_size}")
        self.check_own(settings)

    def kind(self, settings: Settings) -> Kind:
        """What a row holds."""
        return next(kind for kind in self.kinds if settings.units in (None, kind))


def on_array(law: Law) -> OnArray:
    """The law itself, if it can be written into an array. Raises ValueError otherwise."""
    if not isinstance(law, OnArray):
        raise ValueError(f"an array holds couplings of layers or of a graph, not a network of {law.words()}; name none")
    return law


def machine(law: Law, key: Key[Array, ""], params: Any, chosen: Hardware) -> Any:
    """What samples: the parameters themselves where no array is named, else a chip. Key is consumed.

    Raises ValueError where an array is named that cannot be, or for a law that none can hold.
    """
    hardware.check(chosen)
    return params if chosen.array is None else on_array(law).program(key, params, chosen)
