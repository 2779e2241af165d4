"""One run writes in a place at a time: told where one does, taken over from one that has ended, gone at the end."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from distill.learning.lock import locked
from fields.processes import born


@pytest.fixture
def place(tmp_path):
    """A lock, and what it is for."""
    return tmp_path / "run" / ".model.lock", tmp_path / "run" / "model.safetensors"


def refused(place):
    with pytest.raises(ValueError) as caught, locked(*place):
        pass
    return str(caught.value)


def test_it_is_there_as_long_as_somebody_writes(place):
    path, what = place
    with locked(*place):
        assert path.read_text().split()[0] == str(os.getpid())
        said = f"{what}: process {os.getpid()} is writing it; wait for its end, or name another place with --out"
        assert refused(place) == said
    assert not path.exists()
    with pytest.raises(KeyboardInterrupt), locked(*place):
        raise KeyboardInterrupt
    assert not path.exists()


def test_that_of_another_process_holds_until_that_is_gone(place):
    path, _ = place
    path.parent.mkdir()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        path.write_text(f"{process.pid} {born(process.pid)}")
        assert f"process {process.pid} is writing it" in refused(place)
        process.kill()
    with locked(*place):
        assert path.read_text().split()[0] == str(os.getpid())


def test_a_number_that_was_given_out_again_holds_nothing(place):
    path, _ = place
    path.parent.mkdir()
    path.write_text(f"{os.getpid()} {born(os.getpid()) - 60}")  # as of the process that had our number in a container
    with locked(*place):
        assert f" {born(os.getpid())}" in path.read_text()


@pytest.mark.parametrize("text", ["", "12", "x y", "9" * 400 + " 1"])
def test_one_that_was_not_written_to_its_end_holds_for_a_moment(place, text):
    path, _ = place
    path.parent.mkdir()
    path.write_text(text)
    os.utime(path, (time.time() + 1000, time.time() + 1000))  # however slow the machine is
    if not text.startswith("9"):
        assert "another run is writing it" in refused(place)
    os.utime(path, (0, 0))
    with locked(*place):
        pass
    assert not path.exists()


def test_what_took_its_place_meanwhile_stays(place):
    path, _ = place
    with locked(*place):
        path.write_text("1 1.0")
    assert path.read_text() == "1 1.0"
    path.unlink()
    with locked(*place):
        path.unlink()
        path.parent.rmdir()


def test_a_place_that_cannot_be_written_is_named_by_what_was_asked_for(place):
    path, what = place
    Path(path.parent).write_text("a file")
    with pytest.raises(OSError) as caught, locked(*place):
        pass
    assert caught.value.filename == str(what)
