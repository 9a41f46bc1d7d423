"""Do several chains agree, and how much are they worth together: rank-normalised split R-hat and bulk ESS.

Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), "Rank-normalization, folding, and localization". Ranks make both
meaningful for any law, heavy-tailed or discrete (ties share their mean rank).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, Shaped
from scipy.special import ndtri
from scipy.stats import f as f_law
from scipy.stats import rankdata

from ebm.diagnostics.autocorrelation import autocovariance

Draws = Shaped[Array, "n_chains n_steps"] | Shaped[np.ndarray, "n_chains n_steps"]


class RHat(NamedTuple):
    """R-hat, and the `floor` that chains of one law with this ESS stay under in 99 of 100 cases.

    Above 1.01 the chains disagree (the authors' threshold); below the floor the run could not have shown it.
    """

    value: float
    floor: float


class BulkEss(NamedTuple):
    """Effective sample size of all chains together, with its standard error."""

    value: float
    error: float


def r_hat(draws: Draws) -> RHat:
    """The larger of R-hat of the rank-normalised split chains and of their folded values, |x − median|.

    The first sees chains of different means, the second of different widths. The floor takes B/W as F-distributed with
    as many draws as a half chain, by itself, is worth. Chains that never move, each at a value of its own, have an
    infinite R-hat; if all are at one value it is nan. Raises ValueError for fewer than 8 steps a chain.
    """
    x = _split(draws)
    if np.ptp(x) == 0:
        return RHat(np.nan, np.nan)
    folded = np.abs(x - np.median(x))
    scores = [_normal_scores(each) for each in (x, folded) if np.ptp(each)]
    # About each chain's own mean: counting their disagreement as autocorrelation would excuse it.
    worth = min(_ess(z - z.mean(axis=1, keepdims=True))[0] for z in scores)
    m, n = len(x), max(worth / len(x), 2.0)
    n_half = x.shape[1]
    floor = np.sqrt((n_half - 1) / n_half + f_law.ppf(0.995, m - 1, m * (n - 1)) / (n - 1))
    return RHat(max(_potential(z) for z in scores), float(floor))


def bulk_ess(draws: Draws) -> BulkEss:
    """ESS of the rank-normalised split chains, by Geyer's initial monotone sequence.

    It falls when chains disagree, where `tau_int` assumes that they do not. The error is that of a sum of
    autocorrelations up to where this one stopped, ESS √(2 (2 lag + 1) / n): rather too large, as the sequence is kept
    monotone. nan when no value ever changes. Raises ValueError for fewer than 8 steps a chain.
    """
    x = _split(draws)
    if np.ptp(x) == 0:
        return BulkEss(np.nan, np.nan)
    value, window = _ess(_normal_scores(x))
    return BulkEss(float(value), float(value * np.sqrt(2 * (2 * window + 1) / x.size)))


def _split(draws: Draws) -> Float[np.ndarray, "n_halves n_half"]:
    x = np.asarray(draws, np.float64)
    if x.ndim != 2 or x.shape[1] < 8 or not np.isfinite(x).all():
        raise ValueError(f"draws must be finite, (n_chains, n_steps) with at least 8 steps, got {x.shape}")
    half = x.shape[1] // 2
    return np.concatenate([x[:, :half], x[:, -half:]])


def _normal_scores(x: Float[np.ndarray, "m n"]) -> Float[np.ndarray, "m n"]:
    ranks = rankdata(x, method="average").reshape(x.shape)
    return ndtri((ranks - 0.375) / (x.size + 0.25))


def _potential(z: Float[np.ndarray, "m n"]) -> float:
    n = z.shape[1]
    within = z.var(axis=1, ddof=1).mean()
    between = z.mean(axis=1).var(ddof=1)
    return float(np.sqrt((n - 1) / n + between / within)) if within > 0 else np.inf


def _ess(z: Float[np.ndarray, "m n"]) -> tuple[float, int]:
    """ESS and the lag at which the sum of autocorrelations was stopped (Vehtari et al. 2021)."""
    m, n = z.shape
    covariance = autocovariance(z - z.mean(axis=1, keepdims=True)).mean(axis=0) * n / (n - 1)
    total = covariance[0] * (n - 1) / n + z.mean(axis=1).var(ddof=1)
    if total <= 0:
        return np.nan, 0
    rho = 1 - (covariance[0] - covariance * (n - 1) / n) / total
    rho[0] = 1.0
    pairs = rho[: 2 * max((n - 3) // 2, 1)].reshape(-1, 2).sum(axis=1)
    stop = int(np.argmax(pairs < 0)) if (pairs < 0).any() else len(pairs)
    # The last positive even term is kept, as by the authors: it steadies short, antithetic chains.
    last = max(rho[2 * stop], 0.0) if 2 * stop < len(rho) else 0.0
    tau = -1 + 2 * np.minimum.accumulate(pairs[:stop]).sum() + last
    return m * n / max(tau, 1 / np.log10(m * n)), 2 * stop
