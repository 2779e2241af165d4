"""Whether the process that left a mark on the disk, a lock or a half-written file, is still there."""

import psutil

SLACK = 2.0  # seconds by which clocks of processes and of files may differ


def is_alive(pid: int, seen: float) -> bool:
    """Whether the process of this number is one that was there at `seen`, seconds since 1970: numbers are given out
    again, in containers always the same."""
    try:
        return psutil.Process(pid).create_time() <= seen + SLACK
    except psutil.AccessDenied:
        return True
    except (psutil.NoSuchProcess, OverflowError, ValueError):
        return False
