"""What the pages say can be followed: links lead somewhere, commands and flags exist, code names what there is."""

import ast
import contextlib
import importlib
import io
import re
import shlex
from functools import cache
from pathlib import Path

import pytest
import tyro
from test_commands import COMMANDS, ROOT

import polyfield

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
SHELLS = ("", "bash", "sh", "console")  # languages of blocks that a person may type; output stands in ```text
TYRO = {"--help", "--version", "--tyro-print-completion"}  # that every command has


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def typed(page: Path) -> list[str]:
    """Commands of ours in a page's blocks, without what is said about them."""
    found = []
    for language, block in FENCE.findall(text_of(page)):
        for line in block.splitlines() if language in SHELLS else ():
            said = re.split(r" {2,}| # ", line.strip().removeprefix("$ "))[0]
            found += [part.strip() for part in re.split(r"&&|;| > ", said) if part.strip()]
    return [line for line in found if line.split()[0] in COMMANDS]


def mentioned(page: Path) -> list[str]:
    """Commands of ours with flags in running text: they may hold ellipses and words in capitals."""
    spans = re.findall(r"`([^`\n]+)`", FENCE.sub("", text_of(page)))
    return [span for span in spans if span.split() and span.split()[0] in COMMANDS]


@cache
def settings(name: str) -> type:
    """What a command's flags are made of."""
    module = importlib.import_module(COMMANDS[name])
    [config] = [value for key, value in vars(module).items() if key in ("Flags", "BenchSettings", "ViewSettings")]
    return config


@cache
def flags(name: str) -> set[str]:
    """All flags of a command, off its help."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), pytest.raises(SystemExit):
        tyro.cli(settings(name), prog=name, args=["--help"], config=(tyro.conf.FlagCreatePairsOff,))
    return set(re.findall(r"^[│| ] (--[a-z-]+)", said.getvalue(), re.MULTILINE)) | TYRO


def slugs(page: Path) -> set[str]:
    """Anchors that a page's headings give, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text_of(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for link in LINK.findall(FENCE.sub("", text_of(page))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert ROOT in target.resolve().parents, f"{page.name}: {link} leaves the project"
        assert not anchor or anchor in slugs(target), f"{page.name}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_are_understood(page):
    for line in typed(page):
        name, *words = shlex.split(line)
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
                tyro.cli(settings(name), prog=name, args=words, config=(tyro.conf.FlagCreatePairsOff,))
        except SystemExit as end:
            assert not end.code, f"{page.name}: {line}\n{said.getvalue()}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_flags_in_running_text_exist(page):
    for span in mentioned(page):
        name, *words = span.split()
        for word in words:
            flag = re.match(r"\[?(--[a-z-]+)", word)
            assert not flag or flag[1] in flags(name), f"{page.name}: {span}"


def test_the_checks_see_what_they_should():
    assert len(typed(ROOT / "README.md")) > 10
    assert any(mentioned(page) for page in PAGES)
    for name in COMMANDS:
        assert len(flags(name)) > 4, name


def test_python_for_the_library_is_python_and_names_what_there_is():
    for language, block in FENCE.findall(text_of(ROOT / "docs" / "library.md")):
        for node in ast.walk(ast.parse(block)) if language == "python" else ():
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "polyfield":
                assert hasattr(polyfield, node.attr), f"library.md: polyfield.{node.attr}"


def test_the_index_names_every_page():
    listed = set(LINK.findall(text_of(ROOT / "docs" / "index.md")))
    assert {page.name for page in PAGES if page.parent.name == "docs" and page.name != "index.md"} <= listed


def test_scripts_that_pages_run_exist():
    for page in PAGES:
        for _, block in FENCE.findall(text_of(page)):
            for script in re.findall(r"python (docs/\S+\.py)", block):
                assert (ROOT / script).is_file(), f"{page.name}: {script}"
