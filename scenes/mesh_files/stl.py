"""Reader of `.stl` (3D Systems 1988), text and binary: triangles without colours."""

import re
from pathlib import Path

import numpy as np

from fields.numbers import printable
from scenes.mesh_files.part import Contents, Polygons, dressed
from scenes.options import SceneError

ROW = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
HEAD = 84  # bytes before the first triangle of a binary file, of which the last four say how many there are
VERTEX = re.compile(rb"^\s*vertex\s+(\S+)\s+(\S+)\s+(\S+)", re.MULTILINE | re.IGNORECASE)


def read(path: Path) -> Contents:
    """What the file holds. SceneError, which names it, where it cannot be used."""
    content = path.read_bytes()
    count = int.from_bytes(content[HEAD - 4 : HEAD], "little")
    if len(content) >= HEAD and len(content) == HEAD + count * ROW.itemsize:
        points = np.frombuffer(content, ROW, count, HEAD)["corners"].reshape(-1, 3).astype(np.float64)
    elif re.match(rb"\s*solid\b", content) and b"vertex" in content:
        points = text(path, content)
    else:
        raise SceneError(
            f"{path}: cannot be read as a .stl mesh: neither text nor of {HEAD + count * ROW.itemsize} bytes, as its "
            f"header says: found {len(content)}"
        )
    if not len(points):
        raise SceneError(f"{path}: has no faces; wanted a triangle mesh")
    polygons = Polygons(points, np.arange(len(points)), np.arange(0, len(points) + 1, 3))
    triangles, _, facts = polygons.split(path)
    return Contents([dressed(points[triangles], (None, None), None)], facts)


def text(path: Path, content: bytes) -> np.ndarray:
    """The corners (3 F, 3) in a text."""
    words = VERTEX.findall(content)
    if len(words) % 3 or len(words) != content.lower().count(b"vertex"):
        raise SceneError(f"{path}: cannot be read as a .stl mesh: it is cut off or damaged after {len(words)} corners")
    try:
        return np.array(words, dtype=np.float64).reshape(-1, 3)
    except ValueError as error:
        raise SceneError(f"{path}: cannot be read as a .stl mesh: {printable(str(error), 100)}") from None
