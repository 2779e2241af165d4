"""What is read of mesh files: triangles, colours, textures; and files that are no meshes."""

import json
import math
import struct
import sys

import numpy as np
import pytest
import solids
import trimesh
from PIL import Image
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial, SimpleMaterial

from scenes.assemble import load
from scenes.formats import mesh
from scenes.mesh_files.contents import contents
from scenes.mesh_files.part import GREY
from scenes.options import ReadOptions, SceneError
from scenes.paths import look

SMALL = ReadOptions(downscale=20)  # 20 x 20 pixels


def colour(visual, folder, name):
    """What the reader makes of a coloured brick's file."""
    (part,) = contents(solids.saved(folder, solids.brick(visual=visual), name)).parts
    return part


def srgb(value):
    return 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055


def failed(path):
    """The one line that the reader gives."""
    with pytest.raises(SceneError) as caught:
        load(str(path), SMALL)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("suffix", ["glb", "gltf", "obj", "ply", "stl", "off", "OBJ"])
def test_every_format_gives_the_same_triangles(tmp_path, suffix):
    path = solids.saved(tmp_path, solids.brick(), f"brick.{suffix.lower()}").rename(tmp_path / f"brick.{suffix}")
    assert look(str(path)).format == "mesh"
    (part,) = contents(path).parts
    assert np.allclose(part.corners, solids.LONG[solids.CUBE_FACES])
    assert (part.colors == np.float32(GREY)).all()


def test_all_geometries_stand_where_the_scene_graph_puts_them(tmp_path):
    turn = trimesh.transformations.rotation_matrix(math.pi / 2, [0, 0, 1], [0, 0, 0])
    turn[:3, 3] = 100, 0, 0
    whole = trimesh.Scene()
    whole.add_geometry(solids.brick(), node_name="a")
    whole.add_geometry(solids.brick(), node_name="b", parent_node_name="a", transform=turn)
    whole.add_geometry(trimesh.PointCloud([[1e6, 0, 0]]), node_name="dust")  # no faces: left out, also of the box
    found = contents(solids.saved(tmp_path, whole, "two.glb")).parts
    assert len(found) == 2
    first, second = sorted(found, key=lambda part: part.corners.max())
    assert np.allclose(first.corners, solids.LONG[solids.CUBE_FACES])
    assert np.allclose(second.corners, (solids.LONG @ turn[:3, :3].T + [100, 0, 0])[solids.CUBE_FACES], atol=1e-4)


def test_vertices_that_no_triangle_uses_do_not_count(tmp_path):
    path = solids.saved(tmp_path, solids.brick(), "brick.off")
    lines = path.read_text().splitlines()
    words = lines[1].split() if lines[0].strip() == "OFF" else lines[0].split()[1:]
    body = [line for line in lines[2:] if line.strip()]
    path.write_text("\n".join(["OFF", f"{int(words[0]) + 1} {words[1]} 0", "1e9 0 0", *shifted(body, int(words[0]))]))
    (part,) = contents(path).parts
    assert np.allclose(part.corners, solids.LONG[solids.CUBE_FACES])


def shifted(body, count):
    """Lines of an OFF file whose faces name vertices one further on."""
    faces = [[int(word) for word in line.split()] for line in body[count:]]
    return [*body[:count], *(" ".join(map(str, [face[0], *(i + 1 for i in face[1:4])])) for face in faces)]


@pytest.mark.parametrize("name", ["m.ply", "m.obj", "m.glb"])
def test_colours_of_vertices(tmp_path, name):
    rgba = np.concatenate([np.arange(24).reshape(8, 3) * 10, np.full((8, 1), 255)], 1).astype(np.uint8)
    (part,) = contents(solids.saved(tmp_path, solids.brick(vertex_colors=rgba), name)).parts
    want = rgba[:, :3] / 255
    if name == "m.glb":  # linear there
        want = np.vectorize(srgb)(want)
    assert np.allclose(part.colors, want[solids.CUBE_FACES], atol=1e-3)
    assert part.painted == "vertex colours"


def test_colours_of_faces(tmp_path):
    rgba = np.concatenate([np.arange(36).reshape(12, 3) * 7, np.full((12, 1), 255)], 1).astype(np.uint8)
    (part,) = contents(solids.saved(tmp_path, solids.brick(face_colors=rgba), "m.ply")).parts
    assert np.allclose(part.colors, np.repeat(rgba[:, None, :3] / 255, 3, 1), atol=1e-6)


def test_texture_and_its_factor(tmp_path):
    part = colour(
        TextureVisuals(solids.UV, material=SimpleMaterial(image=solids.STAMP, diffuse=[9, 9, 9, 255])),
        tmp_path,
        "m.obj",
    )
    assert np.array_equal(np.asarray(part.picture.convert("RGB")), np.asarray(solids.STAMP))
    assert np.allclose(part.uv, solids.UV[solids.CUBE_FACES], atol=1e-6)
    assert (part.colors == 1).all()  # Kd beside a texture says nothing
    linear = PBRMaterial(baseColorTexture=solids.STAMP, baseColorFactor=[255, 51, 0, 255])
    part = colour(TextureVisuals(solids.UV, material=linear), tmp_path, "m.glb")
    assert np.array_equal(np.asarray(part.picture.convert("RGB")), np.asarray(solids.STAMP))
    assert np.allclose(part.uv, solids.UV[solids.CUBE_FACES], atol=1e-6)
    assert np.allclose(part.colors, [1, srgb(0.2), 0], atol=1e-3)


def test_material_without_texture(tmp_path):
    part = colour(TextureVisuals(solids.UV, material=SimpleMaterial(diffuse=[255, 51, 0, 255])), tmp_path, "m.obj")
    assert np.allclose(part.colors, [1, 0.2, 0], atol=1e-3)
    material = PBRMaterial(baseColorFactor=[255, 51, 0, 255])
    part = colour(TextureVisuals(solids.UV, material=material), tmp_path, "m.glb")
    assert np.allclose(part.colors, [1, srgb(0.2), 0], atol=1e-3)
    assert part.picture is None


@pytest.mark.parametrize(("mode", "cutoff"), [("MASK", 0.3), ("BLEND", 0.5), ("OPAQUE", 0.0)])
def test_holes_are_as_the_material_says(tmp_path, mode, cutoff):
    material = PBRMaterial(baseColorTexture=solids.STAMP.convert("RGBA"), alphaMode=mode)
    if mode == "MASK":
        material.alphaCutoff = 0.3
    assert colour(TextureVisuals(solids.UV, material=material), tmp_path, "m.glb").cutoff == pytest.approx(cutoff)


@pytest.mark.parametrize("suffix", mesh.SUFFIXES)
def test_a_missing_file_is_told(tmp_path, suffix):
    said = failed(tmp_path / f"gone{suffix}")
    assert "no such file or folder; wanted a data set" in said
    assert f"a mesh ({' '.join(mesh.SUFFIXES)})" in said


@pytest.mark.parametrize("suffix", mesh.SUFFIXES)
@pytest.mark.parametrize("content", [b"", b"\x00\xff\x80 no mesh", b"hello, this is text\n1 2 3\n", bytes(500)])
def test_a_file_that_is_no_mesh_is_told(tmp_path, suffix, content):
    path = tmp_path / f"m{suffix}"
    path.write_bytes(content)
    said = failed(path)
    assert "empty" in said or "cannot be read" in said or "no faces" in said or "wanted a binary glTF" in said


@pytest.mark.parametrize("suffix", ["glb", "ply", "stl", "off"])
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_a_file_that_is_cut_off_is_told(tmp_path, suffix, share):
    path = solids.saved(tmp_path, solids.brick(), f"m.{suffix}")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    said = failed(path)
    assert suffix != "glb" or "cut off" in said or "wanted a binary glTF" in said


def test_a_glb_that_lies_about_its_length_is_told(tmp_path):
    path = solids.saved(tmp_path, solids.brick(), "m.glb")
    whole = path.read_bytes()
    cut = whole[: len(whole) // 2]
    path.write_bytes(cut[:8] + struct.pack("<I", len(cut)) + cut[12:])
    failed(path)


def test_a_gltf_without_its_buffer_is_told(tmp_path):
    path = solids.saved(tmp_path, solids.brick(), "m.gltf")
    for file in tmp_path.glob("*.bin"):
        file.unlink()
    failed(path)


def test_a_damaged_texture_is_named_and_the_rest_is_read(tmp_path):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    visual = TextureVisuals(solids.UV, material=SimpleMaterial(image=noise, diffuse=[255, 51, 0, 255]))
    path = solids.saved(tmp_path, solids.brick(visual=visual), "m.obj")
    (picture,) = tmp_path.glob("*.png")
    picture.write_bytes(picture.read_bytes()[:3000])
    found = contents(path)
    assert any(f"texture {picture.name}: it cannot be read" in fact.text for fact in found.facts)
    assert found.parts[0].painted == "material"
    assert np.allclose(found.parts[0].colors, [1, 0.2, 0], atol=1e-3)


@pytest.mark.parametrize("name", ["KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_texture_basisu"])
def test_extensions_that_are_required_and_not_read_are_named(tmp_path, name):
    path = tmp_path / "m.gltf"
    packed = {"bufferView": 0, "attributes": {"POSITION": 0}}
    content = {
        "asset": {"version": "2.0"},
        "extensionsUsed": [name],
        "extensionsRequired": [name],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1, "extensions": {name: packed}}]}],
        "accessors": [
            {"componentType": 5126, "count": 3, "type": "VEC3"},
            {"componentType": 5123, "count": 3, "type": "SCALAR"},
        ],
        "bufferViews": [{"buffer": 0, "byteLength": 4}],
        "buffers": [{"byteLength": 4, "uri": "data:application/octet-stream;base64,AAAAAA=="}],
    }
    path.write_text(json.dumps(content))
    assert f"it requires {name}, which is not read" in failed(path)


def test_uv_without_a_material_is_grey(tmp_path):
    path = tmp_path / "m.obj"
    path.write_text("mtllib gone.mtl\nusemtl a\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nf 1/1 2/2 3/3\n")
    (part,) = contents(path).parts
    assert part.picture is None
    assert (part.colors == np.float32(GREY)).all()


def test_points_and_lines_are_no_mesh(tmp_path):
    path = tmp_path / "points.ply"
    trimesh.PointCloud(solids.LONG).export(path)
    assert "has no faces; wanted a triangle mesh, found 8 vertices" in failed(path)
    path = tmp_path / "points.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\n")
    assert "has no faces" in failed(path)


def test_a_mesh_without_extent_or_area_is_told(tmp_path):
    for points, words in (
        (np.ones((3, 3)), "no extent"),
        (np.array([[0.0, 0, 0], [1, 1, 1], [2, 2, 2]]), "all 1 triangles are degenerate"),
    ):
        path = tmp_path / "m.obj"
        path.write_text("".join("v {} {} {}\n".format(*point) for point in points.tolist()) + "f 1 2 3\n")
        assert words in failed(path)


@pytest.mark.parametrize("bad", ["nan", "inf", "-inf"])
def test_corners_that_are_not_finite_are_told(tmp_path, bad):
    path = tmp_path / "m.obj"
    path.write_text(f"v 0 0 0\nv 1 0 0\nv 0 1 0\nv {bad} 1 1\nf 1 2 3\nf 1 2 4\n")
    assert "1 of 2 faces have corners that are not finite" in failed(path)


def test_a_face_that_names_no_vertex_is_told(tmp_path):
    path = tmp_path / "m.off"
    path.write_text("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n")
    failed(path)


def test_no_other_library_is_asked_for(tmp_path, monkeypatch):
    path = solids.saved(tmp_path, solids.brick(), "m.glb")
    monkeypatch.setitem(sys.modules, "trimesh", None)
    assert len(contents(path).parts[0].corners) == 12
