"""How long training will take on this machine, as it is now: a probe of a third of a second, and what a step takes
beside it (docs/performance.md, "The CPU")."""

import time

import psutil
import torch

STEPS, SAMPLES = 1300, 1 << 15  # that are assumed: the default run's on a CPU
WORK = 64_000  # floating-point operations of a sample: density and colour of a hash grid, and their gradients
SHARE = 0.55  # of a matrix product's speed that these reach
REST = 0.010  # s of a step that faster products do not shorten: rows of tables, marching, memory, work of one core
LOOK = 0.2  # s for which other work is watched


def flops() -> float:
    """Floating-point operations a second of a matrix product on this CPU now, from a tenth of a second."""
    a = torch.ones(512, 512)
    torch.mm(a, a)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < 0.1:
        torch.mm(a, a)
        count += 1
    return count * 2 * 512**3 / (time.perf_counter() - start)


def busy() -> float:
    """Share of this machine's cores that other work takes now, 0 to 1."""
    return psutil.cpu_percent(LOOK) / 100


def seconds(speed: float) -> float:
    """Of the default run where matrix products go at this speed. REST is such that this is the 37 s that two quiet
    cores of an EPYC (Zen 5; 205 GFLOP/s) took, with AVX-512 and held to AVX2; other machines were not compared."""
    return STEPS * (REST + SAMPLES * WORK / (SHARE * speed))
