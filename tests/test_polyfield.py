"""The Python surface: what it gives agrees with the folders', in the input's own coordinates."""

from pathlib import Path

import numpy as np
import pytest
import torch
from analytic import BLOCK, BLOCK_RGB, BLOCK_SIGMA, TRANSFORM, G, block_file

import polyfield
from render.model import open_model

CPU = torch.device("cpu")
BACK = np.linalg.inv(TRANSFORM.numpy())  # scene units to input coordinates
UNIT = 4.0  # length of a scene unit in input units, as analytic.TRANSFORM scales by 0.25


def to_input(points):
    """Scene units (N, 3) to input coordinates."""
    return points @ BACK[:3, :3].T + BACK[:3, 3]


@pytest.fixture
def path(tmp_path):
    return str(block_file(tmp_path / "block.safetensors"))


@pytest.fixture
def drawn(path):
    """Eight pictures of the block, all around, with their poses and lens."""
    model = polyfield.open(path)
    first, middle = model.cameras[0], model.box.mean(0)
    turns = [torch.tensor([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]) for a in range(8)]
    poses = np.stack([first.pose.numpy()] * 8)
    for pose, turn in zip(poses, turns, strict=True):
        pose[:3, :3] = turn.numpy() @ pose[:3, :3]
        pose[:3, 3] = turn.numpy() @ (pose[:3, 3] - middle) + middle
    images = np.stack([model.image(polyfield.Camera(torch.tensor(p), first.intrinsics, first.size)) for p in poses])
    return images, poses, first.intrinsics


def test_a_picture_is_the_renderer_s(path):
    model, loaded = polyfield.open(path), open_model(Path(path), CPU)
    for camera, same in zip(model.cameras, loaded.train_cameras, strict=True):
        want = loaded.image(same).pixels.over(torch.tensor(loaded.header.background)).clamp(0, 1).numpy()
        np.testing.assert_allclose(model.image(camera), want, atol=2e-3)  # poses go to input coordinates and back
    assert model.image(model.cameras[0]).dtype == np.float32


def test_a_background_is_taken(path):
    model = polyfield.open(path)
    black, white = (model.image(model.cameras[0], background=(g, g, g)) for g in (0.0, 1.0))
    assert black[0, 0].tolist() == [0, 0, 0] and white[0, 0].tolist() == [1, 1, 1]


def test_depth_is_in_input_units(path):
    model, loaded = polyfield.open(path), open_model(Path(path), CPU)
    want = loaded.image(loaded.train_cameras[0]).pixels.depth.numpy() * UNIT
    got = model.depth(model.cameras[0])
    assert got.max() > 1
    seen = (got > 0) & (want > 0)
    np.testing.assert_allclose(got[seen], want[seen], rtol=2e-2)


def test_density_and_color_are_asked_in_input_coordinates(path):
    model = polyfield.open(path)
    inside = to_input(BLOCK.numpy().mean(0, keepdims=True) / G)
    outside = to_input(np.array([[0.02, 0.02, 0.02], [7.0, 0.0, 0.0]]))
    np.testing.assert_allclose(model.density(inside), [BLOCK_SIGMA / UNIT], rtol=1e-2)
    assert model.density(outside).tolist() == [0, 0]
    np.testing.assert_allclose(model.color(inside, [[0.0, 0.6, 0.8]]), [BLOCK_RGB], atol=1e-2)
    assert model.density(np.zeros((0, 3))).shape == (0,)


def test_the_box_holds_what_is_there(path):
    model = polyfield.open(path)
    corners = to_input(np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]))
    np.testing.assert_allclose(model.box, [corners.min(0), corners.max(0)], atol=1e-5)


def test_a_notebook_shows_figures(path):
    assert "hashgrid" in polyfield.open(path)._repr_html_()
    assert "<script" not in polyfield.open(path)._repr_html_()


def test_arrays_train_and_convert_and_nothing_is_written(drawn, tmp_path, monkeypatch):
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    images, poses, lens = drawn
    scene = polyfield.scene(images, poses, lens)
    assert len(scene.train) + len(scene.test) == 8
    learning = polyfield.train(scene, arch="hashgrid", preset="tiny", batch=2048, steps=12)
    steps = list(learning)
    assert [step.index for step in steps] == list(range(12))
    assert learning.metrics["steps"] == 12 and learning.metrics["psnr"] > 5
    student = polyfield.convert(learning.model, to="mlp", preset="tiny", batch=1024, steps=6)
    model = student.finish()
    assert " dB" in model._repr_html_() and "<img src='data:image/png;base64,iVBOR" in model._repr_html_()
    said = model.loaded.header.provenance
    assert said["recipe"]["teacher"] == student.metrics["teacher"]["file"] == "memory"  # no file that is gone
    assert "memory.safetensors" not in str(said)
    with pytest.raises(ValueError, match=r"^memory: is already of this shape, hashgrid tiny"):
        polyfield.convert(learning.model, to="hashgrid", preset="tiny")
    assert student.metrics["steps"] == 6 and model.image(model.cameras[0]).shape == (24, 32, 3)
    assert not list(empty.iterdir())
    assert model.save(str(tmp_path / "student.safetensors")) == (tmp_path / "student.safetensors").stat().st_size
    again = polyfield.open(str(tmp_path / "student.safetensors"))
    np.testing.assert_array_equal(again.image(again.cameras[0]), model.image(model.cameras[0]))


def test_a_step_can_be_the_last(drawn):
    learning = polyfield.train(polyfield.scene(*drawn), preset="tiny", batch=2048, steps=50)
    for step in learning:
        if step.index == 3:
            break
    assert learning.model.image(learning.model.cameras[0]).shape == (24, 32, 3)


def test_what_does_not_fit_is_told(drawn, tmp_path):
    images, poses, lens = drawn
    with pytest.raises(ValueError, match="8 pictures, 7 poses"):
        polyfield.scene(images, poses[:7], lens)
    with pytest.raises(TypeError, match="stepps"):
        polyfield.train("builtin:32", stepps=3)
    with pytest.raises(ValueError, match="did you mean 'hashgrid'"):
        polyfield.train("builtin:32", arch="hasgrid")
    with pytest.raises(OSError, match="nowhere"):
        polyfield.open(str(tmp_path / "nowhere.safetensors"))
