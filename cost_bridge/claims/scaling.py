"""The paper's Sect. 1: size, tokens, operations, experts (and the summary that restates them)."""

import math

from ..digital import scaling
from ..seeds import Row, Tables, Values, near

S = "paper.scaling"
COEFFICIENTS = (f"{S}.flops_per_parameter_token", f"{S}.tokens_per_parameter")


def _dense(t: Tables, parameters: float) -> float:
    own = t[S]
    return scaling.chinchilla_flops(
        parameters,
        tokens_per_parameter=own["tokens_per_parameter"],
        flops_per_parameter_token=own["flops_per_parameter_token"],
    )


def _literal(t: Tables) -> Values:
    p, own = t[S]["example_parameters"], t[S]
    literal = scaling.training_flops(
        p, own["tokens_per_parameter"], flops_per_parameter_token=own["flops_per_parameter_token"]
    )
    return {"C / P^2 with T = 20 P": _dense(t, p) / p**2, "C with T = 20, over 120 P^2": literal / (120 * p**2)}


def _hours(t: Tables) -> Values:
    rate = t[S]["example_tflops"] * 1e12
    return {
        "GPU-seconds": t[S]["rounded_flops"] / rate,
        "million GPU-hours from 1e26": scaling.device_hours(t[S]["rounded_flops"], rate) / 1e6,
        "million GPU-hours from 120 P^2": scaling.device_hours(_dense(t, t[S]["example_parameters"]), rate) / 1e6,
    }


def _experts(t: Tables) -> Values:
    k, leaked = t[S]["partition_experts"], t["models.gpt4_leaked"]
    sparse = scaling.experts_flops(
        1e12,
        k,
        tokens_per_parameter=t[S]["tokens_per_parameter"],
        flops_per_parameter_token=t[S]["flops_per_parameter_token"],
    )
    return {
        "reduction over K": _dense(t, 1e12) / sparse / k,
        "reduction at K = 8": _dense(t, 1e12) / sparse,
        "parameters over active parameters, GPT-4 as leaked": leaked["parameters"] / leaked["active_parameters"],
    }


def _doubling(t: Tables) -> Values:
    gpt3, palm = t["models.gpt3"]["parameters"], t["models.palm"]["parameters"]
    gpt4, literal = t["models.gpt4_leaked"]["parameters"], t[S]["literal_gpt4_parameters"]
    start, middle = t["paper.growth"]["gpt3_year"], t["paper.growth"]["palm_year"]

    def months(last: float, years: float) -> float:
        return 12 * years / math.log2(last / gpt3)

    return {
        "months, 175 B to 540 B": months(palm, middle - start),
        "months, 175 B to 1.8 T": months(gpt4, t["paper.projection"]["gpt4_year"] - start),
        "months, 175 B to 1,800 T as printed": months(literal, t["paper.projection"]["gpt4_year"] - start),
    }


def _order(t: Tables) -> Values:
    own = t[S]
    return {
        "fewest": own["few_experts"],
        "most": own["many_experts"],
        "DeepSeek-V3, parameters over active": t["models.deepseek_v3"]["parameters"]
        / t["models.deepseek_v3"]["active_parameters"],
    }


ROWS = (
    Row(
        "A1",
        "They evaluated that approximately 20 tokens per parameter are necessary for the model to converge. Putting "
        "this together, we get: $$C = 120 P^2$$",
        "6 times 20 is 120.",
        "C = C0 P T with T = 20 P",
        inputs=COEFFICIENTS,
        compute=lambda t: {"C / P^2": _dense(t, 1e12) / 1e24},
        bounds=(near("C / P^2", 120, 1e-9),),
    ),
    Row(
        "B1",
        r"$C_0 \approx 6$ and $T \approx 20$, yielding $C \approx 120 P^2$",
        "The summary drops 'per parameter': 20 is T / P. With T = 20 tokens its formula is short by a factor P.",
        "C = C0 P T, T read as tokens per parameter, and as written",
        inputs=(*COEFFICIENTS, f"{S}.example_parameters"),
        compute=_literal,
        bounds=(near("C / P^2 with T = 20 P", 120, 1e-9), near("C with T = 20, over 120 P^2", 1, 0.01)),
    ),
    Row(
        "A2",
        "training a model with 1T parameters requires $O(10^{26})$ FLOP",
        "1.2e26.",
        "120 P^2",
        inputs=(f"{S}.example_parameters", *COEFFICIENTS),
        compute=lambda t: {"FLOP": _dense(t, t[S]["example_parameters"])},
        bounds=(near("FLOP", 1e26, 0.5),),
    ),
    Row(
        "A3",
        "it would ideally take $10^{11}$ GPU-seconds, which is approximately 28 million GPU-hours",
        "True of the rounded 1e26 FLOP; the paper's own 120 P^2 gives 33 million, 20 % more.",
        "FLOP / (FLOP/s) / 3600",
        "1e26 FLOP, not 1.2e26",
        (f"{S}.rounded_flops", f"{S}.example_tflops", f"{S}.example_parameters"),
        _hours,
        (near("GPU-seconds", 1e11, 1e-6), near("million GPU-hours from 1e26", 28, 0.015)),
        reading=True,
    ),
    Row(
        "A4",
        "$$C_{MoE} = 120 K (P / K)^2 = 120 P^2 / K$$ which corresponds to a cost reduction of a factor K.",
        "The algebra holds, for experts that share nothing and see a K-th of the tokens each. GPT-4 as leaked has 16 "
        "experts and saves a factor 6.4.",
        "120 P^2 over K 120 (P/K)^2",
        inputs=(f"{S}.partition_experts", "models.gpt4_leaked.active_parameters"),
        compute=_experts,
        bounds=(near("reduction over K", 1, 1e-9),),
    ),
    Row(
        "A5",
        "Today, a typical range of K is 4 to 10 experts.",
        "A statement about practice, without a source; published models since have more (DeepSeek-V3: 256, 8 at work).",
    ),
    Row(
        "A6",
        "In the last 3 years alone we have seen models double in size (number of parameters) every 4 months [31], from "
        "175B GPT-3 in 2020, 540B PaLM in 2022, and (rumored) 1,800T GPT-4 in 2023.",
        "The examples double every 11 to 15 months. Four months is Fig. 3's doubling of compute, not of size; 1,800T "
        "is "
        "a slip for 1,800B, and read literally gives 2.7 months.",
        "12 years / log2(last / first)",
        inputs=("models.gpt3.parameters", "models.palm.parameters", "models.gpt4_leaked.parameters"),
        compute=_doubling,
        bounds=tuple(
            near(name, 4, 0.2)
            for name in (
                "months, 175 B to 540 B",
                "months, 175 B to 1.8 T",
                "months, 175 B to 1,800 T as printed",
            )
        ),
    ),
    Row(
        "A7",
        "This 100T mark is particularly important because it is believed to be the order of magnitude of synapses ( "
        "$10^{11}$ ) in the human brain [8].",
        "The cited count, about 1e11, is of neurons; a brain has about 1e14 synapses, which is 100T. The exponent is "
        "wrong, the comparison right.",
        "neurons times synapses per neuron",
        "a thousand synapses a neuron",
        (f"{S}.brain_neurons", f"{S}.synapses_per_neuron"),
        lambda t: {"synapses": t[S]["brain_neurons"] * t[S]["synapses_per_neuron"]},
        (near("synapses", 1e11, 0.9),),
    ),
    Row(
        "A8",
        "a 174 trillion parameter model which was trained",
        "A cited fact with nothing to derive.",
    ),
    Row(
        "A37",
        "GPT-4 (1,800B parameters, about 10x larger)",
        "10.3; here the same paper prints 1,800B, not the 1,800T of Sect. 1.2.",
        "ratio of parameters",
        inputs=("models.gpt4_leaked.parameters", "models.gpt3.parameters"),
        compute=lambda t: {"ratio": t["models.gpt4_leaked"]["parameters"] / t["models.gpt3"]["parameters"]},
        bounds=(near("ratio", 10, 0.1),),
    ),
    Row(
        "A38",
        "promises to yield an order of magnitude computation reduction, while preserving model quality",
        "True at the upper end of the paper's own 4 to 10 experts, and of later models; not at its lower end.",
        "reduction = K",
        inputs=(f"{S}.few_experts", f"{S}.many_experts"),
        compute=_order,
        bounds=(near("fewest", 10, 0.3), near("most", 10, 0.3)),
    ),
    Row(
        "A34",
        "Power scaling of parameter (2.0 theoretical)",
        "120 P^1.91 meets the models of 2020 to 2022 to a quarter, overshoots GPT-4 as leaked by 40 % and falls short "
        "of Llama 3, which was trained far beyond 20 tokens a parameter, by twenty. It is not what Fig. 5 uses.",
        "120 P^1.91 over C0 P_active T of the run",
        inputs=(f"{S}.token_scaling_exponent",),
        compute=lambda t: {name: _power_law(t, model) for name, model in _RUNS.items()},
        bounds=(near("GPT-3", 1, 0.25), near("PaLM", 1, 0.25), near("GPT-4 as leaked", 1, 0.25),
                near("Llama 3.1 405B", 1, 0.25)),
    ),
    Row(
        "A25",
        "can reduce the overall complexity of an attention layer for sequence length $n$ and hidden dimension $d$ to "
        "$O(n^{1.5}d)$ from $O(n^2d)$",
        "A factor of the square root of n, in the score and value products only; constants are left out.",
        "n^2 d / (n^1.5 d)",
        "sequences of 2 k, 4 k and 32 k tokens",
        inputs=tuple(f"paper.formats.routing_{end}_tokens" for end in ("short", "middle", "long")),
        compute=lambda t: {
            f"gain, {end} sequence": scaling.routed_attention_gain(t["paper.formats"][f"routing_{end}_tokens"])
            for end in ("short", "middle", "long")
        },
        bounds=(near("gain, short sequence", 45.25, 0.01), near("gain, long sequence", 181, 0.01)),
    ),
)  # fmt: skip

_RUNS = {"GPT-3": "gpt3", "PaLM": "palm", "GPT-4 as leaked": "gpt4_leaked", "Llama 3.1 405B": "llama3_405b"}


def _power_law(t: Tables, name: str) -> float:
    model, own = t[f"models.{name}"], t[S]
    active = model.get("active_parameters", model["parameters"])
    true = scaling.training_flops(
        active, model["training_tokens"], flops_per_parameter_token=own["flops_per_parameter_token"]
    )
    law = scaling.power_law_flops(
        model["parameters"],
        flops_per_parameter=own["flops_per_parameter_token"] * own["tokens_per_parameter"],
        exponent=own["token_scaling_exponent"],
    )
    return law / true
