"""Formats of data sets, one reader a file; the file name is the format's name, and no other list of them exists.

A reader has three names:
    TAKES: str                                  what it reads, in words, for messages
    matches(data: str) -> int                   how sure it is that `data` is of its format, by a look at names and
                                                beginnings: 0 no; 1 by the ending of the name; 2 by a file that other
                                                programs leave too; 3 by what only this format has
    read(data: str, options: ReadOptions) -> Reading        posed pictures, and what it assumed (scenes/posed.py)
One whose pictures have to be made may have a fourth, `survey(data, options)`: what the input holds, without them, as
an object with `rows()` for a table and `to_record()` for JSON.
The surest one reads; among equals the first by name. What several formats share lies in a folder here, which is none.
"""

import importlib
import pkgutil
from types import ModuleType


def list_names() -> list[str]:
    """All formats, by name."""
    return sorted(found.name for found in pkgutil.iter_modules(__path__) if not found.ispkg)


def module(name: str) -> ModuleType:
    """The file `scenes/formats/NAME.py`."""
    return importlib.import_module(f"{__name__}.{name}")


def find(data: str) -> str:
    """The name of the format that `data` is of; empty where no reader knows it."""
    best, most = "", 0
    for name in list_names():
        try:
            sure = module(name).matches(data)
        except OSError:  # no such name can be that of a file: it is too long
            continue
        if sure > most:
            best, most = name, sure
    return best


def describe_all() -> str:
    """What the readers take, in words."""
    return ", ".join(module(name).TAKES for name in list_names())
