"""`.ply`: text and binary, lists of one and of several lengths, strips, colours, textures, sizes that cannot be."""

import struct

import numpy as np
import pytest
import solids

from scenes.mesh_files.contents import contents
from scenes.mesh_files.part import GREY
from scenes.options import SceneError

POINTS = [(0, 0, 0), (3, 0, 0), (3, 3, 0), (2, 3, 0), (2, 1, 0), (1, 1, 0), (1, 3, 0), (0, 3, 0)]  # a U, area 7
VERTEX = "property float x\nproperty float y\nproperty float z\n"
FACE = "property list uchar int vertex_indices\n"
FORMATS = ("ascii", "binary_little_endian", "binary_big_endian")
CODES = {"float": "f", "double": "d", "uchar": "B", "int": "i", "ushort": "H"}


def written(path, kind, elements):
    """A file of elements (name, properties, rows); a row's values are numbers, or lists of them."""
    head, body = ["ply", f"format {kind} 1.0"], b""
    for name, properties, rows in elements:
        head += [f"element {name} {len(rows)}", properties.strip()]
        types = [line.split()[1:-1] for line in properties.splitlines()]
        for row in rows:
            for words, value in zip(types, row, strict=True):
                values = [(words[1], len(value)), *((words[2], one) for one in value)] if words[0] == "list" else None
                for code, one in values or [(words[0], value)]:
                    order = "<" if kind == "binary_little_endian" else ">"
                    body += f"{one} ".encode() if kind == "ascii" else struct.pack(order + CODES[code], one)
            body += b"\n" if kind == "ascii" else b""
    path.write_bytes("\n".join([*head, "end_header\n"]).encode() + body)
    return path


def area(part):
    edges = part.corners[:, 1:] - part.corners[:, :1]
    return np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1).sum() / 2


def told(found):
    return "\n".join(fact.text for fact in found.facts)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("faces", [[range(8)], [range(8), [0, 1, 2]], [[0, 1, 2], range(8), [0, 1, 2, 7]]])
def test_polygons_of_one_length_and_of_several(tmp_path, kind, faces):
    path = written(tmp_path / "m.ply", kind, [("vertex", VERTEX, POINTS), ("face", FACE, [(list(f),) for f in faces])])
    (part,) = contents(path).parts
    assert len(part.corners) == sum(len(one) - 2 for one in faces)
    assert area(part) == pytest.approx(sum({8: 7, 3: 4.5, 4: 9}[len(one)] for one in faces))


@pytest.mark.parametrize("kind", FORMATS)
def test_columns_beside_the_lists(tmp_path, kind):
    vertex = "property uchar flags\nproperty double x\nproperty double y\nproperty double z\n"
    face = f"property float q\n{FACE}property list ushort float texcoord\nproperty uchar last\n"
    rows = [(7, *point) for point in POINTS]
    faces = [(0.5, [0, 1, 2], [0, 0, 1, 0, 1, 1], 3), (1.5, [0, 1, 2, 7], [0, 0, 1, 0, 1, 1, 0, 1], 4)]
    elements = [("other", "property int a\n", [(1,), (2,)]), ("vertex", vertex, rows), ("face", face, faces)]
    path = written(tmp_path / "m.ply", kind, elements)
    solids.STAMP.save(tmp_path / "my wood.png")
    path.write_bytes(path.read_bytes().replace(b"element vertex", b"comment TextureFile my wood.png\nelement vertex"))
    (part,) = contents(path).parts
    assert part.painted == "texture"
    assert np.allclose(part.uv[0], [[0, 0], [1, 0], [1, 1]])
    assert np.allclose(part.uv[2], [[0, 0], [1, 1], [0, 1]])


@pytest.mark.parametrize("kind", FORMATS)
def test_triangle_strips(tmp_path, kind):
    """-1 and the end of a row end a strip; every other triangle is turned, so that all have one side up."""
    points = [(x, y, 0) for x in range(4) for y in (1, 0)]
    strips = [([0, 1, 2, 3, 4, 5, -1, 4, 5, 6],), ([5, 7, 6, -1, 0, 1],)]
    elements = [("vertex", VERTEX, points), ("tristrips", "property list int int vertex_indices\n", strips)]
    (part,) = contents(written(tmp_path / "m.ply", kind, elements)).parts
    assert len(part.corners) == 4 + 1 + 1
    assert area(part) == pytest.approx(3)
    normals = np.cross(part.corners[:, 1] - part.corners[:, 0], part.corners[:, 2] - part.corners[:, 0])
    assert (normals[:, 2] > 0).all()


def test_strips_beside_faces(tmp_path):
    elements = [
        ("vertex", VERTEX, POINTS),
        ("face", FACE, [([0, 1, 2],)]),
        ("tristrips", "property list int int vertex_indices\n", [([0, 1, 2, 7],)]),
    ]
    assert len(contents(written(tmp_path / "m.ply", "binary_little_endian", elements)).parts[0].corners) == 3


@pytest.mark.parametrize("kind", FORMATS)
def test_vertex_colours_that_are_no_numbers_are_grey_and_told(tmp_path, kind):
    vertex = f"{VERTEX}property float red\nproperty float green\nproperty float blue\n"
    rows = [(*POINTS[0], 1, 0, 0), (*POINTS[1], float("nan"), 0, 0), (*POINTS[2], 0, 0, 1)]
    found = contents(written(tmp_path / "m.ply", kind, [("vertex", vertex, rows), ("face", FACE, [([0, 1, 2],)])]))
    assert np.allclose(found.parts[0].colors, [[[1, 0, 0], [GREY] * 3, [0, 0, 1]]])
    assert "1 of 3 vertices have none that is a number" in told(found)


def test_colours_of_faces_follow_their_polygon(tmp_path):
    face = f"{FACE}property uchar red\nproperty uchar green\nproperty uchar blue\n"
    faces = [(list(range(8)), 255, 0, 0), ([0, 1, 2], 0, 255, 0)]
    path = written(tmp_path / "m.ply", "ascii", [("vertex", VERTEX, POINTS), ("face", face, faces)])
    (part,) = contents(path).parts
    assert part.colors[:, 0].tolist() == [[1, 0, 0]] * 6 + [[0, 1, 0]]


@pytest.mark.parametrize("names", [("texture_u", "texture_v"), ("u", "v"), ("s", "t")])
def test_texture_coordinates_of_vertices(tmp_path, names):
    vertex = VERTEX + "".join(f"property float {name}\n" for name in names)
    rows = [(*point, point[0] / 3, point[1] / 3) for point in POINTS]
    path = written(tmp_path / "m.ply", "ascii", [("vertex", vertex, rows), ("face", FACE, [([0, 1, 2],)])])
    path.write_bytes(path.read_bytes().replace(b"element vertex", b"comment TextureFile a.png\nelement vertex"))
    found = contents(path)
    assert "texture a.png: there is no such file" in told(found)
    assert found.parts[0].painted == "none, so grey"
    solids.STAMP.save(tmp_path / "a.png")
    assert np.allclose(contents(path).parts[0].uv, [[[0, 0], [1, 0], [1, 1]]])


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(("name", "count"), [("vertex", 10**12), ("face", 10**12), ("vertex", 10**30), ("face", -1)])
def test_sizes_that_the_file_has_no_room_for(tmp_path, kind, name, count):
    path = written(tmp_path / "m.ply", kind, [("vertex", VERTEX, POINTS), ("face", FACE, [([0, 1, 2],)])])
    was = {"vertex": 8, "face": 1}[name]
    path.write_bytes(path.read_bytes().replace(f"element {name} {was}".encode(), f"element {name} {count}".encode()))
    with pytest.raises(SceneError, match=r"no room for|less than no rows"):
        contents(path)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_list_that_is_longer_than_the_file(tmp_path, kind):
    path = written(tmp_path / "m.ply", kind, [("vertex", VERTEX, POINTS), ("face", FACE, [([0, 1, 2],)])])
    content = path.read_bytes()
    path.write_bytes(content[:-8] + b"200 0 1" if kind == "ascii" else content[:-13] + b"\xff" + content[-12:])
    with pytest.raises(SceneError, match=r"it is cut off in .face.: a list wants \d+ values"):
        contents(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ((b"property float x", b"property quad x"), "wanted a property, found 'quad x'"),
        ((b"property float x", b"property float a"), "no vertices with x, y and z"),
        ((b"format ascii 1.0", b"format text 1.0"), "wanted a format of ascii"),
        ((b"end_header", b"end"), "wanted a header from 'ply' to 'end_header'"),
        ((b"3 0 1 2", b"3 0 1 9"), "a face names vertex 9, of 8 from 0 on"),
        ((b"3 0 1 2", b"3 0 1 -2"), "a face names vertex -2, of 8"),
        ((b"3 0 1 2", b"3 0 1 nan"), "numbers that are not whole"),
        ((b"3 0 1 2", b"3 0 1 0.5.1"), "cannot be read"),
        ((b"3 3 0", b"3 nan 0"), "1 of 1 faces have corners that are not finite"),
        ((b"element face", b"element edge"), "has no faces; wanted a triangle mesh, found 8 vertices"),
    ],
)
def test_what_cannot_be_used_is_one_line(tmp_path, change, words):
    path = written(tmp_path / "m.ply", "ascii", [("vertex", VERTEX, POINTS), ("face", FACE, [([0, 1, 2],)])])
    path.write_bytes(path.read_bytes().replace(*change))
    with pytest.raises(SceneError) as caught:
        contents(path)
    said = str(caught.value)
    assert said.startswith(f"{path}: ")
    assert words in said
    assert "\n" not in said
