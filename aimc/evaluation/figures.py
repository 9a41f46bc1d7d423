"""Pictures of what an evaluation found: accuracy over a year, and which layer's noise hurts."""

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from aimc.evaluation.intervals import summary

if TYPE_CHECKING:
    import xarray

LINES = {
    "none": ((194, 65, 12), "none"),
    "layer": ((29, 78, 216), "a gain a layer"),
    "column": ((21, 128, 61), "a gain a column"),
}
MARKS = (
    (1e-3, "1 ms"),
    (1.0, "1 s"),
    (60.0, "1 min"),
    (3600.0, "1 h"),
    (86400.0, "1 day"),
    (2.592e6, "1 month"),
    (3.1536e7, "1 year"),
    (3.1536e8, "10 years"),
)
"""Times that have a name; a month has 30 days, a year 365."""


def time_in_words(seconds: float) -> str:
    """The name of a time, to a percent, or its seconds."""
    if seconds == 0:
        return "fresh"
    return next((words for mark, words in MARKS if abs(seconds / mark - 1) < 0.01), f"{seconds:.3g} s")


def year_figure(results: "xarray.Dataset", title: str = "Accuracy while the chips get older") -> Any:
    """Mean accuracy over chips against time (`over_time`), with the band that holds 90 % of them, the 95 % interval of
    the mean as bars, and the digital model's accuracy as a line."""
    import plotly.graph_objects as go

    picture = go.Figure()
    found = 100 * summary(results)
    times = found["time_s"].values.astype(float)
    fresh = float(times[times > 0].min()) / 10 if (times > 0).any() else 1.0
    x = np.where(times > 0, times, fresh)  # a logarithmic axis has no zero
    kinds = found["compensation"].values
    for i, kind in enumerate(kinds):
        (red, green, blue), words = LINES[str(kind)]
        at = {name: part.sel(compensation=kind).values for name, part in found.data_vars.items()}
        mean, low, high = at["accuracy_mean"], at["accuracy_low"], at["accuracy_high"]
        picture.add_scatter(
            x=[*x, *x[::-1]],
            y=[*at["accuracy_p95"], *at["accuracy_p5"][::-1]],
            fill="toself",
            fillcolor=f"rgba({red}, {green}, {blue}, 0.12)",
            mode="none",
            hoverinfo="skip",
            showlegend=False,
            legendgroup=str(kind),
        )
        bars = {"array": high - mean, "arrayminus": mean - low, "thickness": 1.5, "width": 4}
        picture.add_scatter(
            x=x * 1.08 ** (i - (len(kinds) - 1) / 2),  # bars beside each other
            y=mean,
            error_y=bars if np.isfinite(low).all() else None,
            name=words,
            legendgroup=str(kind),
            line={"color": f"rgb({red}, {green}, {blue})", "width": 2},
            mode="lines+markers",
        )
    digital = 100 * results.attrs["digital_accuracy"]
    picture.add_scatter(
        x=[x.min(), x.max()],
        y=[digital, digital],
        name="digital",
        mode="lines",
        line={"color": "#57534e", "dash": "dash", "width": 1.5},
        hovertemplate="digital %{y:.2f} %<extra></extra>",
    )
    n_chips, n_labels = results.sizes["chip"], results.attrs["n_labels"]
    subtitle = f"{n_chips} chips" if n_chips > 1 else "one chip"
    subtitle += f", {n_labels:,} labels."
    if n_chips > 1:
        subtitle += " Bands: 90 % of the chips. Bars: 95 % interval of the mean over chips."
    picture.update_layout(
        template="plotly_white",
        title={"text": escape(title), "subtitle": {"text": subtitle}},
        yaxis_title="accuracy, %",
        height=460,
        legend={"title": {"text": "compensation"}},
        margin={"t": 90},
    )
    marks = [(at, words) for at, words in MARKS if x.min() <= at * 1.01 and at <= x.max() * 1.01]
    if (times == 0).any():
        marks = [(fresh, "fresh"), *(mark for mark in marks if mark[0] > 2 * fresh)]
    picture.update_xaxes(
        type="log",
        title="time since programming",
        tickvals=[at for at, _ in marks],
        ticktext=[words for _, words in marks],
    )
    return picture


def sensitivity_figure(found: "xarray.Dataset", title: str = "Which layer's noise hurts", metric: str = "loss") -> Any:
    """Bars with 95 % intervals for every layer (`sensitivity`): what its noise does alone, and its share of the
    variance when all layers' noise varies. `metric`: "loss" in nats or "accuracy" in points."""
    from plotly.subplots import make_subplots

    at = {name: part.sel(metric=metric).values for name, part in found.data_vars.items()}
    unit, words = (100, "accuracy, points") if metric == "accuracy" else (1, "loss, nats")
    layers = [escape(str(path)) for path in found["layer"].values]
    titles = ("noise in this layer alone", "noise in all layers, levels varied")
    picture = make_subplots(cols=2, subplot_titles=titles, shared_yaxes=True, horizontal_spacing=0.06)
    shown = (("alone", "change", unit, "#1d4ed8", 1), ("first", "alone", 1, "#1d4ed8", 2),
             ("total", "with interactions", 1, "#93c5fd", 2))  # fmt: skip
    for name, label, factor, colour, column in shown:
        value, low, high = (factor * at[f"{name}{end}"] for end in ("", "_low", "_high"))
        bars = {"array": high - value, "arrayminus": value - low, "thickness": 1.5, "width": 4, "color": "#57534e"}
        picture.add_bar(
            y=layers,
            x=value,
            orientation="h",
            error_x=bars if np.isfinite(low).all() else None,
            name=label,
            marker={"color": colour},
            showlegend=column == 2,
            row=1,
            col=column,
        )
    n_chips = found.attrs["chips"]
    picture.update_layout(
        template="plotly_white",
        title={
            "text": escape(title),
            "subtitle": {"text": f"{escape(found.attrs['fields'])}, up to × {found.attrs['upto']:g}; {n_chips} chips"},
        },
        height=200 + 44 * len(layers),
        margin={"t": 120},
        legend={"title": {"text": "share"}},
    )
    picture.update_yaxes(autorange="reversed", automargin=True)
    picture.update_xaxes(title=f"change of {words}", row=1, col=1)
    picture.update_xaxes(title=f"share of the variance of {words.split(',')[0]}", row=1, col=2)
    return picture
