"""The command `hnn-sat`: solve a DIMACS file as the SAT competition wants it, or write a random one."""

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
from typing import Annotated

import jax
import tyro

import hnn_sat
from cost_bridge.cli import check_seed, run
from hnn_sat.schedule import LARGEST_FLIPS

SATISFIABLE, UNSATISFIABLE, UNKNOWN = 10, 20, 0  # exit codes of the SAT competition
LINE_WIDTH = 78


def solve(
    file: tyro.conf.Positional[Path],
    /,
    *,
    seed: int = 0,
    time_limit: float = 60.0,
    replicas: int = 128,
    max_flips: int = LARGEST_FLIPS,
    restart_after: int | None = None,
    noise: float = 0.5,
    json_: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Search for a satisfying assignment of a DIMACS CNF file with WalkSAT on many replicas.

    Prints comments, "s SATISFIABLE" and the model (exit code 10), or "s UNKNOWN" (exit code 0). A local search cannot
    refute: only a formula that holds an empty clause is called "s UNSATISFIABLE" (exit code 20).

    Args:
        file: the formula.
        seed: of all randomness.
        time_limit: seconds, reading and compiling included.
        replicas: independent searches side by side.
        max_flips: of each replica.
        restart_after: flips after which a replica starts again from a random assignment; never if not given.
        noise: probability of a random variable where no flip is free; 0.5 suits 3-SAT, less is better for longer
            clauses.
        json_: print one JSON object instead.
    """
    began = time.monotonic()
    with _interrupts() as is_interrupted:
        schedule = hnn_sat.Schedule(max_flips=max_flips, restart_after=restart_after, noise=noise, replicas=replicas)
        if not time_limit > 0 or math.isnan(time_limit):
            raise ValueError(f"--time-limit must be a positive number of seconds, got {time_limit}")
        check_seed(seed)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            problem = hnn_sat.from_dimacs(file)
        notes = [str(warning.message) for warning in caught]

        report: dict[str, object] = {
            "file": str(file),
            "n_variables": problem.n_variables,
            "n_clauses": problem.n_original_clauses,
            "seed": seed,
            "replicas": replicas,
            "warnings": notes,
        }
        if problem.has_empty_clause:
            report |= {"status": "UNSATISFIABLE", "reason": "the formula holds an empty clause"}
            return _print(report, UNSATISFIABLE, json_)

        with _progress() as show:

            def watch(progress: hnn_sat.Progress) -> bool:
                show(f"{progress.n_flips:,} flips a replica, best {progress.n_unsatisfied} violated")
                return is_interrupted()

            remaining = time_limit - (time.monotonic() - began)
            result = hnn_sat.solve(jax.random.key(seed), problem, schedule, time_limit_s=remaining, watch=watch)
        model = hnn_sat.model(problem, result.assignment)
        violated = hnn_sat.violated_clauses(problem, model)
        report |= {
            "n_flips": sum(result.n_flips.tolist()),
            "n_unsatisfied": len(violated),
            "seconds": round(time.monotonic() - began, 3),
        }
        if is_interrupted():
            report["reason"] = "interrupted"
        if violated:
            return _print(report | {"status": "UNKNOWN"}, UNKNOWN, json_)
        return _print(report | {"status": "SATISFIABLE", "model": model}, SATISFIABLE, json_)


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
        {"solve": solve, "generate": generate},
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
    print(f"c hnn-sat {version('barrierless')}, WalkSAT/SKC")
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
