"""Opening a model file: what comes back draws, and what is damaged is refused."""

from dataclasses import replace

import pytest
import torch
from analytic import (
    BLOCK_RGB,
    BLOCK_SIGMA,
    TRANSFORM,
    UNIT_BOX,
    block_bits,
    block_bounds,
    block_field,
    block_file,
    block_header,
    camera,
)

from fields.files import Model, ModelError, save
from render.kernels.march import cross_box
from render.model import open_model

CPU = torch.device("cpu")


@pytest.fixture
def path(tmp_path):
    return block_file(tmp_path / "m.safetensors")


def test_everything_that_drawing_needs_is_there(path):
    model = open_model(path, CPU)
    assert [c.size for c in model.train_cameras] == [(32, 24)] * 3
    assert torch.equal(model.test_cameras[0].pose, model.train_cameras[0].pose)
    assert (model.renderer.step, model.renderer.cone) == (1 / 1024, 0.0)
    assert model.unit == pytest.approx(4)
    assert torch.equal(model.transform, TRANSFORM)
    assert not model.field.training


def test_its_picture_is_the_block(path):
    model, view = open_model(path, CPU), camera()
    pixels = model.image(view).pixels
    enter, leave = (t.view(24, 32) for t in cross_box(view.rays().origins, view.rays().directions, block_bounds()))
    deep = leave - enter > 0.1  # 1 - exp(-40): opaque
    assert int(deep.sum()) > 50
    torch.testing.assert_close(pixels.opacity[deep], torch.ones(int(deep.sum())), atol=2e-4, rtol=0)  # where rays stop
    assert bool((pixels.opacity[leave < enter] == 0).all())
    # bf16 decoders, where the hardware has them: 8 bits, of logits up to 1.4 and of a log-density near 6
    torch.testing.assert_close(pixels.rgb[deep], torch.tensor(BLOCK_RGB).expand(int(deep.sum()), 3), atol=0.01, rtol=0)
    want = enter[deep] + 1 / BLOCK_SIGMA
    torch.testing.assert_close(pixels.depth[deep], want, atol=1 / 1024, rtol=0)  # half a step, and sigma's rounding


def test_a_look_replaces_colour(path):
    model, view = open_model(path, CPU), camera()
    shown = model.image(view, lambda field, points, features, d: points).pixels
    # the one is drawn in waves, the other by a kernel: a ray ends where less than `stop` is left, sooner or later
    torch.testing.assert_close(shown.opacity, model.image(view).pixels.opacity, atol=model.renderer.stop, rtol=0)
    solid, rays = shown.opacity.flatten() > 0.99, view.rays()
    points = rays.origins + rays.directions * shown.depth.view(-1, 1)
    # light that is left where rays stop, and samples too faint to be looked at
    mean = (shown.rgb / shown.opacity[..., None]).view(-1, 3)
    torch.testing.assert_close(mean[solid], points[solid], atol=1e-3, rtol=0)


def test_near_reaches_the_renderer(path):
    model, view = open_model(path, CPU), camera()
    assert float(model.image(view, near=1.0).pixels.opacity.max()) > 0.99
    assert float(model.image(view, near=3.0).pixels.opacity.max()) == 0  # behind all there is


def test_whole_numbers_in_the_header_are_numbers(tmp_path):
    path = block_file(tmp_path / "m", box=[[0, 0, 0], [1, 1, 1]], background=[1, 1, 1])
    model = open_model(path, CPU)
    assert model.grid.box.dtype == torch.float32
    assert float(model.image(camera()).pixels.opacity.max()) > 0.99


RECORD = camera().to_record()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"step": 0.0}, "renderer wants 0.0001 <= step < 1"),
        ({"step": 1e-17}, "renderer wants 0.0001 <= step < 1"),
        ({"cone": 1e-300}, "renderer wants"),
        ({"cone": 3.0}, "cone must be a number from 0 to 0.1, found 3"),
        ({"box": [[-3.0, 0, 0], [1.0, 1, 1]]}, "1 occupancy cascades do not fit its box"),
        ({"background": [1.0]}, "background must be 3 numbers"),
        ({"transform": [[0.0] * 4] * 4}, "transform is no similarity"),
        ({"train_cameras": [RECORD, {}]}, "camera record is damaged: 'pose'"),
        ({"train_cameras": 3}, "train_cameras must be a list, found 3"),
        ({"test_cameras": None}, "test_cameras must be a list, found null"),
        ({"test_cameras": ["pose"]}, "camera record is damaged"),
        ({"test_cameras": [RECORD | {"size": [0, 0]}]}, "'size' must be a whole number from 1 to 65536, found 0"),
    ],
)
def test_headers_that_cannot_be_drawn_are_refused(changes, message, tmp_path):
    header = replace(block_header(), **changes)
    save(tmp_path / "m.safetensors", Model(block_field(), block_bits(), header))
    with pytest.raises(ModelError, match=message) as error:
        open_model(tmp_path / "m.safetensors", CPU)
    assert str(error.value).startswith(f"{tmp_path / 'm.safetensors'}: ")
    assert "\n" not in str(error.value)


def test_a_scene_of_the_largest_lengths_opens(tmp_path):
    transform = [[1e-12 * (i == j) for j in range(3)] + [0.5] for i in range(3)] + [[0.0, 0.0, 0.0, 1.0]]
    save(tmp_path / "m.safetensors", Model(block_field(), block_bits(), replace(block_header(), transform=transform)))
    assert open_model(tmp_path / "m.safetensors", CPU).unit == pytest.approx(1e12)


def test_files_that_are_not_there_or_cut_off(path, tmp_path):
    with pytest.raises(FileNotFoundError):
        open_model(tmp_path / "none.safetensors", CPU)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ModelError, match=r"m\.safetensors: truncated or damaged"):
        open_model(path, CPU)


def test_several_cascades_for_a_larger_box(tmp_path):
    box = torch.tensor([[-1.0, -0.5, 0.0], [2.0, 1.5, 1.0]])
    bits = block_bits().expand(3, -1).contiguous()
    header = block_header(box=box.tolist())
    save(tmp_path / "m", Model(block_field(), bits, header))
    grid = open_model(tmp_path / "m", CPU).grid
    assert torch.equal(grid.bits, bits)
    assert torch.equal(grid.box, box)
    assert not torch.equal(grid.box, UNIT_BOX)


def test_weights_that_give_no_numbers_are_told_with_the_file(tmp_path):
    path = block_file(tmp_path / "m.safetensors")
    model = open_model(path, CPU)
    with torch.no_grad():
        for parameter in model.field.parameters():
            parameter.fill_(torch.nan)
    with pytest.raises(ModelError, match=r"m\.safetensors: damaged: its weights give"):
        model.image(camera())
