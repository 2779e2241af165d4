"""Frequency choice: spectra of known signals, windows of known cameras, and that it finds a known bandwidth."""

import math
from dataclasses import replace

import pytest
import torch

import fields
from distill.photographs.frequency import INSIDE, choose, distance, plane, spectrum, window_of
from fields.shape import Shape, preset
from fields.space import Space
from render.camera import Camera, Intrinsics, look_at, project
from scenes.assemble import load
from scenes.options import ReadOptions
from scenes.scene import View

BOX = torch.tensor([[0.0] * 3, [1.0] * 3])
HAVING = [n for n in fields.NAMES if fields.module(n).Network.bandwidths]


def wave(cycles, angle=0.0, count=64):
    place = (torch.arange(count) + 0.5) / count
    along = math.cos(angle) * place + math.sin(angle) * place[:, None]
    return torch.sin(2 * math.pi * cycles * along)[..., None].expand(-1, -1, 3)


def camera(size=120, angle=0.3):
    eye = torch.tensor([0.5 + 2 * math.sin(angle), 0.5 - 2 * math.cos(angle), 0.9])
    pose = look_at(eye, torch.full((3,), 0.5), torch.tensor([0.0, 0.0, 1.0]))
    return Camera(pose, Intrinsics(2.0 * size, 2.0 * size, size / 2, size / 2), (size, size))


def view(rgb, cam):
    rgba = torch.cat([rgb.clamp(0, 1), torch.ones(*rgb.shape[:2], 1)], -1)
    valid = torch.ones((), dtype=torch.bool).expand(rgb.shape[:2])
    return View(cam, (rgba * 255).round().to(torch.uint8), valid, "v")


@pytest.mark.parametrize("angle", [0.0, math.pi / 2, math.pi / 4, -math.pi / 4])
@pytest.mark.parametrize("cycles", [5, 20])
def test_a_wave_has_its_frequency_whatever_its_direction(cycles, angle):
    mass = spectrum(wave(cycles, angle))
    assert mass.shape == (32,)
    assert float(mass.sum()) == pytest.approx(1)
    assert abs(int(mass.argmax()) + 1 - cycles) <= 1
    assert float(mass[cycles - 4 : cycles + 3].sum()) > 0.9  # the Hann window spreads a line over its neighbours


def test_the_mean_does_not_count_and_a_flat_picture_has_no_spectrum():
    torch.testing.assert_close(spectrum(wave(7) + 5), spectrum(wave(7)), atol=1e-6, rtol=0)
    assert float(spectrum(torch.full((32, 32, 3), 0.5)).sum()) < 1e-3


def test_the_distance_of_two_waves_is_that_of_their_frequencies():
    one, other = spectrum(wave(6)), spectrum(wave(17))
    assert distance(one, other) == pytest.approx(11, abs=0.3)
    assert distance(other, one) == distance(one, other)
    assert distance(one, one) == 0


def test_a_window_lies_on_the_pixels_that_it_looks_at():
    cam = camera()
    rgb = torch.rand(120, 120, 3, generator=torch.Generator().manual_seed(0))
    window = window_of(view(rgb, cam), BOX, torch.ones(3))
    assert window is not None
    count = len(window.rgb)
    pixels, _ = project(cam, window.points)
    low = 60 - count // 2
    rows, columns = torch.meshgrid(torch.arange(count), torch.arange(count), indexing="ij")
    wanted = torch.stack([columns, rows], -1).reshape(-1, 2) + low + 0.5
    torch.testing.assert_close(pixels, wanted, atol=1e-2, rtol=0)
    torch.testing.assert_close(window.rgb, rgb[low : low + count, low : low + count], atol=3e-3, rtol=0)  # 8 bits
    assert bool(((window.points >= 0) & (window.points <= 1)).all())
    extent = float((window.points[count - 1] - window.points[0]).norm()) * count / (count - 1)
    assert window.cycle == pytest.approx(1 / extent, rel=1e-4)
    assert extent <= INSIDE + 1e-6
    torch.testing.assert_close(window.direction, -cam.pose[:3, 2])


def test_a_picture_that_does_not_show_the_middle_has_no_window():
    away = camera()
    pose = away.pose.clone()
    pose[:3, 0], pose[:3, 2] = -pose[:3, 0], -pose[:3, 2]  # looks the other way
    assert (
        window_of(view(torch.rand(120, 120, 3), Camera(pose, away.intrinsics, away.size)), BOX, torch.ones(3)) is None
    )


@pytest.mark.parametrize("name", HAVING)
@pytest.mark.parametrize("place", [0, 2, -1])
def test_it_finds_the_bandwidth_that_the_pictures_were_drawn_with(name, place):
    module = fields.module(name)
    config, wanted = module.PRESETS["tiny"], module.Network.bandwidths[place]
    views = []
    for number in range(3):
        cam = camera(angle=2.0 * number)
        shape = Shape(name, replace(config, bandwidth=wanted))
        field = shape.build(Space(BOX), torch.Generator().manual_seed(70 + number))
        points = plane(cam, torch.full((3,), 0.5), 60, 2.04 / 240)
        with torch.no_grad():
            features = field.density(points)[1]
            rgb = field.color(features, -cam.pose[:3, 2].expand(len(features), 3))
        rgb = (rgb - rgb.amin(0)) / (rgb.amax(0) - rgb.amin(0))  # 8 bits must hold what an untrained network shows
        views.append(view(rgb.view(120, 120, 3), cam))
    scene = replace(load("builtin:48", ReadOptions()), train=tuple(views), box=BOX)
    choice = choose(Shape(name, config), scene, seed=0)
    assert choice.bandwidth == wanted, choice
    assert set(choice.distances) == set(module.Network.bandwidths)
    assert f"frequency {wanted:g} cycles per box side" in str(choice)


def test_an_architecture_without_frequencies_says_which_have():
    with pytest.raises(ValueError, match=r"hashgrid has no frequency to choose \(those that have: .*mlp"):
        choose(preset("hashgrid", "tiny"), load("builtin:48", ReadOptions()), 0)
