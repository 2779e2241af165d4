"""What is known before the work and would fail after it is told before it: names, folders in the way, headers."""

import pytest

from distill.photographs.job import begin
from distill.photographs.settings import Settings
from fields import files
from scenes.assemble import load
from scenes.options import ReadOptions


@pytest.fixture(scope="module")
def scene():
    return load("builtin:32", ReadOptions())


def start(scene, out):
    """A run that is about to take its first step."""
    return begin("builtin:32", Settings(preset="tiny", out=out), lambda lines: None, scene=scene)


def test_nothing_is_left_of_it(scene, tmp_path):
    start(scene, tmp_path / "run")
    assert not [path.name for path in (tmp_path / "run").iterdir() if path.suffix in (".safetensors", ".json", ".png")]


def test_a_name_that_is_too_long(scene, tmp_path):
    out = tmp_path / ("a" * 234 + ".safetensors")  # so is _checkpoint.safetensors after it
    with pytest.raises(OSError, match="too long"):
        start(scene, out)
    assert not list(tmp_path.glob("*a*")) + list(tmp_path.glob(".a*"))


@pytest.mark.parametrize("name", ["metrics.json", "test_sheet.png", "preview.png", "checkpoint.safetensors"])
def test_a_folder_where_a_file_is_to_be(scene, tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match=f"{name}: is a folder, where a file is to be written"):
        start(scene, tmp_path)


def test_a_model_that_would_not_open_again(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LARGEST_HEADER", 1000)
    with pytest.raises(files.ModelError, match=r"/model\.safetensors: not a Polyfield model \(header of \d+ bytes"):
        start(scene, tmp_path)
    assert not list(tmp_path.glob(".model*"))
