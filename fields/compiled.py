"""Where compiled kernels are kept: a folder for every state of their sources.

Numba looks whether the file of a kernel has changed, but not those whose functions it calls, so that a new version of
one would run with the old machine code of another. The folder therefore has a name made of what all of them say.
"""

import hashlib
import itertools
import os
import re
import shutil
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path

from fields import cache_folders

KEPT = 4  # such folders, the latest used
LEAST = 64 << 20  # bytes that must be free: the kernels of a run take 5 to 17 MB, those of all tests 32
NAME = re.compile(r"polyfield-[0-9a-f]{16}")  # of such a folder
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
    be written or are full, in the spare one; else nowhere. A person at a terminal is told so."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    if given and NAME.fullmatch(Path(given).name):  # a parent process has been here
        given = str(Path(given).parent)
    spare = (folder / "kernels" for folder in cache_folders.candidates())
    folder, refused = choose(itertools.chain([Path(given)] if given else [], spare))
    os.environ["NUMBA_CACHE_DIR"] = str(folder or "")
    if "numba" in sys.modules:  # it has read its environment
        sys.modules["numba"].config.CACHE_DIR = str(folder or "")
    if folder:
        tidy(folder)
    warnings.filterwarnings("ignore", "Could not obtain multiprocessing lock")  # without /dev/shm; we fork nothing
    if refused:
        where = f"kept in {folder.parent}" if folder else "not kept, and made anew by every run"
        say(f"compiled kernels are {where}: {' and '.join(refused)}; NUMBA_CACHE_DIR names another folder")


def choose(bases: Iterable[Path]) -> tuple[Path | None, list[str]]:
    """The folder for kernels below the first of them that takes it; and why those before did not."""
    name, refused = fingerprint(), list[str]()
    for base in bases:
        reason = cache_folders.trouble(base / name, LEAST)
        if not reason:
            return base / name, refused
        refused.append(f"{base} {reason}")
    return None, refused


def kept() -> bool:
    """Whether kernels are kept at all. With `cache=True` and no folder Numba would take machine code that lies beside
    the sources, which may be of older ones, or raise."""
    return bool(os.environ.get("NUMBA_CACHE_DIR"))


def say(line: str) -> None:
    """For a person at a terminal, once: not in the processes that this one starts."""
    processes = sys.modules.get("multiprocessing.process")  # such a process has imported it
    if sys.stderr and sys.stderr.isatty() and not (processes and processes.parent_process()):
        sys.stderr.write(f"{line}\n")


def keep_triton() -> None:
    """Name Triton a folder where it could not write its own, in the home folder, or would take "~" for one."""
    if os.environ.get("TRITON_CACHE_DIR"):
        return
    home = os.environ.get("TRITON_HOME") or cache_folders.find_home()
    own = Path(home, ".triton", "cache") if home else None
    if own and os.access(next(folder for folder in (own, *own.parents) if folder.exists()), os.W_OK):
        return
    for folder in cache_folders.candidates():
        if not cache_folders.trouble(folder / "triton", LEAST):
            os.environ["TRITON_CACHE_DIR"] = str(folder / "triton")
            return


def spare_torch() -> None:
    """PyTorch wants a folder for what it compiles, which is nothing of ours: where none can be written, any."""
    if not cache_folders.find_temporary():
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(HOUSE))


def tidy(folder: Path) -> None:
    """Remove the oldest of this folder and its like, this one being the latest used."""
    try:
        os.utime(folder)
        ours = [path for path in folder.parent.iterdir() if NAME.fullmatch(path.name)]
        for old in sorted(ours, key=lambda path: path.stat().st_mtime)[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
    except OSError:  # another process tidies at the same time
        return
