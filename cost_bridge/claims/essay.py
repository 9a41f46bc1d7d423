"""The essay on cost reductions: growth after Epoch AI, what the money goes to, and its list of strategies."""

from ..digital import epoch, scaling
from ..seeds import Row, Tables, Values, at_least, at_most, near

E = "world.epoch_2024"


def _growth(t: Tables) -> Values:
    fit = epoch.growth()
    said = t[E]
    return {
        "growth per year": fit.growth,
        "95 % interval, low": fit.low,
        "95 % interval, high": fit.high,
        "models": float(fit.n),
        "said over refitted growth": said["growth"] / fit.growth,
    }


def _shares(t: Tables) -> Values:
    own = t[E]
    middle = {
        part: (own[f"{part}_low_fraction"] + own[f"{part}_high_fraction"]) / 2
        for part in ("hardware", "staff", "energy")
    }
    return {"sum of the middles": sum(middle.values())} | {f"middle, {part}": share for part, share in middle.items()}


def _billion(t: Tables) -> Values:
    own = t[E]
    years = own["target_year"] - own["gpt4_year"]
    return {
        "$ in 2027 from GPT-4 at 2.4 a year": own["gpt4_usd"] * own["growth"] ** years,
        "low": own["gpt4_usd"] * own["low_growth"] ** years,
        "high": own["gpt4_usd"] * own["high_growth"] ** years,
        "$ in 2027 on the fitted line": epoch.growth().at(own["target_year"]),
    }


def _not_exponential(t: Tables) -> Values:
    size, own = t["paper.scaling"]["example_parameters"], t["paper.scaling"]

    def flops(parameters: float) -> float:
        return scaling.chinchilla_flops(
            parameters,
            tokens_per_parameter=own["tokens_per_parameter"],
            flops_per_parameter_token=own["flops_per_parameter_token"],
        )

    first, second = flops(2 * size) / flops(size), flops(4 * size) / flops(2 * size)
    return {"cost of doubling the size": first, "the second doubling over the first": second / first,
            "FLOP": flops(size)}  # fmt: skip


ROWS = (
    Row(
        "C1",
        "has grown rapidly, at a rate of 2.4x per year since 2016 (95% CI: 2.0x to 3.1x).",
        "Refitted on Epoch's own data: 2.2 a year (1.8 to 2.8) for the 46 models of 2016 to 2023. The said growth lies "
        "in that interval; the point and the ends do not repeat, because Epoch has revised the costs since. Its second "
        "version calls the interval (then 2.0 to 2.9) a 90 % one.",
        "least squares of log cost on date, Student interval",
        "the ten largest by compute when published; costs as of commit fb92689",
        (f"{E}.growth",),
        _growth,
        (at_most("95 % interval, low", 2.4), at_least("95 % interval, high", 2.4), near("growth per year", 2.4, 0.02),
         near("95 % interval, low", 2.0, 0.025), near("95 % interval, high", 3.1, 0.025)),
    ),
    Row(
        "C2",
        "most development costs go toward hardware (47-67%), with R&D staff costs (29-49%) and energy costs (2-6%) "
        "also "
        "playing significant roles.",
        "The middles add up. They differ from the report's 80/18/2 (D1), which counts the whole purchase of the "
        "hardware where this counts its amortisation.",
        "sum of middles",
        inputs=(f"{E}.hardware_low_fraction", f"{E}.staff_low_fraction", f"{E}.energy_low_fraction"),
        compute=_shares,
        bounds=(near("sum of the middles", 1.0, 0.005),),
    ),
    Row(
        "C3",
        "If this trend continues, training top-tier models could exceed a billion dollars by 2027",
        "From GPT-4 (41 M in 2023) at 2.4 a year: 1.35 B, 0.65 to 3.8 B with the interval. The fitted trend line "
        "itself, "
        "which GPT-4 stands far above, is at 50 M in 2027.",
        "41 M 2.4^4",
        "the trend starts at the dearest model, not on its own line",
        (f"{E}.gpt4_usd", f"{E}.growth"),
        _billion,
        (at_least("$ in 2027 from GPT-4 at 2.4 a year", 1e9),),
        reading=True,
    ),
    Row(
        "C4",
        "This ambitious initiative could require as much as $5 to $7 trillion",
        "A reported ambition.",
    ),
    Row(
        "C5",
        "The following strategies illustrate promising directions for cost efficiency.",
        "Eighteen strategies and three directions without a number; `cost-bridge levers` lists them with what others "
        "published, and with 1 where nobody did.",
    ),
    Row(
        "C6",
        "Training LLMs like GPT-4 requires computational resources that scale exponentially, not linearly, with model "
        "size.",
        "Quadratically: every doubling of the size multiplies the compute by 4. An exponential would square the factor "
        "at each doubling. Costs grow exponentially in time, because sizes do.",
        "C(2P)/C(P) and C(4P)/C(2P)",
        inputs=("paper.scaling.example_parameters", "paper.scaling.flops_per_parameter_token"),
        compute=_not_exponential,
        bounds=(at_least("the second doubling over the first", 1.01),),
    ),
)  # fmt: skip
