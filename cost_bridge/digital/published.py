"""Published runs predicted from what was known without them: hours from shapes, tokens, step speed and failures.

An identity restates published numbers with each other (hours = 8 T P / n X). It is kept as a regression test and says
nothing about accuracy; `Check.is_identity` tells them apart.
"""

from collections.abc import Mapping
from typing import NamedTuple

from ..price import Number
from .energy import hours_mwh, run_mwh
from .resilience import effective_fraction, observed_cluster
from .scaling import (
    attention_flops_per_token,
    device_hours,
    recomputed_flops,
    run_days,
    sustained_flops,
    training_flops,
)

Tables = Mapping[str, Mapping[str, Number]]


class Check(NamedTuple):
    """One published figure beside ours, and whether ours uses that figure's own arithmetic."""

    id: str
    what: str
    published: Number
    ours: Number
    unit: str
    is_identity: bool
    method: str

    @property
    def error(self) -> Number:
        """Relative error."""
        return self.ours / self.published - 1


def run_flops(model: Mapping[str, Number]) -> Number:
    """6 P T and the attention of the full square (Narayanan 2021): a row of models.toml with its shape."""
    attention = attention_flops_per_token(model["layers"], model["width"], model["context"])
    return training_flops(model["parameters"], model["training_tokens"]) + attention * model["training_tokens"]


def llama3_hours(tables: Tables) -> Number:
    """GPU hours of Llama 3.1 405B: its FLOP at the published step utilisation, stretched by failures and restarts."""
    model, gpu = tables["models.llama3_405b"], tables["gpu.h100"]
    flops_per_s = model["utilisation_mfu"] * gpu["peak_bf16_tflops"] * 1e12
    return device_hours(run_flops(model), flops_per_s) / effective_fraction(observed_cluster(model))


def llama2_hours(tables: Tables) -> Number:
    """GPU hours of Llama 2 70B: its FLOP at the speed that the same team published for LLaMA 65B on the same GPU."""
    before, model = tables["models.llama1_65b"], tables["models.llama2_70b"]
    per_token = run_flops(before) / before["training_tokens"]
    return device_hours(run_flops(model), before["tokens_per_s_per_gpu"] * per_token)


def implied_tflops(tables: Tables) -> dict[str, Number]:
    """TFLOP/s per device that the published hours of every model imply, at 6 P_active T: restated, not predicted."""
    found = {}
    for name, model in tables.items():
        if name.startswith("models.") and "device_hours" in model and "training_tokens" in model:
            active = model.get("active_parameters", model["parameters"])
            flops = training_flops(active, model["training_tokens"])
            found[name.partition(".")[2]] = sustained_flops(flops, model["device_hours"]) / 1e12
    return found


def checks(tables: Tables) -> list[Check]:
    """All of them, predictions first."""
    three, two, one = (tables[f"models.{name}"] for name in ("llama3_405b", "llama2_70b", "llama1_65b"))
    bloom, gpt3 = (tables[f"models.{name}"] for name in ("bloom", "gpt3"))
    hours3, hours2 = llama3_hours(tables), llama2_hours(tables)
    gpt3_flops = 3.14e23  # Patterson 2021, with V100 at 24.6 TFLOP/s, 330 W, PUE 1.1
    return [
        Check(
            "T5", "Llama 3.1 405B, H100 hours", three["device_hours"], hours3, "h", False,
            "6PT and attention at the step's 40.5 % MFU, over the effective time of 419 failures in 54 days",
        ),
        Check(
            "T5e", "Llama 3.1 405B, energy", hours_mwh(three["device_hours"], three["power_w_per_gpu"]),
            hours_mwh(hours3, three["power_w_per_gpu"]), "MWh", False,
            "predicted hours at 700 W; the published figure is hours times the power limit: the error is that of T5",
        ),
        Check(
            "T11", "Llama 2 70B, A100 hours", two["device_hours"], hours2, "h", False,
            "6PT and attention at the FLOP/s of LLaMA 65B, 380 tokens/s per GPU",
        ),
        Check(
            "T11e", "Llama 2 70B, energy", hours_mwh(two["device_hours"], two["power_w_per_gpu"]),
            hours_mwh(hours2, two["power_w_per_gpu"]), "MWh", False,
            "predicted hours at 400 W; the published figure is hours times the power limit: the error is that of T11",
        ),
        Check(
            "T2a", "GPT-3 on 1024 A100, days", 34.0, run_days(recomputed_flops(175e9, 300e9), 1024, 140e12), "d", True,
            "8PT at 140 TFLOP/s (Narayanan 2021)",
        ),
        Check(
            "T2b", "1T model on 3072 A100, days", 84.0, run_days(recomputed_flops(1e12, 450e9), 3072, 163e12), "d",
            True, "8PT at 163 TFLOP/s (Narayanan 2021)",
        ),
        Check(
            "T5f", "Llama 3.1 405B, FLOP", 3.8e25, training_flops(three["parameters"], three["training_tokens"]),
            "FLOP", True, "6PT",
        ),
        Check(
            "T9", "GPT-3, energy", gpt3["training_energy_mwh"], run_mwh(gpt3_flops, 24.6e12, 330.0, pue=1.1), "MWh",
            True, "3.14e23 FLOP at 24.6 TFLOP/s and 330 W with PUE 1.1 (Patterson 2021)",
        ),
        Check(
            "T10", "BLOOM, energy", bloom["training_energy_mwh"], hours_mwh(bloom["device_hours"], 400.0), "MWh", True,
            "hours times the power limit (Luccioni 2022): not a meter",
        ),
        Check(
            "T11l", "LLaMA 65B, A100 hours", one["device_hours"],
            one["training_tokens"] / one["tokens_per_s_per_gpu"] / 3600, "h", True, "tokens over tokens per second",
        ),
    ]  # fmt: skip
