"""The back-end that sums over every state: log Z, the law, exact samples, expectations and gradients of small models.

Works for any `energy` of binary, spin or one-hot states, in chunks of states, so a space of 2^22 never lies in memory
at once; all of it can be compiled, mapped over models and differentiated. Sums are float32 (`jax.enable_x64` makes them
float64); `ebm.likelihood` has log Z of the layered models in float64. The last three functions, on the host, are for
kernels whose stationary law has no closed form, such as a chip with errors.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from aimc.noise import uniform

MAX_STATES = 1 << 22
CHUNK_STATES = 1 << 14
KINDS = ("binary", "spins", "one-hot")

Params = TypeVar("Params")
Energy = Callable[[Float[Array, "n d"]], Float[Array, " n"]]


@dataclass(frozen=True)
class Space:
    """All states of a model, numbered: digit i of a number, to base `n_states` from the lowest, is the state of site i.

    Raises ValueError for another kind, when there is no site, a site has fewer than 2 states (more need one-hot rows),
    or there are more than 2^22 states.
    """

    n_sites: int
    kind: str = "binary"  # or "spins", or "one-hot"
    n_states: int = 2

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be 'binary', 'spins' or 'one-hot', got {self.kind!r}")
        if self.n_sites < 1:
            raise ValueError(f"n_sites must be at least 1, got {self.n_sites}")
        if self.n_states < 2 or (self.n_states > 2 and self.kind != "one-hot"):
            raise ValueError(f"n_states must be 2, or more where kind='one-hot', got {self.n_states} for {self.kind!r}")
        if self.n_sites * math.log2(self.n_states) > math.log2(MAX_STATES):
            raise ValueError(
                f"enumeration needs at most 2^22 states, got {self.n_states}^{self.n_sites}; take fewer sites, or "
                f"estimate with ebm.ais"
            )

    @property
    def size(self) -> int:
        """Number of states."""
        return self.n_states**self.n_sites

    def states(self, codes: Int[Array, " n"]) -> Float[Array, "n d"]:
        """Rows of the states of these numbers; d is n_sites, times n_states where one-hot."""
        places = np.array([self.n_states**i for i in range(self.n_sites)], np.int32)
        digits = codes[:, None] // places % self.n_states
        match self.kind:
            case "binary":
                return digits.astype(jnp.float32)
            case "spins":
                return 2.0 * digits - 1.0
            case _:
                return jax.nn.one_hot(digits, self.n_states).reshape(len(codes), -1)


def enumerate_binary(n: int) -> Float[Array, "n_states n"]:
    """All states of n units in {0, 1}, unit i being bit i of the row's number."""
    return Space(n).states(jnp.arange(1 << n))


def enumerate_spins(n: int) -> Float[Array, "n_states n"]:
    """All states of n spins in {-1, 1}, in the same order."""
    return Space(n, "spins").states(jnp.arange(1 << n))


def log_partition(energy: Energy, space: Space, beta: float | Float[Array, ""] = 1.0) -> Float[Array, ""]:
    """log Z = log sum_x exp(-beta E(x)); differentiable in whatever the energy closes over, and in beta.

    Over the hidden states of a row, with `energy` of them given the row, it is minus beta times its free energy.
    """

    @jax.checkpoint  # the backward pass recomputes a chunk rather than keep what every chunk held
    def chunk(start: Int[Array, ""]) -> Float[Array, ""]:
        return jax.nn.logsumexp(_terms(energy, space, beta, start))

    return jax.nn.logsumexp(jax.lax.map(chunk, _starts(space)))


def log_law(energy: Energy, space: Space, beta: float | Float[Array, ""] = 1.0) -> Float[Array, " n_states"]:
    """log p(x) of every state, in the order of their numbers."""
    terms = jax.lax.map(partial(_terms, energy, space, beta), _starts(space)).reshape(-1)[: space.size]
    return terms - jax.nn.logsumexp(terms)


def samples(
    key: Key[Array, ""], energy: Energy, space: Space, n: int, beta: float | Float[Array, ""] = 1.0
) -> Float[Array, "n d"]:
    """`n` independent states that follow the law exactly, up to the rounding of float32 probabilities.

    Key is consumed; two uniform numbers a state, the first for a block of states and the second within it, so that
    even one state in 2^22 is resolved. To draw often from one law, keep `log_law` and use `codes`.
    """
    return space.states(codes(key, log_law(energy, space, beta), n))


def codes(key: Key[Array, ""], log_p: Float[Array, " n_states"], n: int) -> Int[Array, " n"]:
    """The numbers of `n` independent states that follow a law, as `samples`; key is consumed."""
    block_key, state_key = jax.random.split(key)
    width = 1 << math.ceil(math.log2(len(log_p)) / 2)
    n_blocks = -(-len(log_p) // width)
    p = jnp.pad(jnp.exp(log_p), (0, n_blocks * width - len(log_p))).reshape(n_blocks, width)
    within = jnp.cumsum(p, axis=1)
    between = jnp.cumsum(within[:, -1])[None, :]
    block = _search(between, jnp.zeros(n, jnp.int32), uniform(block_key, (n,)))
    return block * width + _search(within, block, uniform(state_key, (n,)))


def expectation(
    f: Callable[[Array], Array],
    energy: Energy,
    space: Space,
    beta: float | Float[Array, ""] = 1.0,
) -> Float[Array, "..."]:
    """sum_x p(x) f(x), with `f` from rows of states to one value, or array of values, a row."""
    log_z = log_partition(energy, space, beta)

    def chunk(start: Int[Array, ""]) -> Array:
        p = jnp.exp(_terms(energy, space, beta, start) - log_z)
        return jnp.tensordot(p, f(space.states(_codes(space, start))), 1, precision=jax.lax.Precision.HIGHEST)

    return jax.lax.map(chunk, _starts(space)).sum(axis=0)


def log_likelihood(
    energy: Callable[[Params, Float[Array, "n d"]], Float[Array, " n"]],
    params: Params,
    space: Space,
    x: Float[Array, "n d"],
    beta: float | Float[Array, ""] = 1.0,
) -> Float[Array, " n"]:
    """log p(x) = -beta E(x) - log Z of every row.

    Where hidden units were summed out, `energy` is a free energy, which beta may not multiply: leave it at 1 and pass
    the free energy of `params.tempered(beta)`.
    """
    return -beta * energy(params, x) - log_partition(partial(energy, params), space, beta)


def gradient(
    energy: Callable[[Params, Float[Array, "n d"]], Float[Array, " n"]],
    params: Params,
    space: Space,
    x: Float[Array, "n d"],
    beta: float | Float[Array, ""] = 1.0,
) -> Params:
    """Gradient in the parameters of the mean log-likelihood of the rows, by differentiating the exact value.

    The oracle for learning rules: what contrastive divergence estimates from samples.
    """
    return jax.grad(lambda p: jnp.mean(log_likelihood(energy, p, space, x, beta)))(params)


def sweep_matrix(
    hidden_p: Float[np.ndarray, "n_visible_states n_hidden"], visible_p: Float[np.ndarray, "n_hidden_states n_visible"]
) -> Float[np.ndarray, "n_visible_states n_visible_states"]:
    """Transition probabilities of visible states in one block Gibbs sweep, rows being where it starts.

    `hidden_p` has the probability that each hidden unit turns on, given each visible state in the order of
    `enumerate_binary`, and `visible_p` the reverse: sigmoids of an ideal machine, something else on a chip.
    """
    return _layer_law(hidden_p) @ _layer_law(visible_p)


def stationary(transition: Float[np.ndarray, "n n"]) -> Float[np.ndarray, " n"]:
    """The law that the transitions leave unchanged, p T = p, in float64; it must be the only one."""
    n = len(transition)
    system = np.vstack([np.asarray(transition, np.float64).T - np.eye(n), np.ones(n)])
    return np.linalg.lstsq(system, np.append(np.zeros(n), 1.0), rcond=None)[0]


def total_variation(p: Float[np.ndarray, " n"], q: Float[np.ndarray, " n"]) -> float:
    """Half the sum of |p - q|: the largest difference in the probability of any event."""
    return 0.5 * float(np.abs(np.asarray(p, np.float64) - np.asarray(q, np.float64)).sum())


def _starts(space: Space) -> Int[Array, " n_chunks"]:
    return jnp.arange(0, space.size, CHUNK_STATES)


def _codes(space: Space, start: Int[Array, ""]) -> Int[Array, " n_chunk"]:
    return start + jnp.arange(min(CHUNK_STATES, space.size))


def _terms(energy: Energy, space: Space, beta: float | Array, start: Int[Array, ""]) -> Float[Array, " n_chunk"]:
    """-beta E of one chunk of states; numbers past the end of the space count nothing."""
    numbers = _codes(space, start)
    return jnp.where(numbers < space.size, -beta * energy(space.states(numbers)), -jnp.inf)


def _search(cumulated: Float[Array, "n_rows width"], row: Int[Array, " n"], u: Float[Array, " n"]) -> Int[Array, " n"]:
    """First place of each chosen row whose cumulated sum exceeds the fraction u of the whole, by bisection.

    Bisection reads a number a step, where comparing with the whole row would gather all of it for every sample.
    """
    width = cumulated.shape[1]
    threshold = u * cumulated[row, -1]
    place = jnp.zeros_like(row)
    for power in reversed(range((width - 1).bit_length())):
        ahead = place + (1 << power)
        is_below = (ahead < width) & (cumulated[row, jnp.minimum(ahead, width) - 1] <= threshold)
        place = jnp.where(is_below, ahead, place)
    return place


def _layer_law(p: np.ndarray) -> np.ndarray:
    """Probability of every state of a layer of independent units, `(n, 2^units)`."""
    law = np.ones((len(p), 1))
    for column in np.asarray(p, np.float64).T:  # each unit doubles the states, the last one being the highest bit
        law = np.concatenate([law * (1 - column)[:, None], law * column[:, None]], axis=1)
    return law
