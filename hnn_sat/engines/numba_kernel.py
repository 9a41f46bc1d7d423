"""WalkSAT/SKC flip by flip on the state of one replica, compiled by numba. Imported only where the extra is installed.

A clause is one word: its number of true literals in the high half, the exclusive or of their variables in the low half,
so that where the number is 1 the low half names the only true variable. Every variable's break count is kept; clauses
visited by a flip update both without a branch. The violated clauses are a list with back pointers.

`no_type_check` keeps run-time type checkers from wrapping what numba has to compile.
"""

from typing import no_type_check

import numba
import numpy as np

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31, _S32 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_ONE = np.uint64(1)


@numba.njit(inline="always")
@no_type_check
def _mix(z):
    """The output function of splitmix64 (Steele, Lea and Flood 2014)."""
    z = (z ^ (z >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    return z ^ (z >> _S31)


@numba.njit(nogil=True, cache=True)
@no_type_check
def recount(x, word, breaks, false, where, clause_start, clause_literal, half):
    """Set the clause words, break counts and the list of violated clauses of assignment x; returns their number."""
    n_false = 0
    breaks[:] = 0
    breaks[x.shape[0]] = 1 << 30  # the padding is never chosen
    one = _ONE << half
    for c in range(word.shape[0]):
        w = np.uint64(0)
        for i in range(clause_start[c], clause_start[c + 1]):
            literal = np.uint64(clause_literal[i])
            v = literal >> _ONE
            if np.uint64(x[v]) ^ (literal & _ONE):
                w = (w + one) ^ v
        word[c] = w
        if w >> half == np.uint64(0):
            false[n_false] = c
            where[c] = n_false
            n_false += 1
        elif w >> half == _ONE:
            breaks[w & (one - _ONE)] += 1
    return n_false


@numba.njit(nogil=True, cache=True)
@no_type_check
def run(
    x, word, breaks, false, where, n_false, random, best_x, n_best, trail, iterations, threshold,
    clause_start, clause_literal, start, occurrence, half, mask,
):  # fmt: skip
    """At most so many iterations of WalkSAT/SKC on one replica, fewer if it is solved.

    Returns violated clauses, their least number, the state of the random numbers, iterations and flips made. best_x is
    kept by undoing the flips since the best, of which `trail` holds as many as it can; it is written if there are more.
    threshold: 2^32 times the probability of a random variable where no flip is free.
    """
    n_since = trail.shape[0]  # full: best_x is up to date
    n_done, n_flips = 0, 0
    one = _ONE << half
    while n_done < iterations and n_false > 0:
        n_done += 1
        random += _GAMMA
        r = _mix(random)
        c = false[((r >> _S32) * np.uint64(n_false)) >> _S32]
        first, end = clause_start[c], clause_start[c + _ONE]
        if first == end:  # an empty clause can never hold
            continue
        least = np.int64(1) << 40
        for i in range(first, end):
            least = min(least, np.int64(breaks[clause_literal[i] >> _ONE]))
        is_walk = (least > 0) & ((r & _LOW) < threshold)
        keep = np.uint64(0) if is_walk else ~np.uint64(0)
        chosen, lowest = np.uint64(0), ~np.uint64(0)
        for i in range(first, end):
            literal = np.uint64(clause_literal[i])
            random += _GAMMA
            cost = ((np.uint64(breaks[literal >> _ONE]) & keep) << _S32) | (_mix(random) >> _S32)
            chosen = literal if cost < lowest else chosen
            lowest = min(cost, lowest)
        v = chosen >> _ONE
        x[v] ^= np.uint8(1)
        n_flips += 1
        n_held = 0
        for i in range(start[chosen], start[chosen + _ONE]):
            c = occurrence[i]
            w = np.uint64(word[c])
            count = w >> half
            word[c] = (w + one) ^ v
            breaks[w & mask] -= count == _ONE
            if count == np.uint64(0):
                n_held += 1
                n_false -= 1
                last = false[n_false]
                at = where[c]
                false[at] = last
                where[last] = at
        negation = chosen ^ _ONE
        for i in range(start[negation], start[negation + _ONE]):
            c = occurrence[i]
            w = (np.uint64(word[c]) - one) ^ v
            count = w >> half
            word[c] = w
            breaks[w & mask] += count == _ONE
            if count == np.uint64(0):
                false[n_false] = c
                where[c] = n_false
                n_false += 1
        breaks[v] = n_held
        if n_false < n_best:
            n_best = n_false
            n_since = 0
        elif n_since < trail.shape[0]:
            trail[n_since] = v
            n_since += 1
            if n_since == trail.shape[0]:
                _undo(x, best_x, trail, n_since)
    if n_since < trail.shape[0]:
        _undo(x, best_x, trail, n_since)
    return n_false, n_best, random, n_done, n_flips


@numba.njit(nogil=True, cache=True)
@no_type_check
def _undo(x, best_x, trail, n_since):
    best_x[:] = x
    for i in range(n_since):
        best_x[trail[i]] ^= np.uint8(1)


@numba.njit(nogil=True, cache=True)
@no_type_check
def run_all(
    xs, words, breaks, false, where, n_false, random, best_x, n_best, n_iterations, n_flips, trail,
    begin, stop, piece, is_first, threshold, clause_start, clause_literal, start, occurrence, half, mask,
):  # fmt: skip
    """Iterations begin to stop - 1 of every replica: whole replicas one after the other, or, where the first solution
    ends the run, in pieces of so many iterations by turns. Returns the iteration that was reached by all."""
    while begin < stop:
        end = min(begin + piece, stop) if is_first else stop
        is_solved = False
        for r in range(xs.shape[0]):
            if n_false[r] > 0:
                n_false[r], n_best[r], random[r], done, flips = run(
                    xs[r], words[r], breaks[r], false[r], where[r], n_false[r], random[r], best_x[r], n_best[r], trail,
                    end - begin, threshold, clause_start, clause_literal, start, occurrence, half, mask,
                )  # fmt: skip
                n_iterations[r] += done
                n_flips[r] += flips
            is_solved |= n_best[r] == 0
        begin = end
        if is_first and is_solved:
            break
    return begin
