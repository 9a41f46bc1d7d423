"""How networks are trained for arrays, as published: the array, the modifier of weights, the ranges."""

from typing import Any, NamedTuple

from aimc import presets
from aimc.nn.modifiers import Modifier
from aimc.spec import CrossbarSpec


class Protocol(NamedTuple):
    """What noise-aware training needs beside an optimiser."""

    spec: CrossbarSpec
    modifier: Modifier
    """At full strength; its `scale` is ramped up."""
    ranges: dict[str, Any]
    """Arguments of `aimc.nn.calibrate`."""
    range_batches: int
    """Batches that ranges are calibrated on before they learn."""


def rasch2023(*, wires: bool = False, refold_every: int = 1) -> Protocol:
    """Hardware-aware training after Rasch et al., Nat. Commun. 14, 5282 (2023).

    `spec`: see `aimc.presets.rasch2023`. `ranges`: those of inputs start at 3 root mean squares over the first 100
    batches and are learned (`StandardHWATrainingPreset` of IBM aihwkit). `modifier`: programming error of the cells
    three times as large as it is, √8 times beside the array's own, and 1 % of connections dropped: assumptions, which
    that preset leaves to its user. What differs from there: ranges learn by the gradient of Esser et al. 2020 and not
    by a rule of signs and a decay, and scales of columns follow the largest weight and are not learned.
    """
    return Protocol(
        spec=presets.rasch2023(wires=wires, refold_every=refold_every),
        modifier=Modifier(programming=8.0**0.5, drop_connect=0.01),
        ranges={"inputs": "std", "deviations": 3.0, "learn": True},
        range_batches=100,
    )
