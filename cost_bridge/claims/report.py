"""The report on frontier model training: what GPT-4 cost, what GPUs cost and why, energy and heat."""

import math

from ..digital import accounting, energy, levers, scaling, trends
from ..seeds import Row, Tables, Values, at_least, at_most, near

S, N, C, X, M, F = (f"report.{name}" for name in ("spending", "node", "cluster", "compute", "market", "future"))
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


def _consoles(t: Tables) -> Values:
    own = t[X]
    count = own["training_flops"] / (own["console_tflops"] * 1e12 * t[C]["short_days"] * 86400)
    return {"consoles": count, "fraction of those sold": count / own["sold_consoles"]}


def _laptops(t: Tables) -> Values:
    stored = t[X]["training_tokens"] * t[X]["bytes_per_token"]
    return {"TB": stored / 1e12, "laptops": stored / (t[X]["laptop_gb"] * 1e9)}


def _traffic(t: Tables) -> Values:
    own = t[C]
    aggregate = own["size_gpus"] * own["link_gb_per_s_per_gpu"] * 1e9
    moved = aggregate * own["used_fraction"] * own["short_days"] * 86400
    return {"PB/s": aggregate / 1e15, "ZB": moved / 1e21}


def _gpt4_flops(t: Tables) -> Values:
    leaked, own = t["models.gpt4_leaked"], t[C]
    flops = scaling.training_flops(leaked["active_parameters"], leaked["training_tokens"])
    peak = own["size_gpus"] * t["gpu.a100"]["peak_bf16_tflops"] * 1e12
    return {"FLOP": flops, "utilisation of 25k A100 in 90 days": flops / (peak * own["short_days"] * 86400)}


def _tokens(t: Tables) -> Values:
    flops = t[X]["training_flops"]
    optimal = scaling.chinchilla_parameters(flops)
    return {
        "T tokens, compute-optimal": scaling.CHINCHILLA_TOKENS * optimal / 1e12,
        "T tokens at 280 B active": flops / (6 * t["models.gpt4_leaked"]["active_parameters"]) / 1e12,
    }


def _site(t: Tables) -> float:
    own = t[F]
    return energy.bought_site_w(
        own["supercomputer_usd"], own["gpu_usd"], own["power_w_per_gpu"], hardware=own["hardware_fraction"],
        devices=t[C]["gpu_cost_fraction"],
    )  # fmt: skip


def _fleet(t: Tables) -> Values:
    own = t[F]
    used = energy.fleet_twh_per_year(own["division_revenue_usd"], own["sold_gpu_usd"], t["gpu.h100"]["tdp_w"])
    return {"TWh a year": used, "per cent of the country": 100 * used / own["us_electricity_twh"]}


def _heat(t: Tables) -> Values:
    own = t[C]
    site = energy.site_w(own["size_gpus"], own["power_w_per_gpu"])
    return {"W per m2": energy.heat_flux_w_per_m2(site, own["site_area_m2"]), "MW": site / 1e6}


def _history(t: Tables) -> Values:
    own = t["report.history"]
    return {
        f"growth in two years, {name}": trends.growth_between(1.0, own[f"{name}_ratio"], own["span_years"]) ** 2
        for name in ("flops", "memory", "link")
    }


def _links(devices: float) -> float:
    return devices * (devices - 1) / 2


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
        "D11",
        "can perform non-sparse tensor flops of the smallest format (FP8) at 30x the speed of FP32.",
        "29.5.",
        "1979 / 67",
        inputs=("gpu.h100.peak_fp8_tflops", "gpu.h100.peak_vector_tflops"),
        compute=lambda t: {"ratio": t["gpu.h100"]["peak_fp8_tflops"] / t["gpu.h100"]["peak_vector_tflops"]},
        bounds=(near("ratio", 30, 0.02),),
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
        "D13",
        "The PlayStation 5 is reported to have 10.28 TFLOP/s of compute which gives ~250,200 necessary to have enough "
        "compute in 3 months. Sony has reportedly sold at least 38.4 million PS5s, implying this is less than <1% of "
        "PlayStations that have been sold.",
        "250,196 at full rate without a loss; 0.65 % of those sold.",
        "2e25 / (10.28e12 times 90 days)",
        inputs=(f"{X}.training_flops", f"{X}.console_tflops", f"{C}.short_days", f"{X}.sold_consoles"),
        compute=_consoles,
        bounds=(near("consoles", 250_200, 1e-3), at_most("fraction of those sold", 0.01)),
    ),
    Row(
        "D14",
        "Cheapest MacBook Air M2 comes with 256GB of storage, giving us 104 which I round to 100.",
        "101.6 with 256 GB; 104 needs 250. The rounding hides it.",
        "13e12 tokens times 2 bytes / 256 GB",
        inputs=(f"{X}.training_tokens", f"{X}.bytes_per_token", f"{X}.laptop_gb"),
        compute=_laptops,
        bounds=(near("laptops", 104, 0.01),),
    ),
    Row(
        "D15",
        "giving maybe 2.5 petabytes a second. Over the course of a likely at least 90 day training run (estimated by "
        "Epoch and Semianalysis) we get a total of 19.4 zettabytes (1.94e22).",
        "19.4 ZB, an identity once 5 PB/s is given. That is 200 GB/s a GPU; NVLink's 600 GB/s would make 15 PB/s.",
        "25,000 times 200 GB/s, half of it, 90 days",
        inputs=(f"{C}.size_gpus", f"{C}.link_gb_per_s_per_gpu", f"{C}.used_fraction", f"{C}.short_days"),
        compute=_traffic,
        bounds=(near("PB/s", 5.0, 1e-6), near("ZB", 19.4, 0.005)),
    ),
    Row(
        "D16",
        "Cisco estimated 3.5 zettabytes (3.5e21) for 2022 consumer internet traffic",
        "A forecast of 2017; the run would have moved 5.5 times as much.",
        "19.4 / 3.5",
        inputs=(f"{X}.transferred_zb", f"{X}.internet_zb"),
        compute=lambda t: {"ratio": t[X]["transferred_zb"] / t[X]["internet_zb"]},
        external=True,
    ),
    Row(
        "D17",
        "Epoch gives ~2e25 FLOPs of compute used for training and Semianalysis agrees.",
        "2.18e25 from the leak's active parameters and tokens, 36 % of the peak of 25,000 A100 for 90 days.",
        "6 P_active T",
        "280 B active parameters, 13 T tokens",
        ("models.gpt4_leaked.active_parameters", "models.gpt4_leaked.training_tokens", f"{C}.size_gpus"),
        _gpt4_flops,
        (near("FLOP", 2e25, 0.1),),
        reading=True,
    ),
    Row(
        "D18",
        "Epoch suggests 12-20 trillion tokens if GPT-4 involved as much compute as estimated and follows Chinchilla "
        "scaling laws",
        "The compute-optimal dense model of 2e25 FLOP sees 8.2 T tokens; with the leak's 280 B active parameters it is "
        "11.9 T. Only the second touches the range.",
        "20 (C/120)^(1/2); C / (6 P_active)",
        inputs=(f"{X}.training_flops", "models.gpt4_leaked.active_parameters"),
        compute=_tokens,
        bounds=(at_least("T tokens, compute-optimal", 12 * 0.98), at_least("T tokens at 280 B active", 12 * 0.98)),
    ),
    Row(
        "D19",
        "supercomputers within the next five years that require gigawatts of power (assuming on the order of a hundred "
        "billion dollars of spending on individual supercomputers, which is quite the extrapolation to make).",
        "2.9 GW.",
        "$100 B times 0.8 times 0.7 / $24,400 times 1.25 kW",
        "1.25 kW a GPU with its node",
        (f"{F}.supercomputer_usd", f"{F}.gpu_usd", f"{F}.power_w_per_gpu", f"{C}.gpu_cost_fraction"),
        lambda t: {"GW": _site(t) / 1e9},
        (at_least("GW", 1.0), at_most("GW", 10.0)),
    ),
    Row(
        "D20",
        "I got a quick upper bound of a fraction of a percent.",
        "0.07 % of the electricity of the United States.",
        "revenue / price times power times a year / 4,000 TWh",
        "14 B a year, $30,000 and 700 W a GPU",
        (f"{F}.division_revenue_usd", f"{F}.sold_gpu_usd", f"{F}.us_electricity_twh"),
        _fleet,
        (at_most("per cent of the country", 1.0),),
    ),
    Row(
        "D21",
        "see the chart below, where HW FLOPS refers to processing power, DRAM BW refers to memory bandwidth, and "
        "Interconnect[15] BW refers to communication speed between GPUs.",
        "The chart is an image; its source says 60,000, 100 and 30 times in 20 years.",
        "ratio^(2/20)",
        inputs=tuple(f"report.history.{name}_ratio" for name in ("flops", "memory", "link")),
        compute=_history,
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
        "D24",
        "both requiring perhaps in the low tens of megawatts of power",
        "22.5 MW for 25,000 A100.",
        "25,000 times 0.9 kW",
        "0.9 kW per GPU with its share of the site",
        (f"{C}.size_gpus", f"{C}.power_w_per_gpu"),
        lambda t: {"MW": energy.site_w(t[C]["size_gpus"], t[C]["power_w_per_gpu"]) / 1e6},
        (at_least("MW", 10.0), at_most("MW", 40.0)),
    ),
    Row(
        "D25",
        "This is similar to the power usage of New York City.",
        "Half of it: 2.9 GW beside about 5.7 GW on average.",
        "D19 over 50 TWh a year",
        "similar means within a factor of 3",
        (f"{F}.supercomputer_usd", "world.new_york_city.power_w"),
        lambda t: {"ratio": _site(t) / t["world.new_york_city"]["power_w"]},
        (at_least("ratio", 1 / 3), at_most("ratio", 3.0)),
        reading=True,
    ),
    Row(
        "D26",
        "as one increases the number of devices in a network the number of possible connections between devices grows "
        "quadratically.",
        "n (n - 1) / 2: an identity.",
        "pairs at twice the devices over pairs",
        inputs=(f"{C}.size_gpus",),
        compute=lambda t: {"ratio": _links(2 * t[C]["size_gpus"]) / _links(t[C]["size_gpus"]),
                           "pairs": _links(t[C]["size_gpus"])},
        bounds=(near("ratio", 4.0, 1e-3),),
    ),
    Row(
        "D27",
        "each doubling the amount of values aggregated by each node, to aggregate values in a logarithmic number of "
        "steps.",
        "15 steps for 25,000 devices, where a ring takes 50,000: an identity.",
        "log2 n",
        inputs=(f"{C}.size_gpus",),
        compute=lambda t: {"steps": math.log2(t[C]["size_gpus"]),
                           "more steps for twice the devices": math.log2(2 * t[C]["size_gpus"])
                           - math.log2(t[C]["size_gpus"])},
        bounds=(near("more steps for twice the devices", 1.0, 1e-9),),
    ),
    Row(
        "D28",
        "Semianalysis reports 13 trillion but less than 7.5 trillion unique tokens.",
        "At least 1.7 passes, as the report's 'training for multiple epochs' says.",
        "13 / 7.5",
        inputs=(f"{X}.training_tokens", f"{X}.unique_tokens"),
        compute=lambda t: {"passes": t[X]["training_tokens"] / t[X]["unique_tokens"]},
        bounds=(at_least("passes", 1.0),),
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
    Row(
        "D33",
        "The amount of heat given off by this much energy usage is significant, concentrated in one place, and "
        "consistent over time",
        "All of 22.5 MW leaves as heat: on a roof of 20,000 m2 as much per area as the sun at noon. Whether a "
        "satellite "
        "tells it apart is not computed.",
        "site power / area, beside 1000 W/m2 of sun",
        "a roof of 20,000 m2",
        (f"{C}.size_gpus", f"{C}.power_w_per_gpu", f"{C}.site_area_m2"),
        _heat,
        (at_least("W per m2", 100.0),),
        reading=True,
    ),
)  # fmt: skip
