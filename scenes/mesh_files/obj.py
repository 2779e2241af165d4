"""Reader of `.obj` ("Object Files", Alias Wavefront 1995): polygons, texture coordinates, materials, vertex colours.

Lines, curves, surfaces and normals are passed over. Texture goes before vertex colours, these before Kd.
"""

import os
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np

from fields.numbers import printable
from scenes.mesh_files import mtl, textures
from scenes.mesh_files.mtl import Material
from scenes.mesh_files.part import Contents, Part, Polygons, dressed, shades
from scenes.options import SceneError
from scenes.scene import Fact

# Programs that sign their files and export +Y up unless told otherwise: 3ds Max and Blender turn their +Z to it.
MAKERS = {
    b"blender": "Blender",
    b"3ds max": "3ds Max",
    b"cinema 4d": "Cinema 4D",
    b"exported by houdini": "Houdini",
    b"exported from wings 3d": "Wings 3D",
    b"exported by zbrush": "ZBrush",
}
SIGNED = 4096  # bytes at the beginning in which a comment names the program


@dataclass
class Lines:
    """The lines of a file, sorted; the order within each list is the file's."""

    v: list[bytes] = field(default_factory=list)
    vt: list[bytes] = field(default_factory=list)
    faces: list[bytes] = field(default_factory=list)
    material: list[int] = field(default_factory=list)  # of each face, a place in `names`
    names: list[bytes] = field(default_factory=lambda: [b""])  # of materials; the first is none
    libraries: list[bytes] = field(default_factory=list)
    relative: list[tuple[int, int, int]] = field(default_factory=list)  # face, and how many v and vt came before it


def read(path: Path) -> Contents:
    """What the file holds. SceneError, which names it, where it cannot be used."""
    content = path.read_bytes()
    lines = sorted_lines(content)
    if not lines.faces:
        found = f"{len(lines.v)} vertices" if lines.v else "nothing"
        raise SceneError(f"{path}: has no faces; wanted a triangle mesh, found {found}")
    vertices, places = table(path, "v", lines.v, 3), table(path, "vt", lines.vt, 2)[:, :2]
    corners, uv, starts = faces(path, lines)
    polygons = Polygons(vertices[:, :3], corners, starts)
    triangles, owner, facts = polygons.split(path)
    colors, told = shades(vertices[:, 3:6], "vertices") if vertices.shape[1] >= 6 else (None, [])
    materials, missing = libraries(path, lines)
    bare = np.bincount(np.repeat(np.arange(len(lines.faces)), np.diff(starts)), (uv < 0) | (uv >= len(places)))
    group = 2 * np.asarray(lines.material) + (bare == 0)  # of each face; odd ones have texture coordinates
    parts, facts = list[Part](), [*facts, *told, *missing]
    for key in np.unique(group[owner]):
        mine = triangles[group[owner] == key]
        material = materials.get(lines.names[key // 2], Material())
        picture, said = material.picture(path.parent) if key % 2 else material.without_place()
        where = material.placed(places[uv[mine]]) if picture else None
        shade = None if colors is None else colors[corners[mine]]
        parts.append(dressed(polygons.points[corners[mine]], (picture, where), shade, material.color))
        facts += said
    return Contents(parts, list(dict.fromkeys(facts)), maker(content[:SIGNED]))


def maker(beginning: bytes) -> str:
    """The program that a comment names and that is known to export +Y up; empty where none is."""
    comments = b"\n".join(line for line in beginning.lower().splitlines() if line.lstrip().startswith(b"#"))
    return next((name for sign, name in MAKERS.items() if sign in comments), "")


def sorted_lines(content: bytes) -> Lines:
    """The lines that are read."""
    found = Lines()
    numbers, now = {b"": 0}, 0
    for line in content.replace(b"\\\r\n", b" ").replace(b"\\\n", b" ").splitlines():
        words = line.split(None, 1)
        if len(words) < 2:
            continue
        key, rest = words
        if key == b"v":
            found.v.append(rest)
        elif key == b"vt":
            found.vt.append(rest)
        elif key == b"f":
            if b"-" in rest:
                found.relative.append((len(found.faces), len(found.v), len(found.vt)))
            found.faces.append(rest)
            found.material.append(now)
        elif key == b"usemtl":
            now = numbers.setdefault(rest.strip(), len(numbers))
        elif key == b"mtllib":
            found.libraries.append(rest.strip())
    found.names = list(numbers)
    return found


def table(path: Path, what: str, rows: list[bytes], least: int) -> np.ndarray:
    """The numbers (N, C) float64 that all rows have. SceneError where one has fewer than `least`, or other words."""
    if not rows:
        return np.zeros((0, least))
    words = [row.partition(b"#")[0].split() for row in rows]
    counts = np.fromiter(map(len, words), np.int64, len(words))
    width = int(counts.min())
    if width < least:
        raise SceneError(f"{path}: '{what}' wants {least} numbers, found '{what} {text(rows[int(counts.argmin())])}'")
    try:
        return np.array([row[:width] for row in words], dtype=np.float64)
    except ValueError as error:
        raise SceneError(f"{path}: a line '{what}' holds words that are no numbers: {printable(str(error))}") from None


def text(line: bytes) -> str:
    """A few of its characters, for a message."""
    return printable(line.decode(errors="replace"), 40)


def faces(path: Path, lines: Lines) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertex (K,) and texture coordinate (K,) int64 of each corner, counted from 0, the latter -1 where there is none;
    and where the corners of each face begin (P + 1,)."""
    words = [row.partition(b"#")[0].split() for row in lines.faces]
    starts = np.concatenate([[0], np.cumsum(np.fromiter(map(len, words), np.int64, len(words)))])
    every = list(chain.from_iterable(words))
    try:
        pairs = [(*word.split(b"/"), b"")[:2] if b"/" in word else (word, b"") for word in every]
        v = np.array([pair[0] for pair in pairs], dtype=np.int64)
        vt = np.array([pair[1] or b"0" for pair in pairs], dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise SceneError(f"{path}: a face names what is no number of a vertex: {printable(str(error))}") from None
    for face, count, places in lines.relative:
        for index, before in (
            (v[starts[face] : starts[face + 1]], count),
            (vt[starts[face] : starts[face + 1]], places),
        ):
            index[index < 0] += before + 1
    if len(v) and v.min() < 1:
        raise SceneError(f"{path}: a face names vertex {v.min()}; they are counted from 1")
    return v - 1, vt - 1, starts


def libraries(path: Path, lines: Lines) -> tuple[dict[bytes, Material], list[Fact]]:
    """The materials that faces name, and what is to be told of files that are missing."""
    found, facts = dict[bytes, Material](), list[Fact]()
    for line in dict.fromkeys(lines.libraries):
        names = [os.fsdecode(line)]
        if not is_there(names[0], path.parent):
            names = names[0].split()  # several files, or one that is missing
        for name in names:
            try:
                content = textures.locate(name, path.parent).read_bytes()
            except (ValueError, OSError) as error:
                facts.append(Fact("assumed", f"materials {printable(name, 100)}: {error}; what they cover is grey"))
                continue
            found |= {os.fsencode(key): one for key, one in mtl.parse(os.fsdecode(content)).items()}
    return found, facts


def is_there(name: str, folder: Path) -> bool:
    """Whether there is a file of this name."""
    try:
        return textures.locate(name, folder).is_file()
    except ValueError:
        return False
