"""Fig. 7: time to train by number of GPUs that fail, and the same equations at an observed failure rate."""

from collections.abc import Mapping, Sequence
from typing import Any

from .. import outlook
from ..digital import resilience
from ..figures import style
from ..report import shell
from ..uncertainty import Rate
from .look import (
    COMPUTED,
    DENSE,
    DIAMOND,
    LEGEND,
    PUBLISHED,
    SPARSE,
    STATED,
    Tables,
    card,
    legend_below,
    log10,
    parameters,
    ticks,
)


def page(tables: Tables, rates: Mapping[str, Rate], changed: Sequence[str]) -> str:
    """Fig. 7: time to train by number of GPUs, and the same model at an observed failure rate."""
    found = outlook.machine(tables)
    at = found["at_size"]
    body = [
        "<h1>Time to train one model on a machine that fails</h1>",
        '<p class="lead">Fig. 7 of the seed paper, regenerated from its Table 3.</p>',
        LEGEND,
        "<h2>Time by number of GPUs (Fig. 7)</h2>",
        f"<p>At {at['gpus']:,.0f} GPUs something fails every {at['hours_between_failures']:.1f} hours and a checkpoint "
        f"takes {at['checkpoint_hours']:.2f}: resilience gains a factor <b>{at['gain']:.2f}</b>. Without it more than "
        f"<b>{found['best_size_gpus']['without']:,.0f}</b> GPUs make the run longer. Circles are simulated event by "
        "event, with two standard errors. The band is the unprotected machine with GPUs that fail half or twice as "
        "often. The size of the model, which sets the scale of days, is assumed.</p>",
        card(time_figure(tables)),
        "<h2>Gain of resilience</h2>",
        card(gain_figure(tables)),
        "<h2>The same equations at an observed failure rate</h2>",
        f"<p>Llama 3's machine was interrupted every {found['llama3']['gpu_hours_per_interruption'] / 1e3:.0f} "
        f"thousand GPU-hours, not every {tables['paper.cluster']['gpu_mtbf_hours'] / 1e3:.0f}. With its light "
        f"checkpoints and "
        f"quick restarts the model gives {100 * found['llama3']['effective_fraction']:.0f} % effective time on "
        f"{found['llama3']['gpus']:,.0f} GPUs; its authors report more than 90 %. Dumping whole GPU memories, as "
        "Table 3 does, could not have worked at that rate.</p>",
        card(observed_figure(tables)),
        parameters(rates, changed, ("paper.cluster", "models.llama3_405b")),
    ]
    return shell("Time to train one model on a machine that fails", "\n".join(body))


def time_figure(tables: Tables) -> Any:
    """Fig. 7: days by number of GPUs, dense and in partitions, with and without resilience."""
    import plotly.graph_objects as go

    sizes = tuple(1000 * 1.06**i for i in range(92))
    found = outlook.machine(tables, sizes=sizes)
    own = tables["paper.cluster"]
    figure = go.Figure()
    band = []
    for scale in (2.0, 0.5):
        other = {**tables, "paper.cluster": {**own, "gpu_mtbf_hours": own["gpu_mtbf_hours"] * scale}}
        band.append(outlook.machine(other, sizes=sizes)["days"]["dense, without"])
    figure.add_scatter(x=sizes, y=band[0], mode="lines", line={"width": 0}, showlegend=False, hoverinfo="skip")
    figure.add_scatter(
        x=sizes, y=band[1], mode="lines", line={"width": 0}, fill="tonexty", fillcolor="rgba(15,111,141,0.14)",
        name="GPUs fail half or twice as often", hoverinfo="skip",
    )  # fmt: skip
    looks = {"without": ("solid", 3), "checkpoints only": ("dot", 1.5), "with": ("dash", 2.5)}
    for name, days in found["days"].items():
        model, _, kind = name.rpartition(", ")
        dash, width = looks[kind]
        figure.add_scatter(
            x=sizes, y=days, mode="lines", name=f"{model}, {kind}{' resilience' if kind != 'checkpoints only' else ''}",
            line={"color": DENSE if model == "dense" else SPARSE, "dash": dash, "width": width},
            hovertemplate=f"{name}: %{{y:.3g}} days on %{{x:,.0f}}<extra></extra>",
        )  # fmt: skip
    some = (2e3, 1e4, 3e4, 5e4, 8e4)
    checked = outlook.simulated(tables, sizes=some)
    plain = outlook.machine(tables, sizes=some)
    alone = [d / f for d, f in zip(plain["days"]["dense, without"], plain["slowdown"]["without"], strict=True)]
    figure.add_scatter(
        x=some, y=[one.mean * days for one, days in zip(checked, alone, strict=True)], mode="markers",
        name="simulated, event by event",
        error_y={
            "array": [2 * one.standard_error * days for one, days in zip(checked, alone, strict=True)],
            "thickness": 1.5,
        },
        marker={"size": 8, "color": "white", "line": {"width": 2, "color": DENSE}},
        hovertemplate="%{y:.3g} days<extra>simulated</extra>",
    )  # fmt: skip
    best = found["best_size_gpus"]["without"]
    figure.add_vline(x=best, line={"color": DENSE, "width": 1})
    figure.add_annotation(x=log10(best), y=1.0, yref="paper", text=f"best size without: {best:,.0f}", showarrow=False,
                          xanchor="right", xshift=-6, font={"size": 12, "color": DENSE})  # fmt: skip
    figure = style(figure, 560)
    figure.update_xaxes(type="log", **ticks((1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5)), title="GPUs",
                        range=[3, 5.32], gridcolor="#edf0f3")  # fmt: skip
    top = max(found["days"]["dense, with"][0], 10.0) * 2
    figure.update_yaxes(type="log", title=f"days, model of {own['model_parameters'] / 1e12:.3g} T parameters (assumed)",
                        **ticks((1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4)), gridcolor="#edf0f3",
                        range=[log10(top) - 3.9, log10(top)])  # fmt: skip
    return legend_below(figure)


def gain_figure(tables: Tables) -> Any:
    """Time without resilience over time with it, and the paper's factor 2 at 50k GPUs."""
    import plotly.graph_objects as go

    sizes = tuple(1000 * 1.06**i for i in range(86))
    found, figure = outlook.machine(tables, sizes=sizes), go.Figure()
    figure.add_scatter(x=sizes, y=found["gain"], mode="lines", name="gain of all three measures",
                       line={"color": COMPUTED, "width": 3})  # fmt: skip
    tuned = [a / b for a, b in zip(found["slowdown"]["without"], found["slowdown"]["checkpoints only"], strict=True)]
    figure.add_scatter(x=sizes, y=tuned, mode="lines", name="gain of checkpoints alone",
                       line={"color": COMPUTED, "width": 1.5, "dash": "dot"})  # fmt: skip
    figure.add_scatter(x=[5e4], y=[2.0], mode="markers", name="printed in the paper", marker=DIAMOND)
    figure = style(figure, 380)
    figure.update_xaxes(type="log", **ticks((1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5)), title="GPUs", gridcolor="#edf0f3")
    figure.update_yaxes(title="time without over time with", range=[0.9, 5.2], gridcolor="#edf0f3")
    return legend_below(figure)


def observed_figure(tables: Tables) -> Any:
    """Effective share of the time by number of GPUs, at Llama 3's failure rate and at Table 3's."""
    import plotly.graph_objects as go

    llama = tables["models.llama3_405b"]
    seen, printed = resilience.observed_cluster(llama), resilience.cluster(tables)
    sizes, figure = [500 * 1.07**i for i in range(82)], go.Figure()
    for name, one, colour, dash in (
        ("Llama 3: observed failures, its checkpoints", seen, COMPUTED, "solid"),
        ("observed failures, checkpoints of Table 3", printed._replace(gpu_mtbf_hours=seen.gpu_mtbf_hours,
                                                                       cpu_mtbf_hours=float("inf")), COMPUTED, "dot"),
        ("Table 3 as printed", printed, STATED, "solid"),
    ):  # fmt: skip
        shares = [100 * resilience.effective_fraction(one._replace(gpus=n)) for n in sizes]
        figure.add_scatter(x=sizes, y=shares, mode="lines", name=name,
                           line={"color": colour, "dash": dash, "width": 2.5},
                           hovertemplate="%{y:.0f} % on %{x:,.0f}<extra></extra>")  # fmt: skip
    figure.add_scatter(
        x=[llama["cluster_gpus"]], y=[90], mode="markers", name="Llama 3, reported: more than 90 %",
        marker={"symbol": "triangle-up", "size": 12, "color": PUBLISHED},
    )  # fmt: skip
    figure = style(figure, 420)
    figure.update_xaxes(type="log", **ticks((500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5)), title="GPUs",
                        gridcolor="#edf0f3")  # fmt: skip
    figure.update_yaxes(title="effective share of the time", ticksuffix=" %", range=[0, 102], gridcolor="#edf0f3")
    return legend_below(figure)
