import dataclasses
import json
import sys

import drawn
import pytest
import torch
from PIL import Image

from fields import files, module
from fields.shape import Shape
from fields.space import Space
from scenes import inspect_scene


def command(monkeypatch, *words):
    """Run inspect-scene in this process; its exit status."""
    monkeypatch.setattr(sys, "argv", ["inspect-scene", *map(str, words)])
    with pytest.raises(SystemExit) as caught:
        inspect_scene.main()
    return caught.value.code


def test_it_tells_and_draws(tmp_path, monkeypatch, capsys):
    data, out = drawn.blender(tmp_path / "data"), tmp_path / "out"
    assert command(monkeypatch, data, "--out", out) == 0
    said = capsys.readouterr().out
    for words in ("10 train, 3 test", "48 x 48", "visual hull", "cross the core", f"train-scene {data}"):
        assert words in said
    with Image.open(out / "cameras.png") as picture:
        assert picture.size == (2700, 900)
        assert picture.mode == "RGB"
    with Image.open(out / "contact_sheet.png") as picture:
        assert picture.mode == "RGB"
    for words in ("will this work  yes, but ...", "only 10 pictures to train on -> take more", "contact_sheet.png"):
        assert words in said
    assert "seen from all around; largest gap 36 degrees" in " ".join(said.split())


def test_json_is_all_that_it_prints(tmp_path, monkeypatch, capsys):
    data = drawn.blender(tmp_path / "data")
    assert command(monkeypatch, data, "--json", "--out", tmp_path) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["format"] == "blender"
    assert values["picture"] == str(tmp_path / "cameras.png")
    assert values["contact_sheet"] == str(tmp_path / "contact_sheet.png")
    assert values["verdict"]["answer"] == "yes, but"
    few = {"weight": "limits", "text": "only 10 pictures to train on"}
    assert any(few.items() <= reason.items() for reason in values["verdict"]["reasons"])
    assert values["coverage"]["words"].startswith("seen from all around")


def test_it_goes_on_past_missing_pictures(tmp_path, monkeypatch, capsys):
    data = tmp_path / "a b"
    drawn.transforms(data)
    (data / "images" / "003.png").unlink()
    assert command(monkeypatch, data, "--downscale", 2, "--json", "--out", tmp_path) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["command"] == f"train-scene '{data}' --downscale 2 --skip-missing"
    assert any("1 of 10 pictures are missing: images/003.png" in fact for fact in values["facts"])


def test_the_picture_goes_to_runs_by_default(tmp_path, monkeypatch, capsys):
    data = drawn.blender(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    assert command(monkeypatch, data) == 0
    assert (tmp_path / "runs" / "data" / "cameras.png").is_file()
    assert (tmp_path / "runs" / "data" / "contact_sheet.png").is_file()
    assert "cameras.png" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["gone"], ["gone.safetensors"], ["gone", "--downscale", "0"]])
def test_bad_input_is_one_line_and_status_two(tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    assert command(monkeypatch, *words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("inspect-scene: ")
    assert said.err.count("\n") == 1


def test_out_must_not_be_a_file(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    assert command(monkeypatch, drawn.blender(tmp_path / "data"), "--out", tmp_path / "file") == 2
    assert "expected a folder, found a file" in capsys.readouterr().err


def test_an_open_scene_and_its_warnings(tmp_path, monkeypatch, capsys):
    poses = drawn.ring(12)
    poses[3][:3, 3] = torch.tensor([0.1, 0.1, 0.3])
    poses[6] = poses[5]
    drawn.transforms(tmp_path / "data", poses)
    monkeypatch.setenv("COLUMNS", "300")
    assert command(monkeypatch, tmp_path / "data", "--out", tmp_path) == 0
    said = capsys.readouterr().out
    assert "taken from inside the object or core: 1: images/003.png" in said
    assert "duplicates: 1: images/005.png = images/006.png" in said


@pytest.mark.parametrize("words", [["--json"], []])
def test_a_model_file_tells_what_it_holds(tmp_path, monkeypatch, capsys, generator, words):
    config = module("hashgrid").Config(levels=2, table_bits=8, finest=32)
    field = Shape("hashgrid", config).build(Space(torch.tensor([[0.0] * 3, [1.0, 0.5, 1.0]])), generator)
    header = files.Header(
        architecture="hashgrid",
        config=dataclasses.asdict(config),
        box=field.space.box.tolist(),
        step=0.01,
        cone=0.0,
        resolution=32,
        transform=torch.eye(4).tolist(),
        background=[1.0, 1.0, 1.0],
        metrics={"psnr": 30.5},
    )
    path = tmp_path / "model.safetensors"
    size = files.save(path, files.Model(field, torch.zeros(1, 32**3 // 8, dtype=torch.uint8), header))
    assert command(monkeypatch, path, *words) == 0
    said = capsys.readouterr().out
    if words:
        record = json.loads(said)
        assert record["box"] == [[0, 0, 0], [1, 0.5, 1]]
        assert (record["architecture"], record["parameters"]) == ("hashgrid", field.parameter_count())
        assert (record["bytes"], record["metrics"]) == (size, {"psnr": 30.5})
        return
    words = " ".join(said.split())
    assert f"size {field.parameter_count() / 1e6:.2f} M parameters, {size / 1e6:.1f} MB, float32 weights" in words
    assert "quality 30.50 dB, on unknown pictures" in words
    assert "place 1 x 0.5 x 1 of your units" in words
