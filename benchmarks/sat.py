"""Iterations to solution of the hardware's rules, and of WalkSAT on noisy arrays: the runs behind docs/sat.md.

    BARRIERLESS_DATA=../shared/data python benchmarks/sat.py {klima,curve,noise,energy} [--write]

klima: uf20, uf50 and uf100; each rule's noise level and its restart cutoff are chosen on one half of the instances, and
the median over the other half is given with a 90 % interval (instances, then runs, resampled). noise: the same against
read noise and programming error of the arrays. energy: one run's energy over time.
klima, noise and energy write docs/sat-<name>.json.
"""

import argparse
import json
import math
import os
import tarfile
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from record import record, table

from hnn_sat import Problem, Schedule, from_dimacs, random_ksat, solve
from hnn_sat.dynamics import DYNAMICS
from hnn_sat.engines import BitPlanes, TwoProducts
from hnn_sat.problem import original_clauses
from hnn_sat.run_lengths import cutoff_its, nested_bootstrap
from hnn_sat.statistics import iterations_to_solution, its_draws, median_of_instances

DOCS = Path(__file__).parents[1] / "docs"
SATLIB = Path(os.environ.get("BARRIERLESS_DATA", "../shared/data")) / "satlib"
# Pedretti et al. 2025 (npj Unconv. Comput., s44335-025-00020-w), ITS99 medians at N = 20, 50, 100, 150, from the
# published figure data in HewlettPackard/CountryCrab 8c25245, data/npj_uc_figures. Two rules of ours stand beside their
# GNSAT-N and GNSAT-U each: which of them it is, they do not say.
PAPER = {
    "walksat": (239, 1551, 7645, 18_240),
    "mnsat": (928, 8354, 63_600, 183_200),
    "gnsat-n": (204, 1943, 9252, 20_900),
    "gnsat-v": (204, 1943, 9252, 20_900),
    "gnsat-u": (246, 2966, 12_900, 41_700),
    "gnsat-b": (246, 2966, 12_900, 41_700),
}
# Energy a cycle in pJ, the same source; WalkSAT's is that of a CPU and not comparable.
MAKE_PJ, NORMAL_PJ, CHEAP_PJ = (13.69, 34.48, 68.80, 103.58), (15.47, 38.67, 77.10, 116.02), (4.52, 10.75, 21.63, 32.64)
CYCLE_PJ = {"mnsat": MAKE_PJ, "gnsat-n": NORMAL_PJ, "gnsat-v": NORMAL_PJ, "gnsat-u": CHEAP_PJ, "gnsat-b": CHEAP_PJ}
OWN = "own150-645"  # uniform random, filtered satisfiable: SATLIB's uf150 has this size and was not to be had
SIZES = {  # family: index in PAPER, instances, runs, longest run
    "uf20-91": (0, 40, 64, 500),
    "uf50-218": (1, 40, 32, 6000),
    "uf100-430": (2, 24, 24, 20_000),
    OWN: (3, 16, 12, 40_000),
}
LONGEST = {("uf100-430", "mnsat"): 60_000, (OWN, "mnsat"): 120_000}  # where the usual length is below the paper's ITS
FEW = {("uf100-430", "mnsat"): (12, 16), (OWN, "mnsat"): (8, 12)}  # instances and runs, where they are long
LEVELS = {
    "walksat": (0.4, 0.5, 0.6),
    "gnsat-v": (1.2, 1.6, 2.0, 2.4),
    "gnsat-b": (0.4, 0.5, 0.6),
    "mnsat": (0.45, 0.6, 0.75),
    "gnsat-n": (0.6, 0.9, 1.2),
    "gnsat-u": (0.6, 0.9, 1.2),
}
CURVES = {  # levels of the curve of exploration noise
    "walksat": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
    "gnsat-v": (0.8, 1.2, 1.6, 2.0, 2.5, 3.0),
    "gnsat-b": (0.2, 0.3, 0.4, 0.5, 0.6, 0.7),
}
READ_NOISE = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3)
PROGRAMMING_ERROR = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3)


def problems(family: str, n: int) -> list[Problem]:
    """The first n instances of a family, by name; of OWN, the first n satisfiable ones by seed."""
    if family == OWN:
        return own_problems(n)
    with tarfile.open(SATLIB / f"{family}.tar.xz") as archive, tempfile.TemporaryDirectory() as folder:
        members = sorted((m for m in archive if m.isfile()), key=lambda m: Path(m.name).name)[:n]
        found = []
        for member in members:
            path = Path(folder) / Path(member.name).name
            file = archive.extractfile(member)
            assert file is not None
            path.write_bytes(file.read())
            found.append(from_dimacs(path))
        return found


def own_problems(n: int) -> list[Problem]:
    """The first n of random_ksat(key(0)), random_ksat(key(1)), ... that a complete solver calls satisfiable."""
    from pysat.solvers import Cadical195

    found: list[Problem] = []
    seed = 0
    while len(found) < n:
        problem = random_ksat(jax.random.key(seed), 150, 4.3)
        with Cadical195(bootstrap_with=original_clauses(problem)) as complete:
            if complete.solve():
                found.append(problem)
        seed += 1
    return found


def runs(formulas: list[Problem], name: str, level: float, n_runs: int, longest: int, engine=None) -> tuple:
    """Iterations and whether solved, instances x runs."""
    schedule = Schedule(replicas=n_runs, max_flips=longest, noise=level)
    results = [
        solve(jax.random.key(i), problem, schedule, dynamic=DYNAMICS[name], engine=engine or BitPlanes(), until="all")
        for i, problem in enumerate(formulas)
    ]
    return tuple(np.stack([np.asarray(getattr(r, field)) for r in results]) for field in ("n_iterations", "solved"))


def judged(found: dict[float, tuple], longest: int) -> dict:
    """Level and cutoff of the least median ITS99 on the even instances, and the median of the odd ones with them."""
    # Not much shorter than the longest run: a lucky solution or two within a short one would win by chance.
    cutoffs = [float(c) for c in np.unique(np.round(longest / 2.0 ** np.arange(0, 5, 0.5)))]
    scores = {
        (level, c): float(np.median(cutoff_its(it[::2], ok[::2], c)))
        for level, (it, ok) in found.items()
        for c in cutoffs
    }
    level, cutoff = min(scores, key=lambda pair: (scores[pair], -pair[1]))
    iterations, solved = (array[1::2] for array in found[level])
    low, high = nested_bootstrap(jax.random.key(0), iterations, solved, cutoff)
    its = cutoff_its(iterations, solved, cutoff)
    whole = [value if math.isinf(value) else round(value) for value in (float(np.median(its)), low, high)]
    return {"level": level, "cutoff": round(cutoff), "its99": whole[0], "low": whole[1], "high": whole[2],
            "exponential": exponential(iterations, solved),
            "instances": len(its), "runs": iterations.shape[1]}  # fmt: skip


def exponential(iterations: np.ndarray, solved: np.ndarray) -> list[float]:
    """Median over instances of ITS99 without restarts, run lengths taken as exponential, and its 90 % interval.

    A share of runs solved says little of the last per cent when there are a few dozen runs; all their lengths say more.
    """
    generator = np.random.default_rng(0)
    each = [iterations_to_solution(it, ok) for it, ok in zip(iterations, solved, strict=True)]
    values = median_of_instances(
        [one.value for one in each], [its_draws(one, generator, 2000) for one in each], generator
    )
    return [value if math.isinf(value) else float(round(value)) for value in values]


def klima(families: list[str], rules: list[str], other_levels: list[float]) -> tuple[str, dict]:
    data = read("klima")
    for family, (column, n, n_runs, usual) in SIZES.items():
        if families and family not in families:
            continue
        formulas = problems(family, n)
        for name, levels in LEVELS.items():
            if rules and name not in rules:
                continue
            longest = LONGEST.get((family, name), usual)
            some, many = FEW.get((family, name), (n, n_runs))
            found = judged(
                {level: runs(formulas[:some], name, level, many, longest) for level in other_levels or levels}, longest
            )
            data[f"{family} {name}"] = found | {"paper": PAPER[name][column]}
            print(family, name, found, flush=True)
    rows = []
    for key, found in data.items():
        family, name = key.split()
        ets = found["its99"] * CYCLE_PJ[name][SIZES[family][0]] / 1000 if name in CYCLE_PJ else None
        rows.append(
            (family, name, f"{found['level']:g}", f"{found['cutoff']:,.0f}", median(found),
             f"{found['low']:,.0f} to {found['high']:,.0f}", spread(found.get("exponential")), f"{found['paper']:,}",
             f"{found['instances']} × {found['runs']}", f"{ets:,.1f}" if ets else "-")
        )  # fmt: skip
    header = ("family", "rule", "level", "cutoff", "ITS99, median", "90 % interval", "if exponential", "paper",
              "instances × runs", "ETS99, nJ")  # fmt: skip
    return table(header, rows), data


def median(found: dict) -> str:
    """ITS99, marked where one run to the cutoff is enough: at this floor smaller values cannot be told apart."""
    return f"{found['its99']:,.0f}" + (" †" if found["its99"] <= found["cutoff"] else "")


def spread(values: list[float] | None) -> str:
    return "-" if values is None else f"{values[0]:,.0f} ({values[1]:,.0f} to {values[2]:,.0f})"


def read(name: str) -> dict:
    """The rows that docs/ holds; a run replaces those that it makes anew."""
    path = DOCS / f"sat-{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def curve() -> tuple[str, dict]:
    """ITS99 of uf50 against the level of each rule. Nothing is chosen, so all instances count; no restarts."""
    family, n, n_runs, longest = "uf50-218", 24, 16, 6000
    formulas, rows, data = problems(family, n), [], {}
    for name, levels in CURVES.items():
        for level in levels:
            iterations, solved = runs(formulas, name, level, n_runs, longest)
            value, low, high = exponential(iterations, solved)
            data[f"{name} {level:g}"] = {"its99": value, "low": low, "high": high, "solved": float(solved.mean()),
                                         "instances": n, "runs": n_runs}  # fmt: skip
            rows.append((name, f"{level:g}", f"{value:,.0f}", f"{low:,.0f} to {high:,.0f}", f"{solved.mean():.3f}"))
            print(rows[-1], flush=True)
    return table(("rule", "level", "ITS99, median", "90 % interval", "runs solved"), rows), data


def noise() -> tuple[str, dict]:
    formulas, longest, n_runs = problems("uf20-91", 20), 600, 24
    rows, data = [], {}
    for field, levels in (("read_noise", READ_NOISE), ("programming_error", PROGRAMMING_ERROR)):
        for value in levels:
            engine = TwoProducts(**{field: jnp.float32(value)})
            found = judged({p: runs(formulas, "walksat", p, n_runs, longest, engine) for p in (0.2, 0.5)}, longest)
            data[f"{field} {value:g}"] = found
            rows.append((field, f"{value:g}", f"{found['level']:g}", median(found),
                         f"{found['low']:,.0f} to {found['high']:,.0f}"))  # fmt: skip
            print(rows[-1], flush=True)
    return table(("error of the arrays", "σ", "p", "ITS99, median", "90 % interval"), rows), data


def energy() -> tuple[str, dict]:
    """The energies of one replica, by rule, iteration by iteration: each prefix of a run is the same run."""
    from hnn_sat.levels import Constant
    from hnn_sat.solve import _run, _start

    problem, data = problems("uf100-430", 1)[0], {}
    for name in ("walksat", "gnsat-n", "mnsat"):
        rule, tables = DYNAMICS[name], BitPlanes().prepare(jax.random.key(0), problem)
        state = _start(jax.random.key(1), BitPlanes(), tables, 1)
        energies = [int(state.n_violated[0])]
        for t in range(600):
            times = jnp.array([t, t + 1, 0], jnp.int32)
            keys = (jax.random.key(2), jax.random.key(3))
            level = Constant(jnp.float32(rule.noise))
            state = _run(keys, state, BitPlanes(), rule, tables, rule.init(problem), level, times, "all")
            energies.append(int(state.n_violated[0]))
        data[name] = energies
    return table(("rule", "start", "least of 600"), [(n, e[0], min(e)) for n, e in data.items()]), data


def energy_page(data: dict, out: Path) -> None:
    """The energies as a page; docs/sat-energy.png is a browser's picture of it."""
    import plotly.graph_objects as go

    figure = go.Figure([go.Scatter(y=[max(e, 0.5) for e in values], name=name) for name, values in data.items()])
    figure.update_layout(
        template="plotly_white", width=900, height=420, margin={"l": 60, "r": 20, "t": 20, "b": 50},
        xaxis_title="iteration", yaxis_title="violated clauses of uf100-01", yaxis_type="log",
    )  # fmt: skip
    figure.write_html(out, include_plotlyjs=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("klima", "curve", "noise", "energy"))
    parser.add_argument("--families", nargs="*", default=[], help="klima: only these")
    parser.add_argument("--rules", nargs="*", default=[], help="klima: only these")
    parser.add_argument("--levels", nargs="*", type=float, default=[], help="klima: these instead of LEVELS")
    parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md and the runs into docs/")
    parser.add_argument("--page", type=Path, help="draw the energies that docs/ holds into this HTML file")
    options = parser.parse_args()
    made = {"klima": lambda: klima(options.families, options.rules, options.levels), "curve": curve, "noise": noise,
            "energy": energy}  # fmt: skip
    text, data = made[options.what]()
    if options.write and data:
        (DOCS / f"sat-{options.what}.json").write_text(json.dumps(data) + "\n")
    if options.page is not None:
        energy_page(json.loads((DOCS / "sat-energy.json").read_text()), options.page)
    assert math.isfinite(len(text))
    record(f"k-SAT: {options.what}", text, write=options.write)
