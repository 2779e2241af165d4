"""EXIF's orientation: what it turns, and when it is applied."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from scenes.options import ReadOptions
from scenes.pictures import images
from scenes.pictures.headers import Stored, choose_turned

WIDE, TALL = (64, 48), (48, 64)


def photo(path, orientation):
    """A lossless picture of noise, 64 x 48, with this orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.random.default_rng(orientation).integers(0, 256, (48, 64, 3), np.uint8)
    Image.fromarray(pixels).save(path, exif=exif, lossless=True)
    return path


@pytest.mark.parametrize("suffix", [".png", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_is_as_pillow_turns(tmp_path, orientation, suffix):
    path = photo(tmp_path / f"a{suffix}", orientation)
    head = images.headers([path])[0]
    assert (head.size, head.orientation) == (WIDE, orientation)
    with Image.open(path) as image:
        upright = np.array(ImageOps.exif_transpose(image).convert("RGBA"))
    found = images.read([path], ReadOptions(), [True])[0].numpy()
    assert np.array_equal(found, upright)
    assert head.upright == (found.shape[1], found.shape[0])
    assert images.read([path], ReadOptions())[0].shape == (48, 64, 4)


def test_tiffs_are_turned_by_pillow_already(tmp_path):
    path = photo(tmp_path / "a.tif", 6)
    head = images.headers([path])[0]
    assert (head.size, head.orientation) == (TALL, 1)
    assert images.read([path], ReadOptions())[0].shape == (64, 48, 4)


def test_without_orientation_nothing_is_said():
    assert choose_turned([Stored(WIDE)] * 2, [WIDE] * 2) == ([False, False], [])


def test_pictures_that_only_fit_turned_are_turned():
    heads = [Stored(WIDE, 6), Stored(TALL), Stored(WIDE, 8)]
    turned, (fact,) = choose_turned(heads, [TALL] * 3)
    assert turned == [True, False, True]
    assert "2 of 3 pictures have one that turns them: 6 (1), 8 (1); 2 were turned" in fact.text


def test_pictures_that_fit_as_stored_stay_and_that_is_told():
    turned, (fact,) = choose_turned([Stored(WIDE, 6), Stored((64, 64), 3)], [WIDE, (64, 64)])
    assert turned == [False, False]
    assert fact.text.endswith("it is not applied: poses are taken to be of the pixels as stored")


def test_those_whose_shape_does_not_tell_go_with_the_others():
    assert choose_turned([Stored(WIDE, 6), Stored(TALL, 3)], [TALL] * 2)[0] == [True, True]
    assert choose_turned([Stored(WIDE, 6), Stored(WIDE, 8), Stored(TALL, 3)], [TALL, WIDE, TALL])[0] == [
        True,
        False,
        False,
    ]


def test_damaged_exif_is_none(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (64, 48)).save(path, exif=b"II*\0\xff\xff\xff\x7f no directory there")
    assert images.headers([path]) == [Stored((64, 48))]
