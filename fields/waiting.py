"""How the threads of PyTorch's own loops wait for work: asleep, so that they take no core from whoever has some.

GNU's OpenMP, which PyTorch brings for Linux, reads OMP_WAIT_POLICY as it is loaded. Left to itself, a thread that has
nothing to do, or that waits for another, runs on the spot 300 000 times first. Where cores are shared it does so at the
cost of the one that it waits for.
"""

import os
import sys
import threading
from types import ModuleType

MOST = 3  # teams beside; where more were needed PyTorch has been given few of many cores, and others have the rest
PARALLEL = 1 << 17  # numbers that PyTorch adds to with all of its threads


def sleep() -> None:
    """Have idle threads sleep, now and in child processes, unless the environment says how they wait."""
    if "OMP_WAIT_POLICY" in os.environ:
        return
    os.environ["OMP_WAIT_POLICY"] = "passive"
    if sys.platform == "linux" and (torch := sys.modules.get("torch")):  # it has read its environment
        crowd(torch)


def crowd(torch: ModuleType) -> None:
    """Have threads give up waiting awake after 100 turns: so they do while there are more of them than cores (manual of
    GNU's OpenMP, GOMP_SPINCOUNT). Teams of PyTorch's threads that others own sleep for good to make up the number."""
    for _ in range(count_teams(torch.get_num_threads(), len(os.sched_getaffinity(0)))):
        gathered = threading.Event()
        threading.Thread(target=gather, args=(torch, gathered), name="sleeps for OpenMP", daemon=True).start()
        gathered.wait()


def count_teams(threads: int, cores: int) -> int:
    """How many teams of so many threads, beside one more that computes, outnumber the cores; 0 where no team computes,
    or where it would take more than MOST. OpenMP counts the first thread of the process, and of a team all but who
    owns it."""
    teams = -(-cores // (threads - 1)) - 1 if threads > 1 else 0
    return teams if teams <= MOST else 0


def gather(torch: ModuleType, gathered: threading.Event) -> None:
    """Own a team, which lasts as long as this thread."""
    try:
        torch.zeros(PARALLEL, device="cpu").add_(1)
    finally:
        gathered.set()
    threading.Event().wait()
