"""Camera paths: once around the scene, a spiral, through given cameras. World +Z is up; scene units and radians."""

import math

import torch
from torch import Tensor

from render import quaternions
from render.camera import Camera, Intrinsics, look_at

VIEWS, SIZE, FIELD_OF_VIEW, DISTANCE = 64, 400, math.radians(40), 1.8  # of cameras where a model names none
STEEPEST = math.radians(85)  # an orbit this high would have no up


def orbit(cameras: list[Camera], box: Tensor, frames: int, size: tuple[int, int]) -> list[Camera]:
    """Once around the centre of `box` (2, 3), from the first camera's side on; a closed loop without its first again.

    Distance, elevation and lens are the medians of `cameras`. ValueError for no cameras or no frames.
    """
    distance, azimuth, elevation = polar(cameras, box)
    turn = azimuth[0] + 2 * math.pi * torch.arange(count(frames), dtype=torch.float64) / frames
    height = elevation.median().clamp(-STEEPEST, STEEPEST).expand(frames)
    return around(box, distance.median().expand(frames), turn, height, lens(cameras, size), size)


def spiral(cameras: list[Camera], box: Tensor, frames: int, size: tuple[int, int], *, turns: int = 2) -> list[Camera]:
    """As `orbit`, while it rises and sinks once between the low and high tenth of the cameras' elevations.

    `turns` times around, at least 1; a closed loop without its first camera again.
    """
    if turns < 1:
        raise ValueError(f"a spiral takes at least 1 turn, found {turns}")
    distance, azimuth, elevation = polar(cameras, box)
    share = torch.arange(count(frames), dtype=torch.float64) / frames
    low, high = elevation.quantile(torch.tensor([0.1, 0.9], dtype=torch.float64)).clamp(-STEEPEST, STEEPEST)
    height = low + (high - low) * (1 - (2 * math.pi * share).cos()) / 2
    turn = azimuth[0] + 2 * math.pi * turns * share
    return around(box, distance.median().expand(frames), turn, height, lens(cameras, size), size)


def through(
    times: Tensor, poses: Tensor, fov: Tensor, at: Tensor, size: tuple[int, int], *, closed: bool = False
) -> list[Camera]:
    """Cameras at times `at` (T,) on the smooth curve through K poses (K, 4, 4) with lenses fov (K,) at `times` (K,).

    Times ascend; outside of them the end poses hold. Positions and lens: cubic splines with Catmull-Rom slopes;
    rotations: their counterpart of slerps. `closed`: the last pose is the first one, and is passed without a jerk.
    """
    if len(times) == 1:
        return [pinhole(poses[0], float(fov[0]), size) for _ in at]
    times, poses, at = times.double(), poses.double(), at.double()
    wrap = closed and len(times) > 2
    if wrap:  # one key more on either side gives the ends their slopes
        times = torch.cat([times[:1] - (times[-1:] - times[-2:-1]), times, times[-1:] + (times[1:2] - times[:1])])
        poses, fov = torch.cat([poses[-2:-1], poses, poses[1:2]]), torch.cat([fov[-2:-1], fov, fov[1:2]])
    first, last = (1, len(times) - 2) if wrap else (0, len(times) - 1)
    at = at.clamp(times[first], times[last])
    index = (torch.searchsorted(times, at, right=True) - 1).clamp(first, last - 1)
    u = (at - times[index]) / (times[index + 1] - times[index])
    turned = quaternions.curve(quaternions.from_matrices(poses[:, :3, :3]), times, index, u)
    result = torch.eye(4, dtype=torch.float64).repeat(len(at), 1, 1)
    result[:, :3, :3] = quaternions.to_matrices(turned)
    values = spline(torch.cat([poses[:, :3, 3], fov.double()[:, None]], 1), times, index, u)
    result[:, :3, 3] = values[:, :3]
    lenses = values[:, 3].clamp(fov.min() / 2, (fov.max() + math.pi) / 2)  # a spline may swing past its keys
    return [pinhole(pose, float(angle), size) for pose, angle in zip(result, lenses, strict=True)]


def spline(values: Tensor, times: Tensor, index: Tensor, u: Tensor) -> Tensor:
    """Cubic Hermite spline (N, C) at share u (N,) of segments `index` (N,) between values (K, C) at times (K,)."""
    step = (times[1:] - times[:-1])[:, None]
    slope = (values[1:] - values[:-1]) / step
    inner = (slope[:-1] * step[1:] + slope[1:] * step[:-1]) / (step[1:] + step[:-1])
    slopes = torch.cat([slope[:1], inner, slope[-1:]])
    a, b, h, u = values[index], values[index + 1], step[index], u[:, None]
    ends = (1 - u) ** 2 * (1 + 2 * u) * a + u * u * (3 - 2 * u) * b
    return ends + h * u * (1 - u) * ((1 - u) * slopes[index] - u * slopes[index + 1])


def polar(cameras: list[Camera], box: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Distance, azimuth and elevation (N,) float64 of cameras as seen from the centre of `box` (2, 3)."""
    if not cameras:
        raise ValueError("a path around the scene needs at least 1 camera, found none")
    away = torch.stack([c.pose[:3, 3] for c in cameras]).double() - box.double().mean(0)
    distance = away.norm(dim=-1).clamp(min=1e-3)
    return distance, torch.atan2(away[:, 1], away[:, 0]), (away[:, 2] / distance).clamp(-1, 1).asin()


def around(
    box: Tensor, distance: Tensor, azimuth: Tensor, elevation: Tensor, fov: float, size: tuple[int, int]
) -> list[Camera]:
    """Cameras (T) that look at the centre of `box` from polar coordinates (T,)."""
    target, up = box.double().mean(0), torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    flat = elevation.cos()
    away = torch.stack([flat * azimuth.cos(), flat * azimuth.sin(), elevation.sin()], -1)
    eyes = target + distance[:, None] * away
    return [pinhole(look_at(eye, target, up), fov, size) for eye in eyes]


def lens(cameras: list[Camera], size: tuple[int, int]) -> float:
    """Field of view in radians along the height of `size` at which the shorter side sees what the cameras' median
    shorter side sees."""
    half = torch.tensor([min(c.size[0] / c.intrinsics.fx, c.size[1] / c.intrinsics.fy) / 2 for c in cameras])
    width, height = size
    return 2 * math.atan(float(half.median()) * height / min(width, height))


def vertical_fov(camera: Camera) -> float:
    """Field of view in radians along the height, without distortion."""
    return 2 * math.atan(camera.size[1] / 2 / camera.intrinsics.fy)


def pinhole(pose: Tensor, fov: float, size: tuple[int, int]) -> Camera:
    """A camera without distortion, of `fov` radians along the height; pose (4, 4) in scene units."""
    width, height = size
    focal = height / 2 / math.tan(fov / 2)
    return Camera(pose.float(), Intrinsics(focal, focal, width / 2, height / 2), size)


def count(frames: int) -> int:
    """The number itself; ValueError where it is less than 1."""
    if frames < 1:
        raise ValueError(f"a path needs at least 1 frame, found {frames}")
    return frames


def surrounding(box: Tensor) -> tuple[Camera, ...]:
    """Cameras all around a box (2, 3), evenly spread over directions, that look at its centre."""
    center, radius = box.mean(0), DISTANCE * float((box[1] - box[0]).norm())
    z = 1 - (2 * torch.arange(VIEWS) + 1) / VIEWS
    azimuth = torch.arange(VIEWS) * math.pi * (3 - 5**0.5)
    level = (1 - z * z).sqrt()
    eyes = center + radius * torch.stack([level * azimuth.cos(), level * azimuth.sin(), z], -1)
    up = torch.tensor([0.0, 0.0, 1.0])
    return tuple(pinhole(look_at(eye, center, up), FIELD_OF_VIEW, (SIZE, SIZE)) for eye in eyes)
