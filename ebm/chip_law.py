"""The law that a chip's own samples follow, where it is no Boltzmann machine: likelihoods of it, from below.

Given what a read of the array returned, noise, rounding and all, the visible units are independent and their
probabilities known in closed form. So p(v) is the mean, over the hidden states and reads of the chip's own stationary
chain, of prod_i p(v_i | read): conservative sampling-based log-likelihood (Bengio, Yao & Cho 2013, arXiv:1311.6184).
By Jensen's inequality its logarithm over finitely many reads is in expectation too low, and rises to the truth with
their number. It asks nothing of the errors: read noise, converters, comparators, arrays that disagree, any visible
layer. It does ask that the chains have forgotten their start.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebm import hardware
from ebm.analog import Chip, Neuron
from ebm.energies.gaussian import GaussianRbm
from ebm.energies.potts import PottsRbm
from ebm.energies.rbm import EXACT
from ebm.likelihood import check_rows
from ebm.samplers import gibbs

GROUPS = 8  # of chains, for an error and for what half of them would have found
STILL = 1e-4  # largest deviation of a read from its weights that counts as rounding, relative to the largest field
IMPOSSIBLE = -1000.0  # stands for the logarithm of a probability of 0
SETTLED_NATS = 0.1


class OwnLaw(NamedTuple):
    """Mean log-likelihood of rows under a chip's own law, in nats, estimated from below.

    `error`: jackknife over eight groups of chains. `rise`: how much higher it is than what half of the chains find, a
    sign of how far the bound still is from the truth.
    """

    lower: float
    error: float
    rise: float

    @property
    def is_settled(self) -> bool:
        """Whether twice as many chains moved it by no more than 0.1 nat."""
        return abs(self.rise) <= SETTLED_NATS


def log_likelihood(
    key: Key[Array, ""], chip: Chip, rows: Float[Any, "n n_visible"], chains: gibbs.Chains, n_sweeps: int
) -> OwnLaw:
    """The mean over rows, from `n_sweeps` further sweeps of `chains` that are stationary; every sweep of every chain
    is one read. Key is consumed: the sweeps and the reads.

    -inf where a row is impossible. Raises ValueError for fewer than 8 chains, and for rows that are no states.
    """
    n_chains = len(chains.hidden)
    if n_chains < GROUPS or n_sweeps < 1:
        raise ValueError(f"chains must be at least {GROUPS} and n_sweeps 1, got {n_chains} and {n_sweeps}")
    check_rows(chip.model, np.asarray(rows))
    kept = n_chains - n_chains % GROUPS
    sums = _log_sums(key, chip, jnp.asarray(rows, jnp.float32), jax.tree.map(lambda x: x[:kept], chains), n_sweeps)
    by_group = np.asarray(sums, np.float64) - np.log(n_sweeps * kept / GROUPS)

    def mean_of(groups: Any) -> float:
        chosen = by_group[:, groups]
        largest = chosen.max(axis=1)
        values = largest + np.log(np.exp(chosen - largest[:, None]).mean(axis=1))
        return -np.inf if (values < 0.5 * IMPOSSIBLE).any() else float(values.mean())

    everyone = np.arange(GROUPS)
    lower = mean_of(everyone)
    if not np.isfinite(lower):
        return OwnLaw(-np.inf, np.inf, np.inf)
    left_out = np.array([mean_of(everyone != group) for group in everyone])
    error = np.sqrt((GROUPS - 1) / GROUPS * np.sum((left_out - left_out.mean()) ** 2))
    halves = mean_of(everyone < GROUPS // 2), mean_of(everyone >= GROUPS // 2)
    return OwnLaw(lower, float(error), float(lower - np.mean(halves)))


def is_still(key: Key[Array, ""], chip: Chip, chains: gibbs.Chains) -> bool:
    """Whether the chip is a Boltzmann machine, that of its written weights: reads of these states are the products with
    them on both sides, to rounding, and a digital neuron decides with all random bits. Key is consumed by the reads."""
    if not draws_exactly(chip.neuron) or chip.offsets is not None or chip.arrays != "one":
        return False
    forward_key, backward_key = jax.random.split(key)
    machine = hardware.written_params(chip)
    return is_rounding(
        chip.hidden_sum(forward_key, chains.visible), machine.hidden_logits(chains.visible)
    ) and is_rounding(chip.visible_sum(backward_key, chains.hidden), machine.visible_field(chains.hidden))


def draws_exactly(neuron: Neuron) -> bool:
    """Whether a neuron draws its unit from the sigmoid of the sum that it is given."""
    return neuron.kind == "adc" and neuron.random_bits is None and float(jnp.asarray(neuron.gain)) == 1.0


def is_rounding(found: Array, meant: Array) -> bool:
    """Whether reads differ from what they should be by no more than float32 arithmetic does."""
    return float(jnp.abs(found - meant).max()) <= STILL * max(1.0, float(jnp.abs(meant).max()))


def _read_terms(field: Array, chip: Chip, rows: Array) -> Array:
    """log p(v | read) of every row and read, (n_rows, n_reads); `field` is what was read, with the bias."""
    model, neuron = chip.model, chip.neuron
    if isinstance(model, GaussianRbm):
        scale = jnp.exp(-model.log_sigma)
        at, mean = (rows - model.visible_bias) * scale, (field - model.visible_bias) * scale
        squared = (at**2).sum(-1)[:, None] + (mean**2).sum(-1) - 2 * jnp.matmul(at, mean.T, precision=EXACT)
        return -0.5 * squared - jnp.sum(model.log_sigma) - 0.5 * len(scale) * jnp.log(2 * jnp.pi)
    if isinstance(model, PottsRbm):
        sites = jax.nn.log_softmax(field.reshape(len(field), *model.visible_bias.shape), axis=-1)
        return jnp.matmul(rows, sites.reshape(field.shape).T, precision=EXACT)
    if chip.offsets is not None:
        field = field - chip.offsets[1]
    if neuron.kind == "comparator":
        on, off = (jax.scipy.stats.norm.logcdf(sign * field / neuron.noise) for sign in (1, -1))
    else:
        on, off = (jax.nn.log_sigmoid(sign * neuron.gain * field) for sign in (1, -1))
        if neuron.random_bits is not None:
            levels = jnp.round(jnp.exp2(jnp.asarray(neuron.random_bits, field.dtype)))
            p = jnp.round(jnp.exp(on) * levels) / levels
            on, off = jnp.log(p), jnp.log1p(-p)
    on, off = jnp.maximum(on, IMPOSSIBLE), jnp.maximum(off, IMPOSSIBLE)
    return jnp.matmul(rows, on.T, precision=EXACT) + jnp.matmul(1 - rows, off.T, precision=EXACT)


@partial(jax.jit, static_argnames="n_sweeps")
def _log_sums(
    key: Key[Array, ""], chip: Chip, rows: Array, chains: gibbs.Chains, n_sweeps: int
) -> Float[Array, "n_rows n_groups"]:
    """log of the sum over sweeps and chains of p(v | read), group by group of chains."""

    def body(carry: Any, step_key: Any) -> Any:
        state, total = carry
        move_key, read_key = jax.random.split(step_key)
        state = gibbs.step(move_key, chip, state)
        terms = _read_terms(chip.visible_sum(read_key, state.hidden), chip, rows)
        now = jax.nn.logsumexp(terms.reshape(len(rows), GROUPS, -1), axis=-1)
        return (state, jnp.logaddexp(total, now)), None

    start = (chains, jnp.full((len(rows), GROUPS), -jnp.inf))
    return jax.lax.scan(body, start, jax.random.split(key, n_sweeps))[0][1]
