"""Numbers of a command line that describe an analog machine, and the machine they make of a model's parameters."""

from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from aimc.devices.base import Level
from aimc.presets import preset
from aimc.spec import CrossbarSpec, crossbar, with_levels
from ebm import analog, coloring
from ebm.analog.arrays import check_choice, only_from_rows
from ebm.energies.boltzmann import Boltzmann, Graph
from ebm.samplers.gibbs import Machine

NEURONS = ("adc", "comparator")
MAX_ARRAYS = 136  # of a graph of 17 colours: more of them take minutes to compile


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """What a model is sampled on: nothing named, a digital computer; else the couplings on a simulated array."""

    array: str | None = None
    """A preset of `aimc presets`, or `plain`: cells described by the numbers below. Default: no array."""
    neuron: str = "adc"
    """`adc`: converter and digital sigmoid; `comparator`: a p-bit that decides on the analog sum by its noise."""
    read_noise: float | None = None
    """Standard deviation of a cell at a read, as a fraction of its largest conductance (plain array)."""
    write_noise: float | None = None
    """Programming error of a cell, the same unit (plain array)."""
    weight_bits: int | None = None
    """Resolution of the weights as they are sent to the array, sign included."""
    adc_bits: int | None = None
    """Resolution of the converters, sign included (plain array). Default: no rounding."""
    adc_range: float = 16.0
    """Largest sum that the converters of a plain array take, in fully-on cells."""
    random_bits: int | None = None
    """Bits of a random number that the sigmoid is compared with. Default: those of a float32."""
    biases: str = "digital"
    """`digital`: biases are exact; `cells`: they are cells of a line that is always driven, with their errors."""


def check(hardware: Hardware) -> None:
    """Raise ValueError for a machine that cannot be, naming the option."""
    named = ("read_noise", "write_noise", "weight_bits", "adc_bits", "random_bits")
    if hardware.array is None:
        given = [name for name in named if getattr(hardware, name) is not None]
        given += [
            name for name, default in (("neuron", "adc"), ("biases", "digital")) if getattr(hardware, name) != default
        ]
        if given:
            raise ValueError(f"{given[0]} describes an array, and none is named; add --array plain")
        return
    check_choice(hardware.biases, "biases", analog.BIASES)
    spec(hardware)
    if hardware.weight_bits is not None and not 2 <= hardware.weight_bits <= 16:
        raise ValueError(f"weight_bits must be from 2 to 16, sign included, got {hardware.weight_bits}")
    neuron(hardware)


def check_both_ways(hardware: Hardware) -> None:
    """Raise ValueError for an array whose cells cannot be read from their rows and from their columns."""
    what = only_from_rows(spec(hardware))
    if what is not None:
        raise ValueError(
            f"array {hardware.array!r} cannot hold this model, whose cells are read from their rows and from their "
            f"columns: {what} has no meaning there; take another --array"
        )


def spec(hardware: Hardware) -> CrossbarSpec:
    """The array. Raises ValueError for an unknown preset and for numbers that describe another array."""
    if hardware.array != "plain":
        for name in ("read_noise", "write_noise", "adc_bits"):
            if getattr(hardware, name) is not None:
                raise ValueError(f"{name} describes a plain array; {hardware.array!r} has its own, use --array plain")
        made = preset(str(hardware.array))
        return with_no_converter(made) if hardware.neuron == "comparator" else made
    if hardware.neuron == "comparator" and hardware.adc_bits is not None:
        raise ValueError("adc_bits describes a converter, which a comparator neuron does not have; leave it out")
    return crossbar(
        rows=4096,  # one tile: what tiling does is a matter of the presets
        cols=4096,
        dac_bits=None,
        adc_bits=hardware.adc_bits,
        adc_range=hardware.adc_range,
        read_noise=hardware.read_noise or 0.0,
        write_noise=hardware.write_noise or 0.0,
    )


def neuron(hardware: Hardware) -> analog.Neuron:
    """Its neurons."""
    if hardware.neuron not in NEURONS:
        raise ValueError(f"neuron must be one of {', '.join(NEURONS)}, got {hardware.neuron!r}")
    return analog.Neuron(kind=hardware.neuron, random_bits=hardware.random_bits)


def machine(key: Key[Array, ""], params: Any, hardware: Hardware) -> Machine:
    """The parameters themselves without an array, else a chip programmed with them; key is consumed."""
    if hardware.array is None:
        return params
    check_both_ways(hardware)
    asked = rounded(params, hardware.weight_bits, with_biases=hardware.biases == "cells")
    return analog.program(key, asked, spec(hardware), neuron(hardware), biases=hardware.biases)


def graph_machine(
    key: Key[Array, ""], structure: Graph, params: Boltzmann, hardware: Hardware
) -> Boltzmann | analog.GraphChip:
    """The same of a Boltzmann machine on a graph, one cell a coupling (two, where a comparator meets three colours or
    more, whose sums must come from one array)."""
    if hardware.array is None:
        return params
    asked = rounded(params, hardware.weight_bits, with_biases=hardware.biases == "cells")
    classes = coloring.color(structure)
    arrays = "two" if hardware.neuron == "comparator" and len(classes) > 2 else "one"
    if arrays == "one":
        check_both_ways(hardware)
        n_arrays = len(classes) * (len(classes) - 1) // 2
        if n_arrays > MAX_ARRAYS:
            raise ValueError(
                f"a graph of {len(classes)} colours needs {n_arrays:,} arrays, one for each pair of colours, and at "
                f"most {MAX_ARRAYS} are simulated; take a graph of fewer colours: grid, king or chimera"
            )
    elif len(classes) > MAX_ARRAYS:
        raise ValueError(
            f"a graph of {len(classes)} colours needs as many arrays of comparators, and at most {MAX_ARRAYS} are "
            "simulated; take a graph of fewer colours: grid, king or chimera"
        )
    return analog.program_graph(
        key, structure, asked, spec(hardware), neuron(hardware), arrays=arrays, biases=hardware.biases, classes=classes
    )


def written_params(chip: Machine) -> Any:
    """The ideal machine whose weights and biases are those that a chip really holds, errors of thresholds included; of
    an ideal machine, itself.

    Of two arrays the side that is driven by the visible units.
    """
    if not isinstance(chip, analog.Chip):
        return chip
    weights, _ = analog.written(chip)
    hidden, visible = analog.written_biases(chip)
    model = chip.model
    return model._replace(
        weights=weights.reshape(model.weights.shape),
        hidden_bias=hidden,
        visible_bias=visible.reshape(model.visible_bias.shape),
    )


def rounded(params: Any, bits: Level | None, *, with_biases: bool = False) -> Any:
    """Weights or couplings rounded to 2^bits - 1 evenly spaced values up to the largest, biases with them if asked;
    `bits` may be traced."""
    if bits is None:
        return params
    half = jnp.exp2(jnp.asarray(bits, jnp.float32) - 1.0) - 1.0
    chosen = ("weights", "couplings", *(("visible_bias", "hidden_bias", "bias") if with_biases else ()))
    values = {name: getattr(params, name) for name in chosen if hasattr(params, name)}
    largest = jnp.max(jnp.stack([jnp.max(jnp.abs(value)) for value in values.values()]))
    step = jnp.where(largest > 0, largest, 1.0) / half
    return params._replace(**{name: jnp.round(value / step) * step for name, value in values.items()})


def noisy(read_noise: Level, write_noise: Level, adc_levels: Float[Array, ""] | None, adc_range: float) -> CrossbarSpec:
    """A plain array whose levels may be traced, for sweeps: one compiled program for all of them."""
    base = crossbar(rows=4096, cols=4096, dac_bits=None, adc_range=adc_range, read_noise=1.0, write_noise=1.0)
    return with_levels(base, read_noise=read_noise, write_noise=write_noise, adc_levels=adc_levels)


def with_no_converter(array: CrossbarSpec) -> CrossbarSpec:
    """The same array read by comparators: full scale and noise of its converter stay, its rounding goes."""
    from aimc.readout.base import Readout

    return replace(array, readout=Readout(full_scale=array.readout.full_scale, noise=array.readout.noise))
