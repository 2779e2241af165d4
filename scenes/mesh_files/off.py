"""Reader of `.off` (Geomview's object file format), as text: positions and polygons; colours and normals are passed
over."""

import re
from itertools import chain
from pathlib import Path

import numpy as np

from fields.numbers import printable
from scenes.mesh_files.part import Contents, Polygons, dressed
from scenes.options import SceneError

HEAD = re.compile(rb"(?:ST)?C?N?OFF\b")  # 4OFF and nOFF have other coordinates


def read(path: Path) -> Contents:
    """What the file holds. SceneError, which names it, where it cannot be used."""
    lines = [line.partition(b"#")[0].strip() for line in path.read_bytes().splitlines()]
    lines = [line for line in lines if line]
    head = HEAD.match(lines[0]) if lines else None
    if not head:
        raise SceneError(f"{path}: wanted a .off mesh in text, which begins with OFF; it cannot be read as one")
    rest = lines[0][head.end() :].split()
    body = lines[1:] if rest else lines[2:]
    points, faces = sizes(path, rest or (lines[1].split() if len(lines) > 1 else []))
    if points + faces > len(body):
        raise SceneError(f"{path}: is cut off: wanted {points} vertices and {faces} faces, found {len(body)} lines")
    try:
        vertices = np.array([line.split()[:3] for line in body[:points]], dtype=np.float64).reshape(points, 3)
        corners = [[int(word) for word in corners_of(line)] for line in body[points : points + faces]]
        flat = np.array(list(chain.from_iterable(corners)), dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise SceneError(f"{path}: cannot be read as a .off mesh: {printable(str(error), 120)}") from None
    if not len(flat):
        raise SceneError(f"{path}: has no faces; wanted a triangle mesh, found {points} vertices")
    starts = np.concatenate([[0], np.cumsum([len(one) for one in corners])])
    polygons = Polygons(vertices, flat, starts)
    triangles, _, facts = polygons.split(path)
    return Contents([dressed(vertices[flat[triangles]], (None, None), None)], facts)


def sizes(path: Path, words: list[bytes]) -> tuple[int, int]:
    """How many vertices and faces the header names."""
    try:
        points, faces = (int(word) for word in words[:2])
    except ValueError:
        found = printable(b" ".join(words).decode(errors="replace"), 40)
        raise SceneError(
            f"{path}: cannot be read as a .off mesh: wanted its numbers of vertices and faces, found '{found}'"
        ) from None
    if min(points, faces) < 0:
        raise SceneError(f"{path}: cannot be read as a .off mesh: it names {points} vertices and {faces} faces")
    return points, faces


def corners_of(line: bytes) -> list[bytes]:
    """The words of a face that name vertices. ValueError where there are fewer than it says."""
    count, *words = line.split()
    if not 0 <= int(count) <= len(words):
        raise ValueError(f"a face of {int(count)} corners names {len(words)}")
    return words[: int(count)]
