"""A display without a screen, for windows in tests."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

SCREEN = "1920x1200x24"


@contextlib.contextmanager
def virtual() -> Iterator[str]:
    """Its name, as DISPLAY wants it."""
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed, so that there is no display to open a window on")
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
