"""Strategies that make training cheaper, as multipliers on parts of the cost that compose without counting twice.

A lever says which parts of a bought-everything cost it acts on and what is left of each. Levers that are different
names for one effect, or that draw on one reserve, share an overlap group: of a group the strongest counts, once. Staff
is touched by none. Ratios and their ranges stand in levers.toml with their sources; a strategy for which nobody gives
a figure at equal quality has ratio 1, so that it can be named and counts nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from ..price import Number
from . import flops, resilience
from . import gpu as roofline
from .accounting import Shares, buy_all, electricity_usd, gpu_share, price_at_margin

Tables = Mapping[str, Mapping[str, Number]]
PARTS = Shares._fields
MACHINE = ("gpus", "other_hardware", "power")
"""What a run that takes less machine time needs less of."""


COSTS = "costs"
"""The overlap group of levers that make a run dearer for the sake of something else: each of them always counts."""


class Lever(NamedTuple):
    """A strategy: where it is named, what is left of each part of the cost it acts on, and what it overlaps with."""

    name: str
    origin: str
    overlap: str
    acts_on: tuple[str, ...]
    ratio: Callable[[Tables, str], Number]
    rates: tuple[str, ...]
    note: str


def _table(name: str, origin: str, overlap: str, rate: str, note: str, acts_on: tuple[str, ...] = MACHINE) -> Lever:
    table, _, key = rate.rpartition(".")
    return Lever(name, origin, overlap, acts_on, lambda tables, part: tables[table][key], (rate,), note)


def _no_number(name: str, origin: str, overlap: str, note: str) -> Lever:
    return _table(name, origin, overlap, "levers.others.no_number_ratio", note)


def resilience_ratio(tables: Tables, part: str = "gpus") -> Number:
    """Machine time with every optimisation of Table 3 over the time with none, at its size."""
    plain, best = (resilience.slowdown(resilience.cluster(tables, optimised=o)) for o in ("nothing", "everything"))
    return best.factor / plain.factor


def photonic_ratio(tables: Tables, part: str = "gpus") -> Number:
    """Time of a GPT-3 step on H100s whose memory moves a multiple of the bytes a second, over its time on H100s.

    Both sides have the devices whose memory holds the model today (35 of 80 GB).
    """
    shape, gpu = flops.model("gpt3"), tables["gpu.h100"]
    ops = flops.training_ops(shape, round(tables["models.gpt3"]["batch_tokens"] / shape.context))
    fabric = {**gpu, "memory_tb_per_s": gpu["memory_tb_per_s"] * tables["levers.others"]["photonic_bandwidth_ratio"]}
    before, after = (roofline.seconds(ops, one, devices=GPT3_DEVICES) for one in (gpu, fabric))
    return after / before


def margin_ratio(tables: Tables, part: str = "gpus") -> Number:
    """GPU price at the middle of the paper's range of margins over the price at Nvidia's."""
    own = tables["paper.margins"]
    target = (own["target_low_fraction"] + own["target_high_fraction"]) / 2
    return price_at_margin(1.0, own["nvidia_fraction"], target)


def _hardware_ratio(tables: Tables, part: str) -> Number:
    key = "efficient_hardware_power_ratio" if part == "power" else "efficient_hardware_ratio"
    return tables["levers.evolutionary"][key]


GPT3_DEVICES = 35
EVOLUTIONARY = "levers.evolutionary"
_RESILIENCE_RATES = ("paper.cluster.gpu_mtbf_hours", "paper.cluster.storage_gb_per_s", "paper.cluster.restart_hours")

LEVERS: dict[str, Lever] = {
    lever.name: lever
    for lever in (
        Lever("distributed systems", "paper, Table 2", "utilisation", MACHINE, resilience_ratio, _RESILIENCE_RATES,
              "computed by digital/resilience.py at the size of the cluster"),
        _table("data reduction", "paper, Table 2", "data", f"{EVOLUTIONARY}.data_reduction_ratio",
               "fewer tokens for the same loss"),
        _table("model partitioning", "paper, Table 2", "sparsity", f"{EVOLUTIONARY}.model_partitioning_ratio",
               "mixture of experts; the paper's 1/K is its limit"),
        _table("training algorithms", "paper, Table 2", "optimiser", f"{EVOLUTIONARY}.training_algorithms_ratio",
               "fewer steps for the same loss"),
        _table("data formats", "paper, Table 2", "formats", f"{EVOLUTIONARY}.data_formats_ratio",
               "8 bits in place of 16"),
        Lever("efficient hardware", "paper, Table 2", "silicon", MACHINE, _hardware_ratio,
              (f"{EVOLUTIONARY}.efficient_hardware_ratio", f"{EVOLUTIONARY}.efficient_hardware_power_ratio"),
              "a systolic accelerator of the same year at the same price"),
        Lever("competitive accelerators", "paper, Table 2", "price", ("gpus",), margin_ratio,
              tuple(f"paper.margins.{end}_fraction" for end in ("nvidia", "target_low", "target_high")),
              "GPU price at a margin of 40 % in place of 65 %"),
        Lever("photonic memory", "paper, Sect. 3.6", "memory", MACHINE, photonic_ratio,
              ("levers.others.photonic_bandwidth_ratio",),
              "roofline of a GPT-3 step on an H100 at a multiple of its bandwidth"),
        _table("training as a service", "paper, Sect. 1.4", "price", "levers.others.service_price_ratio",
               "bought at cost and a fifth, not at the cloud's price"),
        _table("technology node", "ours", "silicon", "levers.others.technology_node_ratio",
               "energy of one node later", ("power",)),
        _no_number("sparse models", "essay", "sparsity", "the same effect as model partitioning"),
        _table("mixture of experts", "essay", "sparsity", f"{EVOLUTIONARY}.model_partitioning_ratio",
               "model partitioning by another name"),
        _no_number("distillation and compression", "essay", "inference",
                   "cheaper to serve; the teacher has to be trained all the same"),
        _no_number("low-rank factorization", "essay", "inference", "no figure at equal quality of pre-training"),
        _table("gradient checkpointing", "essay", COSTS, "levers.others.recompute_ratio",
               "costs a third more time, buys memory"),
        _table("mixed precision training", "essay", "formats", f"{EVOLUTIONARY}.data_formats_ratio",
               "data formats by another name"),
        _no_number("parameter sharing and reuse", "essay", "sparsity", "fewer parameters, as many operations"),
        _table("curriculum learning and active sampling", "essay", "data", "levers.others.curriculum_ratio",
               "fewer tokens"),
        _table("synthetic data augmentation", "essay", "data", "levers.others.synthetic_data_ratio", "claims differ"),
        _table("hardware specialization", "essay", "silicon", f"{EVOLUTIONARY}.efficient_hardware_ratio",
               "efficient hardware by another name"),
        _table("distributed and parallel training", "essay", "utilisation", "levers.others.utilisation_ratio",
               "higher utilisation"),
        _no_number("asynchronous training", "essay", "utilisation",
                   "less waiting, more steps; no figure at equal quality"),
        _table("spot instances and flexible workloads", "essay", "price", "levers.others.spot_ratio",
               "a price, not a cost"),
        _table("energy efficiency in data centers", "essay", "cooling", "levers.others.cooling_ratio",
               "cooling overhead", ("power",)),
        _no_number("adaptive optimization algorithms", "essay", "optimiser",
                   "less optimiser memory, as many operations"),
        _table("early stopping and intermediate evaluations", "essay", "optimiser",
               "levers.others.early_stopping_ratio", "runs that fail early"),
        _no_number("federated learning approaches", "essay", "sharing", "spreads a cost that stays"),
        _no_number("model sharing consortia", "essay", "sharing", "spreads a cost that stays"),
        _no_number("hybrid models and modular AI", "essay, future", "sparsity", "no figure"),
        _no_number("decentralized training programs", "essay, future", "sharing", "no figure"),
        _no_number("research into alternative scaling laws", "essay, future", "data", "no figure"),
    )
}  # fmt: skip
"""The seven areas of Table 2, what the paper adds, and the essay's strategies."""

TABLE_2 = tuple(name for name, lever in LEVERS.items() if lever.origin == "paper, Table 2")


class Composition(NamedTuple):
    """What is left of a cost of 1, what is left of each part of it, and the levers that an overlap left out."""

    left: Number
    parts: dict[str, Number]
    left_out: tuple[str, ...]


def report_shares(tables: Tables) -> Shares:
    """The parts of a bought-everything cost as the report on frontier training has them: about 56, 24, 18 and 2 %."""
    spent, own, node = tables["report.spending"], tables["report.cluster"], tables["report.node"]
    power = electricity_usd(own["size_gpus"], own["power_w_per_gpu"], 8760.0, own["usd_per_kwh"])
    gpus = gpu_share(
        node["gpus_usd"], node["node_usd"], markup_usd=node["markup_usd"], interconnect=node["interconnect_fraction"]
    )
    return buy_all(
        compute_usd=spent["compute_usd"], staff_usd=spent["staff_usd"], power_usd=power, gpu_share_of_hardware=gpus
    )


def compose(names: Iterable[str], tables: Tables, shares: Shares | None = None) -> Composition:
    """Apply levers together, whatever their order: of each overlap group and part the smallest ratio counts, the
    product over groups is taken, and a lever that costs always counts.

    Raises ValueError for a name that is not a lever.
    """
    chosen = list(dict.fromkeys(names))
    unknown = [name for name in chosen if name not in LEVERS]
    if unknown:
        raise ValueError(f"unknown levers {', '.join(unknown)}; known levers are {', '.join(LEVERS)}")
    shares = report_shares(tables) if shares is None else shares
    parts, used = {}, set()
    for part in PARTS:
        groups: dict[str, Number] = {}
        best: dict[str, str] = {}
        product: Number = 1.0
        for name in chosen:
            lever = LEVERS[name]
            if part not in lever.acts_on:
                continue
            ratio = lever.ratio(tables, part)
            if lever.overlap == COSTS:
                product, used = product * ratio, used | {name}
                continue
            if lever.overlap in groups:
                before = groups[lever.overlap]
                is_less = ratio < before
                groups[lever.overlap] = is_less * ratio + (1 - is_less) * before
                if isinstance(ratio, int | float) and ratio < before:
                    best[lever.overlap] = name
            else:
                groups[lever.overlap], best[lever.overlap] = ratio, name
        for ratio in groups.values():
            product = product * ratio
        parts[part] = product
        used |= set(best.values())
    left = sum(getattr(shares, part) * parts[part] for part in PARTS)
    return Composition(left, parts, tuple(name for name in chosen if name not in used))
