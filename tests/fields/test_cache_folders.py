"""Folders for what can be made again: whose they are, and which of them others could fill."""

import os
import tempfile
from pathlib import Path

import pytest

from fields import cache_folders


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(cache_folders, "OWNER", os.geteuid())
    return tmp_path


def test_the_users_own_come_first(temporary, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(temporary / "users"))
    assert list(cache_folders.candidates()) == [temporary / "users" / "polyfield", cache_folders.spare_folder()]
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(temporary / "home"))
    assert next(cache_folders.candidates()) == temporary / "home" / ".cache" / "polyfield"


def test_a_user_without_a_home_has_the_spare_one(temporary, monkeypatch):
    def unknown(_):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "expanduser", unknown)
    assert list(cache_folders.candidates()) == [temporary / f"polyfield-{os.geteuid()}"]


def test_the_spare_one_is_nobody_elses(temporary):
    folder = cache_folders.spare_folder()
    assert folder == temporary / f"polyfield-{os.geteuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert cache_folders.spare_folder() == folder  # also when it is there


@pytest.mark.parametrize("trap", ["open to all", "of another", "link", "file"])
def test_a_spare_one_that_another_could_fill_is_not_taken(trap, temporary, monkeypatch):
    folder = temporary / f"polyfield-{os.geteuid()}"
    if trap == "link":
        (temporary / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(temporary / "elsewhere")
    elif trap == "file":
        folder.write_text("")
    else:
        folder.mkdir(mode=0o700)
    if trap == "open to all":
        folder.chmod(0o777)
    if trap == "of another":
        monkeypatch.setattr(cache_folders, "OWNER", os.geteuid() + 1)
        folder.rename(temporary / f"polyfield-{os.geteuid() + 1}")
    assert cache_folders.spare_folder() is None


def test_the_working_folder_is_not_where_temporary_things_go(temporary, monkeypatch):
    monkeypatch.chdir(temporary)
    assert cache_folders.spare_folder() is None
    assert list(temporary.iterdir()) == []
    temporary.chmod(0o1777)  # as /tmp is, where one may work too
    assert cache_folders.spare_folder() is not None


def test_without_any_folder_there_is_none(monkeypatch):
    def nothing():
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", nothing)
    assert cache_folders.find_temporary() is None
    assert cache_folders.spare_folder() is None


def test_trouble(tmp_path):
    (tmp_path / "file").write_text("")
    assert cache_folders.trouble(tmp_path / "a" / "b", 0) == ""
    assert (tmp_path / "a" / "b").is_dir()
    assert list((tmp_path / "a" / "b").iterdir()) == []
    assert cache_folders.trouble(tmp_path / "file" / "b", 0) == "cannot be written"
    assert cache_folders.trouble(tmp_path / "a", 1 << 62).startswith("has less than ")
