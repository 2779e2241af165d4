"""Pictures without a window: render-scene's bytes, comparisons with captions, and bad requests."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from analytic import TRANSFORM, UNIT_BOX, block_file, camera
from PIL import Image

from render.metrics import psnr
from render.model import open_model
from render.render_scene import Flags, render
from scenes.evaluate import over_background
from scenes.scene import Scene, View
from viewer.front.compare import EMPTY
from viewer.screenshot import CAPTION, DrawnModel, ScreenshotOptions, draw_caption, draw_screenshot

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return block_file(tmp_path_factory.mktemp("one") / "block.safetensors")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """The same block over another background."""
    file = block_file(tmp_path_factory.mktemp("two") / "model.safetensors", background=[0.0, 1.0, 0.0])
    return file


def rendered(path, out, **flags):
    render(Flags(path, out / "a.png", **flags))
    with Image.open(out / "a.png") as picture:
        return np.asarray(picture)


def taken(paths, scene=None, **options):
    return draw_screenshot(paths, scene, ScreenshotOptions(**options), CPU)


def photographs():
    """The block's cameras at twice their size, with noise for photographs; other scene units than the model's."""
    generator, scale = torch.Generator().manual_seed(0), torch.diag(torch.tensor([2.0, 2, 2, 1], dtype=torch.float64))
    views = []
    for number in range(3):
        view = camera((64, 48), azimuth=0.3 + 0.9 * number)
        pose = view.pose.clone()
        pose[:3, 3] *= 2
        image = torch.randint(0, 256, (48, 64, 4), generator=generator, dtype=torch.uint8)
        valid = torch.ones(48, 64, dtype=torch.bool)
        valid[:9] = False
        views.append(View(replace(view, pose=pose), image, valid, f"{number}.png"))
    train, test = tuple(views[:2]), tuple(views[2:])
    return Scene("noise", train, test, UNIT_BOX * 2, scale @ TRANSFORM, (1.0, 0.0, 1.0), True, ())


@pytest.mark.parametrize("mode", ["color", "depth", "normal", "opacity"])
def test_one_model_has_the_bytes_of_render_scene(mode, path, tmp_path):
    assert np.array_equal(taken([path], mode=mode, view=1), rendered(path, tmp_path, camera="train:1", mode=mode))
    assert np.array_equal(taken([path], mode=mode, view=3), rendered(path, tmp_path, camera="test:0", mode=mode))
    assert np.array_equal(taken([path], mode=mode), rendered(path, tmp_path, mode=mode))


def test_a_size_of_the_cameras_aspect_is_render_scenes_too(path, tmp_path):
    assert np.array_equal(taken([path], view=0, size=(80, 60)), rendered(path, tmp_path, camera="train:0", size=60))


def test_another_aspect_gets_bars_from_a_view_and_none_from_around(path, tmp_path):
    picture = taken([path], view=0, size=(120, 60))
    assert picture.shape == (60, 120, 3)
    assert (picture[:, :20] == EMPTY).all()
    assert np.array_equal(picture[:, 20:100], rendered(path, tmp_path, camera="train:0", size=60))
    around = taken([path], size=(120, 60))
    assert (around[:, 0] == (255, 0, 255)).all()


def test_a_model_without_cameras_is_seen_whole(tmp_path):
    file = block_file(tmp_path / "m.safetensors", [])
    picture = taken([file], size=(40, 30))
    assert picture.shape == (30, 40, 3)
    seen = (picture != (255, 0, 255)).any(-1)
    assert seen.any()
    assert not seen[[0, -1]].any()
    assert not seen[:, [0, -1]].any()


def test_several_stand_side_by_side_with_captions(path, other, tmp_path):
    picture = taken([path, other], view=1)
    assert picture.shape == (24 + CAPTION, 64, 3)
    assert np.array_equal(picture[:24, :32], rendered(path, tmp_path, camera="train:1"))
    assert np.array_equal(picture[:24, 32:], rendered(other, tmp_path, camera="train:1"))
    for half in (picture[24:, :32], picture[24:, 32:]):
        assert (half != EMPTY).any()  # a name is written
    four = taken([path, other, path, other], size=(200, 160))
    assert four.shape == (160, 200, 3)
    assert tuple(four[0, 0]) == tuple(four[80, 0]) == (255, 0, 255)
    assert tuple(four[0, 199]) == (0, 255, 0)


def test_wipe_and_difference(path, other):
    wipe = taken([path, other], view=1, compare="wipe")
    assert wipe.shape == (24 + CAPTION, 32, 3)
    assert tuple(wipe[0, 0]) == (255, 0, 255)
    assert tuple(wipe[0, 31]) == (0, 255, 0)
    same = taken([path, path], view=1, compare="difference", size=(64, 48 + CAPTION))
    assert (same[:48] == 0).all()
    assert (taken([path, other], view=1, compare="difference")[0, 0] == 255).all()


def test_photographs_are_compared_at_their_own_size_and_lend_their_cameras(path, monkeypatch):
    told = []
    monkeypatch.setattr(
        "viewer.screenshot.draw_caption", lambda panel, width: told.append(panel) or draw_caption(panel, width)
    )
    scene, model = photographs(), open_model(path, CPU)
    for options in ({}, {"size": (80, 60)}, {"mode": "error"}):
        taken([path, path], scene, view=2, **options)
    view, size = scene.test[0], f"{path.stat().st_size / 1e6:.2f} MB"
    background = torch.tensor(model.header.background)
    own = camera((64, 48), azimuth=0.3 + 1.8)
    wanted = psnr(
        model.image(own).pixels.over(background).clamp(0, 1), over_background(view.image, background), view.valid
    )
    assert len(told) == 6
    assert {panel.facts[:2] for panel in told} == {(f"{wanted:.2f} dB", size)}
    assert all(panel.name == "block" and panel.facts[2].endswith(" ms") for panel in told)
    assert taken([path], scene, view=0).shape == (48, 64, 3)


def test_errors_are_shown_against_the_photograph(path):
    scene = photographs()
    picture = taken([path], scene, view=0, mode="error")
    assert (picture[:9] == 0).all()  # masked
    assert picture[9:].mean() > 50


def test_more_passes_smooth_edges(path):
    once, often = taken([path], view=1), taken([path], view=1, passes=8)
    assert np.abs(once.astype(int) - often).max() > 0
    assert len(np.unique(often.reshape(-1, 3), axis=0)) > len(np.unique(once.reshape(-1, 3), axis=0))


def test_captions_leave_out_what_does_not_fit():
    panel = DrawnModel(
        np.zeros((1, 1, 3), np.uint8), "a_rather_long_name", ("30.00 dB", "1.00 MB", "9 ms"), (0.0, 1.0), None
    )
    wide = draw_caption(panel, 400)
    ends = [int((draw_caption(panel, width) != EMPTY).any((0, 2)).nonzero()[0].max()) for width in (400, 260, 180, 60)]
    assert wide.shape == (CAPTION, 400, 3)
    assert ends[0] > ends[1] > ends[2] > ends[3]
    assert all(end < width for end, width in zip(ends, (400, 260, 180, 60), strict=True))


@pytest.mark.parametrize(
    ("count", "options", "message"),
    [
        (0, {}, "--screenshot wants 1 to 4 models, found 0"),
        (5, {}, "--screenshot wants 1 to 4 models, found 5"),
        (3, {"compare": "wipe"}, "--compare wipe wants 2 models for a screenshot, found 3"),
        (1, {"compare": "difference"}, "--compare difference wants 2 models for a screenshot, found 1"),
        (1, {"view": 4}, "--view 4: wanted 0 to 3"),
    ],
)
def test_bad_requests_are_one_line(count, options, message, path):
    with pytest.raises(ValueError, match=message):
        taken([path] * count, **options)


def test_a_view_of_a_model_without_cameras_is_told(tmp_path):
    file = block_file(tmp_path / "m.safetensors", [])
    with pytest.raises(ValueError, match=r"--view 0: .*holds no cameras; give photographs with --data"):
        taken([file], view=0)
