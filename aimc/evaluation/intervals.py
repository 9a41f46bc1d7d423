"""What a mean over chips is worth: the interval that more chips would narrow, and the one that more labels would."""

from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    import xarray

LEVEL = 0.95


def mean_interval(
    values: Float[np.ndarray, "*points n_chips"], level: float = LEVEL
) -> tuple[Float[np.ndarray, "*points"], Float[np.ndarray, "*points"]]:
    """Student's interval of the mean over chips on the test set at hand: m ± t(n − 1) s/√n (Student 1908).

    Exact for Gaussian values, and by the central limit theorem nearly so for others. Infinite for one chip, which says
    nothing about the next.
    """
    from scipy.stats import t

    n = values.shape[-1]
    mean = np.asarray(np.mean(values, axis=-1))
    if n == 1:
        return np.full_like(mean, -np.inf), np.full_like(mean, np.inf)
    half = t.ppf(0.5 + level / 2, n - 1) * np.std(values, axis=-1, ddof=1) / sqrt(n)
    return np.asarray(mean - half), np.asarray(mean + half)


def share_interval(
    share: Float[np.ndarray, "*points"], n: int, level: float = LEVEL
) -> tuple[Float[np.ndarray, "*points"], Float[np.ndarray, "*points"]]:
    """Wilson's (1927) interval of a share of `n` independent trials:
    (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n).

    For a mean accuracy over chips that share one test set of `n` labels it is the part that more chips do not narrow,
    and not too narrow: every label is right on its own share of chips, and the variance of shares with mean p is at
    most p(1 − p). Labels that follow each other in a text are not independent; there it is too narrow.
    """
    from scipy.stats import norm

    z = norm.ppf(0.5 + level / 2)
    middle, half = share + z**2 / (2 * n), z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.asarray((middle - half) / (1 + z**2 / n)), np.asarray((middle + half) / (1 + z**2 / n))


def summary(results: "xarray.Dataset") -> "xarray.Dataset":
    """Of what `over_time` found, over chips, by time and compensation, for accuracy and loss:

    `_mean` with its 95 % interval `_low` to `_high` on this test set (`mean_interval`); `_p5` to `_p95`, the band in
    which 90 % of chips lie; and `accuracy_test_low` to `accuracy_test_high`, the interval of the mean accuracy for the
    choice of the test set alone (`share_interval`).
    """
    found = {}
    for name in ("accuracy", "loss"):
        values = results[name].transpose(..., "chip")
        parts = {"mean": values.mean("chip").values}
        parts["low"], parts["high"] = mean_interval(values.values.astype(float))
        parts["p5"], parts["p95"] = np.quantile(values.values, [0.05, 0.95], axis=-1)
        if name == "accuracy":
            parts["test_low"], parts["test_high"] = share_interval(
                parts["mean"].astype(float), results.attrs["n_labels"]
            )
        found |= {f"{name}_{part}": (values.dims[:-1], number) for part, number in parts.items()}
    coordinates = {name: results[name] for name in results["accuracy"].dims if name != "chip"}
    return results.drop_vars(list(results.data_vars)).drop_dims("chip").assign(found).assign_coords(coordinates)


def as_rows(results: "xarray.Dataset") -> list[dict[str, Any]]:
    """`summary` as plain rows, one a compensation and time, for tables and JSON."""
    found = summary(results)
    return [
        {"compensation": str(kind), "time_s": float(time)}
        | {str(name): float(part.sel(compensation=kind, time_s=time)) for name, part in found.data_vars.items()}
        for kind in found["compensation"].values
        for time in found["time_s"].values
    ]
