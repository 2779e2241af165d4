"""`.obj`: polygons, indices of all kinds, vertex colours, materials, and the program that wrote it."""

import os

import numpy as np
import pytest
import solids

from scenes.mesh_files.contents import contents
from scenes.mesh_files.part import GREY
from scenes.options import SceneError

U = ["0 0 0", "3 0 0", "3 3 0", "2 3 0", "2 1 0", "1 1 0", "1 3 0", "0 3 0"]  # area 7
QUAD = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
WALL = QUAD + "mtllib m.mtl\nusemtl a b\nf 1/1 2/2 3/3 4/4\n"


def read(folder, text, name="m.obj"):
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return contents(path)


def area(found):
    corners = np.concatenate([part.corners for part in found.parts])
    return np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2


def told(found):
    return "\n".join(fact.text for fact in found.facts)


@pytest.mark.parametrize("face", ["1 2 3 4 5 6 7 8", "8 7 6 5 4 3 2 1", "5 6 7 8 1 2 3 4", "-8 -7 -6 -5 -4 -3 -2 -1"])
def test_concave_polygons_are_not_fans(tmp_path, face):
    found = read(tmp_path, "".join(f"v {point}\n" for point in U) + f"f {face}\n")
    assert len(found.parts[0].corners) == 6
    assert area(found) == pytest.approx(7)


def test_a_block_of_concave_ends_and_quads(tmp_path):
    sides = "".join(f"f {i} {i % 8 + 1} {i % 8 + 9} {i + 8}\n" for i in range(1, 9))
    rows = "".join(f"v {point}\n" for point in (*U, *(point[:-1] + "1" for point in U)))
    found = read(tmp_path, rows + "f 8 7 6 5 4 3 2 1\nf 9 10 11 12 13 14 15 16\n" + sides)
    assert area(found) == pytest.approx(30)


def test_a_polygon_that_crosses_itself_is_told(tmp_path):
    found = read(tmp_path, "v 0 0 0\nv 2 2 0\nv 2 0 0\nv 0 2 0\nv 9 0 0\nf 1 2 3 4\nf 1 5 2\n")
    assert "1 polygons cross themselves" in told(found)


def test_a_polygon_that_is_too_much_is_refused(tmp_path):
    rows = [f"v {i} {i % 2} 0" for i in range(100_000)]
    path = tmp_path / "m.obj"
    path.write_text("\n".join([*rows, "v 0 -9 0", "f " + " ".join(map(str, range(1, 100_002)))]))
    with pytest.raises(SceneError, match=f"{path}: a polygon of 100001 corners"):
        contents(path)


@pytest.mark.parametrize(
    "face", ["1/1/9 2/2/9 3/3/9", "1/1 2/2 3/3", "1/1 2/2/9 3/3", "-4/-4 -3/-3 -2/-2", "1//9 2//9 3//9", "1 2 3"]
)
def test_faces_of_all_kinds(tmp_path, face):
    solids.STAMP.save(tmp_path / "t.png")
    (tmp_path / "m.mtl").write_text("newmtl a\nmap_Kd t.png\n")
    found = read(tmp_path, f"{QUAD}mtllib m.mtl\nusemtl a\nf {face}\n")
    (part,) = found.parts
    assert part.corners.tolist() == [[[0, 0, 0], [1, 0, 0], [1, 1, 0]]]
    where = "//" not in face and "/" in face
    assert part.painted == ("texture" if where else "none, so grey")
    assert part.uv.tolist() == ([[[0, 0], [1, 0], [1, 1]]] if where else [[[0, 0]] * 3])
    assert ("some faces do not say where they lie" in told(found)) == (not where)


def test_relative_indices_count_from_where_they_stand(tmp_path):
    found = read(tmp_path, "v 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 -1\nv 0 0 5\nv 1 0 5\nv 0 1 5\nf -3 -2 -1\n")
    assert found.parts[0].corners[:, :, 2].tolist() == [[0, 0, 0], [5, 5, 5]]


def test_lines_go_on_and_have_tabs_and_comments(tmp_path):
    found = read(tmp_path, "v 0 0 0 # first\r\nv\t1 0 0\r\n  v 0 \\\r\n 1 0\r\nf 1 2 \\\n3\n")
    assert found.parts[0].corners.tolist() == [[[0, 0, 0], [1, 0, 0], [0, 1, 0]]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 7\n", "a face names vertex 6, of 3 from 0 on"),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 0 1 2\n", "a face names vertex 0; they are counted from 1"),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf -4 1 2\n", "a face names vertex 0; they are counted from 1"),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf a b c\n", "no number of a vertex"),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 99999999999999999999 1 2\n", "no number of a vertex"),
        ("v 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "'v' wants 3 numbers, found 'v 0 0'"),
        ("v 0 0 x\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "words that are no numbers"),
        ("v 0 0 0\nv 1 0 0\nf 1 2\n", "no faces of three corners"),
        ("v 0 0 0\nv 1e13 0 0\nv 0 1 0\nf 1 2 3\n", "not finite numbers up to 1e+12"),
        ("v 0 0 0\n", "has no faces; wanted a triangle mesh, found 1 vertices"),
    ],
)
def test_what_cannot_be_used_is_one_line(tmp_path, text, words):
    with pytest.raises(SceneError) as caught:
        read(tmp_path, text)
    said = str(caught.value)
    assert said.startswith(f"{tmp_path / 'm.obj'}: ")
    assert words in said
    assert "\n" not in said


def test_vertex_colours_that_are_no_numbers_are_grey_and_told(tmp_path):
    found = read(tmp_path, "v 0 0 0 1 0 0\nv 1 0 0 nan 0 0\nv 0 1 0 0 0 1\nf 1 2 3\n")
    assert np.allclose(found.parts[0].colors, [[[1, 0, 0], [GREY] * 3, [0, 0, 1]]])
    assert found.parts[0].painted == "vertex colours"
    assert "1 of 3 vertices have none that is a number" in told(found)


def test_colours_up_to_255(tmp_path):
    found = read(tmp_path, "v 0 0 0 255 0 51\nv 1 0 0 255 0 51\nv 0 1 0 255 0 51\nf 1 2 3\n")
    assert np.allclose(found.parts[0].colors, [1, 0, 0.2])


@pytest.mark.parametrize(
    "line", ["tex\\wood one.png", "tex/wood one.png", '"tex/wood one.png"', "C:\\old\\wood two.png", "/no/wood two.png"]
)
def test_textures_by_the_names_that_programs_write(tmp_path, line):
    (tmp_path / "tex").mkdir()
    solids.STAMP.save(tmp_path / "tex" / "wood one.png")
    solids.STAMP.save(tmp_path / "wood two.png")
    (tmp_path / "m.mtl").write_text(f"newmtl a b\nmap_Kd {line}\n")
    found = read(tmp_path, WALL)
    assert found.parts[0].painted == "texture"
    assert found.facts == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("gone.png", "texture gone.png: there is no such file; what it covers is drawn without it"),
        ("m.obj", "texture m.obj: it cannot be read: none of PNG, JPEG"),
        ("x.eps", "texture x.eps: it cannot be read: none of PNG, JPEG"),
        ("a\x1b[2Jb.png", "texture a [2Jb.png: there is no such file"),
        ("n" * 5000, "nnn...: there is no such file"),
    ],
)
def test_textures_that_cannot_be_had_are_named(tmp_path, line, words):
    (tmp_path / "x.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    (tmp_path / "m.mtl").write_text(f"newmtl a b\nKd 0 1 0\nmap_Kd {line}\n")
    found = read(tmp_path, WALL)
    assert words in told(found)
    assert found.parts[0].painted == "material"
    assert np.allclose(found.parts[0].colors, [0, 1, 0])


def test_a_library_that_is_missing_is_named(tmp_path):
    assert "materials m.mtl: there is no such file; what they cover is grey" in told(read(tmp_path, WALL))


def test_several_libraries_and_names_with_spaces(tmp_path):
    (tmp_path / "one two.mtl").write_text("newmtl a\nKd 1 0 0\n")
    (tmp_path / "three.mtl").write_text("newmtl b\nKd 0 0 1\n")
    (tmp_path / "four.mtl").write_text("newmtl c\nKd 0 1 0\n")
    head = "mtllib one two.mtl\nmtllib three.mtl four.mtl\n"
    faces = "".join(f"usemtl {name}\nf 1 2 3\n" for name in "abc")
    found = read(tmp_path, head + QUAD + faces)
    assert [part.colors[0, 0].tolist() for part in found.parts] == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize(
    ("line", "maker"),
    [
        ("# Blender v2.79 (sub 0) OBJ File: ''", "Blender"),
        ("# Blender 4.2.0", "Blender"),
        ("# 3ds Max Wavefront OBJ Exporter v0.97b - (c)2007 guruware", "3ds Max"),
        ("# File exported by Houdini 20.0.506 (www.sidefx.com)", "Houdini"),
        ("# Exported from Wings 3D 2.2.9", "Wings 3D"),
        ("#File exported by ZBrush version 3.5", "ZBrush"),
        ("# WaveFront *.obj file (generated by CINEMA 4D)", "Cinema 4D"),
        ("####\n#\n# OBJ File Generated by Meshlab\n#", ""),
        ("# https://github.com/mikedh/trimesh", ""),
        ("o Blender", ""),
        ("", ""),
    ],
)
def test_the_maker(tmp_path, line, maker):
    assert read(tmp_path, f"{line}\n{QUAD}f 1 2 3\n").maker == maker


def test_a_name_that_is_no_text(tmp_path):
    name = os.fsdecode(b"\xe9.mtl")
    (tmp_path / name).write_bytes(b"newmtl \xe9\nKd 1 0 0\n")
    found = read(tmp_path, f"{QUAD}".encode() + b"mtllib \xe9.mtl\nusemtl \xe9\nf 1 2 3\n")
    assert found.parts[0].painted == "material"
