"""What the regenerated pictures share: colours by kind of evidence, axes, the key, the table of parameters.

The text of the paper holds no picture, so nothing here is digitised: curves are computed, points are printed in the
paper's text or published elsewhere, and what we had to suppose is drawn dashed and says so.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ..labels import significant
from ..price import Number
from ..report import embed
from ..uncertainty import Rate
from ..units import unit

Tables = Mapping[str, Mapping[str, Number]]

COMPUTED, STATED, PUBLISHED, ASSUMED = "#0f6f8d", "#c2410c", "#2b3440", "#8a94a3"
DENSE, SPARSE = "#0f6f8d", "#7a4fa3"
DIAMOND = {"symbol": "diamond", "size": 10, "color": STATED, "line": {"width": 1, "color": "white"}}
LEGEND = (
    '<p class="key"><b style="color:#0f6f8d">solid lines</b> are computed here; '
    '<b style="color:#c2410c">diamonds</b> are printed in the text of the paper; '
    '<b style="color:#2b3440">circles</b> are published by others; '
    '<b style="color:#6b7686">dashed grey</b> is assumed. Nothing is digitised: the text holds no picture.</p>'
)


def parameters(rates: Mapping[str, Rate], changed: Sequence[str], tables: tuple[str, ...]) -> str:
    """Every parameter the pictures depend on, and how to change it."""
    rows = "".join(
        f"<tr{' style=background:#fff6e5' if name in changed else ''}><td><code>{escape(name)}</code></td>"
        f'<td class="number">{escape(_number(rate.value))} {escape(unit(name)) if unit(name) != "1" else ""}</td>'
        f'<td><span class="badge {rate.evidence}">{rate.evidence}</span></td><td>{escape(rate.source)}</td></tr>'
        for name, rate in rates.items()
        if name.startswith(tables)
    )
    note = "Changed ones are marked." if changed else "All are as in the tables."
    return (
        f"<h2>Parameters</h2><p>Any of them can be changed: <code>--set name=value</code>, or a TOML file with "
        f"<code>--rates</code>. {note}</p><details{' open' if changed else ''}><summary>All parameters</summary>"
        '<div class="scroll"><table><thead><tr><th>name</th><th class="number">value</th><th>evidence</th>'
        f"<th>source</th></tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def _number(value: float) -> str:
    if value == int(value) and 1900 < value < 2100:
        return f"{value:.0f}"
    return (
        f"{value:,.6g}"
        if 1e-3 < abs(value) < 1e6 or value == 0
        else f"{significant(value / 10 ** _power(value), 4)}e{_power(value)}"
    )


def _power(value: float) -> int:
    return math.floor(math.log10(abs(value)))


def card(figure: Any) -> str:
    return f'<div class="card">{embed(figure)}</div>'


def legend_below(figure: Any) -> Any:
    below = {"orientation": "h", "y": -0.16, "yanchor": "top", "x": 0, "traceorder": "normal"}
    return figure.update_layout(legend=below, margin={"t": 16, "r": 20})


def log10(value: float) -> float:
    return math.log10(value)


def height_at(years: Sequence[float], values: Sequence[float], year: float) -> float:
    for (y0, v0), (y1, v1) in zip(
        zip(years, values, strict=True), zip(years[1:], values[1:], strict=False), strict=False
    ):
        if y0 <= year <= y1:
            return v0 * (v1 / v0) ** ((year - y0) / (y1 - y0))
    return values[-1]


def ticks(values: Sequence[float]) -> dict[str, Any]:
    def text(value: float) -> str:
        return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"

    return {"tickvals": list(values), "ticktext": [text(value) for value in values]}


def dollar_axis(low: int, high: int) -> dict[str, Any]:
    names = {3: "k", 6: " M", 9: " B", 12: " T", 15: ",000 T"}
    powers = range(low, high + 1)
    text = [f"${10 ** (power % 3)}{names[power - power % 3]}" for power in powers]
    return {"type": "log", "tickvals": [10.0**power for power in powers], "ticktext": text, "gridcolor": "#edf0f3"}
