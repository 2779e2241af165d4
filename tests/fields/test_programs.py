"""Programs of ours in processes of their own: what lies in the working folder is not taken for a module."""

import multiprocessing
import os
import subprocess
from pathlib import Path

import pytest

from fields import programs

SHADOWS = ("viewer", "fields", "render", "scenes", "numpy", "torch", "pickle", "struct", "multiprocessing", "runpy")
HOUSE = Path(programs.HOUSE)


@pytest.fixture
def crowded(tmp_path, monkeypatch):
    """A working folder with files that are called as modules are."""
    for name in SHADOWS:
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_program_is_ours_whatever_lies_in_the_working_folder(crowded):
    command = programs.program("render.render_scene", "--version")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout[:10], done.stderr) == (0, "polyfield ", "")


def test_a_program_is_of_this_very_installation(tmp_path):
    """Also where it is not installed."""
    (tmp_path / "copy" / "told").mkdir(parents=True)
    (tmp_path / "copy" / "told" / "__init__.py").write_text("")
    (tmp_path / "copy" / "told" / "what.py").write_text("import sys; print(__name__, *sys.argv[1:], __file__)")
    command = programs.program("told.what", "a b", "--c")
    command[command.index(programs.HOUSE)] = str(tmp_path / "copy")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"__main__ a b --c {tmp_path / 'copy' / 'told' / 'what.py'}\n"


def test_what_multiprocessing_starts_imports_nothing_from_the_working_folder(crowded):
    assert "PYTHONSAFEPATH" not in os.environ
    process = multiprocessing.get_context("spawn").Process(target=os.getcwd)
    with programs.safe_path():
        process.start()
    process.join(60)
    assert process.exitcode == 0
    assert "PYTHONSAFEPATH" not in os.environ


def test_a_person_who_asked_for_it_keeps_it(monkeypatch):
    monkeypatch.setenv("PYTHONSAFEPATH", "yes")
    with programs.safe_path():
        assert os.environ["PYTHONSAFEPATH"] == "1"
    assert os.environ["PYTHONSAFEPATH"] == "yes"


def test_nobody_else_starts_python():
    """`python -m NAME` runs a file of that name from the working folder."""
    folders = ("fields", "render", "scenes", "distill", "viewer")
    sources = [path for folder in folders for path in (HOUSE / folder).rglob("*.py")]
    found = {p.name for p in sources if "sys.executable" in p.read_text(encoding="utf-8")}
    assert found == {"programs.py", "gpu.py"}  # which runs our own tests in our own folder
    started = {p.name for p in sources if "get_context" in p.read_text(encoding="utf-8")}
    assert started == {"process.py"}
