"""Gibbs sampling of a Boltzmann machine on a graph, a colour at a time.

Nodes of one colour are not coupled, so all of them are drawn at once from their exact conditional law,
p(s_i = 1 | the others) = sigmoid(2 beta f_i); a sweep visits every colour (Geman & Geman 1984). It leaves
p(s) = exp(-beta E(s)) / Z unchanged for any parameters, and for spins held fixed, the law given those.

Each node takes one uniform number a sweep, a function of key, colour, chain and the node's place in its colour alone:
layouts with the same classes give the same spins, up to fields that round differently, and so does any spread of the
chains over devices. Keys of `aimc.noise.HASH` are the fastest.

Parameters that are not finite have no law: all spins come back as nan, so that nothing takes them for samples.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from aimc.noise import random_bits, uniform
from ebm.energies.boltzmann import Boltzmann
from ebm.layouts import Layout

# Above this many colours a loop over them is compiled instead of one program a colour.
UNROLLED = 4


class Chains(NamedTuple):
    """Where every chain is: spins in {-1, 1}, one chain a row. This is all there is to save and resume."""

    spins: Float[Array, "n_chains n_nodes"]


def init(key: Key[Array, ""], layout: Layout, n_chains: int) -> Chains:
    """Chains of independent fair spins: the law at beta = 0 without biases. Key is consumed.

    Raises ValueError when there is no chain to start.
    """
    if n_chains < 1:
        raise ValueError(f"n_chains must be at least 1, got {n_chains}")
    is_up = random_bits(key, (n_chains, layout.n_nodes)) >> 31 == 1
    return Chains(jnp.where(is_up, 1.0, -1.0).astype(jnp.float32))


def step(
    key: Key[Array, ""],
    layout: Layout,
    params: Boltzmann,
    state: Chains,
    *,
    beta: float | Float[Array, ""] | Float[Array, " n_chains"] = 1.0,
    clamped: Bool[Array, " n_nodes"] | Bool[Array, "n_chains n_nodes"] | None = None,
) -> Chains:
    """One sweep: every colour in turn, given all other spins. Key is consumed.

    beta: one inverse temperature, or one a chain. clamped: nodes that keep their spins; True at `graph.visible`, with
    data there, gives the positive phase. Raises ValueError for parameters or spins of another graph.
    """
    _check_width(layout, state)
    held = None if clamped is None else _pack_mask(layout, clamped, state)
    packed = layout.pack(state.spins)
    packed = _sweep(key, layout, layout.arrange(params), packed, _column(layout, beta), held)
    return Chains(_unless_lost(params, layout.unpack(packed)))


def sweeps(
    key: Key[Array, ""],
    layout: Layout,
    params: Boltzmann,
    state: Chains,
    n_sweeps: int,
    *,
    beta: float | Float[Array, ""] | Float[Array, " n_chains"] = 1.0,
    clamped: Bool[Array, " n_nodes"] | Bool[Array, "n_chains n_nodes"] | None = None,
) -> Chains:
    """`n_sweeps` steps with the pieces of `jax.random.split(key, n_sweeps)`, packed and unpacked once."""
    _check_width(layout, state)
    arranged, column = layout.arrange(params), _column(layout, beta)
    held = None if clamped is None else _pack_mask(layout, clamped, state)

    def body(packed: Any, step_key: Key[Array, ""]) -> tuple[Any, None]:
        return _sweep(step_key, layout, arranged, packed, column, held), None

    packed: Any = jax.lax.scan(body, layout.pack(state.spins), jax.random.split(key, n_sweeps))[0]
    return Chains(_unless_lost(params, layout.unpack(packed)))


def _sweep(key: Key[Array, ""], layout: Layout, arranged: Boltzmann, packed: Any, beta: Array, held: Any) -> Any:
    keys = jax.random.split(key, layout.n_colors)

    def draw(color: Any, packed: Any) -> Any:
        fields = layout.fields(arranged, packed, color)
        is_up = uniform(keys[color], fields.shape) < jax.nn.sigmoid(2.0 * beta * fields)
        new = jnp.where(is_up, 1.0, -1.0).astype(fields.dtype)
        if held is not None:
            new = jnp.where(layout.window(held, color) > 0, layout.window(packed, color), new)
        return layout.replace(packed, new, color)

    if layout.n_colors > UNROLLED:
        return jax.lax.fori_loop(0, layout.n_colors, draw, packed)
    for color in range(layout.n_colors):
        packed = draw(color, packed)
    return packed


def _column(layout: Layout, beta: float | Array) -> Array:
    """beta with an axis for chains and those of a colour's spins."""
    return jnp.asarray(beta, jnp.float32).reshape(-1, *(1 for _ in layout.shape))


def _pack_mask(layout: Layout, clamped: Array, state: Chains) -> Any:
    return layout.pack(jnp.broadcast_to(clamped, state.spins.shape).astype(state.spins.dtype))


def _check_width(layout: Layout, state: Chains) -> None:
    if state.spins.ndim != 2 or state.spins.shape[1] != layout.n_nodes:
        raise ValueError(
            f"state.spins must be of shape (n_chains, {layout.n_nodes}), a spin for each node, got {state.spins.shape}"
        )


def _unless_lost(params: Boltzmann, spins: Array) -> Array:
    """The spins, or nan where any parameter is not finite: a comparison with nan would draw a plausible -1."""
    is_finite = jnp.isfinite(params.couplings).all() & jnp.isfinite(params.bias).all()
    return spins * jnp.where(is_finite, 1.0, jnp.nan).astype(spins.dtype)
