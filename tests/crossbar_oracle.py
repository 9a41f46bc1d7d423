"""Crossbars solved by others: dense nodal analysis in float64, and the circuit simulator ngspice."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

CASES = Path(__file__).parent / "data" / "ngspice"
LINEAR = sorted(path.stem for path in CASES.glob("lin_*.npz"))


def case(name):
    """Arrays of a stored circuit, and its resistances as keyword arguments."""
    with np.load(CASES / f"{name}.npz") as file:
        stored = dict(file)
    return stored, {key: float(stored[key]) for key in ("r_row", "r_col", "r_drv", "r_sense")}


def nodal(g, *, r_row, r_col, r_drv, r_sense, drive="left", sense="bottom"):
    """A (nodes × nodes), b (nodes × rows) and o (columns × nodes) with A x = b v and I = o x, from Kirchhoff's laws."""
    m, n = g.shape
    word = np.arange(m * n).reshape(m, n)
    bit = word + m * n
    a, b, o = np.zeros((2 * m * n, 2 * m * n)), np.zeros((2 * m * n, m)), np.zeros((n, 2 * m * n))
    edges = [(word[i, j], bit[i, j], g[i, j]) for i in range(m) for j in range(n)]
    edges += [(word[i, j], word[i, j + 1], 1 / r_row) for i in range(m) for j in range(n - 1)]
    edges += [(bit[i, j], bit[i + 1, j], 1 / r_col) for i in range(m - 1) for j in range(n)]
    for p, q, conductance in edges:
        a[p, p] += conductance
        a[q, q] += conductance
        a[p, q] -= conductance
        a[q, p] -= conductance
    for column in [0] + [n - 1] * (drive == "both"):
        a[word[:, column], word[:, column]] += 1 / r_drv
        b[word[:, column], np.arange(m)] += 1 / r_drv
    for row in [m - 1] + [0] * (sense == "both"):
        a[bit[row], bit[row]] += 1 / r_sense
        o[np.arange(n), bit[row]] += 1 / r_sense
    return a, b, o


def transfer(g, **wires):
    """H with I = v @ H."""
    a, b, o = nodal(np.asarray(g, np.float64), **wires)
    return (o @ np.linalg.solve(a, b)).T


def sinh_cells(v, g, v0, **wires):
    """Output currents for cells I = g v0 sinh(V / v0): Newton on the node voltages, to float64's last digits."""
    bare, b, o = nodal(np.zeros_like(g), **wires)
    x, half = np.linalg.solve(nodal(g, **wires)[0], b @ v), g.size
    for _ in range(100):
        d = x[:half] - x[half:]
        i, slope = g.ravel() * v0 * np.sinh(d / v0), np.diag(g.ravel() * np.cosh(d / v0))
        jacobian = bare + np.block([[slope, -slope], [-slope, slope]])
        change = np.linalg.solve(jacobian, b @ v - bare @ x - np.concatenate([i, -i]))
        x += change
        if np.abs(change).max() < 1e-14:
            break
    return o @ x


def ngspice(v, g, *, r_row, r_col, r_drv, r_sense, v0=None, folder):
    """Output currents of one input vector, by the installed simulator."""
    if shutil.which("ngspice") is None:
        pytest.skip("ngspice is not installed (Debian: apt-get install ngspice)")
    m, n = g.shape
    lines = ["* crossbar", ".options reltol=1e-10 abstol=1e-20 vntol=1e-14 gmin=1e-25"]
    for i in range(m):
        lines += [f"VS{i} s{i} 0 {v[i]!r}", f"RD{i} s{i} w{i}_0 {r_drv!r}"]
        lines += [f"RW{i}_{j} w{i}_{j} w{i}_{j + 1} {r_row!r}" for j in range(n - 1)]
        for j in np.flatnonzero(g[i]):
            if v0 is None:
                lines.append(f"RC{i}_{j} w{i}_{j} b{i}_{j} {1 / g[i, j]!r}")
            else:
                lines.append(f"BC{i}_{j} w{i}_{j} b{i}_{j} I={g[i, j] * v0!r}*sinh(V(w{i}_{j},b{i}_{j})/{v0!r})")
    for j in range(n):
        lines += [f"RB{i}_{j} b{i}_{j} b{i + 1}_{j} {r_col!r}" for i in range(m - 1)]
        lines += [f"RS{j} b{m - 1}_{j} o{j} {r_sense!r}", f"VO{j} o{j} 0 0"]
    prints = [f"print i(VO{j})" for j in range(n)]
    lines += [".control", "set numdgt=15", "op", *prints, "quit", ".endc", ".end"]
    netlist = folder / "crossbar.cir"
    netlist.write_text("\n".join(lines).replace("np.float64(", "(") + "\n")
    run = subprocess.run(["ngspice", "-b", netlist], capture_output=True, text=True, timeout=120)
    found = dict(re.findall(r"^i\(vo(\d+)\) = (\S+)", run.stdout, re.MULTILINE))
    assert len(found) == n, run.stdout + run.stderr
    return np.array([float(found[str(j)]) for j in range(n)])


def error(found, true):
    """Largest deviation over the largest true value."""
    return np.abs(np.asarray(found, np.float64) - true).max() / np.abs(true).max()
