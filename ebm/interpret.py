"""What a trained RBM believes about its visible units: effective fields, couplings and three-body couplings.

Summing the hidden units out leaves log p(s) of the visible spins s = 2 v − 1, which like any function of spins is a sum
of products of them, its Walsh expansion:

    log p(s) = const + Σ_i H_i s_i + Σ_{i<j} J_ij s_i s_j + Σ_{i<j<k} K_ijk s_i s_j s_k + ...

The coefficient of a set of spins is the mean of log p times their product over all 2^n states, each counted alike: the
generalised Ising model that the RBM is (Cossu et al. 2019; Decelle et al. 2024, "Inferring effective couplings with
restricted Boltzmann machines"). For data of a known Ising machine the coefficients are its own fields and couplings,
and none of more spins. Three ways to get them: `exact` sums every state; `sampled` averages over random states of the
other spins; `gaussian` takes their part in every hidden unit's field as Gaussian. All is float64 on the host.
"""

from collections.abc import Iterator
from itertools import combinations, product
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int, Key

from ebm.energies.rbm import Rbm
from ebm.likelihood import log_likelihood
from ebm.planted import Planted

MAX_EXACT_UNITS = 20
MAX_ORDER = 4
QUADRATURE_NODES = 64
CHUNK_VALUES = 1 << 21  # float64 values held at once: 16 MiB


class Couplings(NamedTuple):
    """Coefficients of products of `order` spins: `spins` names them, a row a product, in rising order.

    `errors`: standard errors of what was sampled, 0 of what was summed, nan where an approximation has no error bar.
    """

    spins: Int[np.ndarray, "n_sets order"]
    values: Float[np.ndarray, " n_sets"]
    errors: Float[np.ndarray, " n_sets"]


def walsh(f: Float[np.ndarray, " n_states"]) -> Float[np.ndarray, " n_states"]:
    """Coefficients of a function of n spins, f(s) = Σ_S c_S Π_{i in S} s_i, from its values at all 2^n states.

    Bit i of a state's number is up where spin i is +1, and bit i of a coefficient's number where spin i is in the
    product. The fast transform: n 2^n additions. Raises ValueError for a length that is no power of 2.
    """
    n_states = len(f)
    n = n_states.bit_length() - 1
    if n_states < 1 or 1 << n != n_states:
        raise ValueError(f"f needs a value for each of 2^n states, got {n_states}")
    c = np.array(f, np.float64)
    for i in range(n):
        pairs = c.reshape(-1, 2, 1 << i)
        down, up = pairs[:, 0].copy(), pairs[:, 1].copy()
        pairs[:, 0], pairs[:, 1] = down + up, up - down
    return c / n_states


def exact(params: Rbm, order: int) -> Couplings:
    """All coefficients of `order` spins, from every state. Raises ValueError above 20 visible units."""
    n = params.n_visible
    if n > MAX_EXACT_UNITS:
        raise ValueError(
            f"the exact expansion sums up to {MAX_EXACT_UNITS} visible units, got {n}; use interpret.sampled or "
            "interpret.gaussian"
        )
    spins = _sets(n, order, None)
    states = ((np.arange(1 << n)[:, None] >> np.arange(n)) & 1).astype(np.float32)
    # Unnormalised: log Z is a constant, which no coefficient of a product knows.
    coefficients = walsh(log_likelihood(params, states, 0.0))
    values = coefficients[(1 << spins).sum(axis=1)]
    return Couplings(spins, values, np.zeros(len(spins)))


def sampled(
    key: Key[Array, ""],
    params: Rbm,
    order: int,
    *,
    spins: Int[np.ndarray, "n_sets order"] | None = None,
    draws: int = 1024,
) -> Couplings:
    """Coefficients of any size of model: exact over the states of the named spins, Monte Carlo over the others.

    The others are `draws` states, each spin ±1 alike, the same for all sets; key is consumed. All sets of the order
    unless `spins` names some. Errors of different sets are correlated. Raises ValueError for fewer than 2 draws.
    """
    if draws < 2:
        raise ValueError(f"draws must be at least 2 to have an error, got {draws}")
    u, m = _fields(params)
    spins = _sets(params.n_visible, order, spins)
    others = 2.0 * np.asarray(jax.random.bernoulli(key, 0.5, (draws, params.n_visible)), np.float64) - 1.0
    drawn = u + others @ m

    def terms(chosen: np.ndarray, corners: np.ndarray) -> np.ndarray:
        rest = drawn[None] - np.einsum("dck,ckh->cdh", others[:, chosen], m[chosen])
        means = np.zeros(rest.shape[:2])
        for corner in corners:
            means += corner.prod() * _log_cosh(rest + np.einsum("k,ckh->ch", corner, m[chosen])[:, None]).sum(axis=2)
        return means / len(corners)

    parts = [terms(chosen, _corners(order)) for chosen in _chunks(spins, draws * len(u))]
    found = np.concatenate(parts) if parts else np.zeros((0, draws))
    return Couplings(spins, found.mean(axis=1) + _linear(params, spins), found.std(axis=1, ddof=1) / np.sqrt(draws))


def gaussian(params: Rbm, order: int, *, spins: Int[np.ndarray, "n_sets order"] | None = None) -> Couplings:
    """Coefficients of any size of model by the central limit theorem: a closed form for every hidden unit.

    What the other spins add to a hidden unit's field is taken as Gaussian with their variance, Σ m², and integrated by
    quadrature of 64 nodes (Decelle et al. 2024). Good where no hidden unit hangs on few spins; compare with `sampled`.
    """
    u, m = _fields(params)
    spins = _sets(params.n_visible, order, spins)
    nodes, weights = np.polynomial.hermite_e.hermegauss(QUADRATURE_NODES)
    weights = weights / weights.sum()
    total = (m**2).sum(axis=0)

    def terms(chosen: np.ndarray, corners: np.ndarray) -> np.ndarray:
        spread = np.sqrt(np.maximum(total - (m[chosen] ** 2).sum(axis=1), 0.0))
        means = np.zeros(len(chosen))
        for corner in corners:
            field = u + np.einsum("k,ckh->ch", corner, m[chosen])
            smeared = _log_cosh(field[..., None] + spread[..., None] * nodes) @ weights
            means += corner.prod() * smeared.sum(axis=1)
        return means / len(corners)

    parts = [terms(chosen, _corners(order)) for chosen in _chunks(spins, QUADRATURE_NODES * len(u))]
    values = np.concatenate([np.zeros(0), *parts]) + _linear(params, spins)
    return Couplings(spins, values, np.full(len(spins), np.nan))


def of_planted(truth: Planted, order: int) -> Couplings:
    """The same coefficients of a planted machine: its fields, its couplings, and 0 for whatever it does not have."""
    n = truth.graph.n_nodes
    spins = _sets(n, order, None)
    known: dict[tuple[int, ...], float] = {}
    if order == 1:
        known = {(i,): float(field) for i, field in enumerate(np.asarray(truth.params.bias))}
    elif order == 2:
        edges = np.sort(np.asarray(truth.graph.edges), axis=1)
        known = {
            (int(i), int(j)): float(J) for (i, j), J in zip(edges, np.asarray(truth.params.couplings), strict=True)
        }
    values = np.array([known.get(tuple(map(int, row)), 0.0) for row in spins])
    return Couplings(spins, values, np.zeros(len(spins)))


def sampling_error(
    log_p: Float[np.ndarray, " n_states"], order: int, n_rows: int
) -> dict[int, Float[np.ndarray, " n_sets"]]:
    """How far coefficients are off because data is finite: their standard errors, by order from 1 to `order`.

    Those of the maximum-likelihood estimator, from `n_rows` independent rows of the law `log_p`, of a model that has
    all products of up to `order` spins free: the diagonal of the inverse Fisher information, the covariance of the
    products. A model with fewer freedoms has smaller errors, one with more or with noisy training has larger ones.
    """
    n = len(log_p).bit_length() - 1
    spins = 2.0 * ((np.arange(len(log_p))[:, None] >> np.arange(n)) & 1) - 1.0
    p = np.exp(log_p - np.logaddexp.reduce(log_p))
    sets = {k: _sets(n, k, None) for k in range(1, order + 1)}
    products = np.concatenate([spins[:, chosen].prod(axis=2) for chosen in sets.values()], axis=1)
    centred = products - p @ products
    errors = np.sqrt(np.diag(np.linalg.inv((centred * p[:, None]).T @ centred)) / n_rows)
    ends = np.cumsum([len(chosen) for chosen in sets.values()])
    return dict(zip(sets, np.split(errors, ends[:-1]), strict=True))


def _sets(n: int, order: int, spins: np.ndarray | None) -> np.ndarray:
    if not 1 <= order <= min(n, MAX_ORDER):
        raise ValueError(f"order must be from 1 to {min(n, MAX_ORDER)}, got {order}")
    if spins is None:
        return np.array(list(combinations(range(n), order)), np.int64)
    spins = np.asarray(spins, np.int64)
    is_wrong = spins.ndim != 2 or spins.shape[1] != order
    if is_wrong or (spins < 0).any() or (spins >= n).any() or (np.diff(spins, axis=1) <= 0).any():
        raise ValueError(
            f"spins must be rows of {order} numbers from 0 to {n - 1} in rising order, got an array of {spins.shape}"
        )
    return spins


def _fields(params: Rbm) -> tuple[np.ndarray, np.ndarray]:
    """u and m of log p(s) = linear + Σ_h log cosh(u_h + Σ_i m_ih s_i), from softplus(2 x) = x + log 2 cosh x."""
    weights, _, hidden_bias = (np.asarray(leaf, np.float64) for leaf in params)
    return hidden_bias / 2 + weights.sum(axis=0) / 4, weights / 4


def _linear(params: Rbm, spins: np.ndarray) -> np.ndarray:
    """What is outside the log cosh: fields a_i / 2 + Σ_h m_ih."""
    if spins.shape[1] > 1:
        return np.zeros(len(spins))
    weights, visible_bias, _ = (np.asarray(leaf, np.float64) for leaf in params)
    return (visible_bias / 2 + weights.sum(axis=1) / 4)[spins[:, 0]]


def _log_cosh(x: np.ndarray) -> np.ndarray:
    size = np.abs(x)
    return size + np.log1p(np.exp(-2.0 * size)) - np.log(2.0)


def _corners(order: int) -> np.ndarray:
    """All states of the named spins."""
    return np.array(list(product((-1.0, 1.0), repeat=order)))


def _chunks(spins: np.ndarray, values_each: int) -> Iterator[np.ndarray]:
    size = max(1, CHUNK_VALUES // values_each)
    return (spins[start : start + size] for start in range(0, len(spins), size))
