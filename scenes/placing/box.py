"""Where the scene is: one similarity from input coordinates to scene units, and the box that holds what is drawn.

The core, the unit cube, goes around the point that the cameras look at. Pictures with alpha show one object, and a
visual hull finds its bounds. All other scenes have surroundings, so that their box is 2 to 16 cores wide, and up to 128
where instant-ngp's aabb_scale asks for it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from render.camera import Camera, CameraBank, Intrinsics, moved
from render.rays import RayBatch
from scenes.placing.hull import FAINT, Picture, contradicting, hull
from scenes.scene import Fact

SIDES = (1, 2, 4, 8, 16, 32, 64, 128)  # widths of a box in cores, as instant-ngp's aabb_scale may ask for
WIDEST = 16  # where nobody asks
SPREAD = 0.01  # least mean squared sine between view directions (5.7 degrees) for a common point to be trusted
SEEING = 0.75  # share of cameras that must have the common point in their picture
ROUNDS = 25  # of reweighted least squares
PATIENCE = 1.5  # first guess of an object's region over what the cameras frame, so that nothing is cut off
MARGIN = 0.02  # added around an object's hull on each side, as a share of its longest side
FRAMING = (0.9, 0.5, 0.25, 0.0)  # shares that the hull is asked for, the next when one cuts something off
CAUGHT = 0.999  # share of the rays showing an object that must cross its box
STRAY = 8.0  # times as far from the middle as three quarters of the cameras: such a camera says nothing of the scene
LONE = 0.1  # share of the cameras that may be strays; the scene is so if there are more
PROBES = 24  # rays per picture side for the shares in the facts
FITTED = 16  # silhouettes, at most, of which it is asked whether they fit together
WRONG = 0.2  # share of the silhouettes that may contradict the others
HULL = "box: the object's visual hull, which all that the pictures show lies in"
NO_HULL = "box: the silhouettes have no solid place in common (wrong poses?), so it is all they frame"

Item = TypeVar("Item")


@dataclass(frozen=True)
class Unplaced:
    """A photograph that has not found its place in scene units yet."""

    name: str  # file name within the data set
    pose: Tensor  # (4, 4) float64, camera-to-world, input units, rotation orthonormal
    intrinsics: Intrinsics
    image: Tensor  # (H, W, 4) uint8
    valid: Tensor  # (H, W) bool

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.shape[1], self.image.shape[0]

    def placed(self, transform: Tensor) -> Camera:
        """The camera in the units that `transform` leads to."""
        return Camera(moved(self.pose, transform), self.intrinsics, self.size)


@dataclass(frozen=True)
class Placement:
    """Scene units for a set of photographs."""

    transform: Tensor  # (4, 4) float64 similarity, input coordinates to scene units
    box: Tensor  # (2, 3) float32, scene units
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Region:
    """A cube in input coordinates."""

    center: Tensor  # (3,) float64
    half: float  # half its side, input units
    fact: Fact


def place(shots: Sequence[Unplaced], *, transparent: bool, aabb_scale: float | None) -> Placement:
    """Scene units from cameras and, where they are `transparent`, pictures. `aabb_scale` is instant-ngp's, 1 to 128.

    instant-ngp maps coordinates by 0.33 x + 0.5, which suits files whose cameras stand about 4 units from the origin.
    The core from cameras gives nearly the same there (scale 0.28 for its fox) and holds for any other scale too, so
    only the side of the box is taken from `aabb_scale`.
    """
    shots, facts = without_strays(shots)
    poses = torch.stack([shot.pose for shot in shots])
    point = attention(poses[:, :3, 3], -poses[:, :3, 2])
    converge = point is not None and _seen_by(shots, poses, point) >= SEEING
    region = _framed(shots, poses, point, whole=transparent) if converge and point is not None else _around(poses)
    facts.append(region.fact)
    if transparent:
        transform, box, found = _object(shots, region)
        facts += found
    else:
        transform = similarity(region.center, region.half)
        side, why = _side(poses, transform, aabb_scale) if converge else (WIDEST, "as the cameras look at no one point")
        box = cube(side)
        facts.append(Fact("assumed", f"box: {side} times the core, {why}"))
    core, inside = ray_shares([shot.placed(transform) for shot in shots], box)
    facts.append(Fact("found", f"rays: {core:.1%} cross the core, {inside:.1%} the box"))
    return Placement(transform, box, tuple(facts))


def hulled(facts: Sequence[Fact]) -> bool:
    """Whether a placement's facts say that the silhouettes have a hull."""
    return any(fact.text.startswith(HULL) for fact in facts)


def without_strays(shots: Sequence[Unplaced]) -> tuple[Sequence[Unplaced], list[Fact]]:
    """Those whose cameras stand where the others do, and a fact that names the rest."""
    positions = torch.stack([shot.pose[:3, 3] for shot in shots])
    away = (positions - positions.median(0).values).norm(dim=-1)
    usual = float(away.quantile(0.75))
    far = away > STRAY * usual
    if not 0 < int(far.sum()) <= max(1.0, LONE * len(shots)) or usual == 0:
        return shots, []
    named = ", ".join(shot.name for shot, stray in zip(shots, far.tolist(), strict=True) if stray)
    words = f"{float(away.max()) / usual:.0f} times as far away as the others: wrong poses? The box is found without"
    return [shot for shot, stray in zip(shots, far.tolist(), strict=True) if not stray], [
        Fact("assumed", f"cameras: {int(far.sum())} of {len(shots)} stand up to {words}: {named}")
    ]


def similarity(center: Tensor, half: float) -> Tensor:
    """(4, 4) float64 that takes the cube of `half` side around `center` (3,) to the unit cube."""
    result = torch.eye(4, dtype=torch.float64)
    result[:3, :3] *= 0.5 / half
    result[:3, 3] = 0.5 - center * (0.5 / half)
    return result


def cube(side: float) -> Tensor:
    """(2, 3) float32: a box of this side around the middle of the core."""
    return torch.tensor([[0.5 - side / 2] * 3, [0.5 + side / 2] * 3], dtype=torch.float32)


def attention(positions: Tensor, axes: Tensor) -> Tensor | None:
    """The point (3,) nearest to all lines (M, 3) along unit `axes` (M, 3); None where the lines are near parallel.

    Least squares of the distances, reweighted by 1 / (1 + (distance / median)^2) so that strays count little.
    """
    across = torch.eye(3, dtype=axes.dtype) - axes[:, :, None] * axes[:, None, :]  # (M, 3, 3)
    if float(torch.linalg.eigvalsh(across.mean(0))[0]) < SPREAD:
        return None
    weights = torch.ones(len(axes), dtype=axes.dtype)
    point = positions.mean(0)
    for _ in range(ROUNDS):
        weighted = across * weights[:, None, None]
        point = torch.linalg.lstsq(weighted.sum(0), (weighted @ positions[:, :, None]).sum(0)).solution[:, 0]
        distance = (across @ (point - positions)[:, :, None])[:, :, 0].norm(dim=-1)
        weights = 1 / (1 + (distance / distance.median().clamp(min=1e-9)) ** 2)
    return point


def crosses(rays: RayBatch, box: Tensor) -> Tensor:
    """(R,) bool: which half-lines touch a box (2, 3)."""
    direction = torch.where(rays.directions.abs() < 1e-12, torch.full_like(rays.directions, 1e-12), rays.directions)
    planes = (box[:, None] - rays.origins) / direction  # (2, R, 3)
    near, far = planes.amin(0).amax(-1), planes.amax(0).amin(-1)
    return far >= near.clamp(min=0)


def probes(camera: Camera, count: int = PROBES) -> tuple[RayBatch, Tensor]:
    """Rays through a grid of `count` x `count` pixels of a picture, and those pixels (R, 2), column and row."""
    width, height = camera.size
    steps = (torch.arange(count) + 0.5) / count
    rows, columns = torch.meshgrid((steps * height).long(), (steps * width).long(), indexing="ij")
    pixels = torch.stack([columns, rows], -1).reshape(-1, 2)
    return CameraBank.of([camera]).rays(torch.zeros(len(pixels), dtype=torch.int64), pixels), pixels


def _half_angles(lens: Intrinsics, size: tuple[int, int]) -> tuple[float, float]:
    """Angle in radians from the axis to the nearest side and to the farthest corner, without distortion, < 80 deg."""
    x, y = max(lens.cx, size[0] - lens.cx) / lens.fx, max(lens.cy, size[1] - lens.cy) / lens.fy
    inner = min(lens.cx / lens.fx, (size[0] - lens.cx) / lens.fx, lens.cy / lens.fy, (size[1] - lens.cy) / lens.fy)
    outer = math.hypot(x, y)
    if lens.model == "opencv":
        inner, outer = math.atan(inner), math.atan(outer)
    return min(max(inner, 0.01), 1.4), min(outer, 1.4)


def _seen_by(shots: Sequence[Unplaced], poses: Tensor, point: Tensor) -> float:
    """Share of the cameras that have a point (3,) in front of them and within their picture's corners."""
    ray = torch.nn.functional.normalize(point - poses[:, :3, 3], dim=-1)
    angle = (-poses[:, :3, 2] * ray).sum(-1).clamp(-1, 1).acos()
    outer = torch.tensor([_half_angles(shot.intrinsics, shot.size)[1] for shot in shots], dtype=angle.dtype)
    return float((angle < outer).double().mean())


def _framed(shots: Sequence[Unplaced], poses: Tensor, point: Tensor, *, whole: bool) -> Region:
    """What the cameras frame around a point: the ball that half of them show whole; `whole`: all that any shows."""
    distance = (point - poses[:, :3, 3]).norm(dim=-1)
    angles = torch.tensor([_half_angles(shot.intrinsics, shot.size) for shot in shots], dtype=torch.float64)
    if whole:
        half = PATIENCE * float((distance * angles[:, 1].tan()).max())
    else:
        half = float((distance * angles[:, 0].sin()).median())
    where = ", ".join(f"{v:.4g}" for v in point.tolist())
    return Region(point, half, Fact("found", f"cameras: inward-facing, they look at ({where}) in input units"))


def _around(poses: Tensor) -> Region:
    """The cube of the cameras themselves with a quarter of margin; 1 input unit for a single camera."""
    low, high = poses[:, :3, 3].amin(0), poses[:, :3, 3].amax(0)
    half = 1.25 * float((high - low).max()) / 2
    fact = "cameras: outward- or forward-facing, they look at no common point; the core is where they stand"
    return Region((low + high) / 2, half or 1.0, Fact("assumed", fact))


def _object(shots: Sequence[Unplaced], region: Region) -> tuple[Tensor, Tensor, list[Fact]]:
    """Transform, box and facts for pictures of one object with empty surroundings."""
    first = similarity(region.center, region.half)
    pictures = [(shot.placed(first), shot.image, shot.valid) for shot in shots]
    if found := _hulled(shots, pictures, first):
        return *found, [Fact("found", HULL)]
    wrong = contradicting(pictures)
    if 0 < len(wrong) <= WRONG * len(shots):
        kept = [i for i in range(len(shots)) if i not in wrong]
        if found := _hulled([shots[i] for i in kept], [pictures[i] for i in kept], first):
            named = ", ".join(shots[i].name for i in wrong)
            words = f"box: {len(wrong)} of {len(shots)} silhouettes contradict the others (wrong poses?): {named}"
            return *found, [Fact("assumed", words), Fact("found", f"{HULL} but in those")]
    return first, cube(1), [Fact("assumed", NO_HULL)]


def fit_together(shots: Sequence[Unplaced]) -> bool:
    """Whether the cameras look at one point, and the silhouettes of some of them have a hull."""
    some = shots[:: -(-len(shots) // FITTED)]
    poses = torch.stack([shot.pose for shot in some])
    point = attention(poses[:, :3, 3], -poses[:, :3, 2])
    if point is None or _seen_by(some, poses, point) < SEEING:
        return False
    region = _framed(some, poses, point, whole=True)
    first = similarity(region.center, region.half)
    return _hulled(some, [(shot.placed(first), shot.image, shot.valid) for shot in some], first) is not None


def _hulled(shots: Sequence[Unplaced], pictures: Sequence[Picture], first: Tensor) -> tuple[Tensor, Tensor] | None:
    """Transform and box of the tightest hull that no silhouette misses, of `pictures` in the units of `first`."""
    for share in FRAMING:
        bounds = hull(pictures, share)
        if bounds is None:
            return None
        transform, box = _fitted(bounds.double(), first)
        if _caught(shots, transform, box) >= CAUGHT:
            return transform, box
    return None


def _fitted(bounds: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
    """The similarity that gives `bounds` (2, 3), in the units of `first`, a longest side of 1, and the box there."""
    extent = bounds[1] - bounds[0]
    extent = extent + 2 * MARGIN * extent.max()
    half = extent / extent.max() / 2
    box = torch.stack([0.5 - half, 0.5 + half]).float()
    return similarity(bounds.mean(0), float(extent.max()) / 2) @ first, box


def _side(poses: Tensor, transform: Tensor, aabb_scale: float | None) -> tuple[int, str]:
    """Box side in cores, and why."""
    positions = poses[:, :3, 3] @ transform[:3, :3].T + transform[:3, 3]
    reach = 2.2 * float((positions - 0.5).abs().max())  # a tenth of margin around the outermost camera
    if aabb_scale is None:
        side = next((s for s in SIDES if max(4, reach) <= s <= WIDEST), WIDEST)
        why = "which holds all cameras" if side >= reach else "the widest there is; some cameras stand outside it"
        return side, why
    side = min((s for s in SIDES if s >= aabb_scale), default=SIDES[-1])
    why = "aabb_scale" if side == aabb_scale else f"for aabb_scale {aabb_scale:g} (wanted a power of two, 1 to 128)"
    return side, why if side >= reach else f"{why}; some cameras stand outside it"


def _caught(shots: Sequence[Unplaced], transform: Tensor, box: Tensor) -> float:
    """Share of the rays that show something which cross the box; 1 where none does."""
    solid, caught = 0, 0
    for shot in _some(shots):
        rays, pixels = probes(shot.placed(transform))
        shown = shot.image[pixels[:, 1], pixels[:, 0], 3] >= FAINT
        solid, caught = solid + int(shown.sum()), caught + int((shown & crosses(rays, box)).sum())
    return caught / solid if solid else 1.0


def ray_shares(cameras: Sequence[Camera], box: Tensor) -> tuple[float, float]:
    """Shares of the cameras' rays that cross the core, and that cross `box` (2, 3)."""
    core, inside, total = 0, 0, 0
    for camera in _some(cameras):
        rays, _ = probes(camera)
        core, inside = core + int(crosses(rays, cube(1)).sum()), inside + int(crosses(rays, box).sum())
        total += len(rays)
    return core / total, inside / total


def _some(items: Sequence[Item]) -> Sequence[Item]:
    """At most 64 of them, spread evenly."""
    return items[:: -(-len(items) // 64)]
