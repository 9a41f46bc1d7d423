"""Numbers onto word lines: amplitudes, pulse widths, or one bit after the other."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from aimc.devices.base import Level, static
from aimc.noise import normal
from aimc.readout.adc import quantize

ENCODINGS = ("amplitude", "pulse_width", "bit_serial")


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Inputs:
    """How a vector drives the rows.

    `encoding`:

    * "amplitude": a voltage in proportion; a cell's fresh noise δG adds x δG to the sum, of variance x² σ².
    * "pulse_width": a full voltage for a time in proportion. Noise that is white on that time scale is collected only
      while the pulse lasts: variance |x| σ², for the same σ at full input.
    * "bit_serial": sign and magnitude, one bit a read, weighed digitally by its power of two; `bits` includes the sign,
      so that bits − 1 reads follow each other, each with its own noise and its own conversion.

    `n_levels`: signed codes, 2**bits − 1 of them, so that zero is a code; None drives exactly. `bits` only counts for
    "bit_serial", which takes its codes from it. `range`: the input that drives a row fully; None scales every vector by
    its own largest entry. `noise`: standard deviation of what is added afresh to every row of every vector, as a
    fraction of full input: thermal noise of a voltage driver, edge jitter of a pulse (none where there is no pulse). It
    is common to all columns.
    """

    encoding: str = static("amplitude")
    bits: int = static(8)
    n_levels: Level | None = 255.0
    range: Level | None = None
    noise: Level | None = None

    def __post_init__(self) -> None:
        if self.encoding not in ENCODINGS:
            raise ValueError(f"inputs.encoding must be one of {', '.join(ENCODINGS)}, got {self.encoding!r}")
        if isinstance(self.bits, bool) or not isinstance(self.bits, int) or not 2 <= self.bits <= 16:
            raise ValueError(f"inputs.bits must be a whole number of bits from 2 to 16, got {self.bits!r}")
        if self.encoding == "bit_serial":
            if self.n_levels is None:
                raise ValueError("inputs.encoding='bit_serial' sends digits, so inputs.n_levels must not be None")
            if self.noise is not None:
                raise ValueError(
                    "inputs.encoding='bit_serial' drives rows fully or not at all and has no inputs.noise; leave it "
                    "None"
                )

    @property
    def n_planes(self) -> int:
        """Reads that one vector takes."""
        return self.bits - 1 if self.encoding == "bit_serial" else 1


def drive(
    key: Key[Array, ""], x: Float[Array, "*batch n"], inputs: Inputs
) -> tuple[Float[Array, "..."], Float[Array, "..."], Float[Array, "..."]]:
    """What the rows see, what the digital side knows of it, and the factor that takes results back to units of x.

    The first two have shape (*batch, n), with a leading axis of bit planes where there are several. Random: `noise`.
    Straight-through derivatives; the scale and the noise are constants to the gradient.
    """
    if inputs.range is None:
        largest = jnp.max(jnp.abs(x), axis=-1, keepdims=True)
        x_max = jax.lax.stop_gradient(jnp.where(largest > 0, largest, 1.0))
    else:
        x_max = jnp.asarray(inputs.range, x.dtype)
    known = x * (1.0 / x_max)
    if inputs.encoding == "bit_serial":
        known = _bit_planes(known, inputs.bits - 1)
    elif inputs.n_levels is not None:
        known = quantize(known, inputs.n_levels)
    if inputs.noise is None:
        return known, known, x_max
    noise = inputs.noise * normal(key, known.shape)
    if inputs.encoding == "pulse_width":
        noise = jnp.where(known == 0.0, 0.0, noise)
    return known + jax.lax.stop_gradient(noise), known, x_max


def plane_weights(inputs: Inputs) -> tuple[float, ...]:
    """What each bit plane counts for, largest first; they add up to 1."""
    total = 2**inputs.n_planes - 1
    return tuple(2 ** (inputs.n_planes - 1 - p) / total for p in range(inputs.n_planes))


def noise_weight(x: Float[Array, "*shape"], inputs: Inputs) -> Float[Array, "*shape"]:
    """By how much a cell's fresh variance counts at input x: x² for voltages, |x| for pulses."""
    return jnp.abs(x) if inputs.encoding == "pulse_width" else x * x


def _bit_planes(x: Array, n_planes: int) -> Array:
    """Signed binary digits of round(x (2ⁿ − 1)), most significant first: (n_planes, *batch, n) in {−1, 0, 1}."""
    code = jnp.round(jnp.clip(x, -1.0, 1.0) * (2**n_planes - 1)).astype(jnp.int32)
    shifts = jnp.arange(n_planes - 1, -1, -1, dtype=jnp.int32).reshape(-1, *[1] * x.ndim)
    digits = (jnp.abs(code) >> shifts) & 1
    planes = (jnp.sign(code) * digits).astype(x.dtype)
    # Straight through: Σ weight · plane = x on average, so every plane passes the derivative on unchanged.
    inside = jnp.where(jnp.abs(x) <= 1.0, x, jax.lax.stop_gradient(x))
    return planes + (inside - jax.lax.stop_gradient(inside))
