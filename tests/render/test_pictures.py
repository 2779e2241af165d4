"""Pixels as pictures."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from render.pictures import (
    NOTHING,
    bytes_of,
    cubehelix,
    depth_colors,
    depth_picture,
    depth_range,
    encode_png,
    heat,
    normal_picture,
)

LUMA = (0.30, 0.59, 0.11)  # how bright red, green and blue look


def test_bytes_are_rounded_and_clamped():
    image = torch.tensor([[[-1.0, 0.0, 0.4999 / 255], [0.5001 / 255, 1.0, 7.0]]])
    assert bytes_of(image).tolist() == [[[0, 0, 0], [1, 255, 255]]]
    every = torch.arange(256)[None, :, None].expand(1, 256, 3)
    assert np.array_equal(bytes_of(every / 255), every.numpy())


@pytest.mark.parametrize("channels", [3, 4])
def test_png_keeps_every_byte(channels, generator):
    pixels = torch.randint(0, 256, (5, 7, channels), generator=generator)
    with Image.open(io.BytesIO(encode_png(pixels / 255))) as picture:
        assert picture.mode == ("RGB" if channels == 3 else "RGBA")
        assert np.array_equal(np.asarray(picture), pixels.numpy())


def test_depth_range_leaves_out_what_is_no_surface_and_the_outliers():
    depth = torch.linspace(2, 4, 1001)
    depth[500] = 1e6
    opacity = torch.ones(1001)
    opacity[:250] = 0.4
    low, high = depth_range(depth, opacity)
    assert low == pytest.approx(2.5 + 0.015, abs=0.01)
    assert high == pytest.approx(4 - 0.015, abs=0.01)
    assert depth_range(depth, torch.zeros(1001)) == (0.0, 1.0)
    flat_low, flat_high = depth_range(torch.full((9,), 3.0), torch.ones(9))
    assert flat_high > flat_low  # so that a picture can divide by the difference


def test_near_is_bright_far_is_dark_and_nothing_is_blue():
    depth = torch.tensor([[1.0, 2.0, 3.0, 9.0, 1.0, torch.inf]])
    opacity = torch.tensor([[1.0, 1.0, 1.0, 1.0, 0.3, 0.0]])
    image = depth_picture(depth, opacity, (1.0, 3.0))
    assert image.shape == (1, 6, 3)
    assert torch.equal(image[0, :4], depth_colors(torch.tensor([0.0, 0.5, 1.0, 1.0])))
    light = image[0, :4] @ torch.tensor(LUMA)
    assert light[0] > 0.9 > light[1] > light[2] == light[3] < 0.2
    assert torch.equal(image[0, 4:], torch.tensor(NOTHING).expand(2, 3))


def test_the_scale_of_distances_is_told_apart_in_colour_and_in_grey():
    colours = cubehelix(torch.linspace(0, 1, 101))
    torch.testing.assert_close(colours[[0, -1]], torch.tensor([[0.0] * 3, [1.0] * 3]))
    light = colours @ torch.tensor(LUMA)
    assert bool((light.diff() > 0).all())  # brighter at every step, so that a print without colours says the same
    torch.testing.assert_close(light, torch.linspace(0, 1, 101), atol=0.03, rtol=0)
    assert float((colours.amax(-1) - colours.amin(-1)).max()) > 0.3


def test_normals_of_any_length_as_colours():
    normals = torch.tensor([[[0.0, 0.0, 0.2], [-3.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    image = normal_picture(normals, torch.tensor([[0.9, 1.0, 0.1]]))
    torch.testing.assert_close(image[0, 0], torch.tensor([0.5, 0.5, 1.0]))
    torch.testing.assert_close(image[0, 1], torch.tensor([0.0, 0.5, 0.5]))
    torch.testing.assert_close(image[0, 2], torch.tensor(NOTHING))


def test_heat_grows_from_black_to_white():
    image = heat(torch.tensor([[0.0, 1 / 3, 2 / 3, 1.0]]))
    torch.testing.assert_close(image[0], torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]]))
    assert bool((heat(torch.linspace(0, 1, 100)[None]).sum(-1).diff() > 0).all())
