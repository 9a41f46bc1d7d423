"""Networks on arrays: the runs behind docs/network-study.md and the format table of docs/networks.md.

    python benchmarks/network_study.py {noise,mapping,drift,recurrent,formats,year,layers} [--write] [...]

noise: output noise against weight noise. mapping: pairs against offset cells. drift: a day on phase-change cells,
trained digitally or noise-aware. recurrent: an LSTM against a CNN. formats: the same models in bf16, FP8, microscaling
and logarithms, trained and evaluated. year, layers: a CNN over a year, and which of its layers hurts. Each writes
docs/networks-<name>.json; --reduced runs a small version, whose committed numbers CI reproduces.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from record import record, table
from scipy import stats

import aimc
from aimc import data, evaluation, formats, models, training
from aimc.data import Data, Split
from aimc.figures import write_page
from aimc.spec import CrossbarSpec, crossbar

DOCS = Path(__file__).parents[1] / "docs"
PAGES: Path | None = None  # where figures are drawn, if at all
LEVELS = (0.02, 0.05, 0.1)
DECIBELS = (15, 10, 5)
BITS = (6, 5, 4)
DAY = 86400.0
PLAIN: dict[str, Any] = {"dac_bits": None, "adc_bits": None}
ENCODINGS = ("offset_column", "one_sided")
PLACES = (("mlp", "digits"), ("cnn", "digits"), ("lstm", "text"), ("transformer", "text"))
Specs = Mapping[str, CrossbarSpec]


def interval(values: Any) -> tuple[float, float, float]:
    """Mean, and the ends of its 90 % interval by Student's t."""
    x = np.asarray(values, np.float64)
    half = stats.t.ppf(0.95, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x))
    return float(x.mean()), float(x.mean() - half), float(x.mean() + half)


def words(values: Any, digits: int = 1) -> str:
    """Mean and interval as the page has them."""
    mean, low, high = interval(values)
    return f"{mean:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def verdict(differences: Any) -> str:
    """What a paired difference that is expected to be positive says."""
    _, low, high = interval(differences)
    return "supported" if low > 0 else "contradicted" if high < 0 else "open"


class Sizes(argparse.Namespace):
    """How much of a study is run: all of it, or what CI reproduces."""

    def __init__(self, *, is_reduced: bool, seeds: int, models: tuple[str, ...]) -> None:
        super().__init__()
        self.seeds = tuple(range(1 if is_reduced else seeds))
        self.chips = 2 if is_reduced else 5
        self.steps = {"digits": 60 if is_reduced else 1200, "text": 300}
        self.rows = {"digits": 1 << 20, "text": 64}
        self.levels = LEVELS[-1:] if is_reduced else LEVELS
        self.decibels = DECIBELS[1:2] if is_reduced else DECIBELS
        self.bits = BITS[-1:] if is_reduced else BITS
        self.formats = ("float32", "mxfp4") if is_reduced else tuple(formats.FORMATS)
        self.places = PLACES[:1] if is_reduced else tuple(place for place in PLACES if place[0] in models)


def trained(place: tuple[str, str], seed: int, sizes: Sizes, spec: CrossbarSpec | None = None) -> nnx.Module:
    """A model trained digitally or, with a spec, on arrays written anew at each step; digital weights either way."""
    name, source = place
    own = _data(source)
    key = jax.random.fold_in(jax.random.key(0), seed)
    model = models.build(name, nnx.Rngs(jax.random.fold_in(key, 1)), own)
    recipe = _recipe("digital" if spec is None else "noise_aware", source, sizes)
    if spec is None:
        return training.fit(jax.random.fold_in(key, 2), model, own, recipe)
    analog = aimc.convert(model, spec, rngs=nnx.Rngs(noise=jax.random.fold_in(key, 3)))
    return aimc.nn.to_digital(training.fit(jax.random.fold_in(key, 2), analog, own, recipe))


def _recipe(name: str, source: str, sizes: Sizes) -> training.Recipe:
    batch = {"digits": 64, "text": 32}[source]
    return replace(training.RECIPES[name], steps=sizes.steps[source], batch=batch)


@cache
def _data(name: str) -> Data:
    return data.load(name)


def test_part(place: tuple[str, str], sizes: Sizes) -> Split:
    part, n = _data(place[1]).test, sizes.rows[place[1]]
    return Split(part.x[:n], part.y[:n])


def lost(model: nnx.Module, specs: Specs, part: Split, seed: int, chips: int) -> float:
    """Percentage points of accuracy that chips lose against the digital model, mean over the chips."""
    model.eval()
    graph, state = nnx.split(model)
    keys = jax.random.split(jax.random.fold_in(jax.random.key(1), seed), chips)
    x, y = jnp.asarray(part.x), jnp.asarray(part.y)
    digital = _digital_accuracy(graph, state, x, y)
    return 100 * float(digital - _accuracy(graph, state, dict(specs), keys, x, y).mean())


@partial(jax.jit, static_argnums=0)
def _digital_accuracy(graph: Any, state: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    return _right(nnx.merge(graph, state), x, y)


@partial(jax.jit, static_argnums=0)
def _accuracy(graph: Any, state: Any, specs: dict, keys: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    """Of every chip: levels are traced, so that all of them share one program."""

    def chip(key: jax.Array) -> jax.Array:
        write_key, read_key = jax.random.split(key)
        model = aimc.convert(nnx.merge(graph, state), specs.get, rngs=nnx.Rngs(noise=read_key))
        aimc.deploy(write_key, model)
        return _right(model, x, y)

    return jax.lax.map(chip, keys)


def _right(model: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.mean(jnp.argmax(model(x), axis=-1) == y)


def specs_of(model: nnx.Module, spec: CrossbarSpec, part: Split, **ranges: Any) -> dict[str, CrossbarSpec]:
    """The same array for every layer, by path, with ranges calibrated on some data if asked for."""
    analog = aimc.convert(model, spec)
    if ranges:
        aimc.nn.calibrate(analog, [jnp.asarray(part.x)], **ranges)
    return {path: layer.ranged_spec for path, layer in aimc.nn.analog_layers(analog)}


def at_snr(model: nnx.Module, field: str, target: float, part: Split) -> dict[str, CrossbarSpec]:
    """An array for every layer whose only error has the size that leaves `target` dB of its output."""
    trial = aimc.convert(model, crossbar(**PLAIN, **{field: 0.1}))
    rows = aimc.nn.report(trial, [jnp.asarray(part.x)])
    return {row.path: crossbar(**PLAIN, **{field: 0.1 * 10 ** ((row.snr_db - target) / 20)}) for row in rows}


def noise(sizes: Sizes) -> list[dict[str, Any]]:
    """Question 1: one error at a time, at the same size in the array's units, and at the same signal over noise."""
    found = []
    for place in sizes.places:
        for seed in sizes.seeds:
            model, part = trained(place, seed, sizes), test_part(place, sizes)
            show = _shown(place, sizes)
            for level in sizes.levels:
                for field in ("read_noise", "output_noise"):
                    specs = specs_of(model, crossbar(**PLAIN, **{field: level}), show)
                    found.append(_row(place, seed, f"{field} {level:g}", lost(model, specs, part, seed, sizes.chips)))
            for target in sizes.decibels:
                for field in ("write_noise", "output_noise"):
                    specs = at_snr(model, field, target, show)
                    found.append(_row(place, seed, f"{field} {target} dB", lost(model, specs, part, seed, sizes.chips)))
    return found


def noise_table(found: list[dict[str, Any]]) -> str:
    pairs = [(f"σ = {level:g}", f"read_noise {level:g}", f"output_noise {level:g}") for level in LEVELS]
    pairs += [(f"{target} dB", f"output_noise {target} dB", f"write_noise {target} dB") for target in DECIBELS]
    return _compared(found, pairs, ("expected to cost more", "to cost less"))


def mapping(sizes: Sizes) -> list[dict[str, Any]]:
    """Question 2: pairs against offset cells, for errors as written and for coarse converters."""
    found = []
    for place in sizes.places:
        for seed in sizes.seeds:
            model, part, show = trained(place, seed, sizes), test_part(place, sizes), _shown(place, sizes)
            for encoding in ENCODINGS:
                layout = aimc.Mapping(encoding)
                for level in sizes.levels:
                    specs = specs_of(model, crossbar(**PLAIN, write_noise=level, mapping=layout), show)
                    case = f"{encoding} write_noise {level:g}"
                    found.append(_row(place, seed, case, lost(model, specs, part, seed, sizes.chips)))
                for bits in sizes.bits:
                    spec = crossbar(dac_bits=None, adc_bits=bits, mapping=layout)
                    specs = specs_of(model, spec, show, inputs=None, outputs="max")
                    found.append(_row(place, seed, f"{encoding} {bits} bits", lost(model, specs, part, seed, 1)))
    return found


def mapping_table(found: list[dict[str, Any]]) -> str:
    cases = [f"write_noise {level:g}" for level in LEVELS] + [f"{bits} bits" for bits in BITS]
    pairs = [(case, f"{ENCODINGS[0]} {case}", f"{ENCODINGS[1]} {case}") for case in cases]
    return _compared(found, pairs, ("offset", "pair"))


def recurrent(sizes: Sizes) -> list[dict[str, Any]]:
    """Question 4: the same noise in an LSTM's layers and a CNN's, both on the digits."""
    found = []
    for place in (("cnn", "digits"), ("lstm", "digits")):
        for seed in sizes.seeds:
            model, part, show = trained(place, seed, sizes), test_part(place, sizes), _shown(place, sizes)
            for target in sizes.decibels:
                specs = at_snr(model, "output_noise", target, show)
                value = lost(model, specs, part, seed, sizes.chips)
                found.append(_row(("both", "digits"), seed, f"{place[0]} {target} dB", value))
    return found


def recurrent_table(found: list[dict[str, Any]]) -> str:
    return _compared(found, [(f"{t} dB", f"cnn {t} dB", f"lstm {t} dB") for t in DECIBELS], ("CNN", "LSTM"))


def formats_(sizes: Sizes) -> list[dict[str, Any]]:
    """Test accuracy of every model in every format: of weights trained in float32, and of weights trained in it."""
    found = []
    for place in sizes.places:
        part = test_part(place, sizes)
        for seed in sizes.seeds:
            model = trained(place, seed, sizes)
            for name in sizes.formats:
                after = formats.in_format(model, formats.FORMATS[name])
                own = model if name == "float32" else _trained_in(name, place, seed, sizes)
                row = _row(place, seed, name, accuracy(after, part))
                found.append(row | {"trained_in": accuracy(own, part)})
                print(found[-1], flush=True)
    return found


def _trained_in(name: str, place: tuple[str, str], seed: int, sizes: Sizes) -> nnx.Module:
    key, own = jax.random.fold_in(jax.random.key(0), seed), _data(place[1])
    model = formats.in_format(models.build(place[0], nnx.Rngs(jax.random.fold_in(key, 1)), own), formats.FORMATS[name])
    return training.fit(jax.random.fold_in(key, 2), model, own, _recipe("digital", place[1], sizes))


def accuracy(model: nnx.Module, part: Split) -> float:
    """Share of labels found, in percent."""
    model.eval()
    graph, state = nnx.split(model)
    return round(100 * float(_digital_accuracy(graph, state, jnp.asarray(part.x), jnp.asarray(part.y))), 3)


def formats_table(found: list[dict[str, Any]]) -> str:
    places = list(dict.fromkeys((row["model"], row["data"]) for row in found))
    rows = []
    for name in dict.fromkeys(row["case"] for row in found):
        cells = []
        for place in places:
            own = [r for r in found if (r["model"], r["data"], r["case"]) == (*place, name)]
            cells += [words([r[kind] for r in own]) for kind in ("value", "trained_in")]
        rows.append((name, *cells))
    header = [f"{model}, {kind}" for model, _ in places for kind in ("rounded after", "trained in it")]
    return table(("format", *header), rows)


def drift(sizes: Sizes) -> list[dict[str, Any]]:
    """Question 3: a day after writing, one gain a layer, weights trained digitally or on the fresh array."""
    spec, found = aimc.presets.pcm_hermes(), []
    for place in sizes.places:
        part = test_part(place, sizes)
        for seed in sizes.seeds:
            for arm, trained_on in (("digital", None), ("noise-aware", spec)):
                model = trained(place, seed, sizes, trained_on)
                results = evaluation.over_time(
                    jax.random.fold_in(jax.random.key(1), seed),
                    aimc.convert(model, spec),
                    part,
                    times=(DAY,),
                    chips=sizes.chips,
                    compensation=("layer",),
                )
                value = accuracy(model, part) - 100 * float(results["accuracy"].mean())
                row = _row(place, seed, arm, value) | {"digital_accuracy": accuracy(model, part)}
                found.append(row)
    return found


def drift_table(found: list[dict[str, Any]]) -> str:
    return _compared(found, [("a day", "digital", "noise-aware")], ("trained digitally", "noise-aware"))


def year(sizes: Sizes) -> list[dict[str, Any]]:
    """The CNN over a year on phase-change cells, trained digitally and noise-aware, drift compensated or not."""
    spec, place, found = aimc.presets.pcm_hermes(), ("cnn", "digits"), []
    for arm, trained_on in (("digital", None), ("noise-aware", spec)):
        analog = aimc.convert(trained(place, 0, sizes, trained_on), spec)
        results = evaluation.over_time(jax.random.key(1), analog, test_part(place, sizes), chips=4 * sizes.chips)
        _draw(evaluation.year_figure(results, f"CNN on HERMES, trained {arm}"), f"networks-year-{arm}")
        for row in evaluation.as_rows(results):
            kept = {name: value if isinstance(value, str) else round(float(value), 4) for name, value in row.items()}
            found.append({"model": arm, "data": "digits", "seed": 0, "case": kept["compensation"], **kept})
    return found


def year_table(found: list[dict[str, Any]]) -> str:
    rows = []
    for row in found:
        ends = [f"{100 * row[name]:.1f}" for name in ("accuracy_mean", "accuracy_low", "accuracy_high", "accuracy_p5")]
        when = evaluation.time_in_words(row["time_s"])
        rows.append((row["model"], row["case"], when, f"{ends[0]} ({ends[1]} to {ends[2]})", ends[3]))
    return table(
        ("trained", "compensation", "after", "accuracy, % (95 % interval of the mean)", "19 of 20 chips above"), rows
    )


def layers(sizes: Sizes) -> list[dict[str, Any]]:
    """Which layer's programming error hurts the CNN, each alone and as Sobol indices."""
    place = ("cnn", "digits")
    analog = aimc.convert(trained(place, 0, sizes), aimc.presets.pcm_hermes())
    results = evaluation.sensitivity(
        jax.random.key(1), analog, test_part(place, sizes),
        fields=["device.programming_std"], upto=3.0, samples=64, chips=4 * sizes.chips,
    )  # fmt: skip
    _draw(evaluation.sensitivity_figure(results), "networks-layers")
    found = []
    for layer in results["layer"].values:
        at = results.sel(layer=layer, metric="loss")
        row = {"model": str(layer), "data": "digits", "seed": 0, "case": "loss"}
        found.append(row | {str(name): round(float(at[name]), 4) for name in at.data_vars if at[name].ndim == 0})
    return found


def layers_table(found: list[dict[str, Any]]) -> str:
    cells = [[row["model"], *(f"{row[name]:.2f}" for name in ("alone", "first", "total"))] for row in found]
    return table(("layer", "alone, nats", "share of the variance", "with interactions"), cells)


def _draw(figure: Any, name: str) -> None:
    if PAGES is not None:
        write_page(figure, PAGES / f"{name}.html")


def _shown(place: tuple[str, str], sizes: Sizes) -> Split:
    """Training data that ranges and errors are set by."""
    part = _data(place[1]).train
    n = min(256, sizes.rows[place[1]])
    return Split(part.x[:n], part.y[:n])


def _row(place: tuple[str, str], seed: int, case: str, value: float) -> dict[str, Any]:
    row = {"model": place[0], "data": place[1], "seed": seed, "case": case, "value": round(value, 3)}
    print(row, flush=True)
    return row


def _compared(found: list[dict[str, Any]], pairs: list[tuple[str, str, str]], names: tuple[str, str]) -> str:
    """A row a place and a pair of cases: what either loses, their difference within seeds, what that says."""
    rows = []
    for place in dict.fromkeys((row["model"], row["data"]) for row in found):
        for case, *cases in pairs:
            first, second = (
                [row["value"] for row in found if (row["model"], row["data"], row["case"]) == (*place, one)]
                for one in cases
            )
            if not first:  # a reduced run has fewer cases
                continue
            differences = np.subtract(first, second)
            rows.append((", ".join(place), case, words(first), words(second), words(differences), verdict(differences)))
    return table(("model, data", "at", *names, "difference", "expectation"), rows)


STUDIES: dict[str, tuple[Callable, Callable]] = {
    "noise": (noise, noise_table),
    "mapping": (mapping, mapping_table),
    "drift": (drift, drift_table),
    "recurrent": (recurrent, recurrent_table),
    "formats": (formats_, formats_table),
    "year": (year, year_table),
    "layers": (layers, layers_table),
}


def read(name: str) -> list[dict[str, Any]]:
    """The numbers that are kept; none before the first time."""
    path = DOCS / f"networks-{name}.json"
    return json.loads(path.read_text()) if path.exists() else []


def write(name: str, found: Any) -> None:
    """One row a line, so that a change shows as a line."""
    text = "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in found) + "\n]\n"
    (DOCS / f"networks-{name}.json").write_text(text)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("study", choices=STUDIES)
    arguments.add_argument("--reduced", action="store_true", help="one seed of an MLP, few steps, no table")
    arguments.add_argument(
        "--models", nargs="+", default=[place[0] for place in PLACES], help="only these; kept numbers of others stay"
    )
    arguments.add_argument("--seeds", type=int, default=5, help="training runs of each kind (default: 5)")
    arguments.add_argument("--write", action="store_true", help="keep the numbers in docs/ and the table in RESULTS.md")
    arguments.add_argument("--pages", type=Path, help="folder for the figures of year and layers")
    options = arguments.parse_args()
    global PAGES
    PAGES = options.pages
    run, show = STUDIES[options.study]
    start = time.process_time()
    name = options.study + ("-reduced" if options.reduced else "")
    found = run(Sizes(is_reduced=options.reduced, seeds=options.seeds, models=tuple(options.models)))
    if options.write:
        fresh = {row["model"] for row in found}
        found = [row for row in read(name) if row["model"] not in fresh] + found
        write(name, found)
    if not options.reduced:
        text = f"{show(found)}\n\n{time.process_time() - start:.0f} s of CPU."
        record(f"Networks on arrays: {options.study}", text, write=options.write)


if __name__ == "__main__":
    main()
