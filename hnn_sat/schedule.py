"""How long a search lasts, when it starts over, and how random it is."""

from collections.abc import Iterator
from dataclasses import dataclass

from hnn_sat.levels import NoiseLevel, as_level

LARGEST_FLIPS = 2**31 - 32  # iterations, and the ends of blocks of 32, are counted in 32-bit integers


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how randomly to search.

    max_flips (iterations, of which a rule may refuse some) and restart_after (a fresh random assignment every so many;
    None: never) are per replica. restarts: "fixed", or "luby": restart_after times 1, 1, 2, 1, 1, 2, 4, ... (Luby,
    Sinclair and Zuckerman 1993).
    noise: the level of the rule, a number or one of `hnn_sat.levels`; None is the rule's own. For WalkSAT it is the
    probability of a random variable when every variable of the clause breaks another clause: one half suits 3-SAT,
    longer clauses want less.
    Raises ValueError when a value cannot be meant.
    """

    max_flips: int = 1_000_000
    restart_after: int | None = None
    restarts: str = "fixed"
    noise: float | NoiseLevel | None = None
    replicas: int = 128

    def __post_init__(self) -> None:
        for name, least in (("max_flips", 0), ("restart_after", 1), ("replicas", 1)):
            value = getattr(self, name)
            if value is not None and not least <= value <= LARGEST_FLIPS:
                raise ValueError(f"Schedule.{name} must be from {least} to {LARGEST_FLIPS}, got {value}")
        if self.restarts not in ("fixed", "luby"):
            raise ValueError(f"Schedule.restarts must be fixed or luby, got {self.restarts!r}")
        if self.restarts == "luby" and self.restart_after is None:
            raise ValueError("Schedule.restarts must be fixed where restart_after, the unit of luby, is None")
        if self.noise is not None:
            as_level(self.noise, most=float("inf"))

    def ends(self) -> Iterator[int]:
        """The iterations at which runs end, one after the other, without end."""
        unit, end, i = self.restart_after or LARGEST_FLIPS, 0, 1
        while True:
            end += unit * (luby(i) if self.restarts == "luby" else 1)
            yield end
            i += 1


def luby(i: int) -> int:
    """Term i = 1, 2, ... of 1, 1, 2, 1, 1, 2, 4, 1, 1, 2, 1, 1, 2, 4, 8, ..."""
    while i & (i + 1):  # not 2^j - 1: the sequence repeats what stood before the last complete block
        i -= (1 << (i.bit_length() - 1)) - 1
    return (i + 1) >> 1
