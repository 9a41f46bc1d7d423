"""The numbers behind the regenerated pictures: what `cost-bridge project` and `cost-bridge cluster` print and draw."""

from collections.abc import Callable, Mapping
from typing import Any

from .digital import projection, resilience, scaling, simulate, trends
from .price import Number

Tables = Mapping[str, Mapping[str, Number]]

LIMITS = {
    "GPU market (assumed)": "gpu_base_assumed",
    "GPU market (sold by NVIDIA)": "gpu_nvidia_2026",
    "IT spending": "it_spend_assumed",
}
"""Series that the projection is measured against, and where they stand in world.toml."""

SIZES = (1e3, 2e3, 5e3, 1e4, 2e4, 3e4, 4e4, 5e4, 64e3, 8e4, 1e5, 1.3e5, 2e5)
KINDS = {"without": "nothing", "checkpoints only": "checkpoints", "with": "everything"}
"""Levels of optimisation: how they are called here, and by `resilience.cluster`."""


def costs(tables: Tables, *, step: float = 1.0) -> dict[str, Any]:
    """Dollars of the largest run by year: best guess (GPU and cloud), scenarios from 2023 on, calibrated; and when
    each meets the series of LIMITS and 1 % of GDP."""
    own = tables["paper.projection"]
    first, last, anchor = own["gpt3_year"], own["last_year"], own["gpt4_year"]
    guess, fitted = projection.trend(tables), projection.trend(tables, calibrated=True)
    cases = {
        (name, only): projection.Anchored(guess, projection.trend(tables, scenario), anchor, only)
        for name, scenario in (("best case", "best_case"), ("worst case", "worst_case"))
        for only in (True, False)
    }
    years = [first + step * i for i in range(round((last - first) / step) + 1)]
    later = [year for year in years if year >= anchor]
    lines = {
        "best guess, GPU": [guess.gpu_usd(year) for year in years],
        "best guess, cloud": [guess.cloud_usd(year) for year in years],
        "calibrated, GPU": [fitted.gpu_usd(year) for year in years],
    }
    limits = {name: projection.series(tables, key) for name, key in LIMITS.items()}
    limits["1 % of US GDP"] = projection.gdp_cap(tables)
    paths: dict[str, Callable[[float], float]] = {
        "best guess, GPU": guess.gpu_usd,
        "best guess, cloud": guess.cloud_usd,
        "calibrated, GPU": fitted.gpu_usd,
    }
    paths |= {f"{name}, {_rows(only)}": case.gpu_usd for (name, only), case in cases.items()}
    return {
        "years": years,
        "usd": lines,
        "scenario_years": later,
        "scenario_usd": {
            f"{name}, {_rows(only)}": [case.gpu_usd(year) for year in later] for (name, only), case in cases.items()
        },
        "limits_usd": {name: [series.at(year) for year in years] for name, series in limits.items()},
        "crossing_year": {
            path: {name: _finite(projection.crossing(cost, series)) for name, series in limits.items()}
            for path, cost in paths.items()
        },
    }


def growth(tables: Tables) -> dict[str, dict[str, float]]:
    """The paper's growth rates as factor per year and months to double, with those that its own examples give."""
    own, first = tables["paper.growth"], tables["paper.projection"]
    found = {
        "model size, as stated": own["parameters_growth"],
        "model size, doubling every 4 months, as stated": trends.growth_of_doubling(own["models_doubling_months"] / 12),
        "model size, GPT-3 to GPT-4 dated 2020 to 2023": trends.growth_between(
            first["gpt3_parameters"], first["gpt4_parameters"], first["gpt4_year"] - own["gpt3_year"]
        ),
        "operations, as stated": own["flops_growth"],
        "operations, square of the stated size": own["parameters_growth"] ** 2,
        "operations, doubling every 7 months, as stated": trends.growth_of_doubling(
            own["large_compute_doubling_months"] / 12
        ),
        "operations, doubling every 4 months, as stated": trends.growth_of_doubling(
            own["compute_doubling_months"] / 12
        ),
        "GPU performance, as stated": own["gpu_growth"],
        "supercomputers, as stated": own["supercomputer_growth"],
        "GPU performance per dollar, as stated": trends.growth_of_doubling(own["price_performance_doubling_years"]),
    }
    return {
        name: {"growth": value, "doubling_months": 12 * trends.doubling_years(value)} for name, value in found.items()
    }


def machine(tables: Tables, *, sizes: tuple[float, ...] = SIZES) -> dict[str, Any]:
    """Days and slow-downs by number of GPUs, dense and with experts; gain, best size, Llama 3's effective time."""
    own = tables["paper.cluster"]
    experts = {"dense": 1.0, f"{tables['paper.scaling']['partition_experts']:.0f} experts": tables["paper.scaling"][
        "partition_experts"]}  # fmt: skip
    factors = {
        kind: [resilience.slowdown(resilience.cluster(tables, optimised=how)._replace(gpus=n)).factor for n in sizes]
        for kind, how in KINDS.items()
    }
    alone = {
        name: [
            scaling.run_days(scaling.experts_flops(own["model_parameters"], k), n, own["sustained_tflops"] * 1e12)
            for n in sizes
        ]
        for name, k in experts.items()
    }
    size = own["size_gpus"]
    at_size = {
        kind: resilience.slowdown(resilience.cluster(tables, optimised=how)._replace(gpus=size))
        for kind, how in KINDS.items()
    }
    llama = tables["models.llama3_405b"]
    return {
        "gpus": list(sizes),
        "slowdown": factors,
        "days": {
            f"{name}, {kind}": [factor * days for factor, days in zip(factors[kind], alone[name], strict=True)]
            for name in experts
            for kind in KINDS
        },
        "gain": [a / b for a, b in zip(factors["without"], factors["with"], strict=True)],
        "at_size": {
            "gpus": size,
            "gain": at_size["without"].factor / at_size["with"].factor,
            "slowdown": {kind: one.factor for kind, one in at_size.items()},
            "hours_between_failures": at_size["without"].interruption_hours,
            "checkpoint_hours": at_size["without"].checkpoint_hours,
        },
        "best_size_gpus": {
            kind: resilience.best_size(resilience.cluster(tables, optimised=how)) for kind, how in KINDS.items()
        },
        "llama3": {
            "gpus": llama["cluster_gpus"],
            "gpu_hours_per_interruption": resilience.observed_cluster(llama).gpu_mtbf_hours,
            "effective_fraction": resilience.effective_fraction(resilience.observed_cluster(llama)),
        },
    }


def simulated(tables: Tables, *, sizes: tuple[float, ...], runs: int = 60, seed: int = 0) -> list[simulate.Estimate]:
    """The slow-down without resilience as `simulate` finds it, at its best interval, over fifty intervals of work."""
    found = []
    for gpus in sizes:
        cluster = resilience.cluster(tables)._replace(gpus=gpus)
        interval = resilience.slowdown(cluster).interval_hours
        found.append(
            simulate.slowdown(cluster, interval_hours=interval, work_hours=50 * interval, runs=runs, seed=seed)
        )
    return found


def price_performance(tables: Tables) -> dict[str, dict[str, float]]:
    """FLOP/s per dollar of the GPUs in the table, in 32 bits and in the 16-bit format of training, by year of price."""
    found = {}
    for name, gpu in tables.items():
        family, _, member = name.partition(".")
        if family == "gpu":
            wide = gpu.get("peak_bf16_tflops", gpu.get("peak_fp16_tflops", 0.0))
            found[member] = {
                "year": gpu["price_year"],
                "flops_per_usd_32": gpu["peak_vector_tflops"] * 1e12 / gpu["price_usd"],
                "flops_per_usd_16": wide * 1e12 / gpu["price_usd"],
            }
    return found


def _rows(only: bool) -> str:
    return "experts only" if only else "both rows of Table 1"


def _finite(year: float) -> float | None:
    return None if year == float("inf") else year
