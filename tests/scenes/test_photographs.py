"""Photographs looked over: what is found about pictures that were spoilt on purpose, and nothing about others."""

import dataclasses
import math

import drawn
import pytest
import torch

from render.camera import Camera, Intrinsics
from scenes import photographs
from scenes.assemble import load
from scenes.options import ReadOptions
from scenes.scene import Scene, View

LENS = Intrinsics(60, 60, 24, 16)


def views(count=12):
    valid = torch.ones(32, 48, dtype=torch.bool)
    return [
        View(Camera(pose, LENS, (48, 32)), drawn.picture(pose, LENS, (48, 32), opaque=True), valid, f"{i}.png")
        for i, pose in enumerate(drawn.ring(count))
    ]


def noisy(count):
    """The views with a picture of noise each, so that all are about as sharp and as bright."""
    generator = torch.Generator().manual_seed(0)
    return [
        dataclasses.replace(view, image=torch.randint(0, 256, (32, 48, 4), dtype=torch.uint8, generator=generator) | 1)
        for view in views(count)
    ]


def scene(every, *, transparent=False):
    """A scene of these as train views, the core around the middle of the ring, which is 4 units wide."""
    shift = torch.tensor([0.5, 0.5, 0.3])
    moved = []
    for view in every:
        pose = view.camera.pose.clone()
        pose[:3, 3] = pose[:3, 3] + shift
        moved.append(dataclasses.replace(view, camera=Camera(pose, view.camera.intrinsics, view.camera.size)))
    box = torch.tensor([[-1.5] * 3, [2.5] * 3])
    return Scene("drawn", tuple(moved), (), box, torch.eye(4).double(), (0, 0, 0), transparent, ())


def found(every):
    """Index of a photograph to the kinds of its findings, of those that have any."""
    looked = photographs.look_over(scene(every), photographs.duplicates(every))
    return {i: [f.kind for f in photo.findings] for i, photo in enumerate(looked) if photo.findings}


def exposed(view, stops):
    """The view as exposed by this many stops more, with the sRGB curve."""
    linear = torch.from_numpy(photographs.LINEAR)[view.image[..., :3].long()] * 2.0**stops
    stored = torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp(min=1e-9) ** (1 / 2.4) - 0.055)
    image = view.image.clone()
    image[..., :3] = (stored.clamp(0, 1) * 255 + 0.5).to(torch.uint8)
    return dataclasses.replace(view, image=image)


def filled(view, value):
    image = view.image.clone()
    image[..., :3] = value
    return dataclasses.replace(view, image=image)


def test_a_blurred_picture_is_found():
    every = noisy(12)
    soft = torch.nn.functional.avg_pool2d(every[5].image.permute(2, 0, 1).float(), 5, 1, 2).permute(1, 2, 0)
    every[5] = dataclasses.replace(every[5], image=soft.to(torch.uint8).contiguous())
    assert found(every) == {5: ["blurred"]}
    looked = photographs.look_over(scene(every), [])
    assert looked[5].sharpness < 0.4 < min(photo.sharpness for i, photo in enumerate(looked) if i != 5)


def test_sharp_sets_and_small_ones_name_nothing():
    assert found(noisy(12)) == {}
    assert found(noisy(3)) == {}
    assert found(noisy(1)) == {}


@pytest.mark.parametrize(("stops", "kind"), [(-1.2, "darker"), (1.2, "brighter")])
def test_a_picture_exposed_otherwise_is_found_with_its_stops(stops, kind):
    every = [exposed(view, -1.5) for view in noisy(12)]
    every[4] = exposed(every[4], stops)
    looked = photographs.look_over(scene(every), [])
    assert found(every) == {4: [kind]}
    assert looked[4].findings[0].text == f"{abs(looked[4].stops):.1f} stops {kind}"
    assert looked[4].stops == pytest.approx(stops, abs=0.35)  # dark pixels are cut at DARKEST


@pytest.mark.parametrize("stops", [-0.4, 0.4])
def test_a_little_darker_or_brighter_is_nothing(stops):
    every = [exposed(view, -1.5) for view in noisy(12)]
    every[4] = exposed(every[4], stops)
    assert found(every) == {}


def test_light_that_changes_slowly_around_the_object_is_nothing():
    """Two stops between the lit and the shaded side, by a cosine; compared with all pictures, some would stand out."""
    every = noisy(24)
    for i, pose in enumerate(drawn.ring(24)):
        every[i] = exposed(every[i], -1.5 + math.cos(math.atan2(float(pose[1, 3]), float(pose[0, 3]))))
    assert found(every) == {}


def test_only_pixels_that_are_valid_and_not_empty_are_measured():
    view = noisy(1)[0]
    dark = view.image.clone()
    dark[:, :24, :3] = 0
    valid = torch.ones(32, 48, dtype=torch.bool)
    valid[:, :24] = False
    masked = photographs.light(dataclasses.replace(view, image=dark, valid=valid))
    empty = dark.clone()
    empty[:, :24, 3] = 0
    cut = photographs.light(dataclasses.replace(view, image=empty))
    right = photographs.light(dataclasses.replace(view, image=view.image[:, 24:], valid=valid[:, 24:]))
    assert masked == cut == right
    assert photographs.light(dataclasses.replace(view, image=dark)).level < right.level - 1


def test_exposure_is_the_mean_logarithm_of_linear_luminance():
    view = filled(noisy(1)[0], 188)  # sRGB 188 is half of the light of 255
    assert photographs.light(view).level == pytest.approx(-1, abs=0.02)
    assert photographs.light(exposed(view, -1)).level == pytest.approx(-2, abs=0.02)


@pytest.mark.parametrize(("value", "kind"), [(255, "blown out"), (0, "black")])
def test_a_clipped_picture_is_found(value, kind):
    every = noisy(12)
    image = every[7].image.clone()
    image[:, :24, :3] = value
    every[7] = dataclasses.replace(every[7], image=image)
    assert kind in found(every)[7]
    assert [i for i in found(every) if i != 7] == []
    looked = photographs.look_over(scene(every), [])
    assert f"50% {kind}" in [f.text for f in looked[7].findings]


def test_a_white_ground_in_all_pictures_is_nothing():
    every = noisy(12)
    for view in every:
        view.image[:, :24, :3] = 255
    assert found(every) == {}


@pytest.mark.parametrize("value", [0, 255])
def test_a_picture_that_shows_nothing_is_found_and_spoils_no_neighbour(value):
    every = noisy(12)
    every[3] = filled(every[3], value)
    assert found(every) == {3: ["blank"]}
    assert photographs.look_over(scene(every), [])[3].stops == 0


def test_a_picture_masked_out_whole_shows_nothing():
    every = noisy(12)
    every[3] = dataclasses.replace(every[3], valid=torch.zeros(32, 48, dtype=torch.bool))
    assert found(every) == {3: ["blank"]}


def moved(view, factor):
    pose = view.camera.pose.clone()
    pose[:3, 3] *= factor
    return dataclasses.replace(view, camera=Camera(pose, LENS, (48, 32)))


def test_a_camera_far_from_all_others_is_found():
    every = noisy(12)
    every[2] = moved(every[2], 4)
    assert found(every) == {2: ["far"]}


def test_a_camera_that_looks_elsewhere_is_found():
    every = noisy(12)
    pose = every[2].camera.pose.clone()
    pose[:3, [0, 2]] *= -1  # half a turn about its own up
    every[2] = dataclasses.replace(every[2], camera=Camera(pose, LENS, (48, 32)))
    assert found(every) == {2: ["away"]}


def test_a_camera_inside_is_found():
    every = noisy(12)
    every[2] = moved(every[2], 0.05)
    assert found(every) == {2: ["inside"]}


def test_cameras_in_a_hull_that_is_too_wide_are_not_inside_the_object():
    every = noisy(12)
    wide = dataclasses.replace(scene(every, transparent=True), box=torch.tensor([[-10.0] * 3, [11.0] * 3]))
    assert not any(photo.findings for photo in photographs.look_over(wide, []))


def test_cameras_that_look_outward_are_neither_inside_nor_away():
    every = noisy(12)
    for i, view in enumerate(every):
        pose = view.camera.pose.clone()
        pose[:3, [0, 2]] *= -1
        pose[:3, 3] *= 0.05
        every[i] = dataclasses.replace(view, camera=Camera(pose, LENS, (48, 32)))
    assert found(every) == {}


def test_equal_poses_and_equal_pictures_are_duplicates():
    every = views()
    assert photographs.duplicates(every) == []
    every.append(dataclasses.replace(every[2], image=every[2].image.flip(0), name="pose.png"))
    every.append(dataclasses.replace(every[7], camera=Camera(torch.eye(4), LENS, (48, 32)), name="copy.png"))
    assert photographs.duplicates(every) == [(2, 12), (7, 13)]
    every = noisy(12)
    every.append(every[2])
    assert found(every) == {12: ["duplicate"]}


def test_a_camera_turned_on_the_spot_is_no_duplicate():
    every = views(2)
    turned = every[0].camera.pose.clone()
    turned[:3, :2] = turned[:3, :2].flip(1) * torch.tensor([1.0, -1.0])  # a quarter turn about the axis
    other = dataclasses.replace(every[1], camera=Camera(turned, LENS, (48, 32)), image=every[1].image.flip(1))
    assert photographs.duplicates([every[0], other]) == []


def test_spreads_tell_how_even_a_capture_is():
    every = [exposed(view, -1.5) for view in noisy(24)]
    even = photographs.look_over(scene(every), [])
    assert photographs.brightness_spread(even) < 0.1
    assert photographs.sharpness_spread(even) < 1.1
    generator = torch.Generator().manual_seed(1)
    for i in torch.randperm(24, generator=generator)[:12].tolist():
        every[i] = exposed(every[i], -1.5)
    assert photographs.brightness_spread(photographs.look_over(scene(every), [])) > 0.6


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("nerf_synthetic_chair", 0),
        ("captures/drums_small", 0),
        ("captures/ngp_fruit", 0),
        ("captures/llff_fern/transforms_by_hand.json", 0),
        ("captures/lego_small", 1),
        ("captures/dtu_idr_scan65/transforms_by_hand.json", 1),  # 000038 is nearly two stops darker
    ],
)
def test_hardly_anything_is_found_in_captures_that_work(capture, name, most):
    data = load(str(capture(name)), ReadOptions(max_resolution=400))
    looked = photographs.look_over(data, photographs.duplicates((*data.train, *data.test)))
    assert sum(bool(photo.findings) for photo in looked) <= most


def test_pictures_of_a_capture_darkened_by_a_stop_are_found(capture):
    data = load(str(capture("captures/ngp_fruit")), ReadOptions())
    train = [exposed(view, -1) if i % 9 == 4 else view for i, view in enumerate(data.train)]
    looked = photographs.look_over(dataclasses.replace(data, train=tuple(train)), [])
    assert [i for i, photo in enumerate(looked) if photo.findings] == [4, 13, 22, 31]
    assert {f.kind for photo in looked for f in photo.findings} == {"darker"}


def on_plain(background, count=6, noise=0):
    """Views of a coloured square in the middle of a plain background."""
    generator, result = torch.Generator().manual_seed(0), []
    for view in views(count):
        image = torch.full((40, 60, 4), 255, dtype=torch.uint8)
        image[..., :3] = torch.tensor(background, dtype=torch.uint8)
        image[10:30, 15:45, :3] = torch.randint(0, 256, (20, 30, 3), generator=generator, dtype=torch.uint8)
        shaken = image[..., :3].int() + torch.randint(-noise, noise + 1, (40, 60, 3), generator=generator)
        image[..., :3] = shaken.clamp(0, 255).to(torch.uint8)
        result.append(dataclasses.replace(view, image=image))
    return result


def test_edges_of_one_colour_in_all_pictures_are_plain():
    assert photographs.plain_share(on_plain((255, 255, 255))) == 1
    assert photographs.plain_share(on_plain((40, 160, 60), noise=8)) == 1  # a green screen, as a camera takes it
    assert photographs.plain_share(on_plain((120, 120, 120), noise=60)) == 0
    mixed = [*on_plain((255, 255, 255), 4), *on_plain((0, 0, 0), 2)]
    assert photographs.plain_share(mixed) == pytest.approx(4 / 6)


def test_an_object_that_touches_the_edge_here_and_there_leaves_it_plain():
    touching = on_plain((255, 255, 255))
    for view in touching:
        view.image[:4, 20:26, :3] = 30
    assert photographs.plain_share(touching) == 1
    for view in touching:
        view.image[:, :30, :3] = 30
    assert photographs.plain_share(touching) == 0
