import re

import drawn
import pytest
import torch

from scenes.options import SceneError
from scenes.pictures import masks

SIZE = (12, 9)


def disc(width=12, height=9):
    """White in the middle, on black."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5 - height / 2, torch.arange(width) + 0.5 - width / 2, indexing="ij")
    return (torch.hypot(x, y) < height / 3).to(torch.uint8) * 255


def written(folder, pixels, count=3):
    for i in range(count):
        drawn.save(folder / f"m{i}.png", pixels)
    return [folder / f"m{i}.png" for i in range(count)]


def test_without_masks_all_is_valid(tmp_path):
    valid, facts = masks.valid([tmp_path / "a.png"], [None], [SIZE])
    assert valid[0].shape == (9, 12)
    assert valid[0].all()
    assert facts == []


@pytest.mark.parametrize(
    ("pixels", "keep", "told"),
    [
        (disc(), disc() > 0, "black is ignored"),
        (255 - disc(), disc() > 0, "white .* is ignored"),
        ((disc() > 0).to(torch.uint8), disc() > 0, "black is ignored"),  # a file of 0 and 1
    ],
)
def test_polarity_is_found_and_told(tmp_path, pixels, keep, told):
    files = written(tmp_path, pixels)
    valid, facts = masks.valid([tmp_path / "a.png"] * 3, list(files), [SIZE] * 3)
    assert (valid[1] == keep).all()
    share = f"{1 - float(keep.float().mean()):.1%}"
    assert share in facts[0].text
    assert re.search(told, facts[0].text)


def test_a_few_small_holes_leave_the_usual_polarity(tmp_path):
    pixels = torch.full((9, 12), 255, dtype=torch.uint8)
    pixels[4, 5] = 0
    valid, _ = masks.valid([tmp_path / "a.png"] * 3, list(written(tmp_path, pixels)), [SIZE] * 3)
    assert int((~valid[0]).sum()) == 1


def test_a_shrunken_pixel_is_ignored_once_part_of_it_is(tmp_path):
    pixels = torch.full((18, 24), 255, dtype=torch.uint8)
    pixels[3, 3] = 0
    valid, _ = masks.valid([tmp_path / "a.png"], [written(tmp_path, pixels, 1)[0]], [SIZE])
    assert (~valid[0]).nonzero().tolist() == [[1, 1]]


def test_dynamic_masks_beside_a_picture_ignore_what_is_not_black(tmp_path):
    pixels = torch.zeros(9, 12, dtype=torch.uint8)
    pixels[2, 3] = 7
    drawn.save(tmp_path / "dynamic_mask_0001.png", pixels)
    valid, facts = masks.valid([tmp_path / "0001.jpg", tmp_path / "0002.jpg"], [None, None], [SIZE] * 2)
    assert (~valid[0]).nonzero().tolist() == [[2, 3]]
    assert valid[1].all()
    assert "dynamic masks" in facts[0].text


def test_nearly_everything_ignored_asks_for_a_look(tmp_path):
    pixels = torch.zeros(9, 12, dtype=torch.uint8)
    pixels[4, 5] = 255
    _, facts = masks.valid([tmp_path / "a.png"], [written(tmp_path, pixels, 1)[0]], [SIZE])
    assert "check that the masks are not inverted" in facts[0].text


def test_a_mask_of_another_shape_is_refused(tmp_path):
    with pytest.raises(SceneError, match=r"m0\.png: expected a mask shaped 12 x 9, found 9 x 12"):
        masks.valid([tmp_path / "a.png"], [written(tmp_path, disc(9, 12), 1)[0]], [SIZE])
