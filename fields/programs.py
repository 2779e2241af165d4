"""Python programs of ours in processes of their own.

What lies in the working folder is a person's: a `viewer.py` or `numpy.py` there must not be taken for what we import,
as `python -m` and `python -c` would by themselves.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

HOUSE = str(Path(__file__).parents[1])
START = (
    "import runpy, sys; house, module = sys.argv[1:3]; del sys.argv[1:3]; "
    "sys.path[:0] = [] if house in sys.path else [house]; runpy.run_module(module, run_name='__main__', alter_sys=True)"
)


def program(module: str, *words: str) -> list[str]:
    """The command line that runs a module of ours, of this very installation, as `python -m` would."""
    return [sys.executable, "-P", "-c", START, HOUSE, module, *words]


@contextlib.contextmanager
def safe_path() -> Iterator[None]:
    """Inside, Python processes that others start, as multiprocessing does, import nothing from the working folder."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before
