"""A user's own device, from a table of measured points."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from aimc.devices import relaxation
from aimc.devices.base import Device, Level, static
from aimc.devices.neurram import Relaxing
from aimc.devices.points import Point, read_points
from aimc.noise import normal

GRID = 128
"""Intervals of the tabulated curves: the curves bend between measured points, and the table is linear between these."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Measured(Device):
    """Cells with a measured mean and spread: G(t) = max(µ(g, t) + σ(g, t) Z(t), 0).

    At each measured time, µ − g and σ are monotone cubic curves (Fritsch–Carlson) through the points, constant outside
    them: between two points neither exceeds both, so a spread stays positive. In time they are interpolated linearly in
    ln t (linearly in t before the first time after 0) and constant outside. Z as in `relaxation`. Points are followed,
    not smoothed. `shift` and `std` hold the tables, one row a time; `read_noise` is the standard deviation of a read
    relative to G.
    """

    shift: Any = ()
    std: Any = ()
    times_s: tuple[float, ...] = static((0.0,))
    lowest: Level = 0.0
    highest: Level = 1.0
    read_noise: Level = 0.0
    evidence: str = static("silicon")

    def knots(self, table: Any, target: Float[Array, "*shape"]) -> tuple[Float[Array, "*shape"], ...]:
        """The curves of one table at the targets, one a measured time."""
        place = jnp.clip((target - self.lowest) / (self.highest - self.lowest), 0.0, 1.0) * GRID
        left = jnp.minimum(place.astype(jnp.int32), GRID - 1)
        part = place - left
        return tuple(row[left] * (1.0 - part) + row[left + 1] * part for row in table)

    def write(self, key: Key[Array, ""], target: Float[Array, "*shape"]) -> Relaxing:
        return Relaxing(target, normal(key, target.shape))

    def age(self, key: Key[Array, ""], cells: Relaxing, elapsed: Level, seconds: Level) -> Relaxing:
        before = relaxation.passed(self.times_s, elapsed)
        after = relaxation.passed(self.times_s, elapsed + seconds)
        rho = relaxation.correlation(self.knots(self.std, cells.target), before, after)
        return cells._replace(z=relaxation.step(key, cells.z, rho))

    def conductance(self, cells: Relaxing, elapsed: Level) -> Float[Array, "*shape"]:
        at = relaxation.passed(self.times_s, elapsed)
        mean = cells.target + relaxation.interpolate(self.knots(self.shift, cells.target), at)
        std = relaxation.interpolate(self.knots(self.std, cells.target), at)
        return jnp.maximum(mean + std * cells.z, 0.0)

    def read_variance(self, g: Float[Array, "*shape"], elapsed: Level) -> Float[Array, "*shape"]:
        return (self.read_noise * g) ** 2


def measured(path: str | Path, *, g_max: float | None = None, read_noise: float = 0.0) -> Measured:
    """The device of the points in a CSV file, see `aimc.devices.points.read_points`.

    `g_max`: siemens at full scale, by default the largest conductance of the file; `read_noise`: standard deviation of
    a read relative to the conductance (the file does not tell it). Raises ValueError, with file and line, for a file
    that makes no sense, and for points above `g_max`.
    """
    return fit(read_points(path), g_max=g_max, read_noise=read_noise, name=str(path))


def fit(points: Sequence[Point], *, g_max: float | None = None, read_noise: float = 0.0, name: str) -> Measured:
    """The device through `points`, in order of time; see `measured`."""
    if not read_noise >= 0:
        raise ValueError(f"read_noise must be at least 0, got {read_noise}")
    largest = max(point.conductance for point in points)
    full = largest if g_max is None else g_max
    for point in points:
        if not point.conductance <= full:
            raise ValueError(f"{name}:{point.line}: conductance {point.conductance:g} S is above g_max = {full:g} S")
    lowest, highest = min(point.conductance for point in points) / full, largest / full
    times = sorted({point.time for point in points})
    grid = np.linspace(lowest, highest, GRID + 1)
    shifts, stds = [], []
    for time in times:
        group = sorted((point for point in points if point.time == time), key=lambda point: point.conductance)
        g = np.array([point.conductance for point in group]) / full
        shifts.append(_curve(g, np.array([point.mean for point in group]) / full - g, grid))
        stds.append(_curve(g, np.array([point.std for point in group]) / full, grid))
    return Measured(
        g_max=full,
        g_min=lowest,
        shift=jnp.asarray(np.stack(shifts), jnp.float32),
        std=jnp.asarray(np.stack(stds), jnp.float32),
        times_s=tuple(times),
        lowest=lowest,
        highest=highest,
        read_noise=read_noise,
        source=f"measured points of {name}",
    )


def _curve(g: np.ndarray, value: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Monotone piecewise cubic through the points, with the slopes of Fritsch and Butland (1984); constant outside."""
    width, secant = np.diff(g), np.diff(value) / np.diff(g)
    slope = np.concatenate([secant[:1], np.zeros(len(g) - 2), secant[-1:]])
    for k in range(1, len(g) - 1):
        if secant[k - 1] * secant[k] > 0:
            before, after = 2 * width[k] + width[k - 1], width[k] + 2 * width[k - 1]
            slope[k] = (before + after) / (before / secant[k - 1] + after / secant[k])
    x = np.clip(grid, g[0], g[-1])
    k = np.clip(np.searchsorted(g, x, side="right") - 1, 0, len(g) - 2)
    t = (x - g[k]) / width[k]
    ends = value[k] * (1 + 2 * t) * (1 - t) ** 2 + value[k + 1] * t**2 * (3 - 2 * t)
    return ends + width[k] * (slope[k] * t * (1 - t) ** 2 - slope[k + 1] * t**2 * (1 - t))
