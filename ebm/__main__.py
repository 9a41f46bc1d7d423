"""The command `ebm`: train an energy-based model, evaluate how far to trust it, sample, sweep and price it."""

import json as json_format
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from cost_bridge.cli import check_seed
from cost_bridge.cli import run as run_command
from ebm.hardware import Hardware
from ebm.settings import Settings

if TYPE_CHECKING:
    from ebm.train import Info, TrainState

GLANCE_SECONDS = 10.0  # between two likelihoods shown while training
GLANCE_SHARE = 0.05  # of the time, which is all that they may cost


def train(settings: Settings, *, out: Path, checkpoint_every: int = 500) -> None:
    """Train under a directory, or go on with the run that was stopped there.

    Pictures of weights, data and samples are written beside the finished run as pictures.html.

    Args:
        settings: What determines the run.
        out: Run directory. The same command line resumes a stopped run; any other run there is refused.
        checkpoint_every: Steps between two saved states.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from ebm import checkpoint, run
    from ebm.train import Diverged

    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.0f} steps/s, gap {task.fields[gap]:+.2f}{task.fields[likelihood]}"),
        TimeRemainingColumn(),
    )
    progress = Progress(*columns, console=Console(stderr=True))
    task = progress.add_task("training", total=settings.steps, rate=0.0, gap=0.0, likelihood="")
    earlier = time.monotonic()
    glance = _Glance(settings)

    def show(state: "TrainState", info: "Info") -> None:
        nonlocal earlier
        progress.start()  # only now, so that a refused command prints its sentence and nothing else
        earlier, seconds = time.monotonic(), time.monotonic() - earlier
        n_steps = len(info.gap)
        progress.update(
            task,
            completed=int(state.step),
            rate=n_steps / seconds,
            gap=float(info.gap.mean()),
            likelihood=glance.words(state.params),
        )

    try:
        run.train_in(out, settings, checkpoint_every=checkpoint_every, after_chunk=show)
    except KeyboardInterrupt:
        step = checkpoint.latest_step(out)
        saved = "no step was saved" if step is None else f"step {step} is saved in {out}"
        print(f"\nebm: {saved}; the same command goes on from there", file=sys.stderr)
        raise
    except Diverged as error:
        raise ValueError(f"{error}; it is saved in {out}") from error
    finally:
        if progress.live.is_started:
            progress.stop()
    _pictures(out, out / "pictures.html")
    print(f"finished; `ebm evaluate {out}` gives its likelihood", file=sys.stderr)


class _Glance:
    """Now and then the likelihood of the training rows, in words: exact where it is cheap, else pseudo-likelihood."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._rows, self._next, self._words = settings, None, time.monotonic() + GLANCE_SECONDS, ""

    def words(self, params: Any) -> str:
        start = time.monotonic()
        if start < self._next:
            return self._words
        import jax.numpy as jnp

        from ebm import losses, rules
        from ebm.likelihood import log_likelihood
        from ebm.run import CHEAP_HIDDEN_UNITS
        from ebm.settings import energy_params, load_data

        if self._rows is None:
            self._rows = load_data(self._settings)[1].train[:512]
        model = energy_params(params)
        if self._settings.hidden <= CHEAP_HIDDEN_UNITS:
            self._words = f", log-likelihood {log_likelihood(model, self._rows).mean():.2f} nats"
        elif self._settings.model == "rbm":
            value = losses.pseudo_log_likelihood(rules.free_energy, model, jnp.asarray(self._rows)).mean()
            self._words = f", pseudo-likelihood {float(value):.2f} nats (no likelihood)"
        spent = time.monotonic() - start
        self._next = start + max(GLANCE_SECONDS, spent / GLANCE_SHARE)
        return self._words


def evaluate(
    directory: Path,
    /,
    *,
    hardware: Hardware = Hardware(),  # noqa: B008  frozen
    chips: int = 1,
    ais_betas: int = 10_000,
    seed: int = 0,
    pictures: Path | None = None,
    json: bool = False,
) -> None:
    """Print how far a trained model is to be trusted: likelihood and method, temperature, mixing, what samples show.

    What was found is kept in the run directory: asked again it is read, so that test rows are looked at once.

    Args:
        directory: A run directory written by `ebm train`.
        hardware: The machine that samples it. Default: the ideal one.
        chips: Chips that are programmed with it, where an array is named.
        ais_betas: Temperatures of the annealing that bounds the likelihood of models too large to enumerate.
        seed: Every random number follows from it.
        pictures: An HTML page with weights, data and samples.
        json: Print JSON instead of a table.
    """
    from ebm import evaluate as evaluation

    check_seed(seed)
    if ais_betas < 2:
        raise ValueError(f"ais_betas must be at least 2, got {ais_betas}")
    effort = evaluation.EFFORT._replace(ais_betas=ais_betas)
    result = evaluation.evaluate(directory, chosen=hardware, chips=chips, effort=effort, seed=seed)
    if pictures is not None:
        _pictures(directory, pictures)
    if json:
        print(json_format.dumps(result, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    state = "finished" if result["is_finished"] else "unfinished: its test rows are not looked at"
    print(f"{directory}: {result['hidden']} hidden units, step {result['step']}, {state}")
    table = Table("rows", "number", "log-likelihood (nats per row)")
    for name in ("test", "validation", "train"):
        if f"n_{name}" not in result:
            continue
        n = result.get(f"{name}_rows_used") or result[f"n_{name}"]
        if f"{name}_lower" in result:
            for side, what in (("lower", "at least "), ("upper", "at most ")):
                table.add_row(name, str(n), f"{what}{_with_error(result, f'{name}_{side}', f'{name}_{side}_error')}")
        else:
            value = _with_error(result, f"{name}_log_likelihood", f"{name}_standard_error")
            table.add_row(name, str(n), value)
        if f"{name}_own_lower" in result:
            own = _with_error(result, f"{name}_own_lower", f"{name}_own_error")
            rise = result[f"{name}_own_rise"]
            risen = "" if rise is None else f", {rise:+.3f} over half of the chains"
            table.add_row(name, str(n), f"the chip's own law: at least {own}{risen}")
    console = Console()
    console.print(table)
    is_bounded = any(f"{name}_lower" in result for name in ("test", "validation", "train"))
    print(f"method: {result['method']}; ± is the standard error over {'chains' if is_bounded else 'rows'}")
    if "log_partition" in result:
        print(f"exact log Z {result['log_partition']:.4f}")
    if not result["is_trusted"]:
        print(f"DO NOT TRUST these likelihoods: {result.get('distrust')}")
    for name in ("test", "validation", "train"):
        if f"{name}_verdict" in result:
            print(f"{name}: {result[f'{name}_verdict']}")
    console.print(_trust_table(result))
    where = "validation rows (the state that is best on them is the model)" if result["validation_looks"] else "nothing"
    print(f"chosen on {where}; machines that test rows were looked at with: {result['test_looks']}")


def sample(
    directory: Path,
    /,
    *,
    n: int = 1000,
    out: Path,
    sweeps: int = 1000,
    seed: int = 0,
    hardware: Hardware = Hardware(),  # noqa: B008  frozen
) -> None:
    """Draw samples of a trained model, write them as a .npy array, and report whether they match the training rows.

    The report is written beside the samples, as FILE.json. Bits and one-hot symbols are uint8, real units float32.

    Args:
        directory: A run directory written by `ebm train`.
        n: Independent chains, one sample of each.
        out: The .npy file to write; an existing one is refused.
        sweeps: Gibbs sweeps of every chain from a start by the visible biases alone.
        seed: Every random number follows from it.
        hardware: The machine that draws them. Default: the ideal one.
    """
    for name, value in (("n", n), ("sweeps", sweeps)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    check_seed(seed)
    if out.exists():
        raise ValueError(f"{out} exists already; choose another file")
    if out.suffix != ".npy":
        raise ValueError(f"out must be a file that ends in .npy, got {out}")
    import jax
    import numpy as np

    from ebm import checkpoint, run
    from ebm import evaluate as evaluation
    from ebm import hardware as machines
    from ebm.samplers import gibbs

    machines.check(hardware)
    found = run.model(directory)
    _, parts = run.open_data(directory)
    start_key, sweep_key = jax.random.split(jax.random.key(seed))
    chip_key, compare_key = jax.random.split(jax.random.fold_in(jax.random.key(seed), 1))
    machine = machines.machine(chip_key, found.params, hardware)
    advance = jax.jit(gibbs.sweeps, static_argnums=3)
    chains = advance(sweep_key, machine, gibbs.init(start_key, machine, n), sweeps)
    kind = run.MODELS[found.settings.model]
    rows = np.asarray(chains.visible, np.float32 if kind == "reals" else np.uint8)
    partial = out.with_name(out.name + ".partial")
    with open(partial, "wb") as file:
        np.save(file, rows)
    report: dict[str, Any] = {"n": n, "sweeps": sweeps, "seed": seed, "hardware": vars(hardware), "run": str(directory)}
    if n >= 8:
        report |= evaluation.two_samples(compare_key, parts.train, rows.astype(np.float32), kind)
    report |= evaluation.duplicates(parts.train, rows)
    checkpoint.write_json(out.with_name(out.name.removesuffix(".npy") + ".json"), report)
    os.replace(partial, out)
    print(f"{n} samples after {sweeps} sweeps each: {out}", file=sys.stderr)
    for line in _match_words(report):
        print(line)


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Likelihood, temperature and mixing of a trained RBM on noisy arrays: trained ideally, and in the loop."""

    directory: Annotated[Path, tyro.conf.Positional]
    """A run directory written by `ebm train` (model rbm, at most 22 hidden units)."""
    out: Path | None = None
    """Folder for the results (zarr, opens with xarray). The same command continues an interrupted one."""
    read_noise: list[float] = field(default_factory=lambda: [0.0, 0.02, 0.05, 0.1, 0.2])
    """Standard deviations of a cell at a read, as fractions of its largest conductance."""
    write_noise: list[float] = field(default_factory=lambda: [0.0])
    """Programming errors of a cell, the same unit."""
    weight_bits: list[int] = field(default_factory=lambda: [3, 4, 6, 8])
    """Resolutions of the weights, sign included."""
    adc_bits: list[int] = field(default_factory=lambda: [24])
    """Resolutions of the converters, sign included; 24 rounds nothing."""
    adc_range: float = 16.0
    """Largest sum that the converters take, in fully-on cells."""
    neuron: str = "adc"
    """`adc` or `comparator`, as for `ebm evaluate`."""
    chips: int = 3
    """Chips, and training runs in the loop, at every point."""
    steps: int = 2000
    """Training steps in the loop, from the trained model on; 0 learning would leave it as it is."""
    learning_rate: float = 0.01
    """Adam's first learning rate in the loop; it falls to 0 along a cosine."""
    rows: str = "validation"
    """Rows the likelihood is taken on: `validation` where the run has them, `test`, or `train`."""
    seed: int = 0
    """Root of all randomness."""
    plot: Path | None = None
    """An HTML page with the curves."""
    json: bool = False
    """Print JSON instead of a table."""


def sweep(options: Sweep) -> None:
    """Run the study of `Sweep`."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Table

    from ebm import analog, run
    from ebm import sweep as study
    from ebm.data import fingerprint

    check_seed(options.seed)
    found = run.model(options.directory)
    data, parts = run.open_data(options.directory)
    if found.settings.model != "rbm" or found.settings.hidden > 22:
        raise ValueError(f"{options.directory} must hold an rbm of at most 22 hidden units to be swept exactly")
    rows = {"validation": parts.test, "test": data.test, "train": parts.train}.get(options.rows)
    if rows is None or not len(rows):
        raise ValueError(f"rows must be validation (where the run has some), test or train, got {options.rows!r}")
    columns = (TextColumn("sweeping"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("sweeping", total=None)
        try:
            results = study.noise_sweep(
                found.params,
                parts.train,
                rows,
                read_noise=options.read_noise,
                write_noise=options.write_noise,
                weight_bits=options.weight_bits,
                adc_bits=options.adc_bits,
                chips=options.chips,
                seed=options.seed,
                neuron=analog.Neuron(kind=options.neuron),
                adc_range=options.adc_range,
                training=study.Training(steps=options.steps, learning_rate=options.learning_rate),
                what={"data": fingerprint(data), "model": _checksum(found.params), "rows": options.rows},
                store=options.out,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        except KeyboardInterrupt:
            if options.out is not None and options.out.exists():
                print(f"finished points are kept in {options.out}; the same command goes on there", file=sys.stderr)
            raise
    if options.plot is not None:
        from ebm.figures import sweep_figure, write_page

        write_page(
            sweep_figure(results, f"{options.directory.name} on noisy arrays, {options.rows} rows"), options.plot
        )
        print(f"wrote {options.plot}", file=sys.stderr)
    if options.json:
        print(json_format.dumps(results.to_dict(), default=str))
        return
    axes = [name for name in results.dims if name != "seed" and results.sizes[name] > 1]
    still = {name: results[name].values[0] for name in results.dims if name not in axes and name != "seed"}
    table = Table(*map(str, axes), "trained", "nats a row", "β", "τ, sweeps")
    from itertools import product

    for point in product(*(results[name].values for name in axes)):
        at = results.sel(still | dict(zip(axes, point, strict=True)))
        for arm, words in zip(study.ARMS, ("ideally", "in the loop"), strict=True):
            value, beta, tau = (at[f"{arm}_{name}"] for name in ("log_likelihood", "beta_eff", "tau_int"))
            least = float(at[f"{arm}_tau_int_at_least"].mean())
            table.add_row(
                *(f"{number:g}" for number in point),
                words,
                f"{float(value.mean()):.2f} ± {float(value.std()):.2f}",
                f"{float(beta.mean()):.3f}",
                f"≥ {least:.1f}" if bool(tau.isnull().any()) else f"{float(tau.mean()):.1f}",
            )
    Console().print(table)
    fixed = ", ".join(f"{name} {value:g}" for name, value in still.items())
    print(f"{options.rows} rows; mean ± spread over {options.chips} chips{'; ' if fixed else ''}{fixed}")
    if options.out:
        print(f"Kept in {options.out}; open it with xarray.open_zarr.")


def cost(
    directory: Path,
    /,
    *,
    hardware: Hardware = Hardware(),  # noqa: B008  frozen
    json: bool = False,
) -> None:
    """Print what a run asks of p-bits, crossbars, a GPU and this CPU, and what that costs in joules.

    Events are counted, this CPU is timed, every other rate is looked up: `cost-bridge rates` lists them with sources.

    Args:
        directory: A finished run of model rbm, trained by chains.
        hardware: The errors with which τ of crossbars is measured. Default: none, it is that of the ideal chain.
        json: Print JSON instead of a table.
    """
    from cost_bridge import sampling
    from cost_bridge.workloads import GEOMETRY
    from ebm import cost as costs

    work = costs.work(directory, {name: (spec.rows, spec.cols) for name, spec in GEOMETRY.items()}, hardware)
    pairs = [_priced(lambda events: sampling.on_pbits("z1", events.as_dict()), work.pbits)]
    for name, on_array in work.arrays.items():
        pairs.append(
            _priced(
                lambda events, name=name, tiles=on_array.tiles: sampling.on_crossbar(
                    name, events.as_dict(), tiles=tiles
                ),
                on_array,
            )
        )
    gpu_sample = None if work.gpu_sample is None else sampling.on_gpu(work.gpu_sample, share=work.chains)
    pairs.append((sampling.on_gpu(work.gpu_step), gpu_sample))
    pairs.append(
        (sampling.on_cpu(work.cpu_step_s), None if work.cpu_sample_s is None else sampling.on_cpu(work.cpu_sample_s))
    )
    per_nat = [
        sampling.per_nat(step, work.steps, work.gained_nats) if work.gained_nats > 0 else None for step, _ in pairs
    ]
    notes = _cost_notes(work)
    if json:
        rows = [
            {"machine": step.machine, "step": step._asdict(), "effective_sample": one and one._asdict()}
            | {"nat": nat and nat._asdict()}
            for (step, one), nat in zip(pairs, per_nat, strict=True)
        ]
        events = {name: array.step.as_dict() for name, array in work.arrays.items()}
        events["z1"] = work.pbits.step.as_dict()
        facts: dict[str, Any] = {"steps": work.steps, "gained_nats": work.gained_nats, "gained_on": work.gained_on}
        facts |= {"tau_int": work.mixing.tau_int, "array_tau_int": work.array_mixing.tau_int}
        facts |= {"array_tau_int_of": work.array_mixing.of, "burn_in_share": work.burn_in_share}
        facts |= {"events_a_step": events, "machines": rows, "notes": notes}
        print(json_format.dumps(facts, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("events of a training step", *work.arrays, "p-bits (z1)", title="Counted")
    columns = [array.step.as_dict() for array in work.arrays.values()] + [work.pbits.step.as_dict()]
    for event in columns[0]:
        if any(column[event] for column in columns):
            table.add_row(event, *(f"{column[event]:,}" for column in columns))
    console.print(table)
    table = Table("joules, and 90 % of the belief", "training step", "effective sample", "nat gained", "evidence")
    for (step, one), nat in zip(pairs, per_nat, strict=True):
        table.add_row(step.machine, _joules(step), _joules(one), _joules(nat), step.evidence)
    console.print(table)
    print(f"{work.steps} steps gained {work.gained_nats:.2f} nats a row on {work.gained_on} rows over the biases alone")
    for note in notes:
        print(note)


def _cost_notes(work: Any) -> list[str]:
    """What an effective sample is made of, and where each τ is from."""

    def words(mixing: Any) -> str:
        return mixing.refused or f"τ of {mixing.of} is {mixing.tau_int:.1f} sweeps"

    is_measured = work.array_mixing is not work.mixing
    arrays = (
        words(work.array_mixing) if is_measured else "that of the ideal chain, not measured on a chip: name --array"
    )
    return [
        f"an effective sample is τ sweeps, {work.burn_in_share:g} of as many for the burn-in, and one read-out",
        f"p-bits, GPU, CPU: {words(work.mixing)}",
        f"crossbars: τ is {arrays}" if not is_measured else f"crossbars: {arrays}",
        "p-bits: the negative phase only, as if the graph fitted; arrays: products of one array, the rest on a GPU",
    ]


def _priced(price: Any, events: Any) -> tuple[Any, Any]:
    return price(events.step), None if events.sample is None else price(events.sample)


def _joules(bill: Any) -> str:
    if bill is None:
        return "-"
    low, median, high = bill.joules
    return f"{median:.2e}\n{low:.1e} to {high:.1e}"


def _with_error(result: dict[str, Any], name: str, error: str) -> str:
    if result[name] is None:
        return "nan"
    return f"{result[name]:.3f} ± {'inf' if result[error] is None else format(result[error], '.3f')}"


def _trust_table(result: dict[str, Any]) -> Any:
    from rich.table import Table

    def value(name: str, digits: int = 3) -> str:
        number = result.get(name)
        return "-" if number is None else f"{number:.{digits}f}"

    tau = value("tau_int_sweeps", 1)
    if result.get("tau_int_sweeps") is None:
        tau = f"at least {value('tau_int_at_least', 1)}: the chains are too short to say"
    table = Table("of samples", "value", "chance, or what it should be")
    table.add_row("effective inverse temperature β", f"{value('beta_eff')} ± {value('beta_eff_error')}", "1")
    table.add_row("sweeps for one independent sample, τ", tau, "1 at best")
    table.add_row("disagreement of chains, R-hat", value("r_hat", 4), f"below 1.01; floor {value('r_hat_floor', 4)}")
    if "mmd_squared" in result:
        table.add_row(
            "kernel distance, MMD²", value("mmd_squared", 5), f"below {value('mmd_squared_floor', 5)} in 95 of 100"
        )
    told = f"{value('adversarial_accuracy_expected')} ± {value('adversarial_accuracy_error')}"
    table.add_row("told apart by nearest neighbour", value("adversarial_accuracy"), told)
    table.add_row(
        "error of pair correlations", value("correlation_error", 4), f"floor {value('correlation_error_floor', 4)}"
    )
    return table


def _match_words(report: dict[str, Any]) -> list[str]:
    """Whether samples match the training rows, test by test, and how many of them are copies."""
    lines = []
    if "mmd_squared" in report:
        is_far = report["mmd_p_value"] < 0.05
        verdict = "differs from" if is_far else "is not told from"
        lines.append(
            f"kernel distance: {verdict} the training rows (MMD² {report['mmd_squared']:.5f}, 95 of 100 below "
            f"{report['mmd_squared_floor']:.5f}, p {report['mmd_p_value']:.3f})"
        )
    if "adversarial_accuracy" in report:
        excess = report["adversarial_accuracy"] - report["adversarial_accuracy_expected"]
        is_told = excess > 2 * report["adversarial_accuracy_error"]
        lines.append(
            f"nearest neighbours: {'told' if is_told else 'not told'} apart ({report['adversarial_accuracy']:.3f}, "
            f"chance {report['adversarial_accuracy_expected']:.3f} ± {report['adversarial_accuracy_error']:.3f})"
        )
        lines.append(
            f"pair correlations: error {report['correlation_error']:.4f}, of which sampling alone is "
            f"{report['correlation_error_floor']:.4f}"
        )
    lines.append(f"copies: {100 * report['share_of_copies']:.1f} % of the samples are training rows, bit by bit")
    return lines


def _pictures(directory: Path, path: Path) -> None:
    import jax
    import numpy as np

    from ebm import run
    from ebm.figures import model_figure, write_page
    from ebm.samplers import gibbs

    found = run.model(directory)
    _, parts = run.open_data(directory)
    start_key, sweep_key = jax.random.split(jax.random.key(0))
    chains = jax.jit(gibbs.sweeps, static_argnums=3)(
        sweep_key, found.params, gibbs.init(start_key, found.params, 64), 1000
    )
    title = f"{directory.name}: {found.settings.model}, {found.settings.hidden} hidden units, step {found.step}"
    picture = model_figure(found.params, np.asarray(chains.visible), parts.train, title, run.read_looks(directory))
    write_page(picture, path)
    print(f"wrote {path}", file=sys.stderr)


def _checksum(params: Any) -> str:
    import hashlib

    import numpy as np

    return hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in params)).hexdigest()


def command(arguments: Sequence[str]) -> None:
    """Read the command line and do what it says."""
    tyro.extras.subcommand_cli_from_dict(
        {"train": train, "evaluate": evaluate, "sample": sample, "sweep": sweep, "cost": cost},
        prog="ebm",
        description="Energy-based models: train, evaluate, sample, sweep, cost. `ebm --version` prints the version.",
        args=["--n" if argument == "-n" else argument for argument in arguments],
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
    )


def main() -> None:
    """The console script `ebm`."""
    run_command(command, "ebm")


if __name__ == "__main__":
    main()
