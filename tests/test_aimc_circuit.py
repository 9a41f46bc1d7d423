"""Circuits from files: what is printed and drawn, and how files are refused that are none."""

import io
import json
import tracemalloc
import zipfile

import numpy as np
import pytest
from crossbar_oracle import CASES, case

from aimc import circuit, wires_map
from aimc.circuit import SolveCircuit, run

GOOD = {
    "G": np.full((3, 2), 1e-5), "V": np.full((1, 3), 0.1),
    "r_row": 1.0, "r_col": 1.0, "r_drv": 1.0, "r_sense": 1.0,
}  # fmt: skip


def solved(path, capsys, **options):
    run(SolveCircuit(file=path, json=True, **options))
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", ["lin_008x008_r1", "sinh_016x016_r5"])
def test_a_stored_circuit_is_solved_and_compared(name, capsys, tmp_path):
    stored, _ = case(name)
    found = solved(CASES / f"{name}.npz", capsys)
    assert found["error"] < 1e-6
    assert np.allclose(found["currents"], stored["I_out"], rtol=0, atol=1e-6 * np.abs(stored["I_out"]).max())
    power = np.sum(stored["V"] * stored["I_in"], axis=1)
    assert np.allclose(found["power_w"], power, rtol=1e-6)
    assert min(found["iterations"]) > 0
    assert found["is_converged"] == [True] * len(stored["V"])


def test_a_stored_transient_is_compared_as_a_step_response(capsys):
    assert solved(CASES / "tran_016x016_r5_c5fF.npz", capsys)["error_of_step_response"] <= 2e-5


def test_what_is_printed_and_drawn(capsys, tmp_path):
    page = tmp_path / "drop.html"
    run(SolveCircuit(file=CASES / "lin_008x008_r1.npz", picture=page, input=1))
    printed = capsys.readouterr().out
    for needed in ("8 × 8 cells", "CG", "Error if the wires were ideal", "Error against I_out", "Picture in", "█", "▒"):
        assert needed in printed
    drawn = page.read_text(encoding="utf-8")
    assert "Plotly.newPlot" in drawn
    assert "input 1" in drawn
    assert list(tmp_path.iterdir()) == [page]
    with pytest.raises(ValueError, match="exists already"):
        run(SolveCircuit(file=CASES / "lin_008x008_r1.npz", picture=page))


def test_a_circuit_without_reference_and_one_of_ideal_wires_are_solved(capsys, tmp_path):
    path = tmp_path / "circuit.npz"
    np.savez(path, **GOOD | dict.fromkeys(circuit.SCALARS, 0.0))
    found = solved(path, capsys)
    assert "error" not in found
    assert np.allclose(found["currents"], 3e-6)
    assert found["error_without_wires"] < 1e-6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"G": None}, "has no array 'G'"),
        ({"r_drv": None}, "has no array 'r_drv'"),
        ({"G": np.full((3, 2), -1e-5)}, "G must hold rows × columns of conductances of at least 0"),
        ({"G": np.full((3, 2), np.nan)}, "G must be finite"),
        ({"G": np.full((3, 2), "a")}, "G must hold real numbers"),
        ({"G": np.array([[{}]], dtype=object)}, "G must hold real numbers, got object"),
        ({"V": np.full((1, 4), 0.1)}, "V must hold inputs × 3 rows"),
        ({"r_row": -1.0}, "r_row must be one number of at least 0"),
        ({"r_row": np.ones(2)}, "r_row must be one number"),
        ({"v0": 0.0}, "v0 must be above 0 volt"),
        ({"I_out": np.zeros((1, 3))}, r"I_out must have shape \(1, 2\)"),
    ],
)
def test_a_wrong_circuit_is_refused_in_a_sentence(change, message, tmp_path):
    path = tmp_path / "circuit.npz"
    np.savez(path, **{key: value for key, value in (GOOD | change).items() if value is not None})
    with pytest.raises(ValueError, match=message) as caught:
        run(SolveCircuit(file=path))
    assert "\n" not in str(caught.value)


def test_what_is_no_archive_is_refused(tmp_path):
    path = tmp_path / "circuit.npz"
    path.write_bytes(b"not a zip")
    with pytest.raises(ValueError, match="not a readable npz archive"):
        run(SolveCircuit(file=path))
    whole = (CASES / "lin_008x008_r1.npz").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="not a readable npz archive"):
        run(SolveCircuit(file=path))
    with pytest.raises(FileNotFoundError):
        run(SolveCircuit(file=tmp_path / "none.npz"))
    with pytest.raises(ValueError, match="input must be from 0 to 3, got 4"):
        run(SolveCircuit(file=CASES / "lin_008x008_r1.npz", input=4))
    with pytest.raises(ValueError, match="tolerance must be between 0 and 1"):
        run(SolveCircuit(file=CASES / "lin_008x008_r1.npz", tolerance=0.0))


@pytest.mark.parametrize("shape", [(1 << 20, 1 << 20), (-1, -5), (1 << 62, 4, 4)])
def test_a_size_that_a_header_claims_costs_no_memory(shape, tmp_path):
    """The header of G promises terabytes, the file has none of them."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": shape})
    path = tmp_path / "circuit.npz"
    np.savez(path, **{key: value for key, value in GOOD.items() if key != "G"})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("G.npy", header.getvalue())
    tracemalloc.start()
    with pytest.raises(ValueError, match="G "):
        run(SolveCircuit(file=path))
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def test_the_map_of_wires_grows_with_size_and_resistance(capsys, tmp_path):
    options = wires_map.WiresMap(sizes=[4, 16], ratios=[0.0, 1e-4, 1e-3], json=True, picture=tmp_path / "map.html")
    wires_map.run(options)
    found = json.loads(capsys.readouterr().out)["error"]
    for errors in map(np.array, found.values()):
        assert errors.shape == (3, 2)
        assert (errors[0] < 1e-6).all()
        assert (np.diff(errors, axis=0) > 0).all()
        assert (errors[1:, 1] > errors[1:, 0]).all()
    assert "Plotly.newPlot" in options.picture.read_text(encoding="utf-8")
    for wrong, message in (
        ({"sizes": [1]}, "sizes must be from 2 to 1024"),
        ({"ratios": [-1.0]}, "ratios must be from 0 to 1"),
        ({"on_off": 0.5}, "on_off must be at least 1"),
        ({"inputs": 0}, "inputs must be at least 1"),
        ({"seed": -1}, "seed must be from 0"),
    ):
        with pytest.raises(ValueError, match=message):
            wires_map.run(wires_map.WiresMap(**wrong))
