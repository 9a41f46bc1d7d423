"""Layered models on an array, read from its rows for the hidden units and from its columns for the visible ones."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from aimc import aging
from aimc.devices.base import Level, static
from aimc.noise import normal
from aimc.program import program as write
from aimc.spec import CrossbarSpec
from ebm.analog.arrays import (
    ARRAYS,
    BIASES,
    READ,
    bordered,
    check_both_ways,
    check_choice,
    check_comparator,
    full_drive,
    read,
    stored,
    turned,
)
from ebm.analog.neuron import Neuron
from ebm.energies import units
from ebm.energies.gaussian import GaussianRbm
from ebm.energies.potts import PottsRbm
from ebm.energies.rbm import Rbm

FAMILIES = (Rbm, GaussianRbm, PottsRbm)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Chip:
    """A programmed machine: `model` has the parameters that were asked for; `forward` is driven from the visible side
    and `backward` from the hidden side, of one array or of two. `offsets`: errors of the thresholds of hidden and
    visible units, or None. `biases` are digital, or in cells of a line that is always driven."""

    model: Any
    forward: Any
    backward: Any
    offsets: Any
    neuron: Any
    arrays: str = static("one")
    biases: str = static("digital")

    @property
    def n_visible(self) -> int:
        """Units of the visible layer."""
        return self.model.n_visible

    @property
    def n_hidden(self) -> int:
        """Units of the hidden layer."""
        return self.model.n_hidden

    def hidden_sum(
        self, key: Key[Array, ""], visible: Float[Array, "*batch n_visible"]
    ) -> Float[Array, "*batch n_hidden"]:
        """The hidden units' sums, biases included: one read of the array, for which key is consumed."""
        model = self.model
        driven = visible * jnp.exp(-2 * model.log_sigma) if isinstance(model, GaussianRbm) else visible
        found = read(key, driven, self.forward, self.n_hidden)
        return found + model.hidden_bias if self.biases == "digital" else found

    def visible_sum(
        self, key: Key[Array, ""], hidden: Float[Array, "*batch n_hidden"]
    ) -> Float[Array, "*batch n_visible"]:
        """The same of the visible units."""
        found = read(key, hidden, self.backward, self.n_visible)
        return found + self.model.visible_bias.reshape(-1) if self.biases == "digital" else found

    def draw_hidden(
        self, key: Key[Array, ""], visible: Float[Array, "*batch n_visible"]
    ) -> Float[Array, "*batch n_hidden"]:
        """One read of the array and a decision a unit. Key is consumed; random: the read and the decisions."""
        x = self.hidden_sum(jax.random.fold_in(key, READ), visible)
        return self.neuron.draw(key, x, None if self.offsets is None else self.offsets[0])

    def draw_visible(
        self, key: Key[Array, ""], hidden: Float[Array, "*batch n_hidden"]
    ) -> Float[Array, "*batch n_visible"]:
        """The same from the hidden side. Units that are not bits (Gaussian, Potts) have their field read from the
        array, and are drawn from it digitally, exactly."""
        model = self.model
        field = self.visible_sum(jax.random.fold_in(key, READ), hidden)
        if isinstance(model, GaussianRbm):
            return units.gaussian(key, field, jnp.exp(model.log_sigma))
        if isinstance(model, PottsRbm):
            return units.categorical(key, field.reshape(*field.shape[:-1], *model.visible_bias.shape)).reshape(
                field.shape
            )
        return self.neuron.draw(key, field, None if self.offsets is None else self.offsets[1])


def program(
    key: Key[Array, ""],
    params: Any,
    spec: CrossbarSpec,
    neuron: Neuron | None = None,
    *,
    arrays: str = "one",
    biases: str = "digital",
) -> Chip:
    """Write the weights of a layered model into an array.

    `arrays`: "one" array is read from its rows and from its columns, each side with drivers and converters of its own,
    so that both layers see one W; "two" arrays hold W and its transpose, with errors of their own, and the chain is no
    longer reversible. Layers of bits drive their lines fully or not at all; real visible units pass the spec's inputs.
    `biases`: "digital" ones are added behind the converter, or set the threshold of a comparator, exactly; those in
    "cells" are a row, and of one array a column, that is always driven, with all errors of cells, and the largest of
    them counts where weights are scaled to cells.

    Random, and frozen in the chip: programming, stuck cells, errors of converters and of thresholds. Raises ValueError,
    naming the field, for what a spec cannot do: see `Neuron`, and below for one array.
    """
    neuron = Neuron() if neuron is None else neuron
    if not isinstance(params, FAMILIES):
        known = ", ".join(family.__name__ for family in FAMILIES)
        raise ValueError(f"params must be of a layered model, {known}, got {type(params).__name__}")
    check_choice(arrays, "arrays", ARRAYS)
    check_choice(biases, "biases", BIASES)
    is_one, in_cells = arrays == "one", biases == "cells"
    if neuron.kind == "comparator":
        if spec.inputs.encoding == "bit_serial" and isinstance(params, GaussianRbm):
            raise ValueError("neuron.kind='comparator' decides on one analog sum, and bit_serial inputs have several")
        # The hidden units drive the columns of the one array, or the rows of the second one.
        back = "cols" if is_one else "rows"
        check_comparator(spec, [("rows", params.n_visible + in_cells), (back, params.n_hidden + in_cells)])
    if is_one:
        check_both_ways(spec)
    forward_key, backward_key, offset_key = jax.random.split(key, 3)
    bits = replace(spec, inputs=full_drive(spec.inputs))
    weights = params.weights.reshape(params.n_visible, params.n_hidden)
    hidden_bias, visible_bias = (params.hidden_bias, params.visible_bias.reshape(-1)) if in_cells else (None, None)
    forward = write(
        forward_key,
        bordered(weights, hidden_bias, visible_bias if is_one else None),
        spec if isinstance(params, GaussianRbm) else bits,
    )
    if is_one:
        backward = turned(backward_key, forward, bits.inputs)
    else:
        backward = write(backward_key, bordered(weights.T, visible_bias, None), bits)
    offsets = None
    if neuron.offset_std is not None:
        hidden_key, visible_key = jax.random.split(offset_key)
        offsets = (
            neuron.offset_std * normal(hidden_key, (params.n_hidden,)),
            neuron.offset_std * normal(visible_key, (params.n_visible,)),
        )
    return Chip(
        model=params, forward=forward, backward=backward, offsets=offsets, neuron=neuron, arrays=arrays, biases=biases
    )


def age(key: Key[Array, ""], chip: Chip, seconds: Level) -> Chip:
    """The same chip `seconds` later (`aimc.age`); thresholds and converters do not age. Key is consumed."""
    forward_key, backward_key = jax.random.split(key)
    forward = aging.age(forward_key, chip.forward, seconds)
    if chip.arrays == "one":
        again = turned(backward_key, forward, chip.backward.spec.inputs)
        return replace(chip, forward=forward, backward=again._replace(errors=chip.backward.errors))
    return replace(chip, forward=forward, backward=aging.age(backward_key, chip.backward, seconds))


def written(chip: Chip) -> tuple[Float[Array, "n_visible n_hidden"], Float[Array, "n_visible n_hidden"]]:
    """The weights as a noiseless read of either side sees them, in the model's units; of one array both are equal."""
    n_visible, n_hidden = chip.n_visible, chip.n_hidden
    return stored(chip.forward)[:n_visible, :n_hidden], stored(chip.backward)[:n_hidden, :n_visible].T


def written_biases(chip: Chip) -> tuple[Float[Array, " n_hidden"], Float[Array, " n_visible"]]:
    """The hidden and the visible biases that the chip really has: asked for, or in its cells, less the errors of
    thresholds, which visible units that are not bits do not have."""
    hidden, visible = chip.model.hidden_bias, chip.model.visible_bias.reshape(-1)
    if chip.biases == "cells":
        hidden = stored(chip.forward)[chip.n_visible, : chip.n_hidden]
        visible = stored(chip.backward)[chip.n_hidden, : chip.n_visible]
    if chip.offsets is None:
        return hidden, visible
    return hidden - chip.offsets[0], visible - chip.offsets[1] if isinstance(chip.model, Rbm) else visible


def field_std(
    key: Key[Array, ""], chip: Chip, visible: Float[Array, "n n_visible"], *, n_reads: int = 256
) -> Float[Array, "n n_hidden"]:
    """Standard deviation of the hidden sums from read to read, measured with `n_reads` reads of every row.

    Where it differs from row to row the noise is no temperature. It errs by 1 / √(2 n_reads) of itself.
    """
    reads = jax.vmap(lambda read_key: chip.hidden_sum(read_key, visible))(jax.random.split(key, n_reads))
    return jnp.std(reads, axis=0, ddof=1)
