"""Triton kernels as machine code of GPUs that are not there: what spills is known, additions are packed, matrices are
multiplied by the units that are made for it.

The interpreter proves arithmetic and hides the rest: types that do not fit, shapes that are no powers of two, registers
that run out. Every kernel that a `launches()` in a test names is compiled once for NVIDIA's sm_90, and the fused ones
for AMD's gfx942 as well. Kernels are named FILE.KERNEL, FILE without test_ and _cuda.
"""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ASIDE = ("test_hashgrid_cuda.py", "test_frame_cuda.py")  # the fused kernels and frames of a hash grid hold the same
FOUND = [p for p in TESTS.rglob("test_*.py") if "\ndef launches(" in p.read_text(encoding="utf-8")]
FILES = sorted(p for p in FOUND if p.name not in ASIDE)
FUSED = {"fused.radiance_grad_kernel": 256, "fused_frame.frame_kernel": 32}
SPILLS = {  # by release of Triton: bytes of a thread's stack on sm_90, at most, where there is any; none on gfx942
    "3.6": FUSED | {"rbf_readout.backward": 96, "vm.backward": 48},
    "3.9": FUSED
    | {"rbf_readout.backward": 176, "triplane.backward": 48, "vm.backward": 448, "voxel_grid.forward": 160},
}
TARGETS = ("sm_90", "gfx942")
PACKED = {  # two or four numbers are added at once
    "grid.scatter_kernel", "planes.scatter", "voxels.scatter", "wendland.scatter_all",
    "fused.radiance_grad_kernel",
}  # fmt: skip
MATRIX = {"tiles.layer", "fused.radiance_kernel", "fused.thickness_kernel", "fused_frame.frame_kernel"}


@pytest.fixture(scope="module")
def kernels() -> dict[str, dict[str, dict]]:
    """What tests/compiled.py tells of all of them, by target and name, from a process in which Triton compiles."""
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"} | {"PYTHONPATH": paths}
    command = [sys.executable, TESTS / "compiled.py", *FILES, "sm_90", "gfx942", "--once", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, dict[str, dict]] = {"sm_90": {}, "gfx942": {}}
    for record in map(json.loads, done.stdout.splitlines()):
        stem = Path(record["file"]).stem.removeprefix("test_").removesuffix("_cuda")
        found[record["target"]][f"{stem}.{record['name']}"] = record
    return found


def test_every_file_brings_kernels_that_compile(kernels):
    assert {k["file"] for k in kernels["sm_90"].values()} == {p.name for p in FILES}


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_spills_but_what_is_known(kernels, target):
    release = ".".join(version("triton").split(".")[:2])
    if release not in SPILLS:
        pytest.skip(f"what spills is known for Triton {' and '.join(SPILLS)}, not for {release}")
    known = SPILLS[release] if target == "sm_90" else {}
    spilled = {name: k["spilled"] for name, k in kernels[target].items() if k["spilled"]}
    assert not {name: n for name, n in spilled.items() if n > known.get(name, 0)}


def test_additions_are_packed_where_the_chip_can(kernels):
    assert {name for name, k in kernels["sm_90"].items() if k["packed"]} >= PACKED


@pytest.mark.parametrize("target", TARGETS)
def test_matrices_reach_their_units(kernels, target):
    assert {name for name, k in kernels[target].items() if k["matrix"]} >= MATRIX
