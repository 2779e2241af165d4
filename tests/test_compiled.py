"""Triton kernels as machine code of GPUs that are not there: nothing spilled, additions packed, matrices on their units.

The interpreter proves arithmetic and hides the rest: types that do not fit, shapes that are no powers of two, registers
that run out. Every kernel that a `launches()` in tests/**/test_*_cuda.py names is compiled once for NVIDIA's sm_90, and
those that multiply matrices for AMD's gfx942 as well.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
FILES = sorted(p for p in TESTS.rglob("test_*_cuda.py") if "def launches(" in p.read_text(encoding="utf-8"))
SPILLS: dict[str, int] = {}  # kernel: bytes of a thread's stack that are known and were judged to be worth it
PACKED: set[str] = {"add"}  # kernels whose gradients are added in pairs where the chip can
MATRIX: set[str] = {"layer"}  # kernels that must reach the matrix units


@pytest.fixture(scope="module")
def kernels() -> list[dict]:
    """What tests/compiled.py tells of all of them, from a process in which Triton compiles."""
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"} | {"PYTHONPATH": paths}
    command = [sys.executable, TESTS / "compiled.py", *FILES, "sm_90", "gfx942", "--once", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_kernel_compiles_and_none_spills(kernels):
    assert {k["file"] for k in kernels} == {p.name for p in FILES}
    assert sum(k["seconds"] for k in kernels) < 120  # of two cores that may be busy elsewhere
    spilled = {(k["target"], k["name"]): k["spilled"] for k in kernels}
    assert not {key: n for key, n in spilled.items() if n > SPILLS.get(key[1], 0)}


def test_additions_are_packed_where_the_chip_can(kernels):
    packed = {k["name"] for k in kernels if k["target"] == "sm_90" and k["packed"]}
    assert packed >= PACKED


def test_matrices_reach_their_units_on_both_makes(kernels):
    for target in ("sm_90", "gfx942"):
        assert {k["name"] for k in kernels if k["target"] == target and k["matrix"]} >= MATRIX
