"""How much longer a run takes on a machine that fails: checkpoints at the best interval, spare groups, restarts.

Exponential failures at mean time M; a checkpoint takes d and is written every t of work; a failure costs a restart R,
during which the machine may fail again, and the work since the last checkpoint. Exactly (the complete cost function of
Daly 2006):

    wall time / work = M e^(R/M) (e^((t+d)/M) - 1) / t            least at (1 - t/M) e^(t/M) = e^(-d/M)

With tolerance, groups of machines fail and are repaired one by one, and the run is interrupted only when one more than
`tolerated_groups` is down. Arithmetic only, except for whole numbers of groups: arrays pass through.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from ..price import Number


class Cluster(NamedTuple):
    """A machine, its failures, its checkpoints. parallel_groups and tolerated_groups are whole numbers."""

    gpus: Number
    gpu_mtbf_hours: Number
    cpu_mtbf_hours: Number
    gpus_per_cpu: Number
    state_gb_per_gpu: Number
    storage_gb_per_s: Number
    restart_hours: Number
    parallel_groups: int = 100
    tolerated_groups: int = 0


class Slowdown(NamedTuple):
    """factor: wall time over failure-free time. interruption_hours: mean time between interruptions of the run.

    checkpoint_hours and interval_hours: how long one takes, and the work between two. capacity: mean share of the
    groups that work.
    """

    factor: Number
    interruption_hours: Number
    checkpoint_hours: Number
    interval_hours: Number
    capacity: Number


def failure_hours(cluster: Cluster) -> Number:
    """Mean time between failures of any GPU or CPU of the machine."""
    cpus = cluster.gpus / cluster.gpus_per_cpu
    return 1.0 / (cluster.gpus / cluster.gpu_mtbf_hours + cpus / cluster.cpu_mtbf_hours)


def checkpoint_hours(cluster: Cluster) -> Number:
    """Writing every GPU's state to the file system."""
    return cluster.gpus * cluster.state_gb_per_gpu / cluster.storage_gb_per_s / 3600


def daly(interval: Number, checkpoint: Number, restart: Number, mtbf: Number) -> Number:
    """Wall time over work at a given interval (Daly 2006); all times in one unit."""
    return mtbf * math.e ** (restart / mtbf) * (math.e ** ((interval + checkpoint) / mtbf) - 1) / interval


def best_interval(checkpoint: Number, mtbf: Number) -> Number:
    """The interval that `daly` is least at, to rounding: Newton's method on (1 - x) e^x = e^(-d/M), from x = 1 down."""
    target = math.e ** (-checkpoint / mtbf)
    x = 1.0 + 0.0 * target
    for _ in range(64):
        x = x - ((1 - x) * math.e**x - target) / (-x * math.e**x)
    return x * mtbf


def least_factor(checkpoint: Number, restart: Number, mtbf: Number) -> Number:
    """`daly` at its best interval t: there it equals e^((R + t + d) / M), which keeps its digits for small d too."""
    return math.e ** ((restart + best_interval(checkpoint, mtbf) + checkpoint) / mtbf)


def slowdown(cluster: Cluster) -> Slowdown:
    """The machine at its best checkpoint interval. Raises ValueError for impossible numbers of groups."""
    groups, spare = check_groups(cluster)
    checkpoint = checkpoint_hours(cluster)
    mtbf, capacity = failure_hours(cluster), 1.0
    if spare:
        failing = 1.0 / (mtbf * groups)
        mtbf = interruption_hours(failing, cluster.restart_hours, groups, spare)
        capacity = 1.0 / (1.0 + failing * cluster.restart_hours)
    factor = least_factor(checkpoint, cluster.restart_hours, mtbf) / capacity
    return Slowdown(factor, mtbf, checkpoint, best_interval(checkpoint, mtbf), capacity)


def interruption_hours(failing: Number, repair_hours: Number, groups: int, tolerated: int) -> Number:
    """Mean time from all `groups` up until one more than `tolerated` is down: a birth and death chain, exactly.

    failing: failures per hour of one group; repairs are independent with mean `repair_hours`. From i down to i + 1 down
    takes h_i = (1 + i mu h_(i-1)) / ((G - i) lambda) on average.
    """
    total, step = 0.0, 0.0
    for down in range(tolerated + 1):
        step = (1.0 + down / repair_hours * step) / ((groups - down) * failing)
        total = total + step
    return total


def check_groups(cluster: Cluster) -> tuple[int, int]:
    """The two whole numbers. Raises ValueError for ones that cannot be."""
    groups, spare = int(cluster.parallel_groups), int(cluster.tolerated_groups)
    if groups != cluster.parallel_groups or spare != cluster.tolerated_groups or not 0 <= spare < groups:
        raise ValueError(
            "tolerated_groups must be a whole number from 0 to one less than parallel_groups, "
            f"got {cluster.tolerated_groups} of {cluster.parallel_groups}"
        )
    return groups, spare


def best_size(cluster: Cluster, *, most: float = 2e5) -> float:
    """The number of GPUs at which a run of fixed work takes least time; `most` where it still falls there.

    Wall time is proportional to factor / gpus, which falls, then rises: golden-section search on its logarithm.
    """
    low, high = 1.0, float(most)
    golden = (math.sqrt(5) - 1) / 2

    def wall(gpus: float) -> float:
        return math.log(slowdown(cluster._replace(gpus=gpus)).factor / gpus)

    while high - low > 1.0:
        left, right = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, right) if wall(left) < wall(right) else (left, high)
    return (low + high) / 2


def effective_fraction(cluster: Cluster) -> Number:
    """Share of the wall time that is work on the trained model: one over the slow-down."""
    return 1.0 / slowdown(cluster).factor


def cluster(tables: Mapping[str, Mapping[str, Number]], *, optimised: str = "nothing") -> Cluster:
    """The machine of Table 3 of Faraboschi 2024. optimised: 'nothing', 'checkpoints' (2 TB/s, half the memory) or
    'everything' (also 5 of 100 groups may be down). Raises ValueError for another word."""
    if optimised not in ("nothing", "checkpoints", "everything"):
        raise ValueError(f"optimised must be nothing, checkpoints or everything, got {optimised!r}")
    own, better = tables["paper.cluster"], optimised != "nothing"
    return Cluster(
        gpus=own["size_gpus"],
        gpu_mtbf_hours=own["gpu_mtbf_hours"],
        cpu_mtbf_hours=own["cpu_mtbf_hours"],
        gpus_per_cpu=own["gpus_per_cpu"],
        state_gb_per_gpu=own["gpu_memory_gb"] * (own["optimised_memory_fraction"] if better else 1.0),
        storage_gb_per_s=own["optimised_storage_gb_per_s"] if better else own["storage_gb_per_s"],
        restart_hours=own["restart_hours"],
        parallel_groups=own["parallel_groups"],
        tolerated_groups=own["tolerated_groups"] if optimised == "everything" else 0,
    )


def observed_cluster(own: Mapping[str, Number]) -> Cluster:
    """A published run from its observed interruptions: a row of models.toml with a window, such as llama3_405b."""
    hours = own["cluster_gpus"] * own["window_days"] * 24 / own["interruptions"]
    return Cluster(
        gpus=own["cluster_gpus"],
        gpu_mtbf_hours=hours,
        cpu_mtbf_hours=math.inf,
        gpus_per_cpu=1.0,
        state_gb_per_gpu=own["state_gb_per_gpu"],
        storage_gb_per_s=own["storage_gb_per_s"],
        restart_hours=own["restart_hours"],
    )
