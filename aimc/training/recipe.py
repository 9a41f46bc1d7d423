"""Hyper-parameters of training, and sets of them by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import optax
from flax import nnx

from aimc.nn.modifiers import Modifier, check
from aimc.nn.protocols import rasch2023
from aimc.nn.ranges import METHODS
from aimc.readout.base import check_choice


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """How the ranges of layers are found on the first batches before training: see `aimc.nn.calibrate`."""

    inputs: str | None = "percentile"
    outputs: str | None = None
    percent: float = 99.9
    deviations: float = 3.0
    learn: bool = False
    """Whether the ranges then train with the weights."""
    batches: int = 10

    def __post_init__(self) -> None:
        for name, allowed in (("inputs", METHODS[:3]), ("outputs", METHODS)):
            if getattr(self, name) is not None:
                check_choice(f"ranges.{name}", getattr(self, name), allowed)
        if self.batches < 1:
            raise ValueError(f"ranges.batches must be at least 1, got {self.batches}")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained, digital or on arrays. Raises ValueError for numbers that cannot be."""

    steps: int = 1000
    batch: int = 64
    optimizer: str = "adamw"
    """adamw, or sgd with `momentum`."""
    learning_rate: float = 3e-3
    momentum: float = 0.9
    warmup: int = 0
    """Steps in which the learning rate rises from zero."""
    decay: str = "cosine"
    """How the learning rate goes on: along a cosine to zero, or constant."""
    weight_decay: float = 1e-3
    """Of kernels and embeddings, decoupled from the gradient (Loshchilov and Hutter 2019)."""
    gradient_clip: float | None = None
    """Largest norm of the gradient of all parameters together."""
    weight_clip: float | None = None
    """Kernels are cut at so many of their standard deviations after each step (Joshi et al. 2020)."""
    modifier: Modifier | None = None
    """What training does to the weights besides the array's own noise, its levels kept as floats: a recipe is static,
    another level another program. None: what the layers' own modifiers do, if they have any (`aimc.nn.modify`)."""
    ramp: int = 0
    """Steps in which the modifier's scale rises from 0 to 1."""
    deploy_per_step: bool = True
    """Arrays are written once a step, however often the step reads them; else before every read of a layer."""
    ranges: Ranges | None = None
    """How the ranges of layers on arrays are found before training; None: as the arrays have them."""
    validate_every: int = 0
    """Steps between two looks at the validation part, of which the best state is kept; 0: the last state is kept."""

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch", 1), ("warmup", 0), ("ramp", 0), ("validate_every", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name in ("learning_rate", "gradient_clip", "weight_clip"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name} must be a finite number above 0, got {value!r}")
        if not 0 <= self.weight_decay < float("inf"):
            raise ValueError(f"weight_decay must be a finite number of at least 0, got {self.weight_decay!r}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must lie in [0, 1), got {self.momentum!r}")
        check_choice("optimizer", self.optimizer, ("adamw", "sgd"))
        check_choice("decay", self.decay, ("cosine", "constant"))
        if self.modifier is not None:
            check(self.modifier)
            object.__setattr__(self, "modifier", jax.tree.map(float, self.modifier))

    def transformation(self) -> optax.GradientTransformation:
        """What turns gradients into changes of the parameters."""
        if self.decay == "cosine":
            rate = optax.warmup_cosine_decay_schedule(
                0.0 if self.warmup else self.learning_rate,
                self.learning_rate,
                self.warmup,
                max(self.steps, self.warmup + 1),
            )
        else:
            rate = optax.warmup_constant_schedule(
                0.0 if self.warmup else self.learning_rate, self.learning_rate, self.warmup
            )
        if self.optimizer == "adamw":
            follow = optax.adamw(rate, weight_decay=self.weight_decay, mask=is_decayed)
        else:
            follow = optax.chain(
                optax.trace(self.momentum),
                optax.add_decayed_weights(self.weight_decay, mask=is_decayed),
                optax.scale_by_learning_rate(rate),
            )
        return (
            follow if self.gradient_clip is None else optax.chain(optax.clip_by_global_norm(self.gradient_clip), follow)
        )


def from_json(content: Mapping[str, Any]) -> Recipe:
    """The recipe whose fields, those of its parts too, are `content` (`dataclasses.asdict`). Raises TypeError
    for fields that no recipe has."""
    parts: dict[str, Any] = {
        name: None if content[name] is None else kind(**content[name])
        for name, kind in (("modifier", Modifier), ("ranges", Ranges))
    }
    return Recipe(**{**content, **parts})


def is_decayed(parameters: nnx.State) -> nnx.State:
    """Which parameters weight decay acts on: not on biases, normalisation and ranges."""
    return nnx.map_state(lambda path, _: path[-1] in ("kernel", "embedding"), parameters)


def _rasch2023() -> Recipe:
    protocol = rasch2023()
    ranges = Ranges(**protocol.ranges, batches=protocol.range_batches)
    return Recipe(learning_rate=6e-3, modifier=protocol.modifier, ramp=300, ranges=ranges)


RECIPES: dict[str, Recipe] = {
    "digital": Recipe(),
    "noise_aware": Recipe(learning_rate=6e-3, weight_clip=2.0),
    "rasch2023": _rasch2023(),
}
"""`digital`: no regard to arrays. `noise_aware`: on arrays that err as they are (Joshi et al. 2020), weights clipped;
rate and clip as `aimc.digits.NOISE_AWARE`, chosen on the validation part of the digits. `rasch2023`: the modifier and
the learned ranges of `aimc.nn.rasch2023`, for its array; the optimiser and the length of the ramp are ours."""
