"""`aimc solve-circuit`: one crossbar from a file, solved, compared with the currents stored beside it, and pictured.

The file is an npz archive in SI units: `G` (m, n), `V` (k, m), the scalars `r_row`, `r_col`, `r_drv`, `r_sense` (total
resistances of the first and last segments), and if there `v0` (sinh cells), `I_out` (k, n) to compare with; with
`c_wire`, `t_grid` (t) and `t_rise`, `I_out` (k, t, n) is the response to a step and is compared as that.
"""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import tyro

MOST_CELLS = 1 << 20  # 8 MB of float64; the claimed size of an array is checked before anything is read
MOST_INPUTS = 1 << 22  # numbers in V, t_grid or I_out
CELLS_AT_ONCE = 1 << 22  # of all inputs solved together: about 0.2 GB
SCALARS = ("r_row", "r_col", "r_drv", "r_sense")
OPTIONAL = ("v0", "I_out", "c_wire", "t_grid", "t_rise")


@dataclass(frozen=True, kw_only=True)
class SolveCircuit:
    """Solve a crossbar with wire resistance from an npz file (keys G, V, r_row, r_col, r_drv, r_sense; v0, I_out)."""

    file: tyro.conf.Positional[Path]
    """The circuit; SI units."""
    picture: Path | None = None
    """Write the voltage drop of every cell as a page that opens in a browser."""
    input: Annotated[int, tyro.conf.arg(name="input")] = 0
    """Which row of V the picture shows."""
    tolerance: float = 1e-7
    """Residual at which the solver stops, relative."""
    json: bool = False
    """Print JSON instead of a table and a picture."""


class Circuit(NamedTuple):
    """What a file holds, float64."""

    g: np.ndarray
    v: np.ndarray
    resistances: dict[str, float]
    v0: float | None
    currents: np.ndarray | None
    transient: tuple[float, np.ndarray, float] | None  # c_wire, times, rise time


def load_circuit(path: Path) -> Circuit:
    """Read and check a circuit. Raises ValueError for a file that is none, OSError if there is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {member.removesuffix(".npy") for member in archive.namelist()}
            if missing := [key for key in ("G", "V", *SCALARS) if key not in names]:
                raise ValueError(f"{path} has no array {missing[0]!r}; a circuit needs G, V, {', '.join(SCALARS)}")
            wanted = ["G", "V", *SCALARS, *(key for key in OPTIONAL if key in names)]
            arrays = {key: _read(archive, key) for key in wanted}
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise ValueError(f"{path} is not a readable npz archive: {error}") from None
    g, v = arrays.pop("G"), arrays.pop("V")
    if g.ndim != 2 or 0 in g.shape or (g < 0).any():
        raise ValueError(f"G must hold rows × columns of conductances of at least 0 siemens, got shape {g.shape}")
    if v.ndim != 2 or v.shape[0] == 0 or v.shape[1] != g.shape[0]:
        raise ValueError(f"V must hold inputs × {g.shape[0]} rows of voltages, got shape {v.shape}")
    for key in (*SCALARS, "v0", "c_wire", "t_rise"):
        if key in arrays and (arrays[key].size != 1 or arrays[key].item() < 0):
            raise ValueError(f"{key} must be one number of at least 0, got {arrays[key].tolist()!r:.40}")
    resistances = {key: arrays[key].item() for key in SCALARS}
    v0 = arrays["v0"].item() if "v0" in arrays else None
    if v0 == 0:
        raise ValueError("v0 must be above 0 volt, got 0; leave it out for ohmic cells")
    transient, shape = None, (v.shape[0], g.shape[1])
    if "t_grid" in arrays and "c_wire" in arrays:
        times = arrays["t_grid"].ravel()
        transient = (arrays["c_wire"].item(), times, arrays["t_rise"].item() if "t_rise" in arrays else 0.0)
        shape = (v.shape[0], times.size, g.shape[1])
    currents = arrays.get("I_out")
    if currents is not None and currents.shape != shape:
        raise ValueError(f"I_out must have shape {shape} beside these G and V, got {currents.shape}")
    return Circuit(g, v, resistances, v0, currents, transient)


def _read(archive: zipfile.ZipFile, key: str) -> np.ndarray:
    """One array as float64, after its header has been believed only as far as the limits go."""
    member = f"{key}.npy"
    with archive.open(member) as stream:
        shape, dtype = _header(stream, key)
    most = MOST_CELLS if key == "G" else MOST_INPUTS
    size = 1
    for length in shape:
        size *= length
    if dtype.kind not in "fiu" or dtype.itemsize > 8:
        raise ValueError(f"{key} must hold real numbers, got {dtype}")
    if size > most or min(shape, default=0) < 0:
        raise ValueError(f"{key} claims shape {shape}, more than {most} numbers")
    with archive.open(member) as stream:
        try:
            values = np.lib.format.read_array(stream, allow_pickle=False).astype(np.float64)
        except ValueError as error:
            raise ValueError(f"{key} cannot be read: {error}") from None
    if not np.isfinite(values).all():
        raise ValueError(f"{key} must be finite")
    return values


def _header(stream: Any, key: str) -> tuple[tuple[int, ...], np.dtype]:
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
    except ValueError as error:
        raise ValueError(f"{key} is no array: {' '.join(str(error).split())}") from None
    return shape, dtype


def run(options: SolveCircuit) -> None:
    """Solve, print, and draw. Raises ValueError and OSError for the caller's mistakes."""
    if not 0 < options.tolerance < 1:
        raise ValueError(f"tolerance must be between 0 and 1, got {options.tolerance}")
    if options.picture is not None and options.picture.exists():
        raise ValueError(f"{options.picture} exists already; it is not overwritten")
    circuit = load_circuit(options.file)
    if not 0 <= options.input < len(circuit.v):
        raise ValueError(f"input must be from 0 to {len(circuit.v) - 1}, got {options.input}")
    found = solve_circuit(circuit, options.tolerance)
    drop = circuit.v[options.input][:, None] - found.pop("cell_voltages")[options.input]
    if options.picture is not None:
        partial = options.picture.with_name(options.picture.name + ".part")
        partial.write_text(_page(drop, options), encoding="utf-8")
        partial.rename(options.picture)
    if options.json:
        print(json.dumps({key: getattr(value, "tolist", lambda value=value: value)() for key, value in found.items()}))
        return
    _print(circuit, found, drop, options)


def solve_circuit(circuit: Circuit, tolerance: float) -> dict[str, Any]:
    """Currents (A), power (W), iterations and residual of every input; errors, where there is what to compare with."""
    import jax.numpy as jnp

    from aimc import wires

    g, at_once = jnp.asarray(circuit.g, jnp.float32), max(1, CELLS_AT_ONCE // circuit.g.size)
    parts = []
    for start in range(0, len(circuit.v), at_once):
        v = jnp.asarray(circuit.v[start : start + at_once], jnp.float32)
        r_row, r_col, r_drv, r_sense = (circuit.resistances[key] for key in SCALARS)
        solution = wires.solve(
            v, g, r_row=r_row, r_col=r_col, r_drv=r_drv, r_sense=r_sense, v0=circuit.v0, tolerance=tolerance
        )
        parts.append({**solution._asdict(), "power_w": wires.array_power(v, solution)})
    found: dict[str, Any] = {key: np.concatenate([np.asarray(part[key]) for part in parts]) for key in parts[0]}
    del found["input_currents"]
    found["error_without_wires"] = _error(circuit.v @ circuit.g, found["currents"])
    if circuit.currents is not None and circuit.transient is None:
        found["error"] = _error(found["currents"], circuit.currents)
    elif circuit.currents is not None and circuit.transient is not None:
        c_wire, times, rise_time = circuit.transient
        modes = wires.modes(circuit.g, **circuit.resistances, c_wire=c_wire)
        response = wires.step_response(circuit.v, modes, times, rise_time=rise_time)
        found["error_of_step_response"] = _error(response, circuit.currents)
    return found


def _error(found: np.ndarray, true: np.ndarray) -> float:
    """Largest deviation over the largest true value."""
    largest = float(np.abs(true).max())
    return float(np.abs(np.asarray(found, np.float64) - true).max() / (largest or 1.0))


def _print(circuit: Circuit, found: dict[str, Any], drop: np.ndarray, options: SolveCircuit) -> None:
    from rich.console import Console
    from rich.table import Table

    shown = min(4, circuit.g.shape[1])
    m, n = circuit.g.shape
    table = Table(box=None, title=f"{m} × {n} cells: currents out of the columns in µA, by input and column")
    for name in ("input", "CG", "Newton", "residual", "µW", *(f"I_{j}" for j in range(shown))):
        table.add_column(name, justify="right", no_wrap=True)
    for k, currents in enumerate(found["currents"][:16]):
        steps = (f"{found['iterations'][k]}", f"{found['newton_steps'][k]}", f"{found['residual'][k]:.0e}")
        numbers = [f"{1e6 * current:.4g}" for current in currents[:shown]]
        table.add_row(f"{k}", *steps, f"{1e6 * found['power_w'][k]:.4g}", *numbers)
    console = Console()
    console.print(table)
    if shown < n or len(circuit.v) > 16:
        print(f"{n} columns and {len(circuit.v)} inputs in all; --json prints every current.")
    if not found["is_converged"].all():
        print("Some inputs did not reach the tolerance: see their residuals.")
    print(f"Error if the wires were ideal: {found['error_without_wires']:.2e} of the largest current.")
    if "error" in found:
        print(f"Error against I_out: {found['error']:.2e} of the largest current.")
    if "error_of_step_response" in found:
        print(
            f"Error of the step response against I_out: {found['error_of_step_response']:.2e} of the largest current."
        )
    console.print(_heat_map(drop))
    scale = float(np.abs(circuit.v[options.input]).max())
    print(
        f"Voltage that the wires take from the cells, input {options.input}: at most {np.abs(drop).max():.3g} V", end=""
    )
    print(f" of {scale:.3g} V." if scale else ".")
    if options.picture is not None:
        print(f"Picture in {options.picture}.")


def _heat_map(drop: np.ndarray) -> Any:
    """The drop as shaded blocks, at most 64 columns and 32 rows (means of neighbours), dark where it is largest."""
    from rich.style import Style
    from rich.text import Text

    m, n = drop.shape
    rows, columns = (np.array_split(np.arange(size), min(size, most)) for size, most in ((m, 32), (n, 64)))
    largest = np.abs(drop).max() or 1.0
    text = Text()
    for i in rows:
        for j in columns:
            share = float(np.abs(drop[np.ix_(i, j)]).mean() / largest)
            shade = " ░▒▓█"[min(int(5 * share), 4)]  # tells where there is no colour
            text.append(shade, Style(color=f"rgb({round(190 - 182 * share)},{round(220 - 172 * share)},255)"))
        text.append("\n")
    return text


def _page(drop: np.ndarray, options: SolveCircuit) -> str:
    import plotly.graph_objects as go

    figure = go.Figure(go.Heatmap(z=1e3 * drop, colorscale="Blues", colorbar={"title": {"text": "mV"}}))
    figure.update_layout(
        title={"text": f"Voltage that the wires take from each cell, input {options.input}"},
        xaxis={"title": {"text": "column"}, "constrain": "domain"},
        yaxis={"title": {"text": "row"}, "autorange": "reversed", "scaleanchor": "x", "constrain": "domain"},
        plot_bgcolor="white",
        font={"family": "system-ui, sans-serif"},
    )
    return figure.to_html(include_plotlyjs=True, full_html=True)
