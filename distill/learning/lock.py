"""A place where one run writes at a time: a file there says which process. One that has ended without taking it away
holds nothing. It asks nothing of the system that Windows or a network's file system may not have."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from fields.processes import born

MOMENT = 5.0  # seconds between which times of one process may differ, and in which a new lock is written


@contextlib.contextmanager
def locked(path: Path, what: Path) -> Iterator[None]:
    """Inside, no other run writes `what`. ValueError where one does; OSError, which names `what`, where it cannot be
    written to."""
    mine = f"{os.getpid()} {born(os.getpid())}"
    take(path, what, mine)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if path.read_text(encoding="utf-8") == mine:  # else the folder was removed, and is another's
                path.unlink()


def take(path: Path, what: Path, mine: str) -> None:
    """Write the lock, in the place of one that nobody holds."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        owner = find_owner(path)
        if not owner:
            path.unlink(missing_ok=True)
            owner = "another run" if not write_new(path, mine) else ""
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(what)) from None
    if owner:
        raise ValueError(f"{what}: {owner} is writing it; wait for its end, or name another place with --out")


def write_new(path: Path, text: str) -> bool:
    """Whether the file was not there, and is now."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True


def find_owner(path: Path) -> str:
    """Which process holds a lock, in words; empty where none does."""
    try:
        number, _, since = path.read_text(encoding="utf-8").partition(" ")
        began, begun = float(since), born(int(number))
        return f"process {number}" if begun is not None and abs(begun - began) < MOMENT else ""
    except FileNotFoundError:
        return ""
    except ValueError:  # not written to its end, yet or for ever
        return "another run" if time.time() - path.stat().st_mtime < MOMENT else ""
