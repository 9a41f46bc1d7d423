"""Pictures of a model, and of a sweep: pages that open in a browser."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Array, Float

from aimc.figures import DASHES, write_page

if TYPE_CHECKING:
    import xarray

__all__ = ["model_figure", "sweep_figure", "write_page"]

ARM_WORDS = {"ideal_trained": ("#c2410c", "trained ideally"), "in_the_loop": ("#1d4ed8", "trained in the loop")}
QUANTITIES = {
    "log_likelihood": "log-likelihood, nats a row",
    "beta_eff": "effective β",
    "tau_int": "τ of the free energy, sweeps",
}
MAX_TILES = 64


def model_figure(
    filters: tuple[str, Any],
    samples: Float[Array, "n d"] | Float[np.ndarray, "n d"],
    data: Float[np.ndarray, "m d"],
    title: str,
    looks: Sequence[Mapping[str, Any]] = (),
    n_states: int = 1,
) -> Any:
    """Filters, rows of data beside samples, and the likelihood on validation rows by step.

    `filters` are a title and the rows to draw under it, such as what the hidden units look for. Rows whose length is a
    square are drawn as images, others as strips. One-hot rows of `n_states` a site are drawn as their symbols.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    panels = {filters[0]: mosaic(filters[1])}
    panels |= {"Rows of data": mosaic(_symbols(data, n_states)), "Samples": mosaic(_symbols(samples, n_states))}
    picture = make_subplots(2, 2, subplot_titles=[*panels, "Validation rows, nats a row"], vertical_spacing=0.12)
    limit = float(np.nanmax(np.abs(panels[filters[0]]))) or 1.0
    for i, image in enumerate(panels.values()):
        scale = {"colorscale": "RdBu", "zmin": -limit, "zmax": limit} if i == 0 else {"colorscale": "Greys"}
        row, column = divmod(i, 2)
        picture.add_trace(go.Heatmap(z=image, showscale=False, **scale), row + 1, column + 1)
        axis = "" if i == 0 else str(i + 1)
        picture.update_yaxes(autorange="reversed", scaleanchor=f"x{axis}", visible=False, row=row + 1, col=column + 1)
        picture.update_xaxes(visible=False, row=row + 1, col=column + 1)
    picture.add_trace(
        go.Scatter(x=[look["step"] for look in looks], y=[look["log_likelihood"] for look in looks], showlegend=False),
        2,
        2,
    )
    picture.update_xaxes(title="step", row=2, col=2)
    picture.update_layout(template="plotly_white", title=escape(title), height=820, width=900)
    return picture


def mosaic(rows: Float[Array, "n d"] | Float[np.ndarray, "n d"]) -> Float[np.ndarray, "height width"]:
    """Up to 64 rows as tiles of one picture, NaN between them."""
    rows = np.asarray(rows, np.float32)[:MAX_TILES]
    n, d = rows.shape
    side = round(d**0.5)
    height, width = (side, side) if side * side == d else (1, d)
    across = max(1, int(np.ceil((n * height / width) ** 0.5)))
    down = -(-n // across)
    picture = np.full((down * (height + 1) - 1, across * (width + 1) - 1), np.nan, np.float32)
    for i, row in enumerate(rows):
        y, x = (i // across) * (height + 1), (i % across) * (width + 1)
        picture[y : y + height, x : x + width] = row.reshape(height, width)
    return picture


def sweep_figure(results: "xarray.Dataset", title: str) -> Any:
    """Likelihood, temperature and mixing of both arms against the longest axis, a line for each value of the others."""
    from itertools import product

    from plotly.subplots import make_subplots

    axes = [name for name in results.dims if name != "seed" and results.sizes[name] > 1]
    across, *others = sorted(axes, key=lambda name: -results.sizes[name]) or ["read_noise"]
    still = {name: results[name].values[0] for name in results.dims if name not in (across, "seed", *others)}
    shown = results.sel(still)
    picture = make_subplots(len(QUANTITIES), 1, shared_xaxes=True, vertical_spacing=0.05)
    for i, point in enumerate(product(*(results[name].values for name in others))):
        at = shown.sel(dict(zip(others, point, strict=True)))
        label = ", ".join(f"{escape(str(name))} {value:g}" for name, value in zip(others, point, strict=True))
        for arm, (colour, words) in ARM_WORDS.items():
            for row, quantity in enumerate(QUANTITIES):
                values = at[f"{arm}_{quantity}"]
                picture.add_scatter(
                    x=results[across].values,
                    y=values.mean("seed").values,
                    error_y={"array": values.std("seed").values, "thickness": 1},
                    name=f"{words}, {label}" if label else words,
                    legendgroup=f"{arm}{i}",
                    showlegend=row == 0,
                    line={"color": colour, "dash": DASHES[i % len(DASHES)]},
                    row=row + 1,
                    col=1,
                )
    for row, words in enumerate(QUANTITIES.values()):
        picture.update_yaxes(title=words, row=row + 1, col=1)
    picture.update_xaxes(title=escape(str(across)), row=len(QUANTITIES), col=1)
    picture.update_layout(template="plotly_white", title=escape(title), height=900)
    return picture


def _symbols(rows: Any, n_states: int) -> np.ndarray:
    rows = np.asarray(rows, np.float32)[:MAX_TILES]
    if n_states == 1:
        return rows
    return rows.reshape(len(rows), -1, n_states).argmax(axis=-1).astype(np.float32)
