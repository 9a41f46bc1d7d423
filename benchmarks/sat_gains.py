"""Gains of all variables, noisy winner-take-all, and the noisy two-product machine, at 250 variables and 1065 clauses.

    flock /tmp/bench.lock taskset -c 1 python benchmarks/sat_gains.py --write

Rivals are straightforward dense jnp programs in float32, written here: energy and gains by matrix products, Threefry
normals for every literal sum and every gain. Rivals take turns in one process; medians of process CPU time.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np
from record import record, table

from hnn_sat import Schedule, solve, unsatisfiable_ksat
from hnn_sat.dynamics import DYNAMICS
from hnn_sat.engines import BitSliced, TwoProducts, bit_sliced
from hnn_sat.problem import Problem

HIGHEST = jax.lax.Precision.HIGHEST
READ_NOISE = 0.1


def interleaved(functions: dict[str, tuple[Callable[[], object], int]], rounds: int) -> dict[str, float]:
    """Work done a CPU-second by each of the functions, which take turns; each comes with the work of one call."""
    for function, _ in functions.values():
        function()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, (function, _) in functions.items():
            began = time.process_time()
            function()
            seconds[name].append(time.process_time() - began)
    return {name: work / float(np.median(seconds[name])) for name, (_, work) in functions.items()}


def dense(problem: Problem) -> jax.Array:
    """The incidence matrix, literals × clauses."""
    literal, n = np.asarray(problem.literal), problem.n_variables
    matrix = np.zeros((2 * n + 1, problem.n_clauses), np.float32)
    matrix[literal.T, np.arange(problem.n_clauses)] = 1.0
    return jnp.asarray(matrix[:-1])


def both_literals(x: jax.Array) -> jax.Array:
    return jnp.stack([x, ~x], axis=-1).reshape(x.shape[0], -1).astype(jnp.float32)


def products(matrix: jax.Array, x: jax.Array, key: jax.Array | None) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Violated clauses, makes and breaks; with a key, as read with noise and rounded."""
    keys = [None] * 3 if key is None else jax.random.split(key, 3)

    def read(key: jax.Array | None, lines: jax.Array, array: jax.Array) -> jax.Array:
        sums = jnp.matmul(lines, array, precision=HIGHEST)
        if key is None:
            return sums
        # Cells hold 0 or 1, so the variance of a sum is the number of driven ones: the sum itself.
        return jnp.round(sums + READ_NOISE * jnp.sqrt(sums) * jax.random.normal(key, sums.shape))

    count = read(keys[0], both_literals(x), matrix)
    violated, critical = (count < 0.5).astype(jnp.float32), ((count >= 0.5) & (count < 1.5)).astype(jnp.float32)
    make, break_ = read(keys[1], violated, matrix.T), read(keys[2], critical, matrix.T)
    return violated, jnp.where(x, make[:, 1::2], make[:, 0::2]), jnp.where(x, break_[:, 0::2], break_[:, 1::2])


@partial(jax.jit, static_argnames="repeats")
def plain_gains(matrix: jax.Array, x: jax.Array, repeats: int) -> jax.Array:
    def once(i: jax.Array, x: jax.Array) -> jax.Array:
        _, makes, breaks = products(matrix, x, None)
        return x ^ (makes > breaks + 1.0)

    return jax.lax.fori_loop(0, repeats, once, x)


@jax.jit
def sliced_gains(tables: bit_sliced.Tables, words: jax.Array, first: jax.Array, stop: jax.Array) -> jax.Array:
    def once(i: jax.Array, words: jax.Array) -> jax.Array:
        # Stored whole: if they were only combined, the compiler would fuse them into one word.
        planes, _ = bit_sliced.gain_planes(tables, words, i >= 0)
        return reduce(jnp.bitwise_xor, planes, words)

    return jax.lax.fori_loop(first, stop, once, words)


@partial(jax.jit, static_argnames="flips")
def plain_winner(key: jax.Array, matrix: jax.Array, x: jax.Array, flips: int) -> jax.Array:
    """GNSAT-N, with nothing but jnp and jax.random."""

    def once(i: jax.Array, x: jax.Array) -> jax.Array:
        violated, makes, breaks = products(matrix, x, None)
        noise = jax.random.normal(jax.random.fold_in(key, i), x.shape)
        winner = jnp.argmax(makes - breaks + 0.8 * noise, axis=1)
        is_flip = jnp.arange(x.shape[1])[None, :] == winner[:, None]
        return x ^ (is_flip & jnp.any(violated > 0, axis=1, keepdims=True))

    return jax.lax.fori_loop(0, flips, once, x)


@partial(jax.jit, static_argnames="flips")
def plain_walksat(
    key: jax.Array, matrix: jax.Array, literal: jax.Array, x: jax.Array, flips: int
) -> tuple[jax.Array, jax.Array]:
    """WalkSAT/SKC on the noisy products, with nothing but jnp and jax.random."""

    def once(i: jax.Array, loop: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        x, n_solved = loop
        read_key, clause_key, coin_key, tie_key = jax.random.split(jax.random.fold_in(key, i), 4)
        violated, _, breaks = products(matrix, x, read_key)
        exact = jnp.matmul(both_literals(x), matrix, precision=HIGHEST)
        clause = jax.random.categorical(clause_key, jnp.log(violated), axis=-1)
        variables = literal[clause] >> 1
        cost = jnp.take_along_axis(breaks, variables, axis=1)
        least = jnp.min(cost, axis=1, keepdims=True)
        walks = (least > 0) & jax.random.bernoulli(coin_key, 0.5, least.shape)
        candidate = jnp.where(walks | (cost == least), 0.0, -jnp.inf)
        slot = jax.random.categorical(tie_key, candidate, axis=-1)
        chosen = jnp.take_along_axis(variables, slot[:, None], axis=1)
        return x ^ (jnp.arange(x.shape[1])[None, :] == chosen), n_solved + jnp.all(exact > 0, axis=1)

    return jax.lax.fori_loop(0, flips, once, (x, jnp.zeros(x.shape[0], jnp.int32)))


def main() -> str:
    problem = unsatisfiable_ksat(jax.random.key(0), 250, 4.26 - 8 / 250)
    matrix, sliced = dense(problem), bit_sliced.tables(problem)
    n_words, n_few = 256, 64
    words = jax.random.bits(jax.random.key(0), (250, n_words), jnp.uint32)
    span = jnp.int32(0), jnp.int32(20)
    few = jax.random.bernoulli(jax.random.key(1), shape=(n_few, 250))

    rates = interleaved(
        {
            "bit-sliced, 8,192 replicas": (
                lambda: sliced_gains(sliced, words, *span).block_until_ready(),
                20 * 32 * n_words,
            ),
            "dense jnp, float32, 64 replicas": (lambda: plain_gains(matrix, few, 20).block_until_ready(), 20 * n_few),
        },
        9,
    )
    text = "Gains of all variables, the whole formula evaluated anew.\n\n" + shown(rates, "evaluations")

    def searched(rule: str, engine: BitSliced, replicas: int, flips: int) -> tuple[Callable[[], object], int]:
        schedule = Schedule(replicas=replicas, max_flips=flips)
        run = partial(solve, jax.random.key(1), problem, schedule, dynamic=DYNAMICS[rule], engine=engine, until="all")
        return (lambda: jax.block_until_ready(run().n_flips)), replicas * flips

    rates = interleaved(
        {
            **{
                f"{rule}, 8,192 replicas": searched(rule, BitSliced(), 8192, 128)
                for rule in ("gnsat-n", "gnsat-u", "mnsat")
            },
            "gnsat-n, a noise for each variable, 64 replicas": searched("gnsat-n", BitSliced(by_worth=False), 64, 64),
            "gnsat-n, dense jnp, float32, 64 replicas": (
                lambda: plain_winner(jax.random.key(1), matrix, few, 64).block_until_ready(),
                64 * n_few,
            ),
        },
        5,
    )
    text += "\n\nNoisy winner-take-all, end to end through `solve`.\n\n" + shown(rates, "iterations")

    flips = 128
    schedule = Schedule(replicas=n_few, max_flips=flips)
    engine = TwoProducts(read_noise=READ_NOISE)
    rates = interleaved(
        {
            "TwoProducts, 20 tiles of 256 × 256": (
                lambda: jax.block_until_ready(
                    solve(jax.random.key(1), problem, schedule, engine=engine, until="all").n_flips
                ),
                n_few * flips,
            ),
            "dense jnp, float32, Threefry normals, no tiles": (
                lambda: jax.block_until_ready(plain_walksat(jax.random.key(1), matrix, problem.literal, few, flips)),
                n_few * flips,
            ),
        },
        5,
    )
    return text + "\n\nWalkSAT on two noisy products, 64 replicas.\n\n" + shown(rates, "iterations")


def shown(rates: dict[str, float], what: str) -> str:
    last = list(rates.values())[-1]
    rows = [(name, f"{rate / 1e6:.4g} M", f"{rate / last:.2f}") for name, rate in rates.items()]
    return table(("variant", f"{what} a CPU-second", "times the last"), rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the tables into RESULTS.md")
    options = parser.parse_args()
    record("k-SAT: gains and noisy products", main(), write=options.write)
