"""Figs. 4, 5 and 6: price-performance of GPUs, the cost of the largest run, growth rates."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from .. import outlook
from ..digital import epoch
from ..figures import style
from ..labels import large_dollars
from ..report import shell
from ..uncertainty import Rate
from .look import (
    ASSUMED,
    COMPUTED,
    DIAMOND,
    LEGEND,
    PUBLISHED,
    SPARSE,
    STATED,
    Tables,
    card,
    dollar_axis,
    height_at,
    legend_below,
    log10,
    parameters,
)


def page(tables: Tables, rates: Mapping[str, Rate], changed: Sequence[str]) -> str:
    """Figs. 4, 5 and 6: price-performance, the cost of the largest run, growth rates."""
    found = outlook.costs(tables, step=0.25)
    guess = found["crossing_year"]["best guess, GPU"]
    said = ", ".join(f"{name} in {year:.1f}" for name, year in guess.items() if year is not None)
    growth = outlook.growth(tables)
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td class='number'>{one['growth']:.2f}</td>"
        f"<td class='number'>{one['doubling_months']:.1f}</td></tr>"
        for name, one in growth.items()
    )
    body = [
        "<h1>What the largest training run costs</h1>",
        '<p class="lead">Figs. 4, 5 and 6 of the seed paper, regenerated from its printed numbers.</p>',
        LEGEND,
        "<h2>Cost of the final training run (Fig. 5)</h2>",
        f"<p>The best guess of Table 1 as GPU cost meets the {escape(said)}. Bands span the best and the worst case, "
        "both from the best guess's cost in 2023: the dark one differs in experts per year alone, the light one also "
        "in FLOP per parameter.</p>",
        card(cost_figure(tables, found)),
        "<h2>Price-performance of GPUs (Fig. 4)</h2>",
        "<p>Dense FLOP/s per dollar of the devices in our table. The line doubles as the paper states; its level is "
        "put through the 32-bit points, so only its slope is the paper's. Hollow circles rest on an estimated "
        "price.</p>",
        card(price_figure(tables, rates)),
        "<h2>Growth rates (Fig. 6)</h2>",
        "<p>Relative to the GPUs of 2010. The paper says that until 2018 hardware kept up; models and their operations "
        "start on the hardware's line there.</p>",
        card(growth_figure(tables)),
        "<h3>Do the rates agree?</h3>",
        '<div class="card scroll"><table><thead><tr><th>rate</th><th class="number">factor per year</th>'
        f'<th class="number">months to double</th></tr></thead><tbody>{rows}</tbody></table></div>',
        parameters(rates, changed, ("paper.projection", "paper.growth", "paper.calibrated", "paper.best_case",
                                     "paper.best_guess", "paper.worst_case", "world.")),
    ]  # fmt: skip
    return shell("What the largest training run costs", "\n".join(body))


def cost_figure(tables: Tables, found: Mapping[str, Any]) -> Any:
    """Fig. 5: dollars by year with scenario bands, the series they meet, and the three printed results."""
    import plotly.graph_objects as go

    figure, years = go.Figure(), found["scenario_years"]
    for only, colour, label in (
        ("both rows of Table 1", "rgba(15,111,141,0.13)", "best to worst case, both rows"),
        ("experts only", "rgba(15,111,141,0.28)", "best to worst case, experts only"),
    ):
        low, high = (found["scenario_usd"][f"{case} case, {only}"] for case in ("best", "worst"))
        figure.add_scatter(x=years, y=low, mode="lines", line={"width": 0}, showlegend=False, hoverinfo="skip")
        figure.add_scatter(
            x=years, y=high, mode="lines", line={"width": 0}, fill="tonexty", fillcolor=colour, name=label,
            hoverinfo="skip",
        )  # fmt: skip
    for name, dash, width in (
        ("best guess, GPU", "solid", 3),
        ("best guess, cloud", "solid", 1.5),
        ("calibrated, GPU", "dot", 1.5),
    ):
        figure.add_scatter(
            x=found["years"], y=found["usd"][name], mode="lines", name=name,
            line={"color": COMPUTED, "dash": dash, "width": width}, hovertemplate=f"{name}: $%{{y:.3s}}<extra></extra>",
        )  # fmt: skip
    for i, (name, usd) in enumerate(found["limits_usd"].items()):
        _limit(figure, found, i, name, usd)
    epoch_runs = [run for run in epoch.runs() if run.year >= found["years"][0]]
    figure.add_scatter(
        x=[run.year for run in epoch_runs], y=[run.usd for run in epoch_runs], mode="markers",
        name="Epoch AI's estimates, amortised", text=[run.model for run in epoch_runs],
        marker={"size": 6, "color": PUBLISHED, "opacity": 0.7}, hovertemplate="%{text}: $%{y:.3s}<extra></extra>",
    )  # fmt: skip
    said, own = tables["paper.dollars"], tables["paper.projection"]
    x = [own["gpt3_year"], own["gpt4_year"], 2028.0]
    for kind in ("gpu", "cloud"):
        y = [said[f"{name}_{kind}_usd"] for name in ("gpt3", "gpt4", "far")]
        figure.add_scatter(
            x=x, y=y, mode="markers", name="printed in the paper", showlegend=kind == "gpu", marker=DIAMOND,
            text=[large_dollars(value) for value in y], hovertemplate=f"{kind}: %{{text}}<extra></extra>",
        )  # fmt: skip
    figure = style(figure, 560)
    figure.update_yaxes(**dollar_axis(5, 15), range=[5.3, 15.6], title="dollars of one run, or a year")
    figure.update_xaxes(range=[own["gpt3_year"] - 0.4, own["last_year"] + 0.2], dtick=2, gridcolor="#edf0f3")
    return legend_below(figure)


def _limit(figure: Any, found: Mapping[str, Any], i: int, name: str, usd: Sequence[float]) -> None:
    """A series as a dashed line with its name at one end, and a cross where the best guess meets it."""
    figure.add_scatter(
        x=found["years"], y=usd, mode="lines", name=name, showlegend=False,
        line={"color": ASSUMED, "dash": ("dash", "longdash", "dashdot", "dot")[i % 4], "width": 1.5},
        hovertemplate=f"{name}: $%{{y:.3s}}<extra></extra>",
    )  # fmt: skip
    at_start = i != 1  # the two GPU markets begin together
    figure.add_annotation(
        x=found["years"][0 if at_start else -1], y=log10(usd[0 if at_start else -1]), text=name, showarrow=False,
        xanchor="left" if at_start else "right", yanchor="bottom", font={"size": 11, "color": "#5d6b7c"},
    )  # fmt: skip
    year = found["crossing_year"]["best guess, GPU"][name]
    if year is None or year > found["years"][-1]:
        return
    height = height_at(found["years"], usd, year)
    figure.add_scatter(
        x=[year], y=[height], mode="markers", showlegend=False,
        marker={"symbol": "x-thin", "size": 11, "line": {"width": 2.5, "color": COMPUTED}},
        hovertemplate=f"{name} met in {year:.1f}<extra></extra>",
    )  # fmt: skip
    shift = {"xshift": -24, "yshift": 12} if i in (0, 2) else {"xshift": 28, "yshift": -10 if i == 1 else -26}
    figure.add_annotation(
        x=year, y=log10(height), text=f"{year:.1f}", showarrow=False, font={"size": 12, "color": COMPUTED}, **shift
    )


def price_figure(tables: Tables, rates: Mapping[str, Rate]) -> Any:
    """Fig. 4: FLOP/s per dollar by year, with the paper's doubling time through the 32-bit points."""
    import plotly.graph_objects as go

    points = outlook.price_performance(tables)
    doubling = tables["paper.growth"]["price_performance_doubling_years"]
    firm = {name: rates[f"gpu.{name}.price_usd"].evidence != "assumption" for name in points}
    base = [(one["year"], one["flops_per_usd_32"]) for name, one in points.items() if firm[name]]
    level = sum(log10(value) - (year - 2020) / doubling * log10(2.0) for year, value in base) / len(base)
    figure, span = go.Figure(), [2010.0, 2027.0]
    figure.add_scatter(
        x=span, y=[10 ** (level + (year - 2020) / doubling * log10(2.0)) for year in span], mode="lines",
        name=f"doubling every {doubling:.2f} years, as stated", line={"color": STATED, "width": 2},
    )  # fmt: skip
    for bits, colour, text in ((32, PUBLISHED, "32-bit, without tensor units"), (16, COMPUTED, "16-bit, tensor units")):
        names = list(points)
        figure.add_scatter(
            x=[points[name]["year"] for name in names],
            y=[points[name][f"flops_per_usd_{bits}"] for name in names],
            mode="markers+text" if bits == 16 else "markers",
            name=text, text=["" if name in _CROWDED else name.upper().replace("_", " ") for name in names],
            customdata=[name.upper().replace("_", " ") for name in names],
            textposition=[_LABEL_AT.get(name, "top center") for name in names], textfont={"size": 10},
            marker={"size": 9, "color": colour, "line": {"width": 2, "color": colour},
                    "symbol": ["circle" if firm[name] else "circle-open" for name in names]},
            hovertemplate="%{customdata}: %{y:.3s}FLOP/s per $<extra></extra>",
        )  # fmt: skip
    figure = style(figure, 480)
    figure.update_yaxes(type="log", title="dense FLOP/s per dollar", gridcolor="#edf0f3", exponentformat="SI", dtick=1)
    figure.update_xaxes(range=[2010, 2027], dtick=2, gridcolor="#edf0f3")
    return legend_below(figure)


_CROWDED = ("h200", "h100_pcie", "gb200", "tpu_v5e")
_LABEL_AT = {"a100": "bottom center", "h100": "bottom left", "b200": "top center", "tpu_v5p": "top right"}


def growth_figure(tables: Tables) -> Any:
    """Fig. 6: hardware from 2010, models and operations from 2018, with published models."""
    import plotly.graph_objects as go

    own, figure, era = tables["paper.growth"], go.Figure(), 2018.0
    for name, key, dash in (("GPU performance", "gpu_growth", "solid"),
                            ("leading supercomputers", "supercomputer_growth", "dash")):  # fmt: skip
        years = [2010.0, 2028.0]
        figure.add_scatter(x=years, y=[own[key] ** (year - 2010) for year in years], mode="lines", name=name,
                           line={"color": STATED, "dash": dash, "width": 2})  # fmt: skip
    start = own["gpu_growth"] ** (era - 2010)
    models = {"operations": (own["parameters_growth"] ** 2, COMPUTED), "model size": (own["parameters_growth"], SPARSE)}
    for name, (growth, colour) in models.items():
        years = [era, 2028.0]
        figure.add_scatter(x=years, y=[start * growth ** (year - era) for year in years], mode="lines",
                           name=f"{name} since 2018", line={"color": colour, "width": 2.5})  # fmt: skip
    runs = {name: table for name, table in tables.items() if name.startswith("models.") and "release_year" in table}
    first = tables["models.gpt1"]
    on_line = start * own["parameters_growth"] ** (first["release_year"] - era)
    for kind, colour in (("size", SPARSE), ("operations", COMPUTED)):
        chosen = {n: t for n, t in runs.items() if kind == "size" or "training_tokens" in t}
        x = [t["release_year"] for t in chosen.values()]
        if kind == "size":
            y = [on_line * t["parameters"] / first["parameters"] for t in chosen.values()]
        else:
            base = tables["models.gpt3"]
            anchored = start * own["parameters_growth"] ** (2 * (base["release_year"] - era))
            work = {n: t.get("active_parameters", t["parameters"]) * t["training_tokens"] for n, t in chosen.items()}
            y = [anchored * value / work["models.gpt3"] for value in work.values()]
        figure.add_scatter(
            x=x, y=y, mode="markers", name=f"published models, {kind}", text=[n.partition(".")[2] for n in chosen],
            marker={"size": 8, "color": colour, "symbol": "circle", "line": {"width": 1, "color": "white"}},
            hovertemplate="%{text}<extra></extra>",
        )  # fmt: skip
    figure.add_vline(x=era, line={"color": ASSUMED, "dash": "dash", "width": 1})
    figure.add_annotation(x=era, y=12.2, text="large models (assumed to start on the GPU line)", showarrow=False,
                          xanchor="right", xshift=-6, font={"size": 11, "color": "#5d6b7c"})  # fmt: skip
    figure = style(figure, 480)
    figure.update_yaxes(type="log", title="times the GPU performance of 2010", gridcolor="#edf0f3",
                        exponentformat="power", dtick=2, range=[-0.3, 13])  # fmt: skip
    figure.update_xaxes(range=[2010, 2028.2], dtick=2, gridcolor="#edf0f3")
    return legend_below(figure)
