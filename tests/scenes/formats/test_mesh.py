"""Meshes as scenes: axes, cameras, box, pictures, facts."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import solids
import torch
import trimesh
from PIL import Image
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from distill.conversion.settings import ConversionSettings
from distill.photographs.settings import Settings
from render.camera import project
from scenes import eval_scene, inspect_scene
from scenes.assemble import load
from scenes.formats import mesh
from scenes.mesh_files.contents import contents
from scenes.options import ReadOptions, SceneError
from viewer.messages import CompareWith
from viewer.settings import ViewSettings

SMALL = ReadOptions(downscale=20)  # 20 x 20 pixels


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    path = solids.saved(tmp_path_factory.mktemp("brick"), solids.brick(), "brick.obj")
    return load(str(path), ReadOptions(downscale=8))


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
    assert any("12 triangles in 1 parts" in fact.text for fact in scene.facts)
    assert any("+Z is assumed to be up" in fact.text for fact in scene.facts)


def test_the_box_has_the_margin_and_its_longest_side_is_one(scene):
    low, high = scene.box.double()
    assert torch.allclose(high - low, torch.tensor([1.08, 2.08, 4.08], dtype=torch.float64) / 4.08, atol=1e-6)
    assert torch.allclose((low + high) / 2, torch.full((3,), 0.5, dtype=torch.float64))
    assert scene.unit == pytest.approx(4.08)


def test_the_transform_takes_corners_to_the_box(scene):
    points = torch.from_numpy(solids.LONG) @ scene.transform[:3, :3].T + scene.transform[:3, 3]
    inner = scene.box.double() + torch.tensor([[1], [-1]]) * 0.04 / 4.08
    assert torch.allclose(torch.stack([points.amin(0), points.amax(0)]), inner, atol=1e-6)
    back = (points - scene.transform[:3, 3]) @ torch.linalg.inv(scene.transform[:3, :3]).T
    assert np.allclose(back.numpy(), solids.LONG, atol=1e-12)


def test_gltf_is_turned_to_stand_upright(tmp_path):
    scene = load(str(solids.saved(tmp_path, solids.brick(), "brick.glb")), SMALL)
    turn = scene.transform[:3, :3] * scene.unit
    assert torch.allclose(turn @ torch.tensor([0.0, 1, 0], dtype=torch.float64), torch.tensor([0.0, 0, 1]).double())
    assert torch.allclose(turn @ turn.T, torch.eye(3, dtype=torch.float64))
    assert float(turn.det()) == pytest.approx(1)
    extent = (scene.box[1] - scene.box[0]) * 4.08 - 0.08
    assert torch.allclose(extent, torch.tensor([1.0, 4.0, 2.0]), atol=1e-5)
    points = torch.from_numpy(solids.LONG) @ scene.transform[:3, :3].T + scene.transform[:3, 3]
    assert (points > scene.box[0]).all()
    assert (points < scene.box[1]).all()
    assert any("+Y is up" in fact.text for fact in scene.facts)


def test_the_silhouette_is_where_the_corners_are(scene):
    """Pictures, cameras and transform agree: each picture's solid part has the bounds of the projected brick."""
    points = (torch.from_numpy(solids.LONG) @ scene.transform[:3, :3].T + scene.transform[:3, 3]).float()
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
    scene = load(str(solids.saved(tmp_path, flat, "flat.obj")), SMALL)
    assert torch.allclose(scene.box[1] - scene.box[0], torch.tensor([1.0, 1.04 / 2.04, 0.04 / 2.04]), atol=1e-6)
    assert sum(bool(view.image[..., 3].any()) for view in scene.train) > 80


def test_a_texture_is_seen_upright_in_the_pictures(tmp_path):
    """A wall in the file's xy plane, which glTF stands upright: its picture, seen from the front, shows the stamp."""
    wall = trimesh.Trimesh(
        [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]],
        [[0, 1, 2], [0, 2, 3]],
        visual=TextureVisuals([[0, 0], [1, 0], [1, 1], [0, 1]], material=PBRMaterial(baseColorTexture=solids.STAMP)),
        process=False,
    )
    scene = load(str(solids.saved(tmp_path, wall, "wall.glb")), ReadOptions(downscale=8))
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
    assert any("texture 100%" in fact.text for fact in scene.facts)


def test_large_textures_are_reduced_to_what_pixels_show():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8))
    corners = np.array([[[0.0, 0, 0], [1, 0, 0], [1, 1, 0]], [[0, 0, 0], [1, 1, 0], [0, 1, 0]]])
    uv = corners[..., :2].astype(np.float32)
    for pixel, size in ((1 / 300, 256), (1 / 128, 128), (1 / 63, 64), (2.0, 1)):
        assert mesh.shrunk(noise, corners, uv, pixel).shape == (size, size, 3)
        assert mesh.shrunk(noise, corners, 2 * uv, pixel / 2).shape == (size, size, 3)  # twice as often, half as large
    assert abs(float(mesh.shrunk(noise, corners, uv, 2.0).mean()) - np.asarray(noise).mean()) < 1


def test_parts_that_share_a_picture_share_the_texture(tmp_path):
    whole, shared = trimesh.Scene(), PBRMaterial(baseColorTexture=solids.STAMP)
    other = PBRMaterial(baseColorTexture=solids.STAMP.transpose(Image.Transpose.ROTATE_180))
    for k, material in enumerate((shared, other, shared)):
        whole.add_geometry(solids.brick(visual=TextureVisuals(solids.UV, material=material)), node_name=str(k))
    found = contents(solids.saved(tmp_path, whole, "three.glb")).parts
    corners = np.concatenate([part.corners for part in found])
    one = mesh.surfaced(found, (corners - 20) / 50, 1e-3)
    assert len(one.textures) == 2
    assert sorted(np.bincount(one.texture).tolist()) == [12, 24]


def test_degenerate_triangles_are_dropped_and_told(tmp_path):
    faces = np.concatenate([solids.CUBE_FACES, [[0, 0, 1], [2, 2, 2], [0, 3, 3]]])
    path = solids.saved(tmp_path, trimesh.Trimesh(solids.LONG, faces, process=False), "m.ply")
    scene = load(str(path), SMALL)
    assert any("12 triangles in 1 parts; 3 degenerate ones were dropped" in fact.text for fact in scene.facts)


def test_coordinates_far_from_the_origin_and_of_any_size(tmp_path):
    pictures = []
    for k, (scale, shift) in enumerate([(1.0, 0.0), (1e-14, 0.0), (1e12, 0.0), (1.0, 1e7)]):
        path = tmp_path / f"{k}.obj"
        rows = [f"v {x!r} {y!r} {z!r}" for x, y, z in (solids.CUBE * scale + shift).tolist()]
        path.write_text("\n".join([*rows, *("f {} {} {}".format(*(face + 1)) for face in solids.CUBE_FACES)]))
        pictures.append(torch.stack([view.image for view in load(str(path), SMALL).train]))
    for other in pictures[1:]:
        assert (pictures[0].int() - other.int()).abs().float().mean() < 0.05  # levels; ties at edges may differ


def test_a_mesh_too_small_to_save_a_model_of_is_refused_before_it_is_drawn(tmp_path):
    path = tmp_path / "m.obj"
    path.write_text("v 0 0 0\nv 1e-30 0 0\nv 0 1e-30 0\nf 1 2 3\n")
    with pytest.raises(SceneError, match=r"the mesh is 1e-30 units long; wanted 2e-15 to 5e\+14"):
        load(str(path), SMALL)


def test_too_much_downscaling_is_told(tmp_path):
    path = solids.saved(tmp_path, solids.brick(), "m.obj")
    with pytest.raises(SceneError, match="downscale 64 leaves 6 pixels; wanted at least 8"):
        load(str(path), ReadOptions(downscale=64))
    assert load(str(path), ReadOptions(max_resolution=16)).train[0].camera.size == (16, 16)


def test_a_folder_named_as_a_mesh_is_none(tmp_path):
    (tmp_path / "m.obj").mkdir()
    with pytest.raises(SceneError, match="folder is empty"):
        load(str(tmp_path / "m.obj"), SMALL)


@pytest.mark.parametrize(
    ("up", "sides"),
    [("x", (4, 2, 1)), ("-x", (4, 2, 1)), ("y", (1, 4, 2)), ("-y", (1, 4, 2)), ("z", (1, 2, 4)), ("-z", (1, 2, 4))],
)
@pytest.mark.parametrize("name", ["brick.obj", "brick.glb"])
def test_the_axis_that_is_up(tmp_path, name, up, sides):
    scene = load(str(solids.saved(tmp_path, solids.brick(), name)), ReadOptions(downscale=40, up=up))
    assert torch.allclose((scene.box[1] - scene.box[0]) * 4.08 - 0.08, torch.tensor(sides).float(), atol=1e-5)
    axis = torch.zeros(3, dtype=torch.float64)
    axis["xyz".index(up[-1])] = -1 if up.startswith("-") else 1
    turn = scene.transform[:3, :3] * scene.unit
    assert torch.allclose(turn @ axis, torch.tensor([0.0, 0, 1], dtype=torch.float64))
    assert float(turn.det()) == pytest.approx(1)
    sign = up.upper() if up.startswith("-") else f"+{up.upper()}"
    assert any(fact.text == f"axes: {sign} is up, as --up says" for fact in scene.facts)


def test_the_maker_of_an_obj_says_which_axis_is_up(tmp_path):
    path = solids.saved(tmp_path, solids.brick(), "brick.obj")
    path.write_text("# Blender 4.2.0\n" + path.read_text())
    found = mesh.survey(str(path), ReadOptions())
    assert any("+Y is assumed to be up, as Blender exports it" in fact for fact in found.facts)
    scene = load(str(path), ReadOptions(downscale=40))
    assert torch.allclose((scene.box[1] - scene.box[0]) * 4.08 - 0.08, torch.tensor([1.0, 4, 2]), atol=1e-5)
    scene = load(str(path), ReadOptions(downscale=40, up="z"))
    assert torch.allclose((scene.box[1] - scene.box[0]) * 4.08 - 0.08, torch.tensor([1.0, 2, 4]), atol=1e-5)


@pytest.mark.parametrize("up", ["auto", "y", "-x"])
def test_every_way_to_read_data_says_which_axis_is_up(up):
    flags = eval_scene.Flags(Path("m.safetensors"), "m.obj", up=up)
    settings = Settings(up=up), ConversionSettings(to="mlp", up=up), ViewSettings(settings=Settings(up=up)).settings
    assert [one.pictures().up for one in settings] == [up] * 3
    assert eval_scene.options(flags).up == up
    assert CompareWith("m.obj", up=up).up == up


def inspect(monkeypatch, *words):
    """Run inspect-scene in this process; its exit status."""
    monkeypatch.setattr(sys, "argv", ["inspect-scene", *map(str, words)])
    with pytest.raises(SystemExit) as caught:
        inspect_scene.main()
    return caught.value.code


def test_inspect_scene_tells_of_a_mesh_without_drawing_it(tmp_path, monkeypatch, capsys):
    def draw(*_):
        raise AssertionError("a picture was drawn")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mesh, "draw", draw)
    path = solids.saved(tmp_path, solids.brick(), "brick.obj")
    assert inspect(monkeypatch, path, "--up", "-y", "--downscale", 2) == 0
    said = " ".join(capsys.readouterr().out.split())
    for words in (
        "triangles 12 in 1 parts",
        "size 1 x 2 x 4,",
        "watertight",
        "textures none",
        "-Y is up, as --up says",
    ):
        assert words in said
    assert f"next train-scene {path} --downscale 2 --up=-y" in said
    assert not (tmp_path / "runs").exists()


def test_inspect_scene_tells_of_a_mesh_for_programs(tmp_path, monkeypatch, capsys):
    path = solids.saved(tmp_path, solids.brick(), "brick.stl")
    assert inspect(monkeypatch, path, "--json") == 0
    values = json.loads(capsys.readouterr().out)
    assert (values["format"], values["triangles"], values["watertight"], values["holes"]) == ("mesh", 12, True, 0)
    assert values["high"] == [11, 22, 34]
    assert values["command"] == f"train-scene {path}"


def test_inspect_scene_examines_the_pictures_of_a_mesh_where_that_is_asked(tmp_path, monkeypatch, capsys):
    path = solids.saved(tmp_path, solids.brick(), "brick.glb")
    monkeypatch.setattr(
        sys, "argv", ["inspect-scene", str(path), "--pictures", "--downscale", "10", "--json", "--out", str(tmp_path)]
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
