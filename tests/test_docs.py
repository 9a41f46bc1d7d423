"""What the pages say is true: blocks run and print what they show, links lead somewhere, nothing is left out.

A ```python block is executed, all of one page in one namespace, in a temporary directory; an ```output block right
after it is what it prints. In a ```console block of docs/, lines that begin with `$ ` are run by a shell and the other
lines are what they print. `...` in expected output stands for anything.
"""

import contextlib
import doctest
import importlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PACKAGES = ("aimc", "ebm", "hnn_sat", "cost_bridge")
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    language: str
    text: str
    line: int  # of its first line in the page
    is_next: bool  # nothing but blank lines since the block before


def blocks(page):
    source, end, found = page.read_text(encoding="utf-8"), 0, []
    for match in FENCE.finditer(source):
        line = source.count("\n", 0, match.start(2)) + 1
        found.append(Block(match[1], match[2], line, not source[end : match.start()].strip()))
        end = match.end()
    return found


def prose(page):
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def assert_shows(expected, printed, where):
    """Equal but for `...` and the amount and kind of white space."""
    want, got = (" ".join(text.split()) for text in (expected, printed))
    assert doctest.OutputChecker().check_output(want, got, doctest.ELLIPSIS), f"{where} prints\n{printed}"


def run_python(page, block, namespace):
    """Run one block and return what it prints; a traceback names the line of the page."""
    code = compile("\n" * (block.line - 1) + block.text, str(page), "exec", dont_inherit=True)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, namespace)
    return printed.getvalue()


def run_console(page, block, directory):
    """Run every `$ ` line; each has to exit with 0 and print what stands below it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block.text, re.MULTILINE):
        done = subprocess.run(
            command, shell=True, cwd=directory, capture_output=True, text=True, encoding="utf-8", timeout=300,
            env=os.environ | {"PATH": path, "COLUMNS": "110"},
        )  # fmt: skip
        where = f"{page.name}, line {block.line}: {command}"
        assert done.returncode == 0, f"{where}\n{done.stderr}"
        assert_shows(expected, done.stdout, where)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_blocks_of_a_page_run_as_pasted_and_print_what_they_show(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace, printed = {"__name__": "__page__"}, None
    for block in blocks(page):
        if block.language == "python":
            printed = run_python(page, block, namespace)
        elif block.language == "output":
            assert printed is not None, f"{page.name}, line {block.line}: no python block stands before this output"
            assert block.is_next, f"{page.name}, line {block.line}: this output does not follow its block"
            assert_shows(block.text, printed, f"{page.name}, before line {block.line}:")
            printed = None
        elif block.language == "console" and page.parent.name == "docs":
            run_console(page, block, tmp_path)
        else:
            assert block.language in ("text", "toml", "json", "bash", "sh", "console"), (page.name, block.line)


def headings(page):
    """Anchors as a forge makes them of headings: lower case, punctuation gone, spaces to dashes."""
    titles = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_relative_link_resolves(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        assert path.is_relative_to(ROOT.resolve()), target
        if anchor:
            assert anchor in headings(path), target


def test_every_page_is_linked_from_the_index():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES[1:] if page.name != "index.md" and f"]({page.name})" not in index] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_documented(package):
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES[1:])
    names = [f"{package}.{name}" for name in importlib.import_module(package).__all__]
    assert [name for name in names if not re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", text)] == []


def keys(value):
    """Every key of nested JSON, except those that are themselves names of data: rates and items."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            if key in ("items", "versions"):
                continue
            yield from keys(next(iter(inner.values())) if key == "rates" else inner)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        yield from keys(value[0])


def unnamed(names, page):
    """Those that the page does not put in code."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return sorted({name for name in names if f"`{name}`" not in text})


def test_every_key_of_a_results_file_is_documented():
    from cost_bridge import evaluate, results, workloads
    from cost_bridge.labels import ITEM_TEXT
    from cost_bridge.results import provenance

    found = results.assemble([evaluate(workloads.mlp_step(), draws=20)], provenance(0))
    found["details"] = [detail for detail in found["details"] if detail["tornado"]]
    assert len(set(keys(found))) > 30
    assert unnamed(keys(found), "results-format.md") == []
    assert unnamed(ITEM_TEXT, "results-format.md") == []


def test_every_key_of_a_training_run_is_documented(tmp_path):
    from ebm import evaluate, run

    run.train_in(tmp_path / "run", run.Settings(steps=100, hidden=2, validation=True, look_every=100))
    assert unnamed(keys(json.loads((tmp_path / "run" / "run.json").read_text())), "results-format.md") == []
    assert unnamed(keys(evaluate.evaluate(tmp_path / "run")), "results-format.md") == []


def test_every_event_boundary_and_class_of_evidence_is_documented():
    from cost_bridge import BOUNDARIES, EVENTS, EVIDENCE

    assert unnamed([*EVENTS, *BOUNDARIES, *EVIDENCE], "cost_bridge.md") == []


def test_every_preset_device_and_rate_table_is_documented():
    from aimc import presets
    from cost_bridge import CHIPS, rates

    assert unnamed(presets.PRESETS, "aimc.md") == []
    tables = {name.rpartition(".")[0] for name in rates.load()}
    assert unnamed([*CHIPS, *tables], "cost_bridge.md") == []
