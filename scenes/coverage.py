"""From how many sides a scene was photographed: directions of the cameras, the largest gap, and how often a point is
seen. Where the cameras look at no common place, the directions are those in which they look."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from render.camera import Camera, project
from scenes.placing.box import cube
from scenes.scene import Scene, View

INWARD = 0.5  # share of the cameras that must look at the middle, from outside, for directions to be taken from there
UPRIGHT = math.cos(math.radians(45))  # the cameras' mean up this near to +Z is taken for it
APART = 0.05  # mean square of the rows of pixels along their second axis from which they say what is level
OFF_LEVEL = 0.05  # share of it that they may leave that level by
STEEP = 75.0  # degrees above or below from which a direction has no useful azimuth
CELLS = 9  # points along each side of the box that are tried; those of the ball within it count
CLOSED = 75.0  # degrees of the largest gap of a full round; of our captures that are one it is 21 to 70


@dataclass(frozen=True)
class Coverage:
    """Angles are in degrees; azimuth is counted about `up`, from +X towards +Y where that is +Z."""

    inward: bool  # directions lead from the middle to the cameras; otherwise from the cameras to where they look
    up: tuple[float, float, float]  # unit, scene axes: +Z, or the cameras' own where +Z is far off
    train: list[tuple[float, float]]  # azimuth -180 to 180 and elevation -90 to 90 of each train view
    test: list[tuple[float, float]]
    gap: float  # largest range of azimuth without a train view, 0 to 360
    gap_from: float  # azimuth where it begins
    gap_between: tuple[str, str]  # names of the train views on its two sides
    lowest: float  # elevation
    highest: float
    span: float  # largest angle between two directions, 0 to 180
    seen_typical: int  # train views that show the median point of the object, or of the core
    seen_least: int  # and its least seen point

    @property
    def around(self) -> float:
        """Range of azimuth that was photographed."""
        return 360 - self.gap

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {"around": self.around, "words": describe(self)}


def cover(scene: Scene) -> Coverage:
    """Coverage by the train views."""
    up = upward(scene)
    inward = facing(scene) >= INWARD
    train, test = ([_direction(view, scene, up, inward) for view in part] for part in (scene.train, scene.test))
    gap, start, between = _largest_gap(train)
    seen = sightings(scene).sort().values
    heights = [elevation for _, elevation in train]
    return Coverage(
        inward=inward,
        up=(float(up[0]), float(up[1]), float(up[2])),
        train=train,
        test=test,
        gap=gap,
        gap_from=start,
        gap_between=(scene.train[between[0]].name, scene.train[between[1]].name),
        lowest=min(heights),
        highest=max(heights),
        span=_span(train),
        seen_typical=int(seen[len(seen) // 2]),
        seen_least=int(seen[0]),
    )


def describe(coverage: Coverage) -> str:
    """In words: from which sides, or in which directions."""
    verb = "seen" if coverage.inward else "looking outward"
    if coverage.gap <= CLOSED:
        round_ = f"{verb} {'from ' if coverage.inward else ''}all around; largest gap {coverage.gap:.0f} degrees"
    elif coverage.gap <= 180:
        round_ = f"{verb} {'from' if coverage.inward else 'to'} most sides; a gap of {coverage.gap:.0f} degrees"
    else:
        round_ = f"{verb} only {name_side(coverage)}"
    return f"{round_}; from {_height(coverage.lowest)} to {_height(coverage.highest)}"


def name_side(coverage: Coverage) -> str:
    """From, or to, which side, where it is only one."""
    word = "from" if coverage.inward else "to"
    if coverage.gap < 360:
        return f"{word} one side, {coverage.around:.0f} degrees of the round"
    if abs(coverage.lowest) < STEEP and abs(coverage.highest) < STEEP:
        return f"{word} one direction"
    return f"{word} straight {'above' if coverage.highest >= STEEP else 'below'}"


def middle(scene: Scene) -> Tensor:
    """The middle (3,) of the object, or of the core of an open scene, in scene units."""
    return scene.box.mean(0) if scene.transparent else torch.full((3,), 0.5)


def facing(scene: Scene) -> float:
    """Share of the train cameras that stand outside of the object or core and show its middle."""
    target, box = middle(scene), scene.box if scene.transparent else cube(1)
    outside = [bool(((v.camera.pose[:3, 3] < box[0]) | (v.camera.pose[:3, 3] > box[1])).any()) for v in scene.train]
    shown = [bool(_inside(view.camera, target[None])[0]) for view in scene.train]
    return sum(a and b for a, b in zip(outside, shown, strict=True)) / len(scene.train)


def upward(scene: Scene) -> Tensor:
    """Up (3,) in scene axes, unit: +Z, or the cameras' own where that is more than 45 degrees off.

    Cameras that are held upright have level rows of pixels: up is what is square to all of them. Where the rows are
    near parallel, or not level, it is the mean of the cameras' up.
    """
    poses = torch.stack([view.camera.pose for view in scene.train]).double()
    mean = poses[:, :3, 1].mean(0)
    spread, axes = torch.linalg.eigh((poses[:, :3, 0, None] * poses[:, None, :3, 0]).mean(0))
    if float(spread[1]) > APART and float(spread[0]) < OFF_LEVEL * float(spread[1]):
        mean = axes[:, 0] * (1 if float(axes[:, 0] @ mean) >= 0 else -1)
    if float(mean.norm()) < 0.3 or float(mean[2] / mean.norm()) > UPRIGHT:
        return torch.tensor([0.0, 0.0, 1.0])
    return normalize(mean, dim=0).float()


def level(up: Tensor) -> Tensor:
    """Rotation (3, 3) that turns `up` (3,) to +Z; none where it is +Z."""
    aside = torch.eye(3)[int(up.abs().argmin())] if float(up[2]) < UPRIGHT else torch.tensor([1.0, 0.0, 0.0])
    right = normalize(aside - (aside @ up) * up, dim=0)
    return torch.stack([right, torch.linalg.cross(up, right), up])


def sightings(scene: Scene) -> Tensor:
    """How many train views show each of some points (P,) of the ball in the object's box, or in the core."""
    box = scene.box if scene.transparent else cube(1)
    steps = (torch.arange(CELLS) + 0.5) / CELLS * 2 - 1
    points = torch.cartesian_prod(steps, steps, steps)
    points = points[points.norm(dim=-1) <= 1] * (box[1] - box[0]) / 2 + box.mean(0)
    return sum((_shown(view, points).long() for view in scene.train), torch.zeros(len(points), dtype=torch.int64))


def _shown(view: View, points: Tensor) -> Tensor:
    """(P,) bool: which points (P, 3) lie in a picture, and not on a masked pixel."""
    inside = _inside(view.camera, points)
    column, row = project(view.camera, points)[0][inside].long().unbind(-1)
    inside[inside.clone()] = view.valid[row, column]
    return inside


def _inside(camera: Camera, points: Tensor) -> Tensor:
    """(P,) bool: which points (P, 3) a camera has in its picture."""
    pixels, depth = project(camera, points)
    return (depth > 0) & (pixels >= 0).all(-1) & (pixels < pixels.new_tensor(camera.size)).all(-1)  # NaN: False


def _direction(view: View, scene: Scene, up: Tensor, inward: bool) -> tuple[float, float]:
    """Azimuth and elevation in degrees of one view's direction."""
    pose = view.camera.pose
    x, y, z = (level(up) @ normalize(pose[:3, 3] - middle(scene) if inward else -pose[:3, 2], dim=0)).tolist()
    return math.degrees(math.atan2(y, x)), math.degrees(math.asin(min(max(z, -1.0), 1.0)))


def _largest_gap(directions: list[tuple[float, float]]) -> tuple[float, float, tuple[int, int]]:
    """Width of the largest gap in azimuth, where it begins, and the indices of the directions on its two sides. Steep
    ones do not count; with fewer than two others all is one gap."""
    order = sorted((azimuth, i) for i, (azimuth, elevation) in enumerate(directions) if abs(elevation) < STEEP)
    if len(order) < 2:
        return 360.0, 0.0, (0, 0)
    pairs = zip(order, [*order[1:], (order[0][0] + 360, order[0][1])], strict=True)
    return max((after - before, before, (i, j)) for (before, i), (after, j) in pairs)


def _span(directions: list[tuple[float, float]]) -> float:
    """Largest angle between two directions, degrees."""
    azimuth, elevation = torch.tensor(directions, dtype=torch.float64).deg2rad().unbind(-1)
    flat = elevation.cos()
    unit = torch.stack([flat * azimuth.cos(), flat * azimuth.sin(), elevation.sin()], -1)
    return math.degrees(float((unit @ unit.T).clamp(-1, 1).min().acos()))


def _height(elevation: float) -> str:
    """An elevation in words."""
    if abs(elevation) < 0.5:
        return "level"
    degrees = "1 degree" if abs(elevation) < 1.5 else f"{abs(elevation):.0f} degrees"
    return f"{degrees} {'above' if elevation > 0 else 'below'}"
