"""Energy-based models on noisy arrays, and what their samples cost: the runs behind the results of docs/ebm.md.

    python benchmarks/ebm_study.py {noise,mismatch,law,bound,scaling,couplings,cost} [--write] [--page FILE]

noise: RBM(16) on the digits, exact test log-likelihood, β_eff and τ_int of chips against read noise, programming error
and bits, trained ideally and in the loop. mismatch: the same where a chip keeps its errors. law: how far that
likelihood is from the one of the chip's own stationary law, where the law can be summed. bound: the same on the
digits, from below. scaling: likelihood against hidden units and against rows of training data.
couplings: what trained RBMs say of the couplings that their data were made with. cost: joules of an effective sample.
Each writes docs/ebm-<name>.json; the page's PNGs are a browser's pictures of what --page draws.
"""

import argparse
import json
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from record import record, table
from scipy import stats

from aimc.counts import Counts, tiles
from aimc.noise import HASH
from cost_bridge import sampling
from cost_bridge.workloads import GEOMETRY
from ebm import (
    analog,
    chip_law,
    counts,
    diagnostics,
    exact,
    hardware,
    interpret,
    planted,
    rules,
    settings,
    train,
    trust,
)
from ebm import cost as costs
from ebm import sweep as study
from ebm.data import digits, validation
from ebm.energies.rbm import Rbm
from ebm.figures import ARM_WORDS
from ebm.hardware import Hardware
from ebm.likelihood import log_likelihood
from ebm.samplers import gibbs

DOCS = Path(__file__).parents[1] / "docs"
ADC_RANGE = 8.0  # in fully-on cells: above the largest sum that the trained model's own samples make
AXES: dict[str, tuple] = {  # one error at a time, all others absent
    "read_noise": (0.0, 0.02, 0.05, 0.1, 0.2),
    "write_noise": (0.01, 0.02, 0.05, 0.1),
    "weight_bits": (2, 3, 4, 6, 8),
    "adc_bits": (3, 4, 6, 8),
}
NOTHING: dict[str, tuple] = {"read_noise": (0.0,), "write_noise": (0.0,), "weight_bits": (24,), "adc_bits": (24,)}
CHIPS = 4
TRAINING = study.Training(steps=600)
SAMPLING = study.Sampling(chains=256, burn_in=300, sweeps=2000)
SEEDS = (0, 1, 2, 3)
HIDDEN = (2, 4, 8, 12, 16)
ROWS = (90, 180, 360, 720, 1437)
STEPS, LOOP_STEPS = 3000, 1000
ALL_ERRORS = Hardware(
    array="plain", read_noise=0.05, write_noise=0.05, weight_bits=6, adc_bits=6, adc_range=ADC_RANGE
)  # the chip of the scaling curves
LOOK = trust.Effort(chains=512, burn_in=200, sweeps=2)
LAW_AXES: dict[str, tuple] = {"read_noise": (0.05, 0.1, 0.2, 0.4), "adc_bits": (3, 4, 6, 8)}
BOUNDED: tuple[tuple[str, Any], ...] = (("read_noise", 0.2), ("adc_bits", 3), ("adc_bits", 4))
LAW_EFFORT = trust.Effort(chains=20_000, burn_in=100, sweeps=2)
PLANTED_ROWS = 8192
ARRAYS = {"reram": "reram_neurram", "capacitor": "capacitor"}  # priced chip: its preset
MIXING = trust.Effort(chains=64, burn_in=500, sweeps=4000)
GPU_CHAINS = 65_536  # at once, so that launching and loading are shared by many


def interval(values: Any) -> tuple[float, float, float]:
    """Mean, and the ends of its 90 % interval by Student's t."""
    x = np.asarray(values, np.float64)
    half = stats.t.ppf(0.95, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x))
    return float(x.mean()), float(x.mean() - half), float(x.mean() + half)


def words(values: Any, digits: int = 2) -> str:
    """Mean and interval as the page has them."""
    mean, low, high = interval(values)
    return f"{mean:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def noise() -> tuple[str, list]:
    """Both arms over one error at a time; `study.noise_sweep` says what the likelihood is."""
    data = digits()
    state = settings.fit(settings.Settings(), data.train)
    ideal = float(log_likelihood(state.params, data.test).mean())
    scale = float(jnp.max(jnp.abs(state.params.weights)))
    largest = float(jnp.max(jnp.abs(jnp.asarray(data.train) @ state.params.weights))) / scale
    print(
        f"ideal {ideal:.3f} nats, largest weight {scale:.2f}, largest sum of the data {largest:.1f} cells", flush=True
    )
    found: list[dict[str, Any]] = [{"axis": "none", "level": 0, "arm": "ideal", "log_likelihood": [ideal]}]
    found[0] |= {"largest_weight": scale, "largest_sum": largest}
    for axis, levels in AXES.items():
        grid: dict[str, Any] = NOTHING | {axis: levels}
        results = study.noise_sweep(
            state.params, data.train, data.test, **grid, chips=CHIPS, seed=0, adc_range=ADC_RANGE,
            training=TRAINING, sampling=SAMPLING, progress=lambda done, total: print(done, total, flush=True),
        )  # fmt: skip
        for level in levels:
            at = results.sel({name: level if name == axis else grid[name][0] for name in AXES}, method="nearest")
            for arm in study.ARMS:
                row: dict[str, Any] = {"axis": axis, "level": level, "arm": arm}
                row |= {name: _rounded(at[f"{arm}_{name}"].values) for name in study.METRICS}
                found.append(row)
                print(row, flush=True)
        write("noise", found)
    return noise_table(found), found


def noise_table(found: list) -> str:
    rows = []
    for axis, level in dict.fromkeys((row["axis"], row["level"]) for row in found[1:]):
        cells = []
        for arm in study.ARMS:
            row = next(r for r in found[1:] if (r["axis"], r["level"], r["arm"]) == (axis, level, arm))
            cells += [words(row["log_likelihood"]), f"{fmean(row['beta_eff']):.3f}", _tau(row)]
        rows.append((axis.replace("_", " "), f"{level:g}", *cells))
    header = ("error", "level", "trained ideally, nats", "β", "τ", "in the loop, nats", "β", "τ")
    return table(header, rows)


def _tau(row: dict[str, Any]) -> str:
    if all(value is not None for value in row["tau_int"]):
        return f"{fmean(row['tau_int']):.0f}"
    return f"≥ {fmean(row['tau_int_at_least']):.0f}"


def _rounded(values: Any) -> list[float | None]:
    return [round(float(value), 4) if np.isfinite(value) else None for value in values]


def bound() -> tuple[str, list]:
    """The own law of the chips of `noise` on the digits, from below, where the nearest machine could mislead.

    `chip_law.log_likelihood` of the test rows, from 256 chains of 1,000 sweeps; one chip and one loop a level.
    """
    data = digits()
    params = settings.fit(settings.Settings(), data.train).params
    found: list[dict[str, Any]] = []
    for axis, level in BOUNDED:
        chosen = Hardware(array="plain", adc_range=ADC_RANGE, **{axis: level})
        plan = settings.Settings(steps=TRAINING.steps, learning_rate=TRAINING.learning_rate, weight_decay=0.0,
                                 hardware=chosen)  # fmt: skip
        rule, optimizer = settings.learning_rule(plan), settings.optimizer(plan)
        state = train.fit(jax.random.key(1), params, data.train, rule=rule, optimizer=optimizer, steps=plan.steps)
        row: dict[str, Any] = {"axis": axis, "level": level}
        for arm, learnt in zip(study.ARMS, (params, state.params), strict=True):
            start_key, burn_key, law_key = jax.random.split(jax.random.key(2), 3)
            chip: Any = hardware.machine(jax.random.key(3), learnt, chosen)
            chains = gibbs.init(start_key, chip, SAMPLING.chains)
            chains = jax.jit(gibbs.sweeps, static_argnums=3)(burn_key, chip, chains, SAMPLING.burn_in)
            own = chip_law.log_likelihood(law_key, chip, data.test, chains, 1000)
            row |= {f"{arm}_lower": own.lower, f"{arm}_error": own.error, f"{arm}_rise": own.rise}
            row[f"{arm}_nearest"] = chip_likelihood(jax.random.key(4), learnt, data.test, chosen)
        found.append(row)
        print(row, flush=True)
    return bound_table(found), found


def bound_table(found: list) -> str:
    rows = []
    for row in found:
        cells = []
        for arm in study.ARMS:
            lower, error, rise = (row[f"{arm}_{what}"] for what in ("lower", "error", "rise"))
            cells += [f"{lower:.2f} ± {error:.2f}, rising {rise:.2f}", f"{row[f'{arm}_nearest']:.2f}"]
        rows.append((row["axis"].replace("_", " "), f"{row['level']:g}", *cells))
    header = (
        "error",
        "level",
        "trained ideally: own law, at least",
        "nearest",
        "in the loop: own law, at least",
        "nearest",
    )
    return table(header, rows)


def scaling() -> tuple[str, list]:
    """Likelihood of the test rows, of the states that are best on every fifth row of what is learnt from."""
    found = []
    for axis, points in (("hidden", [(h, ROWS[-1]) for h in HIDDEN]), ("rows", [(HIDDEN[-1], n) for n in ROWS])):
        for hidden, n in points:
            known = next((r for r in found if (r["hidden"], r["rows"]) == (hidden, n)), None)
            values = known or {"hidden": hidden, "rows": n} | _seeds(hidden, n)
            found.append(values | {"axis": axis})
            print(found[-1], flush=True)
            write("scaling", found)
    return scaling_table(found), found


def scaling_table(found: list) -> str:
    rows = [
        (row["axis"], row["hidden"], f"{row['rows']:,}", *(words(row[arm]) for arm in ("ideal", *study.ARMS)))
        for row in found
    ]
    header = ("against", "hidden units", "rows", "ideal machine, nats", "on the chip, trained ideally",
              "on the chip, in the loop")  # fmt: skip
    return table(header, rows)


def _seeds(hidden: int, n: int) -> dict[str, list[float]]:
    all_seeds = [_arms(seed, hidden, n) for seed in SEEDS]
    return {arm: [round(values[arm], 4) for values in all_seeds] for arm in all_seeds[0]}


def _arms(seed: int, hidden: int, n: int) -> dict[str, float]:
    """One seed: rows, model, chip and chains are drawn anew. A state is chosen by validation rows, 0 steps included."""
    data = digits()
    chosen = np.random.default_rng(seed).permutation(len(data.train))[:n]
    parts = validation(data.train[chosen])
    start_key, fit_key, loop_key, look_key, chip_key = jax.random.split(jax.random.key(seed), 5)
    plan = settings.Settings(hidden=hidden, batch=64, steps=STEPS)
    params = settings.new_params(replace(plan, seed=int(jax.random.bits(start_key) >> 1)), parts.train)

    def ideal_look(state: Any) -> float:
        return float(log_likelihood(state.params, parts.test).mean())

    def chip_look(state: Any) -> float:
        return chip_likelihood(look_key, state.params, parts.test)

    params = _best(fit_key, params, plan, parts.train, ideal_look)
    loop_plan = replace(plan, steps=LOOP_STEPS, learning_rate=0.01, hardware=ALL_ERRORS)
    looped = _best(loop_key, params, loop_plan, parts.train, chip_look)
    return {
        "ideal": float(log_likelihood(params, data.test).mean()),
        "ideal_trained": chip_likelihood(chip_key, params, data.test),
        "in_the_loop": chip_likelihood(chip_key, looped, data.test),
    }


def _best(key: Any, params: Any, plan: settings.Settings, rows: np.ndarray, look: Any) -> Any:
    """Parameters of the look with the highest validation likelihood, of about ten."""
    rule, optimizer = settings.learning_rule(plan), settings.optimizer(plan)
    state = train.init(key, params, rows, rule=rule, optimizer=optimizer)
    best = [(look(state), state.params)]

    def after_chunk(state: train.TrainState, _: train.Info) -> None:
        best.append((look(state), state.params))

    train.fit(key, params, rows, rule=rule, optimizer=optimizer, steps=plan.steps, batch=plan.batch,
              chunk=250, state=state, after_chunk=after_chunk)  # fmt: skip
    return max(best, key=lambda pair: pair[0])[1]


@partial(jax.jit, static_argnames=("chosen", "effort"))
def _on_chip(key: Any, params: Rbm, chosen: Hardware, effort: trust.Effort) -> tuple:
    program_key, start_key, sweep_key = jax.random.split(key, 3)
    chip = hardware.machine(program_key, params, chosen)
    chains = gibbs.sweeps(sweep_key, chip, gibbs.init(start_key, chip, effort.chains), effort.burn_in)
    return hardware.written_params(chip), chains


def chip_likelihood(
    key: Any,
    params: Rbm,
    rows: np.ndarray,
    chosen: Hardware = ALL_ERRORS,
    effort: trust.Effort = LOOK,
    p: np.ndarray | None = None,
) -> float:
    """Exact mean log-likelihood, over rows or by `p` of them, of the Boltzmann machine nearest to a chip, as
    `ebm evaluate` has it."""
    written, chains = _on_chip(key, params, chosen, effort)
    beta = trust.effective_beta(chains, written).value
    return float(np.average(log_likelihood(written.tempered(beta), rows), weights=p))


def mismatch() -> tuple[str, list]:
    """Programming error that belongs to the cell: the same at every write of a chip, so that a loop can learn it.

    Both arms as in `noise`, but the chip of the loop is one chip from the first step to the test.
    """
    data = digits()
    params = settings.fit(settings.Settings(), data.train).params
    rows = jnp.asarray(data.train, jnp.float32)
    optimizer = optax.adam(optax.cosine_decay_schedule(TRAINING.learning_rate, TRAINING.steps))

    @jax.jit
    def point(key: Any, level: Any) -> list:
        chip_key, train_key, start_key, sweep_key = jax.random.split(key, 4)
        spec = hardware.noisy(0.0, level, None, ADC_RANGE)

        def machine(_: Any, asked: Any) -> analog.Chip:
            return analog.program(chip_key, asked, spec)

        rule = rules.Contrastive(chains=TRAINING.chains, gibbs_steps=TRAINING.gibbs_steps, machine=machine)
        state = train.init(train_key, params, rows, rule=rule, optimizer=optimizer)
        state, _ = train.advance(
            state, rows, n_steps=TRAINING.steps, rule=rule, optimizer=optimizer, batch=TRAINING.batch
        )
        found = []
        for learnt in (params, state.params):
            chip = machine(None, learnt)
            chains = gibbs.sweeps(sweep_key, chip, gibbs.init(start_key, chip, LOOK.chains), SAMPLING.burn_in)
            found.append((hardware.written_params(chip), chains))
        return found

    found: list[dict[str, Any]] = []
    for level in AXES["write_noise"]:
        row: dict[str, Any] = {"axis": "write_noise", "level": level, **{arm: [] for arm in study.ARMS}}
        for chip in range(CHIPS):
            for arm, (written, chains) in zip(study.ARMS, point(jax.random.key(chip), level), strict=True):
                beta = trust.effective_beta(chains, written).value
                value = log_likelihood(written.tempered(beta), data.test).mean()
                row[arm].append(round(float(value), 4))
        found.append(row)
        print(row, flush=True)
    return mismatch_table(found), found


def mismatch_table(found: list) -> str:
    rows = [(f"{row['level']:g}", *(words(row[arm]) for arm in study.ARMS)) for row in found]
    return table(("error of a cell, of g_max", "trained ideally, nats", "in the loop, on the very chip"), rows)


def law() -> tuple[str, list]:
    """Nats a row that a machine assigns to an endless test set of a planted machine, where its own law can be summed.

    Chips of 9 visible and 8 hidden units. *Own law*: the stationary law of the chain that the chip runs, from exact
    transition probabilities of its noisy reads or rounded sums. *Nearest*: the Boltzmann machine that stands for it.
    """
    truth = planted.ising(3, seed=0)
    p = np.exp(planted.log_law(truth))
    rows = planted.rows(truth, seed=10, n_train=PLANTED_ROWS, n_test=1).train
    plan = settings.Settings(hidden=8, steps=3000, weight_decay=0.0)
    params = settings.fit(plan, rows).params
    states = np.asarray(exact.enumerate_binary(9))
    value = float(p @ log_likelihood(params, states))
    found: list[dict[str, Any]] = [{"axis": "none", "level": 0, "truth": _entropy(p)}]
    found[0] |= {f"{arm}_{what}": value for arm in study.ARMS for what in ("own", "nearest")}
    for axis, levels in LAW_AXES.items():
        for level in levels:
            chip = Hardware(array="plain", adc_range=ADC_RANGE, **{axis: level})
            loop = replace(plan, steps=LOOP_STEPS, learning_rate=0.01, hardware=chip)
            rule, optimizer = settings.learning_rule(loop), settings.optimizer(loop)
            state = train.fit(jax.random.key(1), params, rows, rule=rule, optimizer=optimizer, steps=LOOP_STEPS)
            row: dict[str, Any] = {"axis": axis, "level": level}
            for arm, learnt in zip(study.ARMS, (params, state.params), strict=True):
                own = exact.stationary(exact.sweep_matrix(*_probabilities(learnt, chip)))
                row[f"{arm}_own"] = float(p @ np.log(own))
                row[f"{arm}_distance"], row[f"{arm}_floor"] = _distance(learnt, chip, own)
                row[f"{arm}_nearest"] = chip_likelihood(jax.random.key(0), learnt, states, chip, LAW_EFFORT, p)
            found.append(row)
    return law_table(found), found


def law_table(found: list) -> str:
    rows = [
        (row["axis"].replace("_", " "), f"{row['level']:g}",
         *(f"{row[f'{arm}_{what}']:.3f}" for arm in study.ARMS for what in ("own", "nearest")))
        for row in found
    ]  # fmt: skip
    header = ("error", "level", "trained ideally: own law, nats", "nearest", "in the loop: own law", "nearest")
    return table(header, rows)


def _distance(params: Rbm, chosen: Hardware, own: np.ndarray) -> tuple[float, float]:
    """Total variation between a law and 20,000 states sampled on the chip, and what chance alone gives."""
    _, chains = _on_chip(jax.random.key(1), params, chosen, LAW_EFFORT)
    numbers = np.asarray(chains.visible, np.int64) @ (1 << np.arange(params.n_visible))
    n, law = len(numbers), own / own.sum()
    drawn = np.random.default_rng(0).multinomial(n, law, size=20) / n
    floor = np.mean([exact.total_variation(one, law) for one in drawn])
    return exact.total_variation(np.bincount(numbers, minlength=len(law)) / n, law), float(floor)


def _entropy(p: np.ndarray) -> float:
    return float(p @ np.log(p))


def _probabilities(params: Rbm, chosen: Hardware) -> tuple[np.ndarray, np.ndarray]:
    """Of each unit turning on, given every state of the other layer: noise by quadrature, rounding as it is.

    Both cells of a pair fluctuate in every driven line, so the sum has variance 2 r² W_max² n for n units that are on.
    """
    w, a, c = (np.asarray(leaf, np.float64) for leaf in params)
    largest = np.abs(w).max()
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()

    def on(states: np.ndarray, couplings: np.ndarray, bias: np.ndarray) -> np.ndarray:
        x = states @ couplings
        if chosen.adc_bits is not None:
            half, full = 2 ** (chosen.adc_bits - 1) - 1, chosen.adc_range * largest
            x = np.round(np.clip(x / full, -1, 1) * half) / half * full
        std = (chosen.read_noise or 0.0) * largest * np.sqrt(2.0 * states.sum(axis=1))
        smeared = x[..., None] + bias[:, None] + std[:, None, None] * nodes
        return (1.0 / (1.0 + np.exp(-smeared))) @ weights

    visible, hidden = (np.asarray(exact.enumerate_binary(n), np.float64) for n in w.shape)
    return on(visible, w, c), on(hidden, w.T, a)


def couplings() -> tuple[str, dict]:
    """Planted machines of 3 x 3 spins, an RBM(12) for each, and what its expansion says of them.

    Three-body terms are 0 in truth; z is in standard errors of the best that so many rows allow.
    """
    n_rows = PLANTED_ROWS
    plan = settings.Settings(hidden=12, steps=3000, weight_decay=0.0, learning_rate=0.05, gibbs_steps=5, batch=256)
    found: dict[str, Any] = {"n_rows": n_rows, "machines": []}
    for seed in SEEDS:
        truth = planted.ising(3, seed=seed)
        rows = planted.rows(truth, seed=10 + seed, n_train=n_rows, n_test=1).train
        params = settings.fit(plan, rows).params
        errors = interpret.sampling_error(planted.log_law(truth), 3, n_rows)
        machine: dict[str, Any] = {"seed": seed}
        for order in (1, 2, 3):
            learnt, known = interpret.exact(params, order).values, interpret.of_planted(truth, order).values
            approximate = interpret.gaussian(params, order).values
            arrays = {"truth": known, "learnt": learnt, "error": errors[order], "gaussian": approximate}
            machine[str(order)] = {what: _rounded(values) for what, values in arrays.items()}
        found["machines"].append(machine)
    return couplings_table(found), found


def couplings_table(found: dict) -> str:
    rows = []
    for machine in found["machines"]:
        for order, name in (("1", "fields"), ("2", "couplings"), ("3", "three-body")):
            truth, learnt, error, approximate = (
                np.array(machine[order][what]) for what in ("truth", "learnt", "error", "gaussian")
            )
            z = (learnt - truth) / error
            is_known = truth.any()
            rows.append((
                machine["seed"], name, len(truth), f"{np.corrcoef(truth, learnt)[0, 1]:.3f}" if is_known else "-",
                f"{truth @ learnt / (truth @ truth):.3f}" if is_known else "-", f"{np.sqrt(np.mean(error**2)):.3f}",
                f"{np.sqrt(np.mean(z**2)):.2f}", f"{np.abs(z).max():.1f}",
                f"{np.abs(approximate - learnt).max():.3f}",
            ))  # fmt: skip
    header = ("machine", "terms", "number", "correlation", "slope", "error of the data", "rms z", "largest z",
              "Gaussian form off by")  # fmt: skip
    return table(header, rows)


def cost() -> tuple[str, list]:
    """Joules of an independent sample of the RBM(16) of `noise`: τ sweeps of a chain, each machine with its own τ.

    τ_int of the free energy is measured on the simulated chip, or on the ideal machine for p-bits, GPU and CPU. CPU
    seconds are measured; watts and all other rates are looked up. A chip of p-bits reads its state out once a sample.
    """
    data = digits()
    params = settings.fit(settings.Settings(), data.train).params
    n_visible, n_hidden = params.n_visible, params.n_hidden
    ideal = _mixing(params, Hardware(), data.test)
    tau = ideal["tau_int"][0]
    sample = counts.per_effective_sample(
        counts.pbit_counts(n_visible + n_hidden, sweeps=1), tau=tau, n_sweeps=MIXING.sweeps
    ) + Counts(node_reads=n_visible + n_hidden)
    found = [_priced(sampling.on_pbits("z1", sample.as_dict()), ideal)]
    for name, preset in ARRAYS.items():
        spec = GEOMETRY[name]
        for neuron in ("adc", "comparator"):
            mixing = _mixing(params, Hardware(array=preset, neuron=neuron), data.test)
            sweep = counts.sweep_counts(n_visible, n_hidden, rows=spec.rows, cols=spec.cols, neuron=neuron)
            sample = counts.per_effective_sample(sweep, tau=mixing["tau_int"][0], n_sweeps=MIXING.sweeps)
            n_tiles = tiles(n_visible, n_hidden, rows=spec.rows, cols=spec.cols)
            bill = sampling.on_crossbar(name, sample.as_dict(), tiles=n_tiles)
            found.append(_priced(bill, mixing) | {"neuron": neuron})
            print(found[-1], flush=True)
    operation = costs.sweeps_on_gpu(n_visible, n_hidden, GPU_CHAINS, tau)
    found.append(_priced(sampling.on_gpu([operation], share=GPU_CHAINS), ideal))
    seconds = _sweep_seconds(params)
    found.append(_priced(sampling.on_cpu(tau * seconds), ideal) | {"cpu_s_a_sweep": seconds})
    return cost_table(found), found


def cost_table(found: list) -> str:
    digital = min(row["joules"][1] for row in found if row["is_digital"])
    rows = []
    for row in found:
        low, median, high = row["joules"]
        tau, error = row["tau_int"]
        rows.append((
            ", ".join(filter(None, (row["machine"], row.get("neuron")))), f"{row['log_likelihood']:.2f}",
            f"{tau:.1f} ± {error:.1f}", f"{median:.1e}", f"{low:.1e} to {high:.1e}", _times(digital / median),
            row["evidence"],
        ))  # fmt: skip
    header = ("machine", "nats", "τ, sweeps", "J an independent sample", "90 % of the belief", "best digital over it",
              "weakest evidence")  # fmt: skip
    return table(header, rows)


def _times(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.2g}"


def _priced(bill: sampling.Bill, mixing: dict[str, Any]) -> dict[str, Any]:
    joules = [float(f"{value:.4g}") for value in bill.joules]
    return {
        "machine": bill.machine,
        "is_digital": bill.is_digital,
        "joules": joules,
        "evidence": bill.evidence,
    } | mixing


def _mixing(params: Rbm, chosen: Hardware, rows: np.ndarray) -> dict[str, Any]:
    """τ_int with its error, and the likelihood that goes with it, of one chip (or of the ideal machine)."""
    chip_key, sample_key = jax.random.split(jax.random.key(0))
    machine = hardware.machine(chip_key, params, chosen)
    written = hardware.written_params(machine)
    chains = trust.sample(sample_key, machine, written, MIXING)
    tau = diagnostics.tau_int(chains.energy)
    beta = trust.effective_beta(chains.last, written).value if chosen.array else 1.0
    value = log_likelihood(written.tempered(beta), rows).mean()
    return {"tau_int": [round(tau.value, 2), round(tau.error, 2)], "log_likelihood": round(float(value), 4)}


def _sweep_seconds(params: Rbm) -> float:
    """CPU seconds of a sweep of one chain of 1,024, median of 5 after one that compiles; fast keys."""
    chains, n = 1024, 200
    go = jax.jit(lambda key: gibbs.sweeps(key, params, gibbs.init(key, params, chains), n).visible)
    seconds = []
    for i in range(6):
        start = time.process_time()
        jax.block_until_ready(go(jax.random.key(i, impl=HASH)))
        seconds.append((time.process_time() - start) / (n * chains))
    return float(np.median(seconds[1:]))


def noise_page(found: list, out: Path) -> None:
    """Likelihood of both arms against each error, with its 90 % interval."""
    from plotly.subplots import make_subplots

    titles = ("read noise", "programming error", "bits of a weight", "bits of a converter")
    picture = make_subplots(1, 4, shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.02)
    for column, axis in enumerate(AXES, 1):
        for arm, (colour, name) in ARM_WORDS.items():
            rows = [row for row in found if (row["axis"], row["arm"]) == (axis, arm)]
            means, lows, highs = zip(*(interval(row["log_likelihood"]) for row in rows), strict=True)
            picture.add_scatter(
                x=[row["level"] for row in rows], y=means, name=name, line={"color": colour}, showlegend=column == 1,
                error_y={"array": np.subtract(highs, means), "arrayminus": np.subtract(means, lows), "thickness": 1},
                row=1, col=column,
            )  # fmt: skip
        picture.add_hline(y=found[0]["log_likelihood"][0], line={"color": "#999", "dash": "dot"}, row=1, col=column)
    picture.update_yaxes(title="test rows, nats", range=[-34.5, -17], row=1, col=1)
    picture.update_yaxes(range=[-34.5, -17])
    _save(picture, out)


def couplings_page(found: dict, out: Path) -> None:
    """Learnt against planted couplings, and the learnt three-body terms, of which there are none, in their errors."""
    from plotly.subplots import make_subplots

    titles = ("couplings: learnt against planted", "three-body terms, in standard errors of the data")
    picture = make_subplots(1, 2, subplot_titles=titles)
    rng = np.random.default_rng(0)
    pairs, triples = ([machine[order] for machine in found["machines"]] for order in ("2", "3"))
    truth, learnt = (np.concatenate([pair[what] for pair in pairs]) for what in ("truth", "learnt"))
    picture.add_scatter(x=truth + rng.uniform(-0.03, 0.03, len(truth)), y=learnt, mode="markers",
                        marker={"size": 5, "color": "#1d4ed8"}, row=1, col=1)  # fmt: skip
    picture.add_scatter(x=[-0.55, 0.55], y=[-0.55, 0.55], mode="lines", line={"color": "#999"}, row=1, col=1)
    z = np.concatenate([np.divide(triple["learnt"], triple["error"]) for triple in triples])
    picture.add_histogram(x=z, xbins={"size": 0.5}, marker_color="#1d4ed8", row=1, col=2)
    grid = np.linspace(-5, 5, 101)
    picture.add_scatter(x=grid, y=len(z) * 0.5 * stats.norm.pdf(grid), mode="lines", line={"color": "#c2410c"},
                        row=1, col=2)  # fmt: skip
    picture.update_layout(showlegend=False)
    _save(picture, out)


def _save(picture: Any, out: Path) -> None:
    margin, below = {"l": 60, "r": 20, "t": 30, "b": 40}, {"orientation": "h", "y": -0.1}
    picture.update_layout(template="plotly_white", width=900, height=380, margin=margin, legend=below)
    picture.write_html(out, include_plotlyjs=True, config={"displayModeBar": False})


def write(name: str, data: Any) -> None:
    if WRITING:
        (DOCS / f"ebm-{name}.json").write_text(json.dumps(data) + "\n")


WRITING = False
PARTS = {
    "noise": noise,
    "mismatch": mismatch,
    "law": law,
    "bound": bound,
    "scaling": scaling,
    "couplings": couplings,
    "cost": cost,
}
PAGES: dict[str, Any] = {"noise": noise_page, "couplings": couplings_page}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", choices=PARTS)
    parser.add_argument("--write", action="store_true", help="put tables into RESULTS.md and runs into docs/")
    parser.add_argument("--page", type=Path, help="draw the runs that docs/ holds, of noise or couplings, as HTML")
    options = parser.parse_args()
    WRITING = options.write
    if options.page is not None:
        PAGES[options.what[0]](json.loads((DOCS / f"ebm-{options.what[0]}.json").read_text()), options.page)
        raise SystemExit
    for part in options.what:
        text, data = PARTS[part]()
        write(part, data)
        record(f"EBM: {part}", text, write=options.write)
