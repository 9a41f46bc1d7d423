"""The run directory of `ebm train`: an `aimc.checkpoint` one, and

DIR/validation.json   looks at the validation rows, where the run has some, and the best state in DIR/best/
DIR/evaluation.json   what `ebm evaluate` found
"""

from pathlib import Path

from aimc import checkpoint
from aimc.checkpoint import create as create
from aimc.checkpoint import latest_step as latest_step
from aimc.checkpoint import load as load
from aimc.checkpoint import read_record as read_record
from aimc.checkpoint import write_json as write_json
from ebm.train import TrainState

LOOKS_FILE = "validation.json"
BEST = "best"


def save(directory: Path, state: TrainState) -> Path:
    """Write `state` as the newest one of the run and drop all but the two newest."""
    return checkpoint.save(directory, int(state.step), state)
