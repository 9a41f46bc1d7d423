"""Reads of incidence arrays that visit only the cells that hold a one.

Where nothing conducts at the other crossings (no off-current, no stuck-on cells) a column's sum, and the variance of
its read noise, are sums over the k literals of a clause or the clauses of a literal: the same law as the dense product,
at k / 2n of its work. Backward sums are read when a rule asks for them, with noise that belongs to the literal, so
that a question asked twice in one iteration gets one answer.
"""

from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, UInt32

from aimc.noise import normal, random_bits
from hnn_sat.problem import Problem


class Occurrences(NamedTuple):
    """The clauses of every literal code, and its slot in each; unused places name the clause beyond the last."""

    clause: Int[Array, "codes d"]
    slot: Int[Array, "codes d"]


class View(NamedTuple):
    """What the comparisons of one forward read say, and what the backward reads of the iteration start from."""

    violated: Bool[Array, "*r m"]
    missed: Int[Array, "*r"]
    critical: Bool[Array, "*r m"]
    x: Bool[Array, "*r n"]
    word: UInt32[Array, "*r 2"]


def occurrences(problem: Problem) -> Occurrences:
    """Tabulated on the host."""
    literal, n = np.asarray(problem.literal), problem.n_variables
    clause, slot = np.nonzero(literal < 2 * n)
    code = literal[clause, slot]
    order = np.argsort(code, kind="stable")
    clause, slot, code = clause[order], slot[order], code[order]
    degree = np.bincount(code, minlength=2 * n + 1)
    shape = (2 * n + 1, max(1, int(degree.max(initial=0))))
    clauses, slots = np.full(shape, problem.n_clauses, np.int32), np.zeros(shape, np.int32)
    place = (code, np.arange(len(code)) - (np.cumsum(degree) - degree)[code])
    clauses[place], slots[place] = clause, slot
    return Occurrences(jnp.asarray(clauses), jnp.asarray(slots))


def true_literals(problem: Problem, x: Bool[Array, "r n"]) -> list[Bool[Array, "m r"]]:
    """Truth of literal j of every clause, a replica a column: whole rows are fetched."""
    both = jnp.stack([x.T, ~x.T], axis=1).reshape(-1, x.shape[0])
    truth = jnp.concatenate([both, jnp.zeros((1, x.shape[0]), bool)])
    return [truth[problem.literal[:, j]] for j in range(problem.longest_clause)]


def clause_sums(
    key: Key[Array, ""], problem: Problem, array: Any, true: list[Bool[Array, "m r"]], read_noise: Any
) -> Float[Array, "m r"]:
    """L of every clause, part by part of the rows of a tile, converted and added. Random: read noise, fresh."""
    n_tiles, n_line, _ = array.g.shape
    code, column = problem.literal, jnp.arange(problem.n_clauses)
    last = 2 * problem.n_variables - 1

    def add(tile: Array, total: Array) -> Array:
        own = jnp.minimum(code, last)
        g = jnp.where(code // n_line == tile, array.g[tile][own % n_line, column[:, None]], 0.0)
        sums = reduce(jnp.add, [jnp.where(is_true, g[:, j, None], 0.0) for j, is_true in enumerate(true)])
        if read_noise is not None:
            variance = reduce(jnp.add, [jnp.where(is_true, g[:, j, None] ** 2, 0.0) for j, is_true in enumerate(true)])
            noise = normal(jax.random.fold_in(key, tile), total.shape)
            sums = sums + read_noise * jnp.sqrt(variance) * noise
        return total + _converted(array, sums.T, tile, slice(None)).T

    # A loop, and not one expression: XLA would read the array, noise and all, once more for every use of the sums.
    return jax.lax.fori_loop(0, n_tiles, add, jnp.zeros_like(true[0], jnp.float32))


def literal_sums(
    word: UInt32[Array, "2"],
    code: Int[Array, " k"],
    lines: Bool[Array, " m"],
    array: Any,
    table: Occurrences,
    read_noise: Any,
) -> Float[Array, " k"]:
    """How many of the driven clauses each literal is in, as one replica reads it. Random: read noise of that word."""
    n_tiles, n_line, n_column = array.g.shape
    column = jnp.minimum(code, n_column - 1)
    clause = table.clause[code]
    is_driven = jnp.concatenate([lines, jnp.zeros(1, bool)])[clause]
    row = jnp.minimum(clause, lines.shape[0] - 1)
    g = jnp.where(is_driven, array.g[row // n_line, row % n_line, column[:, None]], 0.0)
    total = jnp.zeros(code.shape)
    noise = None
    if read_noise is not None:
        count = code.astype(jnp.uint32) * np.uint32(n_tiles) + jnp.arange(n_tiles, dtype=jnp.uint32)[:, None]
        keys = jnp.stack([jnp.broadcast_to(word[0], count.shape), word[1] + count], axis=-1)
        noise = jax.vmap(jax.vmap(lambda k: normal(jax.random.wrap_key_data(k), ())))(keys)
    for tile in range(n_tiles):
        own = jnp.where(row // n_line == tile, g, 0.0)
        sums = jnp.sum(own, axis=1)
        if noise is not None:
            sums = sums + read_noise * jnp.sqrt(jnp.sum(own**2, axis=1)) * noise[tile]
        total = total + _converted(array, sums, tile, column)
    return total


def words(key: Key[Array, ""], n_replicas: int) -> UInt32[Array, "r 2"]:
    """Of a Threefry key for each replica; key is consumed."""
    return random_bits(key, (n_replicas, 2))


def _converted(array: Any, sums: Array, tile: Any, column: Any) -> Array:
    """What the converters of a tile make of sums that are given in fully-on cells."""
    readout = array.spec.readout
    errors = jax.tree.map(lambda leaf: leaf[tile][column], array.errors)
    unit = readout.full_scale * array.scale[0, 0]
    return readout.read(jax.random.key(0), sums * (1.0 / readout.full_scale), errors, unit)
