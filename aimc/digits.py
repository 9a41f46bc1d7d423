"""The digits study: a small network on the handwritten digits that ship with scikit-learn, digital and on arrays."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int, Key

from aimc import sweep
from aimc.data import digits
from aimc.data.base import Split
from aimc.data.digits import Parts
from aimc.devices.base import Level
from aimc.faults import Faults
from aimc.models.mlp import MLP
from aimc.nn.convert import convert, deploy, grow_old
from aimc.nn.ranges import clip_kernel
from aimc.spec import CrossbarSpec, check_level, crossbar, levels, numeric_fields, with_field, with_levels
from aimc.wiring import Wiring

if TYPE_CHECKING:
    import xarray

WIDTHS = (64, 128, 128, 10)


def load() -> Parts:
    """The parts of the digits (`aimc.data.digits`), each image as a row of 64 pixels."""
    return Parts(*(Split(part.x.reshape(len(part.x), -1), part.y) for part in digits.parts()))


class Training(NamedTuple):
    """Hyper-parameters, chosen on the validation part."""

    epochs: int = 60
    batch: int = 128
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    weight_clip: float | None = None
    """Kernels are clipped at this many of their standard deviations, so that few large weights do not set the scale of
    all conductances (Joshi et al. 2020); None for a digital model, which does not care."""

    def optimizer(self, n_steps: int) -> optax.GradientTransformation:
        """Adam with decoupled weight decay, the learning rate falling to zero along a cosine."""
        return optax.adamw(optax.cosine_decay_schedule(self.learning_rate, n_steps), weight_decay=self.weight_decay)


DIGITAL = Training()
NOISE_AWARE = Training(epochs=120, learning_rate=6e-3, weight_clip=2.0)
"""For training on noisy arrays, chosen on the validation part; `benchmarks/digits.py` prints the alternatives."""


def loss(model: nnx.Module, images: Float[Array, "n 64"], labels: Int[Array, " n"]) -> Float[Array, ""]:
    """Mean cross-entropy in nats."""
    return optax.softmax_cross_entropy_with_integer_labels(model(images), labels).mean()


def train(
    key: Key[Array, ""], data: Split, training: Training = DIGITAL, spec: CrossbarSpec | None = None
) -> nnx.State:
    """Train from scratch and return the parameters, which fit the digital model and the analog one alike.

    With a spec, every forward product runs on an array that is programmed anew at each step with fresh noise
    (noise-aware training: Joshi et al. 2020, Rasch et al. 2023). key is consumed by initial weights, data order and
    noise. Pure, so that many seeds or noise levels can be trained side by side under `jax.vmap`.
    """
    init_key, noise_key, order_key = jax.random.split(key, 3)
    model = MLP(WIDTHS, rngs=nnx.Rngs(params=init_key))
    if spec is not None:
        model = convert(model, spec, rngs=nnx.Rngs(noise=noise_key))
    graph, parameters, streams = nnx.split(model, nnx.Param, ...)
    n, batch = data.y.shape[0], training.batch
    per_epoch = n // batch
    optimizer = training.optimizer(training.epochs * per_epoch)
    images, labels = jnp.asarray(data.x), jnp.asarray(data.y)

    def objective(parameters, streams, rows):
        model = nnx.merge(graph, parameters, streams, copy=True)  # the originals belong to the outer trace
        return loss(model, images[rows], labels[rows]), nnx.split(model, nnx.Param, ...)[2]

    def step(carry, rows):
        parameters, streams, moments = carry
        gradient, streams = jax.grad(objective, has_aux=True)(parameters, streams, rows)
        updates, moments = optimizer.update(gradient, moments, parameters)
        return (clip(optax.apply_updates(parameters, updates)), streams, moments), None

    def clip(parameters):
        if (deviations := training.weight_clip) is None:
            return parameters

        return jax.tree.map(lambda leaf: clip_kernel(leaf, deviations) if leaf.ndim == 2 else leaf, parameters)

    def epoch(carry, key):
        order = jax.random.permutation(key, n)[: per_epoch * batch].reshape(per_epoch, batch)
        return jax.lax.scan(step, carry, order)[0], None

    start = (parameters, streams, optimizer.init(parameters))
    return jax.lax.scan(epoch, start, jax.random.split(order_key, training.epochs))[0][0]


def accuracy(
    key: Key[Array, ""],
    parameters: nnx.State,
    data: Split,
    spec: CrossbarSpec | None = None,
    seconds: Level | None = None,
) -> Float[Array, ""]:
    """Share of images classified rightly, digitally or, with a spec, by one freshly programmed chip, or by that chip
    `seconds` later.

    key is consumed by the chip (programming error), its ageing and its reads; the digital model does not use it.
    """
    chip_key, read_key, age_key = jax.random.split(key, 3)
    model = MLP(WIDTHS, rngs=nnx.Rngs(params=jax.random.key(0)))  # weights are replaced on the next lines
    if spec is not None:
        model = convert(model, spec, rngs=nnx.Rngs(noise=read_key))
    nnx.update(model, parameters)
    if spec is not None:
        deploy(chip_key, model)
        if seconds is not None:
            grow_old(age_key, model, seconds)
    return jnp.mean(jnp.argmax(model(jnp.asarray(data.x)), axis=-1) == jnp.asarray(data.y))


def array_sweep(
    key: Key[Array, ""],
    spec: CrossbarSpec,
    axes: Mapping[str, Sequence[float]],
    *,
    n_seeds: int,
    seed: int,
    name: str = "array",
    data: Parts | None = None,
    digital: Training = DIGITAL,
    aware: Training = NOISE_AWARE,
    store: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> "xarray.Dataset":
    """Test accuracy over any numeric fields of an array, of digital weights and of weights trained on that array.

    `axes`: values by field, named as in `aimc.spec.numeric_fields`, or "time_s", the age of the chip in seconds. Noise-
    aware training sees the array as it is, fresh; only the test varies it. Every seed is one training run of each
    kind and one chip; one compiled program evaluates the grid. `name` goes into the store's identity; key is consumed
    by the training.

    Raises ValueError for fields the array does not have as numbers and for counts that cannot exist.
    """
    for part, kind in (("faults", Faults), ("wiring", Wiring)):
        if getattr(spec, part) is None and any(field.startswith(part + ".") for field in axes):
            spec = replace(spec, **{part: kind()})  # a field of it asks for it
    known = numeric_fields(spec) | {"time_s": 0.0}
    for field in axes:
        if field not in known:
            raise ValueError(f"{name} has no numeric field {field!r}; it has {', '.join(known)}")
        for value in axes[field]:
            if field.endswith("n_levels"):
                check_level(value, field, least=3.0)
            elif field.endswith("full_scale"):
                check_level(value, field, strictly=True)
            elif "device." not in field:  # coefficients of a device may have any sign
                check_level(value, field)
    if n_seeds < 1:
        raise ValueError(f"n_seeds must be at least 1, got {n_seeds}")
    images = load() if data is None else data
    full = {field: [float(value) for value in values] for field, values in axes.items()} | {"seed": range(n_seeds)}
    what = {
        "study": "digits MLP, test accuracy over fields of an array",
        "widths": list(WIDTHS),
        "array": name,
        "fields": known,
        "key": np.asarray(jax.random.key_data(key)).tolist(),
        "training": {"digital": digital._asdict(), "noise_aware": aware._asdict()},
    }
    sweep.check(full, seed=seed, spec=what, store=store)
    keys = jax.random.split(key, (2, n_seeds))
    plain = jax.jit(jax.vmap(lambda key: train(key, images.development, digital)))(keys[0])
    hardened = jax.jit(jax.vmap(lambda key: train(key, images.development, aware, spec)))(keys[1])

    def point(key: Array, seed: Array, **fields: Array) -> dict[str, Array]:
        seconds = fields.pop("time_s", None)
        varied = spec
        for field, value in fields.items():
            varied = with_field(varied, field, value)
        models = {"digital_weights": plain, "noise_aware_weights": hardened}
        own = {kind: jax.tree.map(lambda leaf: leaf[seed], stack) for kind, stack in models.items()}
        return {kind: accuracy(key, parameters, images.test, varied, seconds) for kind, parameters in own.items()}

    kinds = ("digital_weights", "noise_aware_weights")
    return sweep.run(
        point,
        full,
        seed=seed,
        store=store,
        spec=what,
        units=dict.fromkeys(kinds, "1") | {"time_s": "s"},
        sources=dict.fromkeys(kinds, "simulated here; digits of scikit-learn"),
        progress=progress,
    )


def noise_sweep(
    key: Key[Array, ""],
    *,
    read_noise: Sequence[float],
    adc_bits: Sequence[int],
    n_seeds: int,
    seed: int,
    train_noise: float,
    write_noise: float = 0.05,
    data: Parts | None = None,
    digital: Training = DIGITAL,
    aware: Training = NOISE_AWARE,
    store: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> "xarray.Dataset":
    """Test accuracy over read noise × ADC resolution × seeds, of digital weights and of weights trained on noisy
    arrays.

    Every seed is one training run of each kind and one chip. Noise is a cell's standard deviation in units of g_max;
    the write noise is the same everywhere, and noise-aware training sees `train_noise` as its read noise. One
    compiled program evaluates the grid (`aimc.sweep.run`, which `seed` and `store` belong to); key is consumed by
    the training.

    Raises ValueError for levels, resolutions or counts that cannot exist.
    """
    images = load() if data is None else data
    for noise in read_noise:
        check_level(noise, "read_noise")
    for bits in adc_bits:
        levels(bits, "adc_bits")
    check_level(train_noise, "train_noise")
    check_level(write_noise, "write_noise")
    if n_seeds < 1:
        raise ValueError(f"n_seeds must be at least 1, got {n_seeds}")
    axes = {"read_noise": read_noise, "adc_bits": adc_bits, "seed": range(n_seeds)}
    what = {
        "study": "digits MLP, test accuracy",
        "widths": list(WIDTHS),
        "write_noise": write_noise,
        "train_noise": train_noise,
        "key": np.asarray(jax.random.key_data(key)).tolist(),
        "training": {"digital": digital._asdict(), "noise_aware": aware._asdict()},
    }
    sweep.check(axes, seed=seed, spec=what, store=store)
    noisy = crossbar(write_noise=1.0, read_noise=1.0, backward="array")
    trained_on = with_levels(noisy, write_noise=write_noise, read_noise=train_noise)
    keys = jax.random.split(key, (2, n_seeds))
    plain = jax.jit(jax.vmap(lambda key: train(key, images.development, digital)))(keys[0])
    hardened = jax.jit(jax.vmap(lambda key: train(key, images.development, aware, trained_on)))(keys[1])

    def point(key: Array, read_noise: Array, adc_bits: Array, seed: Array) -> dict[str, Array]:
        spec = with_levels(
            noisy, write_noise=write_noise, read_noise=read_noise, adc_levels=2.0 ** adc_bits.astype(jnp.float32) - 1.0
        )
        models = {"digital_weights": plain, "noise_aware_weights": hardened}
        own = {name: jax.tree.map(lambda leaf: leaf[seed], stack) for name, stack in models.items()}
        return {name: accuracy(key, parameters, images.test, spec) for name, parameters in own.items()}

    return sweep.run(
        point,
        axes,
        seed=seed,
        store=store,
        spec=what,
        units={
            "read_noise": "fraction of g_max",
            "adc_bits": "bit",
            "digital_weights": "1",
            "noise_aware_weights": "1",
        },
        sources=dict.fromkeys(("digital_weights", "noise_aware_weights"), "simulated here; digits of scikit-learn"),
        progress=progress,
    )
