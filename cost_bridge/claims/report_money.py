"""The report on frontier model training, its money: what GPT-4 cost, what GPUs cost and why."""

from ..digital import accounting, levers, trends
from ..seeds import Row, Tables, Values, at_least, at_most, near

S = "report.spending"
N = "report.node"
C = "report.cluster"
M = "report.market"
SHARES = (f"{S}.compute_usd", f"{S}.staff_usd", f"{C}.size_gpus", f"{C}.power_w_per_gpu", f"{C}.usd_per_kwh")
NODE = (f"{N}.gpus_usd", f"{N}.node_usd", f"{N}.markup_usd")


def _shares(t: Tables) -> Values:
    shares = levers.report_shares(t)
    return {"hardware": shares.hardware, "staff": shares.staff, "power": shares.power}


def _gpu_share(t: Tables) -> float:
    own = t[N]
    return accounting.gpu_share(
        own["gpus_usd"], own["node_usd"], markup_usd=own["markup_usd"], interconnect=own["interconnect_fraction"]
    )


def _gpt4(t: Tables) -> Values:
    own = t[C]
    return {
        "hardware $": accounting.cluster_usd(own["size_gpus"], own["gpu_usd"], own["gpu_cost_fraction"]),
        "OpenAI's spending on computing and staff, 2022, $": t[S]["compute_usd"] + t[S]["staff_usd"],
    }


def _rent(t: Tables) -> Values:
    own = t[C]
    sources = {
        f"$, {name}": own[f"{key}_rent_usd"] for name, key in (("SemiAnalysis", "semianalysis"), ("Epoch", "epoch"))
    }
    return sources | {
        f"$, {length} run": accounting.rent_usd(own["size_gpus"], own[f"{length}_days"], own["rent_usd_per_hour"])
        for length in ("short", "long")
    }


def _tops(t: Tables) -> Values:
    price, gpu = t[C]["gpu_usd"], t["gpu.a100"]
    return {
        "$ per TOP/s in int8": accounting.usd_per_tops(price, gpu["peak_int8_tops"]),
        "$ per TFLOP/s in 16 bits": accounting.usd_per_tops(price, gpu["peak_bf16_tflops"]),
    }


def _gaming(t: Tables) -> Values:
    price, a100, gaming = t[C]["gpu_usd"], t["gpu.a100"], t["gpu.rtx4090"]
    int8 = accounting.usd_per_tops(gaming["price_usd"], gaming["peak_int8_tops"])
    return {
        "A100 price over RTX 4090": price / gaming["price_usd"],
        "RTX 4090 over A100 in int8": gaming["peak_int8_tops"] / a100["peak_int8_tops"],
        "cost per int8 operation, A100 over RTX 4090": accounting.usd_per_tops(price, a100["peak_int8_tops"]) / int8,
        "RTX 4090 over A100 in BF16": gaming["peak_bf16_tflops"] / a100["peak_bf16_tflops"],
        "cost per BF16 operation, A100 over RTX 4090": accounting.usd_per_tops(price, a100["peak_bf16_tflops"])
        / accounting.usd_per_tops(gaming["price_usd"], gaming["peak_bf16_tflops"]),
    }


def _h100(t: Tables) -> Values:
    price = t[N]["gpus_usd"] / 8
    return {
        "$ per H100": price,
        "$ per TFLOP/s in FP8": accounting.usd_per_tops(price, t["gpu.h100"]["peak_fp8_tflops"]),
    }


ROWS = (
    Row(
        "D1",
        "The cost of a frontier model is (roughly) 80% supercomputer hardware, 18% personnel, and 2% power.",
        "80.4, 17.7 and 1.9 % of OpenAI's leaked spending of 2022. Between 0.8 and 1.0 kW a GPU the power share is 1.7 "
        "to 2.2 %. It counts a year's spending, not a run.",
        "computing less power, staff, 25,000 GPUs times 0.9 kW times a year times $0.05",
        "0.9 kW per GPU with its share of the site",
        SHARES,
        _shares,
        (near("hardware", 0.80, 0.01), near("staff", 0.18, 0.03), near("power", 0.02, 0.05)),
    ),
    Row(
        "D2",
        "ML supercomputer hardware cost is split about 70⁄30 between GPUs and other hardware",
        "68.7 / 31.3 by the report's own footnote.",
        "195,000 / ((269,010 - 42,000) 5/4)",
        inputs=(*NODE, f"{N}.interconnect_fraction"),
        compute=lambda t: {"GPU share": _gpu_share(t)},
        bounds=(near("GPU share", 0.7, 0.03),),
    ),
    Row(
        "D3",
        "suggesting that non-GPU components were 14% of the cost (excluding Nvidia’s markup).",
        "14.1 %.",
        "1 - 195,000 / (269,010 - 42,000)",
        inputs=NODE,
        compute=lambda t: {"other parts": 1 - accounting.gpu_share(
            t[N]["gpus_usd"], t[N]["node_usd"], markup_usd=t[N]["markup_usd"])},
        bounds=(near("other parts", 0.14, 0.02),),
    ),
    Row(
        "D4",
        "rough math gives a 500 million dollar estimate for the cost of the hardware needed to train GPT-4[3]",
        "536 M; OpenAI spent 506 M on computing and staff that year.",
        "25,000 times $15,000 / 0.7",
        inputs=(f"{C}.size_gpus", f"{C}.gpu_usd", f"{C}.gpu_cost_fraction"),
        compute=_gpt4,
        bounds=(near("hardware $", 5e8, 0.1),),
    ),
    Row(
        "D5",
        "New state of the art (frontier) models will likely cost on the order of a billion dollars",
        "A judgement from reported fund-raising.",
    ),
    Row(
        "D6",
        "the approx 60 million dollars[2] it would cost to rent all the hardware required for the duration of the "
        "final "
        "training run of GPT-4",
        "57 to 63 M at $1.05 an A100 hour; the report's sources say 63 and 40.",
        "GPUs times hours times price",
        "$1.05 an hour under a long commitment; 90 to 100 days",
        (f"{C}.size_gpus", f"{C}.short_days", f"{C}.rent_usd_per_hour"),
        _rent,
        (near("$, short run", 60e6, 0.1), near("$, long run", 60e6, 0.1)),
        reading=True,
    ),
    Row(
        "D7",
        "($48.08 if int8 training isn’t possible)",
        "$24.04 and $48.08, to the cent: an identity.",
        "15,000 / 624 and / 312",
        inputs=(f"{C}.gpu_usd", "gpu.a100.peak_int8_tops", "gpu.a100.peak_bf16_tflops"),
        compute=_tops,
        bounds=(near("$ per TOP/s in int8", 24.04, 2e-4), near("$ per TFLOP/s in 16 bits", 48.08, 2e-4)),
    ),
    Row(
        "D8",
        "However, NVIDIA’s best gaming GPU provides greater ML processing power for about a tenth the price of the "
        "A100.",
        "True in int8, which few train in: 6 % more for a ninth of the price. In BF16 with 32-bit "
        "accumulation the RTX 4090 has half the A100's rate, and the cost per operation differs by 5, not 10.",
        "ratios of price and of dense peak",
        "int8 operations train",
        (f"{C}.gpu_usd", "gpu.rtx4090.price_usd", "gpu.rtx4090.peak_int8_tops", "gpu.rtx4090.peak_bf16_tflops"),
        _gaming,
        (near("A100 price over RTX 4090", 10, 0.1), at_least("RTX 4090 over A100 in int8", 1.0),
         near("cost per int8 operation, A100 over RTX 4090", 10, 0.1)),
        reading=True,
    ),
    Row(
        "D9",
        "I’m very confident the cost is within the interval $10k-$45k.",
        "The row of the table is lost; an eighth of the eight GPUs of D2 is $24,400, inside, and $12.3 per TFLOP/s.",
        "195,000 / 8",
        "the price of the H100 is that of the node's footnote",
        (f"{N}.gpus_usd", "gpu.h100.peak_fp8_tflops"),
        _h100,
        (at_least("$ per H100", 10e3), at_most("$ per H100", 45e3)),
        reading=True,
    ),
    Row(
        "D10",
        "if the 80GB of memory of an H100 or A100 was standard computer memory it would cost only $164, and if it were "
        "hard drive storage it would cost $1.12",
        "Unit prices of $2.05 and 1.4 cents a GB, of a linked price list that the text does not hold.",
        "80 GB times unit price",
        inputs=("report.memory.dram_usd_per_gb", "report.memory.disk_usd_per_gb", "gpu.h100.memory_gb"),
        compute=lambda t: {
            "DRAM $": t["gpu.h100"]["memory_gb"] * t["report.memory"]["dram_usd_per_gb"],
            "disk $": t["gpu.h100"]["memory_gb"] * t["report.memory"]["disk_usd_per_gb"],
        },
        external=True,
    ),
    Row(
        "D12",
        "Some have reported that they charge very high margins (5x manufacturing costs) on their GPUs as a result",
        "A margin of 80 % on the chip, beside the 65 % of the whole company that the paper uses (A29): not the same "
        "quantity, and not to be mixed.",
        "1 - 1/5",
        inputs=(f"{M}.manufacturing_ratio", "paper.margins.nvidia_fraction"),
        compute=lambda t: {
            "margin": accounting.margin_of_markup(t[M]["manufacturing_ratio"]),
            "the paper's margin": t["paper.margins"]["nvidia_fraction"],
        },
        external=True,
    ),
    Row(
        "D22",
        "NVIDIA’s data center revenue has increased dramatically, probably from ML GPU sales, from under a billion "
        "dollars per quarter to over 3.5 billion",
        "52 % a year; the quarters are in no table of the text.",
        "3.5^(1/3)",
        inputs=(f"{M}.first_quarter_usd", f"{M}.last_quarter_usd", f"{M}.span_years"),
        compute=lambda t: {"growth": trends.growth_between(
            t[M]["first_quarter_usd"], t[M]["last_quarter_usd"], t[M]["span_years"])},
        external=True,
    ),
    Row(
        "D23",
        "GPUs account for around 70% of the cost, though I consider anywhere from 50% to 85% to be plausible.",
        "68.7 %; the two methods it combines give 50 % (Next Platform) and 86 % (the node alone).",
        "as D2",
        inputs=NODE,
        compute=lambda t: {"GPU share": _gpu_share(t)},
        bounds=(at_least("GPU share", 0.5), at_most("GPU share", 0.85)),
    ),
    Row(
        "D29",
        "I removed the “unspecified” section since it was small",
        "7 % of the whole: small beside the hardware, three times the power that is kept.",
        "38.75 over the sum",
        inputs=(f"{S}.other_usd", f"{S}.compute_usd", f"{S}.staff_usd"),
        compute=lambda t: {"share": t[S]["other_usd"] / (t[S]["other_usd"] + t[S]["compute_usd"] + t[S]["staff_usd"])},
        bounds=(at_most("share", 0.1),),
    ),
    Row(
        "D30",
        "with this article mentioning one plausible data expense being only $200k[4].",
        "Half a thousandth of the computing and data that it is removed from.",
        "200 k / 416 M",
        inputs=(f"{S}.data_usd", f"{S}.compute_usd"),
        compute=lambda t: {"share": t[S]["data_usd"] / t[S]["compute_usd"]},
        bounds=(at_most("share", 0.01),),
    ),
    Row(
        "D31",
        "Anthropic is reported to have said while fundraising that training the next version of Claude would cost 1 "
        "billion dollars",
        "A report of a statement.",
    ),
    Row(
        "D32",
        "OpenAI raised 10 billion in 2023 despite having already raised 1 billion in 2019, indicating significant "
        "expenditures.",
        "A report; what was raised says little about what a model cost.",
    ),
)  # fmt: skip
