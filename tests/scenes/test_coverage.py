"""From how many sides a scene was photographed: known arcs, gaps and heights, whatever axis is up."""

import dataclasses
import json
import math

import drawn
import pytest
import torch

from render.camera import Camera, Intrinsics, look_at
from scenes.assemble import load
from scenes.coverage import cover, describe, facing, level, sightings, upward
from scenes.options import ReadOptions
from scenes.scene import Scene, View

LENS = Intrinsics(60, 60, 24, 24)
MIDDLE = torch.full((3,), 0.5)


def arc(*directions, distance=3.0, outward=False):
    """A scene of cameras in these directions (azimuth, elevation) from the middle of the core."""
    views = []
    for azimuth, elevation in directions:
        a, e = math.radians(azimuth), math.radians(elevation)
        away = torch.tensor([math.cos(e) * math.cos(a), math.cos(e) * math.sin(a), math.sin(e)])
        eye = MIDDLE + away * (0.1 if outward else distance)
        target = eye + away if outward else MIDDLE
        pose = look_at(eye, target, drawn.UP if abs(elevation) < 89 else torch.tensor([0.0, 1.0, 0.0]))
        valid = torch.ones(48, 48, dtype=torch.bool)
        image = torch.full((48, 48, 4), 255, dtype=torch.uint8)
        views.append(View(Camera(pose, LENS, (48, 48)), image, valid, f"{azimuth}.png"))
    box = torch.tensor([[-1.5] * 3, [2.5] * 3])
    return Scene("arc", tuple(views), (), box, torch.eye(4).double(), (0, 0, 0), False, ())


def turned(scene, rotation):
    """The scene turned about the middle of the core."""
    turn = torch.eye(4)
    turn[:3, :3] = rotation
    turn[:3, 3] = MIDDLE - rotation @ MIDDLE
    views = [
        dataclasses.replace(v, camera=dataclasses.replace(v.camera, pose=turn @ v.camera.pose)) for v in scene.train
    ]
    return dataclasses.replace(scene, train=tuple(views))


def test_a_full_round():
    found = cover(arc(*((a, 20) for a in range(0, 360, 30))))
    assert found.inward
    assert found.gap == pytest.approx(30, abs=0.1)
    assert found.around == pytest.approx(330, abs=0.1)
    assert (found.lowest, found.highest) == pytest.approx((20, 20), abs=0.1)
    assert describe(found) == "seen from all around; largest gap 30 degrees; from 20 degrees above to 20 degrees above"


def test_a_gap_lies_between_its_neighbours():
    found = cover(arc(*((a, 0) for a in range(-150, 121, 30))))
    assert found.gap == pytest.approx(90, abs=0.1)
    assert found.gap_from == pytest.approx(120, abs=0.1)
    assert found.gap_between == ("120.png", "-150.png")
    assert describe(found) == "seen from most sides; a gap of 90 degrees; from level to level"


def test_one_side_only():
    found = cover(arc((-40, -10), (-10, 5), (0, 1), (30, 40)))
    assert found.around == pytest.approx(70, abs=0.1)
    assert describe(found).startswith("seen only from one side, 70 degrees of the round; from 10 degrees below to 40")
    assert found.span == pytest.approx(85, abs=5)


def test_views_from_straight_above_close_no_gap():
    found = cover(arc((0, 0), (90, 80), (180, 80), (270, 80), (20, 0)))
    assert found.around == pytest.approx(20, abs=0.1)
    above = cover(arc((0, 85), (90, 80), (180, 80)))
    assert above.gap == 360
    assert describe(above).startswith("seen only from straight above")
    assert describe(cover(arc((10, 10)))).startswith("seen only from one direction")


@pytest.mark.parametrize("up", [[0.0, 0.0, 1.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [0.6, -0.7, -0.3]])
def test_up_is_found_from_the_cameras(up):
    axis = torch.nn.functional.normalize(torch.tensor(up), dim=0)
    scene = turned(arc(*((a, 20) for a in range(0, 300, 30))), level(axis).T)
    assert (upward(scene) @ axis) > 0.999
    found = cover(scene)
    assert found.gap == pytest.approx(90, abs=1)
    assert found.lowest == pytest.approx(20, abs=1)


def test_level_is_a_rotation_that_takes_up_to_z():
    for up in ([0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [0.6, 0.0, 0.8], [-1.0, 0.0, 0.0]):
        turn = level(torch.tensor(up))
        assert torch.allclose(turn @ turn.T, torch.eye(3), atol=1e-6)
        assert torch.allclose(turn @ torch.tensor(up), torch.tensor([0.0, 0.0, 1.0]), atol=1e-6)
        assert torch.linalg.det(turn) > 0
    assert torch.equal(level(torch.tensor([0.0, 0.0, 1.0])), torch.eye(3))


def test_outward_cameras_are_told_by_where_they_look():
    scene = arc(*((a, 0) for a in range(0, 91, 30)), outward=True)
    found = cover(scene)
    assert facing(scene) == 0
    assert not found.inward
    assert found.around == pytest.approx(90, abs=0.1)
    assert describe(found).startswith("looking outward only to one side, 90 degrees of the round")


def test_sightings_count_pictures_and_leave_out_masked_pixels():
    scene = arc(*((a, 20) for a in range(0, 360, 60)))
    assert sightings(scene).unique().tolist() == [6]
    first = dataclasses.replace(scene.train[0], valid=torch.zeros(48, 48, dtype=torch.bool))
    assert sightings(dataclasses.replace(scene, train=(first, *scene.train[1:]))).unique().tolist() == [5]
    near = cover(arc(*((a, 20) for a in range(0, 360, 60)), distance=0.8))
    assert near.seen_least < near.seen_typical <= 6


def test_a_cut_out_object_is_seen_by_all_and_the_record_is_plain(tmp_path):
    scene = load(str(drawn.blender(tmp_path)), ReadOptions())
    found = cover(scene)
    assert (found.seen_typical, len(found.train), len(found.test)) == (10, 10, 3)
    record = json.loads(json.dumps(found.to_record(), allow_nan=False))
    assert record["words"] == describe(found)
    assert record["around"] == pytest.approx(360 - record["gap"])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nerf_synthetic_chair", "seen from all around; largest gap 22 degrees"),
        ("captures/ngp_fruit", "seen from all around; largest gap 58 degrees"),
        ("captures/llff_fern/transforms_by_hand.json", "seen only from one side, 18 degrees of the round"),
        ("captures/dtu_idr_scan65/transforms_by_hand.json", "seen only from one side, 123 degrees of the round"),
    ],
)
def test_captures_are_told_as_they_are(capture, name, words):
    scene = load(str(capture(name)), ReadOptions(max_resolution=200))
    assert describe(cover(scene)).startswith(words)
