"""The headline table of the page: every machine at every boundary, wall plug first, as HTML."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from . import labels
from .events import BOUNDARIES
from .figures import workloads


def headline(results: Mapping[str, Any]) -> str:
    """A switch between boundaries and one table; rows of the other boundaries are there, hidden."""
    choices = "".join(
        f'<label><input type="radio" name="boundary" value="{boundary}"'
        f"{' checked' if boundary == 'wall plug' else ''}>{boundary}</label>"
        for boundary in reversed(BOUNDARIES)
    )
    meaning = "; ".join(escape(labels.BOUNDARY_TEXT[boundary]) for boundary in reversed(BOUNDARIES))
    body = []
    kinds = {
        (detail["workload"], detail["hardware"]): "digital" if detail["is_digital"] else "analog"
        for detail in results.get("details", [])
    }
    parts = {
        (detail["workload"], detail["hardware"], detail["boundary"]): detail.get("evidence_shares", [])
        for detail in results.get("details", [])
    }
    for workload in workloads(results):
        rows = [row for row in results["rows"] if row["workload"] == workload]
        body.append(
            f'<tr class="work"><td colspan="7">{escape(workload)} <small>{escape(rows[0]["unit"])}</small></td></tr>'
        )
        body += [
            _row(
                row,
                kinds.get((workload, row["hardware"]), "digital"),
                parts.get((workload, row["hardware"], boundary), []),
            )
            for boundary in reversed(BOUNDARIES)
            for row in rows
            if row["boundary"] == boundary
        ]
    return f"""<h2>Joules, seconds and dollars</h2>
<fieldset class="switch" aria-label="boundary">{choices}</fieldset>
<p class="soft">{meaning}. Seconds and dollars are of the whole unit at every boundary.</p>
<div class="card scroll"><table class="cells"><thead><tr><th>hardware</th><th class="number">energy</th>
<th class="number">time</th><th class="number">cost</th><th class="number">best digital joules ÷ these</th>
<th>0.01× to 1000×</th><th>weakest evidence</th></tr></thead><tbody>
{"".join(body)}
</tbody></table></div>
<p class="soft">A ratio above 1 means fewer joules than the best digital machine of that unit of work at the same
boundary, whichever it is in a draw; below it stands the 90 % interval. The weakest class of evidence comes with the
part of the joules that rests on it. At the
saturating batch one pass does the work of many units, such as one optimiser step of a batch many times as large; a
unit's share of it is shown, which is less than a step of its own would cost. Dollars are electricity and the device's
price over its working life; for an analog array they are
a range, because its silicon has no market price, and they are not part of the ratio.</p>"""


def _row(row: Mapping[str, Any], kind: str, parts: Sequence[Mapping[str, Any]]) -> str:
    hidden = "" if row["boundary"] == "wall plug" else " hidden"
    if row["ratio"] is None:
        ratio, span = '<span class="soft">no digital machine here</span>', ""
    else:
        low, high = row["interval_90"]
        word = "gain" if low > 1 else "loss" if high < 1 else "same"
        best = low == high == 1
        ratio = (
            "best digital"
            if best
            else f'<span class="ratio {word}">{labels.times(row["ratio"])}</span>'
            f"<small>{labels.interval((low, high))}</small>"
        )
        span = _span(low, row["ratio"], high)
    return (
        f'<tr class="{kind}" data-boundary="{row["boundary"]}"{hidden}><td>{escape(row["hardware"])}</td>'
        f'<td class="number" data-label="energy">{labels.si(row["joules"], "J")}</td>'
        f'<td class="number" data-label="time">{labels.duration(row["seconds"])}</td>'
        f'<td class="number" data-label="cost">{_two_lines(row["dollars"])}</td>'
        f'<td class="number" data-label="best digital ÷ this">{ratio}</td><td>{span}</td>'
        f'<td data-label="weakest evidence"><span class="badge {row["evidence"]}" title="{escape(row["source"])}">'
        f"{labels.evidence(row['evidence'], parts)}</span></td></tr>\n"
    )


def _two_lines(amount: float | Sequence[float]) -> str:
    return escape(labels.money(amount)).replace(" to ", "<br>to ")


def _span(low: float, middle: float, high: float) -> str:
    """The interval on a common log scale, with a tick at 1."""
    width, least, most = 130, -2.0, 3.0

    def x(value: float) -> float:
        return 4 + (width - 8) * (min(max(math.log10(value), least), most) - least) / (most - least)

    one = x(1.0)
    colour = "#0a7a4b" if low > 1 else "#b3401f" if high < 1 else "#2b3440"
    return (
        f'<svg class="span" width="{width}" height="18" viewBox="0 0 {width} 18" aria-hidden="true">'
        f'<line x1="4" x2="{width - 4}" y1="9" y2="9" stroke="#e3e8ee"/>'
        f'<line x1="{one:.1f}" x2="{one:.1f}" y1="2" y2="16" stroke="#9aa6b4"/>'
        f'<line x1="{x(low):.1f}" x2="{x(high):.1f}" y1="9" y2="9" stroke="{colour}" '
        'stroke-width="3" stroke-linecap="round"/>'
        f'<circle cx="{x(middle):.1f}" cy="9" r="4" fill="{colour}"/></svg>'
    )
