"""The report on frontier model training, its sizes: operations, tokens, links, memory, energy and heat."""

import math

from ..digital import energy, scaling, trends
from ..seeds import Row, Tables, Values, at_least, at_most, near

C = "report.cluster"
X = "report.compute"
F = "report.future"


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
        "D11",
        "can perform non-sparse tensor flops of the smallest format (FP8) at 30x the speed of FP32.",
        "29.5.",
        "1979 / 67",
        inputs=("gpu.h100.peak_fp8_tflops", "gpu.h100.peak_vector_tflops"),
        compute=lambda t: {"ratio": t["gpu.h100"]["peak_fp8_tflops"] / t["gpu.h100"]["peak_vector_tflops"]},
        bounds=(near("ratio", 30, 0.02),),
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
