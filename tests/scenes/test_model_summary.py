"""What is said to a person about a model file, and what is not made up where the file does not say it."""

import base64
import io
import math
import shlex

import pytest
import torch
from analytic import block_bits, block_field, block_header
from PIL import Image

from fields.files import Header, Model, save
from scenes import model_summary

MADE = {
    "recipe": {"data": "builtin:60", "preset": "tiny"},
    "command": ["train-scene", "builtin:60", "--out", "my run"],
    "date": "2026-11-29T10:25:03+00:00",
    "versions": {"polyfield": "0.1.0"},
    "steps": 563,
    "train_seconds": 15.006,
}
TAKEN = {"psnr": 27.792, "ssim": 0.91219, "scored_on": "8 test pictures", "frame_ms_median": 10.7, "device": "cpu"}


def told(tmp_path, **changes) -> dict[str, str]:
    path = tmp_path / "a model.safetensors"
    model = Model(block_field(), block_bits(), block_header(**changes))
    save(path, model)
    return dict(model_summary.facts(model, path))


def test_all_that_a_file_says(tmp_path):
    said = told(tmp_path, provenance=MADE, metrics=TAKEN)
    assert said["field"] == "hashgrid tiny"
    assert said["quality"] == "27.79 dB, SSIM 0.912, on 8 test pictures"
    assert said["frame"] == "11 ms on cpu"
    assert said["of"] == "builtin:60"
    assert said["made by"] == "train-scene builtin:60 --out 'my run'"
    assert said["learnt"] == "15 s, 563 steps"
    assert said["on"] == "2026-11-29 10:25, by Polyfield 0.1.0"
    for name, command in (("look", "view-scene"), ("draw", "render-scene"), ("convert", "convert-scene")):
        assert shlex.split(said[name])[:2] == [command, str(tmp_path / "a model.safetensors")]


@pytest.mark.parametrize("strange", [{}, {"recipe": 3, "command": "x", "date": 5, "steps": "many", "versions": None}])
def test_what_it_does_not_say_is_left_out(tmp_path, strange):
    said = told(tmp_path, provenance=strange, metrics={"psnr": "good", "preset": None})
    assert said["field"] == "hashgrid"
    assert said["quality"].startswith("never scored: eval-scene")
    assert not {"of", "made by", "learnt", "on", "frame"} & said.keys()


def picture(width: int, height: int) -> str:
    """Red above, blue below, as a file carries it."""
    image, content = Image.new("RGB", (width, height), (255, 0, 0)), io.BytesIO()
    image.paste((0, 0, 255), (0, height // 2, width, height))
    image.save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


def test_the_thumbnail_keeps_its_shape_and_colours():
    text = model_summary.thumbnail(header(picture(96, 64)))
    assert text is not None
    lines = text.plain.splitlines()
    assert [len(line) for line in lines] == [48] * 16
    styles = [str(span.style) for span in text.spans]
    assert styles[0] == "#ff0000 on #ff0000"
    assert styles[-1] == "#0000ff on #0000ff"


CUT = base64.b64encode(base64.b64decode(picture(64, 64))[:60]).decode()


@pytest.mark.parametrize("content", ["", "not base64!", base64.b64encode(b"no picture").decode(), CUT, 5, None])
def test_a_file_without_a_picture_has_none(content):
    assert model_summary.thumbnail(header(content)) is None


def test_a_picture_that_would_fill_the_memory_is_none(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert model_summary.thumbnail(header(picture(96, 64))) is None


@pytest.mark.parametrize("number", [0.0, math.nan, math.inf])
def test_a_transform_that_makes_no_sense(number):
    one = block_header(transform=torch.diag(torch.tensor([number, 1.0, 1.0, 1.0])).tolist())
    assert model_summary.place(one).startswith("unknown")


def header(thumbnail: str) -> Header:
    return block_header(thumbnail=thumbnail)


def test_the_place_is_in_the_units_of_the_input():
    one = block_header(
        transform=(torch.diag(torch.tensor([0.5, 0.5, 0.5, 1.0]))).tolist(), box=[[0, 0, 0], [1, 1, 0.5]]
    )
    assert model_summary.place(one) == "2 x 2 x 1 of your units"


def test_numbers_that_no_model_has_are_not_told(tmp_path):
    huge = {"psnr": 10**400, "ssim": True, "frame_ms_median": 10**400}
    said = told(tmp_path, metrics=huge, provenance={"train_seconds": 10**400, "steps": 3})
    assert said["quality"].startswith("never scored")
    assert not {"frame", "learnt"} & said.keys()


def test_a_picture_of_many_pixels_is_not_decoded(monkeypatch):
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("decoded"))
    assert model_summary.thumbnail(header(picture(2000, 1000))) is None
