"""How long work takes: medians of repeats, on the device's own clock where it has one; and what the device can copy."""

import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import llvmlite.binding
import numba
import torch

from distill.learning.memory import peak
from render.precision import precision

COPIED = {"cpu": 1 << 27, "cuda": 1 << 30}  # bytes: well past the caches


@dataclass(frozen=True)
class Machine:
    """What numbers were taken on."""

    device: str  # its maker's name
    threads: int
    bf16: bool  # whether networks multiply in it
    torch: str  # version
    numba: str
    instructions: str  # those of the processor that PyTorch and Numba compile for

    def __str__(self) -> str:
        """One line."""
        half = "bf16" if self.bf16 else "no bf16"
        versions = f"PyTorch {self.torch}, Numba {self.numba}"
        return f"{self.device}, {self.threads} threads; {self.instructions}; {half}; {versions}"

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def describe_machine(device: torch.device) -> Machine:
    """As it is now."""
    with precision(device):
        half = torch.is_autocast_enabled(device.type)
    name = torch.cuda.get_device_name() if device.type == "cuda" else name_processor()
    numbas = numba.config.CPU_NAME or llvmlite.binding.get_host_cpu_name()  # type: ignore[attr-defined]
    instructions = f"{torch.backends.cpu.get_cpu_capability()} in PyTorch, {numbas} in Numba"
    return Machine(name, torch.get_num_threads(), half, torch.__version__, numba.__version__, instructions)


def name_processor() -> str:
    """By its maker's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def synchronise(device: torch.device) -> None:
    """Wait until the device has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure_ms(work: Callable[[], object], repeats: int, device: torch.device) -> float:
    """Median time of a call in milliseconds, after one that is not counted, in which kernels are compiled. On CUDA
    between two events in the stream; what the host waits for inside the call counts, caches stay as they are."""
    work()
    synchronise(device)
    if device.type == "cuda":
        return statistics.median(time_events(work, repeats))
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1e3


def time_events(work: Callable[[], object], repeats: int) -> list[float]:
    """Milliseconds of every call, on the GPU's clock."""
    pairs = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(repeats)]
    for begin, end in pairs:
        begin.record()
        work()
        end.record()
    torch.cuda.synchronize()
    return [begin.elapsed_time(end) for begin, end in pairs]


def measure_copy(repeats: int, device: torch.device, size: int = 0) -> float:
    """Bytes per second, read and written, of a copy from the device's memory to itself; `size` bytes, 0: COPIED."""
    source = torch.ones((size or COPIED[device.type]) // 4, device=device)
    target = torch.empty_like(source)
    spent = measure_ms(lambda: target.copy_(source), repeats, device)
    return 2 * source.numel() * 4 / spent * 1e3


def forget_peak(device: torch.device) -> None:
    """Begin anew to watch the memory that is taken; on the CPU that is not possible."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def read_peak(device: torch.device) -> int:
    """Most memory taken: by tensors since `forget_peak` on CUDA, by the whole process since its start on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return peak()
