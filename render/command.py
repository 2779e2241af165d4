"""How every command begins and ends: flags from a frozen dataclass, exit status 0, 2 or 130, one line on stderr."""

import os
import sys
from collections.abc import Callable
from functools import cache
from typing import TypeVar

import torch
import tyro

from fields.backend import TRITON

Config = TypeVar("Config")


def run(config: type[Config], main: Callable[[Config], None]) -> None:
    """Parse the command line into `config` and call `main`. Never returns.

    A ValueError (SceneError and ModelError among them) or OSError is the caller's mistake: its text on one line,
    exit status 2. Ctrl-C is 130; `main` has saved what it had by then. POLYFIELD_TRACEBACK=1 shows the traceback.
    """
    name = os.path.basename(sys.argv[0]) or "polyfield"  # noqa: PTH119
    flags = tyro.cli(config, prog=name)
    try:
        main(flags)
        sys.stdout.flush()  # here, so that a reader who has left is noticed below
    except KeyboardInterrupt:
        sys.stderr.write(f"{name}: interrupted\n")
        sys.exit(130)
    except BrokenPipeError:
        os._exit(141)
    except (ValueError, OSError) as error:
        if os.environ.get("POLYFIELD_TRACEBACK") == "1":
            raise
        sys.stderr.write(f"{name}: {one_line(error)}\n")
        sys.exit(2)
    sys.exit(0)


def one_line(error: Exception) -> str:
    """An error's text without line breaks; an OSError as `FILE: reason`."""
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}"
    return " ".join(str(error).split())
