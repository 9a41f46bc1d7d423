"""The page on energy-based models shows the numbers of the data files beside it, and its sentences follow from them."""

import json
import statistics
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
T_3 = 2.3533634  # 95 % quantile of Student's t with 3 degrees of freedom, from a table
ARMS = ("ideal_trained", "in_the_loop")


def page():
    return (DOCS / "ebm.md").read_text(encoding="utf-8")


def data(name):
    return json.loads((DOCS / f"ebm-{name}.json").read_text())


def mean(values):
    return statistics.fmean(values)


def interval(values):
    """As the page has it; always of four chips or seeds."""
    assert len(values) == 4
    half = T_3 * statistics.stdev(values) / 2
    return f"{mean(values):.2f} ({mean(values) - half:.2f} to {mean(values) + half:.2f})"


def at(axis, level, arm):
    return next(r for r in data("noise") if (r["axis"], r["level"], r["arm"]) == (axis, level, arm))


def test_the_table_of_noise_and_bits_holds_the_numbers_of_the_run():
    points = list(dict.fromkeys((row["axis"], row["level"]) for row in data("noise")[1:]))
    assert len(points) == 18
    for axis, level in points:
        line = f"| {axis.replace('_', ' ')} | {level:g} |"
        for arm in ARMS:
            row = at(axis, level, arm)
            tau = (
                f"{mean(row['tau_int']):.0f}"
                if None not in row["tau_int"]
                else f"≥ {mean(row['tau_int_at_least']):.0f}"
            )
            line += f" {interval(row['log_likelihood'])} | {mean(row['beta_eff']):.3f} | {tau} |"
        assert line in page(), line


def test_the_table_of_chips_that_keep_their_errors_holds_the_numbers_of_the_run():
    assert len(data("mismatch")) == 4
    for row in data("mismatch"):
        line = f"| {row['level']:g} | " + " | ".join(interval(row[arm]) for arm in ARMS) + " |"
        assert line in page(), line


def test_the_table_of_own_laws_holds_the_numbers_of_the_run():
    assert len(data("law")) == 9
    for row in data("law"):
        numbers = [row[f"{arm}_{what}"] for arm in ARMS for what in ("own", "nearest")]
        line = (
            f"| {row['axis'].replace('_', ' ')} | {row['level']:g} | " + " | ".join(f"{x:.3f}" for x in numbers) + " |"
        )
        assert line in page(), line
        assert max(row[f"{arm}_own"] for arm in ARMS) < data("law")[0]["truth"]  # no law beats the data's own


def test_the_own_laws_are_what_the_simulated_chips_sample():
    """Distances of 20,000 states vary by about 0.0025 by chance; and the page gives their ranges."""
    pairs = [(row[f"{arm}_distance"], row[f"{arm}_floor"]) for row in data("law")[1:] for arm in ARMS]
    assert all(abs(distance - floor) < 4 * 0.0028 for distance, floor in pairs)
    found, chance = zip(*pairs, strict=True)
    ranges = f"{min(found):.3f} to {max(found):.3f}, of chance alone {min(chance):.3f} to {max(chance):.3f}"
    assert f"total variation {ranges}" in page(), ranges


def test_the_table_of_bounds_holds_the_numbers_of_the_run():
    assert len(data("bound")) == 3
    for row in data("bound"):
        line = f"| {row['axis'].replace('_', ' ')} | {row['level']:g} |"
        for arm in ARMS:
            lower, error, rise, nearest = (row[f"{arm}_{what}"] for what in ("lower", "error", "rise", "nearest"))
            line += f" {lower:.2f} ± {error:.2f}, rising {rise:.2f} | {nearest:.2f} |"
        assert line in page(), line


def test_the_table_of_scaling_holds_the_numbers_of_the_run():
    for axis in ("hidden", "rows"):
        points = [row for row in data("scaling") if row["axis"] == axis]
        assert len({row[axis] for row in points}) >= 4
        for row in points:
            cells = [interval(row[arm]) for arm in ("ideal", *ARMS)]
            line = f"| {axis} | {row['hidden']} | {row['rows']:,} | " + " | ".join(cells) + " |"
            assert line in page(), line
        ideal = [mean(row["ideal"]) for row in points]
        assert ideal == sorted(ideal)  # more units, and more rows, are better


def test_the_table_of_couplings_holds_the_numbers_of_the_run():
    found = data("couplings")
    for machine in found["machines"]:
        for order, name in (("1", "fields"), ("2", "couplings"), ("3", "three-body")):
            truth, learnt, error = (machine[order][what] for what in ("truth", "learnt", "error"))
            z = [(x - y) / e for x, y, e in zip(learnt, truth, error, strict=True)]
            rms = statistics.fmean(x * x for x in z) ** 0.5
            start = f"| {machine['seed']} | {name} | {len(truth)} |"
            if any(truth):
                slope = sum(x * y for x, y in zip(truth, learnt, strict=True)) / sum(x * x for x in truth)
                start += f" {statistics.correlation(truth, learnt):.3f} | {slope:.3f} |"
            line = next(line for line in page().splitlines() if line.startswith(start))
            assert f"| {rms:.2f} | {max(map(abs, z)):.1f} |" in line
        pairs = list(zip(machine["2"]["truth"], machine["2"]["learnt"], strict=True))
        assert min(abs(y) for x, y in pairs if x) > 2 * max(abs(y) for x, y in pairs if not x)  # as the page says
        assert statistics.correlation(*zip(*pairs, strict=True)) > 0.95


def test_the_table_of_joules_holds_the_numbers_of_the_run():
    found = data("cost")
    digital = min(row["joules"][1] for row in found if row["is_digital"])
    assert {"p-bits (z1)", "H100 BF16", "this CPU"} <= {row["machine"] for row in found}
    for row in found:
        name = ", ".join([row["machine"], *([row["neuron"]] if "neuron" in row else [])])
        low, median, high = row["joules"]
        assert low < median < high
        tau, error = row["tau_int"]
        line = f"| {name} | {row['log_likelihood']:.2f} | {tau:.1f} ± {error:.1f} | {median:.1e} |"
        assert line + f" {low:.1e} to {high:.1e} |" in page(), line
        ratio = digital / median
        assert f"| {f'{ratio:,.0f}' if ratio >= 10 else f'{ratio:.2g}'} | {row['evidence']} |" in page()
        assert row["evidence"] != "measured"  # so the page must not say that joules were


@pytest.mark.parametrize(
    ("stated", "value"),
    [
        (
            "At 0.2 the loop wins 2.7 of the 5.4 nats back",
            lambda: (loop_gain("read_noise", 0.2), loss("read_noise", 0.2)),
        ),
        ("6 bits cost 0.1 nats", lambda: (loss("weight_bits", 6),)),
        ("wins 1.5 to 5.3 nats", lambda: sorted(loop_gain("weight_bits", bits) for bits in (2, 3, 4))[::2]),
        ("5 % costs 3.7 nats", lambda: (loss("write_noise", 0.05),)),
        ("takes back 2.9 of 3.1 nats at 5 % and 8.4 of 9.8 at 10 %", lambda: (*taken_back(0.05), *taken_back(0.1))),
        ("is 3.4 and 3.9 nats worse", lambda: bounded("ideal_trained_nearest", "ideal_trained_lower")),
        ("training in the loop wins 5.7 and 4.1 nats", lambda: bounded("in_the_loop_lower", "ideal_trained_lower")),
        ("flatters a 4-bit chip that was trained ideally by 0.7 nats", lambda: (flattery(),)),
    ],
)
def test_the_sentences_of_the_page_follow_from_the_runs(stated, value):
    assert stated in page()
    for number in value():
        assert f"{number:.1f}" in stated


def loss(axis, level):
    return data("noise")[0]["log_likelihood"][0] - mean(at(axis, level, "ideal_trained")["log_likelihood"])


def loop_gain(axis, level):
    ideal, loop = (mean(at(axis, level, arm)["log_likelihood"]) for arm in ARMS)
    return loop - ideal


def taken_back(level):
    row = next(row for row in data("mismatch") if row["level"] == level)
    ideal, loop = (mean(row[arm]) for arm in ARMS)
    return loop - ideal, data("noise")[0]["log_likelihood"][0] - ideal


def bounded(more, less):
    return [row[more] - row[less] for row in data("bound") if row["axis"] == "adc_bits"]


def flattery():
    row = next(row for row in data("law") if (row["axis"], row["level"]) == ("adc_bits", 4))
    return row["ideal_trained_nearest"] - row["ideal_trained_own"]


def test_the_pictures_are_small():
    for name in ("noise", "couplings"):
        assert 5_000 < (DOCS / f"ebm-{name}.png").stat().st_size < 100_000
        assert f"(ebm-{name}.png)" in page()
