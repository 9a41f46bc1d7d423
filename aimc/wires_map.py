"""`aimc wires-map`: when wires matter, as the error of ignoring them over array size and wire to cell resistance."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jax import Array


@dataclass(frozen=True, kw_only=True)
class WiresMap:
    """Map the error of a crossbar's currents that ideal wires would make, over array size and resistance ratio."""

    sizes: list[int] = field(default_factory=lambda: [16, 32, 64, 128, 256])
    """Rows and columns of the arrays."""
    ratios: list[float] = field(default_factory=lambda: [1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3])
    """Resistance of one wire segment times the largest conductance of a cell."""
    on_off: float = 100.0
    """Largest over smallest conductance; cells are uniform between the two."""
    inputs: int = 16
    """Random inputs of each kind."""
    seed: int = 0
    """Root of the random cells and inputs."""
    picture: Path | None = None
    """Write the map as a page that opens in a browser."""
    json: bool = False
    """Print JSON instead of a table."""


KINDS = ("inputs of one sign", "pairs, inputs of both signs")


def error_map(options: WiresMap) -> np.ndarray:
    """Relative root-mean-square error of the currents, by kind, ratio and size; the exact ones through wires are 1.

    One sign: an array driven with inputs uniform on [0, 1]. Pairs: differences of two interleaved cells whose one is
    off, as weights of both signs are stored, driven with inputs uniform on [−1, 1]. Drivers and sense inputs are ideal,
    so that the first and the last segment are as the others.
    """
    import jax.numpy as jnp

    from aimc import wires

    g_max = 1e-4
    errors = np.zeros((len(KINDS), len(options.ratios), len(options.sizes)))
    for s, size in enumerate(options.sizes):
        random = np.random.default_rng([options.seed, size])
        cells = random.uniform(g_max / options.on_off, g_max, (size, size))
        other = random.random((size, size)) < 0.5
        off = np.full_like(cells, g_max / options.on_off)
        pairs = wires.interleave(*(jnp.asarray(np.where(o, cells, off), jnp.float32) for o in (other, ~other)))
        positive, signed = random.uniform(0, 1, (options.inputs, size)), random.uniform(-1, 1, (options.inputs, size))
        # A pair is two rows, so that half of the weights' rows make an array of this size.
        half = size // 2
        for r, ratio in enumerate(options.ratios):
            ohm = ratio / g_max
            h = np.asarray(_fold(jnp.asarray(cells, jnp.float32), ohm))
            errors[0, r, s] = _relative(positive @ cells, positive @ h)
            plain = np.asarray(wires.fold_pairs(pairs[: 2 * half]))
            folded = np.asarray(wires.fold_pairs(_fold(pairs[: 2 * half], ohm)))
            errors[1, r, s] = _relative(signed[:, :half] @ plain, signed[:, :half] @ folded)
    return errors


def _fold(g: "Array", ohm: float) -> "Array":
    from aimc import wires

    return wires.transfer_matrix(g, r_row=ohm, r_col=ohm, r_drv=ohm, r_sense=ohm)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


def _relative(found: np.ndarray, true: np.ndarray) -> float:
    return float(np.sqrt(np.mean((found - true) ** 2) / np.mean(true**2)))


def run(options: WiresMap) -> None:
    """Compute, print, draw. Raises ValueError and OSError for the caller's mistakes."""
    if not options.sizes or any(not 2 <= size <= 1024 for size in options.sizes):
        raise ValueError(f"sizes must be from 2 to 1024, got {options.sizes}")
    if not options.ratios or any(not 0 <= ratio <= 1 for ratio in options.ratios):
        raise ValueError(f"ratios must be from 0 to 1, got {options.ratios}")
    if not options.on_off >= 1:
        raise ValueError(f"on_off must be at least 1, got {options.on_off}")
    if options.inputs < 1:
        raise ValueError(f"inputs must be at least 1, got {options.inputs}")
    if not 0 <= options.seed < 2**32:
        raise ValueError(f"seed must be from 0 to 2^32 - 1, got {options.seed}")
    if options.picture is not None and options.picture.exists():
        raise ValueError(f"{options.picture} exists already; it is not overwritten")
    errors = error_map(options)
    if options.picture is not None:
        partial = options.picture.with_name(options.picture.name + ".part")
        partial.write_text(
            _figure(errors, options).to_html(include_plotlyjs=True, full_html=True, config={"displayModeBar": False}),
            encoding="utf-8",
        )
        partial.rename(options.picture)
    if options.json:
        by_kind = {kind: values.tolist() for kind, values in zip(KINDS, errors, strict=True)}
        print(json.dumps({"sizes": options.sizes, "ratios": options.ratios, "error": by_kind}))
        return
    from rich.console import Console
    from rich.table import Table

    for kind, values in zip(KINDS, errors, strict=True):
        table = Table("r × G_max", title=f"Error without wires, {kind}")
        for size in options.sizes:
            table.add_column(f"{size} × {size}", justify="right")
        for ratio, row in zip(options.ratios, values, strict=True):
            table.add_row(f"{ratio:.0e}", *map(_percent, row))
        Console().print(table)
    if options.picture is not None:
        print(f"Picture in {options.picture}.")


def _figure(errors: np.ndarray, options: WiresMap) -> Any:
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(cols=2, shared_yaxes=True, subplot_titles=KINDS, horizontal_spacing=0.04)
    for column, values in enumerate(errors, start=1):
        figure.add_trace(
            go.Heatmap(
                x=[str(size) for size in options.sizes],
                y=[f"{ratio:.0e}" for ratio in options.ratios],
                z=np.log10(np.maximum(values, 1e-6)),
                text=[[_percent(error) for error in row] for row in values],
                texttemplate="%{text}",
                zmin=-4,
                zmax=1,
                colorscale="Blues",
                showscale=False,
            ),
            row=1,
            col=column,
        )
    figure.update_xaxes(title_text="rows and columns", type="category")
    figure.update_yaxes(title_text="wire segment / strongest cell: r × G_max", type="category", col=1)
    figure.update_layout(
        title={"text": "Error of the currents if the wires are taken for ideal"},
        height=400,
        margin={"t": 80, "r": 10},
        plot_bgcolor="white",
        font={"family": "system-ui, sans-serif"},
    )
    return figure
