"""The frame every command shares: a user's mistake is one sentence on stderr and exit code 2, never a traceback."""

import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version


def check_seed(seed: int) -> int:
    """The seed itself, if every generator can take it. Raises ValueError outside 0 to 2**32 − 1."""
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must be from 0 to 2^32 - 1, got {seed}")
    return seed


def run(command: Callable[[Sequence[str]], int | None], program: str) -> None:
    """Run `command(arguments)` as the console script `program` and exit with what it returns (None means 0).

    ValueError and OSError are how the libraries report wrong input, so they become one line and exit code 2.
    ^C exits with 130 after the command has saved what it can; a closed pipe (`| head`) ends quietly.
    """
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        print(f"{program} {version('barrierless')}")
        raise SystemExit(0)
    try:
        code = command(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stdout = None  # the reader is gone; a flush at interpreter exit would complain again
        code = 0
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"{program}: {where}{error.strerror or error}", file=sys.stderr)
        code = 2
    except ValueError as error:
        print(f"{program}: {' '.join(str(error).split())}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        code = 130
    raise SystemExit(code or 0)
