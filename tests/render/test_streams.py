"""What a command prints where that cannot be printed: letters, closed streams, readers that have left, full disks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, threading
from dataclasses import dataclass
from pathlib import Path
from rich.console import Console
from render.command import run

@dataclass(frozen=True)
class Flags:
    '''A command for tests.'''

def work(_):
    Console().print("o_\\u5834 \\udc80", soft_wrap=True)
    sys.stdout.write("x" * 100_000)  # more than waits in a buffer
    other = threading.Thread(target=lambda: print("from another thread", flush=True))
    other.start()
    other.join()
    Path({done!r}).write_text("whole")

run(Flags, work)
"""


@pytest.fixture
def ended(tmp_path):
    """Exit status and errors of a command that prints, for a shell's redirection; its work must be whole."""

    def end(redirected, encoding="utf-8", out=subprocess.PIPE):
        (tmp_path / "program.py").write_text(PROGRAM.format(done=str(tmp_path / "done")))
        line = f"exec {sys.executable} {tmp_path / 'program.py'} {redirected}"
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding}
        found = subprocess.run(["sh", "-c", line], env=environment, stdout=out, stderr=subprocess.PIPE, check=False)
        assert (tmp_path / "done").read_text() == "whole"
        return found.returncode, (found.stdout or b"").decode(encoding, "replace"), found.stderr.decode()

    return end


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_letters_that_a_console_has_not_are_escaped(ended, encoding):
    status, said, error = ended("", encoding)
    assert (status, error) == (0, "")
    assert said.startswith(("o_場 " if encoding == "utf-8" else r"o_\u5834 ") + r"\udc80")


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell")
@pytest.mark.parametrize("redirected", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error_and_no_file_takes_their_place(ended, redirected):
    assert ended(redirected)[::2] == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_behind_standard_output_is_told_after_the_work(ended):
    assert ended(">/dev/full") == (2, "", "program.py: standard output: No space left on device\n")
    assert ended("2>/dev/full")[0] == 0
    assert ended(">/dev/full 2>&1")[0] == 2


def test_a_reader_that_leaves_is_seen_after_the_work(ended):
    """As of `command | head -0`: nothing is said, and 141 is what a shell says of a process that a pipe ends."""
    read, write = os.pipe()
    os.close(read)
    try:
        assert ended("", out=write) == (141, "", "")
    finally:
        os.close(write)
