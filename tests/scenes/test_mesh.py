"""The reader of meshes: formats, colours, axes, cameras, box, and files that are no meshes."""

import json
import math
import struct
import sys

import numpy as np
import pytest
import solids
import torch
import trimesh
from PIL import Image
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial, SimpleMaterial

from render.camera import project
from scenes import inspect_scene, mesh
from scenes.scene import ReadOptions, SceneError, format_of, load

SMALL = ReadOptions(downscale=20)  # 20 x 20 pixels
LONG = solids.CUBE * [1, 2, 4] + [10, 20, 30]  # a brick, 1 x 2 x 4 from (10, 20, 30) on
STAMP = Image.fromarray(np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]]], np.uint8))
UV = solids.CUBE[:, :2]


def brick(**looks):
    """The brick as trimesh holds it."""
    return trimesh.Trimesh(LONG, solids.CUBE_FACES, process=False, **looks)


def saved(folder, what, name):
    """The file of a mesh or scene, exported by its suffix."""
    path = folder / name
    scene = what if isinstance(what, trimesh.Scene) else what.scene()
    if path.suffix == ".gltf":
        for file, content in scene.export(file_type="gltf").items():
            (folder / (name if file == "model.gltf" else file)).write_bytes(content)
    else:
        (scene if path.suffix == ".glb" else what).export(path)
    return path


def colour(visual, folder, name):
    """What the reader makes of a coloured brick's file."""
    (part,) = mesh.parts(saved(folder, brick(visual=visual), name))
    return part


def srgb(value):
    return 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    path = saved(tmp_path_factory.mktemp("brick"), brick(), "brick.obj")
    return load(str(path), ReadOptions(downscale=8))


@pytest.mark.parametrize("suffix", ["glb", "gltf", "obj", "ply", "stl", "off", "OBJ"])
def test_every_format_gives_the_same_triangles(tmp_path, suffix):
    path = saved(tmp_path, brick(), f"brick.{suffix.lower()}").rename(tmp_path / f"brick.{suffix}")
    assert format_of(str(path)) == "mesh"
    (part,) = mesh.parts(path)
    assert np.allclose(part.corners, LONG[solids.CUBE_FACES])
    assert (part.colors == np.float32(mesh.GREY)).all()


def test_what_the_reader_returns(scene):
    assert (len(scene.train), len(scene.test)) == (96, 16)
    view = scene.train[0]
    assert view.image.shape == (50, 50, 4)
    assert view.image.dtype == torch.uint8
    assert view.valid.shape == (50, 50)
    assert view.valid.all()
    assert scene.transparent
    assert scene.background == (1.0, 1.0, 1.0)
    assert scene.name == "brick"
    names = [view.name for view in (*scene.train, *scene.test)]
    assert len(set(names)) == len(names)
    assert any("12 triangles in 1 parts" in fact for fact in scene.facts)
    assert any("+Z is assumed to be up" in fact for fact in scene.facts)


def test_the_box_has_the_margin_and_its_longest_side_is_one(scene):
    low, high = scene.box.double()
    assert torch.allclose(high - low, torch.tensor([1.08, 2.08, 4.08], dtype=torch.float64) / 4.08, atol=1e-6)
    assert torch.allclose((low + high) / 2, torch.full((3,), 0.5, dtype=torch.float64))
    assert scene.unit == pytest.approx(4.08)


def test_the_transform_takes_corners_to_the_box(scene):
    points = torch.from_numpy(LONG) @ scene.transform[:3, :3].T + scene.transform[:3, 3]
    inner = scene.box.double() + torch.tensor([[1], [-1]]) * 0.04 / 4.08
    assert torch.allclose(torch.stack([points.amin(0), points.amax(0)]), inner, atol=1e-6)
    back = (points - scene.transform[:3, 3]) @ torch.linalg.inv(scene.transform[:3, :3]).T
    assert np.allclose(back.numpy(), LONG, atol=1e-12)


def test_gltf_is_turned_to_stand_upright(tmp_path):
    scene = load(str(saved(tmp_path, brick(), "brick.glb")), SMALL)
    turn = scene.transform[:3, :3] * scene.unit
    assert torch.allclose(turn @ torch.tensor([0.0, 1, 0], dtype=torch.float64), torch.tensor([0.0, 0, 1]).double())
    assert torch.allclose(turn @ turn.T, torch.eye(3, dtype=torch.float64))
    assert float(turn.det()) == pytest.approx(1)
    extent = (scene.box[1] - scene.box[0]) * 4.08 - 0.08
    assert torch.allclose(extent, torch.tensor([1.0, 4.0, 2.0]), atol=1e-5)
    points = torch.from_numpy(LONG) @ scene.transform[:3, :3].T + scene.transform[:3, 3]
    assert (points > scene.box[0]).all()
    assert (points < scene.box[1]).all()
    assert any("+Y is up" in fact for fact in scene.facts)


def test_the_silhouette_is_where_the_corners_are(scene):
    """Pictures, cameras and transform agree: each picture's solid part has the bounds of the projected brick."""
    points = (torch.from_numpy(LONG) @ scene.transform[:3, :3].T + scene.transform[:3, 3]).float()
    for view in (*scene.train[::7], *scene.test):
        pixels, _ = project(view.camera, points)
        y, x = (view.image[..., 3] > 0).nonzero(as_tuple=True)
        found = torch.tensor([[x.min(), y.min()], [x.max() + 1, y.max() + 1]])
        assert torch.allclose(found.float(), torch.stack([pixels.amin(0), pixels.amax(0)]), atol=1.01)  # a pixel
        assert pixels.min() > 0.5
        assert pixels.max() < 49.5
        reach = (pixels - 25).abs().max()
        assert 23 < reach < 24  # 25 / 1.06 is 23.6: framed as near as fits


def test_cameras_stand_on_the_whole_sphere(scene):
    for views, gap in ((scene.train, 0.32), (scene.test, 0.8)):
        away = torch.stack([view.camera.pose[:3, 3] for view in views]) - 0.5
        away = torch.nn.functional.normalize(away, dim=-1)
        assert torch.allclose(away, torch.stack([view.camera.pose[:3, 2] for view in views]), atol=1e-5)
        every = torch.nn.functional.normalize(torch.randn(4000, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
        assert float((every @ away.T).amax(1).min()) > math.cos(gap)  # no direction is far from a camera
        assert abs(float(away[:, 2].mean())) < 1e-5
    train, test = (torch.stack([v.camera.pose[:3, 2] for v in views]) for views in (scene.train, scene.test))
    assert float((train @ test.T).max()) < math.cos(math.radians(4.5))


def test_a_flat_mesh_has_a_box_with_a_thickness(tmp_path):
    flat = trimesh.Trimesh([[0, 0, 5], [2, 0, 5], [2, 1, 5], [0, 1, 5]], [[0, 1, 2], [0, 2, 3]], process=False)
    scene = load(str(saved(tmp_path, flat, "flat.obj")), SMALL)
    assert torch.allclose(scene.box[1] - scene.box[0], torch.tensor([1.0, 1.04 / 2.04, 0.04 / 2.04]), atol=1e-6)
    assert sum(bool(view.image[..., 3].any()) for view in scene.train) > 80


def test_all_geometries_stand_where_the_scene_graph_puts_them(tmp_path):
    turn = trimesh.transformations.rotation_matrix(math.pi / 2, [0, 0, 1], [0, 0, 0])
    turn[:3, 3] = 100, 0, 0
    whole = trimesh.Scene()
    whole.add_geometry(brick(), node_name="a")
    whole.add_geometry(brick(), node_name="b", parent_node_name="a", transform=turn)
    whole.add_geometry(trimesh.PointCloud([[1e6, 0, 0]]), node_name="dust")  # no faces: left out, also of the box
    found = mesh.parts(saved(tmp_path, whole, "two.glb"))
    assert len(found) == 2
    first, second = sorted(found, key=lambda part: part.corners.max())
    assert np.allclose(first.corners, LONG[solids.CUBE_FACES])
    assert np.allclose(second.corners, (LONG @ turn[:3, :3].T + [100, 0, 0])[solids.CUBE_FACES], atol=1e-4)


def test_vertices_that_no_triangle_uses_do_not_count(tmp_path):
    path = saved(tmp_path, brick(), "brick.off")
    lines = path.read_text().splitlines()
    words = lines[1].split() if lines[0].strip() == "OFF" else lines[0].split()[1:]
    body = [line for line in lines[2:] if line.strip()]
    path.write_text("\n".join(["OFF", f"{int(words[0]) + 1} {words[1]} 0", "1e9 0 0", *shifted(body, int(words[0]))]))
    (part,) = mesh.parts(path)
    assert np.allclose(part.corners, LONG[solids.CUBE_FACES])


def shifted(body, count):
    """Lines of an OFF file whose faces name vertices one further on."""
    faces = [[int(word) for word in line.split()] for line in body[count:]]
    return [*body[:count], *(" ".join(map(str, [face[0], *(i + 1 for i in face[1:4])])) for face in faces)]


@pytest.mark.parametrize("name", ["m.ply", "m.obj", "m.glb"])
def test_colours_of_vertices(tmp_path, name):
    rgba = np.concatenate([np.arange(24).reshape(8, 3) * 10, np.full((8, 1), 255)], 1).astype(np.uint8)
    (part,) = mesh.parts(saved(tmp_path, brick(vertex_colors=rgba), name))
    want = rgba[:, :3] / 255
    if name == "m.glb":  # linear there
        want = np.vectorize(srgb)(want)
    assert np.allclose(part.colors, want[solids.CUBE_FACES], atol=1e-3)
    assert part.painted == "vertex colours"


def test_colours_of_faces(tmp_path):
    rgba = np.concatenate([np.arange(36).reshape(12, 3) * 7, np.full((12, 1), 255)], 1).astype(np.uint8)
    (part,) = mesh.parts(saved(tmp_path, brick(face_colors=rgba), "m.ply"))
    assert np.allclose(part.colors, np.repeat(rgba[:, None, :3] / 255, 3, 1), atol=1e-6)


def test_texture_and_its_factor(tmp_path):
    part = colour(TextureVisuals(UV, material=SimpleMaterial(image=STAMP, diffuse=[9, 9, 9, 255])), tmp_path, "m.obj")
    assert np.array_equal(np.asarray(part.picture.convert("RGB")), np.asarray(STAMP))
    assert np.allclose(part.uv, UV[solids.CUBE_FACES], atol=1e-6)
    assert (part.colors == 1).all()  # Kd beside a texture says nothing
    linear = PBRMaterial(baseColorTexture=STAMP, baseColorFactor=[255, 51, 0, 255])
    part = colour(TextureVisuals(UV, material=linear), tmp_path, "m.glb")
    assert np.array_equal(np.asarray(part.picture.convert("RGB")), np.asarray(STAMP))
    assert np.allclose(part.uv, UV[solids.CUBE_FACES], atol=1e-6)
    assert np.allclose(part.colors, [1, srgb(0.2), 0], atol=1e-3)


def test_material_without_texture(tmp_path):
    part = colour(TextureVisuals(UV, material=SimpleMaterial(diffuse=[255, 51, 0, 255])), tmp_path, "m.obj")
    assert np.allclose(part.colors, [1, 0.2, 0], atol=1e-3)
    material = PBRMaterial(baseColorFactor=[255, 51, 0, 255])
    part = colour(TextureVisuals(UV, material=material), tmp_path, "m.glb")
    assert np.allclose(part.colors, [1, srgb(0.2), 0], atol=1e-3)
    assert part.picture is None


@pytest.mark.parametrize(("mode", "cutoff"), [("MASK", 0.3), ("BLEND", 0.5), ("OPAQUE", 0.0)])
def test_holes_are_as_the_material_says(tmp_path, mode, cutoff):
    material = PBRMaterial(baseColorTexture=STAMP.convert("RGBA"), alphaMode=mode)
    if mode == "MASK":
        material.alphaCutoff = 0.3
    assert colour(TextureVisuals(UV, material=material), tmp_path, "m.glb").cutoff == pytest.approx(cutoff)


def test_a_texture_is_seen_upright_in_the_pictures(tmp_path):
    """A wall in the file's xy plane, which glTF stands upright: its picture, seen from the front, shows the stamp."""
    wall = trimesh.Trimesh(
        [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]],
        [[0, 1, 2], [0, 2, 3]],
        visual=TextureVisuals([[0, 0], [1, 0], [1, 1], [0, 1]], material=PBRMaterial(baseColorTexture=STAMP)),
        process=False,
    )
    scene = load(str(saved(tmp_path, wall, "wall.glb")), ReadOptions(downscale=8))
    front = max(scene.train, key=lambda view: -float(view.camera.pose[1, 2]))  # looks along +y, file's -z
    pixels, _ = project(
        front.camera, torch.tensor([[0.2, 0.5, 0.8], [0.8, 0.5, 0.8], [0.2, 0.5, 0.2], [0.8, 0.5, 0.2]])
    )
    found = [front.image[int(y), int(x)].tolist() for x, y in pixels.tolist()]
    assert [[c > 100 for c in pixel] for pixel in found] == [
        [True, False, False, True],
        [False, True, False, True],
        [False, False, True, True],
        [True, True, False, True],
    ]
    assert any("texture 100%" in fact for fact in scene.facts)


def test_large_textures_are_reduced_to_what_pixels_show():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8))
    corners = np.array([[[0.0, 0, 0], [1, 0, 0], [1, 1, 0]], [[0, 0, 0], [1, 1, 0], [0, 1, 0]]])
    uv = corners[..., :2].astype(np.float32)
    for pixel, size in ((1 / 300, 256), (1 / 128, 128), (1 / 63, 64), (2.0, 1)):
        assert mesh.shrunk(noise, corners, uv, pixel).shape == (size, size, 3)
        assert mesh.shrunk(noise, corners, 2 * uv, pixel / 2).shape == (size, size, 3)  # twice as often, half as large
    assert abs(float(mesh.shrunk(noise, corners, uv, 2.0).mean()) - np.asarray(noise).mean()) < 1


def test_parts_that_share_a_picture_share_the_texture(tmp_path):
    whole, shared = trimesh.Scene(), PBRMaterial(baseColorTexture=STAMP)
    other = PBRMaterial(baseColorTexture=STAMP.transpose(Image.Transpose.ROTATE_180))
    for k, material in enumerate((shared, other, shared)):
        whole.add_geometry(brick(visual=TextureVisuals(UV, material=material)), node_name=str(k))
    found = mesh.parts(saved(tmp_path, whole, "three.glb"))
    corners = np.concatenate([part.corners for part in found])
    one = mesh.surfaced(found, (corners - 20) / 50, 1e-3)
    assert len(one.textures) == 2
    assert sorted(np.bincount(one.texture).tolist()) == [12, 24]


def test_degenerate_triangles_are_dropped_and_told(tmp_path):
    faces = np.concatenate([solids.CUBE_FACES, [[0, 0, 1], [2, 2, 2], [0, 3, 3]]])
    path = saved(tmp_path, trimesh.Trimesh(LONG, faces, process=False), "m.ply")
    scene = load(str(path), SMALL)
    assert any("12 triangles in 1 parts; 3 degenerate ones were dropped" in fact for fact in scene.facts)


def test_coordinates_far_from_the_origin_and_of_any_size(tmp_path):
    pictures = []
    for k, (scale, shift) in enumerate([(1.0, 0.0), (1e-30, 0.0), (1e30, 0.0), (1.0, 1e7)]):
        path = tmp_path / f"{k}.obj"
        rows = [f"v {x!r} {y!r} {z!r}" for x, y, z in (solids.CUBE * scale + shift).tolist()]
        path.write_text("\n".join([*rows, *("f {} {} {}".format(*(face + 1)) for face in solids.CUBE_FACES)]))
        pictures.append(torch.stack([view.image for view in load(str(path), SMALL).train]))
    for other in pictures[1:]:
        assert (pictures[0].int() - other.int()).abs().float().mean() < 0.05  # levels; ties at edges may differ


def failed(path):
    """The one line that the reader gives."""
    with pytest.raises(SceneError) as caught:
        load(str(path), SMALL)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("suffix", mesh.SUFFIXES)
def test_a_missing_file_is_told(tmp_path, suffix):
    assert format_of(str(tmp_path / f"gone{suffix}")) == "mesh"
    assert "no such file; wanted a mesh" in failed(tmp_path / f"gone{suffix}")


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
    path = saved(tmp_path, brick(), f"m.{suffix}")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    said = failed(path)
    assert suffix != "glb" or "cut off" in said or "wanted a binary glTF" in said


def test_a_glb_that_lies_about_its_length_is_told(tmp_path):
    path = saved(tmp_path, brick(), "m.glb")
    whole = path.read_bytes()
    cut = whole[: len(whole) // 2]
    path.write_bytes(cut[:8] + struct.pack("<I", len(cut)) + cut[12:])
    failed(path)


def test_a_gltf_without_its_buffer_is_told(tmp_path):
    path = saved(tmp_path, brick(), "m.gltf")
    for file in tmp_path.glob("*.bin"):
        file.unlink()
    failed(path)


def test_a_damaged_texture_is_told(tmp_path):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    visual = TextureVisuals(UV, material=SimpleMaterial(image=noise))
    path = saved(tmp_path, brick(visual=visual), "m.obj")
    (picture,) = tmp_path.glob("*.png")
    picture.write_bytes(picture.read_bytes()[:3000])
    assert "its texture cannot be read" in failed(path)


def test_what_trimesh_warns_of_is_told_in_the_one_line(tmp_path, capfd):
    """A compressed mesh whose decoder is missing: trimesh warns, and goes on with zeros or without the mesh."""
    path = tmp_path / "m.gltf"
    name = "KHR_draco_mesh_compression"
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
    failed(path)
    assert capfd.readouterr().err == ""


def test_uv_without_a_material_is_grey(tmp_path):
    path = tmp_path / "m.obj"
    path.write_text("mtllib gone.mtl\nusemtl a\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nf 1/1 2/2 3/3\n")
    (part,) = mesh.parts(path)
    assert part.picture is None
    assert (part.colors == np.float32(mesh.GREY)).all()


def test_points_and_lines_are_no_mesh(tmp_path):
    path = tmp_path / "points.ply"
    trimesh.PointCloud(LONG).export(path)
    assert "has no faces; wanted a triangle mesh, found PointCloud" in failed(path)
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
    assert "1 of 2 triangles have corners that are not finite" in failed(path)


def test_a_face_that_names_no_vertex_is_told(tmp_path):
    path = tmp_path / "m.off"
    path.write_text("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n")
    failed(path)


def test_without_trimesh_the_command_to_install_it_is_told(tmp_path, monkeypatch):
    path = saved(tmp_path, brick(), "m.obj")
    monkeypatch.setitem(sys.modules, "trimesh", None)
    assert "wants trimesh: pip install trimesh" in failed(path)


def test_too_much_downscaling_is_told(tmp_path):
    path = saved(tmp_path, brick(), "m.obj")
    with pytest.raises(SceneError, match="downscale 64 leaves 6 pixels; wanted at least 8"):
        load(str(path), ReadOptions(downscale=64))
    assert load(str(path), ReadOptions(max_resolution=16)).train[0].camera.size == (16, 16)


def test_a_folder_named_as_a_mesh_is_none(tmp_path):
    (tmp_path / "m.obj").mkdir()
    assert "folder is empty" in failed(tmp_path / "m.obj")


def test_inspect_scene_tells_of_a_mesh(tmp_path, monkeypatch, capsys):
    path = saved(tmp_path, brick(), "brick.glb")
    monkeypatch.setattr(
        sys, "argv", ["inspect-scene", str(path), "--downscale", "10", "--json", "--out", str(tmp_path)]
    )
    with pytest.raises(SystemExit) as caught:
        inspect_scene.main()
    assert caught.value.code == 0
    values = json.loads(capsys.readouterr().out)
    assert values["format"] == "mesh"
    assert values["cameras_inside"] == values["duplicates"] == []
    low, high = values["box_input"]
    assert np.allclose([low, high], [[10 - 0.04, 20 - 0.04, 30 - 0.04], [11.04, 22.04, 34.04]], atol=1e-4)


@pytest.mark.parametrize("name", ["armadillo.obj", "fertility.off", "camelhead.off"])
def test_real_meshes(capture, name):
    scene = load(str(capture("meshes") / name), ReadOptions(downscale=10))
    shown = torch.stack([view.image for view in scene.train])
    assert 0.05 < (shown[..., 3] == 255).float().mean() < 0.6
    grey = shown[shown[..., 3] == 255][:, :3].float()
    assert float(grey.std()) > 15  # levels: light shows the form
