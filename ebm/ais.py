"""Annealed importance sampling in both directions: stochastic bounds where the likelihood cannot be enumerated.

Forward (Neal 2001; for RBMs Salakhutdinov & Murray 2008): chains drawn exactly from independent units are annealed to
the model through the laws of the energies (1 - beta_k) E_base + beta_k E, the hidden units summed out. Their weights
have mean Z / Z_base, so log Z_base plus the log of the mean weight is in expectation at most log Z (Jensen's
inequality), and a log-likelihood computed with it in expectation too high. It overshoots log Z by b nats with
probability below exp(-b) (Markov's inequality), but may undershoot by any amount: hence the other direction.

Reverse (Burda, Grosse & Salakhutdinov 2015, "Accurate and conservative estimates of MRF log-likelihood using reverse
annealing"): chains start at rows of data and are annealed back to independent units. Their weights have as mean,
exactly, the probability of that row in the *annealing model*, the law of the last state of a forward chain. So in
expectation the estimate is at most the log-likelihood of the annealing model, which tends to that of the model as the
annealing slows, and is below it on average over rows that the model itself would make (a Kullback-Leibler divergence);
for other rows it is conservative in practice, not by theorem. Chains that start at exact samples of the model instead
bound log Z itself from above (Grosse, Ghahramani & Adams 2015); samples of a chain do so as far as it has mixed.

One increment is log f_k(v) - log f_{k-1}(v). As a difference of two float32 free energies of hundreds of nats it would
lose all its digits when the betas lie close, so it is computed as log(1 + sigmoid(x) (e^d - 1)), d being the change of
a hidden unit's logit x, and increments are added with the rounding error of each sum carried along (Knuth's two-sum):
log weights are good to 1e-6 of their size over 10,000 betas, by test. Weights are averaged on the host in
float64.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebm import likelihood
from ebm.energies import units
from ebm.energies.gaussian import GaussianRbm
from ebm.likelihood import Layered

TRUSTED_GAP_NATS = 1.0
LEAST_EFFECTIVE_CHAINS = 5.0
"""Fewer effective chains than this say little of the mean weight, and nothing of its error."""

Rows = Float[Array, "n n_visible"] | Float[np.ndarray, "n n_visible"]


@dataclass(frozen=True)
class Sandwich:
    """A quantity in nats between two stochastic bounds, each of which holds in expectation, not in every run."""

    quantity: str  # "log Z" or "mean log-likelihood"
    lower: float
    upper: float
    lower_error: float  # standard error over the chains of this run, infinite where it had fewer than two
    upper_error: float
    ess: float  # effective number of forward chains, (sum w)^2 / sum w^2
    reverse_ess: float  # of the chains that came back, with the inverse weights; row by row, then summed over rows
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


class Run(NamedTuple):
    """What chains of one direction brought: where they ended and their log weights, estimates of log Z in float64."""

    visible: Float[Array, "n_chains n_visible"]
    log_z: Float[np.ndarray, " n_chains"]


def linear_betas(n: int) -> Float[np.ndarray, " n"]:
    """`n` betas from 0 to 1 in equal steps. Raises ValueError for fewer than 2."""
    _check_count(n)
    return np.linspace(0.0, 1.0, n)


def geometric_betas(n: int, ratio: float = 10.0) -> Float[np.ndarray, " n"]:
    """`n` betas from 0 to 1 whose steps shrink by a constant factor, the last being `ratio` times smaller.

    For models that change fast near beta = 1, as strongly coupled ones do; a ratio below 1 puts the small steps at the
    start. Raises ValueError for fewer than 2 betas or a ratio that is not positive.
    """
    _check_count(n)
    if not (ratio > 0 and np.isfinite(ratio)):
        raise ValueError(f"ratio must be positive and finite, got {ratio}")
    ends = np.cumsum(np.geomspace(1.0, 1.0 / ratio, n - 1))
    return np.concatenate([[0.0], ends / ends[-1]])


def forward(
    key: Key[Array, ""],
    params: Layered,
    betas: Float[np.ndarray, " n_betas"],
    n_chains: int,
    base: Layered | None = None,
) -> Run:
    """Chains annealed from independent units to the model; `log_z` has a mean of exp equal to Z. Key is consumed.

    `base` is `params.independent(data_mean)` where the mean of the data is known, which starts nearer to a trained
    model than its own visible bias does, the default.
    Raises ValueError for a base with couplings, and betas that do not rise from 0 to 1.
    """
    if n_chains < 1:
        raise ValueError(f"n_chains must be at least 1, got {n_chains}")
    base, betas = _checked(params, betas, base)
    start_key, anneal_key = jax.random.split(key)
    start = base.draw_visible(start_key, jnp.zeros((n_chains, params.n_hidden)))
    visible, gain = _anneal_up(anneal_key, base, params, start, *_steps(betas))
    return Run(visible, likelihood.log_partition_independent(base) + _float64(gain))


def reverse(
    key: Key[Array, ""],
    params: Layered,
    betas: Float[np.ndarray, " n_betas"],
    start: Rows,
    base: Layered | None = None,
) -> Run:
    """Chains annealed from the rows of `start` back to independent units, in the reversed order. Key is consumed.

    From exact samples of the model, exp(-log_z) has mean 1 / Z; from any row v, exp(-F(v) - log_z) has the mean
    p_annealing(v) of the module's docstring.
    Raises ValueError as `forward`.
    """
    base, betas = _checked(params, betas, base)
    ends, steps = _steps(betas)
    visible, gain = _anneal_down(key, base, params, jnp.asarray(start, jnp.float32), ends, steps)
    return Run(visible, likelihood.log_partition_independent(base) + _float64(gain))


def log_partition(
    key: Key[Array, ""],
    params: Layered,
    samples: Rows,
    *,
    n_chains: int = 256,
    betas: Float[np.ndarray, " n_betas"] | None = None,
    base: Layered | None = None,
) -> Sandwich:
    """log Z: the lower bound from forward chains, the upper from reverse chains that start at `samples` of the model.

    The upper bound is one as far as the samples follow the model: take persistent chains after many sweeps, or exact
    samples. Samples that miss a mode pull it below the truth, as a forward run that misses it does with the lower
    bound, and then both agree on a wrong value; `log_likelihood`, which starts at data, has no such blind spot where
    the data are. Default betas are 3,000 in equal steps. Key is consumed. Raises ValueError as `forward`.
    """
    betas = linear_betas(3_000) if betas is None else betas
    forward_key, reverse_key = jax.random.split(key)
    up = forward(forward_key, params, betas, n_chains, base)
    down = reverse(reverse_key, params, betas, samples, base)
    lower, lower_error, ess = _log_mean(up.log_z)
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
    params: Layered,
    x: Rows,
    *,
    n_chains: int = 256,
    chains_per_row: int = 1,
    betas: Float[np.ndarray, " n_betas"] | None = None,
    base: Layered | None = None,
) -> Sandwich:
    """Mean log p(x) of the rows: the lower bound from reverse chains that start at them, the upper from forward chains.

    Rows of zero or more chains each; the bound of a row takes the logarithm of the mean over its chains, so more of
    them, or more betas, tighten it. Default betas are 3,000 in equal steps. Key is consumed.
    Raises ValueError as `forward`, and where there is no row or no chain a row.
    """
    if len(x) < 1 or chains_per_row < 1:
        raise ValueError(
            f"x and chains_per_row must be at least 1, got {len(x)} rows and {chains_per_row} chains a row"
        )
    betas = linear_betas(3_000) if betas is None else betas
    forward_key, reverse_key = jax.random.split(key)
    up = forward(forward_key, params, betas, n_chains, base)
    rows = np.repeat(np.asarray(x, np.float32), chains_per_row, axis=0)
    down = reverse(reverse_key, params, betas, rows, base)
    log_z, upper_error, ess = _log_mean(up.log_z)
    minus_free_energy = likelihood.log_likelihood(params, x, log_z=0.0)
    by_row = -down.log_z.reshape(len(x), chains_per_row)
    log_inverse, _, row_ess = (np.array(part) for part in zip(*map(_log_mean, by_row), strict=True))
    return Sandwich(
        quantity="mean log-likelihood",
        lower=float(np.mean(minus_free_energy + log_inverse)),
        upper=float(np.mean(minus_free_energy)) - log_z,
        lower_error=float(np.std(log_inverse, ddof=1) / np.sqrt(len(x))) if len(x) > 1 else np.inf,
        upper_error=upper_error,
        ess=ess,
        reverse_ess=float(row_ess.sum()),
        n_chains=n_chains,
        n_reverse_chains=len(down.log_z),
        betas=tuple(map(float, betas)),
    )


class _Sum(NamedTuple):
    """A sum of float32 numbers as value plus rounding error."""

    value: Float[Array, " n_chains"]
    error: Float[Array, " n_chains"]


@jax.jit
def _anneal_up(
    key: Key[Array, ""],
    base: Layered,
    params: Layered,
    start: Float[Array, "n_chains n_visible"],
    ends: Float[Array, " n_steps"],
    steps: Float[Array, " n_steps"],
) -> tuple[Array, _Sum]:
    """At each step weigh the state for the next law, then move it by a sweep that leaves that law unchanged."""

    def body(carry: tuple[Array, _Sum], now: tuple[Array, Array, Array]) -> tuple[tuple[Array, _Sum], None]:
        (visible, total), (step_key, end, step) = carry, now
        logits, tilt = _drive(base, params, visible)
        total = _add(total, _increment(logits, tilt, end, step))
        hidden_key, visible_key = jax.random.split(step_key)
        hidden = units.bernoulli(hidden_key, end * logits)
        return (_between(base, params, end).draw_visible(visible_key, hidden), total), None

    zero = jnp.zeros(len(start))
    return jax.lax.scan(body, (start, _Sum(zero, zero)), (jax.random.split(key, len(ends)), ends, steps))[0]


@jax.jit
def _anneal_down(
    key: Key[Array, ""],
    base: Layered,
    params: Layered,
    start: Float[Array, "n_chains n_visible"],
    ends: Float[Array, " n_steps"],
    steps: Float[Array, " n_steps"],
) -> tuple[Array, _Sum]:
    """The same steps backwards: a sweep of the upper law, whose marginal is reversible, then the weight."""

    def body(carry: tuple[Array, Array, _Sum], now: tuple[Array, Array, Array]) -> tuple[tuple, None]:
        (visible, logits, total), (step_key, end, step) = carry, now
        hidden_key, visible_key = jax.random.split(step_key)
        hidden = units.bernoulli(hidden_key, end * logits)
        visible = _between(base, params, end).draw_visible(visible_key, hidden)
        logits, tilt = _drive(base, params, visible)
        return (visible, logits, _add(total, _increment(logits, tilt, end, step))), None

    zero = jnp.zeros(len(start))
    carry = (start, _drive(base, params, start)[0], _Sum(zero, zero))
    now = (jax.random.split(key, len(ends)), ends, steps)
    visible, _, total = jax.lax.scan(body, carry, now, reverse=True)[0]
    return visible, total


def _drive(base: Layered, params: Layered, visible: Array) -> tuple[Array, Array]:
    """Logits of the hidden units in the model, of which beta is taken, and the energy the visible bias alone adds."""
    return params.hidden_logits(visible), _bare(base).free_energy(visible) - _bare(params).free_energy(visible)


def _bare(params: Layered) -> Layered:
    """The machine without its hidden units."""
    return params._replace(weights=params.weights[..., :0], hidden_bias=params.hidden_bias[:0])


def _increment(logits: Array, tilt: Array, end: Array, step: Array) -> Array:
    """log f(v) at beta = end minus that at end - step, per chain."""
    change = step * logits
    before = (end - step) * logits
    small = jnp.log1p(jax.nn.sigmoid(before) * jnp.expm1(jnp.clip(change, -1.0, 1.0)))
    large = jax.nn.softplus(end * logits) - jax.nn.softplus(before)
    return jnp.sum(jnp.where(jnp.abs(change) < 1.0, small, large), axis=-1) + step * tilt


def _between(base: Layered, params: Layered, beta: Array) -> Layered:
    """The machine of energy (1 - beta) E_base + beta E, up to a constant: with one sigma, all else is linear."""
    return jax.tree.map(lambda a, b: (1.0 - beta) * a + beta * b, base, params)


def _add(total: _Sum, term: Array) -> _Sum:
    """Two-sum (Knuth, The Art of Computer Programming 2, 4.2.2): what rounding takes from the value joins the error."""
    value = total.value + term
    part = value - total.value
    return _Sum(value, total.error + ((total.value - (value - part)) + (term - part)))


def _float64(total: _Sum) -> np.ndarray:
    return np.asarray(total.value, np.float64) + np.asarray(total.error, np.float64)


def _log_mean(log_weights: np.ndarray) -> tuple[float, float, float]:
    """log of the mean weight, its standard error to first order (infinite of one weight), and the effective number."""
    largest = log_weights.max()
    w = np.exp(log_weights - largest)
    n = len(w)
    error = np.std(w, ddof=1) / (np.mean(w) * np.sqrt(n)) if n > 1 else np.inf
    return float(largest + np.log(w.mean())), float(error), float(w.sum() ** 2 / (w**2).sum())


def _steps(betas: np.ndarray) -> tuple[Float[Array, " n_steps"], Float[Array, " n_steps"]]:
    """The beta that each step ends at, and its length, of betas rounded to float32: the lengths add up to 1."""
    rounded = betas.astype(np.float32)
    return jnp.asarray(rounded[1:]), jnp.asarray(np.diff(rounded.astype(np.float64)).astype(np.float32))


def _checked(params: Layered, betas: np.ndarray, base: Layered | None) -> tuple[Layered, np.ndarray]:
    betas = np.asarray(betas, np.float64)
    if betas.ndim != 1 or len(betas) < 2 or betas[0] != 0 or betas[-1] != 1 or not (np.diff(betas) > 0).all():
        raise ValueError("betas must rise strictly from 0 to 1; use ais.linear_betas or ais.geometric_betas")
    if base is None:
        return params.independent(), betas
    if type(base) is not type(params) or jax.tree.map(jnp.shape, base) != jax.tree.map(jnp.shape, params):
        raise ValueError("base must be a model of the same kind and size; use params.independent(data_mean)")
    if np.any(np.asarray(base.weights)) or np.any(np.asarray(base.hidden_bias)):
        raise ValueError("base must have no weights and no hidden bias; use params.independent(data_mean)")
    if (
        isinstance(base, GaussianRbm)
        and isinstance(params, GaussianRbm)
        and not np.array_equal(base.log_sigma, params.log_sigma)
    ):
        raise ValueError("base must have the sigma of the model; use params.independent(data_mean)")
    return base, betas


def _check_count(n: int) -> None:
    if n < 2:
        raise ValueError(f"n betas must be at least 2, got {n}")
