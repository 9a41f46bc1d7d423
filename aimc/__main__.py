"""The command `aimc`: list cells and arrays, train networks on them, sweep what they are made of, solve wires."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import tyro

from aimc import circuit, wires_map
from aimc.commands import devices, evaluate, presets, sensitivity, sweep, train
from cost_bridge import cli

COMMANDS: dict[type, Callable[[Any], None]] = {
    devices.Devices: devices.run,
    evaluate.Evaluate: evaluate.run,
    presets.Presets: presets.run,
    sensitivity.Sensitivity: sensitivity.run,
    sweep.Sweep: sweep.run,
    train.Train: train.run,
    circuit.SolveCircuit: circuit.run,
    wires_map.WiresMap: wires_map.run,
}

Command = (
    Annotated[devices.Devices, tyro.conf.subcommand("devices")]
    | Annotated[evaluate.Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[presets.Presets, tyro.conf.subcommand("presets")]
    | Annotated[sensitivity.Sensitivity, tyro.conf.subcommand("sensitivity")]
    | Annotated[sweep.Sweep, tyro.conf.subcommand("sweep")]
    | Annotated[train.Train, tyro.conf.subcommand("train")]
    | Annotated[circuit.SolveCircuit, tyro.conf.subcommand("solve-circuit")]
    | Annotated[wires_map.WiresMap, tyro.conf.subcommand("wires-map")]
)


def command(arguments: Sequence[str]) -> None:
    """Parse and run. Raises ValueError and OSError for the caller's mistakes."""
    chosen = tyro.cli(Command, args=arguments, prog="aimc", description=__doc__)
    COMMANDS[type(chosen)](chosen)


def main() -> None:
    """Entry point of the console script."""
    cli.run(command, "aimc")


if __name__ == "__main__":
    main()
