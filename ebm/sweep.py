"""What an analog machine does to a trained RBM: likelihood, temperature and mixing against noise and bits.

Two arms at every point of the grid. *Ideal-trained*: the weights as they are, written into a chip. *In the loop*:
training goes on from them with that machine in the negative phase, programmed anew at every step, and the result is
written into a chip like the first. Randomness is shared between points that differ in a level only.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key

from aimc import sweep
from aimc.spec import check_level
from ebm import analog, diagnostics, hardware, rules, train
from ebm.data import Rows
from ebm.energies.rbm import Rbm
from ebm.likelihood import log_likelihood
from ebm.samplers import gibbs

if TYPE_CHECKING:
    import xarray

ARMS = ("ideal_trained", "in_the_loop")
METRICS = {"log_likelihood": "nats a row", "beta_eff": "1", "tau_int": "sweeps", "tau_int_at_least": "sweeps"}
WIDE_BITS = 24  # a resolution that rounds to nothing a float32 could tell


class Training(NamedTuple):
    """Of the arm in the loop: Adam on a cosine that ends at zero."""

    steps: int = 2000
    learning_rate: float = 0.01
    batch: int = 128
    chains: int = 128
    gibbs_steps: int = 10


class Sampling(NamedTuple):
    """Of every chip: chains, sweeps before and while looking. tau_int is nan where it exceeds sweeps / 50."""

    chains: int = 256
    burn_in: int = 200
    sweeps: int = 500


TRAINING = Training()
SAMPLING = Sampling()


def noise_sweep(
    params: Rbm,
    train_rows: Rows,
    rows: Rows,
    *,
    read_noise: Sequence[float],
    write_noise: Sequence[float],
    weight_bits: Sequence[int],
    adc_bits: Sequence[int],
    chips: int,
    seed: int,
    neuron: analog.Neuron | None = None,
    adc_range: float = 16.0,
    training: Training = TRAINING,
    sampling: Sampling = SAMPLING,
    what: Mapping[str, Any] | None = None,
    store: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> "xarray.Dataset":
    """Both arms over read noise x write noise x weight bits x ADC bits x chips, by `aimc.sweep.run`.

    Noise is a cell's standard deviation in units of its largest conductance; bits include the sign. The likelihood is
    the exact one, on `rows`, of the Boltzmann machine nearest to the chip: weights as written, at the temperature of
    the chip's samples, which is not the law of the chip itself unless its errors stand still (no read noise, 24-bit
    converters, digital neurons: then at temperature 1). `what` names model and data in the store's identity.
    Raises ValueError for levels, bits or counts that cannot exist, and where `store` belongs to another sweep.
    """
    for name, values in (("read_noise", read_noise), ("write_noise", write_noise)):
        for value in values:
            check_level(value, name)
    for name, bits in (("weight_bits", weight_bits), ("adc_bits", adc_bits)):
        for value in bits:
            if not 2 <= value <= WIDE_BITS:
                raise ValueError(f"{name} must be from 2 to {WIDE_BITS}, sign included, got {value}")
    for name, value in (("chips", chips), ("steps", training.steps)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    chosen = analog.Neuron() if neuron is None else neuron
    if chosen.kind == "comparator" and len(adc_bits) > 1:
        raise ValueError("adc_bits describes a converter, which a comparator neuron does not have; give one value")
    axes = {
        "read_noise": [float(value) for value in read_noise],
        "write_noise": [float(value) for value in write_noise],
        "weight_bits": list(weight_bits),
        "adc_bits": list(adc_bits),
        "seed": range(chips),
    }
    data = jnp.asarray(train_rows, jnp.float32)
    optimizer = optax.adam(optax.cosine_decay_schedule(training.learning_rate, training.steps))

    def point(
        key: Array, read_noise: Array, write_noise: Array, weight_bits: Array, adc_bits: Array, seed: Array
    ) -> dict[str, Array]:
        spec = hardware.noisy(read_noise, write_noise, jnp.exp2(adc_bits.astype(jnp.float32)) - 1.0, adc_range)
        if chosen.kind == "comparator":
            spec = hardware.with_no_converter(spec)

        def machine(program_key: Key[Array, ""], asked: Any) -> analog.Chip:
            return analog.program(program_key, hardware.rounded(asked, weight_bits), spec, chosen)

        # Without noise and rounding the chip is a Boltzmann machine at its own temperature, and a fitted one would only
        # add its error. (Sums beyond adc_range, which clip, are not looked for.)
        is_still = (read_noise == 0) & (adc_bits >= WIDE_BITS) & (chosen.kind == "adc") & (chosen.random_bits is None)
        train_key, chip_key, sample_key = jax.random.split(key, 3)
        rule = rules.Contrastive(chains=training.chains, gibbs_steps=training.gibbs_steps, machine=machine)
        state = train.init(train_key, params, data, rule=rule, optimizer=optimizer)
        state, _ = train.advance(
            state, data, n_steps=training.steps, rule=rule, optimizer=optimizer, batch=training.batch
        )
        found = {}
        for arm, learnt in zip(ARMS, (params, state.params), strict=True):
            measured = _measure(sample_key, machine(chip_key, learnt), rows, sampling, is_still)
            found |= {f"{arm}_{name}": value for name, value in zip(METRICS, measured, strict=True)}
        return found

    names = [f"{arm}_{name}" for arm in ARMS for name in METRICS]
    return sweep.run(
        point,
        axes,
        seed=seed,
        store=store,
        spec={
            "study": "RBM on a noisy array: likelihood, temperature, mixing",
            "training": training._asdict(),
            "sampling": sampling._asdict(),
            "neuron": {"kind": chosen.kind}
            | {
                name: None if (value := getattr(chosen, name)) is None else float(jnp.asarray(value))
                for name in ("gain", "random_bits", "noise", "offset_std")
            },
            "adc_range": adc_range,
            **(what or {}),
        },
        units={"read_noise": "fraction of g_max", "write_noise": "fraction of g_max", "weight_bits": "bit"}
        | {"adc_bits": "bit"}
        | {
            name: METRICS[name.split("_", 2)[2] if name.startswith("ideal") else name.split("_", 3)[3]]
            for name in names
        },
        sources=dict.fromkeys(names, "simulated here"),
        chunk=1,
        progress=progress,
    )


def _measure(
    key: Key[Array, ""], chip: analog.Chip, rows: Rows, sampling: Sampling, is_still: Array
) -> tuple[Array, ...]:
    """The metrics of one chip; what is not sampling is worked out on the host, in float64."""
    written = hardware.written_params(chip)
    start_key, burn_key, sweep_key = jax.random.split(key, 3)
    chains = gibbs.sweeps(burn_key, chip, gibbs.init(start_key, chip, sampling.chains), sampling.burn_in)

    def body(state: gibbs.Chains, step_key: Key[Array, ""]) -> tuple[gibbs.Chains, Float[Array, " n_chains"]]:
        moved = gibbs.step(step_key, chip, state)
        return moved, written.free_energy(moved.visible)

    chains, series = jax.lax.scan(body, chains, jax.random.split(sweep_key, sampling.sweeps))
    units = jnp.concatenate([chains.hidden, chains.visible], axis=1)
    fields = jnp.concatenate([written.hidden_logits(chains.visible), written.visible_field(chains.hidden)], axis=1)

    def on_host(*arrays: Any) -> tuple[np.ndarray, ...]:
        # NumPy only: a computation of JAX inside a callback may wait for the one that called it.
        units, fields, series, still, *leaves = (np.asarray(array) for array in arrays)
        beta = diagnostics.beta_eff(units, fields).value
        tau = diagnostics.tau_int(series.T)
        value = np.nan
        taken = 1.0 if still else beta
        if np.isfinite(taken) and taken > 0:
            scaled: list[Any] = [taken * leaf.astype(np.float64) for leaf in leaves]
            value = log_likelihood(Rbm(*scaled), rows).mean()
        return tuple(np.asarray(number, np.float32) for number in (value, beta, tau.value, tau.at_least))

    scalar = jax.ShapeDtypeStruct((), jnp.float32)
    return jax.pure_callback(on_host, (scalar,) * len(METRICS), units, fields, series, jnp.asarray(is_still), *written)
