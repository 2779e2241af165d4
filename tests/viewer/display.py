"""A display without a screen, for windows in tests."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

SCREEN = "1920x1200x24"
LOCK = Path(tempfile.gettempdir()) / f"polyfield_display_{os.getuid()}.lock"


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One display at a time, also beside other processes that run tests: Mesa draws on all cores."""
    with LOCK.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def virtual() -> Iterator[str]:
    """Its name, as DISPLAY wants it."""
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed, so that there is no display to open a window on")
    with alone(), served() as display:
        yield display


@contextlib.contextmanager
def served() -> Iterator[str]:
    """A new one's name."""
    reads, writes = os.pipe()
    command = ["Xvfb", "-displayfd", str(writes), "-screen", "0", SCREEN, "-nolisten", "tcp", "-noreset"]
    server = subprocess.Popen(command, pass_fds=(writes,), stderr=subprocess.DEVNULL)
    os.close(writes)
    try:
        with os.fdopen(reads) as told:
            yield f":{told.readline().strip()}"
    finally:
        server.terminate()
        server.wait(10)
