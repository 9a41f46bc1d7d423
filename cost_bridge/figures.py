"""The figures of the page: joules at each boundary, where the joules go, what moves a ratio.

Functions of a results mapping to plotly figures. Text that comes from files is escaped before plotly sees it.
"""

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

from . import labels
from .events import BOUNDARIES

DIGITAL, ANALOG = "#5b6b83", "#0f8b8d"
LOW, HIGH = "#d98b4a", "#3f7cac"
ITEM_COLOURS = {
    "analog_macs": "#0f8b8d",
    "dac_samples": "#4cb8b0",
    "adc_samples": "#9bd8cf",
    "comparator_decisions": "#c3e8e0",
    "cam_searches": "#2a7f62",
    "pulses": "#74c69d",
    "cell_writes": "#8f5aa8",
    "refresh": "#c39bd3",
    "digital_ops": "#e8b04b",
    "digital_flops": "#d4762c",
    "vector_flops": "#eaa15c",
    "coprocessor_standing": "#f0cfa0",
    "random_bits": "#b5c334",
    "buffer_bytes": "#7ea4d6",
    "pbit_updates": "#b03a5b",
    "node_reads": "#cf7f95",
    "node_writes": "#e3b3bf",
    "memory_bytes": "#3f6fb0",
    "processor": "#5b6b83",
    "periphery": "#a3b1bf",
    "standing": "#c9d1d9",
    "supply_and_cooling": "#e6e9ed",
}
MARKS = {"array": "circle-open", "chip": "diamond-open", "wall plug": "circle"}
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def workloads(results: Mapping[str, Any]) -> list[str]:
    """Workload names in the order of the rows."""
    return list(dict.fromkeys(row["workload"] for row in results["rows"]))


def joules(results: Mapping[str, Any], workload: str) -> Any:
    """Joules of one workload on a log axis: a band per machine, in it one mark and one 90 % bar per boundary."""
    import plotly.graph_objects as go

    rows = [row for row in results["rows"] if row["workload"] == workload]
    names = list(dict.fromkeys(row["hardware"] for row in rows))
    details = _details(results, workload)
    figure = go.Figure()
    ends = []
    for offset, boundary in zip((0.24, 0.0, -0.24), BOUNDARIES, strict=True):
        here = [row for row in rows if row["boundary"] == boundary]
        found = [details.get((row["hardware"], boundary), {}) for row in here]
        spread = [one.get("joules_90", [row["joules"]] * 2) for one, row in zip(found, here, strict=True)]
        ends += [end for pair in spread for end in pair]
        colours = [DIGITAL if one.get("is_digital", True) else ANALOG for one in found]
        figure.add_scatter(
            name=boundary,
            x=[row["joules"] for row in here],
            y=[names.index(row["hardware"]) - offset for row in here],
            mode="markers",
            marker={"symbol": MARKS[boundary], "size": 10, "color": colours, "line": {"width": 2, "color": colours}},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [high - row["joules"] for row, (_, high) in zip(here, spread, strict=True)],
                "arrayminus": [row["joules"] - low for row, (low, _) in zip(here, spread, strict=True)],
                "color": "rgba(70,80,95,0.45)",
                "thickness": 1.5,
                "width": 0,
            },
            customdata=[
                [labels.si(row["joules"], "J"), labels.si(low, "J"), labels.si(high, "J"), row["evidence"]]
                for row, (low, high) in zip(here, spread, strict=True)
            ],
            hovertemplate=f"{boundary}: %{{customdata[0]}} (%{{customdata[1]}} to %{{customdata[2]}}), "
            "weakest evidence: %{customdata[3]}<extra></extra>",
        )
    decades = range(math.floor(math.log10(min(ends))), math.ceil(math.log10(max(ends))) + 1)
    figure = style(figure, 96 + 62 * len(names))
    figure.update_xaxes(
        type="log",
        range=[math.log10(min(ends)) - 0.1, math.log10(max(ends)) + 0.1],
        tickvals=[10.0**power for power in decades],
        ticktext=[labels.si(10.0**power, "J", 1) for power in decades],
        gridcolor="#dfe5eb",
        minor={"dtick": "D1", "gridcolor": "#f2f4f7", "showgrid": True},
    )
    return figure.update_yaxes(
        tickvals=list(range(len(names))),
        ticktext=[_label(name) for name in names],
        range=[len(names) - 0.45, -0.55],
        showgrid=False,
    )


def spent(results: Mapping[str, Any], workload: str) -> Any:
    """Where the joules of one workload go at the wall plug: shares of each machine's own total, stacked."""
    import plotly.graph_objects as go

    details = [
        detail
        for detail in results.get("details", [])
        if detail["workload"] == workload and detail["boundary"] == "wall plug"
    ]
    names = [_label(detail["hardware"]) for detail in details]
    figure = go.Figure()
    items = [
        item
        for item in dict.fromkeys([*ITEM_COLOURS, *(item for detail in details for item in detail["items"])])
        if any(detail["items"].get(item, 0) >= 0.003 * sum(detail["items"].values()) for detail in details)
    ]
    for item in items:
        energies = [detail["items"].get(item, 0.0) for detail in details]
        share = [100 * energy / sum(detail["items"].values()) for energy, detail in zip(energies, details, strict=True)]
        text = html.escape(labels.ITEM_TEXT.get(item, item))
        figure.add_bar(
            name=text,
            x=share,
            y=names,
            orientation="h",
            marker={"color": ITEM_COLOURS.get(item, "#888"), "line": {"width": 0.5, "color": "white"}},
            customdata=[labels.si(energy, "J") for energy in energies],
            hovertemplate=f"{text}: %{{customdata}}, %{{x:.1f}} %<extra></extra>",
        )
    figure.update_layout(barmode="stack", bargap=0.35)
    figure.update_xaxes(range=[0, 100], ticksuffix=" %", gridcolor="#edf0f3")
    figure.update_yaxes(categoryorder="array", categoryarray=list(reversed(names)))
    figure = style(figure, 120 + 44 * len(names) + 22 * (len(items) // 3))
    below = {"orientation": "h", "y": -0.12, "yanchor": "top", "x": 0, "traceorder": "normal"}
    return figure.update_layout(legend=below, margin={"t": 6})


def drivers(detail: Mapping[str, Any], ratio: float, *, most: int = 8) -> Any:
    """A tornado: the ratio of one machine when one rate stands at its 5 % or 95 % point, the rest at their medians."""
    import plotly.graph_objects as go

    swings = detail["tornado"][:most]
    names = [_label(labels.rate_text(swing["rate"])) for swing in swings]
    figure = go.Figure()
    for end, colour, text in (("low", LOW, "rate at its 5 % point"), ("high", HIGH, "rate at its 95 % point")):
        figure.add_scatter(
            name=text,
            x=[value for swing in swings for value in (ratio, swing[end], None)],
            y=[name for name in names for _ in range(3)],
            mode="lines",
            line={"color": colour, "width": 13},
            hovertemplate=f"%{{y}}<br>{text}: %{{x:.3g}}×<extra></extra>",
        )
    figure.add_vline(x=ratio, line={"color": "#2b3440", "width": 1.5})
    figure.add_vline(x=1, line={"color": "#2b3440", "width": 1, "dash": "dot"})
    ends = [value for swing in swings for value in (swing["low"], swing["high"])] + [ratio, 1.0]
    ticks = [
        digit * 10.0**power
        for power in range(math.floor(math.log10(min(ends))), math.ceil(math.log10(max(ends))) + 1)
        for digit in ((1, 1.5, 2, 3, 5, 7) if max(ends) < 30 * min(ends) else (1,))
    ]
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{tick:.3g}×" for tick in ticks], gridcolor="#edf0f3")
    figure.update_yaxes(categoryorder="array", categoryarray=list(reversed(names)))
    return style(figure, 110 + 32 * len(names))


def _details(results: Mapping[str, Any], workload: str) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {
        (detail["hardware"], detail["boundary"]): detail
        for detail in results.get("details", [])
        if detail["workload"] == workload
    }


def _label(text: str, width: int = 26) -> str:
    """Escaped, and broken into lines that leave room for the axis on a narrow screen."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "<br>".join(html.escape(line) for line in lines)


def style(figure: Any, height: int = 420) -> Any:
    """The page's look on any plotly figure: its font, no frame, legend above, grid where there are axes."""
    return figure.update_layout(
        height=height,
        margin={"l": 8, "r": 16, "t": 34, "b": 8},
        font={"family": FONT, "size": 13, "color": "#2b3440"},
        plot_bgcolor="white",
        paper_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hoverlabel={"font": {"family": FONT}},
        xaxis={"automargin": True, "zeroline": False},
        yaxis={"automargin": True},
        dragmode=False,
    )


def all_of(results: Mapping[str, Any], workload: str) -> Sequence[tuple[str, float, Mapping[str, Any]]]:
    """The analog machines of a workload that have a tornado at the wall plug: name, ratio, detail."""
    ratios = {
        row["hardware"]: row["ratio"]
        for row in results["rows"]
        if row["workload"] == workload and row["boundary"] == "wall plug"
    }
    return [
        (detail["hardware"], ratios[detail["hardware"]], detail)
        for detail in results.get("details", [])
        if detail["workload"] == workload and detail["tornado"] and not detail["is_digital"]
    ]
