"""Settings every test shares: shapes and types are checked, compiled programs are kept, in CI a skip is a failure."""

import os
import signal
from pathlib import Path

import pytest

# Before jax is imported anywhere; subprocesses inherit both.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parent.parent / ".jax_cache"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

from jaxtyping import install_import_hook

# Started in the background a shell ignores ^C for us, and so would the commands whose ^C is tested.
signal.signal(signal.SIGINT, signal.default_int_handler)

install_import_hook(["aimc", "hnn_sat", "ebm"], "beartype.beartype")

SKIPPED: list[str] = []


@pytest.fixture(autouse=True, scope="module")
def _forget_compiled_programs():
    """Every compiled program keeps some memory maps, of which a process may have 65,530: a whole suite has more."""
    yield
    import jax

    jax.clear_caches()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember skips, except those for want of a GPU."""
    if report.skipped and "GPU" not in str(report.longrepr):
        SKIPPED.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A skipped test proves nothing: where everything is installed on purpose it counts as failed."""
    if os.environ.get("CI") == "true" and SKIPPED:
        print(f"\nskipped in CI, where nothing may be: {', '.join(SKIPPED)}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
