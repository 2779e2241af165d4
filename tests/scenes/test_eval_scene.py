"""eval-scene: cameras in the model's units, what it writes, and every bad input."""

import json
import sys
from pathlib import Path

import pytest
import torch
from analytic import TRANSFORM, UNIT_BOX, Ball, block_file, block_header, camera, full_grid, loaded
from PIL import Image

from render.camera import Camera, moved
from render.renderer import Renderer
from scenes import eval_scene
from scenes.eval_scene import Flags, choose_out, picture_name, trained_on
from scenes.options import SceneError
from scenes.scene import Scene, View, carry_views

WHITE = (1.0, 1.0, 1.0)


def command(monkeypatch, *words):
    """Run eval-scene in this process; its exit status."""
    monkeypatch.setattr(sys, "argv", ["eval-scene", *map(str, words)])
    with pytest.raises(SystemExit) as caught:
        eval_scene.main()
    return caught.value.code


def copy_of_the_data(scale, shift):
    """A scene that shows a ball as the model has it, read by somebody whose scene units are others: its transform is
    the model's, scaled and shifted, and its cameras stand accordingly."""
    other = torch.eye(4, dtype=torch.float64)
    other[:3, :3] *= scale
    other[:3, 3] = torch.tensor(shift)
    ball, views = Ball(30.0), []
    for i in range(3):
        one = camera(azimuth=0.4 + i)
        image = torch.cat(pixels_of(ball, one), -1)
        there = Camera(moved(one.pose, other), one.intrinsics, one.size)
        views.append(View(there, image, torch.ones(24, 32, dtype=torch.bool), f"test/{i}.png"))
    return Scene("copy", (), tuple(views), UNIT_BOX, other @ TRANSFORM, WHITE, True, ())


def pixels_of(ball, one):
    """A photograph of the ball, colour and straight alpha (H, W, 3) and (H, W, 1) uint8."""
    alpha = Renderer().image(ball, full_grid(), one).pixels.opacity[..., None]
    return (ball.rgb.detach() * 255).round().expand(24, 32, 3).to(torch.uint8), (alpha * 255).round().to(torch.uint8)


def drawing(monkeypatch, scene):
    """Let the command open a ball as its model, and this scene as its data."""
    monkeypatch.setattr(eval_scene, "require_path", lambda path: None)
    monkeypatch.setattr(eval_scene, "require_named", lambda text, wanted: None)
    monkeypatch.setattr("render.model.open_model", lambda *_: loaded(Ball(30.0)))
    monkeypatch.setattr("scenes.assemble.load", lambda *_: scene)


def test_cameras_of_another_copy_are_carried_into_the_models_units():
    model, scene = loaded(Ball()), copy_of_the_data(3.0, [5.0, -2.0, 1.0])
    views = carry_views(scene, model.transform, "test")
    for i, view in enumerate(views):
        assert not torch.allclose(scene.test[i].camera.pose, camera(azimuth=0.4 + i).pose, atol=0.1)
        torch.testing.assert_close(view.camera.pose, camera(azimuth=0.4 + i).pose, atol=1e-5, rtol=0)  # float32 near 9
        assert view.camera.intrinsics == scene.test[i].camera.intrinsics
        assert view.image is scene.test[i].image
        assert view.name == scene.test[i].name


def test_a_rescaled_copy_scores_as_the_original(monkeypatch, tmp_path, capsys):
    drawing(monkeypatch, copy_of_the_data(3.0, [5.0, -2.0, 1.0]))
    assert command(monkeypatch, tmp_path / "m", "data", "--out", tmp_path / "out", "--json") == 0
    said = capsys.readouterr()
    record = json.loads(said.out)
    # 8-bit photographs of the same renderer: poses differ by float32 rounding, which moves a few rim samples by a step
    assert record["psnr"] > 45
    assert record["ssim"] > 0.99
    assert [i["name"] for i in record["images"]] == ["test/0.png", "test/1.png", "test/2.png"]
    assert record["scored_on"] == "3 test pictures, 32 x 24, on background 1 1 1, sRGB values"
    assert record["frame_ms_median"] > 0
    assert "scoring" in said.err
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == record


def test_models_that_share_a_folder_are_scored_into_folders_of_their_own():
    assert choose_out(Path("runs/chair/model.safetensors")) == Path("runs/chair/eval")
    assert choose_out(Path("scan.v1.safetensors")) == Path("scan.v1_eval")
    assert choose_out(Path("scan.v2.safetensors")) == Path("scan.v2_eval")


def test_it_writes_pictures_sheet_and_a_table(monkeypatch, tmp_path, capsys):
    drawing(monkeypatch, copy_of_the_data(1.0, [0.0, 0.0, 0.0]))
    assert command(monkeypatch, tmp_path / "model.safetensors", "data") == 0
    out = tmp_path / "eval"  # beside the model
    assert sorted(p.name for p in (out / "images").iterdir()) == ["test_0.png", "test_1.png", "test_2.png"]
    with Image.open(out / "images" / "test_1.png") as picture:
        assert picture.size == (32, 24)
    with Image.open(out / "test_sheet.png") as picture:
        assert picture.size[0] == 4 * 36
    said = capsys.readouterr().out
    for words in ("test/2.png", "mean", "PSNR", f"wrote {out}\n"):
        assert words in said


def test_a_moved_camera_scores_worse(monkeypatch, tmp_path, capsys):
    """The scores above could tell a wrong pose: one scene unit in fifty aside is far below them."""
    scene = copy_of_the_data(1.0, [0.0, 0.0, 0.0])
    shifted = Scene(**{**vars(scene), "transform": scene.transform + torch.eye(4).double().roll(3, 1) * 0.02})
    drawing(monkeypatch, shifted)
    assert command(monkeypatch, tmp_path / "m", "data", "--out", tmp_path / "out", "--json") == 0
    assert json.loads(capsys.readouterr().out)["psnr"] < 30


def test_pictures_of_two_folders_do_not_meet():
    names = ["a/0001.png", "b/0001.png", "./0001.png", "../images/0001.jpg", "/data/0001.png", "r_1", "v1.2/x.y.png"]
    files = [picture_name(name) for name in names]
    assert files == [
        "a_0001.png", "b_0001.png", "0001.png", "images_0001.png", "data_0001.png", "r_1.png", "v1.2_x.y.png"
    ]  # fmt: skip


def test_a_split_without_pictures_is_one_line(monkeypatch, tmp_path, capsys):
    drawing(monkeypatch, copy_of_the_data(1.0, [0.0, 0.0, 0.0]))
    assert command(monkeypatch, tmp_path / "m", "data", "--split", "train") == 2
    assert capsys.readouterr().err == "eval-scene: copy: has no train pictures\n"
    assert list(tmp_path.iterdir()) == []


def test_names_that_look_like_markup_are_shown_as_they_are(monkeypatch, tmp_path, capsys):
    scene = copy_of_the_data(1.0, [0.0, 0.0, 0.0])
    odd = View(scene.test[0].camera, scene.test[0].image, scene.test[0].valid, "x[red]y[/z].png")
    drawing(monkeypatch, Scene(**{**vars(scene), "test": (odd,)}))
    assert command(monkeypatch, tmp_path / "m", "data") == 0
    assert "x[red]y[/z].png" in capsys.readouterr().out


@pytest.mark.parametrize(
    "provenance",
    [{}, {"recipe": None}, {"recipe": {"data": "/photos/garden"}}, {"recipe": {"data": 3}}, {"recipe": "x"}],
)
def test_without_data_only_the_builtin_scene_is_known(provenance, monkeypatch, tmp_path, capsys):
    path = block_file(tmp_path / "m.safetensors", provenance=provenance)
    assert command(monkeypatch, path) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"eval-scene: {path}: was trained on ")
    assert said.endswith("not the built-in scene: give DATA\n")
    assert said.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


def test_the_builtin_scene_is_found_in_the_recipe(tmp_path):
    header = block_header(provenance={"recipe": {"data": "builtin:48"}})
    model = type(loaded(Ball()))(**{**vars(loaded(Ball())), "header": header})
    assert trained_on(model, Flags(tmp_path)) == "builtin:48"


def test_out_is_a_file(monkeypatch, tmp_path, capsys):
    drawing(monkeypatch, copy_of_the_data(1.0, [0.0, 0.0, 0.0]))
    (tmp_path / "out").write_text("mine")
    assert command(monkeypatch, tmp_path / "m", "data", "--out", tmp_path / "out") == 2
    assert capsys.readouterr().err == f"eval-scene: {tmp_path / 'out'}: is a file; --out wants a folder\n"
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.safetensors", "builtin"], "none.safetensors: no such file or folder; did you mean 'm.safetensors'?"),
        (["m.safetensors", "nowhere"], "nowhere: no such file or folder; wanted a data set or a mesh"),
        (["m.safetensors", "m.safetensors"], "m.safetensors: is a model file; wanted a data set ("),
        (["m.safetensors", "builtin:48", "--downscale", "0"], "--downscale must be 1 to 64, found 0"),
        (["cut.safetensors", "builtin"], "cut.safetensors: truncated or damaged"),
    ],
)
def test_bad_inputs_are_one_line(words, message, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    whole = block_file(tmp_path / "m.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:-9])
    before = sorted(tmp_path.rglob("*"))
    assert command(monkeypatch, *words) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"eval-scene: {message}")
    assert said.err.count("\n") == 1
    assert said.out == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_a_scene_that_cannot_be_read_says_so(monkeypatch, tmp_path, capsys):
    drawing(monkeypatch, None)

    def refuse(*_):
        raise SceneError("transforms.json: frame 3 has no 'transform_matrix'")

    monkeypatch.setattr("scenes.assemble.load", refuse)
    assert command(monkeypatch, tmp_path / "m", "data", "--json") == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "eval-scene: transforms.json: frame 3 has no 'transform_matrix'\n")
