"""Gibbs sampling of a Boltzmann machine on a graph, a colour at a time.

Nodes of one colour are not coupled, so all of them are drawn at once from their exact conditional law,
p(s_i = 1 | the others) = sigmoid(2 beta f_i); a sweep visits every colour (Geman & Geman 1984). It leaves
p(s) = exp(-beta E(s)) / Z unchanged for any parameters, and for spins held fixed, the law given those.

Each node takes one uniform number a sweep, a function of key, colour, chain and the node's place in its colour alone:
layouts with the same classes give the same spins, up to fields that round differently, and so does any spread of the
chains over devices. Keys of `aimc.noise.HASH` are the fastest.

A simulated chip, `ebm.analog.GraphChip`, takes the place of the parameters: its colours are drawn with the errors of
its arrays, and with its own layout.

Parameters that are not finite have no law: all spins come back as nan, so that nothing takes them for samples.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from aimc.noise import random_bits, uniform
from ebm.energies.boltzmann import Boltzmann
from ebm.layouts import Layout

# Above this many colours a loop over them is compiled instead of one program a colour; not of chips, whose colours have
# arrays of different sizes.
UNROLLED = 4


@runtime_checkable
class Machine(Protocol):
    """A pytree that draws the nodes of one colour given all others, from spins packed by its own layout."""

    @property
    def params(self) -> Boltzmann: ...

    def draw_color(self, key: Key[Array, ""], packed: Any, color: int, /) -> Array: ...


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
    params: Boltzmann | Machine,
    state: Chains,
    *,
    beta: float | Float[Array, ""] | Float[Array, " n_chains"] = 1.0,
    clamped: Bool[Array, " n_nodes"] | Bool[Array, "n_chains n_nodes"] | None = None,
) -> Chains:
    """One sweep: every colour in turn, given all other spins. Key is consumed.

    beta: one inverse temperature, or one a chain; of a chip 1. clamped: nodes that keep their spins; True at
    `graph.visible`, with data there, gives the positive phase. Raises ValueError for parameters or spins of another
    graph.
    """
    _check_width(layout, state)
    held = None if clamped is None else _pack_mask(layout, clamped, state)
    is_chip = not isinstance(params, Boltzmann)
    packed = _sweep(key, layout, _drawing(layout, params, beta), layout.pack(state.spins), held, is_chip)
    return Chains(_unless_lost(params, layout.unpack(packed)))


def sweeps(
    key: Key[Array, ""],
    layout: Layout,
    params: Boltzmann | Machine,
    state: Chains,
    n_sweeps: int,
    *,
    beta: float | Float[Array, ""] | Float[Array, " n_chains"] = 1.0,
    clamped: Bool[Array, " n_nodes"] | Bool[Array, "n_chains n_nodes"] | None = None,
) -> Chains:
    """`n_sweeps` steps with the pieces of `jax.random.split(key, n_sweeps)`, packed and unpacked once."""
    _check_width(layout, state)
    draw = _drawing(layout, params, beta)
    held = None if clamped is None else _pack_mask(layout, clamped, state)

    def body(packed: Any, step_key: Key[Array, ""]) -> tuple[Any, None]:
        return _sweep(step_key, layout, draw, packed, held, not isinstance(params, Boltzmann)), None

    packed: Any = jax.lax.scan(body, layout.pack(state.spins), jax.random.split(key, n_sweeps))[0]
    return Chains(_unless_lost(params, layout.unpack(packed)))


def _sweep(key: Key[Array, ""], layout: Layout, draw: Callable, packed: Any, held: Any, is_chip: bool) -> Any:
    keys = jax.random.split(key, layout.n_colors)

    def visit(color: Any, packed: Any) -> Any:
        new = draw(keys[color], packed, color)
        if held is not None:
            new = jnp.where(layout.window(held, color) > 0, layout.window(packed, color), new)
        return layout.replace(packed, new, color)

    if layout.n_colors > UNROLLED and not is_chip:
        return jax.lax.fori_loop(0, layout.n_colors, visit, packed)
    for color in range(layout.n_colors):
        packed = visit(color, packed)
    return packed


def _drawing(layout: Layout, params: Boltzmann | Machine, beta: float | Array) -> Callable:
    """What draws the spins of one colour: `draw(key, packed, color)`."""
    if not isinstance(params, Boltzmann):
        if not (isinstance(beta, float | int) and beta == 1):
            raise ValueError(f"beta of a chip must be 1, got {beta}; program it with the parameters times beta")
        return params.draw_color
    # beta with an axis for chains and those of a colour's spins.
    column = jnp.asarray(beta, jnp.float32).reshape(-1, *(1 for _ in layout.shape))
    return partial(_draw_color, layout, layout.arrange(params), column)


def _draw_color(layout: Layout, arranged: Boltzmann, beta: Array, key: Array, packed: Any, color: Any) -> Array:
    fields = layout.fields(arranged, packed, color)
    is_up = uniform(key, fields.shape) < jax.nn.sigmoid(2.0 * beta * fields)
    return jnp.where(is_up, 1.0, -1.0).astype(fields.dtype)


def _pack_mask(layout: Layout, clamped: Array, state: Chains) -> Any:
    return layout.pack(jnp.broadcast_to(clamped, state.spins.shape).astype(state.spins.dtype))


def _check_width(layout: Layout, state: Chains) -> None:
    if state.spins.ndim != 2 or state.spins.shape[1] != layout.n_nodes:
        raise ValueError(
            f"state.spins must be of shape (n_chains, {layout.n_nodes}), a spin for each node, got {state.spins.shape}"
        )


def _unless_lost(params: Boltzmann | Machine, spins: Array) -> Array:
    """The spins, or nan where any parameter is not finite: a comparison with nan would draw a plausible -1."""
    params = params if isinstance(params, Boltzmann) else params.params
    is_finite = jnp.isfinite(params.couplings).all() & jnp.isfinite(params.bias).all()
    return spins * jnp.where(is_finite, 1.0, jnp.nan).astype(spins.dtype)
