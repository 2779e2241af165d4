"""How formats are found and told apart; and that a new one is one file, whose data open, are inspected and trained."""

import json
import sys

import drawn
import pytest
import torch

from distill import train_scene
from render.camera import Intrinsics
from scenes import formats, inspect_scene
from scenes.assemble import load
from scenes.options import ReadOptions
from scenes.paths import look

READER = '''
"""Reader of FOLDER/cameras.list: a picture a line, its focal length in pixels, and twelve numbers of its pose."""

from pathlib import Path

import torch

from render.camera import Intrinsics
from scenes.pictures import images
from scenes.posed import Posed, Reading, take_out_scale
from scenes.scene import Fact

TAKES = "a folder with cameras.list"


def matches(data):
    return 3 * (Path(data) / "cameras.list").is_file()


def read(data, options):
    file, pictures = Path(data) / "cameras.list", []
    for line in file.read_text().splitlines():
        name, focal, *numbers = line.split()
        pose = torch.tensor([*map(float, numbers), 0, 0, 0, 1], dtype=torch.float64).reshape(4, 4)
        (pose,), _ = take_out_scale([pose], [f"{file}: {name}"])
        (size,) = (head.size for head in images.headers([file.parent / name]))
        lens = Intrinsics(float(focal), float(focal), size[0] / 2, size[1] / 2)
        pictures.append(Posed(name, file.parent / name, pose, lens, size))
    return Reading(file.parent.name, str(file), tuple(pictures), (Fact("assumed", "axes: OpenGL"),))
'''


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A data set in a format that only this test knows; its reader's file is all that is added."""
    readers, data = tmp_path / "readers", tmp_path / "data"
    readers.mkdir()
    (readers / "toy.py").write_text(READER)
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(readers)])
    monkeypatch.delitem(sys.modules, "scenes.formats.toy", raising=False)
    lines = []
    for i, pose in enumerate(drawn.ring(10)):
        drawn.save(data / f"{i}.png", drawn.picture(pose, Intrinsics(90, 90, 30, 30), (60, 60)))
        lines.append(" ".join([f"{i}.png", "90", *(f"{v:.9g}" for v in pose[:3].flatten().tolist())]))
    (data / "cameras.list").write_text("\n".join(lines))
    yield data
    sys.modules.pop("scenes.formats.toy", None)


def run(monkeypatch, command, *words):
    """A command in this process; it must succeed."""
    monkeypatch.setattr(sys, "argv", ["command", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        command.main()
    assert not end.value.code


def test_the_formats_are_the_files():
    assert formats.list_names() == ["blender", "builtin", "mesh", "transforms"]
    for name in formats.list_names():
        assert formats.module(name).TAKES in formats.describe_all()


def test_a_new_format_is_one_file(toy, tmp_path, monkeypatch, capsys):
    assert (look(str(toy)).kind, look(str(toy)).format) == ("scene", "toy")
    scene = load(str(toy), ReadOptions(downscale=2))
    assert (len(scene.train), len(scene.test), scene.transparent) == (8, 2, True)
    assert scene.train[0].camera.size == (30, 30)
    assert scene.train[0].camera.intrinsics.fx == 45
    assert next(fact.text for fact in scene.facts if fact.kind == "assumed") == "axes: OpenGL"

    run(monkeypatch, inspect_scene, toy, "--json", "--out", tmp_path / "seen")
    told = json.loads(capsys.readouterr().out)
    assert (told["format"], told["train"], told["test"]) == ("toy", 8, 2)
    assert "axes: OpenGL" in told["facts"]

    words = ["--preset", "tiny", "--batch", "1024", "--steps", "1", "--json"]
    run(monkeypatch, train_scene, toy, *words, "--out", tmp_path / "run")
    assert json.loads(capsys.readouterr().out)["steps"] == 1


def test_a_missing_format_is_asked_for_in_its_readers_words(toy):
    with pytest.raises(ValueError, match=r"no such file or folder; wanted a data set \(.*a folder with cameras\.list"):
        load(str(toy / "gone"), ReadOptions())


def test_the_surest_reader_reads(tmp_path):
    drawn.transforms(tmp_path)
    assert look(str(tmp_path)).format == "transforms"
    drawn.blender(tmp_path)
    assert look(str(tmp_path)).format == "blender"


def test_a_json_file_is_a_scene_where_it_holds_frames(tmp_path):
    drawn.write(tmp_path / "any.json", {"frames": []})
    drawn.write(tmp_path / "none.json", {"some": 1})
    assert look(str(tmp_path / "any.json")).format == "transforms"
    assert look(str(tmp_path / "none.json")).kind == "nothing"


def test_poses_are_not_turned_on_the_way(toy):
    scene = load(str(toy), ReadOptions())
    back = torch.linalg.inv(scene.transform)
    for view in scene.train:
        there = drawn.ring(10)[int(view.name.removesuffix(".png"))]
        here = back @ torch.cat([view.camera.pose[:3, 3].double(), torch.ones(1)])
        torch.testing.assert_close(here[:3].float(), there[:3, 3], atol=1e-5, rtol=0)
        torch.testing.assert_close(view.camera.pose[:3, :3], there[:3, :3], atol=1e-5, rtol=0)
