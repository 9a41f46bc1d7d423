"""Hyper-parameters of training, and sets of them by name."""

from dataclasses import dataclass
from typing import Literal

import optax
from flax import nnx

from aimc.nn.modifiers import Modifier, check
from aimc.readout.base import check_choice

RANGES = ("percentile", "std", "max")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained, digital or on arrays. Raises ValueError for numbers that cannot be."""

    steps: int = 1000
    batch: int = 64
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 3e-3
    momentum: float = 0.9
    """Of sgd."""
    warmup: int = 0
    """Steps in which the learning rate rises from zero."""
    decay: Literal["cosine", "constant"] = "cosine"
    """Whether the learning rate then falls to zero or stays."""
    weight_decay: float = 1e-3
    """Of kernels and embeddings, decoupled from the gradient (Loshchilov and Hutter 2019)."""
    gradient_clip: float | None = None
    """Largest norm of the gradient of all parameters together."""
    weight_clip: float | None = None
    """Kernels are cut at so many of their standard deviations after each step (Joshi et al. 2020)."""
    modifier: Modifier | None = None
    """What training does to the weights besides the array's own noise."""
    ramp: int = 0
    """Steps in which the modifier's scale rises from 0 to 1."""
    deploy_per_step: bool = True
    """Arrays are written once a step, however often the step reads them; else before every read of a layer."""
    input_range: Literal["percentile", "std", "max"] | None = None
    """How the ranges of the inputs are found before training (`aimc.nn.calibrate`); None: as the array has them."""
    learn_ranges: bool = False
    """Ranges found so are where learning starts."""
    calibration_batches: int = 10
    validate_every: int = 0
    """Steps between two looks at the validation part, of which the best state is kept; 0: the last state is kept."""

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch", 1), ("warmup", 0), ("ramp", 0), ("validate_every", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.calibration_batches < 1:
            raise ValueError(f"calibration_batches must be at least 1, got {self.calibration_batches}")
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
        if self.input_range is not None:
            check_choice("input_range", self.input_range, RANGES)
        elif self.learn_ranges:
            raise ValueError("learn_ranges needs an input_range to start from, one of " + ", ".join(RANGES))
        if self.modifier is not None:
            check(self.modifier)

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


def is_decayed(parameters: nnx.State) -> nnx.State:
    """Which parameters weight decay acts on: not on biases, normalisation and ranges."""
    return nnx.map_state(lambda path, _: path[-1] in ("kernel", "embedding"), parameters)


RECIPES: dict[str, Recipe] = {
    "digital": Recipe(),
    "noise_aware": Recipe(learning_rate=6e-3, weight_clip=2.0, deploy_per_step=True),
}
"""`digital`: no regard to arrays. `noise_aware`: on arrays that err as they are (Joshi et al. 2020), weights clipped;
as `aimc.digits.NOISE_AWARE`, chosen on the validation part of the digits."""
