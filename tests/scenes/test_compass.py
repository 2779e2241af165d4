"""The map of directions: where cameras and gaps lie on it."""

import dataclasses
import math

import drawn
import pytest
import torch
from PIL import ImageColor

from scenes import compass, frusta
from scenes.assemble import load
from scenes.coverage import cover
from scenes.options import ReadOptions
from scenes.photographs import Finding, look_over

HATCH = "#f0b9b4"


def drawn_map(tmp_path, poses, spoil=()):
    drawn.transforms(tmp_path, poses)
    scene = load(str(tmp_path), ReadOptions())
    photos = [dataclasses.replace(photo, findings=[]) for photo in look_over(scene, [])]
    for i in spoil:
        photos[i] = dataclasses.replace(photos[i], findings=[Finding("blurred", "blurred")])
    found = cover(scene)
    return compass.draw(found, photos), found


def count(picture, colour, box):
    wanted = ImageColor.getrgb(colour)
    return sum(n for n, c in picture.crop(box).getcolors(1 << 20) if c == wanted)


def test_a_direction_lies_where_azimuth_and_elevation_say():
    assert compass.place(-180, 90) == (compass.LEFT, compass.TOP)
    assert compass.place(180, -90) == (compass.LEFT + compass.WIDE, compass.TOP + compass.HIGH)
    assert compass.place(0, 0) == (compass.LEFT + compass.WIDE / 2, compass.TOP + compass.HIGH / 2)


def test_every_camera_is_a_dot_in_its_colour(tmp_path):
    picture, found = drawn_map(tmp_path, drawn.ring(12), spoil=(2,))
    assert picture.size == (frusta.SIDE, frusta.SIDE)
    for i, direction in enumerate([*found.train, *found.test]):
        colour = frusta.WRONG if i == 2 else frusta.TRAIN if i < len(found.train) else frusta.TEST
        x, y = compass.place(*direction)
        assert picture.getpixel((round(x), round(y))) == ImageColor.getrgb(colour)


def test_only_a_gap_that_is_wide_is_hatched_and_where_it_is(tmp_path):
    whole, _ = drawn_map(tmp_path / "whole", drawn.ring(24))
    every = (compass.LEFT, compass.TOP, compass.LEFT + compass.WIDE, compass.TOP + compass.HIGH)
    assert count(whole, HATCH, every) == 0
    half, found = drawn_map(tmp_path / "half", drawn.ring(24)[:12])
    assert found.gap > 180
    left, right = (round(compass.place(a, 0)[0]) for a in (found.gap_from - 360, found.gap_from - 360 + found.gap))
    assert count(half, HATCH, (max(left, compass.LEFT) + 1, 300, right - 1, 400)) > 100
    assert count(half, HATCH, (right + 2, 300, round(compass.place(found.gap_from, 0)[0]) - 2, 400)) == 0


def test_ground_is_coloured_up_to_its_distance_from_a_camera():
    ground = compass.tint([(0.0, 0.0)], (360, 180))
    across = ground[90]
    assert ground.shape == (180, 360)
    assert across[180:195].min() == 1  # within 15 degrees
    assert across[209] == pytest.approx(0.5, abs=0.03)
    assert across[226:].max() == 0
    assert torch.allclose(ground, ground.flip(1), atol=1e-3)
    around = compass.tint([(179.0, 0.0)], (360, 180))[90]
    assert around[0] == 1  # the map's edge is no edge of the sphere
    assert compass.tint([(0.0, 90.0)], (360, 180))[0].min() == 1  # nor is a pole one point of it


def test_long_words_and_names_stay_within(tmp_path):
    drawn.transforms(tmp_path, drawn.ring(12))
    scene = load(str(tmp_path), ReadOptions())
    long = [
        dataclasses.replace(
            p, name=f"a very long name of a picture that goes on {i}" * 3, findings=[Finding("blurred", "b " * 90)]
        )
        for i, p in enumerate(look_over(scene, []))
    ]
    found = dataclasses.replace(cover(scene), gap_between=(long[0].name, long[1].name), gap=math.pi)
    picture = compass.draw(found, long)
    edge = picture.crop((frusta.SIDE - 6, compass.TOP + compass.HIGH + 30, frusta.SIDE, frusta.SIDE))
    assert edge.getcolors() == [(edge.width * edge.height, (255, 255, 255))]
