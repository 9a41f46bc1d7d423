"""How many steps of a chain are worth one independent sample: the integrated autocorrelation time."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, Shaped

# Sokal (1997, "Monte Carlo methods in statistical mechanics"): the sum stops at the first window of at least this many
# times its own value. With a remainder that falls as exp(−2 window/τ), 5 leaves e⁻¹⁰. Below τ = 1 it is 5 steps.
WINDOW = 5.0
STEPS_PER_TAU = 50.0


class TauInt(NamedTuple):
    """τ = 1 + 2 Σ ρ_t, 1 for independent samples: n steps are worth n/τ.

    `value` and `error` are nan when a chain is shorter than 50 τ by its own estimate, which is then biased, mostly low.
    What is left is `at_least`, estimate / (1 + 2 relative errors). `window` is where the sum was stopped. The refusal
    cannot be complete: of autoregressive chains of 25 τ about a quarter underestimate τ enough to pass.
    """

    value: float
    error: float
    at_least: float
    window: int


def tau_int(series: Shaped[Array, "..."] | Shaped[np.ndarray, "..."]) -> TauInt:
    """τ of a stationary series, `(n_steps,)` or `(n_chains, n_steps)`, the chains being of one law.

    Autocovariances are taken about the mean of all chains, averaged over them and summed up to Sokal's automatic
    window; the error is τ √(2 (2 window + 1) / n), n being the number of all steps (Madras & Sokal 1988,
    whose τ is half of this one). A series that never changes has no τ: all is nan. Raises ValueError for a series
    shorter than 4 steps or with values that are not finite.
    """
    x = np.atleast_2d(np.asarray(series, np.float64))
    if x.ndim != 2 or x.shape[1] < 4 or not np.isfinite(x).all():
        raise ValueError(
            f"series must be finite, (n_steps,) or (n_chains, n_steps) with at least 4 steps, got {x.shape}"
        )
    covariance = autocovariance(x - x.mean()).mean(axis=0)
    if covariance[0] <= 0:
        return TauInt(np.nan, np.nan, np.nan, 0)
    tau = 2 * np.cumsum(covariance / covariance[0]) - 1
    is_enough = np.arange(len(tau)) >= WINDOW * np.maximum(tau, 1)
    # Without a window the largest partial sum: about the mean of the series all lags together sum to nothing.
    window = int(np.argmax(is_enough)) if is_enough.any() else int(np.argmax(tau))
    estimate, relative = float(tau[window]), float(np.sqrt(2 * (2 * window + 1) / x.size))
    if not is_enough.any() or x.shape[1] < STEPS_PER_TAU * estimate:
        return TauInt(np.nan, np.nan, estimate / (1 + 2 * relative), window)
    return TauInt(estimate, estimate * relative, estimate / (1 + 2 * relative), window)


def autocovariance(x: Float[np.ndarray, "n_chains n_steps"]) -> Float[np.ndarray, "n_chains n_steps"]:
    """Σ_s x_s x_{s+t} / n of every chain and every lag, about zero, by Fourier transform."""
    n = x.shape[1]
    spectrum = np.fft.rfft(x, n=2 * n, axis=1)
    return np.fft.irfft(np.abs(spectrum) ** 2, n=2 * n, axis=1)[:, :n] / n
