"""The unit of a rate, read from the end of its name: 'tdp_w' is in watts, 'electricity_usd_per_kwh' in $/kWh."""

UNITS = {
    "w": "W",
    "mw": "mW",
    "watts": "W",
    "kwh": "kWh",
    "mwh": "MWh",
    "twh": "TWh",
    "pj": "pJ",
    "aj": "aJ",
    "fj": "fJ",
    "s": "s",
    "ms": "ms",
    "us": "µs",
    "ns": "ns",
    "hour": "h",
    "hours": "h",
    "days": "d",
    "months": "months",
    "year": "year",
    "years": "years",
    "usd": "$",
    "byte": "B",
    "bytes": "B",
    "gb": "GB",
    "tb": "TB",
    "zb": "ZB",
    "bits": "bit",
    "gs": "10⁹ samples",
    "flops": "FLOP",
    "tflops": "TFLOP/s",
    "tops": "TOP/s",
    "v": "V",
    "m2": "m²",
    "mm2": "mm²",
    "um2": "µm²",
    "nm": "nm",
    "ff": "fF",
    "op": "operation",
    "gpu": "GPU",
    "gpus": "GPUs",
    "cpu": "CPU",
    "core": "core",
    "consoles": "consoles",
    "parameter": "parameter",
    "parameters": "parameters",
    "token": "token",
    "tokens": "tokens",
    "vocabulary": "tokens",
    "context": "tokens",
    "layers": "layers",
    "heads": "heads",
    "width": "values",
    "forward": "values",  # feed_forward
    "macs": "MAC",
    "samples": "conversions",
    "pbits": "p-bits",
    "inputs": "lines",
    "outputs": "lines",
    "groups": "groups",
    "experts": "experts",
    "interruptions": "interruptions",
    "neuron": "neuron",
    "neurons": "neurons",
    "synapses": "synapses",
    "fraction": "1",
    "mfu": "1",
    "ratio": "1",
    "exponent": "1",
    "growth": "1 per year",
}
"""Words that end a name, and how a person writes them. 1 is a pure number."""

COUNTS = ("layers", "heads", "width", "vocabulary", "context", "parameters", "interruptions", "growth", "pbits")
"""Units that are a whole name."""

PURE = {"model_form"}
"""Tables whose rates are pure factors and are named after what they multiply."""


def unit(name: str) -> str:
    """The unit at the end of a rate's dotted name. Raises ValueError where it does not end in one."""
    table, _, key = name.rpartition(".")
    if table in PURE:
        return "1"
    words = key.split("_")
    if "per" in words[1:-1]:
        at = words.index("per")
        below = [UNITS.get(word) for word in words[at + 1 :] if word != "per"]
        above = UNITS.get(words[at - 1])
        if above and all(below):
            return f"{above}/({' '.join(map(str, below))})" if len(below) > 1 else f"{above}/{below[0]}"
    elif words[-1] in UNITS and (len(words) > 1 or words[-1] in COUNTS):
        return UNITS[words[-1]]
    raise ValueError(f"{name} does not end in a unit; names end like tdp_w, launch_us, price_usd, cooling_fraction")
