"""Where things are kept that can be made again: in the user's cache folder; where that cannot be written, in a folder
of the user's own among the temporary ones."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

OWNER = getattr(os, "geteuid", lambda: None)()  # of what this process makes; None on Windows: temporary folders differ


def candidates() -> Iterator[Path]:
    """Folders to try, the best first. They need not be there, nor take what is written."""
    for find in (users_folder, spare_folder):
        if folder := find():
            yield folder


def users_folder() -> Path | None:
    """$XDG_CACHE_HOME/polyfield, or .cache/polyfield in the home folder; None for a user who has none."""
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "polyfield"
    home = find_home()
    return home and home / ".cache" / "polyfield"


def find_home() -> Path | None:
    """The home folder; None for a user whom the system does not know, as containers have them."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def find_temporary() -> Path | None:
    """Where temporary files go; None where nothing can be written."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        return None


def spare_folder() -> Path | None:
    """polyfield-USER among the temporary folders, where everybody may write, while kernels are loaded as machine code:
    None where another user owns it or could fill it, and where it cannot be made."""
    base = find_temporary()
    if base is None:
        return None
    try:
        if base == Path.cwd() and not base.stat().st_mode & stat.S_ISVTX:
            return None  # the last that `tempfile` tries, and no place for temporary things
        folder = base / f"polyfield-{'kept' if OWNER is None else OWNER}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    if not stat.S_ISDIR(found.st_mode):  # a link
        return None
    return folder if OWNER is None or (found.st_uid == OWNER and not found.st_mode & 0o077) else None


def trouble(folder: Path, least: int) -> str:
    """Why a folder takes nothing, as the end of a sentence; empty where it does and has `least` bytes free. Makes it
    where it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
        return "" if shutil.disk_usage(folder).free >= least else f"has less than {least >> 20} MiB free"
    except OSError:
        return "cannot be written"
