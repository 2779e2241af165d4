"""Reader of `.ply` ("The PLY Polygon File Format", Turk 1994), text and binary: polygons, triangle strips, colours of
vertices or faces, and a texture.

Sizes that the header names are held against the file's before memory is taken.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fields.numbers import printable
from scenes.mesh_files import textures
from scenes.mesh_files.part import Contents, Polygons, dressed, shades
from scenes.options import SceneError
from scenes.scene import Fact

TYPES = {"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4"}
TYPES |= {"double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"}
TYPES |= {"float32": "f4", "float64": "f8", "int64": "i8", "uint64": "u8", "float16": "f2"}
ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
CORNERS = ("vertex_indices", "vertex_index")
PLACES = (("texture_u", "texture_v"), ("u", "v"), ("s", "t"))
COLORS = ("red", "green", "blue")
LONGEST = 1 << 20  # bytes of a header


@dataclass(frozen=True)
class Property:
    """A column of an element: a number, or a list of numbers."""

    name: str
    type: np.dtype
    count: np.dtype | None = None  # of a list


@dataclass(frozen=True)
class Element:
    """Rows of one kind."""

    name: str
    rows: int
    columns: list[Property]


@dataclass(frozen=True)
class PlyHeader:
    """What the file says of itself."""

    order: str  # of bytes, < or >; empty: the file is text
    elements: list[Element]
    textures: list[str]
    size: int  # bytes of the header


@dataclass(frozen=True)
class Column:
    """The values of a property: of a list, those of row i are from starts[i] to starts[i + 1]."""

    values: np.ndarray
    starts: np.ndarray  # (rows + 1,) int64


def read(path: Path) -> Contents:
    """What the file holds. SceneError, which names it, where it cannot be used."""
    content = path.read_bytes()
    try:
        head = header(content)
        data = rows(head, content)
    except (ValueError, OverflowError, IndexError) as error:
        raise SceneError(f"{path}: cannot be read as a .ply mesh: {printable(str(error), 160)}") from None
    vertex = data.get("vertex", {})
    if not set("xyz") <= set(vertex):
        raise SceneError(f"{path}: cannot be read as a .ply mesh: it has no vertices with x, y and z")
    points = np.stack([vertex[axis].values.astype(np.float64) for axis in "xyz"], 1)
    polygons, face = joined(points, data)
    if not len(polygons.corners):
        raise SceneError(f"{path}: has no faces; wanted a triangle mesh, found {len(points)} vertices")
    triangles, owner, facts = polygons.split(path)
    corners = polygons.corners[triangles]
    colors, name, told = shaded(vertex, face, corners, owner)
    texture, said = textured(path, head.textures, (vertex, face), (corners, triangles))
    part = dressed(points[corners], texture, colors, name=name)
    return Contents([part], [*facts, *told, *said])


def header(content: bytes) -> PlyHeader:
    """The header. ValueError where it is none."""
    end = re.search(rb"(?:\A|\n)end_header[ \t]*\r?\n", content[:LONGEST])
    if not re.match(rb"ply\s", content) or not end:
        raise ValueError("wanted a header from 'ply' to 'end_header'")
    order, elements, names = None, list[Element](), list[str]()
    for line in content[: end.start()].decode("utf-8", "surrogateescape").splitlines()[1:]:
        words = line.split()
        if words[:1] == ["format"]:
            order = ORDERS.get(" ".join(words[1:2]))
        elif words[:1] == ["element"]:
            _, name, count = words
            elements.append(Element(name, int(count), []))
        elif words[:1] == ["property"]:
            elements[-1].columns.append(column(words[1:], order or "="))
        elif words[:1] in (["comment"], ["obj_info"]) and (found := re.search("TextureFile(.*)", line, re.IGNORECASE)):
            names.append(found[1].strip())
    if order is None:
        raise ValueError(f"wanted a format of {', '.join(ORDERS)}")
    if any(element.rows < 0 for element in elements):
        raise ValueError("an element has less than no rows")
    return PlyHeader(order, elements, names, end.end())


def column(words: list[str], order: str) -> Property:
    """`[list TYPE] TYPE NAME`. ValueError where it is none."""
    if not set(words[:-1]) <= {*TYPES, "list"} or len(words) != (4 if words[:1] == ["list"] else 2):
        raise ValueError(f"wanted a property, found '{' '.join(words)}'")
    types = [np.dtype(order + TYPES[word]) for word in words[:-1] if word != "list"]
    return Property(words[-1], types[-1], types[0] if len(types) == 2 else None)


def rows(head: PlyHeader, content: bytes) -> dict[str, dict[str, Column]]:
    """The columns of each element, by name. ValueError where the file ends before they do."""
    data: np.ndarray = np.frombuffer(content, np.uint8, offset=head.size)
    if not head.order:
        data = np.array(content[head.size :].split(), dtype=np.float64)
    at, found = 0, dict[str, dict[str, Column]]()
    for element in head.elements:
        least = sum(stride(column.count or column.type, data) for column in element.columns)
        if least * element.rows > len(data) - at:
            raise ValueError(f"it is cut off: no room for {element.rows} rows of '{element.name}'")
        found[element.name], at = columns_of(element, data, at) if element.rows else ({}, at)
    return found


def stride(kind: np.dtype, data: np.ndarray) -> int:
    """How far a value of this type reaches in the data, which are bytes, or the numbers of a text."""
    return kind.itemsize if data.dtype == np.uint8 else 1


def columns_of(element: Element, data: np.ndarray, at: int) -> tuple[dict[str, Column], int]:
    """The columns of an element whose rows begin at `at`, and where they end."""
    begins, counts, end = walk(element, data, at)
    width = end - at
    alike = at + width * element.rows <= len(data) and all(
        (block(data, begin - stride(one.count, data), (element.rows, 1), width, one.count) == count).all()
        for one, begin, count in zip(element.columns, begins, counts, strict=True)
        if one.count is not None
    )
    if not alike:
        return columns_apart(element, data, at)
    found = dict[str, Column]()
    for one, begin, count in zip(element.columns, begins, counts, strict=True):
        values = block(data, begin, (element.rows, count), width, one.type).reshape(-1)
        found[one.name] = Column(values, count * np.arange(element.rows + 1))
    return found, at + width * element.rows


def block(data: np.ndarray, at: int, shape: tuple[int, int], width: int, kind: np.dtype) -> np.ndarray:
    """Values of a shape (rows, columns) from `at` on, whose rows are `width` apart in the data."""
    if data.dtype == np.uint8:
        return np.ndarray(shape, kind, data, at, (width, kind.itemsize))
    return as_type(np.lib.stride_tricks.as_strided(data[at:], shape, (width * data.itemsize, data.itemsize)), kind)


def as_type(values: np.ndarray, kind: np.dtype) -> np.ndarray:
    """Numbers of a text as this type. ValueError where they do not fit."""
    if kind.kind == "f":
        return values
    if not (np.abs(values) < 2**53).all():
        raise ValueError("it holds numbers that are not whole")
    return values.astype(np.int64).astype(kind)


def columns_apart(element: Element, data: np.ndarray, at: int) -> tuple[dict[str, Column], int]:
    """As `columns_of`, of rows whose lists are of several lengths."""
    begins, counts = np.empty((2, element.rows, len(element.columns)), np.int64)
    for row in range(element.rows):
        begins[row], counts[row], at = walk(element, data, at)
    found = dict[str, Column]()
    for k, one in enumerate(element.columns):
        values = gathered(data, begins[:, k], counts[:, k], one.type)
        found[one.name] = Column(values, np.concatenate([[0], np.cumsum(counts[:, k])]))
    return found, at


def walk(element: Element, data: np.ndarray, at: int) -> tuple[list[int], list[int], int]:
    """Where the values of each column begin in the row at `at`, how many they are, and where the row ends. ValueError
    where the file ends before."""
    begins, counts = list[int](), list[int]()
    for column in element.columns:
        count = 1
        if column.count is not None:
            size = stride(column.count, data)
            if at + size > len(data):
                raise ValueError(f"it is cut off in '{element.name}'")
            count = int(data[at : at + size].view(column.count)[0] if data.dtype == np.uint8 else data[at])
            at += size
        size = count * stride(column.type, data)
        if count < 0 or at + size > len(data):
            raise ValueError(f"it is cut off in '{element.name}': a list wants {count} values")
        begins.append(at)
        counts.append(count)
        at += size
    return begins, counts, at


def gathered(data: np.ndarray, begins: np.ndarray, counts: np.ndarray, kind: np.dtype) -> np.ndarray:
    """Values of runs of data, one after another: run i begins at begins[i] and has counts[i] of them."""
    size = stride(kind, data)
    index = np.repeat(begins - size * (np.cumsum(counts) - counts), counts) + size * np.arange(int(counts.sum()))
    if data.dtype == np.float64:
        return as_type(data[index], kind)
    return np.ascontiguousarray(data[index[:, None] + np.arange(size)]).view(kind)[:, 0]


def joined(points: np.ndarray, data: dict[str, dict[str, Column]]) -> tuple[Polygons, dict[str, Column]]:
    """The faces, and the triangles of strips; and the columns of the faces, where these are all that there is."""
    face = data.get("face", {})
    lists = [face[name] for name in CORNERS if name in face]
    corners, counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
    if lists:
        corners, counts = lists[0].values.astype(np.int64), np.diff(lists[0].starts)
    strips = [data["tristrips"][name] for name in CORNERS if name in data.get("tristrips", {})]
    if strips:
        added = unrolled(strips[0])
        corners = np.concatenate([corners, added.reshape(-1)])
        counts, face = np.concatenate([counts, np.full(len(added), 3)]), {}
    return Polygons(points, corners, np.concatenate([[0], np.cumsum(counts)])), face


def unrolled(strips: Column) -> np.ndarray:
    """Triangles (T, 3) of strips: each value makes one with the two before it, of which every other is turned round; -1
    and the end of a row end a strip."""
    v = strips.values.astype(np.int64)
    v = np.insert(v, strips.starts[1:-1], -1)
    ends = np.flatnonzero(np.concatenate([[-1], v]) < 0)  # the place in v after each end
    place = np.arange(len(v)) - np.repeat(ends, np.diff(np.concatenate([ends, [len(v)]])))
    last = np.flatnonzero((place >= 2) & (v >= 0))
    odd = (place[last] % 2 == 1)[:, None]
    triangles = np.stack([v[last - 2], v[last - 1], v[last]], 1)
    return np.where(odd, triangles[:, [1, 0, 2]], triangles)


def shaded(
    vertex: dict[str, Column], face: dict[str, Column], corners: np.ndarray, owner: np.ndarray
) -> tuple[np.ndarray | None, str, list[Fact]]:
    """Colours (F, 3, 3) of triangles with these vertices (F, 3) and faces (F,), their name, and what is to be told."""
    if set(COLORS) <= set(vertex):
        colors, facts = shades(np.stack([vertex[name].values for name in COLORS], 1), "vertices")
        return colors[corners], "vertex colours", facts
    if set(COLORS) <= set(face):
        colors, facts = shades(np.stack([face[name].values for name in COLORS], 1), "faces")
        return np.repeat(colors[owner][:, None], 3, 1), "face colours", facts
    return None, "", []


def textured(
    path: Path,
    names: list[str],
    columns: tuple[dict[str, Column], dict[str, Column]],
    triangles: tuple[np.ndarray, np.ndarray],
) -> tuple[tuple[Image.Image | None, np.ndarray | None], list[Fact]]:
    """The picture and the uv (F, 3, 2) of triangles, which name vertices (F, 3) and corners (F, 3); and what is to be
    told. `columns`: of vertices and of faces."""
    (vertex, face), (vertices, corners) = columns, triangles
    if not names:
        return (None, None), []
    facts = [Fact("ignored", f"textures: only the first of {len(names)} is drawn")] if len(names) > 1 else []
    name, uv = printable(names[0], 100), None
    for pair in PLACES:
        if set(pair) <= set(vertex):
            uv = np.stack([vertex[one].values for one in pair], 1)[vertices]
            break
    if "texcoord" in face:
        places, index = face["texcoord"], next(face[one] for one in CORNERS if one in face)
        if np.array_equal(places.starts, 2 * index.starts):
            uv = places.values.reshape(-1, 2)[corners]
    if uv is None:
        return (None, None), [*facts, Fact("assumed", f"texture {name}: the file does not say where it lies: left out")]
    try:
        return (textures.load(textures.locate(names[0], path.parent)), uv), facts
    except (ValueError, OSError) as error:
        return (None, None), [*facts, Fact("assumed", f"texture {name}: {error}; what it covers is drawn without it")]
