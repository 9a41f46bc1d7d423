"""Parallel tempering: copies of the chains at several β that exchange their β, so that cold ones move as hot ones do.

Copy l follows exp(−E₀(x) − β_l U(x)); for a plain temperature E₀ = 0 and U is the energy. Two neighbours exchange
with probability min(1, exp((β_l − β_m)(U(x_l) − U(x_m)))), which keeps the joint law exactly (Geyer 1991; Hukushima &
Nemoto 1996). Temperatures move, states stay: an exchange is two numbers, while on hardware a moved state is a read and
a write of every unit. Even and odd pairs take turns (Okabe et al. 2001), which is not reversible and lets a β wander
through the ladder in a line instead of a diffusion (Syed, Bouchard-Côté, Deligiannidis & Doucet 2022, "DEO").
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from aimc.noise import uniform
from ebm import layouts
from ebm.energies import boltzmann, units
from ebm.energies.boltzmann import Boltzmann, Graph
from ebm.samplers import chromatic
from ebm.samplers.gibbs import Chains, Machine

# kernel(key, beta, x) moves every copy at its own beta, leaving exp(−E₀ − beta U) of each unchanged; the leading axes
# of x are those of beta: copies first, then ladders side by side.
Kernel = Callable[[Key[Array, ""], Float[Array, "*levels"], Any], Any]
Energy = Callable[[Any], Float[Array, "*levels"]]


class State(NamedTuple):
    """Every copy, and at which β it is. This is all there is to save and resume."""

    position: Any  # a pytree; the leading axes of each leaf are those of `level`
    level: Int[Array, "*levels"]  # index into betas, a permutation along the first axis
    last_end: Int[Array, "*levels"]  # 0: not at level 0 yet; 1: there last; 2: at the other end since
    round_trips: Int[Array, "*levels"]  # from level 0 to the other end and back, copy by copy
    n_rounds: Int[Array, ""]


class Info(NamedTuple):
    """Of each pair of neighbouring β: its probability of exchange in this round, proposed or not, and whether it did.

    Probabilities are given also for pairs whose turn it was not: their mean over rounds is an estimate twice as good.
    """

    acceptance: Float[Array, "*pairs"]
    is_swapped: Bool[Array, "*pairs"]


@runtime_checkable
class Layered(Protocol):
    """A layered model with Bernoulli hidden units whose visible field is linear in them, as all in ebm.energies are."""

    def hidden_logits(self, visible: Array, /) -> Array: ...

    def draw_visible(self, key: Key[Array, ""], hidden: Array, /) -> Array: ...


def init(energy: Energy, betas: Float[Array, " n_betas"], position: Any) -> State:
    """Copies at `position`, the first at the first β and so on.

    `energy` maps a position to U, an axis of copies first, then as many as there are ladders side by side. Raises
    ValueError when there are fewer than two β or another number of copies.
    """
    shape = jax.eval_shape(energy, position).shape
    if betas.ndim != 1 or len(betas) < 2 or not shape or shape[0] != len(betas):
        raise ValueError(
            f"betas must be a row of at least 2, one for each copy along the first axis of energy(position), got betas "
            f"of shape {betas.shape} and energies of shape {shape}"
        )
    column = jnp.reshape(jnp.arange(len(betas)), (-1,) + (1,) * (len(shape) - 1))
    level = jnp.broadcast_to(column, shape)
    return State(position, level, (level == 0).astype(jnp.int32), jnp.zeros_like(level), jnp.zeros((), jnp.int32))


def step(
    key: Key[Array, ""], kernel: Kernel, energy: Energy, betas: Float[Array, " n_betas"], state: State
) -> tuple[State, Info]:
    """Move every copy at its β, then one round of exchanges; `key` is consumed.

    Round 0, 2, ... offers an exchange to the pairs of levels (0, 1), (2, 3), ..., round 1, 3, ... to (1, 2), (3, 4),
    ....
    """
    kernel_key, swap_key = jax.random.split(key)
    moved = state._replace(position=kernel(kernel_key, betas[state.level], state.position))
    return swap(swap_key, energy, betas, moved)


def swap(key: Key[Array, ""], energy: Energy, betas: Float[Array, " n_betas"], state: State) -> tuple[State, Info]:
    """The round of exchanges alone."""
    n_pairs = len(betas) - 1
    copy_at = jnp.argsort(state.level, axis=0)
    u = jnp.take_along_axis(energy(state.position), copy_at, axis=0)
    pair = jnp.reshape(jnp.arange(n_pairs), (-1,) + (1,) * (u.ndim - 1))
    log_ratio = (betas[pair] - betas[pair + 1]) * (u[:-1] - u[1:])
    acceptance = jnp.nan_to_num(jnp.exp(jnp.minimum(log_ratio, 0.0)), nan=0.0)
    is_swapped = (uniform(key, acceptance.shape) < acceptance) & (pair % 2 == state.n_rounds % 2)
    none = jnp.zeros_like(is_swapped[:1])
    shift = jnp.concatenate([is_swapped, none]).astype(jnp.int32) - jnp.concatenate([none, is_swapped])
    level = state.level + jnp.take_along_axis(shift, state.level, axis=0)
    is_first, is_last = level == 0, level == n_pairs
    is_back = is_first & (state.last_end == 2)
    last_end = jnp.where(is_first, 1, jnp.where(is_last & (state.last_end == 1), 2, state.last_end))
    trips = state.round_trips + is_back
    return State(state.position, level, last_end, trips, state.n_rounds + 1), Info(acceptance, is_swapped)


def at(state: State, level: int) -> Any:
    """The position that is at betas[level], without the axis of copies; −1 is the last β."""
    copy = jnp.argmax(state.level == level % state.level.shape[0], axis=0)[None]

    def take(leaf: Array) -> Array:
        index = jnp.reshape(copy, copy.shape + (1,) * (leaf.ndim - copy.ndim))
        return jnp.take_along_axis(leaf, index, axis=0)[0]

    return jax.tree.map(take, state.position)


def round_trip_rate(acceptance: Float[Array, " n_pairs"]) -> Float[Array, ""]:
    """Round trips a round, all copies of a ladder together, that these mean probabilities of exchange allow.

    1 / (2 + 2 Σ r/(1 − r)), r = 1 − acceptance (Syed et al. 2022): reached by a kernel that forgets U
    between two rounds. A ladder far below it mixes badly at some β; one near it gains from more exchanges, not more
    sweeps.
    """
    return 1.0 / (2.0 + 2.0 * jnp.sum((1.0 - acceptance) / acceptance))


def respaced(betas: Float[Array, " n_betas"], acceptance: Float[Array, " n_pairs"]) -> Float[Array, " n_betas"]:
    """As many β between the same ends, spaced so that all pairs should exchange equally often.

    The rejections, summed along the ladder and interpolated in β, are divided evenly (Syed et al. 2022);
    repeat it with acceptances measured on the new ladder. Feed it only runs that are not counted: it adapts.
    """
    barrier = jnp.concatenate([jnp.zeros(1), jnp.cumsum(jnp.maximum(1.0 - acceptance, 1e-6))])
    return jnp.interp(jnp.linspace(0.0, 1.0, len(betas)) * barrier[-1], barrier, betas).at[-1].set(betas[-1])


def layered(params: Layered | Machine) -> tuple[Kernel, Energy]:
    """Gibbs kernel and U for a layered model, β from 0, visible units on their biases alone, to 1, the model.

    E₀(v) is the energy of the visible units alone and U(v, h) = −Σ_j h_j (W'v + c)_j: β scales couplings and hidden
    biases, not the visible bias (Salakhutdinov & Murray 2008, their base model for AIS). For Bernoulli, Gaussian and
    Potts visibles alike the visible units at β given h are drawn as those at 1 given β h. Positions are
    `gibbs.Chains` with an axis of copies first. Raises ValueError for a simulated chip: its lines are driven fully or
    not at all, so it has no β, and no energy whose exchanges would keep its law.
    """
    if not isinstance(params, Layered):
        raise ValueError(
            f"params must be those of an ideal layered model, got {type(params).__name__}, which has no "
            "temperature but its own; temper the model that the chip holds, ebm.hardware.written_params(chip)"
        )

    def kernel(key: Key[Array, ""], beta: Float[Array, "*levels"], chains: Chains) -> Chains:
        hidden_key, visible_key = jax.random.split(key)
        hidden = units.bernoulli(hidden_key, beta[..., None] * params.hidden_logits(chains.visible))
        return Chains(params.draw_visible(visible_key, beta[..., None] * hidden), hidden)

    def energy(chains: Chains) -> Float[Array, "*levels"]:
        return -jnp.sum(chains.hidden * params.hidden_logits(chains.visible), axis=-1)

    return kernel, energy


def graph(structure: Graph, params: Boltzmann, layout: layouts.Layout | None = None) -> tuple[Kernel, Energy]:
    """Kernel of one chromatic Gibbs sweep, and U, for a Boltzmann machine on a graph: copies follow exp(−β E(s)).

    β multiplies couplings and biases alike, E₀ = 0: at β = 0 all spins are fair. Copies at all temperatures are the
    chains of one sweep, each with its own β. Positions are spins in {−1, 1} of shape (n_betas, *ladders, n_nodes);
    `layout` is `layouts.choose(structure)` unless given, which needs a graph on the host.
    """
    chosen = layouts.choose(structure) if layout is None else layout

    def kernel(key: Key[Array, ""], beta: Float[Array, "*levels"], spins: Array) -> Array:
        chains = chromatic.Chains(spins.reshape(-1, chosen.n_nodes))
        return chromatic.step(key, chosen, params, chains, beta=beta.reshape(-1)).spins.reshape(spins.shape)

    return kernel, lambda spins: boltzmann.energy(structure, params, spins)
