"""The paper's Sect. 2: growth rates of compute, price-performance, size, and whether they agree (Figs. 3, 4, 6)."""

from ..digital import trends
from ..seeds import Row, Tables, Values, at_least, at_most, near

G = "paper.growth"


def _slower(t: Tables) -> Values:
    months = 12 * t[G]["price_performance_doubling_years"]
    return {
        "against large models": months / t[G]["large_compute_doubling_months"],
        "against all": months / t[G]["compute_doubling_months"],
    }


def _sizes(t: Tables) -> Values:
    own, first = t["paper.projection"], t[G]["gpt3_year"]
    gpt3, gpt4 = own["gpt3_parameters"], own["gpt4_parameters"]
    said = t[G]["parameters_growth"]
    over_three = trends.growth_between(gpt3, gpt4, own["gpt4_year"] - first)
    over_two = trends.growth_between(gpt3, gpt4, own["gpt4_year"] - own["gpt3_year"])
    return {
        "growth 2020 to 2023": over_three,
        "growth 2021 to 2023, the paper's own dates": over_two,
        "months to double at 180 %": 12 * trends.doubling_years(said),
    }


def _operations(t: Tables) -> Values:
    growth = t[G]["parameters_growth"]
    return {
        "per cent at P^2": 100 * (growth**2 - 1),
        "per cent at P^1.91": 100 * (growth ** t["paper.scaling"]["token_scaling_exponent"] - 1),
    }


def _deliver(t: Tables) -> Values:
    said = 100 * (t[G]["flops_growth"] - 1)
    squared = 100 * (t[G]["parameters_growth"] ** 2 - 1)
    gpu, supercomputer = (100 * (t[G][f"{name}_growth"] - 1) for name in ("gpu", "supercomputer"))
    return {
        "500 % over GPU": said / gpu,
        "500 % over supercomputers": said / supercomputer,
        "684 % (P^2) over GPU": squared / gpu,
        "684 % (P^2) over supercomputers": squared / supercomputer,
        "doublings, compute over GPU": trends.doubling_years(t[G]["gpu_growth"])
        / trends.doubling_years(t[G]["flops_growth"]),
    }


ROWS = (
    Row(
        "A9",
        "pointing to a doubling time of approximately 4 months (or 7 months for large-scale models only) [7].",
        "Read off Epoch's chart, which the text does not hold; as growth it is 8 and 3.3 times a year.",
        "2^(12 / months)",
        inputs=(f"{G}.compute_doubling_months", f"{G}.large_compute_doubling_months"),
        compute=lambda t: {
            "growth, all": trends.growth_of_doubling(t[G]["compute_doubling_months"] / 12),
            "growth, large models": trends.growth_of_doubling(t[G]["large_compute_doubling_months"] / 12),
        },
        external=True,
    ),
    Row(
        "A10",
        "indicating a doubling time of approximately 2.46 years (29 months)",
        "29.5 months, which is a growth of 1.325 a year.",
        "12 times 2.46",
        inputs=(f"{G}.price_performance_doubling_years",),
        compute=lambda t: {
            "months": 12 * t[G]["price_performance_doubling_years"],
            "growth": trends.growth_of_doubling(t[G]["price_performance_doubling_years"]),
        },
        bounds=(near("months", 29, 0.025),),
    ),
    Row(
        "A11",
        "but still 4x-7x slower than the growth rate of the cost of LLM training shown in Fig. 3.",
        "4.2 to 7.4 in doubling times.",
        "29.5 months over 7 and over 4",
        inputs=(f"{G}.price_performance_doubling_years", f"{G}.compute_doubling_months"),
        compute=_slower,
        bounds=(near("against large models", 4, 0.08), near("against all", 7, 0.08)),
    ),
    Row(
        "A12",
        "The number of parameters in these large models is forecasted to grow by 180% per year",
        "Lies between the growth from GPT-3 to GPT-4 dated 2020 to 2023 and 2021 to 2023; contradicts the doubling "
        "every 4 months of Sect. 1.2, which is 8 times a year.",
        "(last / first)^(1 / years); months to double",
        inputs=(f"{G}.parameters_growth", "paper.projection.gpt3_parameters", "paper.projection.gpt4_parameters"),
        compute=_sizes,
        bounds=(
            at_most("growth 2020 to 2023", 2.8),
            at_least("growth 2021 to 2023, the paper's own dates", 2.8),
            near("months to double at 180 %", 4, 0.2),
        ),
    ),
    Row(
        "A13",
        "the number of FLOP required is growing at greater than 500% per year.",
        "Follows from 180 % in size with either exponent.",
        "2.8^2 - 1 and 2.8^1.91 - 1",
        inputs=(f"{G}.parameters_growth", "paper.scaling.token_scaling_exponent"),
        compute=_operations,
        bounds=(at_least("per cent at P^2", 500), at_least("per cent at P^1.91", 500)),
    ),
    Row(
        "A14",
        "through improved GPU performance (~69% per year) or the output of leading supercomputing systems (~78% per "
        "year).",
        "Read off Fig. 6, an image. Performance (69 %) is not performance per dollar (Fig. 4: 32 %); the paper uses "
        "the "
        "second for cost.",
        "ln 2 / ln growth",
        inputs=(f"{G}.gpu_growth", f"{G}.supercomputer_growth", f"{G}.price_performance_doubling_years"),
        compute=lambda t: {
            "months to double, GPU": 12 * trends.doubling_years(t[G]["gpu_growth"]),
            "months to double, supercomputers": 12 * trends.doubling_years(t[G]["supercomputer_growth"]),
            "months to double, performance per dollar": 12 * t[G]["price_performance_doubling_years"],
        },
        external=True,
    ),
    Row(
        "A15",
        "These computation requirements are growing by an order of magnitude greater than what the industry can "
        "deliver",
        "The per cents differ by 6 to 7 times with the 500 % of the text, by 9 to 10 with the 684 % of its own growth; "
        "doublings, the meaningful measure, by 3.4.",
        "ratio of growth in per cent; ratio of doubling times",
        inputs=(f"{G}.flops_growth", f"{G}.gpu_growth", f"{G}.supercomputer_growth", f"{G}.parameters_growth"),
        compute=_deliver,
        bounds=(
            near("500 % over GPU", 10, 0.2),
            near("500 % over supercomputers", 10, 0.2),
            near("684 % (P^2) over GPU", 10, 0.2),
            near("684 % (P^2) over supercomputers", 10, 0.2),
        ),
    ),
)
