"""Timing code in this process: CPU seconds, as a rate with the spread that was seen."""

import time
from collections.abc import Callable
from math import sqrt
from statistics import median

from .uncertainty import Rate


def cpu_seconds(run: Callable[[], object], *, per: int = 1, rounds: int = 7) -> Rate:
    """CPU seconds of all threads that `run()` takes, divided by `per`; the first call warms up and is not counted.

    `run` has to wait for its result (`jax.block_until_ready`). The factor spans the rounds seen, and is at least 1.05.
    """
    run()
    seen = []
    for _ in range(rounds):
        start = time.process_time()
        run()
        seen.append((time.process_time() - start) / per)
    return rate(seen)


def rate(seconds: list[float]) -> Rate:
    """The median of repeated timings, with a factor that spans them. Raises ValueError if one is not above zero."""
    if not seconds or min(seconds) <= 0:
        raise ValueError(f"timings must be above 0 s, got {seconds}; time more work at once")
    spread = sqrt(max(seconds) / min(seconds))
    return Rate(median(seconds), max(1.05, spread), "measured", "CPU time of this run")
