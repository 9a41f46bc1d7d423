"""What the command `aimc devices` says of each technology."""

from inspect import getdoc
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from aimc.devices import DEVICES
from aimc.devices.base import Device, Level

TARGETS = (0.0, 0.25, 0.5, 0.75, 1.0)
TIMES_S = {"1 s": 1.0, "1 hour": 3600.0, "1 day": 86400.0, "1 month": 30 * 86400.0, "1 year": 365 * 86400.0}
CELLS = 8192


def readings(
    key: Key[Array, ""], device: Device, targets: Float[Array, " targets"], seconds: Level, n: int = CELLS
) -> tuple[Float[Array, " targets"], Float[Array, " targets"]]:
    """Mean and standard deviation of `n` cells a target, `seconds` after programming, in units of g_max.

    Targets below `g_min` are those of `g_min`. What a single read adds is not in it.
    """
    write_key, age_key = jax.random.split(key)
    wanted = jnp.maximum(jnp.broadcast_to(targets, (n, targets.size)), device.g_min)
    cells = device.write(write_key, wanted)
    cells = device.age(age_key, cells, 0.0, seconds)
    g = device.conductance(cells, seconds)
    return jnp.mean(g, axis=0), jnp.std(g, axis=0)


def written(
    key: Key[Array, ""], device: Device, targets: Float[Array, " targets"], n: int = CELLS
) -> tuple[Float[Array, " targets"], Float[Array, " targets"]]:
    """As `readings`, when programming ends."""
    wanted = jnp.maximum(jnp.broadcast_to(targets, (n, targets.size)), device.g_min)
    g = device.conductance(device.write(key, wanted), 0.0)
    return jnp.mean(g, axis=0), jnp.std(g, axis=0)


def named(name: str) -> Device:
    """The device of that name. Raises ValueError listing the known ones."""
    if name not in DEVICES:
        raise ValueError(f"unknown device {name!r}; known devices are {', '.join(DEVICES)}")
    return DEVICES[name]()


def describe(name: str, device: Device | None = None) -> dict[str, Any]:
    """One technology, or a `device` of your own, as plain values that JSON can hold; conductances in µS, spreads by
    sampling 8192 cells.

    Raises ValueError for an unknown name.
    """
    law = getdoc(DEVICES[name] if device is None and name in DEVICES else type(device))
    device = named(name) if device is None else device
    key = jax.random.key(0)
    full = float(device.g_max) * 1e6
    targets = np.maximum(np.asarray(TARGETS), float(device.g_min))
    std, means, spreads = _table(key, device, jnp.asarray(targets, jnp.float32), jnp.asarray(list(TIMES_S.values())))
    drift = {
        label: {"mean_us": _rounded(mean * full), "std_us": _rounded(spread * full)}
        for label, mean, spread in zip(TIMES_S, means, spreads, strict=True)
    }
    return {
        "name": name,
        "law": " ".join((law or "").split()),
        "evidence": device.evidence,
        "source": device.source,
        "g_max_us": round(full, 6),
        "g_min_us": round(float(device.g_min) * full, 6),
        "target_us": _rounded(targets * full),
        "programming_std_us": _rounded(std * full),
        "after": drift,
    }


@jax.jit
def _table(
    key: Key[Array, ""], device: Device, targets: Float[Array, " targets"], times: Float[Array, " times"]
) -> tuple[Float[Array, " targets"], Float[Array, "times targets"], Float[Array, "times targets"]]:
    means, spreads = jax.lax.map(lambda seconds: readings(key, device, targets, seconds), times)
    return written(key, device, targets)[1], means, spreads


def _rounded(values: Any) -> list[float]:
    return [float(f"{float(value):.4g}") for value in values]
