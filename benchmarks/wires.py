"""Crossbars with wires, solved here and by sparse factorisation, in CPU time; and what other formulas make of them.

    python benchmarks/wires.py [--write] [--peers]

Rival: SciPy's SuperLU of the nodal matrix of the same circuit, in float64, the column ordering that is fastest here,
one thread. Everything of a row runs in one process, in turn; times are medians of process CPU time (all threads).
`--peers` adds a comparison with badcrossbar (if installed) and with the IR-drop formula of aihwkit, in lines of ours.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # waiting threads would be counted as the rival's work

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from record import record, table
from scipy import sparse
from scipy.sparse.linalg import splu

import aimc
from aimc import wires
from aimc.noise import HASH

ROUNDS = 5


def cpu(run: Callable[[], Any], rounds: int = ROUNDS) -> tuple[float, Any]:
    """Median CPU seconds of a call, and what it returned; the first call is not counted."""
    seconds, result = [], jax.block_until_ready(run())
    for _ in range(rounds):
        start = time.process_time()
        result = jax.block_until_ready(run())
        seconds.append(time.process_time() - start)
    return median(seconds), result


def ladder(size: int, r: float, open_end: int) -> sparse.spmatrix:
    diagonal = np.full(size, 2.0)
    diagonal[open_end] = 1.0
    return (sparse.diags(diagonal) - sparse.eye(size, k=1) - sparse.eye(size, k=-1)) / r


def nodal(g: np.ndarray, r: float) -> tuple[sparse.csc_matrix, np.ndarray, sparse.spmatrix]:
    """A, b, o of A x = b v, I = o x: every segment and end of r ohm."""
    m, n = g.shape
    cells, eye = sparse.diags(g.ravel()), sparse.eye
    words, bits = sparse.kron(eye(m), ladder(n, r, -1)), sparse.kron(ladder(m, r, 0), eye(n))
    a = sparse.bmat([[words + cells, -cells], [-cells, bits + cells]]).tocsc()
    b = sparse.vstack([sparse.kron(eye(m), np.eye(n)[:, :1]) / r, sparse.csc_matrix((m * n, m))])
    o = sparse.hstack([sparse.csc_matrix((n, m * n)), sparse.kron(np.eye(m)[-1:], eye(n)) / r])
    return a, np.asfortranarray(b.toarray()), o.tocsr()


def by_lu(g: np.ndarray, r: float) -> np.ndarray:
    a, b, o = nodal(g, r)
    x = splu(a, permc_spec="COLAMD").solve(b)
    return (o @ x).T


def cells(n: int, *tiles: int) -> np.ndarray:
    return np.random.default_rng(n).uniform(1e-6, 100e-6, (*tiles, n, n))


def transfer(n: int, r: float) -> list[object]:
    g64 = cells(n)
    g, c = jnp.asarray(g64, jnp.float32), jnp.asarray(np.random.default_rng(0).normal(size=(n, n)), jnp.float32)

    def fold(g: jax.Array) -> jax.Array:
        return wires.transfer_matrix(g, r_row=r, r_col=r, r_drv=r, r_sense=r)

    value, gradient = jax.jit(fold), jax.jit(jax.value_and_grad(lambda g: jnp.sum(c * fold(g))))
    lu, true = cpu(lambda: by_lu(g64, r), 1 if n > 128 else 3)
    ours, found = cpu(lambda: value(g))
    both, _ = cpu(lambda: gradient(g))
    error = np.abs(np.asarray(found) - true).max() / np.abs(true).max()
    return [
        f"{n} × {n}",
        f"{lu:.3g}",
        f"{ours:.3g}",
        f"{ours / lu:.3f}",
        f"{both:.3g}",
        f"{both / lu:.3f}",
        f"{error:.1e}",
    ]


def many_tiles(n: int, count: int) -> str:
    g = jnp.asarray(cells(n, count), jnp.float32)
    lines = []
    for name, at_once in (("one after another", 1), ("all at once", count)):
        run = jax.jit(
            lambda g, at_once=at_once: wires.transfer_matrix(
                g, r_row=2.0, r_col=2.0, r_drv=2.0, r_sense=2.0, tiles_at_once=at_once
            )
        )
        compiled = run.lower(g).compile()
        memory = compiled.memory_analysis()
        total = (memory.temp_size_in_bytes + memory.output_size_in_bytes + g.nbytes) / 2**30 if memory else float("nan")
        seconds, _ = cpu(lambda compiled=compiled: compiled(g), 1)
        lines.append([name, f"{seconds:.2f}", f"{seconds / count:.3f}", f"{total:.2f}"])
    return table([f"{count} tiles of {n} × {n}", "CPU s", "CPU s a tile", "GiB with cells and H"], lines)


def nonlinear(n: int, batch: int, r: float, v0: float) -> str:
    g64 = cells(n)
    v64 = np.random.default_rng(1).uniform(0, 0.5, (batch, n))
    g, v = jnp.asarray(g64, jnp.float32), jnp.asarray(v64, jnp.float32)
    run = jax.jit(lambda v, g: wires.solve(v, g, r_row=r, r_col=r, r_drv=r, r_sense=r, v0=v0))
    ours, solution = cpu(lambda: run(v, g), 3)
    start = time.process_time()
    true, steps = newton_by_lu(v64, g64, r, v0)
    lu = time.process_time() - start
    error = np.abs(np.asarray(solution.currents) - true).max() / np.abs(true).max()
    lines = [
        ["SciPy Newton, one LU a step", f"{lu:.1f}", "1", f"{steps:.1f} Newton", ""],
        ["here", f"{ours:.2f}", f"{ours / lu:.4f}",
         f"{np.mean(solution.newton_steps):.1f} Newton, {np.mean(solution.iterations):.1f} CG", f"{error:.1e}"],
    ]  # fmt: skip
    return table([f"{batch} inputs, {n} × {n} sinh cells", "CPU s", "ratio", "steps an input", "error"], lines)


def newton_by_lu(v: np.ndarray, g: np.ndarray, r: float, v0: float) -> tuple[np.ndarray, float]:
    """Currents for every input by Newton on node voltages to 1e-10, float64, from the ohmic solution; mean steps."""
    half = g.size
    bare, b, o = nodal(np.zeros_like(g), r)
    start = splu(nodal(g, r)[0]).solve(b @ v.T)
    currents, total = [], 0
    for k in range(len(v)):
        x, source = start[:, k], b @ v[k]
        for _ in range(50):
            d = x[:half] - x[half:]
            i, slope = g.ravel() * v0 * np.sinh(d / v0), sparse.diags(g.ravel() * np.cosh(d / v0))
            jacobian = (bare + sparse.bmat([[slope, -slope], [-slope, slope]])).tocsc()
            change = splu(jacobian).solve(source - bare @ x - np.concatenate([i, -i]))
            x, total = x + change, total + 1
            if np.abs(change).max() < 1e-10:
                break
        currents.append(o @ x)
    return np.array(currents), total / len(v)


def reads(n: int, batch: int) -> list[list[object]]:
    """Noisy reads of one tile with wires folded in, against the same reads without wires."""
    key = jax.random.key(0, impl=HASH)
    x = jax.random.normal(jax.random.key(1), (batch, n))
    w = jax.random.normal(jax.random.key(2), (n, n))
    states = {}
    for name, wiring in (
        ("without", None),
        ("folded, diagonal noise", aimc.Wiring(r_row=0.5, r_col=0.5)),
        ("folded, noise along a reference", aimc.Wiring(r_row=0.5, r_col=0.5, noise="reference")),
    ):
        spec = aimc.crossbar(rows=n, cols=n, device=aimc.devices.hermes(), wiring=wiring)
        states[name] = jax.jit(aimc.program)(key, w, spec)
    read, repeats = jax.jit(aimc.mvm), max(1, round(3e8 / (batch * n * n)))
    seconds: dict[str, list[float]] = {name: [] for name in states}
    for _ in range(3 * ROUNDS):
        for name, state in states.items():
            one = cpu(lambda state=state: [read(key, x, state) for _ in range(repeats)], 1)[0]
            seconds[name].append(one / repeats)
    middle = {name: median(values) for name, values in seconds.items()}
    return [
        [f"{n} × {n}", batch, name, f"{1e3 * middle[name]:.3f}", f"{middle[name] / middle['without']:.2f}"]
        for name in states
    ]


def peers() -> str:
    """Error against ngspice of what others make of the circuits in tests/data/ngspice whose segments are all alike."""
    rows = []
    for path in sorted((Path(__file__).parent.parent / "tests" / "data" / "ngspice").glob("lin_*.npz")):
        with np.load(path) as file:
            g, v, true, *r = (file[key] for key in ("G", "V", "I_out", "r_row", "r_col", "r_drv", "r_sense"))
        if len({float(x) for x in r}) > 1:
            continue
        ohm = float(r[0])
        found = {
            "folded": v @ np.asarray(wires.transfer_matrix(jnp.asarray(g, jnp.float32), r_row=ohm, r_col=ohm, r_drv=ohm,
                                                           r_sense=ohm)),
            "badcrossbar": badcrossbar(v, g, ohm),
            "aihwkit": aihwkit_formula(v, g, ohm),
            "no wires": v @ g,
        }  # fmt: skip
        rows.append([path.stem, *(f"{np.abs(i - true).max() / np.abs(true).max():.1e}" for i in found.values())])
    return table(["circuit", "here, folded, float32", "badcrossbar", "aihwkit's formula", "no wires"], rows)


def badcrossbar(v: np.ndarray, g: np.ndarray, r: float) -> np.ndarray:
    try:
        import badcrossbar as rival  # ty: ignore[import-not-found]
    except ImportError:
        return np.full((len(v), g.shape[1]), np.nan)
    return rival.compute(v.T, 1 / g, r).currents.output


def aihwkit_formula(v: np.ndarray, g: np.ndarray, r: float) -> np.ndarray:
    """aihwkit's IR drop (rpu_forward_backward_pass.cpp, applyIrDrop) in our words: along columns, a cubic of the load.

    y_j −= c_j Σ_i w_ij x_i (1 − (1 − i/n)²), c = a (0.5 − 0.2 a + 0.05 a²), a_j = n r G_max Σ_i |w_ij x_i|, w = g/G_max
    and x = v/max v; input 0 is the nearest to the sense end there. Their G_w, of a segment, is 1/r.
    """
    n, g_max, v_max = len(g), g.max(), v.max()
    w, x = g / g_max, v / v_max
    load = n * r * g_max * np.abs(x) @ np.abs(w)
    c = load * (0.5 - 0.2 * load + 0.05 * load**2)
    position = 1 - (1 - np.arange(n)[::-1] / n) ** 2  # our row 0 is the farthest
    return g_max * v_max * (x @ w - c * ((x * position) @ w))


if __name__ == "__main__":
    rows = [transfer(n, 2.0) for n in (32, 64, 128, 256, 512)]
    header = ["cells", "LU, CPU s", "H, CPU s", "H / LU", "H and gradient, CPU s", "of LU", "error of H"]
    text = (
        "Cells 1–100 µS, all wire segments 2 ohm. LU: SuperLU (COLAMD) of the nodal matrix in float64, one solve for "
        "each row; H: `transfer_matrix` in float32; its error is relative to the largest entry. Aims at 256 × 256: "
        "H ≤ 0.1 of LU, error ≤ 2e-6, value and gradient ≤ 0.4.\n\n" + table(header, rows)
        + "\n\n" + many_tiles(256, 64)
        + "\n\nCells with I = G v0 sinh(V/v0), v0 = 0.25 V, inputs to 0.5 V, 2 ohm a segment.\n\n"
        + nonlinear(128, 64, 2.0, 0.25)
    )  # fmt: skip
    text += "\n\nReads of HERMES cells, 8-bit converters, hash keys; aim: at most 1.1 of the read without wires.\n\n"
    through = [row for shape in ((256, 64), (512, 64)) for row in reads(*shape)]
    text += table(["cells", "batch", "wires", "CPU ms", "× without"], through)
    if "--peers" in sys.argv:
        text += "\n\nLargest error against ngspice, relative to the largest current:\n\n" + peers()
    record("Crossbars with wires", text, write="--write" in sys.argv)
