"""Orbits, spirals and paths through cameras."""

import math

import pytest
import torch

from render import quaternions
from render.camera import Camera, Intrinsics, look_at
from render.paths import orbit, spiral, through, vertical_fov

BOX = torch.tensor([[0.0, 0.0, 0.2], [1.0, 1.0, 0.8]])
CENTER = BOX.mean(0)
UP = torch.tensor([0.0, 0.0, 1.0])


def camera(azimuth, elevation, distance=2.0, focal=100.0):
    away = torch.tensor([math.cos(azimuth), math.sin(azimuth), 0.0]) * math.cos(elevation) + UP * math.sin(elevation)
    lens = Intrinsics(focal, focal, 60, 40)
    return Camera(look_at(CENTER + distance * away, CENTER, UP), lens, (120, 80))


CAMERAS = [camera(0.4 + 1.3 * k, 0.1 * k, 2.0 + 0.1 * k) for k in range(5)]


def eyes(path):
    return torch.stack([c.pose[:3, 3] for c in path])


def rotations(path):
    return torch.stack([c.pose[:3, :3] for c in path]).double()


def assert_looks_at_center(path):
    for c in path:
        toward = torch.nn.functional.normalize(CENTER - c.pose[:3, 3], dim=0)
        assert torch.allclose(-c.pose[:3, 2], toward, atol=1e-5)
        assert c.pose[2, 1] > 0  # the picture's up is the world's


def test_orbit_keeps_distance_height_and_lens_of_the_median_camera():
    path = orbit(CAMERAS, BOX, 24, (120, 80))
    assert len(path) == 24
    assert_looks_at_center(path)
    assert torch.allclose((eyes(path) - CENTER).norm(dim=-1), torch.tensor(2.2), atol=1e-5)
    assert torch.allclose(eyes(path)[:, 2], CENTER[2] + 2.2 * math.sin(0.2), atol=1e-5)
    assert path[0].intrinsics.fx == pytest.approx(100, rel=1e-6)
    assert path[0].size == (120, 80)


def test_orbit_is_a_closed_loop_of_equal_steps_from_the_first_camera():
    points = eyes(orbit(CAMERAS, BOX, 24, (64, 64)))
    steps = (points.roll(-1, 0) - points).norm(dim=-1)
    assert torch.allclose(steps, steps[0], atol=1e-5)
    first = CAMERAS[0].pose[:2, 3] - CENTER[:2]
    assert torch.nn.functional.cosine_similarity(points[0, :2] - CENTER[:2], first, dim=0) > 1 - 1e-6


def test_the_short_side_sees_what_the_cameras_short_side_saw():
    for size in ((64, 64), (100, 50), (50, 100)):
        lens = orbit(CAMERAS, BOX, 1, size)[0].intrinsics
        assert min(size) / 2 / lens.fx == pytest.approx(0.4, rel=1e-6)


def test_orbit_from_straight_above_still_has_an_up():
    path = orbit([camera(0.0, math.pi / 2 - 1e-3)], BOX, 5, (32, 32))
    assert all(torch.isfinite(c.pose).all() for c in path)
    assert_looks_at_center(path)


def test_spiral_rises_turns_and_comes_back():
    path = spiral(CAMERAS, BOX, 200, (64, 48), turns=3)
    assert_looks_at_center(path)
    away = eyes(path) - CENTER
    assert torch.allclose(away.norm(dim=-1), torch.tensor(2.2), atol=1e-5)
    elevation = torch.asin(away[:, 2] / 2.2)
    assert float(elevation.min()) == pytest.approx(0.04, abs=1e-4)
    assert float(elevation.max()) == pytest.approx(0.36, abs=1e-4)
    azimuth = torch.atan2(away[:, 1], away[:, 0])
    turned = torch.remainder(azimuth.roll(-1) - azimuth + math.pi, 2 * math.pi) - math.pi
    assert float(turned.sum()) == pytest.approx(3 * 2 * math.pi, abs=1e-3)
    with pytest.raises(ValueError, match="at least 1 turn"):
        spiral(CAMERAS, BOX, 10, (64, 48), turns=0)


def interpolate(cameras, frames, size, closed=False):
    """`through` cameras, in equal times from one to the next."""
    keys = [*cameras, *cameras[:1]] if closed else cameras
    at = torch.arange(frames, dtype=torch.float64) * (len(keys) - 1) / (frames if closed else max(frames - 1, 1))
    fov = torch.tensor([vertical_fov(c) for c in keys], dtype=torch.float64)
    poses, times = torch.stack([c.pose for c in keys]), torch.arange(len(keys), dtype=torch.float64)
    return through(times, poses, fov, at, size, closed=closed)


@pytest.mark.parametrize("closed", [False, True])
def test_interpolation_meets_its_cameras(closed):
    segments = 5 if closed else 4
    path = interpolate(CAMERAS, segments * 6 + (not closed), (120, 80), closed=closed)
    for k, want in enumerate(CAMERAS):
        assert torch.allclose(path[6 * k].pose, want.pose, atol=1e-5)
        assert path[6 * k].intrinsics.fx == pytest.approx(100, rel=1e-6)


@pytest.mark.parametrize("closed", [False, True])
def test_interpolation_is_smooth(closed):
    path = interpolate(CAMERAS, 1000, (120, 80), closed=closed)
    points = eyes(path)
    turned = rotations(path)
    if closed:
        points, turned = torch.cat([points, points[:2]]), torch.cat([turned, turned[:2]])
    velocity = (points[1:] - points[:-1]) * 200
    assert float((velocity[1:] - velocity[:-1]).norm(dim=-1).max()) < 0.15  # a corner would jump by about 1
    spin = torch.linalg.matrix_norm(turned[1:] - turned[:-1]) * 200
    assert float((spin[1:] - spin[:-1]).abs().max()) < 0.1
    unit = turned @ turned.transpose(1, 2)
    assert torch.allclose(unit, torch.eye(3, dtype=torch.float64).expand_as(unit), atol=1e-5)


def test_two_rotations_are_slerped():
    angle = 2.0
    poses = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1)
    poses[1, :3, :3] = quaternions.to_matrices(quaternions.exponential(torch.tensor([[0.0, 0.0, angle]]).double()))[0]
    at = torch.tensor([0.0, 0.25, 0.5, 1.0])
    path = through(torch.tensor([0.0, 1.0]), poses, torch.tensor([0.7, 0.7]), at, (32, 32))
    for share, c in zip(at.tolist(), path, strict=True):
        assert math.atan2(c.pose[1, 0], c.pose[0, 0]) == pytest.approx(angle * share, abs=1e-6)


def test_uneven_times_and_changing_lens():
    times = torch.tensor([0.0, 1.0, 4.0])
    fov = torch.tensor([0.5, 0.9, 0.6])
    poses = torch.stack([c.pose for c in CAMERAS[:3]])
    path = through(times, poses, fov, torch.tensor([-1.0, 0.0, 1.0, 4.0, 9.0]), (64, 64))
    for c, k in zip(path, (0, 0, 1, 2, 2), strict=True):
        assert torch.allclose(c.pose, poses[k], atol=1e-5)
        assert vertical_fov(c) == pytest.approx(float(fov[k]), abs=1e-6)


def test_one_camera_stands_still():
    path = interpolate(CAMERAS[:1], 3, (120, 80))
    assert all(torch.equal(c.pose, CAMERAS[0].pose) for c in path)
    assert len(interpolate(CAMERAS[:1], 3, (120, 80), closed=True)) == 3


def test_nothing_to_go_by_is_refused():
    for call in (lambda: orbit([], BOX, 3, (8, 8)), lambda: spiral([], BOX, 3, (8, 8))):
        with pytest.raises(ValueError, match="at least 1 camera, found none"):
            call()
    for call in (lambda: orbit(CAMERAS, BOX, 0, (8, 8)), lambda: spiral(CAMERAS, BOX, 0, (8, 8))):
        with pytest.raises(ValueError, match="at least 1 frame, found 0"):
            call()


def test_quaternions_of_random_and_half_turns():
    generator = torch.Generator().manual_seed(0)
    q = torch.nn.functional.normalize(torch.randn(200, 4, generator=generator, dtype=torch.float64), dim=-1)
    q = torch.cat([torch.eye(4, dtype=torch.float64), q])  # a turn by nothing and the half turns
    matrices = quaternions.to_matrices(q)
    assert torch.allclose(quaternions.to_matrices(quaternions.from_matrices(matrices)), matrices, atol=1e-12)
    again = quaternions.exponential(quaternions.logarithm(q))
    assert torch.allclose(quaternions.to_matrices(again), matrices, atol=1e-12)
    composed = quaternions.to_matrices(quaternions.product(q[:-1], q[1:]))
    assert torch.allclose(composed, matrices[:-1] @ matrices[1:], atol=1e-12)
