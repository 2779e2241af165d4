import drawn
import pytest
import torch

from render.camera import Camera, Intrinsics
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
