"""Crossbars with wires against ngspice, nodal analysis and closed forms."""

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from crossbar_oracle import LINEAR, case, error, ngspice, nodal, sinh_cells, transfer

from aimc import wires
from aimc.wires import laws, lines

WIRES = {"r_row": 5.0, "r_col": 3.0, "r_drv": 50.0, "r_sense": 20.0}
ENDS = [("left", "bottom"), ("both", "bottom"), ("left", "both"), ("both", "both")]


def random_crossbar(m, n, seed=0, opens=0.1):
    rng = np.random.default_rng(seed)
    g = rng.uniform(1e-6, 100e-6, (m, n))
    g[rng.random((m, n)) < opens] = 0
    return g, rng.uniform(-0.2, 0.2, (3, m)), rng


def single(x):
    return jnp.asarray(x, jnp.float32)


@pytest.mark.parametrize("name", LINEAR)
def test_ohmic_cells_agree_with_ngspice_to_2e_6(name):
    stored, resistances = case(name)
    g, v = single(stored["G"]), single(stored["V"])
    solution = wires.solve(v, g, **resistances)
    assert error(solution.currents, stored["I_out"]) <= 1e-6
    assert error(solution.input_currents, stored["I_in"]) <= 1e-6
    assert error(solution.cell_voltages[0], stored["Vw0"] - stored["Vb0"]) <= 2e-6
    assert solution.is_converged.all()
    assert error(v @ wires.transfer_matrix(g, **resistances), stored["I_out"]) <= 2e-6


def test_sinh_cells_agree_with_ngspice_to_1e_5():
    stored, resistances = case("sinh_016x016_r5")
    g, v = single(stored["G"]), single(stored["V"])
    solution = wires.solve(v, g, v0=float(stored["v0"]), **resistances)
    assert error(solution.currents, stored["I_out"]) <= 1e-6
    assert error(solution.input_currents, stored["I_in"]) <= 1e-6
    assert solution.is_converged.all()
    assert (solution.newton_steps >= 1).all()
    assert error(wires.output_currents(v, g, **resistances), stored["I_out"]) > 0.1  # the law matters


@pytest.mark.parametrize("seed", range(3))
def test_fresh_random_circuits_agree_with_the_installed_ngspice(seed, tmp_path):
    """Sizes, resistances, open and stuck cells and v0 are drawn; each circuit is solved ohmic and with sinh cells."""
    rng = np.random.default_rng(100 + seed)
    m, n = (int(size) for size in rng.integers(2, 12, 2))
    g = rng.uniform(1e-6, 100e-6, (m, n))
    g[rng.random((m, n)) < 0.1] = 0
    g[rng.random((m, n)) < 0.05] = 1e-3
    v, v0 = rng.uniform(-0.4, 0.4, m), rng.uniform(0.1, 0.5)
    resistances = dict(zip(WIRES, np.exp(rng.uniform(np.log(0.1), np.log(100), 4)).tolist(), strict=True))
    true = ngspice(v.tolist(), g, **resistances, folder=tmp_path)
    assert error(wires.output_currents(single(v), single(g), **resistances), true) <= 2e-6
    assert error(single(v) @ wires.transfer_matrix(single(g), **resistances), true) <= 2e-6
    true = ngspice(v.tolist(), g, **resistances, v0=v0, folder=tmp_path)
    assert error(wires.output_currents(single(v), single(g), **resistances, v0=v0), true) <= 1e-5


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("shape", [(9, 6), (6, 9), (1, 5), (5, 1), (1, 1)])
def test_every_shape_and_choice_of_ends_agrees_with_nodal_analysis(shape, ends):
    g, _, _ = random_crossbar(*shape, opens=0)
    how = {**WIRES, "drive": ends[0], "sense": ends[1]}
    true = transfer(g, **how)
    assert error(wires.output_currents(jnp.eye(shape[0]), single(g), **how), true) <= 1e-6
    if ends == ("both", "both"):
        with pytest.raises(ValueError, match="no folded form"):
            wires.transfer_matrix(single(g), **how)
    else:
        assert error(wires.transfer_matrix(single(g), **how), true) <= 1e-6


def test_a_uniform_row_is_the_ladder_of_the_textbook():
    """cosh a = 1 + r G / 2 gives V_j = V cosh((N − j + ½) a) / cosh((N + ½) a) along a row of grounded columns."""
    n, r, g = 40, 30.0, 50e-6
    a = np.arccosh(1 + r * g / 2)
    j = np.arange(1, n + 1)
    true = g * np.cosh((n - j + 0.5) * a) / np.cosh((n + 0.5) * a)
    how = {"r_row": r, "r_col": 0.0, "r_drv": r, "r_sense": 0.0}
    row = jnp.full((1, n), g, jnp.float32)
    assert true[-1] < 0.5 * true[0]
    assert error(wires.transfer_matrix(row, **how)[0], true) <= 1e-6
    assert error(wires.output_currents(jnp.ones((1, 1)), row, **how)[0], true) <= 1e-6


def test_the_largest_eigenvalue_of_the_wires_is_the_closed_form():
    m, n, r_row, r_col = 7, 11, 2.0, 3.0
    how = lines.wires_of(jnp.dtype("float32"), r_row, r_col, r_row, r_col)
    rows, cols = lines.row_resistance(how, n, "left"), lines.column_resistance(how, m, "bottom")
    k = jax.vmap(lambda unit: lines.drop(unit.reshape(m, 1, n), rows, cols).ravel())(jnp.eye(m * n))
    true = r_row / (4 * np.sin(np.pi / (2 * (2 * n + 1))) ** 2) + r_col / (4 * np.sin(np.pi / (2 * (2 * m + 1))) ** 2)
    values = np.linalg.eigvalsh(np.asarray(k, np.float64)) / lines.MICRO
    assert values[-1] == pytest.approx(true, rel=1e-6)
    assert values[0] > -1e-6 * true
    assert jnp.allclose(k, k.T)


def test_inputs_and_outputs_may_be_exchanged():
    """Reciprocity: driven through the sense lines and sensed in the drivers, the circuit has the transposed H."""
    g, _, _ = random_crossbar(6, 9)
    exchanged = {"r_row": WIRES["r_col"], "r_col": WIRES["r_row"], "r_drv": WIRES["r_sense"], "r_sense": WIRES["r_drv"]}
    there = wires.output_currents(jnp.eye(6), single(g), **WIRES)
    back = wires.output_currents(jnp.eye(9), single(g.T[::-1, ::-1]), **exchanged)
    assert error(back[::-1, ::-1].T, np.asarray(there)) <= 1e-6


@pytest.mark.parametrize("v0", [None, 0.2])
def test_as_much_current_flows_in_as_out(v0):
    g, v, _ = random_crossbar(12, 10)
    solution = wires.solve(single(v), single(g), **WIRES, v0=v0)
    total = solution.input_currents.sum(axis=1)
    assert jnp.allclose(total, solution.currents.sum(axis=1), atol=1e-6 * jnp.abs(solution.currents).sum(), rtol=0)


def test_ideal_wires_leave_the_plain_product():
    g, v, _ = random_crossbar(8, 5)
    none = dict.fromkeys(WIRES, 0.0)
    assert error(wires.output_currents(single(v), single(g), **none), v @ g) <= 3e-7
    assert error(wires.transfer_matrix(single(g), **none), g) <= 3e-7
    both = wires.transfer_matrix(single(g), **none, drive="both")
    assert error(both, g) <= 3e-7
    assert np.isfinite(jax.grad(lambda g: wires.transfer_matrix(g, **none, drive="both").sum())(single(g))).all()


def test_an_array_of_open_cells_carries_nothing_and_has_its_gradient():
    open_cells, v = jnp.zeros((4, 3)), single([0.1, 0.2, -0.1, 0.3])
    solution = wires.solve(v, open_cells, **WIRES)
    assert not solution.currents.any()
    assert error(solution.cell_voltages, np.broadcast_to(v[:, None], (4, 3))) <= 1e-7
    gradient = jax.grad(lambda g: wires.output_currents(v, g, **WIRES).sum())(open_cells)
    assert error(gradient, np.broadcast_to(v[:, None], (4, 3))) <= 1e-6  # the first current in sees no drop
    folded = jax.grad(lambda g: (v @ wires.transfer_matrix(g, **WIRES)).sum())(open_cells)
    assert error(folded, np.asarray(gradient)) <= 1e-6
    assert not wires.solve(jnp.zeros(4), single(random_crossbar(4, 3)[0]), **WIRES, v0=0.2).currents.any()


def test_float32_is_exact_to_1e_5_where_the_fixed_point_would_need_damping_by_13():
    """λ, the largest eigenvalue of G K, is 13: the usual iteration d ← e − K G d diverges from λ = 1 on."""
    n, r = 64, 83.0
    g = np.random.default_rng(3).uniform(1e-6, 100e-6, (n, n))
    v = np.random.default_rng(4).uniform(0, 0.2, (2, n))
    how = dict.fromkeys(WIRES, r)
    strength = g.mean() * 2 * r / (4 * np.sin(np.pi / (2 * (2 * n + 1))) ** 2)
    assert 12 < strength < 15
    a, b, o = sparse_nodal(g, r)
    true = (o @ a.solve(b @ v.T)).T
    assert error(wires.output_currents(single(v), single(g), **how), true) <= 1e-5
    assert error(single(v) @ wires.transfer_matrix(single(g), **how), true) <= 1e-5
    assert np.abs(v @ g).max() > 5 * np.abs(true).max()


def sparse_nodal(g, r):
    """As `nodal`, factorised, all segments and ends of r ohm."""
    from scipy import sparse
    from scipy.sparse.linalg import splu

    def ladder(size, open_end):
        """A chain of segments, one end open and the other closed by one more of them."""
        diagonal = np.full(size, 2.0)
        diagonal[open_end] = 1.0
        return (sparse.diags(diagonal) - sparse.eye(size, k=1) - sparse.eye(size, k=-1)) / r

    m, n = g.shape
    cells, eye = sparse.diags(g.ravel()), sparse.eye
    words, bits = sparse.kron(eye(m), ladder(n, -1)), sparse.kron(ladder(m, 0), eye(n))
    a = sparse.bmat([[words + cells, -cells], [-cells, bits + cells]]).tocsc()
    b = sparse.vstack([sparse.kron(eye(m), np.eye(n)[:, :1]) / r, sparse.csc_matrix((m * n, m))])
    o = sparse.hstack([sparse.csc_matrix((n, m * n)), sparse.kron(np.eye(m)[-1:], eye(n)) / r])
    return splu(a), b.toarray(), o


@pytest.fixture(scope="module")
def differentiated():
    """One small circuit whose every derivative of L = Σ c I is known by finite differences of nodal analysis."""
    g, v, rng = random_crossbar(6, 5)
    c = rng.normal(size=(3, 5))

    def loss(g, v, **how):
        return np.sum(c * (v @ transfer(g, **how)))

    def slope(at, change, step):
        return (at(change(step)) - at(change(-step))) / (2 * step)

    g_bar, v_bar = np.zeros_like(g), np.zeros_like(v)
    for cell in np.ndindex(g.shape):
        unit = np.zeros_like(g)
        unit[cell] = 1
        # A negative conductance is no cell, but the algebra of an open one's derivative does not mind.
        g_bar[cell] = slope(lambda g: loss(g, v, **WIRES), lambda h, unit=unit: g + h * unit, 1e-9)
    for entry in np.ndindex(v.shape):
        unit = np.zeros_like(v)
        unit[entry] = 1
        v_bar[entry] = slope(lambda v: loss(g, v, **WIRES), lambda h, unit=unit: v + h * unit, 1e-3)
    r_bar = {
        name: slope(lambda how: loss(g, v, **how), lambda h, name=name: {**WIRES, name: WIRES[name] + h}, 1e-2)
        for name in WIRES
    }
    return g, v, c, g_bar, v_bar, r_bar


@pytest.mark.parametrize("way", ["per input", "folded"])
def test_gradients_are_those_of_finite_differences(way, differentiated):
    g, v, c, g_bar, v_bar, r_bar = differentiated

    @jax.jit
    def loss(g, v, resistances):
        if way == "per input":
            return jnp.sum(c * wires.output_currents(v, g, **resistances))
        return jnp.sum(c * (v @ wires.transfer_matrix(g, **resistances)))

    found = jax.grad(loss, argnums=(0, 1, 2))(single(g), single(v), WIRES)
    assert (g == 0).any()
    assert error(found[0], g_bar) <= 3e-6
    assert error(found[1], v_bar) <= 3e-6
    for name, true in r_bar.items():
        assert float(found[2][name]) == pytest.approx(true, rel=3e-5), name


def test_gradients_of_both_driven_ends_are_those_of_finite_differences():
    g, _, rng = random_crossbar(6, 4)
    c = rng.normal(size=(6, 4))
    for ends in ({"drive": "both"}, {"sense": "both"}):
        folded = jax.grad(lambda g, r, e=ends: jnp.sum(c * wires.transfer_matrix(g, **r, **e)), (0, 1))
        each = jax.grad(lambda g, r, e=ends: jnp.sum(c * wires.output_currents(jnp.eye(6), g, **r, **e)), (0, 1))
        g_bar, r_bar = folded(single(g), WIRES)
        g_bar_each, r_bar_each = each(single(g), WIRES)
        assert error(g_bar, np.asarray(g_bar_each)) <= 3e-6
        step = 1e-2
        for name in WIRES:
            up, down = ({**WIRES, name: WIRES[name] + h, **ends} for h in (step, -step))
            true = np.sum(c * (transfer(g, **up) - transfer(g, **down))) / (2 * step)
            assert float(r_bar[name]) == pytest.approx(true, rel=1e-4), name
            assert float(r_bar_each[name]) == pytest.approx(true, rel=1e-4), name


def test_the_derivative_by_a_cell_is_its_voltage_times_its_influence():
    """∂I_j/∂G = d λ, d the cell's voltage for the input, λ that for a unit source in sense line j (nodal analysis)."""
    g, v, _ = random_crossbar(6, 5)
    a, b, o = nodal(g, **WIRES)
    across = np.linalg.solve(a, b @ v[0])
    back = np.linalg.solve(a, o[2])
    half = g.size
    true = (across[:half] - across[half:]) * (back[half:] - back[:half])
    found = jax.grad(lambda g: (single(v[0]) @ wires.transfer_matrix(g, **WIRES))[2])(single(g))
    assert error(found, true.reshape(g.shape)) <= 2e-6


def test_gradients_through_nonlinear_cells_are_those_of_finite_differences():
    """Of a float64 Newton solution on nodes: cells (one of them open), inputs, v0 and every resistance."""
    g, v, rng = random_crossbar(5, 4, opens=0)
    g[2, 1], v, c, v0 = 0, v[0] * 2, rng.normal(size=4), 0.15
    strong = dict.fromkeys(WIRES, 200.0)
    assert error(wires.output_currents(single(v), single(g), **strong, v0=v0), sinh_cells(v, g, v0, **strong)) <= 1e-6

    def loss(g, v, v0, how):
        return jnp.sum(c * wires.output_currents(v, g, **how, v0=v0))

    found = jax.jit(jax.grad(loss, argnums=(0, 1, 2, 3)))(single(g), single(v), v0, strong)

    def slope(step, **direction):
        """Of Σ c I along a direction in some of the arguments."""
        ends = []
        for h in (step, -step):
            moved = {name: value + h * direction.get(name, 0.0) for name, value in (("g", g), ("v", v), ("v0", v0))}
            how = {name: value + h * direction.get(name, 0.0) for name, value in strong.items()}
            ends.append(c @ sinh_cells(**moved, **how))
        return (ends[0] - ends[1]) / (2 * step)

    for index in np.ndindex(g.shape):
        unit = np.zeros_like(g)
        unit[index] = 1
        assert float(found[0][index]) == pytest.approx(slope(1e-9, g=unit), abs=1e-5 * float(jnp.abs(found[0]).max()))
    for i in range(len(v)):
        unit = np.eye(len(v))[i]
        assert float(found[1][i]) == pytest.approx(slope(1e-5, v=unit), abs=1e-5 * float(jnp.abs(found[1]).max()))
    assert float(found[2]) == pytest.approx(slope(1e-5, v0=1.0), rel=1e-4)
    for name in WIRES:
        assert float(found[3][name]) == pytest.approx(slope(1e-2, **{name: 1.0}), rel=1e-4), name


def test_any_law_may_be_handed_in_and_the_published_cubic_is_monotone():
    g = np.random.default_rng(0).uniform(50e-6, 225e-6, (8, 6))
    v = np.linspace(-0.5, 0.5, 41)
    slope = jax.vmap(jax.vmap(jax.grad(laws.oxram_milo), (0, None)), (None, 0))(single(v), single(g.ravel()))
    assert (slope > 0).all()
    assert float(laws.oxram_milo(jnp.float32(0.5), jnp.float32(0.0))) == 0
    x = np.log10(50e-6)
    published = (
        50e-6 * 0.4
        + (1.388e-4 * x**3 + 1.541e-3 * x**2 + 5.711e-3 * x + 7.063e-3) * 0.4**2
        + (8.871e-5 * x**2 + 6.7919e-4 * x + 1.2968e-3) * 0.4**3
    )
    assert float(laws.oxram_milo(jnp.float32(0.4), jnp.float32(50e-6))) == pytest.approx(published, rel=1e-3)
    inputs = np.random.default_rng(1).uniform(-0.5, 0.5, (3, 8))
    solution = wires.solve(single(inputs), single(g), **WIRES, law=laws.oxram_milo)
    # Kirchhoff by nodal analysis: the cells as current sources of the claimed voltages reproduce these voltages.
    d = np.asarray(solution.cell_voltages[0], np.float64)
    currents = np.asarray(laws.oxram_milo(solution.cell_voltages[0], single(g)), np.float64)
    a, b, o = nodal(np.zeros_like(g), **WIRES)
    nodes = np.linalg.solve(a, b @ inputs[0] + np.concatenate([-currents.ravel(), currents.ravel()]))
    half = g.size
    assert error(d.ravel(), nodes[:half] - nodes[half:]) <= 1e-6
    assert error(solution.currents[0], o @ nodes) <= 2e-6


def test_strongly_driven_sinh_cells_converge():
    g, v, _ = random_crossbar(8, 8)
    solution = wires.solve(single(v * 5), single(g), **dict.fromkeys(WIRES, 100.0), v0=0.05)
    assert solution.is_converged.all()
    assert (solution.residual <= 2e-6).all()


def test_a_tighter_tolerance_takes_more_iterations_and_gives_a_smaller_residual():
    stored, resistances = case("lin_064x064_r10")
    loose, tight = (
        wires.solve(single(stored["V"]), single(stored["G"]), **resistances, tolerance=tolerance)
        for tolerance in (1e-2, 1e-6)
    )
    assert (loose.iterations < tight.iterations).all()
    assert (loose.residual > 10 * tight.residual).all()
    assert error(loose.currents, stored["I_out"]) > 10 * error(tight.currents, stored["I_out"])


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_tiles_are_folded_as_one_by_one(at_once):
    g = single(np.stack([random_crossbar(7, 5, seed)[0] for seed in range(3)]))
    together = wires.transfer_matrix(g, **WIRES, tiles_at_once=at_once)
    apart = jnp.stack([wires.transfer_matrix(tile, **WIRES) for tile in g])
    assert error(together, np.asarray(apart)) <= 5e-7
    mapped = jax.vmap(lambda tile: wires.transfer_matrix(tile, **WIRES))(g)
    assert error(mapped, np.asarray(apart)) <= 5e-7


def test_interleaved_pairs_are_one_array_of_twice_the_rows():
    plus, minus = random_crossbar(5, 4, 0)[0], random_crossbar(5, 4, 1)[0]
    v = random_crossbar(5, 4, 2)[1]
    both = np.zeros((10, 4))
    both[0::2], both[1::2] = plus, minus
    true = np.stack([v, -v], axis=-1).reshape(3, 10) @ transfer(both, **WIRES)
    g = wires.interleave(single(plus), single(minus))
    assert error(g, both) <= 1e-7
    assert error(wires.output_currents(wires.pair_voltages(single(v)), g, **WIRES), true) <= 2e-6
    assert error(single(v) @ wires.fold_pairs(wires.transfer_matrix(g, **WIRES)), true) <= 2e-6
    assert jnp.array_equal(single(v) @ wires.pair_inputs(5), wires.pair_voltages(single(v)))


@pytest.mark.parametrize("compute", ["transfer_matrix", "output_currents", "noise_variance"])
def test_every_product_is_exact_float32_whatever_the_device(compute):
    """TF32 or bf16 products would lose what wires are about: read from the jaxpr, gradients included."""
    g, v = jnp.ones((4, 3)), jnp.ones((2, 4))
    run = {
        "transfer_matrix": jax.value_and_grad(lambda g: wires.transfer_matrix(g, **WIRES).sum()),
        "output_currents": jax.value_and_grad(lambda g: wires.output_currents(v, g, **WIRES, v0=0.2).sum()),
        "noise_variance": lambda g: wires.noise_variance(v, g, g, **WIRES),
    }[compute]
    found = list(dots(jax.make_jaxpr(run)(g).jaxpr))
    assert len(found) > 3
    highest = jax.lax.Precision.HIGHEST
    assert all(precision == (highest, highest) for precision in found)


def dots(jaxpr):
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield equation.params["precision"]
        for value in jax.tree.leaves(tuple(equation.params.values()), is_leaf=lambda leaf: hasattr(leaf, "eqns")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from dots(inner)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"r_row": -1.0}, "r_row must be a finite resistance of at least 0 ohm, got -1"),
        ({"r_sense": float("nan")}, "r_sense must be a finite resistance"),
        ({"drive": "right"}, "drive must be 'left' or 'both'"),
        ({"sense": "top"}, "sense must be 'bottom' or 'both'"),
        ({"tolerance": 0.0}, "tolerance must be above 0, got 0"),
        ({"g": jnp.zeros((0, 3))}, "g must have at least one row and one column"),
        ({"g": -jnp.ones((4, 3))}, "g must hold finite conductances of at least 0 siemens"),
        ({"v": jnp.ones(5)}, "one voltage for each of the 4 rows"),
        ({"v0": 0.2, "law": laws.oxram_milo}, "give either v0 or law"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_field(change, message, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # users have no run-time checks of annotations
    given = {"v": jnp.ones(4), "g": jnp.ones((4, 3)), **WIRES} | change
    v, g = given.pop("v"), given.pop("g")
    with pytest.raises(ValueError, match=message):
        wires.solve(v, g, **given)
