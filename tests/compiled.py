"""Compiles Triton kernels for GPUs that are not there: launchers are called with CPU tensors, and every launch is
turned into a compilation, with the specialisation that the real one would have.

Run as `python tests/compiled.py FILE.py ... [TARGET ...] [--once] [--json]`: calls `launches()` of these files for
sm_80, sm_90 and gfx942 and prints one line for each kernel: seconds, registers, spilled bytes, shared memory, packed
atomics, matrix instructions. With --once a kernel is compiled for its first launch only, and for AMD only fused ones
and those of tiles: what tests/test_compiled.py has time for.
"""

import importlib.util
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

TARGETS = ("sm_80", "sm_90", "gfx942")
AMD = ("tiles", "fused", "frame")  # in names of files whose kernels are compiled for AMD too, with --once
LONG = ("radiance_grad_kernel",)  # but not these: they take a third as long as all the rest


@dataclass(frozen=True)
class Compiled:
    """One kernel as a GPU would run it."""

    name: str
    target: str
    seconds: float
    registers: int  # of a thread; 0 where not known
    spilled: int  # bytes of a thread's stack
    shared: int  # bytes of a program
    packed: int  # instructions that add two neighbours at once
    matrix: int  # instructions of the matrix units

    def __str__(self) -> str:
        return (
            f"{self.target:7} {self.name:32} {self.seconds:5.1f} s {self.registers:4} registers"
            f" {self.spilled:5} spilled {self.shared:6} shared {self.packed:3} packed {self.matrix:4} matrix"
        )


class Absent:
    """Stands for the driver of a GPU that is not there."""

    def __init__(self, target) -> None:
        self.target = target

    def get_current_target(self):
        return self.target

    def get_current_device(self) -> int:
        return hash(self.target)  # kernels are kept by device

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_device_interface(self):
        return torch.cuda

    def is_active(self) -> bool:
        return True


def every(kernel: str) -> bool:
    """For `compiling`: all launches count."""
    return True


@contextmanager
def compiling(name: str, wanted: Callable[[str], bool] = every) -> Iterator[list[Compiled]]:
    """Launches inside this block compile for the target NAME and do not run; the list grows with every one that is new.
    `wanted` is asked at every launch, with the kernel's name; where it says no, nothing is compiled."""
    from triton.backends.compiler import GPUTarget
    from triton.runtime.driver import driver
    from triton.runtime.jit import JITFunction

    target = GPUTarget("hip", name, 64) if name.startswith("gfx") else GPUTarget("cuda", int(name[3:]), 32)
    found: list[Compiled] = []
    run, seen = JITFunction.run, set()

    def compile_only(self, *args, grid, warmup, **kwargs):
        if not wanted(self.__name__):
            return None
        begin = time.perf_counter()
        kernel = run(self, *args, grid=grid, warmup=True, **kwargs)
        if id(kernel) not in seen:
            seen.add(id(kernel))
            found.append(described(self.__name__, name, kernel, time.perf_counter() - begin))
        return kernel

    before = driver._active
    driver.set_active(Absent(target))
    JITFunction.run = compile_only
    try:
        yield found
    finally:
        JITFunction.run = run
        driver._active = before


def described(name: str, target: str, kernel, seconds: float) -> Compiled:
    """What can be read off a compiled kernel."""
    if target.startswith("gfx"):
        text = kernel.asm["amdgcn"]
        registers, spilled = (int(found.group(1)) if (found := re.search(key + r":\s+(\d+)", text)) else 0
                              for key in ("vgpr_count", "private_segment_fixed_size"))  # fmt: skip
        matrix = len(re.findall(r"\bv_mfma", text))
        return Compiled(name, target, seconds, registers, spilled, kernel.metadata.shared, 0, matrix)
    text = kernel.asm["ptx"]
    registers, spilled = resources(kernel.asm["cubin"])
    packed = len(re.findall(r"\b(?:red|atom)\.[\w.]*v[24]\.", text))
    matrix = len(re.findall(r"\b(?:wgmma\.mma|mma)\S*sync", text))
    return Compiled(name, target, seconds, registers, spilled, kernel.metadata.shared, packed, matrix)


def resources(cubin: bytes) -> tuple[int, int]:
    """Registers and stack bytes of a thread, as NVIDIA's tool in Triton's package tells them."""
    import triton

    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        text = subprocess.run([tool, "--dump-resource-usage", file.name], capture_output=True, text=True).stdout
    registers, stack = re.search(r"REG:(\d+)", text), re.search(r"STACK:(\d+)", text)
    return int(registers.group(1)) if registers else 0, int(stack.group(1)) if stack else 0


def once(file: str, target: str) -> Callable[[str], bool]:
    """For `compiling`: a kernel's first launch, and on AMD only of AMD's files."""
    seen: set[str] = set()

    def wanted(kernel: str) -> bool:
        other = any(name in Path(file).name for name in AMD) and kernel not in LONG
        new = kernel not in seen and (not target.startswith("gfx") or other)
        seen.add(kernel)
        return new

    return wanted


def launching(path: str) -> Callable[[], None]:
    """`launches` of a test file."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[Path(path).stem] = module
    spec.loader.exec_module(module)
    return module.launches


def main() -> None:
    """Entry point."""
    words = sys.argv[1:]
    files = {word: launching(word) for word in words if word.endswith(".py")}
    targets = [word for word in words if word not in files and not word.startswith("--")] or TARGETS
    for target in targets:
        for file, launches in files.items():
            with compiling(target, once(file, target) if "--once" in words else every) as kernels:
                launches()
            for kernel in kernels:
                record = json.dumps({"file": Path(file).name, **asdict(kernel)})
                print(record if "--json" in words else kernel, flush=True)


if __name__ == "__main__":
    main()
