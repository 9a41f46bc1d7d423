"""`ebm evaluate`: how far to trust a trained model, as tables or JSON."""

import json as json_format
from pathlib import Path
from typing import Any

from cost_bridge.cli import check_seed
from ebm.commands.pictures import write_pictures
from ebm.hardware import Hardware


def evaluate(
    directory: Path,
    /,
    *,
    hardware: Hardware = Hardware(),  # noqa: B008  frozen
    chips: int = 1,
    chains: int = 512,
    sweeps: int = 1000,
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
        chains: Independent chains, whose last states are compared with the data.
        sweeps: Sweeps of every chain that are looked at, after half as many that are not.
        ais_betas: Temperatures of the annealing that bounds the likelihood of models too large to enumerate.
        seed: Every random number follows from it.
        pictures: An HTML page with weights, data and samples.
        json: Print JSON instead of a table.
    """
    from ebm import evaluate as evaluation
    from ebm import trust

    check_seed(seed)
    for name, value, least in (("chains", chains, 8), ("sweeps", sweeps, 8), ("ais_betas", ais_betas, 2)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    effort = trust.EFFORT._replace(chains=chains, burn_in=sweeps // 2, sweeps=sweeps, ais_betas=ais_betas)
    result = evaluation.evaluate(directory, chosen=hardware, chips=chips, effort=effort, seed=seed)
    if pictures is not None:
        write_pictures(directory, pictures)
    if json:
        print(json_format.dumps(result, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    state = "finished" if result["is_finished"] else "unfinished: its test rows are not looked at"
    print(f"{directory}: {result['model']}, step {result['step']}, {state}")
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
    print(f"chosen on {where}; evaluations that looked at the test rows, this one included: {result['test_looks']}")


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
    beta, wanted = f"{value('beta_eff')} ± {value('beta_eff_error')}", "1"
    if result.get("beta_eff") is None:
        beta, wanted = "-", "not defined for these units or samples"
    table.add_row("effective inverse temperature β", beta, wanted)
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
