"""Gibbs sampling of Ising models with one coupling strength on a torus, 32 chains in every machine word.

Bit b of word w is the spin of chain 32 w + b at one site, so the fields of 32 chains are added, and their spins drawn,
by the same few logical operations (multi-spin coding: Creutz, Jacobs & Rebbi 1979). A spin agrees with the majority of
its four neighbours unless a random event of probability sigmoid(-8 K) or sigmoid(-4 K) happens, when 4 : 0 or 3 : 1 of
them agree, K = beta |J|; a tie is a fair draw.

The event is U < p for a random number U of 8 bits a chain, compared bit by bit with p = (T + f) / 256: the threshold is
T + 1 with probability f, so every chain moves with probability p itself, to the 32 bits of the draw that decides.
Only that draw is shared by the 32 chains of a word; it correlates two chains by less than 1e-4. Threshold draw and
bits are a stream of their own for every word, sublattice and sweep: xorshift128 (Marsaglia 2003), with output w + z,
from four words hashed from the word's place and the sweep's key. It is stateless, so that a compiled loop stores
nothing but spins, and a function of key, chain and site alone.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, UInt32

from aimc.noise import random_bits
from ebm.energies.boltzmann import Boltzmann
from ebm.layouts.lattice import NEAREST, Lattice, interior, join_colors, shifted, split_colors, store, with_halo

LANES = 32
BITS = 8
HALO = (1, 1)
DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0))  # in the order of Lattice.edges


class Spins(NamedTuple):
    """Where every chain is: the two colours of a chequerboard, a bit a spin, 1 for up. All there is to save."""

    even: UInt32[Array, "n_words rows half"]
    odd: UInt32[Array, "n_words rows half"]


class Ising(NamedTuple):
    """E(s) = -sum J_ij s_i s_j over nearest neighbours on a torus, |J_ij| = |coupling|, without biases.

    signs: all ones where a bond is opposite to `coupling`, for each colour and direction (right, left, down, up);
    None when no bond is.
    """

    coupling: float | Float[Array, ""] = 1.0
    signs: UInt32[Array, "2 4 rows half"] | None = None


def from_boltzmann(layout: Lattice, params: Boltzmann) -> Ising:
    """The Ising model of a Boltzmann machine on a nearest-neighbour torus whose couplings differ in sign only.

    Raises ValueError when a bond is missing, strengths differ, there is a bias, or the torus has other offsets.
    """
    couplings = np.asarray(params.couplings)
    strength = float(np.abs(couplings).max())
    if layout.torus.offsets != NEAREST or bool(np.any(np.asarray(layout.edges) == len(couplings))):
        raise ValueError("layout must be a nearest-neighbour torus with every bond; use ebm.samplers.chromatic")
    if np.any(np.abs(couplings) != strength) or np.any(np.asarray(params.bias) != 0):
        raise ValueError(
            f"params must have couplings of one strength and no bias, got couplings from {couplings.min()} to "
            f"{couplings.max()}; use ebm.samplers.chromatic"
        )
    if np.all(couplings > 0):
        return Ising(jnp.float32(strength))
    arranged = np.asarray(layout.arrange(params).couplings)
    signs = np.where(arranged < 0, np.uint32(0xFFFFFFFF), np.uint32(0))
    return Ising(jnp.float32(strength), jnp.asarray(signs.reshape(2, 4, *layout.shape)))


def init(key: Key[Array, ""], n_chains: int, rows: int, cols: int) -> Spins:
    """Independent fair spins: the law at beta = 0. Key is consumed.

    Raises ValueError when n_chains is not a multiple of 32, or rows or cols are odd or below 4.
    """
    _check(n_chains, rows, cols)
    even, odd = random_bits(key, (2, n_chains // LANES, rows, cols // 2))
    return Spins(even, odd)


def pack(spins: Float[Array, "n_chains n_nodes"], rows: int, cols: int) -> Spins:
    """Spins in {-1, 1}, sites row by row, as words. Raises ValueError as `init` does."""
    _check(spins.shape[0], rows, cols)
    bits = (spins > 0).astype(jnp.uint32).reshape(-1, LANES, rows, cols)
    words = jnp.sum(bits << jnp.arange(LANES, dtype=jnp.uint32)[:, None, None], axis=1, dtype=jnp.uint32)
    return Spins(*split_colors(words))


def unpack(state: Spins) -> Float[Array, "n_chains n_nodes"]:
    """Spins in {-1, 1}, sites row by row: the inverse of `pack`."""
    words = join_colors(state.even, state.odd)
    bits = words[:, None] >> jnp.arange(LANES, dtype=jnp.uint32)[:, None, None] & np.uint32(1)
    return bits.reshape(-1, words.shape[1] * words.shape[2]).astype(jnp.float32) * 2 - 1


def step(
    key: Key[Array, ""], model: Ising, state: Spins, *, beta: float | Float[Array, ""] | Float[Array, " n_words"] = 1.0
) -> Spins:
    """One sweep: all sites of one colour, then all of the other. Key is consumed.

    beta: one inverse temperature, or one for each word of 32 chains.
    """
    even, odd = _sweep(key, model, with_halo(state.even, HALO), with_halo(state.odd, HALO), beta)
    return Spins(interior(even, HALO), interior(odd, HALO))


def sweeps(
    key: Key[Array, ""],
    model: Ising,
    state: Spins,
    n_sweeps: int,
    *,
    beta: float | Float[Array, ""] | Float[Array, " n_words"] = 1.0,
) -> Spins:
    """`n_sweeps` steps with the pieces of `jax.random.split(key, n_sweeps)`."""

    def body(halves: tuple[Array, Array], step_key: Key[Array, ""]):
        return _sweep(step_key, model, *halves, beta), None

    start = (with_halo(state.even, HALO), with_halo(state.odd, HALO))
    even, odd = jax.lax.scan(body, start, jax.random.split(key, n_sweeps))[0]
    return Spins(interior(even, HALO), interior(odd, HALO))


def bond_sum(model: Ising, state: Spins) -> Int[Array, " n_chains"]:
    """Sum over bonds of sign_ij s_i s_j of each chain, so that E = -coupling times it, and exact."""
    neighbors = _neighbors(with_halo(state.odd, HALO), model, 0)
    ones, twos, fours = _count(*(~(state.even ^ neighbor) for neighbor in neighbors))
    lanes = jnp.arange(LANES, dtype=jnp.uint32)[:, None, None]

    def per_chain(plane: Array) -> Array:
        return jnp.sum((plane[:, None] >> lanes & np.uint32(1)).astype(jnp.int32), axis=(2, 3)).reshape(-1)

    agreeing = per_chain(ones) + 2 * per_chain(twos) + 4 * per_chain(fours)
    return 2 * agreeing - 4 * state.even.shape[1] * state.even.shape[2]


def _sweep(key: Key[Array, ""], model: Ising, even: Array, odd: Array, beta) -> tuple[Array, Array]:
    words = random_bits(key, (2, 4, 3))
    strength = (jnp.asarray(beta, jnp.float32) * model.coupling).reshape(-1, 1, 1)
    even = store(even, _draw(words[0], model, odd, 0, strength), HALO)
    return even, store(odd, _draw(words[1], model, even, 1, strength), HALO)


def _draw(words: Array, model: Ising, others: Array, color: int, strength: Array) -> Array:
    """New spins of one colour, given those of the other, with its halo."""
    ones, twos, fours = _count(*_neighbors(others, model, color))
    tie = twos & ~ones
    majority = fours | (ones & twos)
    rare, rarer = jax.nn.sigmoid(-4 * jnp.abs(strength)), jax.nn.sigmoid(-8 * jnp.abs(strength))
    *bits, dither = _stream(words, majority.shape, BITS + 1)
    flips, fair = _below(bits, dither, ones, rare, rarer), bits[-1]
    # A negative strength prefers the minority; the fair bit decides ties alone, where the comparison is not used.
    anti = _mask(strength < 0)
    return (tie & fair) | (~tie & (majority ^ flips ^ anti))


def _below(bits: list[Array], dither: Array, select: Array, p: Array, q: Array) -> Array:
    """Bits that are 1 with probability p where `select` is 1, else q; p and q at most 1/2.

    From the lowest bit up: where bits of U and T differ, the comparison so far is overruled. Random bits are used
    complemented, which does not change their law.
    """
    (first, p_rest), (second, q_rest) = _threshold(p), _threshold(q)
    below = _choose(select, _mask(dither < p_rest), _mask(dither < q_rest))
    for position, bit in enumerate(bits):
        digit = _choose(select, _mask(first >> position & 1 == 1), _mask(second >> position & 1 == 1))
        below = (bit & digit) | (below & (bit ^ digit))
    return below


def _threshold(p: Array) -> tuple[Array, Array]:
    """The whole part of 2^BITS p, and its fraction times 2^32."""
    scaled = p * np.float32(2**BITS)
    whole = jnp.floor(scaled)
    return whole.astype(jnp.uint32), ((scaled - whole) * np.float32(2.0**32)).astype(jnp.uint32)


def _mask(condition: Array) -> Array:
    """All ones where true."""
    return np.uint32(0) - condition.astype(jnp.uint32)


def _choose(select: Array, yes: Array, no: Array) -> Array:
    return no ^ (select & (yes ^ no))


def _neighbors(others: Array, model: Ising, color: int) -> list[Array]:
    """The four neighbours of every site of a colour, opposite where the sign of the bond is."""
    found = [shifted(others, color, dr, dc, HALO) for dr, dc in DIRECTIONS]
    if model.signs is None:
        return found
    return [neighbor ^ model.signs[color, i] for i, neighbor in enumerate(found)]


def _count(a: Array, b: Array, c: Array, d: Array) -> tuple[Array, Array, Array]:
    """How many of four bits are 1, as three binary digits, the lowest first."""
    ab, cd, both_ab, both_cd = a ^ b, c ^ d, a & b, c & d
    carry = ab & cd
    return ab ^ cd, both_ab ^ both_cd ^ carry, both_ab & both_cd


def _stream(words: Array, shape: tuple[int, ...], n: int) -> list[Array]:
    """n random words for each place of an array of words."""
    place = jax.lax.iota(jnp.uint32, int(np.prod(shape))).reshape(shape)
    x, y, z, w = (_hash(place, *words[i]) for i in range(4))
    found = []
    for _ in range(n):
        t = x ^ x << np.uint32(11)
        x, y, z = y, z, w
        w = w ^ w >> np.uint32(19) ^ t ^ t >> np.uint32(8)
        found.append(w + z)
    return found


def _hash(x: Array, first: Array, second: Array, third: Array) -> Array:
    """A bijection of 32-bit words chosen by three keys: multiplications after Wellons ("hash-prospector", 2018)."""
    x = x * np.uint32(0x9E3779B1) + first
    x = (x ^ x >> np.uint32(16)) * np.uint32(0x21F0AAAD) + second
    x = (x ^ x >> np.uint32(15)) * np.uint32(0x735A2D97) + third
    return x ^ x >> np.uint32(15)


def _check(n_chains: int, rows: int, cols: int) -> None:
    if n_chains < 1 or n_chains % LANES:
        raise ValueError(f"n_chains must be a positive multiple of {LANES}, the chains in a word, got {n_chains}")
    for name, size in (("rows", rows), ("cols", cols)):
        if size < 4 or size % 2:
            raise ValueError(f"{name} must be even and at least 4, got {size}; use ebm.samplers.chromatic")
    if n_chains // LANES * rows * cols >= 2**33:
        raise ValueError(
            f"n_chains / 32 x rows x cols / 2 must be below 2**32, the period of the counter, got {n_chains} chains of "
            f"{rows} x {cols}; sample them in groups with keys of their own"
        )
