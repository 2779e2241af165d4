"""Whether the process that left a mark on the disk, a lock or a half-written file, is still there."""

import psutil

SLACK = 10.0  # seconds by which a file's clock may differ from that of processes


def born(pid: int) -> float | None:
    """When the process of this number began, in seconds since 1970; None where there is none. Numbers are given out
    again, in containers always the same ones: who left a mark began before it did."""
    try:
        return psutil.Process(pid).create_time()
    except (psutil.Error, OverflowError, ValueError):
        return None


def may_own(pid: int, written: float) -> bool:
    """Whether the process of this number can be the one that wrote a file at `written`, seconds since 1970."""
    begun = born(pid)
    return begun is not None and begun <= written + SLACK
