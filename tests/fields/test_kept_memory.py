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


@pytest.mark.skipif(not GLIBC, reason="only glibc can be told")
def test_free_memory_goes_back_when_steps_are_over():
    code = """
import numpy, psutil, resource
from fields import memory
memory.keep()
def held():
    return psutil.Process().memory_info().rss
def use():
    pieces = [numpy.ones(20 << 20, numpy.uint8) for _ in range(20)]
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    use()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
empty = held()
use()
kept = held() - empty
memory.give_back()
given = held() - empty
use()
print(kept, given, held() - empty)
memory.hold()
use()
print(min(faults() for _ in range(3)))
"""
    kept, given, later, faults = map(int, said(code).split())
    assert kept > 300 << 20, "20 pieces of 20 MiB stay"
    assert given < 50 << 20 and later < 50 << 20, "and then no longer"
    assert faults < 1000, "pages of 400 MiB, of which there are 102 400"


def test_a_process_that_may_not_have_so_much_goes_on():
    code = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
from fields import memory
memory.keep()
memory.keep()
memory.give_back()
memory.hold()
print("fine")
"""
    assert said(code) == "fine\n"


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_other_systems_are_left_alone(platform):
    code = f"""
import sys
sys.platform = {platform!r}
from fields import memory
memory.keep()
memory.hold()
memory.give_back()
print(1)
"""
    assert said(code) == "1\n"
