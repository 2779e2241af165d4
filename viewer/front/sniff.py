"""What a path is that was dropped on the window or typed into it: a model, something to learn from, a camera path."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from distill.learning.files import SUFFIX
from scenes.scene import SceneError, format_of

Kind = Literal["model", "data", "mesh", "path"]
LARGEST_JSON = 256 << 20  # bytes
LARGEST_HEADER = 100 << 20  # bytes, that safetensors allows


@dataclass(frozen=True)
class Found:
    """A path and what lies there."""

    kind: Kind
    path: str  # as it was given, but for ~, quotes and file://


def sniff(text: str) -> Found:
    """Look at a path, or at `builtin[:SIZE]`. ValueError, which names it, where it is nothing that can be opened.

    Only names and the beginnings of files are read; that a file is not damaged is not said.
    """
    name = plain(text)
    if not name:
        raise ValueError("wanted a model, a data set, a mesh or a camera path, found nothing")
    path = Path(name)
    if path.is_file() and path.suffix == SUFFIX:
        return model(path)
    if path.is_file() and path.suffix.lower() == ".json":
        return Found(told_by_json(path), name)
    try:
        kind = format_of(name)
    except SceneError as error:
        reason = str(error).replace("a data set or 'builtin'", "a model, a data set, a mesh or a camera path")
        raise ValueError(reason.replace("not a data set; wanted a", "wanted a model,")) from None
    if kind == "mesh" and not path.is_file():
        raise ValueError(f"{name}: no such file")
    return Found("mesh" if kind == "mesh" else "data", name)


def plain(text: str) -> str:
    """A path without what shells and file managers put around it."""
    text = text.strip().strip("'\"").removeprefix("file://")
    return str(Path(text).expanduser()) if text.startswith("~") else text


def model(path: Path) -> Found:
    """A safetensors file, by the length of its header: eight bytes, then JSON."""
    with path.open("rb") as file:
        start = file.read(9)
    if len(start) < 9 or int.from_bytes(start[:8], "little") > LARGEST_HEADER or start[8:] != b"{":
        raise ValueError(f"{path}: ends in {SUFFIX} but is not such a file")
    return Found("model", str(path))


def told_by_json(path: Path) -> Kind:
    """A camera path holds keyframes or nerfstudio's camera_path; a data set holds frames."""
    record = parsed(path)
    if isinstance(record, dict) and ("keyframes" in record or "camera_path" in record):
        return "path"
    if isinstance(record, dict) and "frames" in record:
        return "data"
    raise ValueError(f"{path}: wanted 'frames' (a data set), 'keyframes' or 'camera_path' (a camera path), found none")


def parsed(path: Path) -> Any:
    """JSON values. ValueError where it is none."""
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise ValueError(f"larger than {LARGEST_JSON >> 20} MB")
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: wanted JSON, could not read it: {error}") from None
