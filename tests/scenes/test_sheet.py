"""The test sheet: which views it shows, and where."""

import numpy as np
import pytest
import torch
from PIL import Image

from render.camera import Camera, Intrinsics
from render.metrics import Score
from render.pictures import NOTHING, depth_colors
from render.renderer import Frame, Pixels
from scenes.evaluate import Scored
from scenes.scene import View
from scenes.sheet import ERROR_GAIN, LONGEST, save_sheet, sheet, tile

CAPTION = 18  # pixels below a tile


def scored(shade, size=(40, 30), name="a.png"):
    """Truth of one grey; the rendering is 0.1 brighter; the left half is a surface at distance 2, the right empty."""
    width, height = size
    truth = torch.full((height, width, 3), shade)
    opacity = torch.zeros(height, width)
    opacity[:, : width // 2] = 1
    frame = Frame(Pixels(truth * opacity[..., None], opacity, opacity * 2), torch.zeros(height, width))
    view = View(Camera(torch.eye(4), Intrinsics(9, 9, 5, 5), size), torch.zeros(1), torch.zeros(1), name)
    return Scored(view, frame, truth, truth + 0.1, Score(name, 20.0, 0.5), 0.1)


def shades(picture, rows, height):
    """Mean grey of the truth in each row of a sheet."""
    pixels = np.asarray(picture).astype(float) / 255
    return [float(pixels[r * (height + CAPTION + 4) + height // 2, 10].mean()) for r in range(rows)]


@pytest.mark.parametrize(
    ("views", "shown"), [(1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (4, [0, 1, 2, 3]), (7, [0, 2, 4, 6]), (9, [0, 3, 5, 8])]
)
def test_up_to_four_views_from_first_to_last(views, shown):
    picture = sheet([scored(i / 10) for i in range(views)])
    assert picture.size == (4 * 44, len(shown) * (30 + CAPTION + 4))
    assert shades(picture, len(shown), 30) == pytest.approx([i / 10 for i in shown], abs=1 / 255)


def test_a_row_is_truth_rendering_error_and_depth():
    pixels = np.asarray(sheet([scored(0.5)])).astype(float) / 255
    middle = [pixels[15, 10 + 44 * column] for column in range(4)]
    gain = 0.1 * ERROR_GAIN * 3  # heat: red is full from a third on
    assert middle[0] == pytest.approx([0.5] * 3, abs=0.003)
    assert middle[1] == pytest.approx([0.6] * 3, abs=0.003)
    assert middle[2] == pytest.approx([1.0, gain - 1, 0.0], abs=0.003)
    assert middle[3] == pytest.approx(depth_colors(torch.zeros(())).tolist(), abs=0.003)  # the nearest distance
    assert pixels[15, 3 * 44 + 35] == pytest.approx(NOTHING, abs=0.003)
    assert (pixels[30 : 30 + CAPTION] < 0.5).any()  # words


def test_views_of_different_sizes_do_not_overlap():
    picture = sheet([scored(0.2, (40, 30)), scored(0.7, (20, 60))])
    assert picture.size == (4 * 44, 30 + 60 + 2 * (CAPTION + 4))
    pixels = np.asarray(picture)
    assert pixels[30 + CAPTION + 4 + 59, 10].mean() == pytest.approx(0.7 * 255, abs=1)
    assert (pixels[30 + CAPTION + 4 + 59, 100:] == 255).all()  # the narrower row ends sooner


def test_large_pictures_shrink_and_small_ones_stay():
    big = tile(torch.full((300, 900, 3), 0.5), "a")
    assert big.size == (LONGEST, round(LONGEST / 3) + CAPTION)
    assert tile(torch.full((7, 5, 3), 0.5), "a").size == (5, 7 + CAPTION)


def test_it_is_written_as_png_whatever_the_names(tmp_path):
    save_sheet(tmp_path / "new" / "s.png", [scored(0.5, name="ansicht-größe-写真.png")])
    with Image.open(tmp_path / "new" / "s.png") as picture:
        assert picture.format == "PNG"
        assert picture.mode == "RGB"
