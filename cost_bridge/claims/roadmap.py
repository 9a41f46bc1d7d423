"""The paper's Sects. 1.4, 3.5 to 3.7 and 4: formats, memory, margins, what comes after (and the summary's halving)."""

from ..digital import accounting, formats, levers, memory
from ..seeds import Row, Tables, Values, at_least, at_most, near

M = "paper.margins"
F = "paper.formats"
Q = "world.quarter_2023"
OLD_MODELS = ("gpt1", "gpt2", "megatron_8b")


def _bits(t: Tables) -> Values:
    smallest = formats.FORMATS["MX4"]._replace(element_bits=t[F]["smallest_element_bits"])
    values = {f"bits, {name}": formats.bits(one) for name, one in formats.FORMATS.items() if name.startswith("MX")}
    return values | {"smallest": formats.bits(smallest)}


def _saved(t: Tables) -> Values:
    values = {f"saved, {n}": formats.memory_saved(formats.FORMATS[n]) for n in ("MX9", "MXFP8", "MX6", "MX4")}
    state = t[F]["adam_state_bytes_per_parameter"]
    values["saved of Adam's whole state, MX6"] = formats.state_saved(formats.FORMATS["MX6"], bytes_per_parameter=state)
    return values


def _margins(t: Tables) -> Values:
    own, shares = t[M], levers.report_shares(t)
    values = {}
    for end in ("low", "high"):
        target = own[f"target_{end}_fraction"]
        saved = 1 - accounting.price_at_margin(1.0, own["nvidia_fraction"], target)
        values[f"GPU price, fraction saved at {end} margin"] = saved
        values[f"training cost, fraction saved at {end} margin"] = saved * shares.gpus
    for maker, key in (("AMD", "amd_fraction"), ("Intel", "intel_fraction")):
        price = accounting.price_at_margin(1.0, own["nvidia_fraction"], own[key])
        values[f"GPU price, fraction saved at {maker}'s margin"] = 1 - price
    return values


def _wall(t: Tables) -> Values:
    models = [t[f"models.{name}"] for name in OLD_MODELS]
    state = t[F]["adam_state_bytes_per_parameter"]
    year = memory.wall_year(
        [one["release_year"] for one in models],
        [one["parameters"] for one in models],
        t["gpu.v100"]["memory_gb"],
        state,
    )
    return {
        "year": year,
        "GB, GPT-2": memory.state_gb(models[1]["parameters"], bytes_per_parameter=state),
        "GB, Megatron 8.3B": memory.state_gb(models[2]["parameters"], bytes_per_parameter=state),
    }


def _quarter(t: Tables) -> Values:
    own = t[Q]
    return {"NVIDIA over Intel and AMD": own["nvidia_usd"] / (own["intel_usd"] + own["amd_usd"])}


def _seven(t: Tables) -> Values:
    left = levers.compose(levers.TABLE_2, t)
    return {"cost left, all seven": left.left} | {
        f"cost left, {name}": levers.compose([name], t).left for name in levers.TABLE_2
    }


ROWS = (
    Row(
        "A26",
        "This can reduce the memory footprint of floating point numbers to an average as low as 3-4 bits",
        "The smallest format of the cited paper takes 4.0 bits, the smallest of the OCP specification 4.25; no format "
        "of either reaches 3.",
        "element bits + scale bits / block + pair bits / 2",
        inputs=(f"{F}.smallest_element_bits",),
        compute=_bits,
        bounds=(at_most("smallest", 4.0), at_most("smallest", 3.0)),
    ),
    Row(
        "A27",
        "SBME has been shown to be effective at reducing the memory footprint of LLMs by up to 50%, without "
        "sacrificing "
        "performance.",
        "44 % and 48 % for the 8- and 9-bit formats against BF16. Narrower ones save more (75 % at 4 bits), but of "
        "Adam's "
        "whole 16-byte state 6-bit weights and gradients save 16 %.",
        "1 - bits / 16",
        "against BF16, values alone",
        (f"{F}.adam_state_bytes_per_parameter",),
        _saved,
        (near("saved, MX9", 0.5, 0.15), near("saved, MXFP8", 0.5, 0.15)),
        reading=True,
    ),
    Row(
        "A28",
        "LNS has been shown to reduce the training time of LLMs by up to 40%, without sacrificing performance.",
        "The cited paper's abstract reports energy, not time: 90 % less than FP32 and 55 % less than FP8.",
        "the cited savings",
        inputs=(f"{F}.lns_energy_saving_fp32_fraction", f"{F}.lns_energy_saving_fp8_fraction"),
        compute=lambda t: {
            "energy saved against FP32": t[F]["lns_energy_saving_fp32_fraction"],
            "energy saved against FP8": t[F]["lns_energy_saving_fp8_fraction"],
        },
        bounds=(near("energy saved against FP32", 0.4, 0.1), near("energy saved against FP8", 0.4, 0.1)),
    ),
    Row(
        "A29",
        "will drive margins down to a historical Semiconductor range around 35%-45%, which can contribute to "
        "equivalent "
        "reductions in training costs.",
        "GPU prices would fall by 46 to 36 %. Training costs fall by less, 25 to 20 %, because GPUs are 55 % of them "
        "in the report's accounts.",
        "1 - (1 - 0.65)/(1 - m), times the share of GPUs",
        "manufacturing cost stays; shares of D1 and D2",
        (f"{M}.nvidia_fraction", f"{M}.target_low_fraction", f"{M}.target_high_fraction", "report.node.gpus_usd"),
        _margins,
        (
            near("GPU price, fraction saved at low margin", 0.45, 0.05),
            near("GPU price, fraction saved at high margin", 0.35, 0.05),
            near("training cost, fraction saved at low margin", 0.45, 0.05),
            near("training cost, fraction saved at high margin", 0.35, 0.05),
        ),
    ),
    Row(
        "A30",
        "Nvidia’s datacenter revenue in August 2023 jumped 170% [19]",
        "10.32 B in the quarter reported that month, 3.81 B a year before.",
        "revenue over the year before, less 1",
        inputs=(f"{Q}.nvidia_usd", f"{Q}.nvidia_year_before_usd"),
        compute=lambda t: {"per cent": 100 * (t[Q]["nvidia_usd"] / t[Q]["nvidia_year_before_usd"] - 1)},
        bounds=(near("per cent", 170, 0.01),),
    ),
    Row(
        "A30b",
        "more than double the combined revenues of Intel and AMD",
        "1.94 times their data-centre revenues of that quarter (4.0 and 1.32 B); of their whole revenues it is less "
        "than 0.6. Nearly double.",
        "10.32 / (4.0 + 1.32)",
        "data-centre segments",
        (f"{Q}.nvidia_usd", f"{Q}.intel_usd", f"{Q}.amd_usd"),
        _quarter,
        (at_least("NVIDIA over Intel and AMD", 2.0),),
    ),
    Row(
        "A31",
        "the “memory wall” for training LLMs was reached in early 2019, when increasing model complexities caused "
        "their "
        "training to move from compute constrained to memory constrained.",
        "Adam's state of the largest model outgrows a 32 GB V100 between GPT-2 (24 GB, February 2019) and Megatron "
        "(133 GB, September): 2019.2.",
        "16 bytes a parameter over device memory, interpolated between models",
        "the wall is the capacity of one device",
        (f"{F}.adam_state_bytes_per_parameter", "gpu.v100.memory_gb", "models.megatron_8b.parameters"),
        _wall,
        (at_least("year", 2019.0), at_most("year", 2019.4)),
        reading=True,
    ),
    Row(
        "A32",
        "today it is difficult to pack more than 100GB in a single package.",
        "True of the H100 of that time; the H200 has 141 GB and the B200 180.",
        "tables",
        inputs=("gpu.h100.memory_gb", "gpu.h200.memory_gb", "gpu.b200.memory_gb"),
        compute=lambda t: {f"GB, {name.upper()}": t[f"gpu.{name}"]["memory_gb"] for name in ("h100", "h200", "b200")},
        external=True,
    ),
    Row(
        "A35",
        "they can show a potential to provide a further, drastic reduction in the cost of LLM training.",
        "No number. `cost-bridge compare` is the attempt to give one.",
    ),
    Row(
        "A36",
        "Compact constraint enforcement circuits in the HNN loop result in an exponentially reduced solution search "
        "space.",
        "The paper gives no number. Its authors' later data for 150 variables: 48 times less time and 69 times less "
        "energy than the quadratic network, one size, simulated; that is no test of an exponent.",
        "cited ratios",
        inputs=("paper.search.hnn_time_ratio", "paper.search.hnn_energy_ratio"),
        compute=lambda t: {
            "time to solution, quadratic over cubic": t["paper.search"]["hnn_time_ratio"],
            "energy to solution, quadratic over cubic": t["paper.search"]["hnn_energy_ratio"],
        },
        external=True,
    ),
    Row(
        "A39",
        "Delivering *training-as-a-Service* at much lower cost removes further barriers",
        "No number. With 4.8 cloud dollars to a GPU dollar (A17) there is room for one.",
    ),
    Row(
        "B2",
        "spanning supercomputing optimizations, data reduction, model partitioning, training algorithms, data formats, "
        "efficient hardware, and competitive accelerators to halve costs incrementally.",
        "The paper halves the cost by supercomputing alone (A24) and gives no figure for the others. With published "
        "figures for each, counted once, the seven leave about a fifth of a bought-everything cost, nearly all of it "
        "staff; that they reach it together has been shown by nobody.",
        "product of what each lever leaves of the parts it acts on",
        "levers.toml; shares of D1 and D2; no two levers draw on one reserve",
        ("levers.evolutionary.data_formats_ratio", "levers.evolutionary.model_partitioning_ratio",
         "report.spending.staff_usd"),
        _seven,
        (at_most("cost left, all seven", 0.5),),
        reading=True,
    ),
)  # fmt: skip
