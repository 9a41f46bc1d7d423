"""Formulas made from other problems, the way back, and files of any bytes, against plain enumeration."""

import itertools
import warnings

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest

from hnn_sat import (
    Schedule,
    colouring,
    from_clauses,
    from_dimacs,
    from_wcnf,
    max_cut,
    model,
    planted_ksat,
    random_xorsat,
    solve,
    to_wcnf,
    violated_clauses,
    weighted,
    xor_clauses,
)
from hnn_sat.dynamics import Metropolis
from hnn_sat.energy import energy
from hnn_sat.levels import Geometric
from hnn_sat.problem import original_clauses


def everything(n):
    return list(itertools.product([False, True], repeat=n))


def literals(x):
    return [v if value else -v for v, value in enumerate(x, start=1)]


@pytest.mark.parametrize("k", range(1, 6))
@pytest.mark.parametrize("parity", [False, True])
def test_the_clauses_of_an_xor_hold_exactly_at_its_parity(k, parity):
    clauses = xor_clauses([*range(1, k), -k], parity)
    assert len(clauses) == 2 ** (k - 1)
    for x in everything(k):
        odd = (sum(x[:-1]) + (not x[-1])) % 2 == 1
        violated = violated_clauses(from_clauses(clauses), literals(x))
        # One pattern, one clause: the energy of a wrong parity is 1, whatever the state.
        assert len(violated) == (odd != parity)


def test_planted_formulas_hold_at_what_was_planted_with_patterns_as_frequent_as_they_should_be():
    problem, planted = planted_ksat(jax.random.key(0), 40, 250.0)
    assert violated_clauses(problem, planted) == []
    true = set(planted)
    pattern = [tuple(l in true for l in clause) for clause in original_clauses(problem)]
    counts = np.array([pattern.count(p) for p in everything(3)[1:]])
    assert counts.sum() == 10_000
    # Chi-square with 6 degrees: its 1 − 1e-4 quantile is 27.9.
    assert ((counts - 10_000 / 7) ** 2 / (10_000 / 7)).sum() < 27.9
    problem, planted = random_xorsat(jax.random.key(1), 30, 0.8)
    assert violated_clauses(problem, planted) == []
    assert problem.n_clauses == 24 * 4


@pytest.mark.parametrize("exclusive", [False, True])
def test_a_colouring_formula_is_satisfiable_exactly_where_the_graph_can_be_coloured(exclusive):
    for graph, chromatic in ((nx.cycle_graph(5), 3), (nx.complete_graph(4), 4), (nx.complete_bipartite_graph(2, 3), 2)):
        nodes = list(graph)
        for n_colours in (chromatic - 1, chromatic):
            coded = colouring(graph, n_colours, exclusive=exclusive)
            best = min(
                len(violated_clauses(coded.problem, coded.encode(dict(zip(nodes, colours, strict=True)))))
                for colours in itertools.product(range(n_colours), repeat=len(nodes))
            )
            assert (best == 0) == (n_colours == chromatic)
    graph = nx.petersen_graph()
    graph = nx.relabel_nodes(graph, {i: f"node {i}" for i in graph})
    coded = colouring(graph, 3, exclusive=exclusive)
    result = solve(jax.random.key(0), coded.problem, Schedule(replicas=16, max_flips=5000))
    found = coded.decode(model(coded.problem, result.assignment))
    assert set(found) == set(graph)
    assert all(found[u] != found[v] for u, v in graph.edges)
    assert coded.decode(coded.encode(found)) == found


def test_the_cost_of_a_max_cut_formula_is_what_the_cut_leaves_on_all_states():
    graph = nx.gnp_random_graph(7, 0.6, seed=2)
    weight = dict.fromkeys(graph.edges, 0)
    for i, edge in enumerate(graph.edges):
        weight[edge] = [3, -2, 1, 0, 6][i % 5]
    nx.set_edge_attributes(graph, weight, "weight")
    coded = max_cut(graph)
    problem, unit = coded.formula.expanded()
    names = np.asarray(problem.name)
    assert unit == 1
    for x in everything(7):
        side = {node for node, value in zip(graph, x, strict=True) if value}
        cut = sum(w for (u, v), w in weight.items() if (u in side) != (v in side))
        assert coded.total - coded.formula.cost(literals(x)) == cut
        assert int(energy(problem, jnp.array(x)[names - 1])) == coded.formula.cost(literals(x))
        assert coded.decode(coded.encode(side)) == side
    best = max(sum(w for (u, v), w in weight.items() if x[u] != x[v]) for x in everything(7))
    schedule = Schedule(replicas=16, max_flips=400, noise=Geometric(3.0, 0.3, 400))
    result = solve(jax.random.key(0), problem, schedule, dynamic=Metropolis(), until="all")
    assert coded.total - coded.formula.cost(model(problem, result.assignment)) == best


def test_hard_clauses_outweigh_all_soft_ones_together():
    formula = weighted([[1, 2], [-1], [-2], [-1, -2]], [None, 6, 4, None])
    problem, unit = formula.expanded()
    assert unit == 2
    states = {x: int(energy(problem, jnp.array(x))) for x in everything(2)}
    assert min(states, key=lambda x: states[x]) == (False, True)
    for x, value in states.items():
        assert value == formula.cost(literals(x)) // 2 + 6 * formula.n_hard_violated(literals(x))
    assert formula.cost([-1, 2]) == 4
    assert formula.n_hard_violated([-1, -2]) == 1


OLD = "c old\np wcnf 3 4 10\n10 1 -2 0\n3 2\n 3 0 0 3 0\n4 -1 0\n"
NEW = "c new\nh 1 -2 0\n3 2 3 0\n4 -1 0\n"


def test_both_forms_of_wcnf_are_read_and_the_new_one_written(tmp_path):
    (tmp_path / "old.wcnf").write_text(OLD)
    (tmp_path / "new.wcnf").write_text(NEW)
    old, new = from_wcnf(tmp_path / "old.wcnf"), from_wcnf(tmp_path / "new.wcnf")
    assert old == new == weighted([[1, -2], [2, 3], [-1]], [None, 3, 4])
    to_wcnf(new, tmp_path / "again.wcnf")
    assert from_wcnf(tmp_path / "again.wcnf") == new
    with pytest.raises(FileExistsError):
        to_wcnf(new, tmp_path / "again.wcnf")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("p wcnf 2 1 5\n5 1 0\n1 -2 0\n%\n0\n", "declares 1 clauses but the file holds 2"),
        ("p wcnf 1 2 5\n5 1 0\n1 -2\n", "declares 1 variables but variable 2 occurs"),
        ("h 1 0\n1 -2", "last clause has no 0"),
    ],
)
def test_a_wcnf_file_with_the_oddities_of_cnf_is_read_and_warned_about(tmp_path, text, message):
    path = tmp_path / "odd.wcnf"
    path.write_text(text)
    with pytest.warns(UserWarning, match=message):
        assert from_wcnf(path) == weighted([[1], [-2]], [None, 1])
    path.write_text("p wcnf 2 2 5\n5 1 0\n1 -2\n%\n0\n")  # nothing to warn about
    assert from_wcnf(path) == weighted([[1], [-2]], [None, 1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no clause"),
        ("1 2 0 3", "ends within a clause"),
        ("p wcnf 2 3 5\n5 1 0\n1 2", "ends after 2 of the 3 clauses"),
        ("x 1 0", "not a weight"),
        ("h 1 two 0", "not a literal"),
        ("p wcnf 2 1 5\nh 1 0", "under a header"),
        ("1 2 0\np wcnf 2 1 5", "header"),
        ("-3 1 0", "not a weight"),
    ],
)
def test_a_wcnf_file_that_makes_no_sense_gets_one_sentence(tmp_path, text, message):
    path = tmp_path / "bad.wcnf"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        from_wcnf(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: colouring(nx.Graph([(1, 1)]), 3), "edge to itself"),
        (lambda: colouring(nx.DiGraph([(1, 2)]), 3), "directed"),
        (lambda: colouring(nx.path_graph(2), 0), "n_colours"),
        (lambda: max_cut(nx.Graph([(0, 1, {"weight": 0.5})])), "whole numbers"),
        (lambda: weighted([[1]], [0]), "weight 0 must be"),
        (lambda: weighted([[1]], []), "weights has 0 entries"),
        (lambda: weighted([[1], [2]], [10**9, 1]).expanded(), "at most 1000000"),
        (lambda: xor_clauses([1, -1], True), "must be different"),
    ],
)
def test_what_cannot_be_a_formula_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


SEEDS = [
    b"c a comment\np cnf 4 3\n1 -2 0\n3 4 -1\n0 2 0\n",
    b"p cnf 3 2\n1 2 3 0 -1 -2 -3 0\n%\n0\n",
    b"p cnf 1000000000 2\n1 -1000000000 0\n2 2 -2 0\n",
    b"p cnf 0 1\n0\n",
    b"c\np cnf 2 2\n1 0\n-2",
    NEW.encode(),
    OLD.encode(),
]
PIECES = [b"0", b"-", b"%", b"p", b"c", b" ", b"\n", b"\r", b"\0", b"cnf", b"wcnf", b"h", b"\xff", b"2147483648",
          b"--1", b"1_0", b"+3", b"1e9", b"99999999999999999999", b"\t", b"-0", b"p cnf 1 1\n", b"1 0\n"]  # fmt: skip


def mutated(generator, seed):
    data = bytearray(seed)
    for _ in range(int(generator.integers(1, 4))):
        at = int(generator.integers(len(data) + 1))
        kind = generator.integers(4)
        if kind == 0:
            data[at:at] = PIECES[generator.integers(len(PIECES))]
        elif kind == 1:
            del data[at : at + int(generator.integers(1, 6))]
        elif kind == 2 and at < len(data):
            data[at] = int(generator.integers(256))
        else:
            data[at:at] = data[: int(generator.integers(len(data) + 1))]
    return bytes(data)


@pytest.mark.slow
@pytest.mark.parametrize(("reader", "seeds"), [(from_dimacs, SEEDS[:-2]), (from_wcnf, SEEDS[-2:])])
def test_any_bytes_are_read_as_a_formula_or_refused_in_one_sentence(reader, seeds, tmp_path):
    """12,000 mutations a reader; what is read is evaluated where every variable is true."""
    generator, path = np.random.default_rng(0), tmp_path / "fuzz"
    n_read, messages = 0, set()
    for case in range(12_000):
        path.write_bytes(mutated(generator, seeds[case % len(seeds)]))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = reader(path)
        except ValueError as error:
            text = str(error)
            assert "\n" not in text, path.read_bytes()
            assert 10 < len(text) < 400, path.read_bytes()
            messages.add(text.partition("line")[2][:12])
            continue
        n_read += 1
        if reader is from_dimacs:
            assert found.n_clauses <= found.n_original_clauses
            assert found.n_variables < 2_000_000
            unmet = [i for i, clause in enumerate(original_clauses(found)) if all(l < 0 for l in clause)]
            assert violated_clauses(found, found.name.tolist()) == unmet
        else:
            names = {abs(l) for clause in found.clauses for l in clause}
            unmet = [w for clause, w in zip(found.clauses, found.weights, strict=True) if all(l < 0 for l in clause)]
            assert found.cost(names) == sum(w for w in unmet if w is not None)
            assert found.n_hard_violated(names) == unmet.count(None)
    assert 600 < n_read < 11_400
    assert len(messages) > 5
