"""The main job: train, sample and solve on simulated analog hardware, then price a unit of each beside a GPU.

    python examples/demo.py --out out [--reduced] [--seed 0]

Writes OUT/report.html (one self-contained page), OUT/results.json, OUT/digits-*.zarr (the noise sweep, opens with
xarray) and the two formulas. About a minute on two CPU cores; `--reduced` does less and proves less.
"""

import argparse
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import jax
import numpy as np
from rich.console import Console

import ebm
import ebm.run
from aimc import digits
from cost_bridge import evaluate, results, workloads
from cost_bridge.cli import check_seed, run
from cost_bridge.report import Section, write_page
from cost_bridge.table import show
from ebm.data import digits as binary_digits
from ebm.samplers import gibbs
from hnn_sat import Schedule, from_dimacs, random_ksat, solve, to_dimacs, unsatisfiable_ksat, violated_clauses
from hnn_sat import model as sat_model

console = Console()


def classify(key, settings, out):
    """(a) The digits network, digital and trained on noisy arrays, over read noise × ADC resolution × seeds."""
    import plotly.graph_objects as go

    read_noise = [0.0, 0.05, 0.1, 0.15] if settings.reduced else [round(0.02 * i, 2) for i in range(10)]
    bits, n_seeds = ([4, 8], 2) if settings.reduced else ([4, 6, 8], 5)
    aware = digits.NOISE_AWARE._replace(epochs=30 if settings.reduced else digits.NOISE_AWARE.epochs)
    name = f"digits-{version('barrierless')}-seed{settings.seed}{'-reduced' if settings.reduced else ''}.zarr"
    key, digital_key = jax.random.split(key)
    sweep = digits.noise_sweep(
        key, read_noise=read_noise, adc_bits=bits, n_seeds=n_seeds, seed=settings.seed, train_noise=0.1, aware=aware,
        store=out / name,
    )  # fmt: skip
    data = digits.load()

    @jax.jit
    @jax.vmap
    def train_and_test(key):
        return digits.accuracy(key, digits.train(key, data.development), data.test)

    digital = np.asarray(train_and_test(jax.random.split(digital_key, n_seeds)))
    figure = go.Figure()
    shades = {
        "digital_weights": ("#c2410c", "trained digitally"),
        "noise_aware_weights": ("#1d4ed8", "trained on noisy arrays"),
    }
    for metric, (colour, label) in shades.items():
        for b, dash in zip(bits, ("dot", "dash", "solid")[-len(bits) :], strict=True):
            cell = 100 * sweep[metric].sel(adc_bits=b)
            figure.add_scatter(
                x=read_noise, y=cell.mean("seed"), name=f"{label}, {b}-bit ADC",
                line={"color": colour, "dash": dash}, error_y={"array": cell.std("seed"), "thickness": 1},
            )  # fmt: skip
    figure.add_hline(y=100 * digital.mean(), line={"color": "#555", "width": 1}, annotation_text="digital, no array")
    figure.update_layout(
        xaxis_title="read noise of a cell, as a fraction of its largest conductance", yaxis_title="test accuracy, %"
    )
    priced = {"the ReRAM array": "reram", "the capacitor array": "capacitor"}
    learned = []
    for label, chip in priced.items():
        spec = replace(workloads.GEOMETRY[chip], backward="array")

        @jax.jit
        @jax.vmap
        def train_on_chip(key, spec=spec):
            train_key, chip_key = jax.random.split(key)
            parameters = digits.train(train_key, data.development, aware, spec)
            return digits.accuracy(chip_key, parameters, data.test, spec)

        trained = np.asarray(train_on_chip(jax.random.split(jax.random.fold_in(digital_key, 1), min(n_seeds, 3))))
        learned.append(f"{label}, {100 * trained.mean():.1f} %")
    at = {"read_noise": 0.1, "adc_bits": 8}
    hurt, recovered = (float(sweep[m].sel(at, method="nearest").mean()) for m in shades)
    text = (
        f"A 64-128-128-10 network on the 360 test digits. Digitally it is right on {100 * digital.mean():.1f} %. "
        "Put on arrays with 10 % read noise (and 5 % programming error, 8-bit converters) "
        f"it falls to {100 * hurt:.1f} %; "
        f"trained on such arrays instead, forward and backward, it reaches {100 * recovered:.1f} %. "
        f"Every point is the mean of {n_seeds} training runs, each with its own chip; "
        "bars are their standard deviation.\n\nTrained and tested on simulations of the arrays that are priced here: "
        + "; ".join(learned)
        + "."
    )
    console.print(f"[bold]digits[/]  {text}")
    return Section("Does it still learn? Digits on noisy arrays", text, figure)


def model(settings):
    """(b) A Bernoulli RBM by persistent contrastive divergence, with its exact test log-likelihood."""
    import plotly.graph_objects as go

    chosen = ebm.run.Settings(seed=settings.seed + 1, steps=1000 if settings.reduced else ebm.run.Settings().steps)
    data = binary_digits()
    state = ebm.run.fit(chosen, data.train)
    test = ebm.log_likelihood(state.params, data.test)
    chains = gibbs.sweeps(jax.random.key(settings.seed), state.params, state.memory, 200)
    rows = [np.asarray(chains.visible[:20]), data.test[:20]]
    image = np.concatenate([np.pad(r.reshape(2, 10, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=0.5)
                            .transpose(0, 2, 1, 3).reshape(20, 100) for r in rows])  # fmt: skip
    figure = go.Figure(go.Heatmap(z=image[::-1], colorscale="Greys", showscale=False, hoverinfo="skip"))
    figure.update_layout(xaxis={"visible": False}, yaxis={"visible": False, "scaleanchor": "x"})
    text = (
        f"An RBM with {chosen.hidden} hidden units, trained for {chosen.steps:,} PCD-{chosen.gibbs_steps} steps "
        "on binarised digits: "
        f"exact test log-likelihood {test.mean():.2f} ± {test.std(ddof=1) / len(test) ** 0.5:.2f} nats an image, "
        f"by summing over all {2**chosen.hidden:,} hidden states; nothing is estimated. "
        "Upper two rows: samples after 200 more Gibbs sweeps; lower two: test images."
    )
    console.print(f"[bold]RBM[/]     {text}")
    return Section("An energy-based model with a likelihood one can trust", text, figure)


def written(problem, path):
    """Write the formula as a DIMACS file and read it back, so that the file is what is solved."""
    path.unlink(missing_ok=True)
    to_dimacs(problem, path)
    return from_dimacs(path)


def satisfy(key, settings, out):
    """(c) A satisfiable 3-SAT formula solved and timed, and an honest answer on an unsatisfiable one."""
    import plotly.graph_objects as go

    n = 100 if settings.reduced else 250
    limit_s = 10.0 if settings.reduced else 40.0
    file_key, hard_key, search_key, give_up_key = jax.random.split(key, 4)
    for attempt in range(10):  # a random formula at this ratio may have no solution: take the first that is solved
        problem = written(random_ksat(jax.random.fold_in(file_key, attempt), n, 4.2), out / "satisfiable.cnf")
        search = workloads.measured_sat_run(search_key, problem, time_limit_s=limit_s)
        if search.its.n_solved > len(search.solved) // 2:
            break
    else:
        raise ValueError(f"none of 10 random formulas was solved in {limit_s:g} s each; try another --seed")
    result = solve(search_key, problem, Schedule())
    if violated := violated_clauses(problem, sat_model(problem, np.asarray(result.assignment))):
        raise RuntimeError(f"the model violates {len(violated)} clauses: this is a defect, please report it")
    impossible = written(unsatisfiable_ksat(hard_key, 50, 4.2), out / "unsatisfiable.cnf")
    gave_up = solve(give_up_key, impossible, Schedule(max_flips=20_000), time_limit_s=5.0)
    flips = np.sort([f for f, done in zip(search.n_flips, search.solved, strict=True) if done])
    share = np.arange(1, flips.size + 1) / len(search.n_flips)
    grid = np.geomspace(max(flips[0], 1), 2 * flips[-1], 200)
    figure = go.Figure()
    figure.add_scatter(x=flips, y=share, name="measured", mode="lines", line={"shape": "hv", "color": "#1d4ed8"})
    figure.add_scatter(
        x=grid, y=1 - np.exp(-grid / search.its.mean), name="exponential law", line={"color": "#555", "dash": "dot"}
    )
    figure.update_layout(
        xaxis={"title": "flips of one replica", "type": "log"},
        yaxis={"title": "share of replicas that found a solution"},
    )
    text = (
        f"Random formulas are drawn until one is solved; satisfiable.cnf ({problem.n_variables} variables, "
        f"{problem.n_clauses} clauses): solved, and the model "
        f"checked clause by clause. {search.its.n_solved} of {search.its.n_runs} replicas found a solution; 99 "
        "% probability takes "
        f"{search.its.value:,.0f} flips (90 % interval {search.its.low:,.0f} to {search.its.high:,.0f}). "
        f"unsatisfiable.cnf (50 variables): no solution in {int(gave_up.n_flips.sum()):,} flips, the best assignment "
        f"met violates {int(gave_up.n_unsatisfied.min())}; a search cannot prove that there is none, "
        "so the answer is UNKNOWN. The search ran digitally, WalkSAT over the network's native clauses; what the table "
        "prices on arrays are its two products."
    )
    console.print(f"[bold]3-SAT[/]   {text}")
    return problem, search, Section("A higher-order Hopfield network on 3-SAT", text, figure)


def main(arguments):
    """Run the job and write its files."""
    parser = argparse.ArgumentParser(
        prog="demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the page and the numbers")
    parser.add_argument("--reduced", action="store_true", help="smaller and shorter, for a quick check")
    parser.add_argument("--seed", type=int, default=0, help="root of all randomness")
    settings = parser.parse_args(arguments)
    check_seed(settings.seed)
    settings.out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    classify_key, satisfy_key = jax.random.split(jax.random.key(settings.seed))

    console.print(
        f"Running on {jax.devices()[0].device_kind}. Seven parts: digits, RBM, 3-SAT, two timings, prices, page."
    )
    sections = [classify(classify_key, settings, settings.out), model(settings)]
    problem, search, section = satisfy(satisfy_key, settings, settings.out)
    sections.append(section)
    found = [evaluate(unit, seed=settings.seed) for unit in workloads.headline(problem, search)]
    compared = results.assemble(found, results.provenance(settings.seed) | {"reduced": settings.reduced})
    results.write(compared, settings.out / "results.json", replace=True)
    write_page(compared, settings.out / "report.html", sections=sections, replace=True)
    show(compared)
    console.print(
        f"Wrote {settings.out / 'report.html'} and {settings.out / 'results.json'} "
        f"in {time.monotonic() - started:.0f} s."
    )


if __name__ == "__main__":
    run(main, "demo")
