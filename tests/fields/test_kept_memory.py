"""Memory that is kept: touched once, however often it is asked for."""

import ctypes
import subprocess
import sys

import pytest

GLIBC = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")


def said(code: str) -> str:
    """What a new process prints."""
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


@pytest.mark.skipif(not GLIBC, reason="only glibc can be told")
def test_large_buffers_are_touched_once():
    code = """
import resource, fields, numpy, torch
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    kept = [torch.zeros(3 << 20), numpy.ones(5 << 20), torch.zeros(40 << 20, dtype=torch.uint8)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(max(faults() for _ in range(5)))
"""
    assert int(said(code)) < 1000  # pages of 92 MiB, of which there are 23 500


def test_a_process_that_may_not_have_so_much_goes_on():
    code = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
from fields import memory
memory.keep()
memory.keep()
print("fine")
"""
    assert said(code) == "fine\n"


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_other_systems_are_left_alone(platform):
    assert said(f"import sys; sys.platform = {platform!r}; from fields import memory; memory.keep(); print(1)") == "1\n"
