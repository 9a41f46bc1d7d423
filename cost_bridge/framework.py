"""What the commands on the seed documents print: for each, a JSON value, a table for the terminal, perhaps a page."""

from collections.abc import Callable, Mapping, Sequence
from textwrap import shorten
from typing import Any, NamedTuple

from . import outlook
from . import seeds as ledger
from .digital import levers as strategies
from .digital import published as runs
from .labels import large_dollars, significant
from .rates import load, tables
from .uncertainty import Rate, medians, monte_carlo

Own = Mapping[str, Rate]


class Shown(NamedTuple):
    """A command's answer: `json` ready to print; `table()` and `page()` are made only when asked for."""

    json: Any
    table: Callable[[], Any]
    page: Callable[[], str] = lambda: ""


def seeds(own: Own, identifier: str = "") -> Shown:
    """The ledger, or one row of it. Raises ValueError for an id that is not there."""
    values = medians({**load(), **own})
    chosen = (ledger.row(identifier),) if identifier else ledger.rows()
    found = [ledger.evaluate(one, values) for one in chosen]
    answer = {"rows": [ledger.as_json(one) for one in found]}
    return Shown(answer, lambda: _row_table(found[0]) if identifier else _ledger_table(found))


def project(own: Own) -> Shown:
    """Costs by year, crossings, growth rates; the page of Figs. 4, 5 and 6."""
    rates = {**load(), **own}
    values = tables(medians(rates))
    found = outlook.costs(values) | {"growth": outlook.growth(values)}

    def page() -> str:
        from .pictures.project import page

        return page(values, rates, tuple(own))

    return Shown(found, lambda: _project_table(found), page)


def cluster(own: Own) -> Shown:
    """Days and slow-downs by number of GPUs; the page of Fig. 7."""
    rates = {**load(), **own}
    values = tables(medians(rates))
    found = outlook.machine(values)

    def page() -> str:
        from .pictures.cluster import page

        return page(values, rates, tuple(own))

    return Shown(found, lambda: _cluster_table(found), page)


def levers(own: Own, names: Sequence[str] = ()) -> Shown:
    """Every strategy with what it leaves of the whole cost; with names, what they leave together."""
    values = tables(medians({**load(), **own}))
    listed = [
        {
            "name": lever.name,
            "origin": lever.origin,
            "acts_on": list(lever.acts_on),
            "overlap": lever.overlap,
            "left": strategies.compose([lever.name], values).left,
            "range_90": _range(lever, {**load(), **own}),
            "rates": list(lever.rates),
            "note": lever.note,
        }
        for lever in strategies.LEVERS.values()
    ]
    if not names:
        answer: dict[str, Any] = {"shares": strategies.report_shares(values)._asdict(), "levers": listed}
        return Shown(answer, lambda: _levers_table(listed))
    together = strategies.compose(names, values)
    answer = {"names": list(names), **together._asdict()}
    return Shown(answer, lambda: _composition_table(names, together))


def published(own: Own, *, draws: int = 4000, seed: int = 0) -> Shown:
    """Predicted and published hours and energy, with the 90 % interval of the prediction's own inputs."""
    rates = {**load(), **own}
    used = {name: rate for name, rate in rates.items() if name.startswith(("models.", "gpu.h100."))}
    spread = monte_carlo(
        lambda values: {check.id: check.ours for check in runs.checks(tables(values))}, used, draws=draws, seed=seed
    )
    answer = [
        check._asdict() | {"error": check.error, "interval_90": [spread[check.id].low, spread[check.id].high]}
        for check in runs.checks(tables(medians(rates)))
    ]
    implied = runs.implied_tflops(tables(medians(rates)))
    return Shown({"runs": answer, "implied_tflops": implied}, lambda: _published_table(answer, implied))


def _range(lever: strategies.Lever, rates: Mapping[str, Rate]) -> list[float]:
    def left(values: Mapping[str, Any]) -> dict[str, Any]:
        return {"left": strategies.compose([lever.name], tables({**medians(rates), **values})).left}

    varied = {name: rates[name] for name in lever.rates}
    if all(rate.factor == 1 for rate in varied.values()):
        alone = float(left({})["left"])
        return [alone, alone]
    spread = monte_carlo(left, varied, draws=400)["left"]
    return [spread.low, spread.high]


def _values(values: Mapping[str, float]) -> str:
    return "; ".join(f"{name}: {_number(value)}" for name, value in values.items())


def _number(value: float) -> str:
    if 1900 < value < 2100:
        return f"{value:.1f}"
    return significant(value, 4) if 1e-3 <= abs(value) < 1e6 or value == 0 else f"{value:.3g}"


def _ledger_table(found: Sequence[ledger.Found]) -> Any:
    from .table import plain

    rows = []
    for one in found:
        first = next(iter(one.values.items()), None)
        more = f" (+{len(one.values) - 1})" if len(one.values) > 1 else ""
        shown = f"{first[0]}: {_number(first[1])}{more}" if first else ""
        rows.append([one.row.id, shorten(one.row.seed_words, 72, placeholder=" …"), shown, one.verdict])
    count = {verdict: sum(one.verdict == verdict for one in found) for verdict in ledger.VERDICTS}
    title = f"{len(found)} claims: " + ", ".join(f"{n} {verdict}" for verdict, n in count.items())
    return plain(["id", "the document", "value", "verdict"], rows, title=title)


def _row_table(found: ledger.Found) -> Any:
    from .table import plain

    one = found.row
    rows = [["verdict", found.verdict], ["the document", " ".join(one.seed_words.split())], ["formula", one.formula]]
    rows += [["assumptions", one.assumptions]] if one.assumptions else []
    rows += [[name, _number(value)] for name, value in found.values.items()]
    rows += [["reason", one.reason], ["depends on", ", ".join(one.inputs)]]
    return plain([one.id, ""], [row for row in rows if row[1]])


def _project_table(found: Mapping[str, Any]) -> Any:
    from rich.console import Group

    from .table import plain

    cases = {name: found["scenario_usd"][f"{name}, both rows of Table 1"] for name in ("best case", "worst case")}
    early = len(found["years"]) - len(found["scenario_years"])
    costs = [
        [
            f"{year:.0f}",
            *(large_dollars(line[i]) for line in found["usd"].values()),
            *(large_dollars(line[i - early]) if i >= early else "" for line in cases.values()),
        ]
        for i, year in enumerate(found["years"])
    ]
    limits = list(next(iter(found["crossing_year"].values())))
    meets = [
        [name, *("never" if years[limit] is None else f"{years[limit]:.1f}" for limit in limits)]
        for name, years in found["crossing_year"].items()
    ]
    growth = [[name, f"{one['growth']:.2f}", f"{one['doubling_months']:.1f}"] for name, one in found["growth"].items()]
    return Group(
        plain(
            ["year", *found["usd"], *(f"{name}, GPU" for name in cases)],
            costs,
            right=range(1, 6),
            title="Dollars of the largest final run; the cases differ after 2023, in both rows of Table 1",
        ),
        plain(["meets", *limits], meets, right=range(1, 1 + len(limits)), title="The year in which it meets"),
        plain(["growth", "factor per year", "months to double"], growth, right=(1, 2), title="Do the rates agree?"),
    )


def _cluster_table(found: Mapping[str, Any]) -> Any:
    from rich.console import Group

    from .table import plain

    kinds = list(found["slowdown"])
    rows = [
        [
            f"{gpus:,.0f}",
            *(significant(found["slowdown"][kind][i], 4) for kind in kinds),
            significant(found["gain"][i], 3),
            *(significant(days[i], 3) for days in found["days"].values()),
        ]
        for i, gpus in enumerate(found["gpus"])
    ]
    days = [name.replace(", ", "\n") for name in found["days"]]
    best = ", ".join(f"{kind}: {gpus:,.0f}" for kind, gpus in found["best_size_gpus"].items())
    llama = found["llama3"]
    note = (
        f"Gain at {found['at_size']['gpus']:,.0f} GPUs: {found['at_size']['gain']:.3f}. Best number of GPUs, up to "
        f"200,000: {best}. Llama 3 at its observed failure rate: {100 * llama['effective_fraction']:.1f} % effective."
    )
    header = ["GPUs", *(f"slow-down\n{kind}" for kind in kinds), "gain", *(f"days\n{name}" for name in days)]
    return Group(plain(header, rows, right=range(len(header))), note)


def _levers_table(listed: Sequence[Mapping[str, Any]]) -> Any:
    from .table import plain

    rows = [
        [
            one["name"],
            one["origin"],
            one["overlap"],
            significant(one["left"], 3),
            " to ".join(significant(end, 2) for end in one["range_90"]),
            one["note"],
        ]
        for one in listed
    ]
    title = "What each strategy leaves of a bought-everything cost; of one overlap the strongest counts"
    return plain(["strategy", "named in", "overlap", "left", "90 %", ""], rows, right=(3, 4), title=title)


def _composition_table(names: Sequence[str], together: strategies.Composition) -> Any:
    from .table import plain

    rows = [[part.replace("_", " "), significant(left, 3)] for part, left in together.parts.items()]
    rows.append(["the whole", significant(together.left, 3)])
    left_out = f"; left out by an overlap: {', '.join(together.left_out)}" if together.left_out else ""
    return plain(["of", "is left"], rows, right=(1,), title=f"{', '.join(names)}{left_out}")


def _published_table(answer: Sequence[Mapping[str, Any]], implied: Mapping[str, float]) -> Any:
    from rich.console import Group

    from .table import plain

    rows = [
        [
            one["id"],
            one["what"],
            _number(one["published"]),
            _number(one["ours"]),
            one["unit"],
            "identity" if one["is_identity"] else f"{100 * one['error']:+.1f} %",
            "" if one["is_identity"] else " to ".join(_number(end) for end in one["interval_90"]),
            one["method"],
        ]
        for one in answer
    ]
    title = "Published runs; an identity restates published numbers and says nothing about accuracy"
    speeds = ", ".join(f"{name} {value:.0f}" for name, value in implied.items())
    return Group(
        plain(["id", "run", "published", "ours", "", "error", "90 %", "how"], rows, right=(2, 3, 5), title=title),
        f"TFLOP/s per device that published hours imply (6 P_active T): {speeds}.",
    )
