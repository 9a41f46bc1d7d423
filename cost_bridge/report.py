"""The comparison as one HTML page that needs nothing else: no network, no server, no other file.

Reads a results mapping (`results.py`) and figures that the caller made; everything that comes from files is escaped.
"""

import html
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from . import figures, labels
from .events import BOUNDARIES
from .results import validate, write_text
from .uncertainty import EVIDENCE

TITLE = "What would a training step cost on analog hardware?"
QUESTION = (
    "The same units of work, priced in joules, seconds and dollars on digital machines and on analog arrays, "
    "each number with its boundary, its interval and its evidence."
)


class Section(NamedTuple):
    """Something the caller wants on the page: a heading, paragraphs (blank lines part them), perhaps a plotly figure."""

    title: str
    text: str = ""
    figure: Any = None


def write_page(
    results: Mapping[str, Any],
    path: str | Path,
    *,
    sections: Sequence[Section] = (),
    title: str = TITLE,
    replace: bool = False,
) -> None:
    """Write the page of `results` to `path`, whole or not at all; `sections` follow the comparison.

    Raises ValueError for results that `validate` refuses, and for a path that exists where `replace` is off.
    """
    validate(results)
    write_text(page(results, sections=sections, title=title), Path(path), replace=replace)


def page(results: Mapping[str, Any], *, sections: Sequence[Section] = (), title: str = TITLE) -> str:
    """The page as text."""
    from plotly.offline import get_plotlyjs

    style = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    body = "\n".join(
        [
            f"<h1>{_e(title)}</h1>",
            f'<p class="lead">{_e(QUESTION)}</p>',
            _in_short(results),
            _headline(results),
            _joules(results),
            _spent(results),
            _drivers(results),
            *(_section(section) for section in sections),
            _evidence(results),
            _sources(results),
            _provenance(results),
        ]
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{_e(title)}</title>\n<link rel="icon" href="data:,">\n<style>\n{style}</style>\n'
        f"<script>{get_plotlyjs()}</script>\n</head>\n<body>\n<main>\n{body}\n</main>\n{_SWITCH}\n</body>\n</html>\n"
    )


_SWITCH = """<script>
for (const choice of document.querySelectorAll('input[name="boundary"]')) {
  choice.addEventListener('change', () => {
    for (const row of document.querySelectorAll('tr[data-boundary]')) row.hidden = row.dataset.boundary !== choice.value;
  });
}
</script>"""


def _in_short(results: Mapping[str, Any]) -> str:
    """One sentence a workload: the analog machine that does best at the wall plug, and whether the interval settles it."""
    lines = []
    for workload in figures.workloads(results):
        found = [(ratio, name) for name, ratio, _ in figures.all_of(results, workload)]
        if not found:
            continue
        ratio, name = max(found)
        row = next(
            row
            for row in results["rows"]
            if (row["workload"], row["hardware"], row["boundary"]) == (workload, name, "wall plug")
        )
        low, high = row["interval_90"]
        span = f"90 % interval {labels.interval((low, high))}"
        if low > 1:
            said = f"the {name} needs <b>{labels.times(ratio)} fewer joules</b> than the best digital machine ({span})"
        elif high < 1:
            said = f"the {name} needs <b>{labels.times(1 / ratio)} more joules</b> than the best digital machine ({span} of its gain)"
        else:
            said = f"the {name} <b>cannot be told apart</b> from the best digital machine: {labels.times(ratio)} fewer joules, {span}"
        said = said.replace(name, _e(name))
        lines.append(f"<li><b>{_e(workload)}</b>, {_e(row['unit'])}: {said}.</li>")
    if not lines:
        return ""
    return f'<ul class="short">{"".join(lines)}</ul><p class="soft">At the wall plug, best analog machine of each unit of work.</p>'


def _headline(results: Mapping[str, Any]) -> str:
    choices = "".join(
        f'<label><input type="radio" name="boundary" value="{boundary}"'
        f"{' checked' if boundary == 'wall plug' else ''}>{boundary}</label>"
        for boundary in reversed(BOUNDARIES)
    )
    meaning = "; ".join(_e(labels.BOUNDARY_TEXT[boundary]) for boundary in reversed(BOUNDARIES))
    body = []
    kinds = {
        (detail["workload"], detail["hardware"]): "digital" if detail["is_digital"] else "analog"
        for detail in results.get("details", [])
    }
    for workload in figures.workloads(results):
        rows = [row for row in results["rows"] if row["workload"] == workload]
        body.append(f'<tr class="work"><td colspan="7">{_e(workload)} <small>{_e(rows[0]["unit"])}</small></td></tr>')
        body += [
            _row(row, kinds.get((workload, row["hardware"]), "digital"))
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
<p class="soft">A ratio above 1 means fewer joules than the best digital machine of that unit of work, the one with the
fewest joules at the wall plug; below it stands the 90 % interval. A saturated GPU runs many such units side by side and
is charged per unit. Dollars are electricity and the device's price over its working life; for an analog array they are
a range, because its silicon has no market price, and they are not part of the ratio.</p>"""


def _row(row: Mapping[str, Any], kind: str) -> str:
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
        f'<tr class="{kind}" data-boundary="{row["boundary"]}"{hidden}><td>{_e(row["hardware"])}</td>'
        f'<td class="number" data-label="energy">{labels.si(row["joules"], "J")}</td>'
        f'<td class="number" data-label="time">{labels.duration(row["seconds"])}</td>'
        f'<td class="number" data-label="cost">{_two_lines(row["dollars"])}</td>'
        f'<td class="number" data-label="best digital ÷ this">{ratio}</td><td>{span}</td>'
        f'<td data-label="weakest evidence"><span class="badge {row["evidence"]}" title="{_e(row["source"])}">'
        f"{row['evidence']}</span></td></tr>\n"
    )


def _two_lines(amount: float | Sequence[float]) -> str:
    return _e(labels.money(amount)).replace(" to ", "<br>to ")


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
        f'<line x1="{x(low):.1f}" x2="{x(high):.1f}" y1="9" y2="9" stroke="{colour}" stroke-width="3" stroke-linecap="round"/>'
        f'<circle cx="{x(middle):.1f}" cy="9" r="4" fill="{colour}"/></svg>'
    )


def _joules(results: Mapping[str, Any]) -> str:
    parts = [
        "<h2>Joules at each boundary</h2><p>From the arithmetic alone to the wall plug. Bars are 90 % intervals; "
        "the axis is logarithmic, and every unit of work has its own.</p>"
    ]
    for workload in figures.workloads(results):
        parts.append(_card(_work_title(results, workload), figures.joules(results, workload)))
    return "\n".join(parts)


def _spent(results: Mapping[str, Any]) -> str:
    if not results.get("details"):
        return ""
    parts = [
        "<h2>Where the joules go</h2><p>Shares of each machine's own total at the wall plug, every rate at its median.</p>"
    ]
    for workload in figures.workloads(results):
        parts.append(_card(_work_title(results, workload), figures.spent(results, workload)))
    return "\n".join(parts)


def _drivers(results: Mapping[str, Any]) -> str:
    parts = [
        "<h2>What moves the ratio</h2><p>One rate at a time goes to the ends of its 90 % range while the others stay "
        "at their medians. The dotted line is 1: as many joules as the best digital machine.</p>"
    ]
    found = False
    for workload in figures.workloads(results):
        inner = []
        for name, ratio, detail in figures.all_of(results, workload):
            found = True
            base = detail.get("ratio_at_medians", ratio)
            inner.append(f"<h3>{_e(name)}</h3>{_figure(figures.drivers(detail, base))}")
        if inner:
            opened = " open" if workload == figures.workloads(results)[0] else ""
            parts.append(f'<details class="card"{opened}><summary>{_e(workload)}</summary>{"".join(inner)}</details>')
    return "\n".join(parts) if found else ""


def _section(section: Section) -> str:
    paragraphs = "".join(f"<p>{_e(part.strip())}</p>" for part in section.text.split("\n\n") if part.strip())
    figure = f'<div class="card">{_figure(section.figure)}</div>' if section.figure is not None else ""
    return f"<h2>{_e(section.title)}</h2>{paragraphs}{figure}"


def _evidence(results: Mapping[str, Any]) -> str:
    rates = results.get("rates", {})
    count = Counter(rate["evidence"] for rate in rates.values())
    classes = "".join(
        f'<dt><span class="badge {name}">{name}</span></dt><dd>{_e(labels.EVIDENCE_TEXT[name])}'
        f"{f': {count[name]} of the {len(rates)} rates' if rates else ''}</dd>"
        for name in EVIDENCE
    )
    table = ""
    if rates:
        body = "".join(
            f'<tr><td>{_e(labels.rate_text(name))}<br><code class="soft">{_e(name)}</code></td>'
            f'<td class="number">{_number(rate["value"])}</td>'
            f'<td class="number">{_range(rate)}</td>'
            f'<td><span class="badge {_e(rate["evidence"])}">{_e(rate["evidence"])}</span></td><td>{_e(rate["source"])}</td></tr>'
            for name, rate in sorted(rates.items())
        )
        table = (
            f'<details><summary>All {len(rates)} rates</summary><div class="scroll"><table><thead><tr><th>rate</th>'
            '<th class="number">median</th><th class="number">90 % range</th><th>evidence</th><th>source</th></tr></thead>'
            f"<tbody>{body}</tbody></table></div></details>"
        )
    return f"""<h2>What was measured, what is assumed, how sure we are</h2>
<p>Every number rests on rates, and every rate has a class of evidence. A cell of the table carries the weakest class
among the rates that move at least 5 % of its joules.</p>
<dl>{classes}</dl>
<p>A rate is a lognormal belief: half below its median, 5 % below the lower end of its range and 5 % above the upper.
All machines are evaluated in the same random draw, so electricity, cooling and the GPU's energy per operation
are the same on both sides of a ratio. Two terms of value 1 stand for what the models themselves get wrong: their ranges come
from errors on data that the models had not seen, so no interval between two machines is narrower than that.</p>
<p>An analog chip is charged for the arithmetic that it leaves to a GPU beside it, at that GPU's own joules and seconds, and for
its idle tiles as long as a step takes. What is not here: the cost of designing a chip, of yield, and of failures in long runs.</p>
{table}"""


def _sources(results: Mapping[str, Any]) -> str:
    sources: dict[str, str] = {}
    for rate in results.get("rates", {}).values():
        sources.setdefault(rate["source"], rate["evidence"])
    for row in results["rows"]:
        for source in row["source"].split("; "):
            sources.setdefault(source, row["evidence"])
    published = sorted(
        source for source in sources if sources[source] != "assumption" or "engineering estimate" not in source
    )
    published = [source for source in published if not source.startswith(("engineering estimate", "our reading"))]
    return f'<h2>Sources</h2><ul class="plain">{"".join(f"<li>{_e(source)}</li>" for source in published)}</ul>'


def _provenance(results: Mapping[str, Any]) -> str:
    lines = "".join(f"<dt>{_e(str(key))}</dt><dd>{_e(str(value))}</dd>" for key, value in results["provenance"].items())
    return f"<h2>This run</h2><dl>{lines}</dl>"


def _work_title(results: Mapping[str, Any], workload: str) -> str:
    unit = next(row["unit"] for row in results["rows"] if row["workload"] == workload)
    return f"<h3>{_e(workload)} <small>{_e(unit)}</small></h3>"


def _card(heading: str, figure: Any) -> str:
    return f'<div class="card">{heading}{_figure(figure)}</div>'


def _figure(figure: Any) -> str:
    return figure.to_html(full_html=False, include_plotlyjs=False, config={"displayModeBar": False, "responsive": True})


def _number(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1e6 else f"{value:.3e}"


def _range(rate: Mapping[str, Any]) -> str:
    if rate["factor"] == 1:
        return "exact"
    return f"{rate['value'] / rate['factor']:.3g} to {rate['value'] * rate['factor']:.3g}"


def _e(text: str) -> str:
    return html.escape(text, quote=True)
