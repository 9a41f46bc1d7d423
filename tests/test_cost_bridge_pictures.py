"""The commands that regenerate the paper's pictures: their numbers, their pages, what a page tells apart."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cost_bridge import framework, load, outlook
from cost_bridge.digital import projection
from cost_bridge.overrides import parse
from cost_bridge.pictures import cluster, look, project
from cost_bridge.rates import tables
from cost_bridge.uncertainty import medians

T = tables(medians(load()))


def command(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "cost_bridge", *words], capture_output=True, text=True)


def test_project_prints_the_projection_and_its_crossings() -> None:
    found = json.loads(command("project", "--json").stdout)
    assert found["years"] == [2021.0 + i for i in range(15)]
    plain = projection.trend(T)
    assert found["usd"]["best guess, GPU"] == pytest.approx([plain.gpu_usd(year) for year in found["years"]])
    assert found["crossing_year"]["best guess, GPU"]["IT spending"] == pytest.approx(2031.75, abs=0.01)
    assert set(found["limits_usd"]) == {*outlook.LIMITS, "1 % of US GDP"}
    rates = found["growth"]
    assert rates["operations, square of the stated size"]["growth"] == pytest.approx(7.84)
    assert rates["model size, as stated"]["doubling_months"] == pytest.approx(8.08, abs=0.01)


def test_the_worst_case_is_above_and_the_best_case_below_the_guess() -> None:
    found = outlook.costs(T)
    guess = found["usd"]["best guess, GPU"][2:]
    for only in ("experts only", "both rows of Table 1"):
        best, worst = (found["scenario_usd"][f"{case} case, {only}"] for case in ("best", "worst"))
        assert all(b <= g <= w for b, g, w in zip(best, guess, worst, strict=True))
    assert found["scenario_usd"]["best case, experts only"][0] == pytest.approx(guess[0])


def test_cluster_prints_figure_7_with_its_gain_and_best_size() -> None:
    found = json.loads(command("cluster", "--json").stdout)
    assert found["at_size"]["gain"] == pytest.approx(1.995, abs=1e-3)
    assert found["best_size_gpus"]["without"] == pytest.approx(64e3, abs=1e3)
    assert found["llama3"]["effective_fraction"] == pytest.approx(0.924, abs=1e-3)
    for kind in ("without", "with"):
        dense, sparse = (found["days"][f"{model}, {kind}"] for model in ("dense", "8 experts"))
        assert sparse == pytest.approx([day / 8 for day in dense])
    at = found["gpus"].index(64e3)
    days = found["days"]["dense, without"]
    assert min(days) == days[at]


def test_any_parameter_moves_the_pictures() -> None:
    own = parse(["paper.growth.parameters_growth=2.0", "paper.cluster.storage_gb_per_s=1000"], load())
    assert framework.project(own).json["usd"]["best guess, GPU"][-1] < outlook.costs(T)["usd"]["best guess, GPU"][-1]
    assert framework.cluster(own).json["at_size"]["gain"] < 1.9


@pytest.mark.parametrize(("name", "figures"), [("project", 3), ("cluster", 3)])
def test_a_page_is_whole_needs_nothing_else_and_says_what_is_what(tmp_path: Path, name: str, figures: int) -> None:
    path = tmp_path / "page.html"
    done = command(name, "--out", str(path), "--set", "paper.cluster.gpu_mtbf_hours=500e3")
    assert done.returncode == 0, done.stderr
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert text.endswith("</html>\n")
    assert text.count('class="plotly-graph-div"') == figures
    assert not re.findall(r"""<(?:script|link|img)[^>]+(?:src|href)=["']https?:""", text)
    assert look.LEGEND in text
    assert "Nothing is digitised" in text
    assert ("#fff6e5" in text) == (name == "cluster"), "the changed parameter is marked where it counts"
    again = command(name, "--out", str(path))
    assert again.returncode == 2
    assert "exists already" in again.stderr
    assert path.read_text(encoding="utf-8") == text
    assert [one.name for one in tmp_path.iterdir()] == ["page.html"]


def test_kinds_of_evidence_look_different() -> None:
    """Stated points are diamonds, published ones circles, assumed series dashed grey, computed lines solid."""
    found = outlook.costs(T)
    traces = {trace.name: trace for trace in project.cost_figure(T, found).data if trace.name}
    assert traces["printed in the paper"].marker.symbol == "diamond"
    assert traces["Epoch AI's estimates, amortised"].marker.color == look.PUBLISHED
    assert traces["best guess, GPU"].line.dash == "solid"
    for name in found["limits_usd"]:
        assert traces[name].line.color == look.ASSUMED
        assert traces[name].line.dash != "solid"
    hollow = project.price_figure(T, load()).data[-1].marker.symbol
    assert {"circle", "circle-open"} == set(hollow)


def test_the_simulated_points_lie_on_the_computed_curve() -> None:
    """Three standard errors: the page draws two."""
    sizes = (1e4, 5e4, 8e4)
    exact = outlook.machine(T, sizes=sizes)["slowdown"]["without"]
    for one, factor in zip(outlook.simulated(T, sizes=sizes), exact, strict=True):
        assert abs(one.mean - factor) < 3 * one.standard_error


def test_pages_are_the_same_every_time() -> None:
    def plain(page: str) -> str:
        return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "id", page)

    for draw in (framework.project, framework.cluster):
        assert plain(draw({}).page()) == plain(draw({}).page())


def test_levers_and_published_runs_print_what_the_library_says() -> None:
    listed = json.loads(command("levers", "--json").stdout)
    assert len(listed["levers"]) == 31
    for one in listed["levers"]:
        low, high = one["range_90"]
        assert low <= one["left"] <= high or one["left"] == pytest.approx(low)
    together = json.loads(command("levers", "data formats", "mixed precision training", "--json").stdout)
    assert together["left_out"] == ["mixed precision training"]
    runs = {one["id"]: one for one in json.loads(command("published", "--json").stdout)["runs"]}
    assert runs["T5"]["interval_90"][0] < runs["T5"]["ours"] < runs["T5"]["interval_90"][1]
    assert [name for name, one in runs.items() if not one["is_identity"]] == ["T5", "T5e", "T11", "T11e"]
    for name in ("levers", "published", "project", "cluster"):
        assert command(name).stdout.strip()


def test_figures_4_and_6_draw_what_their_numbers_say() -> None:
    points = outlook.price_performance(T)
    assert points["a100_40gb"]["flops_per_usd_16"] == pytest.approx(312e12 / 15000)
    line = project.price_figure(T, load()).data[0]
    assert line.y[1] / line.y[0] == pytest.approx(2 ** ((line.x[1] - line.x[0]) / 2.46))
    growth = {trace.name: trace for trace in project.growth_figure(T).data}
    gpu = growth["GPU performance"]
    assert gpu.y[1] / gpu.y[0] == pytest.approx(1.69**18)
    assert cluster.gain_figure(T).data[-1].y == (2.0,)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["project", "cluster"])
def test_a_page_opens_in_a_browser_without_errors(tmp_path: Path, name: str) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium to open the page with")
    page = tmp_path / "page.html"
    assert command(name, "--out", str(page)).returncode == 0
    run = subprocess.run(
        [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0",
         "--virtual-time-budget=20000", "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert run.returncode == 0
    assert "CONSOLE" not in run.stderr, run.stderr
    assert run.stdout.count('class="main-svg"') >= 6  # several layers a figure; nothing without the script
    for needed in ("printed in the paper", "Parameters"):
        assert needed in run.stdout
