"""Which layer's noise hurts: every layer's alone, and its share when all layers' noise varies."""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Key

from aimc import sweep
from aimc.evaluation.compensation import check_compensation
from aimc.evaluation.intervals import mean_interval
from aimc.evaluation.lifetime import follow
from aimc.evaluation.score import Score, array_hash, check_data, check_labels, model_hash
from aimc.evaluation.sobol import design, indices
from aimc.nn.convert import analog_layers
from aimc.spec import CrossbarSpec, with_field

if TYPE_CHECKING:
    import xarray

FIELDS = ("device.programming_std",)
SEED = 0
"""Of the points and of the bootstrap: the same for all, so that stores are comparable."""


def sensitivity(
    key: Key[Array, ""],
    model: nnx.Module,
    data: tuple[Any, Any],
    *,
    fields: Sequence[str] = FIELDS,
    upto: float = 1.0,
    samples: int = 64,
    chips: int = 8,
    seconds: float = 0.0,
    compensation: str = "none",
    n_vectors: int = 64,
    batch: int | None = None,
    store: str | os.PathLike[str] | None = None,
    chunk: int = 64,
    progress: Callable[[int, int], None] | None = None,
) -> "xarray.Dataset":
    """What the noise of each layer does to accuracy and loss, by metric and layer.

    Noise is what `fields` of the arrays say ("device.programming_std", "device.drift_scale", "readout.noise", …, all
    of them together), multiplied by a scale of 0 to `upto` in every layer; everything else stays as the spec has it.

    * `alone`: the change of the metric when one layer's scale goes from 0 to `upto` and the others' stay 0, mean over
      chips with its interval `alone_low` to `alone_high` (`mean_interval` of differences chip by chip).
    * `first` and `total`, with intervals: Sobol indices of the mean over chips when all scales are independent and
      uniform on [0, `upto`] (`design`, `indices`). The intervals are for the choice of the `samples` (n_layers + 2)
      points; the chips are the same at all points, so that differences are sharp (common random numbers).

    The chips are `seconds` old and compensated as `over_time` says, which also describes `model`, `data` and `batch`.
    Levels are traced: one compiled program (`aimc.sweep.run`; `store` keeps its points). `baseline` and `everywhere`
    are the metrics with all scales 0 and all `upto`. Raises ValueError for a field that a layer does not have, numbers
    that cannot be, and what `over_time` refuses.
    """
    layers = analog_layers(model, "look at")
    x, y = check_data(data, batch)
    if not (np.isfinite(upto) and upto > 0):
        raise ValueError(f"upto must be a finite scale above 0, got {upto}")
    if not (np.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"seconds must be a finite time of at least 0, got {seconds}")
    if chips < 1:
        raise ValueError(f"chips must be at least 1, got {chips}")
    if not fields:
        raise ValueError("fields must name at least one field of the arrays, got none")
    if len(set(fields)) < len(fields):
        raise ValueError(f"fields must name every field once, got {', '.join(fields)}")
    for path, layer in layers:
        check_compensation(path, layer.spec, (compensation,))
        for field in fields:
            if not jax.tree.leaves(_field(layer.spec, field)):
                raise ValueError(f"layer {path} has no noise in {field}, so there is nothing to scale")
    model = nnx.clone(model)
    model.eval()
    check_labels(model, x, y)
    graph, state = nnx.split(model)
    n_layers = len(layers)
    corners = np.concatenate([np.zeros((1, n_layers)), np.eye(n_layers), np.ones((1, n_layers))])
    scales = upto * np.concatenate([corners, design(samples, n_layers, SEED)])

    def point(
        _key: Array, state: nnx.State, x: Array, y: Array, scales: Array, point: Array, chip: Array
    ) -> dict[str, Array]:
        own = nnx.merge(graph, state, copy=True)
        for (_, layer), scale in zip(analog_layers(own), scales[point], strict=True):
            layer.spec = nnx.data(_scaled(layer.spec, fields, scale))
        age = jnp.full(1, seconds, jnp.float32)
        found = follow(jax.random.fold_in(key, chip), own, x, y, age, (compensation,), n_vectors=n_vectors, batch=batch)
        return {name: values[0, 0] for name, values in found._asdict().items()}

    raw = sweep.run(
        point,
        {"point": range(len(scales)), "chip": range(chips)},
        seed=SEED,
        spec={
            "study": "sensitivity to the noise of layers",
            "key": np.asarray(jax.random.key_data(key)).tolist(),
            "model": model_hash(model, x),
            "arrays": {path: str(jax.tree.structure(layer.spec)) for path, layer in layers},
            "data": array_hash((x, y)),
            "fields": list(fields),
            "upto": upto,
            "samples": samples,
            "seconds": seconds,
            "compensation": compensation,
            "n_vectors": n_vectors,
            "batch": batch,
        },
        store=store,
        operands=(state, x, y, jnp.asarray(scales, jnp.float32)),
        chunk=chunk,
        progress=progress,
    )
    return _analysed(raw, [path for path, _ in layers], {"fields": ", ".join(fields), "upto": upto, "chips": chips})


def _analysed(raw: "xarray.Dataset", paths: list[str], notes: dict[str, Any]) -> "xarray.Dataset":
    import xarray

    n_layers = len(paths)
    values = np.stack([raw[name].transpose("point", "chip").values.astype(float) for name in Score._fields])
    alone = values[:, 1 : 1 + n_layers] - values[:, :1]
    low, high = mean_interval(alone)
    found = {"alone": alone.mean(-1), "alone_low": low, "alone_high": high}
    found |= indices(values[:, 2 + n_layers :].mean(-1).T, n_layers)._asdict()
    fixed = {"baseline": values[:, 0].mean(-1), "everywhere": values[:, 1 + n_layers].mean(-1)}
    return xarray.Dataset(
        {name: (("metric", "layer"), value) for name, value in found.items()}
        | {name: (("metric",), value) for name, value in fixed.items()},
        coords={"metric": list(Score._fields), "layer": paths},
        attrs={**raw.attrs, **notes},
    )


def _scaled(spec: CrossbarSpec, fields: Sequence[str], scale: Float[Array, ""]) -> CrossbarSpec:
    for field in fields:
        spec = with_field(spec, field, jax.tree.map(lambda level: level * scale, _field(spec, field)))
    return spec


def _field(spec: Any, path: str) -> Any:
    """The field of this path, as `with_field` names it, whose ValueError says what is wrong with a path."""
    found = spec
    try:
        for name in path.split("."):
            found = found[int(name)] if isinstance(found, tuple) and name.isdigit() else getattr(found, name)
    except (AttributeError, IndexError):
        with_field(spec, path, 0.0)
        raise
    return found
