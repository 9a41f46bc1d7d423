"""A picture of a sweep: accuracy over one field, a line for every value of the others."""

from collections.abc import Sequence
from html import escape
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray

KINDS = {"digital_weights": ("#c2410c", "trained digitally"), "noise_aware_weights": ("#1d4ed8", "trained on arrays")}
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


def sweep_figure(results: "xarray.Dataset", axes: Sequence[str], title: str) -> Any:
    """Mean accuracy with its spread over seeds against the first of `axes` (logarithmic where it is a time)."""
    import plotly.graph_objects as go

    picture = go.Figure()
    across, *others = axes
    x = results[across].values
    is_log = across == "time_s" and np.count_nonzero(x > 0) > 1
    for i, point in enumerate(product(*(results[name].values for name in others))):
        at = results.sel(dict(zip(others, point, strict=True)))
        label = ", ".join(f"{escape(name)} {value:g}" for name, value in zip(others, point, strict=True))
        for kind, (colour, words) in KINDS.items():
            values = 100 * at[kind]
            picture.add_scatter(
                x=np.where(x > 0, x, np.min(x[x > 0]) / 10) if is_log else x,
                y=values.mean("seed").values,
                error_y={"array": values.std("seed").values, "thickness": 1},
                name=f"{words}, {label}" if label else words,
                line={"color": colour, "dash": DASHES[i % len(DASHES)]},
            )
    name = "age of the chip, seconds (leftmost: fresh)" if is_log and np.any(x == 0) else escape(across)
    picture.update_layout(template="plotly_white", title=escape(title), yaxis_title="test accuracy, %", height=420)
    picture.update_xaxes(title=name, **({"type": "log", "exponentformat": "power"} if is_log else {}))
    return picture


def write_page(picture: Any, path: Path) -> None:
    """One self-contained HTML page, written whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    picture.write_html(partial, include_plotlyjs=True, full_html=True, config={"displaylogo": False})
    partial.replace(path)
