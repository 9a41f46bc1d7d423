"""Epoch AI's estimates of what final training runs cost, and the growth that they show.

epoch_costs.csv: amortised hardware and energy, dollars of the day, of the models that were among the ten largest by
training compute when they were published, 2016 to 2023 (repository training-cost-trends, CC BY 4.0: costs of commit
fb92689, selection of commit 35b2cd6, dates of its database).
"""

import csv
from datetime import date
from functools import cache
from typing import NamedTuple

from ..rates import DATA
from .trends import Fit, fit_growth


class Run(NamedTuple):
    """A training run: model, decimal year of publication, dollars."""

    model: str
    year: float
    usd: float


@cache
def runs() -> tuple[Run, ...]:
    """All rows, in order of publication."""
    with (DATA / "epoch_costs.csv").open(encoding="utf-8", newline="") as file:
        return tuple(Run(row["model"], _year(row["published"]), float(row["usd"])) for row in csv.DictReader(file))


def growth(*, since: float = 2016.0, confidence: float = 0.95) -> Fit:
    """Log-linear least squares of cost on date, with its interval."""
    chosen = [run for run in runs() if run.year >= since]
    return fit_growth([run.year for run in chosen], [run.usd for run in chosen], confidence=confidence)


def _year(text: str) -> float:
    day = date.fromisoformat(text)
    return day.year + (day.timetuple().tm_yday - 1) / 365.25
