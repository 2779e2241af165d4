"""Where compiled kernels are kept: a folder for every state of their sources.

Numba looks whether the file of a kernel has changed, but not those whose functions it calls, so that a new version of
one would run with the old machine code of another. The folder therefore has a name made of what all of them say.
"""

import hashlib
import os
import shutil
import sys
from pathlib import Path

KEPT = 4  # such folders, the latest used
HOUSE = Path(__file__).parents[1]
PACKAGES = ("fields", "render", "scenes", "distill")  # that kernels lie in


def fingerprint() -> str:
    """Name of the folder: of the sources of all kernels."""
    paths = sorted(path for package in PACKAGES for path in (HOUSE / package).rglob("*_cpu.py"))
    total = hashlib.sha256(b"".join(path.read_bytes() for path in paths))
    return f"polyfield-{total.hexdigest()[:16]}"


def keep() -> None:
    """Have Numba keep compiled kernels there: below $NUMBA_CACHE_DIR, or in the user's cache folder. Where nothing can
    be written Numba falls back on its own."""
    base = os.environ.get("NUMBA_CACHE_DIR")
    if base and Path(base).name.startswith("polyfield-"):  # a parent process has been here
        base = str(Path(base).parent)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "polyfield" / "kernels"
    folder = Path(base or cache) / fingerprint()
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    if "numba" in sys.modules:  # it has read its environment
        sys.modules["numba"].config.CACHE_DIR = str(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
        others = sorted(folder.parent.glob("polyfield-*"), key=lambda path: path.stat().st_mtime)
        for old in others[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
    except OSError:
        return
