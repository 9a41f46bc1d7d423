"""Dollars of the final training run of the largest model, year by year: the trend behind Fig. 5 of Faraboschi 2024.

    cost(year) = a P^e / K(year) / sustained FLOP/s * dollars per GPU hour / price-performance gain since the first year

The paper prints three results and Table 1, not this formula. Of the forms we tried, only exponent 2 (not the 1.91 of
Table 3), four more experts a year from 1 in 2021 and the doubling of Fig. 4 reproduce the ratios of the three results;
the level then follows from Table 1's 40 FLOP per parameter, to 19 %.
"""

from collections.abc import Mapping
from typing import NamedTuple

from ..price import Number
from .scaling import device_hours, power_law_flops
from .trends import Series, first_crossing, growth_of_doubling

Tables = Mapping[str, Mapping[str, Number]]

SCENARIOS = ("best_case", "best_guess", "worst_case")
"""Table 1 of the paper."""


class Trend(NamedTuple):
    """Everything that the projection depends on. Years are decimal; growth is a factor per year.

    parameters_growth holds after `last_year`; between the two known models parameters are interpolated.
    """

    first_parameters: Number
    first_year: Number
    last_parameters: Number
    last_year: Number
    parameters_growth: Number
    parameter_exponent: Number
    flops_per_parameter: Number
    first_experts: Number
    experts_per_year: Number
    sustained_flops: Number
    usd_per_gpu_hour: Number
    price_performance_growth: Number
    cloud_over_gpu: Number

    def parameters(self, year: Number) -> Number:
        """Parameters of the largest model: through both known ones, then at the growth rate."""
        before = (self.last_parameters / self.first_parameters) ** (1 / (self.last_year - self.first_year))
        late = (year - self.last_year + abs(year - self.last_year)) / 2
        early = year - self.first_year - late
        return self.first_parameters * before**early * self.parameters_growth**late

    def experts(self, year: Number) -> Number:
        """K(year): partitions, of which a token uses one."""
        return self.first_experts + self.experts_per_year * (year - self.first_year)

    def flops(self, year: Number) -> Number:
        """Operations of the run."""
        dense = power_law_flops(
            self.parameters(year), flops_per_parameter=self.flops_per_parameter, exponent=self.parameter_exponent
        )
        return dense / self.experts(year)

    def cloud_usd(self, year: Number) -> Number:
        """Dollars at cloud prices."""
        hours = device_hours(self.flops(year), self.sustained_flops)
        return hours * self.usd_per_gpu_hour / self.price_performance_growth ** (year - self.first_year)

    def gpu_usd(self, year: Number) -> Number:
        """Dollars of the GPUs alone."""
        return self.cloud_usd(year) / self.cloud_over_gpu


def trend(tables: Tables, scenario: str = "best_guess", *, calibrated: bool = False) -> Trend:
    """The projection with a scenario's parameters; `calibrated` uses the two that were fitted to the printed dollars.

    Raises ValueError for a scenario that is not in Table 1.
    """
    if scenario not in SCENARIOS:
        raise ValueError(f"scenario must be one of {', '.join(SCENARIOS)}, got {scenario!r}")
    own, growth, case = tables["paper.projection"], tables["paper.growth"], tables[f"paper.{scenario}"]
    fitted = tables["paper.calibrated"]
    return Trend(
        first_parameters=own["gpt3_parameters"],
        first_year=own["gpt3_year"],
        last_parameters=own["gpt4_parameters"],
        last_year=own["gpt4_year"],
        parameters_growth=fitted["parameters_growth"] if calibrated else growth["parameters_growth"],
        parameter_exponent=own["parameter_exponent"],
        flops_per_parameter=fitted["flops_per_parameter"] if calibrated else case["flops_per_parameter"],
        first_experts=own["first_experts"],
        experts_per_year=case["experts_per_year"],
        sustained_flops=own["sustained_tflops"] * 1e12,
        usd_per_gpu_hour=own["usd_per_gpu_hour"],
        price_performance_growth=growth_of_doubling(growth["price_performance_doubling_years"]),
        cloud_over_gpu=own["cloud_over_gpu_ratio"],
    )


class Anchored(NamedTuple):
    """A scenario that starts from the best guess's cost in `year` and differs in what comes after.

    sparsity_only: the scenario's experts per year; otherwise also its FLOP per parameter.
    """

    guess: Trend
    case: Trend
    year: float
    sparsity_only: bool

    def gpu_usd(self, year: Number) -> Number:
        """Dollars of the GPUs alone: both start with the experts that the guess has in `year`."""
        passed = year - self.year
        start = self.guess.experts(self.year)
        sparser = (start + self.guess.experts_per_year * passed) / (start + self.case.experts_per_year * passed)
        level = 1.0 if self.sparsity_only else self.case.flops_per_parameter / self.guess.flops_per_parameter
        return self.guess.gpu_usd(year) * sparser * level


def series(tables: Tables, name: str) -> Series:
    """A series of world.toml: its level, year and growth."""
    own = tables[f"world.{name}"]
    return Series(own["level_usd"], own["level_year"], own["yearly_growth"])


def gdp_cap(tables: Tables) -> Series:
    """The paper's 1 % of the gross domestic product of the United States."""
    gdp = series(tables, "us_gdp")
    return gdp._replace(level=gdp.level * tables["world.us_gdp"]["cap_fraction"])


def crossing(cost: object, limit: Series, *, start: float = 2021.0, stop: float = 2045.0) -> float:
    """The year in which a cost (a function of the year) first reaches a series."""
    return first_crossing(cost, limit.at, start=start, stop=stop)  # ty: ignore[invalid-argument-type]
