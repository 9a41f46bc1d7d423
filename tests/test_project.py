"""Promises of the project as a whole: who imports whom, what is in the wheel, what a mistake looks like."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("aimc", "ebm", "hnn_sat", "cost_bridge")
PRICING_CORE = ("__init__", "compare", "events", "labels", "machines", "measure", "price", "rates", "results",
                "uncertainty", "work")  # fmt: skip


def _imports(path: Path) -> set[str]:
    """Top-level names of everything a file imports, wherever the statement stands; relative imports are its own."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found


def _files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def test_packages_import_only_whom_they_may():
    """aimc imports none of ours, ebm and hnn_sat import aimc, commands use cost_bridge's frame, workloads sees all."""
    allowed = {"aimc": set(), "ebm": {"aimc"}, "hnn_sat": {"aimc"}, "cost_bridge": set()}
    for package in PACKAGES:
        for path in _files(package):
            may = {package} | allowed[package]
            if path.name == "__main__.py" or path.parent.name == "commands":
                may |= {"cost_bridge"} | ({"hnn_sat"} if package == "cost_bridge" else set())
            if path == ROOT / "cost_bridge" / "workloads.py":
                may |= set(PACKAGES)
            assert _imports(path) & set(PACKAGES) <= may, path


def test_the_pricing_core_imports_the_standard_library_only():
    for path in _files("cost_bridge"):
        relative = path.relative_to(ROOT / "cost_bridge")
        if relative.parts[0] in ("digital", "analog") or relative.stem in PRICING_CORE:
            assert _imports(path) <= sys.stdlib_module_names, path


def test_nobody_writes_a_second_sweep_runner():
    users = [p for package in PACKAGES for p in _files(package) if "zarr" in _imports(p)]
    assert [p.relative_to(ROOT).as_posix() for p in users] == ["aimc/sweep.py"]


def test_the_wheel_holds_exactly_the_four_packages_and_their_tables(tmp_path):
    """Built without isolation, so that the test needs no network."""
    if find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed: `make dev` installs it")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True)
    (wheel,) = tmp_path.glob("barrierless-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    for needed in ("cost_bridge/data/gpu.toml", "cost_bridge/page.css", "aimc/sweep.py"):
        assert needed in names
    licences = [name for name in names if name.endswith(("LICENSE", "NOTICE"))]
    assert len(licences) == 2
    # It runs from another folder, without the checkout on the path.
    target = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(target)
    code = "import sys, cost_bridge; from cost_bridge import load; print(cost_bridge.__file__, len(load()))"
    environment = os.environ | {"PYTHONPATH": str(target), "PYTHONSAFEPATH": "1"}
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(str(target))


def test_every_constant_file_is_named_in_the_notice():
    """NOTICE lists the sources of constants: every author and year cited in the rate tables occurs there."""
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    cited = set()
    for path in sorted((ROOT / "cost_bridge" / "data").glob("*.toml")):
        cited |= set(re.findall(r"\b([A-Z][\w-]+ (?:team )?20\d\d)\b", path.read_text(encoding="utf-8")))
    cited = {name for name in cited if name.split()[0] not in ("January", "September", "December")}
    assert len(cited) > 5
    assert {name for name in cited if name not in notice} == set()


def _run(*command: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, **options)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_command_answers_help_and_version(package):
    shown = _run(package, "--help")
    assert shown.returncode == 0, shown.stderr
    assert "usage:" in shown.stdout.lower()
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert _run(package, "--version").stdout.split()[-1] == version


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            ("aimc", "sweep", "--array", "pcm_hermes", "--vary", "device.nu=1"),
            "pcm_hermes has no numeric field 'device.nu'",
        ),
        (
            ("aimc", "sweep", "--array", "pcm_hermes", "--vary", "time_s=-1"),
            "time_s must be a finite number of at least 0",
        ),
        (("aimc", "sweep", "--array", "pcm", "--vary", "time_s=1"), "unknown preset 'pcm'"),
        (("aimc", "sweep", "--vary", "time_s=1"), "--vary needs --array"),
        (("aimc", "devices", "pcram"), "unknown device 'pcram'"),
        (("aimc", "devices", "--csv", "nowhere.csv"), "nowhere.csv"),
        (("aimc", "solve-circuit", "nowhere.npz"), "nowhere.npz"),
        (("aimc", "wires-map", "--sizes", "1"), "sizes must be from 2 to 1024"),
        (("aimc", "sweep", "--seeds", "0"), "n_seeds must be at least 1, got 0"),
        (("aimc", "sweep", "--adc-bits", "1"), "adc_bits must be a whole number of bits from 2 to 16"),
        (("aimc", "sweep", "--read-noise", "-0.1"), "read_noise must be a finite number of at least 0, got -0.1"),
        (("cost_bridge", "compare", "--gpu", "abacus"), "known tables are gpu.a100"),
        (("cost_bridge", "compare", "--draws", "1"), "draws must be at least 100"),
        (("cost_bridge", "compare", "--cnf", "nowhere.cnf"), "nowhere.cnf"),
        (("cost_bridge", "compare", "--time-limit", "-3"), "time_limit must be above 0 seconds, got -3"),
        (("cost_bridge", "compare", "--seed", "99999999999999999999"), "seed must be from 0 to 2^32 - 1"),
        (("cost_bridge", "compare", "--out", "no/such/folder/x.json"), "is not a folder"),
        (("hnn_sat", "generate", "--seed", "-1", "--out", "x.cnf"), "seed must be from 0 to 2^32 - 1, got -1"),
        (("aimc", "sweep", "--seed", "-1"), "seed must be from 0 to 2^32 - 1, got -1"),
        (("cost_bridge", "page", "nowhere.json", "--out", "page.html"), "nowhere.json: No such file or directory"),
    ],
)
def test_a_mistake_gets_one_sentence_and_exit_code_2(command, message, tmp_path):
    run = _run(*command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert run.returncode == 2, run.stdout + run.stderr
    assert message in run.stderr
    assert "Traceback" not in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_output_that_exists_is_not_overwritten(tmp_path):
    kept = tmp_path / "results.json"
    kept.write_text("mine")
    run = _run("cost_bridge", "compare", "--out", str(kept))
    assert run.returncode == 2
    assert "exists already" in run.stderr
    assert kept.read_text() == "mine"


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> tuple[Path, str]:
    """The main job at reduced size."""
    out = tmp_path_factory.mktemp("demo")
    run = subprocess.run(
        [sys.executable, "examples/demo.py", "--reduced", "--out", out], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return out, run.stdout


@pytest.mark.slow
def test_the_main_job_writes_results_of_the_promised_form(demo):
    from cost_bridge import results

    out, printed = demo
    found = json.loads((out / "results.json").read_text())
    results.validate(found)
    assert {"schema", "provenance", "rows"} <= set(found)
    assert len({row["workload"] for row in found["rows"]}) == 4
    for row in found["rows"]:
        assert set(row) == {"workload", "unit", "hardware", "joules", "seconds", "dollars", "ratio", "interval_90",
                            "boundary", "evidence", "source"}  # fmt: skip
        is_analog = "array" in row["hardware"]
        assert isinstance(row["dollars"], list) == is_analog
        assert row["interval_90"][0] <= row["ratio"] <= row["interval_90"][1]
    for needed in ("digits MLP step", "RBM PCD-10 step", "3-SAT solution", "GPT-3 training step", "UNKNOWN"):
        assert needed in printed
    assert (out / "satisfiable.cnf").exists()


@pytest.mark.slow
def test_the_page_opens_in_a_browser_without_errors(demo):
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium to open the page with")
    page = demo[0] / "report.html"
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r"""<(?:script|link|img)[^>]+(?:src|href)=["']https?:""", text)
    common = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0",
              "--virtual-time-budget=20000"]  # fmt: skip
    run = subprocess.run([*common, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0
    assert "CONSOLE" not in run.stderr, run.stderr
    drawn = run.stdout
    assert drawn.count('class="main-svg"') >= 12  # plotly draws several layers a figure; nothing without its script
    for needed in ("digits MLP step", "CMOS capacitor array", "ReRAM array", "H100", "this CPU"):
        assert needed in drawn
