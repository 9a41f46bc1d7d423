"""The command `ebm`: train an energy-based model, evaluate how far to trust it, sample, sweep and price it."""

from collections.abc import Sequence

import tyro

from cost_bridge.cli import run as run_command
from ebm.commands.cost import cost
from ebm.commands.evaluate import evaluate
from ebm.commands.sample import sample
from ebm.commands.sweep import sweep
from ebm.commands.train import train


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
