import math

import drawn
import pytest
import torch

from render.camera import Camera, Intrinsics, look_at
from scenes.placing.box import crosses
from scenes.placing.hull import hull

SIZE = (160, 160)


def pictures(lens, count=24):
    """Views of the block; the unit cube is taken as input units here."""
    valid = torch.ones(SIZE[1], SIZE[0], dtype=torch.bool)
    move = torch.tensor([0.5, 0.5, 0.3])
    found = []
    for pose in drawn.ring(count, radius=3.0, lowest=-2.0):
        image = drawn.picture(pose, lens, SIZE)
        moved = pose.clone()
        moved[:3, 3] += move
        found.append((Camera(moved, lens, SIZE), image, valid))
    low, high = torch.tensor(drawn.LOW) + move, torch.tensor(drawn.HIGH) + move
    return found, low, high


@pytest.mark.parametrize(
    "lens",
    [
        Intrinsics(240, 240, 80, 80),
        Intrinsics(240, 220, 88, 74, "opencv", (-0.2, 0.03, 0.0, 0.0), (0.002, -0.003)),
        Intrinsics(120, 120, 80, 80, "fisheye", (0.05, -0.01, 0.0, 0.0)),
    ],
    ids=["pinhole", "distorted", "fisheye"],
)
def test_bounds_hold_the_block_and_little_more(lens):
    views, low, high = pictures(lens)
    bounds = hull(views, 0.25)
    assert bounds is not None
    assert (bounds[0] <= low.clamp(min=0)).all()
    assert (bounds[1] >= high.clamp(max=1)).all()
    assert float((low.clamp(min=0) - bounds[0]).max()) < 0.13
    assert float((bounds[1] - high.clamp(max=1)).max()) < 0.13


def test_empty_pictures_leave_nothing():
    views, _, _ = pictures(Intrinsics(240, 240, 80, 80), 8)
    assert hull([(camera, torch.zeros_like(image), valid) for camera, image, valid in views], 0.25) is None


def seen_from_above(shown, count=12, height=4.0, radius=1.6):
    """Views of what `shown` says of rays, from 68 degrees above; the unit cube is 3 input units wide."""
    lens, valid, views = Intrinsics(200, 200, 80, 80), torch.ones(SIZE[1], SIZE[0], dtype=torch.bool), []
    for i in range(count):
        turn = 2 * math.pi * i / count
        eye = torch.tensor([radius * math.cos(turn), radius * math.sin(turn), height])
        pose = look_at(eye, torch.zeros(3), drawn.UP)
        alpha = shown(Camera(pose, lens, SIZE).rays()).view(SIZE[1], SIZE[0], 1) * 255
        moved = pose.clone()
        moved[:3, 3] = moved[:3, 3] / 3 + 0.5
        views.append((Camera(moved, lens, SIZE), alpha.to(torch.uint8).repeat(1, 1, 4), valid))
    return views


def test_the_tail_below_what_is_only_seen_from_above_is_cut_off():
    block = torch.tensor([[-0.6, -0.6, -0.2], [0.6, 0.6, 0.2]])
    bounds = hull(seen_from_above(lambda rays: crosses(rays, block)), 0.9)
    assert bounds is not None
    low, high = (bounds - 0.5) * 3
    assert (low <= block[0]).all()
    assert (high >= block[1]).all()
    assert float(low[2]) > -1.1  # the silhouettes alone would let it reach down to where the unit cube ends, -1.5
    assert float(high[2]) < 0.9


def test_what_lies_in_a_hollow_is_not_cut_off():
    def bowl(rays):  # the lower half of a sphere's skin: what is seen of it from above is its inside
        half = (rays.origins * rays.directions).sum(-1)
        root = half * half - (rays.origins.square().sum(-1) - 0.64)
        far = -half + root.clamp(min=0).sqrt()
        return (root > 0) & (rays.origins[:, 2] + far * rays.directions[:, 2] < 0)

    bounds = hull(seen_from_above(bowl), 0.9)
    assert bounds is not None
    assert float((bounds[0, 2] - 0.5) * 3) < -0.8
