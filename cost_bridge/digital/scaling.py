"""Operations of a training run from its parameters and tokens, and the device hours they take.

Arithmetic only: floats, numpy arrays and jax arrays pass through unchanged.
"""

from ..price import Number

CHINCHILLA_TOKENS = 20.0
"""Tokens a parameter at which compute is best spent (Hoffmann 2022, as Faraboschi 2024 rounds it)."""

FLOPS_PER_PARAMETER_TOKEN = 6.0
"""Two operations forward and four backward for every weight and token."""


def training_flops(
    parameters: Number, tokens: Number, *, flops_per_parameter_token: Number = FLOPS_PER_PARAMETER_TOKEN
) -> Number:
    """C = C0 P T (Kaplan 2020; Faraboschi 2024, Sect. 1.3). For a mixture of experts give the active parameters."""
    return flops_per_parameter_token * parameters * tokens


def chinchilla_flops(
    parameters: Number,
    *,
    tokens_per_parameter: Number = CHINCHILLA_TOKENS,
    flops_per_parameter_token: Number = FLOPS_PER_PARAMETER_TOKEN,
) -> Number:
    """C = 120 P^2: T = 20 P tokens in C = 6 P T."""
    return training_flops(
        parameters, tokens_per_parameter * parameters, flops_per_parameter_token=flops_per_parameter_token
    )


def chinchilla_parameters(
    flops: Number,
    *,
    tokens_per_parameter: Number = CHINCHILLA_TOKENS,
    flops_per_parameter_token: Number = FLOPS_PER_PARAMETER_TOKEN,
) -> Number:
    """The inverse of `chinchilla_flops`: parameters whose compute-optimal run takes `flops`."""
    return (flops / (flops_per_parameter_token * tokens_per_parameter)) ** 0.5


def experts_flops(
    parameters: Number,
    experts: Number,
    *,
    tokens_per_parameter: Number = CHINCHILLA_TOKENS,
    flops_per_parameter_token: Number = FLOPS_PER_PARAMETER_TOKEN,
) -> Number:
    """120 K (P / K)^2 = 120 P^2 / K (Faraboschi 2024, Sect. 1.3): K experts, each trained as a model of its size."""
    one = chinchilla_flops(
        parameters / experts,
        tokens_per_parameter=tokens_per_parameter,
        flops_per_parameter_token=flops_per_parameter_token,
    )
    return experts * one


def power_law_flops(parameters: Number, *, flops_per_parameter: Number, exponent: Number) -> Number:
    """a P^e, the form of Tables 1 and 3 of Faraboschi 2024 (a = 120, e = 2 is `chinchilla_flops`)."""
    return flops_per_parameter * parameters**exponent


def device_hours(flops: Number, flops_per_s: Number) -> Number:
    """Hours of one device that sustains `flops_per_s`."""
    return flops / flops_per_s / 3600


def run_days(flops: Number, devices: Number, flops_per_s: Number) -> Number:
    """Days on `devices`, each at `flops_per_s`, without failures."""
    return flops / (devices * flops_per_s) / 86400


def recomputed_flops(parameters: Number, tokens: Number) -> Number:
    """8 P T: every layer's forward pass done twice (Narayanan 2021, eq. 4: days of training)."""
    return training_flops(parameters, tokens, flops_per_parameter_token=8.0)


def sustained_flops(flops: Number, hours: Number) -> Number:
    """FLOP/s per device that a run of published FLOP and device hours implies."""
    return flops / (hours * 3600)


def attention_flops_per_token(layers: Number, width: Number, context: Number) -> Number:
    """12 l d s: score and value products of the full square, forward and backward (Narayanan 2021, eq. 2)."""
    return 12 * layers * width * context


def routed_attention_gain(context: Number) -> Number:
    """O(n^2 d) over O(n^1.5 d) (Roy 2021): the square root of the sequence length, constants left out."""
    return context**0.5
