"""From an analog sum to a unit: converter and digital sigmoid, or a comparator that decides by its own noise."""

from dataclasses import dataclass
from math import pi, sqrt

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from aimc.devices.base import Level, static
from aimc.noise import normal, random_bits
from ebm.energies import units

SIGMOID_NOISE = 1.702
"""The s for which Φ(x/s) is closest to the sigmoid: they differ by 0.0095 at most (the D of item response theory)."""

NUMBERS = (int, float, np.floating)
KINDS = ("adc", "comparator")


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Neuron:
    """How the sum x of a column, bias included, becomes a unit in {0, 1}.

    * "adc": the sum is converted as the spec's readout does it, and the digital side draws 1 with probability
      sigmoid(gain · x). `random_bits`: bits of its random number, None for those of a float32 (23); the probability
      is rounded to that many, an error of at most 2^-(bits + 1).
    * "comparator": 1 where x + n > 0, n Gaussian of standard deviation `noise` (units of x) and drawn by physics: a
      p-bit, P(1) = Φ(x / noise). It decides on the analog sum, so the spec has no converter and all inputs fit on its
      rows.

    `offset_std`: standard deviation of a frozen error of every unit's threshold, in units of x; None for none.
    Raises ValueError for another kind, bits outside 1 to 23, a gain or noise that is not positive, a negative
    `offset_std`, and a field that the kind does not have: a gain or random bits of a comparator, noise of an "adc"
    (that is the spec's). Numbers are checked; traced values pass.
    """

    kind: str = static("adc")
    gain: Level = 1.0
    random_bits: Level | None = None
    noise: Level = SIGMOID_NOISE
    offset_std: Level | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"neuron.kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if isinstance(self.random_bits, int | float) and not 1 <= self.random_bits <= 23:
            raise ValueError(
                f"neuron.random_bits must be from 1 to 23, or None for those of a float32, got {self.random_bits}"
            )
        for name in ("gain", "noise"):
            if isinstance(value := getattr(self, name), NUMBERS) and not 0 < value < float("inf"):
                raise ValueError(f"neuron.{name} must be a positive number, got {value}")
        if isinstance(self.offset_std, NUMBERS) and not 0 <= self.offset_std < float("inf"):
            raise ValueError(f"neuron.offset_std must be at least 0, or None for no errors, got {self.offset_std}")
        if self.kind == "comparator" and self.random_bits is not None:
            raise ValueError(
                "neuron.random_bits are those of a digital sigmoid, and kind='comparator' decides by physical noise; "
                "leave it None"
            )
        if self.kind == "comparator" and isinstance(self.gain, NUMBERS) and self.gain != 1.0:
            raise ValueError(
                f"neuron.gain is that of a digital sigmoid, which kind='comparator' does not have, got {self.gain}; "
                "set noise, of which it would be the inverse"
            )
        if self.kind == "adc" and isinstance(self.noise, NUMBERS) and self.noise != SIGMOID_NOISE:
            raise ValueError(
                f"neuron.noise is that of kind='comparator', got {self.noise} for 'adc'; noise before the converter is "
                "the spec's readout.noise"
            )

    def draw(
        self, key: Key[Array, ""], x: Float[Array, "*batch n"], offsets: Float[Array, " n"] | None
    ) -> Float[Array, "*batch n"]:
        """Units in {0, 1} for sums x; one random number a unit. Key is consumed."""
        if offsets is not None:
            x = x - offsets
        if self.kind == "comparator":
            return (x + self.noise * normal(key, x.shape) > 0).astype(x.dtype)
        logits = self.gain * x
        if self.random_bits is None:
            return units.bernoulli(key, logits)
        levels = jnp.round(jnp.exp2(jnp.asarray(self.random_bits, x.dtype)))
        number = jnp.floor((random_bits(key, x.shape) >> 9).astype(x.dtype) * (levels * np.float32(2.0**-23)))
        return (number < jnp.round(jax.nn.sigmoid(logits) * levels)).astype(x.dtype)


def effective_beta(read_std: Level, neuron: Neuron) -> Level:
    """The inverse temperature at which an ideal machine is closest to one whose sums have Gaussian noise `read_std`.

    "adc": gain / √(1 + π (gain σ)² / 8), MacKay's (1992) approximation of a sigmoid smeared by a Gaussian, which is
    within 0.005 of it up to gain σ = 1 and within 0.015 up to 4. "comparator": 1.702 / √(noise² + σ²); the two noises
    make one Gaussian exactly, and its Φ is within 0.0095 of the sigmoid.
    """
    if neuron.kind == "comparator":
        return SIGMOID_NOISE / (neuron.noise**2 + read_std**2) ** 0.5
    return neuron.gain / (1.0 + (pi / 8.0) * (neuron.gain * read_std) ** 2) ** 0.5


def restoring_gain(read_std: float) -> float:
    """The digital gain for which `effective_beta` is 1 again: 1 / √(1 − π σ² / 8).

    Raises ValueError for noise of √(8/π) = 1.6 and more, which no gain undoes, since it is amplified too.
    """
    left = 1.0 - pi / 8.0 * read_std**2
    if not left > 0.0:
        raise ValueError(
            f"read_std must be below {sqrt(8.0 / pi):.3f} for a gain to restore the temperature, got {read_std}"
        )
    return left**-0.5
