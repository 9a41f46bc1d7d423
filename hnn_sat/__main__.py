"""The command `hnn-sat`: solve DIMACS files as the SAT competition wants it, one or a folder; sweep noise; generate."""

import hashlib
import json
import math
import signal
import sys
import time
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import jax
import tyro

import hnn_sat
from cost_bridge.cli import check_seed, run
from hnn_sat.dynamics import DYNAMICS
from hnn_sat.engines import BitPlanes, BitSliced, CamSearch, Engine, Numba, Sparse, TwoProducts, by_size
from hnn_sat.engines.base import OwnLoop
from hnn_sat.levels import as_level
from hnn_sat.problem import original_clauses
from hnn_sat.propagate import propagate
from hnn_sat.schedule import LARGEST_FLIPS

SATISFIABLE, UNSATISFIABLE, UNKNOWN = 10, 20, 0  # exit codes of the SAT competition
LINE_WIDTH = 78
DynamicName = Literal[
    "walksat", "probsat", "mnsat", "gnsat-n", "gnsat-u", "gnsat-v", "gnsat-b", "metropolis", "glauber"
]
ENGINES: dict[str, Engine] = {
    "bit-planes": BitPlanes(),
    "bit-sliced": BitSliced(),
    "array": TwoProducts(),
    "cam": CamSearch(),
    "sparse": Sparse(),
    "numba": Numba(),
}
EngineName = Literal["auto", "bit-planes", "sparse", "numba", "bit-sliced", "array", "cam"]


class Answer(NamedTuple):
    """What is known of one formula, and how it came to be known."""

    status: str
    report: dict[str, Any]
    model: list[int]  # the best assignment met, empty if none was


def solve(
    file: tyro.conf.Positional[Path],
    /,
    *,
    seed: int = 0,
    time_limit: float = 60.0,
    dynamics: DynamicName = "walksat",
    engine: EngineName = "auto",
    replicas: int = 128,
    max_flips: int = LARGEST_FLIPS,
    restart_after: int | None = None,
    luby: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    noise: float | None = None,
    propagation: bool = True,
    json_: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Search for a satisfying assignment of a DIMACS CNF file on many replicas.

    Prints comments, "s SATISFIABLE" and the model (exit code 10), or "s UNKNOWN" (exit code 0); interrupted, the best
    assignment comes as a comment. A local search cannot refute: only a formula that holds an empty clause, or from
    which unit propagation derives one, is called "s UNSATISFIABLE" (exit code 20).

    Args:
        file: the formula.
        seed: of all randomness.
        time_limit: seconds, reading and compiling included.
        dynamics: the rule that chooses the next flip.
        engine: the machine that counts for it; auto is bit-planes up to 8,192 clauses and sparse beyond.
        replicas: independent searches side by side.
        max_flips: iterations of each replica.
        restart_after: iterations after which a replica starts again from a random assignment; never if not given.
        luby: multiply restart_after by 1, 1, 2, 1, 1, 2, 4, ...
        noise: the level of the rule: WalkSAT's probability of a random variable where no flip is free (0.5 suits
            3-SAT, less is better for longer clauses), winner-take-all's sigma, annealing's temperature; the rule's own
            if not given.
        propagation: first make true what unit clauses demand.
        json_: print one JSON object instead.
    """
    with _interrupts() as is_interrupted:
        schedule = _schedule(replicas, max_flips, restart_after, luby, noise)
        _check_limits(time_limit, seed)
        answer = _search(file, seed, time_limit, dynamics, engine, schedule, propagation, is_interrupted)
        report = answer.report | {"status": answer.status}
        if answer.status == "SATISFIABLE":
            return _print(report | {"model": answer.model}, SATISFIABLE, json_)
        if is_interrupted() and answer.model:
            report["best"] = " ".join(map(str, answer.model))
        return _print(report, UNSATISFIABLE if answer.status == "UNSATISFIABLE" else UNKNOWN, json_)


def _schedule(
    replicas: int, max_flips: int, restart_after: int | None, luby: bool, noise: float | None
) -> hnn_sat.Schedule:
    return hnn_sat.Schedule(
        max_flips=max_flips,
        restart_after=restart_after,
        restarts="luby" if luby else "fixed",
        noise=noise,
        replicas=replicas,
    )


def _check_limits(time_limit: float, seed: int) -> None:
    if not time_limit > 0 or math.isnan(time_limit):
        raise ValueError(f"--time-limit must be a positive number of seconds, got {time_limit}")
    check_seed(seed)


def _check_rule(dynamics: str, engine: str, noise: float | None) -> None:
    """Refuse before the first file what every file would be refused for."""
    rule = DYNAMICS[dynamics]
    level, machine = as_level(rule.noise if noise is None else noise, most=rule.most), ENGINES.get(engine)
    if isinstance(machine, OwnLoop):
        machine.check(rule, level)


def _search(
    file: Path,
    seed: int,
    time_limit: float,
    dynamics: str,
    engine: str,
    schedule: hnn_sat.Schedule,
    propagation: bool,
    is_interrupted: Callable[[], bool],
) -> Answer:
    began = time.monotonic()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        problem = hnn_sat.from_dimacs(file)
    report: dict[str, Any] = {
        "file": str(file),
        "n_variables": problem.n_variables,
        "n_clauses": problem.n_original_clauses,
        "dynamics": dynamics,
        "engine": engine,
        "seed": seed,
        "replicas": schedule.replicas,
        "warnings": [str(warning.message) for warning in caught],
    }
    if problem.has_empty_clause:
        return Answer("UNSATISFIABLE", report | {"reason": "the formula holds an empty clause"}, [])
    fixed: list[int] = []
    searched = problem
    if propagation:
        found = propagate(original_clauses(problem))
        fixed = found.fixed
        report["n_propagated"] = len(fixed)
        if found.is_contradiction:
            return Answer("UNSATISFIABLE", report | {"reason": "unit propagation derives the empty clause"}, [])
        searched = hnn_sat.from_clauses(found.clauses) if fixed else problem

    machine = by_size(searched) if engine == "auto" else ENGINES[engine]
    report["engine"] = next(name for name, known in ENGINES.items() if known == machine)
    with _progress() as show:

        def watch(progress: hnn_sat.Progress) -> bool:
            gone = time.monotonic() - began
            show(
                f"{progress.n_flips:,} iterations a replica, best {progress.n_unsatisfied} violated, "
                f"{max(time_limit - gone, 0):.0f} s left"
            )
            return is_interrupted()

        result = hnn_sat.solve(
            jax.random.key(seed),
            searched,
            schedule,
            dynamic=DYNAMICS[dynamics],
            engine=machine,
            time_limit_s=time_limit - (time.monotonic() - began),
            watch=watch,
        )
    # What propagation fixed, then what the search found, then "false" for what occurs in no clause that is left.
    chosen = {abs(literal): literal for literal in hnn_sat.model(searched, result.assignment)}
    chosen |= {abs(literal): literal for literal in fixed}
    model = [chosen.get(name, -name) for name in problem.name.tolist()]
    violated = hnn_sat.violated_clauses(problem, model)
    report |= {
        "n_flips": sum(result.n_flips.tolist()),
        "n_unsatisfied": len(violated),
        "seconds": round(time.monotonic() - began, 3),
    }
    if is_interrupted():
        report["reason"] = "interrupted"
    return Answer("UNKNOWN" if violated else "SATISFIABLE", report, model)


def bench(
    folder: tyro.conf.Positional[Path],
    /,
    *,
    out: Path | None = None,
    seed: int = 0,
    time_limit: float = 60.0,
    dynamics: DynamicName = "walksat",
    engine: EngineName = "auto",
    replicas: int = 128,
    max_flips: int = LARGEST_FLIPS,
    restart_after: int | None = None,
    luby: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    noise: float | None = None,
    propagation: bool = True,
    json_: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Solve every .cnf file of a folder, a row each.

    A file that cannot be read or searched gets a row with status ERROR and the reason, and the others go on; the exit
    code is then 2.

    Args:
        folder: where the files are; sub-folders are not searched.
        out: a file of JSON lines to add each row to as it is finished; files that have a row there, made with the same
            options and of the same content, are not solved again.
        seed: of all randomness, the same for every file.
        time_limit: seconds for each file.
        dynamics: the rule.
        engine: the machine.
        replicas: as in solve.
        max_flips: as in solve.
        restart_after: as in solve.
        luby: as in solve.
        noise: as in solve.
        propagation: as in solve.
        json_: print the rows as JSON lines.
    """
    schedule = _schedule(replicas, max_flips, restart_after, luby, noise)
    _check_limits(time_limit, seed)
    _check_rule(dynamics, engine, noise)
    files = sorted(path for path in folder.iterdir() if path.suffix == ".cnf")
    if not files:
        raise ValueError(f"{folder} holds no file that ends in .cnf")
    options = {
        "seed": seed, "time_limit": time_limit, "dynamics": dynamics, "engine": engine, "replicas": replicas,
        "max_flips": max_flips, "restart_after": restart_after, "luby": luby, "noise": noise,
        "propagation": propagation,
    }  # fmt: skip
    known = {(row["file"], row.get("sha256")): row for row in _rows(out) if row.get("options") == options}
    n_errors = 0
    if not json_:
        print(f"{'file':<32} {'status':<14} {'violated':>8} {'flips':>14} {'seconds':>9}")
    with _interrupts() as is_interrupted:
        for path in files:
            content = _content(path)
            row = known.get((path.name, content.get("sha256"))) if content else None
            if row is None:
                try:
                    answer = _search(path, seed, time_limit, dynamics, engine, schedule, propagation, is_interrupted)
                except (ValueError, OSError) as error:
                    answer = Answer("ERROR", {"error": str(error)}, [])
                if is_interrupted():
                    print(f"interrupted in {path.name}; finished rows are kept in {out}", file=sys.stderr)
                    return 130
                row = answer.report | {"file": path.name, "status": answer.status, "options": options} | content
                if out is not None:
                    with out.open("a", encoding="utf-8") as lines:
                        lines.write(json.dumps(row) + "\n")
            if row["status"] == "ERROR":
                n_errors += 1
                print(f"error: {row['error']}", file=sys.stderr)
            if json_:
                print(json.dumps(row), flush=True)
            else:
                cells = (row.get("n_unsatisfied", "-"), row.get("n_flips", 0), row.get("seconds", 0.0))
                print(f"{path.name:<32} {row['status']:<14} {cells[0]:>8} {cells[1]:>14,} {cells[2]:>9.2f}", flush=True)
    return 2 if n_errors else 0


def _content(path: Path) -> dict[str, Any]:
    """Size and hash of the file, by which a later run knows it again; nothing if it cannot be read."""
    try:
        data = path.read_bytes()
    except OSError:
        return {}
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _rows(out: Path | None) -> list[dict[str, Any]]:
    """Rows that an earlier run left; the last line may be cut off where it was killed."""
    if out is None or not out.exists():
        return []
    rows = []
    text = out.read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            if line == text.rpartition("\n")[2]:
                out.write_text(text[: len(text) - len(line)], encoding="utf-8")
                break
            raise ValueError(f"{out}, line {number} is not a row of `hnn-sat bench`; give another --out") from None
    return rows


def sweep(
    file: tyro.conf.Positional[Path],
    /,
    *,
    vary: tuple[str, ...],
    dynamics: DynamicName = "walksat",
    engine: Literal["bit-planes", "bit-sliced", "array", "cam"] = "array",
    replicas: int = 64,
    max_flips: int = 10_000,
    seeds: int = 3,
    seed: int = 0,
    out: Path | None = None,
    json_: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Search one formula at every combination of noise levels, and say what a solution takes.

    Args:
        file: the formula.
        vary: levels, such as read_noise=0,0.1,0.2 or noise=0.3,0.5; "noise" is the rule's, the others the engine's.
        dynamics: the rule.
        engine: the machine.
        replicas: searches side by side at every point.
        max_flips: iterations of each.
        seeds: chips, starts and flips at every point.
        seed: of all randomness.
        out: a folder to keep finished points in; the same command resumes there.
        json_: print the results as JSON.
    """
    from hnn_sat.sweeps import noise_sweep

    check_seed(seed)
    axes = dict(_axis(text) for text in vary)
    problem = hnn_sat.from_dimacs(file)
    with _progress() as show:
        results = noise_sweep(
            problem, axes, dynamic=dynamics, engine=ENGINES[engine], name=file.name, replicas=replicas,
            max_flips=max_flips, n_seeds=seeds, seed=seed, store=out,
            progress=lambda done, total: show(f"{done} of {total} points"),
        )  # fmt: skip
    if json_:
        print(json.dumps(results.to_dict(), default=str))
        return 0
    total = results.sum("seed").stack(point=list(axes))
    print(" ".join(f"{name:>18}" for name in (*axes, "solved", "its99", "missed")))
    for i in range(total.sizes["point"]):
        at = total.isel(point=i)
        n_solved, n_iterations = int(at["n_solved"]), int(at["n_iterations"])
        its = math.log(100) * n_iterations / n_solved if n_solved else math.inf
        cells = [f"{float(at[name]):g}" for name in axes]
        cells += [f"{n_solved / (replicas * seeds):.3f}", f"{its:,.0f}", f"{int(at['n_missed'])}"]
        print(" ".join(f"{cell:>18}" for cell in cells))
    return 0


def _axis(text: str) -> tuple[str, list[float]]:
    name, _, values = text.partition("=")
    try:
        return name, [float(value) for value in values.split(",")]
    except ValueError:
        raise ValueError(f"--vary takes level=number,number,... but got {text!r}") from None


def cost(
    path: tyro.conf.Positional[Path],
    /,
    *,
    machine: Literal["reram", "capacitor", "klima"] = "reram",
    dynamics: DynamicName = "walksat",
    replicas: int = 64,
    max_flips: int = 100_000,
    noise: float | None = None,
    seed: int = 0,
    draws: int = 2000,
    json_: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Iterations, seconds and joules to a solution with 99 % probability, of one formula or of a folder of them.

    Every replica searches to its own solution, exactly; iterations to solution (ITS99, exponential law, censored
    runs) times what one iteration costs on the machine give TTS99 and ETS99. On a chip every iteration pays for an
    exact count of the violated clauses beside the arrays, which is what tells a search with errors when to stop. The
    90 % intervals hold the doubt of the runs and, for joules and seconds, of the prices; the last line is the median
    over formulas, which are resampled, too.

    Args:
        path: a .cnf file, or a folder of them.
        machine: reram and capacitor hold the formula in arrays that cost_bridge prices event by event; klima is the
            machine of Pedretti et al. 2025, 3-SAT only, at its authors' energy and time of an iteration.
        dynamics: the rule; all but glauber, whose colours differ in size, can be priced on a chip.
        replicas: independent searches.
        max_flips: iterations after which a search is cut off.
        noise: the level of the rule; the rule's own if not given.
        seed: of all randomness.
        draws: of the prices and of what the runs leave possible.
        json_: print one JSON object instead; what is infinite, because no run was solved, is null there.
    """
    import numpy as np

    from cost_bridge import searches
    from hnn_sat.statistics import iterations_to_solution, its_draws, median_of_instances

    check_seed(seed)
    files = sorted(p for p in path.iterdir() if p.suffix == ".cnf") if path.is_dir() else [path]
    if not files:
        raise ValueError(f"{path} holds no file that ends in .cnf")
    schedule = _schedule(replicas, max_flips, None, False, noise)
    formulas = {file.name: hnn_sat.from_dimacs(file) for file in files}
    work = {name: _iteration(problem, machine, dynamics) for name, problem in formulas.items()}
    priced = searches.iterations(machine, work, draws=draws, seed=seed)
    rows, columns = [], {"its99": [], "tts99_s": [], "ets99_j": []}
    generator = np.random.default_rng(seed)
    for name, problem in formulas.items():
        result = hnn_sat.solve(
            jax.random.key(seed), problem, schedule, dynamic=DYNAMICS[dynamics], engine=BitPlanes(), until="all"
        )
        its = iterations_to_solution(result.n_iterations, result.solved)
        possible = its_draws(its, generator, draws)
        drawn = {
            "its99": possible,
            "tts99_s": possible * np.asarray(priced.seconds[name]),
            "ets99_j": possible * np.asarray(priced.joules[name]),
        }
        for what, values in drawn.items():
            columns[what].append(values)
        joules, seconds = searches.at_medians(machine, work[name])
        at = {"its99": its.value, "tts99_s": its.value * seconds, "ets99_j": its.value * joules}
        rows.append(
            {"file": name, "n_variables": problem.n_variables, "n_clauses": problem.n_original_clauses,
             "n_solved": its.n_solved, "n_runs": its.n_runs}
            | {what: [at[what], *_ends(np, drawn[what])] for what in drawn}
        )  # fmt: skip
    median = {
        what: list(median_of_instances([row[what][0] for row in rows], each, generator))
        for what, each in columns.items()
    }
    report = {
        "machine": machine, "dynamics": dynamics, "noise": DYNAMICS[dynamics].noise if noise is None else noise,
        "replicas": replicas, "max_flips": max_flips, "seed": seed, "boundary": "chip", "evidence": priced.evidence,
        "sources": list(priced.sources), "files": rows, "median": median,
    }  # fmt: skip
    if unsolved := [row["file"] for row in rows if row["n_solved"] == 0]:
        report["warning"] = (
            f"no run solved {', '.join(unsolved)} within {max_flips} iterations, so their ITS99, TTS99 and ETS99 have "
            "no upper bound; give more --max-flips or --replicas"
        )
    if json_:
        print(json.dumps(_finite(report)))
        return 0
    print(f"{dynamics} on {machine}, at the chip; value and 90 % interval")
    print(f"{'file':<24} {'solved':>9} {'ITS99':>30} {'TTS99, s':>30} {'ETS99, J':>30}")
    for row in [*rows, *([{"file": "median of the files"} | median] if len(rows) > 1 else [])]:
        solved = f"{row['n_solved']}/{row['n_runs']}" if "n_runs" in row else ""
        cells = ("{:.3g} ({:.3g} to {:.3g})".format(*row[what]) for what in ("its99", "tts99_s", "ets99_j"))
        print(f"{row['file']:<24} {solved:>9} " + " ".join(f"{cell:>30}" for cell in cells))
    print(f"evidence of the prices: {priced.evidence}; iterations: simulated, without errors of the hardware")
    for source in priced.sources:
        print(f"source: {source}")
    if "warning" in report:
        print(f"warning: {report['warning']}")
    return 0


def _finite(value: Any) -> Any:
    """The same with None for every number that is not finite, which JSON does not have."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _iteration(problem: hnn_sat.Problem, machine: str, dynamics: str) -> Any:
    """What an iteration asks of a machine that holds the incidence matrix and its transpose in tiles, with the exact
    count of violated clauses kept beside them."""
    from aimc import presets
    from aimc.counts import tiles
    from cost_bridge.searches import Iteration
    from hnn_sat.counts import annealing_counts, check_counts, iteration_counts, probsat_counts, winner_counts

    if dynamics == "glauber":
        raise ValueError("an iteration of glauber costs as its colour is large and has no one price; name another rule")
    tile = presets.capacitor() if machine == "capacitor" else presets.reram_neurram()
    size = {"rows": tile.rows, "cols": tile.cols}
    n, m = problem.n_variables, problem.n_clauses
    if dynamics == "walksat":
        counts = iteration_counts(problem, **size)
    elif dynamics == "probsat":
        counts = probsat_counts(problem, **size)
    elif dynamics == "metropolis":
        counts = annealing_counts(problem, **size)
    else:
        words = 3 if dynamics == "gnsat-b" else None  # a coin, and a choice among equals or among those to walk to
        counts = winner_counts(problem, "make" if dynamics == "mnsat" else "gain", **size, random_words=words)
    return Iteration(
        rule=dynamics,
        n_variables=n,
        longest_clause=problem.longest_clause,
        counts=(counts + check_counts(problem)).as_dict(),
        tiles=tiles(2 * n, m, **size) + tiles(m, 2 * n, **size),
        cells=2 * 2 * 2 * n * m,
    )


def _ends(np: Any, values: Any) -> list[float]:
    return [float(end) for end in np.quantile(values, [0.05, 0.95], method="nearest")]


def generate(
    *,
    out: Path,
    n: int = 250,
    ratio: float = 4.2,
    k: int = 3,
    seed: int = 0,
    unsatisfiable: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Write a uniform random k-SAT formula as a DIMACS CNF file.

    Args:
        out: the file to write; an existing one is refused.
        n: variables.
        ratio: clauses per variable.
        k: variables in a clause.
        seed: of the generator.
        unsatisfiable: add all sign patterns over one set of k variables, so that no assignment satisfies it.
    """
    family = hnn_sat.unsatisfiable_ksat if unsatisfiable else hnn_sat.random_ksat
    problem = family(jax.random.key(check_seed(seed)), n, ratio, k)
    kind = "unsatisfiable by construction" if unsatisfiable else "uniform"
    hnn_sat.to_dimacs(
        problem,
        out,
        comment=f"random {k}-SAT, {kind}, n {n}, ratio {ratio}, seed {seed}, barrierless {version('barrierless')}",
    )
    print(f"{out}: {problem.n_variables} variables, {problem.n_original_clauses} clauses")
    return 0


def command(arguments: Sequence[str]) -> int:
    return tyro.extras.subcommand_cli_from_dict(
        {"solve": solve, "bench": bench, "sweep": sweep, "cost": cost, "generate": generate},
        prog="hnn-sat",
        description="Higher-order Hopfield networks for k-SAT.",
        args=list(arguments),
    )


def main() -> None:
    run(command, "hnn-sat")


def _print(report: dict[str, object], code: int, as_json: bool) -> int:
    if as_json:
        print(json.dumps(report))
        return code
    model = report.pop("model", None)
    status = report.pop("status")
    notes = report.pop("warnings")
    print(f"c hnn-sat {version('barrierless')}")
    for name, value in report.items():
        print(f"c {name} {value}")
    for note in notes if isinstance(notes, list) else []:
        print(f"c warning: {note}")
    print(f"s {status}")
    if isinstance(model, list):
        line = "v"
        for word in map(str, [*model, 0]):
            if len(line) + 1 + len(word) > LINE_WIDTH:
                print(line)
                line = "v"
            line += f" {word}"
        print(line)
    return code


@contextmanager
def _interrupts() -> Generator[Callable[[], bool]]:
    """Take note of ^C and SIGTERM, so that a competition's time-out still gets an answer; a second one ends at once."""
    received: list[int] = []

    def note(number: int, frame: object) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _progress() -> Generator[Callable[[str], None]]:
    """A status line on stderr, if someone is watching."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console

    with Console(stderr=True).status("compiling") as status:
        yield status.update


if __name__ == "__main__":
    main()
