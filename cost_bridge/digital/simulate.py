"""The resilience model as a machine that really fails: one event after the other, no formula of `resilience` used.

What is random: exponential times between failures, exponential repairs. Standard library only.
"""

import math
from random import Random
from typing import NamedTuple

from .resilience import Cluster, check_groups, checkpoint_hours, failure_hours


class Estimate(NamedTuple):
    """A mean over independent runs and its standard error."""

    mean: float
    standard_error: float


def slowdown(cluster: Cluster, *, interval_hours: float, work_hours: float, runs: int = 200, seed: int = 0) -> Estimate:
    """Wall time over failure-free work time of simulated runs with a checkpoint every `interval_hours` of wall time.

    Without tolerance a failure loses the work since the last checkpoint and costs an uninterrupted restart; the
    failures go on during checkpoints and restarts. With tolerance groups fail and are repaired one by one, the others
    work on, and the run is interrupted, then restarted with every group up, when one more than tolerated is down.
    """
    if runs < 2 or not work_hours > 0 or not interval_hours > 0:
        raise ValueError(
            "a simulation needs runs >= 2, work_hours > 0 and interval_hours > 0, "
            f"got {runs}, {work_hours} and {interval_hours}"
        )
    random = Random(f"{seed}/slowdown")
    groups, spare = check_groups(cluster)
    one = _tolerant if spare else _plain
    # Whole segments, so that the last one is like the others.
    segments = max(1, round(work_hours / interval_hours))
    times = [one(random, cluster, groups, spare, interval_hours, segments) for _ in range(runs)]
    work = segments * interval_hours
    return _estimate([time / work for time in times])


def interruption_hours(cluster: Cluster, *, runs: int = 500, seed: int = 0) -> Estimate:
    """Mean time from all groups up to the first interruption, by simulating failures and repairs alone."""
    random = Random(f"{seed}/interruption")
    groups, spare = check_groups(cluster)
    return _estimate([_until_down(random, cluster, groups, spare) for _ in range(runs)])


def _plain(random: Random, cluster: Cluster, groups: int, spare: int, interval: float, segments: int) -> float:
    rate, checkpoint, restart = 1 / failure_hours(cluster), checkpoint_hours(cluster), cluster.restart_hours
    clock, failure = 0.0, random.expovariate(rate)
    for _ in range(segments):
        while failure < clock + interval + checkpoint:
            clock = failure
            failure = clock + random.expovariate(rate)
            while failure < clock + restart:
                clock = failure
                failure = clock + random.expovariate(rate)
            clock += restart
        clock += interval + checkpoint
    return clock


def _tolerant(random: Random, cluster: Cluster, groups: int, spare: int, interval: float, segments: int) -> float:
    """Work is counted in group hours: a group that is down does none. A restart begins with every group up."""
    failing, checkpoint = 1 / (failure_hours(cluster) * groups), checkpoint_hours(cluster)
    goal, saved, clock, into = segments * interval * groups, 0.0, 0.0, 0.0
    while True:
        down, done = 0, saved
        while down <= spare:
            up = groups - down
            breaking = up * failing
            both = breaking + down / cluster.restart_hours
            wait = random.expovariate(both)
            # into: wall time since the last checkpoint was complete; negative during a restart.
            while wait > 0:
                working = 0 <= into < interval
                left = -into if into < 0 else interval - into if working else interval + checkpoint - into
                if working and (goal - done) / up <= min(wait, left):
                    return clock + (goal - done) / up + checkpoint
                step = min(wait, left)
                clock, wait, done = clock + step, wait - step, done + (up * step if working else 0.0)
                into = into + step if step < left else 0.0 if into < 0 else interval if working else 0.0
                if step == left and into == 0.0:
                    saved = done
            down += 1 if random.random() < breaking / both else -1
        into = -cluster.restart_hours


def _until_down(random: Random, cluster: Cluster, groups: int, spare: int) -> float:
    failing, clock, down = 1 / (failure_hours(cluster) * groups), 0.0, 0
    while down <= spare:
        breaking = (groups - down) * failing
        both = breaking + down / cluster.restart_hours
        clock += random.expovariate(both)
        down += 1 if random.random() < breaking / both else -1
    return clock


def _estimate(values: list[float]) -> Estimate:
    mean = math.fsum(values) / len(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return Estimate(mean, math.sqrt(variance / len(values)))
