"""Energies and sums over states in float64 NumPy, written from the formulas: what the tests of ebm/ compare with.

Nothing of the library is used but the names of parameters. A state of a layered machine is (v, h), of a graph s.
"""

import itertools

import numpy as np
from scipy import stats


def bits(n):
    """All rows of n bits, unit 0 varying slowest."""
    return np.array(list(itertools.product((0.0, 1.0), repeat=n)))


def one_hots(n_sites, n_states):
    """All one-hot rows, site 0 varying slowest."""
    return np.array([np.eye(n_states)[list(s)].ravel() for s in itertools.product(range(n_states), repeat=n_sites)])


def leaves(params):
    return {name: np.asarray(value, np.float64) for name, value in params._asdict().items()}


def energy(params, v, h):
    """E(v, h) of layered machines, by which fields they have; v and h broadcast over leading axes."""
    p = leaves(params)
    if "log_sigma" in p:  # sum (v - a)^2 / 2 sigma^2 - (v / sigma^2) W h - c h
        variance = np.exp(p["log_sigma"]) ** 2
        quadratic = ((v - p["visible_bias"]) ** 2 / (2 * variance)).sum(-1)
        return quadratic - np.einsum("...i,ij,...j->...", v / variance, p["weights"], h) - h @ p["hidden_bias"]
    if p["weights"].ndim == 3:
        n_sites, n_states, _ = p["weights"].shape
        v = v.reshape(*v.shape[:-1], n_sites, n_states)
        pairs = np.einsum("...sk,skj,...j->...", v, p["weights"], h)
        return -pairs - np.einsum("...sk,sk->...", v, p["visible_bias"]) - h @ p["hidden_bias"]
    return -np.einsum("...i,ij,...j->...", v, p["weights"], h) - v @ p["visible_bias"] - h @ p["hidden_bias"]


def spin_energy(graph, params, s):
    """-sum J s s - sum h s, edge by edge in a Python loop."""
    total = -(s @ np.asarray(params.bias, np.float64))
    for (i, j), coupling in zip(np.asarray(graph.edges), np.asarray(params.couplings, np.float64), strict=True):
        total = total - coupling * s[..., i] * s[..., j]
    return total


def log_sum_exp(x, axis=None):
    largest = np.max(x, axis=axis, keepdims=True)
    return np.squeeze(largest, axis) + np.log(np.exp(x - largest).sum(axis=axis))


def free_energy(params, v, beta=1.0):
    """-log sum_h exp(-beta E(v, h)), every h in turn."""
    hidden = bits(np.shape(params.hidden_bias)[0])
    return -log_sum_exp(-beta * energy(params, np.asarray(v, np.float64)[..., None, :], hidden), axis=-1)


def visible_states(params):
    """All visible states of a discrete layered machine."""
    shape = np.shape(params.weights)
    return bits(shape[0]) if len(shape) == 2 else one_hots(shape[0], shape[1])


def chi_square_tail(codes, p):
    """Probability that independent draws from the law p differ as much as these do; rare states count as one."""
    expected, observed = len(codes) * p, np.bincount(codes, minlength=len(p))
    rare = expected < 5
    if rare.any():
        observed, expected = (
            np.append(observed[~rare], observed[rare].sum()),
            np.append(expected[~rare], expected[rare].sum()),
        )
    return stats.chi2.sf(((observed - expected) ** 2 / np.maximum(expected, 1e-9)).sum(), len(expected) - 1)


def hidden_law(params):
    """p(h) of every row of `bits(n_hidden)`, the visible layer summed or integrated out."""
    p, h = leaves(params), bits(np.shape(params.hidden_bias)[0])
    if "log_sigma" in p:  # completing the square: a factor exp(((a + W h)^2 - a^2) / 2 sigma^2) a unit
        mean = h @ p["weights"].T + p["visible_bias"]
        log_p = h @ p["hidden_bias"]
        log_p = log_p + ((mean**2 - p["visible_bias"] ** 2) / (2 * np.exp(p["log_sigma"]) ** 2)).sum(-1)
    else:
        log_p = log_sum_exp(-energy(params, visible_states(params)[:, None], h), axis=0)
    return np.exp(log_p - log_sum_exp(log_p))


def samples(params, n, seed):
    """`n` exact joint samples (v, h): h from its enumerated law, v from its law given h."""
    rng = np.random.default_rng(seed)
    hidden, law = bits(np.shape(params.hidden_bias)[0]), hidden_law(params)
    which = rng.choice(len(law), size=n, p=law)
    p = leaves(params)
    if "log_sigma" in p:
        mean = hidden @ p["weights"].T + p["visible_bias"]
        visible = rng.normal(mean[which], np.exp(p["log_sigma"]))
    else:
        states = visible_states(params)
        visible = np.empty((n, states.shape[1]))
        for i, h in enumerate(hidden):
            log_p = -energy(params, states, h)
            chosen = which == i
            drawn = rng.choice(len(states), size=chosen.sum(), p=np.exp(log_p - log_sum_exp(log_p)))
            visible[chosen] = states[drawn]
    return visible.astype(np.float32), hidden[which].astype(np.float32)
