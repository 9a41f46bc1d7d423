"""What training does to the weights at every step besides the array's own noise, so that networks learn to bear it."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float, Key

from aimc import noise
from aimc.devices.base import Level, static
from aimc.mapping import SCALINGS, column_scale
from aimc.noise import normal, uniform
from aimc.program import program
from aimc.readout.adc import quantize
from aimc.readout.base import check_bits, check_choice, straight_through
from aimc.spec import CrossbarSpec


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Modifier:
    """Disturbances of the weights in training, drawn anew at every write; None is one that does not exist.

    With w_max the largest |w| of the "column" or of the whole "tensor" (`relative_to`), in this order:

    * `n_levels`: w is rounded to so many equidistant codes on ±w_max, 2**bits − 1 of them;
    * `bit_drop`: |w|/w_max as a binary number of `bits` − 1 places behind the sign; each place is cleared with this
      probability, on its own: mean w − p c, variance p (1 − p) Σ of squares of the set places, c their sum. Places
      beyond the last are kept, so probability 0 changes nothing;
    * `sigma`: Gaussian noise of standard deviation `sigma` w_max is added (Joshi et al. 2020; `ADD_NORMAL` of IBM
      aihwkit);
    * `programming`: so many times the error that programming the layer's own cells would make, after write-verify
      if there is one, is added (for phase-change cells the polynomial of Rasch et al. 2023). The array that is
      then written errs once more, so that the total is √(1 + programming²) times that error;
    * `drop_connect`: weights are set to zero with this probability (Wan et al. 2013), the others not enlarged.

    They are weights like any others to the array, whose scale is then that of the largest of them. `scale` multiplies
    `bit_drop`, `sigma`, `programming` and `drop_connect`: ramp it up as training goes on
    (`aimc.nn.set_modifier_scale`). All levels of a layer's modifier are data: other values do not compile again, but in
    a `Recipe`, which is static. The gradient reaches the clean weight straight through: to it all of this is a
    constant, which where weights or bits are dropped is not quite the slope of the expected loss. Raises ValueError for
    choices that cannot exist.
    """

    n_levels: Level | None = None
    bit_drop: Level | None = None
    sigma: Level | None = None
    programming: Level | None = None
    drop_connect: Level | None = None
    scale: Level = 1.0
    relative_to: str = static("column")
    bits: int = static(8)

    def __post_init__(self) -> None:
        check_choice("relative_to", self.relative_to, SCALINGS)
        check_bits("bits", self.bits)


def modified(
    key: Key[Array, ""], w: Float[Array, "n_in n_out"], modifier: Modifier, spec: CrossbarSpec
) -> Float[Array, "n_in n_out"]:
    """The weights as training writes them into an array of `spec`. Random: all of it; key is consumed.

    The derivative with respect to `w` is 1.
    """
    clean = jax.lax.stop_gradient(w)
    w_max = column_scale(clean, modifier.relative_to)
    # The same, but 0 where all weights are zero, which get no noise.
    reach = jnp.max(jnp.abs(clean), axis=0 if modifier.relative_to == "column" else None)
    scale = modifier.scale
    changed = clean
    bit_key, noise_key, write_key, drop_key = jax.random.split(_cheap(key), 4)
    if modifier.n_levels is not None:
        changed = quantize(changed * (1.0 / w_max), modifier.n_levels, w_max)
    if modifier.bit_drop is not None:
        changed = changed - _dropped_bits(bit_key, changed / w_max, modifier.bits, scale * modifier.bit_drop) * w_max
    if modifier.sigma is not None:
        changed = changed + (scale * modifier.sigma * reach) * normal(noise_key, w.shape)
    if modifier.programming is not None:
        changed = changed + (scale * modifier.programming) * programming_error(write_key, clean, spec)
    if modifier.drop_connect is not None:
        changed = jnp.where(uniform(drop_key, w.shape) < scale * modifier.drop_connect, 0.0, changed)
    return straight_through(changed, w)


def programming_error(
    key: Key[Array, ""], w: Float[Array, "n_in n_out"], spec: CrossbarSpec
) -> Float[Array, "n_in n_out"]:
    """What cells of `spec` hold less what they were asked to, as weights: no stuck cells, no wires. Random: all of
    it."""
    state = program(key, w, replace(spec, wiring=None, faults=None))
    slices = state.g.reshape(-1, len(state.scale), w.shape[1]) * state.scale
    return jnp.sum(slices, axis=1)[: w.shape[0]] - w


def _cheap(key: Key[Array, ""]) -> Key[Array, ""]:
    """A key of the generator that costs least, where there is it: one number a weight and step is what training on
    arrays mostly costs beside its products. Independent of what else is drawn from `key`, which is consumed."""
    if noise.define_prng_impl is None or jax.random.key_impl(key) == noise.HASH:
        return key
    return jax.random.wrap_key_data(jax.random.bits(key, (2,), jnp.uint32), impl=noise.HASH)


def _dropped_bits(key: Key[Array, ""], w: Array, bits: int, probability: Level) -> Array:
    """The part of w in [−1, 1] that lies in places that are cleared."""
    top = 2 ** (bits - 1)
    code = jnp.floor(jnp.minimum(jnp.abs(w) * top, top - 1)).astype(jnp.int32)
    dropped = jnp.zeros_like(w)
    for place, place_key in enumerate(jax.random.split(key, bits - 1)):
        is_lost = uniform(place_key, w.shape) < probability
        dropped = dropped + jnp.where(is_lost, (code & (1 << place)).astype(w.dtype), 0.0)
    return jnp.sign(w) * dropped / top


def check(modifier: Modifier) -> None:
    """Raise ValueError for a level that cannot be; not part of the constructor, which jax also calls."""
    bounds = {"bit_drop": (0, 1), "drop_connect": (0, 1), "n_levels": (3, 2**16)}
    for name in ("n_levels", "bit_drop", "sigma", "programming", "drop_connect", "scale"):
        level: Any = getattr(modifier, name)
        least, most = bounds.get(name, (0, float("inf")))
        if level is not None and not isinstance(level, Tracer) and not least <= float(level) <= most:
            raise ValueError(f"modifier.{name} must be a number from {least} to {most}, got {level!r}")
