"""The comparison as one HTML page that needs nothing else: no network, no server, no other file.

Reads a results mapping (`results.py`) and figures that the caller made; everything that comes from files is escaped.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from . import figures, labels
from .headline import headline
from .results import validate, write_text
from .uncertainty import EVIDENCE

TITLE = "What would a training step cost on analog hardware?"
QUESTION = (
    "The same units of work, priced in joules, seconds and dollars on digital machines and on analog arrays, "
    "each number with its boundary, its interval and its evidence."
)


class Section(NamedTuple):
    """What the caller adds to the page: a heading, paragraphs (blank lines part them), perhaps a plotly figure."""

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
    body = "\n".join(
        [
            f"<h1>{escape(title)}</h1>",
            f'<p class="lead">{escape(QUESTION)}</p>',
            _in_short(results),
            headline(results),
            _joules(results),
            _spent(results),
            _drivers(results),
            *(_section(section) for section in sections),
            _evidence(results),
            _sources(results),
            _provenance(results),
        ]
    )
    return shell(title, body)


def shell(title: str, body: str) -> str:
    """A whole HTML document around `body`, with the style and the plotting library inside it."""
    from plotly.offline import get_plotlyjs

    style = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{escape(title)}</title>\n<link rel="icon" href="data:,">\n<style>\n{style}</style>\n'
        f"<script>{get_plotlyjs()}</script>\n</head>\n<body>\n<main>\n{body}\n</main>\n{_SWITCH}\n</body>\n</html>\n"
    )


_SWITCH = """<script>
for (const choice of document.querySelectorAll('input[name="boundary"]')) {
  choice.addEventListener('change', () => {
    const rows = document.querySelectorAll('tr[data-boundary]');
    for (const row of rows) row.hidden = row.dataset.boundary !== choice.value;
  });
}
for (const fold of document.querySelectorAll('details')) {
  fold.addEventListener('toggle', () => {
    for (const plot of fold.querySelectorAll('.plotly-graph-div')) Plotly.Plots.resize(plot);
  });
}
</script>"""


def _in_short(results: Mapping[str, Any]) -> str:
    """One sentence a workload: the analog machine that does best at the wall plug, and whether that is settled."""
    lines = []
    for workload in figures.workloads(results):
        found = [(ratio, name) for name, ratio, _ in figures.all_of(results, workload)]
        if found:
            ratio, name = max(found)
            cell = (workload, name, "wall plug")
            row = next(row for row in results["rows"] if (row["workload"], row["hardware"], row["boundary"]) == cell)
            said = _verdict(escape(name), ratio, *row["interval_90"]) + _chance(results, cell)
            lines.append(f"<li><b>{escape(workload)}</b>, {escape(row['unit'])}: {said}</li>")
    if not lines:
        return ""
    note = "At the wall plug, best analog machine of each unit of work."
    return f'<ul class="short">{"".join(lines)}</ul><p class="soft">{note}</p>'


def _verdict(name: str, ratio: float, low: float, high: float) -> str:
    span = f"90 % interval {labels.interval((low, high))}"
    if low > 1:
        return f"the {name} needs <b>{labels.times(ratio)} fewer joules</b> than the best digital machine ({span})."
    if high < 1:
        span = f"90 % interval {labels.interval((1 / high, 1 / low))}"
        return f"the {name} needs <b>{labels.times(1 / ratio)} more joules</b> than the best digital machine ({span})."
    return (
        f"the {name} <b>cannot be told apart</b> from the best digital machine: "
        f"best digital joules over its own are {labels.times(ratio)}, {span}."
    )


def _chance(results: Mapping[str, Any], cell: tuple[str, str, str]) -> str:
    """The share of the draws in which it needs fewer joules, where the results hold it."""
    for detail in results.get("details", []):
        if (detail["workload"], detail["hardware"], detail["boundary"]) == cell:
            chance = detail.get("probability_above_1")
            return "" if chance is None else f" It needs fewer in {100 * chance:.0f} % of the draws."
    return ""


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
        "<h2>Where the joules go</h2>"
        "<p>Shares of each machine's own total at the wall plug, every rate at its median.</p>"
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
            inner.append(f"<h3>{escape(name)}</h3>{embed(figures.drivers(detail, base))}{_variance(detail)}")
        if inner:
            opened = " open" if workload == figures.workloads(results)[0] else ""
            parts.append(
                f'<details class="card"{opened}><summary>{escape(workload)}</summary>{"".join(inner)}</details>'
            )
    return "\n".join(parts) if found else ""


def _variance(detail: Mapping[str, Any]) -> str:
    """First-order Sobol indices of the ratio, those of 2 % and more, in words."""
    found = [one for one in detail.get("sobol", []) if one["index"] >= 0.02]
    if not found:
        return ""
    named = ", ".join(
        f"{escape(labels.rate_text(one['rate']))} {100 * one['index']:.0f} %"
        for one in sorted(found, key=lambda one: one["index"], reverse=True)
    )
    return f'<p class="soft">Share of the ratio\'s variance that is gone once a rate is known: {named}.</p>'


def _section(section: Section) -> str:
    paragraphs = "".join(f"<p>{escape(part.strip())}</p>" for part in section.text.split("\n\n") if part.strip())
    figure = f'<div class="card">{embed(figures.style(section.figure))}</div>' if section.figure is not None else ""
    return f"<h2>{escape(section.title)}</h2>{paragraphs}{figure}"


def _evidence(results: Mapping[str, Any]) -> str:
    rates = results.get("rates", {})
    count = Counter(rate["evidence"] for rate in rates.values())
    classes = "".join(
        f'<dt><span class="badge {name}">{name}</span></dt><dd>{escape(labels.EVIDENCE_TEXT[name])}'
        f"{f': {count[name]} of the {len(rates)} rates' if rates else ''}</dd>"
        for name in EVIDENCE
    )
    table = ""
    if rates:
        body = "".join(
            f'<tr><td>{escape(labels.rate_text(name))}<br><code class="soft">{escape(name)}</code></td>'
            f'<td class="number">{_number(rate["value"])}</td>'
            f'<td class="number">{_range(rate)}</td>'
            f'<td><span class="badge {escape(rate["evidence"])}">{escape(rate["evidence"])}</span></td>'
            f"<td>{escape(rate['source'])}</td></tr>"
            for name, rate in sorted(rates.items())
        )
        table = (
            f'<details><summary>All {len(rates)} rates</summary><div class="scroll"><table><thead><tr><th>rate</th>'
            '<th class="number">median</th><th class="number">90 % range</th><th>evidence</th><th>source</th></tr>'
            "</thead>"
            f"<tbody>{body}</tbody></table></div></details>"
        )
    return f"""<h2>What was measured, what is assumed, how sure we are</h2>
<p>Every number rests on rates, and every rate has a class of evidence. A cell of the table carries the weakest class
among the rates that move at least 5 % of its joules, and the part of the joules that rests on that class.</p>
<dl>{classes}</dl>
<p>A rate is a lognormal belief: half below its median, 5 % below the lower end of its range and 5 % above the upper.
All machines are evaluated in the same random draw, so electricity, cooling and the GPU's energy per operation
are the same on both sides of a ratio. Rates of value 1 named "model error" stand for what the models themselves get
wrong; their ranges come from published prediction errors of such models and from the scatter of chips of one kind.</p>
<p>An analog chip is charged for the arithmetic that it leaves to a GPU beside it, at that GPU's own joules and seconds,
and for its idle tiles as long as a step takes. Not here: designing a chip, its yield, failures in long runs.</p>
{table}"""


def _sources(results: Mapping[str, Any]) -> str:
    """Everything published that a rate rests on; our estimates and this run's timings stand in the list of rates."""
    rates = results.get("rates", {}).values()
    found = {rate["source"] for rate in rates if rate["evidence"] != "measured"}
    if not found:
        found = {row["source"] for row in results["rows"]}
    published = sorted(source for source in found if not source.startswith(("engineering estimate", "our reading")))
    return f'<h2>Sources</h2><ul class="plain">{"".join(f"<li>{escape(source)}</li>" for source in published)}</ul>'


def _provenance(results: Mapping[str, Any]) -> str:
    lines = "".join(
        f"<dt>{escape(str(key))}</dt><dd>{escape(str(value))}</dd>" for key, value in results["provenance"].items()
    )
    return f"<h2>This run</h2><dl>{lines}</dl>"


def _work_title(results: Mapping[str, Any], workload: str) -> str:
    unit = next(row["unit"] for row in results["rows"] if row["workload"] == workload)
    return f"<h3>{escape(workload)} <small>{escape(unit)}</small></h3>"


def _card(heading: str, figure: Any) -> str:
    return f'<div class="card">{heading}{embed(figure)}</div>'


def embed(figure: Any) -> str:
    """A plotly figure as HTML for `shell`."""
    return figure.to_html(full_html=False, include_plotlyjs=False, config={"displayModeBar": False, "responsive": True})


def _number(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1e6 else f"{value:.3e}"


def _range(rate: Mapping[str, Any]) -> str:
    if rate["factor"] == 1:
        return "exact"
    return f"{rate['value'] / rate['factor']:.3g} to {rate['value'] * rate['factor']:.3g}"
