"""A layered model whose couplings live on an analog array: a machine that draws its layers with the array's errors.

`program` writes the weights once, with whatever the cells, stuck cells and write-verify of an `aimc.CrossbarSpec` do to
them; the `Chip` it returns is sampled, trained on and evaluated like ideal parameters. Biases are digital: they are
added behind the converter, or set the threshold of a comparator, exactly.

Static errors (quantised weights, programming error, stuck cells) make another Boltzmann machine, the one whose
weights are `written(chip)`. Fresh noise of constant strength is a temperature, to a good approximation
(`effective_beta`). Noise that depends on the state, converters, and two arrays that disagree are neither: then the
chain has a law of its own.
"""

from dataclasses import dataclass, replace
from math import pi, sqrt
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from aimc import aging
from aimc.devices.base import Level, static
from aimc.inputs import Inputs
from aimc.mapping import row_tiles
from aimc.matmul import mvm
from aimc.noise import normal, random_bits
from aimc.program import Side, State, settle
from aimc.program import program as write
from aimc.readout.base import Readout
from aimc.spec import CrossbarSpec
from ebm.energies import units
from ebm.energies.gaussian import GaussianRbm
from ebm.energies.potts import PottsRbm
from ebm.energies.rbm import Rbm

SIGMOID_NOISE = 1.702
"""The s for which Φ(x/s) is closest to the sigmoid: they differ by 0.0095 at most (the D of item response theory)."""

NUMBERS = (int, float, np.floating)
KINDS = ("adc", "comparator")
ARRAYS = ("one", "two")
FAMILIES = (Rbm, GaussianRbm, PottsRbm)
READ = np.uint32(2**32 - 1)
"""Folded into the key of a draw, it makes the key of the read before it: a block of Threefry's that no draw of fewer
than 2³² units reaches, so that the draw itself takes the numbers that the ideal machine takes."""


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


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Chip:
    """A programmed machine: `model` has the biases, and the weights that were asked for; `forward` is driven from the
    visible side and `backward` from the hidden side, of one array or of two. `offsets`: errors of the thresholds of
    hidden and visible units, or None."""

    model: Any
    forward: Any
    backward: Any
    offsets: Any
    neuron: Any
    arrays: str = static("one")

    @property
    def n_visible(self) -> int:
        """Units of the visible layer."""
        return self.model.n_visible

    @property
    def n_hidden(self) -> int:
        """Units of the hidden layer."""
        return self.model.n_hidden

    def draw_hidden(
        self, key: Key[Array, ""], visible: Float[Array, "*batch n_visible"]
    ) -> Float[Array, "*batch n_hidden"]:
        """One read of the array and a decision a unit. Key is consumed; random: the read and the decisions."""
        x = _sum(key, _drive(self.model, visible), self.forward) + self.model.hidden_bias
        return self.neuron.draw(key, x, None if self.offsets is None else self.offsets[0])

    def draw_visible(
        self, key: Key[Array, ""], hidden: Float[Array, "*batch n_hidden"]
    ) -> Float[Array, "*batch n_visible"]:
        """The same from the hidden side. Units that are not bits (Gaussian, Potts) have their field read from the
        array, and are drawn from it digitally, exactly."""
        model = self.model
        field = _sum(key, hidden, self.backward) + model.visible_bias.reshape(-1)
        if isinstance(model, GaussianRbm):
            return units.gaussian(key, field, jnp.exp(model.log_sigma))
        if isinstance(model, PottsRbm):
            return units.categorical(key, field.reshape(*field.shape[:-1], *model.visible_bias.shape)).reshape(
                field.shape
            )
        return self.neuron.draw(key, field, None if self.offsets is None else self.offsets[1])


def program(
    key: Key[Array, ""], params: Any, spec: CrossbarSpec, neuron: Neuron | None = None, *, arrays: str = "one"
) -> Chip:
    """Write the weights of a layered model into an array.

    `arrays`: "one" array is read from its rows and from its columns, each side with drivers and converters of its own,
    so that both layers see one W; "two" arrays hold W and its transpose, with errors of their own, and the chain is no
    longer reversible. Layers of bits drive their lines fully or not at all; real visible units pass the spec's inputs.

    Random, and frozen in the chip: programming, stuck cells, errors of converters and of thresholds. Raises ValueError,
    naming the field, for what a spec cannot do: see `Neuron`, and below for one array.
    """
    neuron = Neuron() if neuron is None else neuron
    if not isinstance(params, FAMILIES):
        known = ", ".join(family.__name__ for family in FAMILIES)
        raise ValueError(f"params must be of a layered model, {known}, got {type(params).__name__}")
    if arrays not in ARRAYS:
        raise ValueError(f"arrays must be one of {', '.join(ARRAYS)}, got {arrays!r}")
    if neuron.kind == "comparator":
        _check_comparator(params, spec, arrays)
    if arrays == "one":
        _check_both_ways(spec)
    forward_key, backward_key, offset_key = jax.random.split(key, 3)
    bits = replace(spec, inputs=_one_bit(spec.inputs))
    weights = params.weights.reshape(params.n_visible, params.n_hidden)
    forward = write(forward_key, weights, spec if isinstance(params, GaussianRbm) else bits)
    is_one = arrays == "one"
    backward = _turned(backward_key, forward, bits.inputs) if is_one else write(backward_key, weights.T, bits)
    offsets = None
    if neuron.offset_std is not None:
        hidden_key, visible_key = jax.random.split(offset_key)
        offsets = (
            neuron.offset_std * normal(hidden_key, (params.n_hidden,)),
            neuron.offset_std * normal(visible_key, (params.n_visible,)),
        )
    return Chip(model=params, forward=forward, backward=backward, offsets=offsets, neuron=neuron, arrays=arrays)


def age(key: Key[Array, ""], chip: Chip, seconds: Level) -> Chip:
    """The same chip `seconds` later (`aimc.age`); thresholds and converters do not age. Key is consumed."""
    forward_key, backward_key = jax.random.split(key)
    forward = aging.age(forward_key, chip.forward, seconds)
    if chip.arrays == "one":
        turned = _turned(backward_key, forward, chip.backward.spec.inputs)
        return replace(chip, forward=forward, backward=turned._replace(errors=chip.backward.errors))
    return replace(chip, forward=forward, backward=aging.age(backward_key, chip.backward, seconds))


def written(chip: Chip) -> tuple[Float[Array, "n_visible n_hidden"], Float[Array, "n_visible n_hidden"]]:
    """The weights as a noiseless read of either side sees them, in the model's units; of one array both are equal.

    Thresholds are not in it: with `Chip.offsets` a unit's bias is what was asked for minus its offset.
    """
    return _weights(chip.forward), _weights(chip.backward).T


def field_std(
    key: Key[Array, ""], chip: Chip, visible: Float[Array, "n n_visible"], *, n_reads: int = 256
) -> Float[Array, "n n_hidden"]:
    """Standard deviation of the array's part of the hidden sums, measured with `n_reads` reads of every row.

    Where it differs from row to row the noise is no temperature. It errs by 1 / √(2 n_reads) of itself.
    """
    driven = _drive(chip.model, visible)
    reads = jax.vmap(lambda read_key: mvm(read_key, driven, chip.forward))(jax.random.split(key, n_reads))
    return jnp.std(reads, axis=0, ddof=1)


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


def _drive(model: Any, visible: Array) -> Array:
    """What the couplings multiply in the hidden units' log odds."""
    return visible * jnp.exp(-2 * model.log_sigma) if isinstance(model, GaussianRbm) else visible


def _sum(key: Key[Array, ""], inputs: Array, array: State) -> Array:
    return mvm(jax.random.fold_in(key, READ), inputs, array)


def _one_bit(inputs: Inputs) -> Inputs:
    is_serial = inputs.encoding == "bit_serial"
    return replace(inputs, range=1.0, bits=2 if is_serial else inputs.bits, n_levels=3.0 if is_serial else None)


def _check_comparator(params: Any, spec: CrossbarSpec, arrays: str) -> None:
    if type(spec.readout) is not Readout:
        raise ValueError(
            f"neuron.kind='comparator' decides on the analog sum, which readout={type(spec.readout).__name__} converts "
            "before it; build the spec with adc_bits=None"
        )
    if spec.mapping.n_slices > 1 or spec.mapping.encoding == "offset_digital":
        raise ValueError(
            "neuron.kind='comparator' decides on one analog sum, and mapping.n_slices > 1 or encoding='offset_digital' "
            "needs digital additions; use one slice of pairs"
        )
    if spec.inputs.encoding == "bit_serial" and isinstance(params, GaussianRbm):
        raise ValueError("neuron.kind='comparator' decides on one analog sum, and bit_serial inputs have several")
    # The hidden units drive the columns of the one array, or the rows of the second one.
    back = ("cols", params.n_hidden, spec.cols) if arrays == "one" else ("rows", params.n_hidden, spec.rows)
    for side, n, lines in (("rows", params.n_visible, spec.rows), back):
        if n > lines:
            raise ValueError(
                f"neuron.kind='comparator' decides on one analog sum, so {side} must hold all {n} inputs, got {lines}"
            )


def _check_both_ways(spec: CrossbarSpec) -> None:
    mapping = spec.mapping
    for found, what in (
        (mapping.n_slices > 1, f"mapping.n_slices={mapping.n_slices}"),
        (mapping.scaling != "tensor", f"mapping.scaling={mapping.scaling!r}"),
        (mapping.encoding == "offset_column", "mapping.encoding='offset_column'"),
        (spec.wiring is not None, "wiring"),
    ):
        if found:
            raise ValueError(
                f"arrays='one' reads the same cells from their columns, where {what} has no meaning; use arrays='two'"
            )


def _turned(key: Key[Array, ""], state: State, inputs: Inputs) -> State:
    """The same cells with rows and columns exchanged: driven from their columns, read at their rows.

    Only the readouts at the rows are new; random: what they are built with.
    """
    n_in, n_out = state.extent.shape[0], state.g.shape[-1]
    spec = replace(state.spec, rows=state.spec.cols, cols=state.spec.rows, inputs=inputs)
    n_tiles, n_row = row_tiles(n_out, spec.rows)

    def turn(cells: Array) -> Array:
        flat = jnp.swapaxes(cells.reshape(-1, *cells.shape[2:])[:n_in], 0, 1)
        padded = jnp.pad(flat, [(0, n_tiles * n_row - n_out)] + [(0, 0)] * (flat.ndim - 1))
        return padded.reshape(n_tiles, n_row, *flat.shape[1:])

    g = turn(state.g)
    settled = settle(
        state._replace(
            g=g,
            sides=tuple(Side(*jax.tree.map(turn, tuple(side))) for side in state.sides),
            read_variance=None,
            shared_variance=None,
            errors=spec.readout.fabricate(key, (n_tiles, n_in)),
            n_writes=jnp.zeros_like(state.n_writes),
            n_cycles=jnp.zeros_like(state.n_cycles),
            extent=jnp.ones(n_out, bool),
            spec=spec,
        )
    )
    return settled._replace(g=g)  # the same to the last bit, where cells that were settled anew could round otherwise


def _weights(state: State) -> Array:
    n_in, n_slices = state.extent.shape[0], state.scale.shape[0]
    g = state.g.reshape(-1, n_slices, state.g.shape[-1] // n_slices)[:n_in]
    if state.spec.mapping.encoding == "offset_digital":
        g = g - 0.5 * (1.0 + state.spec.device.g_min)
    return jnp.sum(g * state.scale, axis=1)
