"""What one iteration asks of an analog machine and of a digital computer, counted from shapes."""

from aimc.counts import Counts
from hnn_sat.placement import Placement
from hnn_sat.problem import Problem

RANDOM_BITS = 96  # one 32-bit word each for the clause, the coin and the variable


def sizes(problem: Problem) -> tuple[int, int, int]:
    """n_variables, n_clauses and n_literals (padding not counted), as the functions below take them."""
    return problem.n_variables, problem.n_clauses, problem.n_literals


def iteration_counts(shape: Problem | tuple[int, int, int], *, rows: int = 256, cols: int = 256) -> Counts:
    """One flip of the machine that holds the incidence matrix in crossbar tiles of rows x cols and its transpose in
    others, and chooses as WalkSAT/SKC does. n variables, m clauses, k = n_literals / m rounded up.

    Forward, 2 n lines into m columns: 2 n m analog_macs. Every line of every column tile is driven by a 1-bit word
      line (dac_samples), although only n of them carry a one. Each column of each row tile is converted once
      (adc_samples) with 2 bits, that is to 0, 1 or at least 2: partial sums of row tiles that are cut off there still
      add up to the right class. digital_ops: row_tiles - 1 adds and 2 comparisons, with 0 and with 1, for each clause.
    Backward, once: the critical clauses drive the m lines, 2 n m analog_macs. What a flip makes is not asked for, so
      the violated clauses never do. Of the two columns of a variable only one is converted, chosen by its present
      value: n adc_samples for each row tile, with row_tiles - 1 adds.
    Choice: m digital_ops for the violated clause (one visit of each flag), 3 for each of k literals (fetch, compare
      with the least, count the equals), and 3 for the coin, the winner and the flip. 96 random_bits.
    buffer_bytes: the two clause flags of m bits, written and read, n bits of state read, a count of 2 bytes for each
      variable written and read.
    array_cycles: 2, the reads that have to follow each other.

    Raises ValueError if a size is not positive.
    """
    _, m, n_literals = _checked(shape)
    choice = Counts(digital_ops=m + 3 * _tiles(n_literals, m) + 3, random_bits=RANDOM_BITS)
    return _reads(shape, 1, rows, cols) + choice


def winner_counts(
    shape: Problem | tuple[int, int, int],
    worth: str = "gain",
    *,
    rows: int = 256,
    cols: int = 256,
    random_words: int | None = None,
) -> Counts:
    """One flip of the same arrays that flips the variable of greatest noisy worth, among all of them.

    worth "gain" reads three times, the violated and then the critical clauses backward; "make" twice, without the
      critical ones. Choice: no clause is picked; digital_ops n subtractions (for "gain"), n additions of noise, n - 1
      comparisons, and 1 for the flip.
    random_bits: 32 for each of `random_words`, by default one for each variable.
    Raises ValueError for another worth, or a size that is not positive.
    """
    if worth not in ("gain", "make"):
        raise ValueError(f"worth must be gain or make, got {worth!r}")
    n, _, _ = _checked(shape)
    n_backward = 2 if worth == "gain" else 1
    choice = Counts(
        digital_ops=n_backward * n + n - 1 + 1, random_bits=32 * (n if random_words is None else random_words)
    )
    return _reads(shape, n_backward, rows, cols) + choice


def probsat_counts(shape: Problem | tuple[int, int, int], *, rows: int = 256, cols: int = 256) -> Counts:
    """One flip of the same arrays that chooses as probSAT does: a violated clause, then a variable by its break.

    Two reads, as for WalkSAT. Choice: digital_ops m for the violated clause, 4 for each of k literals (fetch, table of
    weights, running sum, comparison with the threshold), and 2 for the threshold and the flip. random_bits: 64, clause
    and variable.
    Raises ValueError if a size is not positive.
    """
    _, m, n_literals = _checked(shape)
    choice = Counts(digital_ops=m + 4 * _tiles(n_literals, m) + 2, random_bits=64)
    return _reads(shape, 1, rows, cols) + choice


def annealing_counts(
    shape: Problem | tuple[int, int, int], n_deciding: int = 1, *, rows: int = 256, cols: int = 256
) -> Counts:
    """One iteration of the same arrays in which n_deciding variables decide by their gain: 1 for Metropolis, the size
    of a colour for Glauber.

    Three reads, of which only the columns of those variables are converted and added, make and break. Choice:
    digital_ops 3 for each variable that decides (subtract, threshold, flip or not). random_bits: 32 for the coin of
    each, and 32 to propose the variable where it is one. buffer_bytes: two counts of 2 bytes only for those.
    Raises ValueError if a size is not positive, or more variables decide than there are.
    """
    n, _, _ = _checked(shape)
    if not 1 <= n_deciding <= n:
        raise ValueError(f"n_deciding must be from 1 to n_variables = {n}, got {n_deciding}")
    choice = Counts(digital_ops=3 * n_deciding, random_bits=32 * n_deciding + (32 if n_deciding == 1 else 0))
    return _reads(shape, 2, rows, cols, n_converted=n_deciding) + choice


def placed_counts(problem: Problem, placement: Placement, *, readout: str = "comparator") -> Counts:
    """One WalkSAT/SKC flip on tiles that hold whole clauses (`hnn_sat.placement`), and their transposes.

    Unused rows and columns are neither driven nor read. Forward: every used row of every tile driven, two
      comparator_decisions, or one of adc_samples, for each clause; no partial sums.
    Backward, once: every used column of the transposed tiles driven, every used row converted, and the conversions of
      one literal on several tiles added: conversions less 2 n digital_ops, at least 0.
    Choice, flags and buffers as in `iteration_counts`. array_cycles: 2.
    Raises ValueError for another readout.
    """
    if readout not in ("comparator", "adc"):
        raise ValueError(f"readout must be comparator or adc, got {readout!r}")
    n, m, n_literals = _checked(sizes(problem))
    used = (placement.literals < 2 * n).sum(axis=1).tolist()
    held = (placement.clauses < m).sum(axis=1).tolist()
    macs = sum(rows * cols for rows, cols in zip(used, held, strict=True))
    k = _tiles(n_literals, m)
    forward = Counts(
        analog_macs=macs,
        dac_samples=sum(used),
        adc_samples=m if readout == "adc" else 0,
        comparator_decisions=2 * m if readout == "comparator" else 0,
        digital_ops=2 * m if readout == "adc" else 0,
        array_cycles=1,
        buffer_bytes=2 * 2 * _tiles(m, 8) + _tiles(n, 8),
    )
    backward = Counts(
        analog_macs=macs,
        dac_samples=m,
        adc_samples=sum(used),
        digital_ops=max(sum(used) - 2 * n, 0),
        array_cycles=1,
        buffer_bytes=2 * 2 * n,
    )
    return forward + backward + Counts(digital_ops=m + 3 * k + 3, random_bits=RANDOM_BITS)


def cam_counts(shape: Problem | tuple[int, int, int], longest_clause: int) -> Counts:
    """One WalkSAT/SKC flip by searches: the bank of violated patterns and the `longest_clause` banks of critical ones.

    cam_searches: every one of m rows in each of 1 + k banks. digital_ops: one counter increment or none for every match
      line of a bank of critical patterns (m a bank), and the choice as in `iteration_counts`. buffer_bytes: the match
      lines written and read, n bits of state read for each bank, a count of 2 bytes for each variable written and
      read. array_cycles: one a bank.
    Raises ValueError if a size is not positive.
    """
    n, m, n_literals = _checked(shape)
    if longest_clause < 1:
        raise ValueError(f"longest_clause must be at least 1, got {longest_clause}")
    banks, k = 1 + longest_clause, _tiles(n_literals, m)
    return Counts(
        cam_searches=banks * m,
        array_cycles=banks,
        digital_ops=longest_clause * m + m + 3 * k + 3,
        random_bits=RANDOM_BITS,
        buffer_bytes=banks * (2 * _tiles(m, 8) + _tiles(n, 8)) + 2 * 2 * n,
    )


def walksat_counts(shape: Problem | tuple[int, int, int]) -> Counts:
    """One flip of a digital WalkSAT/SKC that keeps, for every clause, its true-literal count and the exclusive-or of
    its true variables in one 4-byte word, the break count of every variable, and a list of violated clauses.

    d = n_literals / n_variables rounded up: the clauses of the flipped variable. k as above.
    memory_bytes: 4 for each index, word or count. Each of d visits reads an index and a word and writes the word, and
      reads and writes the break count of one variable (20 d); the choice reads k literals and their break counts (8 k),
      the list and the clause's place in it (8), and writes the list back (8) and the state (1). On a CPU these bytes
      stay in cache; on a GPU whose replicas do not fit on chip they are traffic.
    digital_ops: for each visit add, exclusive-or, compare, mask, select and update (6 d); for each literal of the
      clause a fetch, comparison and count (3 k); 6 for the random picks, the coin and the flip.

    Raises ValueError if a size is not positive.
    """
    n, m, n_literals = _checked(shape)
    d, k = _tiles(n_literals, n), _tiles(n_literals, m)
    return Counts(memory_bytes=20 * d + 8 * k + 8 + 8 + 1, digital_ops=6 * d + 3 * k + 6, random_bits=RANDOM_BITS)


def check_counts(shape: Problem | tuple[int, int, int]) -> Counts:
    """The exact number of violated clauses, kept up in a digital memory beside the arrays after every flip.

    Errors of the arrays can hide a violated clause, or show one that holds: only this count tells when to stop. Each of
    d clauses of the flipped variable, d = n_literals / n_variables rounded up, is visited. digital_ops: 3 a visit (its
    count of true literals up or down, compared with 0 or 1, the total up or down) and 1 to compare the total with 0.
    buffer_bytes: 6 a visit, an index of 4 bytes and a 1-byte count read, and the count written.
    Raises ValueError if a size is not positive.
    """
    n, _, n_literals = _checked(shape)
    d = _tiles(n_literals, n)
    return Counts(digital_ops=3 * d + 1, buffer_bytes=6 * d)


def _reads(
    shape: Problem | tuple[int, int, int], n_backward: int, rows: int, cols: int, *, n_converted: int | None = None
) -> Counts:
    """The forward read, and n_backward reads of the transpose of which the columns of n_converted variables (None: all)
    are converted, added and kept; events as `iteration_counts` says."""
    n, m, _ = _checked(shape)
    for name, size in (("rows", rows), ("cols", cols)):
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
    converted = n if n_converted is None else n_converted
    forward = Counts(
        analog_macs=2 * n * m,
        dac_samples=2 * n * _tiles(m, cols),
        adc_samples=_tiles(2 * n, rows) * m,
        digital_ops=(_tiles(2 * n, rows) - 1) * m + 2 * m,
        array_cycles=1,
        buffer_bytes=2 * 2 * _tiles(m, 8) + _tiles(n, 8),
    )
    backward = Counts(
        analog_macs=2 * n * m,
        dac_samples=m * _tiles(2 * n, cols),
        adc_samples=_tiles(m, rows) * converted,
        digital_ops=(_tiles(m, rows) - 1) * converted,
        array_cycles=1,
        buffer_bytes=2 * 2 * converted,
    )
    return forward + n_backward * backward


def _checked(shape: Problem | tuple[int, int, int]) -> tuple[int, int, int]:
    given = sizes(shape) if isinstance(shape, Problem) else shape
    for name, size in zip(("n_variables", "n_clauses", "n_literals"), given, strict=True):
        if size < 1:
            raise ValueError(f"{name} must be at least 1 to count an iteration, got {size}")
    return given


def _tiles(length: int, tile: int) -> int:
    return -(-length // tile)
