"""A quantity between two stochastic bounds, one from each direction of annealing, and when to trust them."""

from dataclasses import dataclass, field

import jax
import numpy as np
from jaxtyping import Array, Float, Key

from ebm.ais.annealing import Rows, forward, linear_betas, reverse
from ebm.ais.layered_path import path_of
from ebm.ais.path import Path
from ebm.likelihood import Layered

TRUSTED_GAP_NATS = 1.0
LEAST_EFFECTIVE_CHAINS = 5.0
"""Fewer effective chains than this say little of the mean weight, and nothing of its error."""


@dataclass(frozen=True)
class Sandwich:
    """A quantity in nats between two stochastic bounds, each of which holds in expectation, not in every run."""

    quantity: str  # "log Z" or "mean log-likelihood"
    lower: float
    upper: float
    lower_error: float  # standard error over the chains of this run, infinite where it had fewer than two
    upper_error: float
    ess: float  # effective number of forward chains, (sum w)^2 / sum w^2
    reverse_ess: float  # of chains back, inverse weights, summed over rows: of one chain a row just the number of rows
    n_chains: int  # forward
    n_reverse_chains: int
    betas: tuple[float, ...] = field(repr=False)

    @property
    def gap(self) -> float:
        """Upper minus lower bound, in nats; noise can make it slightly negative."""
        return self.upper - self.lower

    @property
    def is_trusted(self) -> bool:
        """Whether the bounds are within 1 nat of each other, each of at least 5 effective chains with an error."""
        return self._objection is None

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        found = (
            f"{self.quantity} between {self.lower:.3f} and {self.upper:.3f} nats (gap {self.gap:.3f}; "
            f"{len(self.betas)} betas, {self.n_chains} chains forward of which {self.ess:.0f} effective, "
            f"{self.n_reverse_chains} back)"
        )
        return found if self._objection is None else f"{found}: do not trust it, {self._objection}"

    @property
    def _objection(self) -> str | None:
        if not abs(self.gap) <= TRUSTED_GAP_NATS:
            return f"the gap is beyond {TRUSTED_GAP_NATS:g} nat; take more betas"
        few = min(self.ess, self.reverse_ess)
        if not few >= LEAST_EFFECTIVE_CHAINS or not np.isfinite([self.lower_error, self.upper_error]).all():
            least = f"{LEAST_EFFECTIVE_CHAINS:g} are needed each way"
            return f"a bound is of {few:.1f} effective chains and {least}; take more betas, chains or rows"
        return None


def log_partition(
    key: Key[Array, ""],
    model: Path | Layered,
    samples: Rows,
    *,
    n_chains: int = 256,
    betas: Float[np.ndarray, " n_betas"] | None = None,
) -> Sandwich:
    """log Z: the lower bound from forward chains, the upper from reverse chains that start at `samples` of the model.

    Samples are positions of the path: joint spins of a graph, else rows. The upper bound is one as far as they follow
    the model: take persistent chains after many sweeps, or exact samples. Samples that miss a mode pull it below the
    truth, as a forward run that misses it does with the lower bound, and then both agree on a wrong value;
    `log_likelihood`, which starts at data, has no such blind spot where the data are. Default betas are 3,000 in equal
    steps. Key is consumed. Raises ValueError as `forward`.
    """
    path, betas = path_of(model), linear_betas(3_000) if betas is None else betas
    forward_key, reverse_key = jax.random.split(key)
    lower, lower_error, ess = _log_mean(forward(forward_key, path, betas, n_chains).log_z)
    down = reverse(reverse_key, path, betas, samples)
    upper, upper_error, reverse_ess = _log_mean(-down.log_z)
    return Sandwich(
        quantity="log Z",
        lower=lower,
        upper=-upper,
        lower_error=lower_error,
        upper_error=upper_error,
        ess=ess,
        reverse_ess=reverse_ess,
        n_chains=n_chains,
        n_reverse_chains=len(down.log_z),
        betas=tuple(map(float, betas)),
    )


def log_likelihood(
    key: Key[Array, ""],
    model: Path | Layered,
    x: Rows,
    *,
    n_chains: int = 256,
    chains_per_row: int = 1,
    betas: Float[np.ndarray, " n_betas"] | None = None,
) -> Sandwich:
    """Mean log p(x) of the rows: the lower bound from reverse chains that start at them, the upper from forward chains.

    Rows of zero or more chains each; the bound of a row takes the logarithm of the mean over its chains, so more of
    them, or more betas, tighten it. Where hidden nodes of the rows are annealed too, their noise is in both errors.
    Default betas are 3,000 in equal steps. Key is consumed.
    Raises ValueError as `forward`, for rows that are no states of the model, and where there is no row or no chain a
    row.
    """
    if len(x) < 1 or chains_per_row < 1:
        raise ValueError(
            f"x and chains_per_row must be at least 1, got {len(x)} rows and {chains_per_row} chains a row"
        )
    path, betas = path_of(model), linear_betas(3_000) if betas is None else betas
    forward_key, reverse_key = jax.random.split(key)
    log_z, upper_error, ess = _log_mean(forward(forward_key, path, betas, n_chains).log_z)
    rows = np.repeat(np.asarray(x, np.float32), chains_per_row, axis=0)
    start = path.complete(jax.random.fold_in(key, 2), rows, betas)
    down = reverse(reverse_key, path, betas, start.position)
    log_p, row_ess = _by_row(start.lower - down.log_z, chains_per_row)
    # Minus log f of each row, by two estimates whose difference is their noise: none where f is known.
    first, second = (_by_row(-upper, chains_per_row)[0] for upper in (start.upper, start.again))
    noise = float(np.sqrt(np.mean((first - second) ** 2) / (4 * len(x))))
    return Sandwich(
        quantity="mean log-likelihood",
        lower=float(np.mean(log_p)),
        upper=-float(np.mean(first + second)) / 2 - log_z,
        # Of the second one, which shares nothing with the chains that brought log p.
        lower_error=float(np.std(log_p + second, ddof=1) / np.sqrt(len(x))) if len(x) > 1 else np.inf,
        upper_error=float(np.hypot(upper_error, noise)),
        ess=ess,
        reverse_ess=float(row_ess.sum()),
        n_chains=n_chains,
        n_reverse_chains=len(down.log_z),
        betas=tuple(map(float, betas)),
    )


def _by_row(log_weights: np.ndarray, chains_per_row: int) -> tuple[np.ndarray, np.ndarray]:
    """The log of the mean weight of each row's chains, and their effective number."""
    log_means, _, ess = zip(*map(_log_mean, log_weights.reshape(-1, chains_per_row)), strict=True)
    return np.array(log_means), np.array(ess)


def _log_mean(log_weights: np.ndarray) -> tuple[float, float, float]:
    """log of the mean weight, its standard error to first order (infinite of one weight), and the effective number."""
    largest = log_weights.max()
    w = np.exp(log_weights - largest)
    n = len(w)
    error = np.std(w, ddof=1) / (np.mean(w) * np.sqrt(n)) if n > 1 else np.inf
    return float(largest + np.log(w.mean())), float(error), float(w.sum() ** 2 / (w**2).sum())
