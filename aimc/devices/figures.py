"""Pictures of the technologies: programming noise against the target, and what time does to three targets."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aimc.devices.base import Device
from aimc.devices.listing import readings, written
from aimc.devices.measured import Measured
from aimc.devices.points import Point
from aimc.figures import write_page

COLOURS = ("#0f8b8d", "#d4762c", "#5b6b83")
BANDS = ("rgba(15,139,141,0.18)", "rgba(212,118,44,0.18)", "rgba(91,107,131,0.18)")
YEAR_S = 365 * 86400.0
CELLS = 4096


def figure(name: str, device: Device) -> Any:
    """A plotly figure of one device: left the spread when programming ends, right mean ± one standard deviation over
    time, 1 ms to 1 year, for targets of 0.25, 0.5 and 1 (or `g_min`, where that is larger)."""
    from plotly.subplots import make_subplots

    full, lowest = float(device.g_max) * 1e6, float(device.g_min)
    key = jax.random.key(0)
    targets = np.linspace(lowest, 1.0, 41)
    _, std = jax.jit(lambda key, device, g: written(key, device, g, CELLS))(
        key, device, jnp.asarray(targets, jnp.float32)
    )
    picture = make_subplots(cols=2, subplot_titles=("spread after programming", "after programming, mean ± spread"))
    picture.add_scatter(
        x=targets * full, y=np.asarray(std) * full, line_color=COLOURS[0], showlegend=False, row=1, col=1
    )
    times = np.logspace(-3, np.log10(YEAR_S), 32)
    chosen = np.maximum((0.25, 0.5, 1.0), lowest)
    at = jax.jit(jax.vmap(lambda t: readings(key, device, jnp.asarray(chosen, jnp.float32), t, CELLS)))
    mean, spread = (np.asarray(value) * full for value in at(jnp.asarray(times, jnp.float32)))
    for k, target in enumerate(chosen):
        low, high = np.maximum(mean[:, k] - spread[:, k], 0.0), mean[:, k] + spread[:, k]
        picture.add_scatter(
            x=np.concatenate([times, times[::-1]]),
            y=np.concatenate([high, low[::-1]]),
            fill="toself",
            fillcolor=BANDS[k],
            line_width=0,
            showlegend=False,
            hoverinfo="skip",
            row=1,
            col=2,
        )
        label = f"target {target * full:.3g} µS"
        picture.add_scatter(x=times, y=mean[:, k], name=label, line_color=COLOURS[k], row=1, col=2)
    _axes(picture, name)
    return picture


def fit_figure(device: Measured, points: Sequence[Point]) -> Any:
    """A plotly figure of a measured device: its curves over the points they go through, a colour per time."""
    from plotly.subplots import make_subplots

    full = float(device.g_max)
    grid = np.linspace(float(device.lowest), float(device.highest), 201)
    picture = make_subplots(cols=2, subplot_titles=("spread", "mean minus target"))
    stds = device.knots(device.std, jnp.asarray(grid, jnp.float32))
    shifts = device.knots(device.shift, jnp.asarray(grid, jnp.float32))
    for k, time in enumerate(device.times_s):
        colour, label = COLOURS[k % len(COLOURS)], f"{time:g} s"
        group = [point for point in points if point.time == time]
        g = [point.conductance * 1e6 for point in group]
        measured_values = ([p.std * 1e6 for p in group], [(p.mean - p.conductance) * 1e6 for p in group])
        for col, (curve, values) in enumerate(zip((stds[k], shifts[k]), measured_values, strict=True), start=1):
            line = {"x": grid * full * 1e6, "y": np.asarray(curve) * full * 1e6, "line_color": colour}
            picture.add_scatter(**line, name=label, legendgroup=label, showlegend=col == 1, row=1, col=col)
            picture.add_scatter(
                x=g, y=values, mode="markers", marker_color=colour, legendgroup=label, showlegend=False, row=1, col=col
            )
    picture.update_layout(template="plotly_white", title=escape(device.source), height=420)
    picture.update_xaxes(title="target (µS)")
    picture.update_yaxes(title="µS")
    return picture


def write_figures(folder: Path, devices: dict[str, Device]) -> list[Path]:
    """One self-contained HTML page per device in `folder`, which is made if need be; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = []
    for name, device in devices.items():
        page = folder / f"{name}.html"
        write_page(figure(name, device), page)
        pages.append(page)
    return pages


def _axes(picture: Any, name: str) -> None:
    picture.update_layout(
        template="plotly_white", title=escape(name), height=420, legend={"orientation": "h", "y": -0.28}
    )
    picture.update_xaxes(title="target (µS)", row=1, col=1)
    picture.update_yaxes(title="standard deviation (µS)", rangemode="tozero", row=1, col=1)
    picture.update_xaxes(title="seconds since programming", type="log", exponentformat="power", row=1, col=2)
    picture.update_yaxes(title="conductance (µS)", rangemode="tozero", row=1, col=2)
