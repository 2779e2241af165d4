"""Compiled kernels are kept apart by the state of their sources."""

import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from fields import compiled


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


@pytest.mark.parametrize("trouble", ["a file is there", "full"])
def test_where_nothing_can_be_kept_a_folder_goes_with_the_process(trouble, house, monkeypatch):
    if trouble == "full":
        monkeypatch.setattr(compiled, "LEAST", 1 << 62)
    (house / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(house / ("cache" if trouble == "full" else "file/below")))
    gone = []
    monkeypatch.setattr(compiled.atexit, "register", lambda remove, folder, **more: gone.append(folder))
    compiled.keep()
    kept = Path(os.environ["NUMBA_CACHE_DIR"])
    assert kept.is_dir()
    assert kept.parent == Path(gone[0])
    compiled.shutil.rmtree(gone[0])


@pytest.mark.parametrize("order", ["fields, numba", "numba, fields"])
def test_numba_uses_it(order, tmp_path):
    program = f"import {order}; print(numba.config.CACHE_DIR)"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == tmp_path / compiled.fingerprint()
