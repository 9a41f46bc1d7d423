"""How the terminal and the page say things: numbers with SI prefixes, names of items, boundaries and evidence."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

BOUNDARY_TEXT = {
    "array": "array: the arithmetic alone (cells, converters, digital operations)",
    "chip": "chip: with buffers, memory traffic, periphery and standing power",
    "wall plug": "wall plug: with the rest of the computer and the cooling",
}

EVIDENCE_TEXT = {
    "measured": "timed or counted in this run",
    "silicon": "measured on a chip by its authors",
    "datasheet": "printed by the maker, or a published specification",
    "simulation": "computed by a circuit simulator or a component model",
    "projection": "extrapolated by its authors",
    "assumption": "our own engineering estimate",
}

ITEM_TEXT = {
    "analog_macs": "analog products",
    "dac_samples": "input converters",
    "adc_samples": "output converters",
    "comparator_decisions": "1-bit decisions",
    "cam_searches": "searches of match lines",
    "pulses": "pulses counted",
    "array_cycles": "reads",
    "cell_writes": "writing cells",
    "write_cycles": "row writes",
    "digital_ops": "digital operations on the chip",
    "digital_flops": "digital matrix products",
    "vector_flops": "other digital arithmetic",
    "random_bits": "random bits",
    "buffer_bytes": "on-chip buffers",
    "pbit_updates": "updates of p-bits",
    "node_reads": "reading p-bits out",
    "node_writes": "writing parameters of p-bits",
    "memory_bytes": "off-chip memory",
    "kernel_launches": "kernel launches",
    "periphery": "periphery and control",
    "standing": "idle and standing power",
    "refresh": "refreshing cells",
    "coprocessor_standing": "idle power of the GPU beside it",
    "processor": "processor cores",
    "supply_and_cooling": "rest of the computer, cooling",
}

_PREFIXES = (
    (1e18, "E"),
    (1e15, "P"),
    (1e12, "T"),
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1.0, ""),
    (1e-3, "m"),
    (1e-6, "µ"),
    (1e-9, "n"),
    (1e-12, "p"),
    (1e-15, "f"),
    (1e-18, "a"),
)


def significant(value: float, digits: int = 2) -> str:
    """`value` rounded to significant digits, without an exponent."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    decimals = digits - 1 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:.{max(0, decimals)}f}"


def si(value: float, unit: str, digits: int = 3) -> str:
    """The SI prefix that keeps the number between 1 and 1000: 0.0151 J is '15.1 mJ'."""
    for size, prefix in _PREFIXES:
        if abs(value) >= 0.9995 * size:
            return f"{significant(value / size, digits)} {prefix}{unit}"
    return f"{value:.3g} {unit}"


def duration(seconds: float) -> str:
    """Seconds in the unit a person would use, from ns to years."""
    for size, unit in ((365.25 * 86400, "years"), (86400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{significant(seconds / size, 3)} {unit}"
    return si(seconds, "s")


def dollars(amount: float) -> str:
    """Dollars: cents where there are some, a power of ten where there are not."""
    if amount >= 1000:
        return f"${significant(amount, 3)}"
    if amount >= 0.01:
        return f"${amount:.2f}"
    exponent = math.floor(math.log10(amount))
    mantissa = significant(amount / 10**exponent, 2)
    power = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"${mantissa}·10{power}"


def large_dollars(amount: float) -> str:
    """Dollars with the word a newspaper would use: '$17.8 B'."""
    for size, letter in ((1e15, ",000 T"), (1e12, " T"), (1e9, " B"), (1e6, " M")):
        if amount >= 0.9995 * size:
            return f"${significant(amount / size, 3)}{letter}"
    return dollars(amount)


def money(amount: float | Sequence[float]) -> str:
    """A number of dollars, or a range of them."""
    if isinstance(amount, int | float):
        return dollars(amount)
    low, high = amount
    return f"{dollars(low)} to {dollars(high)}"


def times(ratio: float) -> str:
    """A ratio: '4.8×', '0.049×'."""
    return f"{significant(ratio, 2)}×"


def evidence(weakest: str, parts: Sequence[Mapping[str, Any]]) -> str:
    """The weakest class of a cell and how much of its joules rests on that class: 'assumption 38 %'."""
    share = next((part["share"] for part in parts if part["evidence"] == weakest), None)
    return weakest if share is None else f"{weakest} {100 * share:.0f} %"


def interval(bounds: Sequence[float]) -> str:
    """A 90 % interval of ratios."""
    return f"{significant(bounds[0], 2)} to {significant(bounds[1], 2)}"


_UNITS = {
    "w": "W",
    "j": "J",
    "pj": "pJ",
    "fj": "fJ",
    "us": "µs",
    "ns": "ns",
    "ms": "ms",
    "mm2": "mm²",
    "ff": "fF",
    "v": "V",
    "usd": "$",
    "gb": "GB",
    "tflops": "TFLOP/s",
    "seconds": "s",
    "years": "years",
    "mw": "mW",
    "watts": "W",
    "tb": "TB",
}
_SPELLED = {
    "adc": "ADC",
    "dac": "DAC",
    "gpu": "GPU",
    "cpu": "CPU",
    "mfu": "MFU",
    "tdp": "TDP",
    "bf16": "BF16",
    "fp8": "FP8",
}
_OWNERS = {"reram": "ReRAM", "cpu": "CPU", "model_form": "model error", "workload": "this workload"}


def rate_text(name: str) -> str:
    """A rate's dotted name as words: 'gpu.h100.idle_power_w' is 'H100: idle power (W)'."""
    table, _, key = name.rpartition(".")
    if name == "workload.repeats":
        return "this workload: passes per unit"
    if table == "workload" and key.endswith("_repeats"):
        return f"steps on the {_OWNERS.get(key[:-8], key[:-8])} array for one digital step"
    family, _, member = table.partition(".")
    owner = member.upper().replace("_", " ") if family == "gpu" else member or _OWNERS.get(table, table)
    words, unit = key.split("_"), ""
    if "per" in words[1:] and words[words.index("per") - 1] in _UNITS:
        at = words.index("per") - 1
        unit = f"{_UNITS[words[at]]} per {' '.join(_UNITS.get(word, word) for word in words[at + 2 :])}"
        words = words[:at] or ["price" if words[at] == "usd" else "power"]
    elif len(words) > 1 and words[-1] in _UNITS:
        unit = _UNITS[words.pop()]
    text = " ".join(_SPELLED.get(word, word) for word in words)
    return f"{owner}: {text}" + (f" ({unit})" if unit else "")
