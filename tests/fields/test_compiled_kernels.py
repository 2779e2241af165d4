"""Compiled kernels are kept apart by the state of their sources."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numba
import pytest

from fields import cache_folders, compiled


@pytest.fixture
def house(tmp_path, monkeypatch):
    (tmp_path / "fields" / "kernels").mkdir(parents=True)
    (tmp_path / "fields" / "kernels" / "some_cpu.py").write_text("one")
    monkeypatch.setattr(compiled, "HOUSE", tmp_path)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(numba.config, "CACHE_DIR", numba.config.CACHE_DIR)  # pyright: ignore[reportAttributeAccessIssue]
    return tmp_path


def test_another_source_is_another_folder(house):
    compiled.keep()
    first = os.environ["NUMBA_CACHE_DIR"]
    assert Path(first).parent == house / "cache"
    compiled.keep()
    assert os.environ["NUMBA_CACHE_DIR"] == first
    (house / "fields" / "kernels" / "some_cpu.py").write_text("two")
    compiled.keep()
    assert os.environ["NUMBA_CACHE_DIR"] != first
    assert Path(os.environ["NUMBA_CACHE_DIR"]).parent == house / "cache"


def test_old_folders_go(house):
    for n in range(2 * compiled.KEPT):
        (house / "fields" / "kernels" / "some_cpu.py").write_text(str(n))
        compiled.keep()
        os.utime(os.environ["NUMBA_CACHE_DIR"], (n, n))
    assert len(list((house / "cache").iterdir())) == compiled.KEPT
    assert Path(os.environ["NUMBA_CACHE_DIR"]).exists()


def test_without_a_folder_of_ones_own_it_is_the_users_cache(house, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(house / "users"))
    compiled.keep()
    assert Path(os.environ["NUMBA_CACHE_DIR"]).parent == house / "users" / "polyfield" / "kernels"


def test_what_is_no_kernel_does_not_count(house):
    name = compiled.fingerprint()
    (house / "fields" / "kernels" / "some_cuda.py").write_text("")
    (house / "render" / "kernels").mkdir(parents=True)
    (house / "render" / "films.py").write_text("")
    assert compiled.fingerprint() == name
    for place in ("fields/field.py", "render/kernels/march.py", "render/deep_cpu.py"):
        (house / place).write_text("NUMBER = 1")
        assert compiled.fingerprint() != name
        name = compiled.fingerprint()


def test_what_lies_beside_is_left_alone(house):
    (house / "cache" / "polyfield-1000").mkdir(parents=True)
    for n in range(2 * compiled.KEPT):
        (house / "fields" / "kernels" / "some_cpu.py").write_text(str(n))
        compiled.keep()
    assert (house / "cache" / "polyfield-1000").exists()


@pytest.fixture
def unwritable(house, monkeypatch):
    """Neither the folder that the environment names can be written, nor the user's; temporary files have a folder."""
    (house / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(house / "file" / "below"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(house / "file"))
    (house / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(house / "temporary"))
    return house


def test_where_the_users_folder_cannot_be_written_a_temporary_one_keeps_kernels(unwritable, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    compiled.keep()
    kept = Path(os.environ["NUMBA_CACHE_DIR"])
    assert kept.is_dir()
    assert kept.parents[2] == unwritable / "temporary"
    assert compiled.kept()
    [line] = capsys.readouterr().err.splitlines()
    assert line == (
        f"compiled kernels are kept in {kept.parent}: {unwritable / 'file' / 'below'} cannot be written and "
        f"{unwritable / 'file' / 'polyfield' / 'kernels'} cannot be written; NUMBA_CACHE_DIR names another folder"
    )
    compiled.keep()
    assert os.environ["NUMBA_CACHE_DIR"] == str(kept)
    assert capsys.readouterr().err == ""  # as a child process, which is given the folder


@pytest.mark.parametrize("trouble", ["no folder", "full"])
def test_where_nothing_can_be_written_kernels_are_not_kept(trouble, unwritable, monkeypatch, capsys):
    if trouble == "full":
        monkeypatch.setattr(compiled, "LEAST", 1 << 62)
    else:
        monkeypatch.setattr(tempfile, "gettempdir", nothing)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    compiled.keep()
    assert os.environ["NUMBA_CACHE_DIR"] == ""
    assert not compiled.kept()
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("compiled kernels are not kept, and made anew by every run: ")


def nothing():
    raise FileNotFoundError(2, "No usable temporary directory found")


def test_programs_are_not_told(unwritable, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: False)
    compiled.keep()
    assert capsys.readouterr().err == ""


TOY = """
from numba import njit
from fields.kernels.options_cpu import KERNEL

@njit(**KERNEL)
def double(x):
    return 2 * x
"""


@pytest.mark.parametrize("place", ["temporary", "nowhere"])
def test_kernels_compile_where_neither_home_nor_the_sources_can_be_written(place, tmp_path):
    """The environment of a program in a container; `file` is where its folders would be."""
    (tmp_path / "file").write_text("")
    (tmp_path / "toy.py").write_text(TOY)
    (tmp_path / "temporary").mkdir()
    program = "import tempfile\n"
    if place == "nowhere":
        program += "def nothing(): raise FileNotFoundError(2, 'nothing')\ntempfile.gettempdir = nothing\n"
    program += "import fields, torch._dynamo, toy; print(toy.double(21), toy.double.stats.cache_path)"
    environment = {name: value for name, value in os.environ.items() if "CACHE" not in name}
    environment |= {"HOME": str(tmp_path / "file"), "TMPDIR": str(tmp_path / "temporary")}
    environment |= {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(compiled.HOUSE)])}
    command = [sys.executable, "-B", "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    answer, path = done.stdout.split()
    assert answer == "42"
    assert path == "None" if place == "nowhere" else Path(path).is_relative_to(tmp_path / "temporary")
    assert not (tmp_path / "__pycache__").exists()


def test_no_kernel_asks_to_be_kept_where_nothing_is():
    """`cache=True` raises where there is no folder; `compiled.kept()` says whether there is one."""
    folders = [
        Path(compiled.__file__).parents[1] / name for name in ("fields", "render", "scenes", "distill", "viewer")
    ]
    sources = [path for folder in folders for path in folder.rglob("*.py")]
    found = [path.name for path in sources if re.search(r"cache\W{1,4}True", path.read_text(encoding="utf-8"))]
    assert found == ["compiled.py"]  # which says so


@pytest.mark.parametrize(
    ("home", "named"), [("writable", False), ("file", True), ("unknown", True), ("missing", False)]
)
def test_triton_gets_a_folder_where_its_own_cannot_be_written(home, named, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    (tmp_path / "writable").mkdir()
    for name in ("TRITON_CACHE_DIR", "TRITON_HOME"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path / "file")
    monkeypatch.setattr(cache_folders, "find_home", lambda: None if home == "unknown" else tmp_path / home)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    compiled.keep_triton()
    wanted = str(tmp_path / "cache" / "polyfield" / "triton") if named else None
    assert os.environ.get("TRITON_CACHE_DIR") == wanted


@pytest.mark.parametrize("order", ["fields, numba", "numba, fields"])
def test_numba_uses_it(order, tmp_path):
    program = f"import {order}; print(numba.config.CACHE_DIR)"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == tmp_path / compiled.fingerprint()
