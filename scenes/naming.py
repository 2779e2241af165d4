"""What a path is before anything is read of it: written as people and file managers write it, and there or not. Nothing
heavy is imported: it is asked before PyTorch is there."""

import re
from contextlib import suppress
from pathlib import Path

from render.command import missing
from scenes import formats
from scenes.options import SceneError


def strip(text: str) -> str:
    """A path without what shells and file managers put around it."""
    text = text.strip().strip("'\"").removeprefix("file://")
    if re.match(r"/[A-Za-z]:[\\/]", text):  # a drive of Windows in such an address
        text = text[1:]
    if text.startswith("~"):
        with suppress(RuntimeError):  # of a user whom the system does not know
            return str(Path(text).expanduser())
    return text


def absent(name: str) -> str:
    """Why there is nothing of this name; empty where there is, or where it is the name of a format, as `builtin:60`."""
    return "" if name.partition(":")[0] in formats.list_names() else missing(Path(name))


def require_named(text: str, wanted: str) -> None:
    """SceneError, with what was wanted, where a path is given and there is nothing."""
    if text and (reason := absent(strip(text))):
        raise SceneError(f"{strip(text)}: {reason}; wanted {wanted}")
