"""Where compiled kernels are kept: a folder for every state of their sources.

Numba looks whether the file of a kernel has changed, but not those whose functions it calls, so that a new version of
one would run with the old machine code of another. The folder therefore has a name made of what all of them say.
"""

import atexit
import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

KEPT = 4  # such folders, the latest used
LEAST = 64 << 20  # bytes that must be free: the kernels of a run take 5 to 17 MB, those of all tests 32
HOUSE = Path(__file__).parents[1]
KERNELS = (
    "fields/**/*.py",
    "render/kernels/*.py",
    "*/**/*_cpu.py",
)  # kernels, and the constants that they are made with


def fingerprint() -> str:
    """Name of the folder: of the sources of all kernels, those for a GPU left out."""
    paths = {path for pattern in KERNELS for path in HOUSE.glob(pattern) if not path.stem.endswith("_cuda")}
    total = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(paths)))
    return f"polyfield-{total.hexdigest()[:16]}"


def keep() -> None:
    """Have Numba keep compiled kernels there: below $NUMBA_CACHE_DIR, or in the user's cache folder; where these cannot
    be written or are full, in a folder that goes with the process."""
    base = os.environ.get("NUMBA_CACHE_DIR")
    if base and Path(base).name.startswith("polyfield-"):  # a parent process has been here
        base = str(Path(base).parent)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "polyfield" / "kernels"
    folder = Path(base or cache) / fingerprint()
    if usable(folder):
        tidy(folder)
    else:  # beside its source Numba would find what an older one was compiled to
        private = tempfile.mkdtemp(prefix="kernels-")
        atexit.register(shutil.rmtree, private, ignore_errors=True)
        folder = Path(private) / fingerprint()
        folder.mkdir()
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    if "numba" in sys.modules:  # it has read its environment
        sys.modules["numba"].config.CACHE_DIR = str(folder)


def usable(folder: Path) -> bool:
    """Whether kernels can be written there; makes it where it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return os.access(folder, os.W_OK) and shutil.disk_usage(folder).free >= LEAST
    except OSError:
        return False


def tidy(folder: Path) -> None:
    """Remove the oldest of this folder and its like, this one being the latest used."""
    try:
        os.utime(folder)
        for old in sorted(folder.parent.glob("polyfield-*"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
    except OSError:  # another process tidies at the same time
        return
