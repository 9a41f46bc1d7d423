"""The paper's Sect. 2.1: what the largest run costs, and when it meets what the world spends (Fig. 5, Table 1)."""

from ..digital import projection
from ..digital.accounting import HOURS_PER_YEAR
from ..seeds import Row, Tables, Values, at_least, at_most, near

P = "paper.projection"
D = "paper.dollars"
TREND = (
    f"{P}.gpt4_parameters",
    f"{P}.sustained_tflops",
    f"{P}.usd_per_gpu_hour",
    "paper.growth.price_performance_doubling_years",
    "paper.best_guess.flops_per_parameter",
    "paper.best_guess.experts_per_year",
)
VINTAGES = {
    "IT spending, assumed 4.7 T and 8 %": "it_spend_assumed",
    "IT spending, Gartner April 2023": "it_spend_gartner_2023",
    "IT spending, Gartner July 2024": "it_spend_gartner_2024",
    "IT spending, Gartner October 2025": "it_spend_gartner_2025",
    "GPU market, assumed 45 B and 33 %": "gpu_base_assumed",
    "GPU market, assumed 17 B of data centres and 35 %": "gpu_datacenter_assumed",
    "GPU market, TechInsights 2023 and 33 %": "gpu_techinsights_2024",
    "GPU market, NVIDIA fiscal 2026 and 33 %": "gpu_nvidia_2026",
}


def _dollars(t: Tables) -> Values:
    plain, fitted = projection.trend(t), projection.trend(t, calibrated=True)
    years = {"GPT-3": t[P]["gpt3_year"], "GPT-4": t[P]["gpt4_year"], "2028": 2028.0}
    values = {f"unfitted, {name}, cloud $": plain.cloud_usd(year) for name, year in years.items()}
    values |= {f"calibrated, {name}, cloud $": fitted.cloud_usd(year) for name, year in years.items()}
    values |= {f"calibrated, {name}, GPU $": fitted.gpu_usd(year) for name, year in years.items()}
    seen = t["world.epoch_2024"]
    return values | {
        f"printed over Epoch AI's estimate, {name}, cloud": t[D][f"{key}_cloud_usd"] / seen[f"{key}_cloud_usd"]
        for name, key in (("GPT-3", "gpt3"), ("GPT-4", "gpt4"))
    }


def _printed_ratios(t: Tables) -> Values:
    ratios = {f"ratio, {n}": t[D][f"{n}_cloud_usd"] / t[D][f"{n}_gpu_usd"] for n in ("gpt3", "gpt4", "far")}
    hour = t[P]["usd_per_gpu_hour"] / t[P]["cloud_over_gpu_ratio"]
    return ratios | {"implied $ per GPU-hour": hour, "implied $ per GPU over three years": hour * 3 * HOURS_PER_YEAR}


def _crossings(t: Tables) -> Values:
    plain = projection.trend(t)
    return {name: projection.crossing(plain.gpu_usd, projection.series(t, key)) for name, key in VINTAGES.items()}


def _moves(t: Tables) -> Values:
    guess, limit, year = projection.trend(t), projection.series(t, "it_spend_assumed"), t[P]["gpt4_year"]
    middle = projection.crossing(guess.gpu_usd, limit)
    values = {}
    for name, only in (("experts only", True), ("both rows of Table 1", False)):
        for scenario in ("best_case", "worst_case"):
            case = projection.Anchored(guess, projection.trend(t, scenario), year, only)
            move = projection.crossing(case.gpu_usd, limit) - middle
            values[f"years, {scenario.replace('_', ' ')}, {name}"] = move
    return values


def _cap(t: Tables) -> Values:
    plain, cap = projection.trend(t), projection.gdp_cap(t)
    return {
        "year, GPU cost": projection.crossing(plain.gpu_usd, cap),
        "year, cloud cost": projection.crossing(plain.cloud_usd, cap),
    }


_UNFITTED = {"GPT-3": 4.8e6, "GPT-4": 32e6, "2028": 93e9}

ROWS = (
    Row(
        "A16",
        r"we estimate it took less than \$1M in GPU costs (corresponding to \$4.8M in cloud costs). By the time GPT-4 "
        r"(estimated to be 1.8T parameters) was trained in 2023 the GPU cost had risen to \$6.7M (corresponding to "
        r"\$32M in cloud costs). As we look to the future, and project out the demands of state-of-the-art models "
        "using past growth rates for model’s sizes (see Figure 6), the cost to train a single model could rise to "
        r"\$19B in 2028 in GPU costs alone (corresponding to \$93B in cloud costs).",
        "The formula is not printed. With Table 1's best guess, exponent 2 and Fig. 4's doubling all three come out "
        "within 19 %, nothing fitted; two fitted numbers (33.86 FLOP per parameter, 187 % growth) bring them within "
        "2 %, which is an in-sample reconstruction and no evidence. 40 FLOP per parameter is 6.7 tokens a parameter, "
        "and GPT-3 is dated a year late: the dollars of GPT-3 are right partly because errors cancel. Epoch AI's "
        "cloud cost "
        "of GPT-3 is about the same, that of GPT-4 two and a half times as much.",
        "a P^2 / K(year) / (150 TFLOP/s) $2.5/h 2^(-(year - 2021)/2.46), K = 1 + 4 (year - 2021)",
        "exponent 2, not Table 3's 1.91; K = 1 in 2021; GPU cost is cloud cost over 4.8",
        (*TREND, f"{P}.gpt3_parameters", "paper.growth.parameters_growth", "paper.calibrated.flops_per_parameter",
         "paper.calibrated.parameters_growth"),
        _dollars,
        (
            *(near(f"unfitted, {name}, cloud $", said, 0.19) for name, said in _UNFITTED.items()),
            *(near(f"calibrated, {name}, cloud $", said, 0.02) for name, said in _UNFITTED.items()),
            at_most("calibrated, GPT-3, GPU $", 1.01e6),
            near("calibrated, GPT-4, GPU $", 6.7e6, 0.03),
            near("calibrated, 2028, GPU $", 19e9, 0.03),
        ),
        reading=True,
    ),
    Row(
        "A17",
        r"the GPU cost had risen to \$6.7M (corresponding to \$32M in cloud costs)",
        "The three printed pairs agree on 4.8 cloud dollars to a GPU dollar: $0.52 an hour, or $13,700 over three "
        "years, a plausible A100. It is none of the margins of Sect. 3.7.",
        "cloud $ / GPU $; $2.5/h / 4.8",
        inputs=(f"{D}.gpt3_cloud_usd", f"{D}.gpt4_cloud_usd", f"{D}.far_cloud_usd", f"{D}.far_gpu_usd"),
        compute=_printed_ratios,
        bounds=tuple(near(f"ratio, {name}", 4.8, 0.03) for name in ("gpt3", "gpt4", "far")),
    ),
    Row(
        "A18",
        "the cost to train a single LLM will exceed the annual value of the worldwide GPU installed base by 2029, and "
        "the annual global IT spending by 2032.",
        "2031.8 for IT spending with every vintage of the forecast; 2029.1 to 2029.7 for GPUs with the series of the "
        "paper's time, 2030.3 with what NVIDIA sold since. The paper names no series. A GPU market between about $80 B "
        "and $600 B at that time would do, so the test is weak. Cloud cost crosses a year earlier.",
        "first year in which GPU cost reaches the series",
        "'by 2029' read as within that year; GPU cost line; 'installed base' read as the yearly market",
        (*TREND, "world.it_spend_assumed.level_usd", "world.gpu_base_assumed.level_usd"),
        _crossings,
        (
            *(at_most(name, 2032.0) for name in list(VINTAGES)[:4]),
            *(at_most(name, 2030.0) for name in list(VINTAGES)[4:7]),
            *(at_least(name, 2029.0) for name in list(VINTAGES)[4:7]),
        ),
        reading=True,
    ),
    Row(
        "A19",
        "Even when looking at best and worst case scenarios, the intersection points only move back or forward by no "
        "more than one year",
        "True when the scenarios differ in experts alone and start from the same cost in 2023. With the other row of "
        "Table 1, FLOP per parameter, the worst case comes 1.6 years earlier.",
        "crossing of a scenario less crossing of the best guess",
        "IT spending; the scenarios start from the best guess in 2023",
        (*TREND, "paper.best_case.experts_per_year", "paper.worst_case.flops_per_parameter"),
        _moves,
        tuple(
            bound
            for case in ("best case", "worst case")
            for only in ("experts only", "both rows of Table 1")
            for bound in (at_most(f"years, {case}, {only}", 1.0), at_least(f"years, {case}, {only}", -1.0))
            if (bound.high == 1.0) == (case == "best case")
        ),
        reading=True,
    ),
    Row(
        "A20",
        "it will soon hit hard-to-break spending caps (e.g., 1% of US GDP).",
        "The projection reaches 1 % of the gross domestic product (27 T in 2023, 4 % a year) at the end of 2029; cloud "
        "cost a year before. That this is a cap is an opinion.",
        "first year in which the cost reaches 1 % of GDP",
        inputs=(*TREND, "world.us_gdp.level_usd"),
        compute=_cap,
        external=True,
    ),
)  # fmt: skip
